//! A segment of this process's in use: as the room of a message that is filled in place, or as a copy of one.
//!
//! Invariant: it goes back to its pool when the last of the message and its readers lets go. Absent: who they are.

use super::{Inner, Lent, Place, Segment};
use crate::hosting::Room;
use crate::message::{Memory, Message};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// A segment in use. Given back when dropped.
#[derive(Debug)]
pub(super) struct Block {
    segment: Arc<Segment>,
    pool: Weak<Inner>,
    /// Bytes that it was made for.
    room: usize,
    /// The message that it is a copy of.
    copied: OnceLock<Message>,
    /// Whether somebody may read it whom nobody waits for.
    spoilt: AtomicBool,
}

impl Block {
    pub fn new(segment: Arc<Segment>, room: usize, pool: Weak<Inner>) -> Self {
        Self {
            segment,
            pool,
            room,
            copied: OnceLock::new(),
            spoilt: AtomicBool::new(false),
        }
    }

    /// First byte. To be written only before anybody else has the block.
    pub fn start(&self) -> *mut u8 {
        self.segment.as_ptr()
    }

    /// Keeps the message that it is a copy of: no other one gets that one's address meanwhile.
    pub fn keep(&self, message: &Message) {
        // It was made for this message alone.
        let _ = self.copied.set(message.clone());
    }

    /// So many bytes from its start.
    pub fn place(this: Arc<Self>, len: usize) -> Place {
        Place {
            memory: this,
            start: 0,
            len,
        }
    }

    pub fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }
}

impl Lent for Block {
    fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(self);
        }
    }
}

/// A block whose values are being written, or are those of a message.
pub(super) struct Filling(pub(super) Arc<Block>);

impl Memory for Filling {
    fn as_ptr(&self) -> *const u8 {
        self.0.start()
    }

    fn len(&self) -> usize {
        self.0.room
    }
}

impl Room for Filling {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.start()
    }

    fn freeze(self: Box<Self>) -> Box<dyn Memory> {
        self
    }
}
