//! A page that a process shares with its daemon: which callback of which node it is in, to be read when it has crashed.
//!
//! 64 bytes: 16 bytes zero, `u32` which callback ([`Callback`]), `u32` the input, `u64` how many callbacks have begun,
//! `u32` how often the callback has begun to wait for a reader in its own process and has gone on, `u32` the thread that
//! makes the callbacks, if it can be asked where it is ([`stack`]); the rest is zero. Invariant: writing is three stores, so
//! that it costs a callback nothing, and reading is checked, for a process that crashes may have written anything. Absent: the node's id, which the daemon knows by the page.

use super::stack;
use super::sys::{Mapping, Object};
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of a page.
pub const LEN: usize = 64;

/// What a node was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// 1: to be made.
    Create,
    /// 2: for a message on the input of this index.
    Input(u32),
    /// 3: because the input of this index was closed.
    InputClosed(u32),
    /// 4: to stop.
    Stop,
    /// 5: to be destroyed.
    Destroy,
}

impl Callback {
    /// Its number, which is not 0, and the input.
    pub fn to_numbers(self) -> (u32, u32) {
        match self {
            Self::Create => (1, 0),
            Self::Input(input) => (2, input),
            Self::InputClosed(input) => (3, input),
            Self::Stop => (4, 0),
            Self::Destroy => (5, 0),
        }
    }

    /// The callback of a number, if it is one.
    pub fn from_numbers(number: u32, input: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Create),
            2 => Some(Self::Input(input)),
            3 => Some(Self::InputClosed(input)),
            4 => Some(Self::Stop),
            5 => Some(Self::Destroy),
            _ => None,
        }
    }
}

/// A page, mapped.
#[derive(Debug)]
pub struct Page {
    mapping: Mapping,
}

impl Page {
    /// A new page, and what another process maps it by.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<(Object, Self)> {
        let (object, mapping) = Object::new(LEN, true)?;
        Ok((object, Self { mapping }))
    }

    pub(super) fn mapped(mapping: Mapping) -> Option<Self> {
        (mapping.size() >= LEN).then_some(Self { mapping })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: within the page, which is aligned, stays mapped as long as this value, and is only used as atomics.
        unsafe { AtomicU32::from_ptr(self.mapping.as_ptr().add(at).cast()) }
    }

    fn count(&self) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.mapping.as_ptr().add(24).cast()) }
    }

    /// A callback begins.
    pub fn begin(&self, callback: Callback) {
        let (number, input) = callback.to_numbers();
        if callback == Callback::Create {
            // The same from here on.
            self.word(36).store(stack::this_thread(), Ordering::Relaxed);
        }
        self.word(20).store(input, Ordering::Relaxed);
        self.count()
            .store(self.begun().wrapping_add(1), Ordering::Relaxed);
        self.word(16).store(number, Ordering::Release);
    }

    /// It has returned.
    pub fn end(&self) {
        self.word(16).store(0, Ordering::Release);
    }

    /// How many callbacks have begun.
    pub fn begun(&self) -> u64 {
        self.count().load(Ordering::Relaxed)
    }

    /// The callback waits for a reader in its own process now, or goes on.
    pub fn held_up(&self) {
        self.word(32).fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has begun to wait, and has gone on: odd while it waits.
    pub fn waits(&self) -> u32 {
        self.word(32).load(Ordering::Relaxed)
    }

    /// The thread that makes the callbacks, if it can be asked where it is.
    pub fn thread(&self) -> Option<u32> {
        let thread = self.word(36).load(Ordering::Relaxed);
        (thread != 0).then_some(thread)
    }

    /// The callback that has begun and has not returned.
    pub fn within(&self) -> Option<Callback> {
        let number = self.word(16).load(Ordering::Acquire);
        let input = self.word(20).load(Ordering::Relaxed);
        Callback::from_numbers(number, input)
    }
}
