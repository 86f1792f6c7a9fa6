//! The memory: places of nodes, and the record of a crash.
//!
//! Invariant: all of it is atomics, so that a parent may read whatever a process that dies has written; all zeros is its
//! beginning. Absent: the form of its texts (`found`).

use super::{Callback, How};
use crate::sys::crash::stack;
use plugin_abi::ffi::Msg;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Nodes that have a place here; others have one of their own, which a parent does not see.
const PLACES: usize = 1_024;
/// Bytes of what is told of a place.
const ABOUT: usize = 960;
/// Bytes of the metadata of the message that a callback has got.
const META: usize = 1_024;
/// Bytes of the report.
const REPORT: usize = 16 * 1024;

/// A byte that several processes see.
pub type Byte = AtomicU8;

/// Text of bounded length.
#[repr(C)]
pub struct Text<const N: usize> {
    length: AtomicU32,
    bytes: [AtomicU8; N],
}

impl<const N: usize> Text<N> {
    pub fn clear(&self) {
        self.length.store(0, Ordering::Release);
    }

    /// Adds to it what has room.
    pub fn append(&self, text: &[u8]) {
        let begin = self.bytes().len();
        let room = self.bytes.get(begin..).unwrap_or_default();
        let added = text.len().min(room.len());
        for (place, byte) in room.iter().zip(text) {
            place.store(*byte, Ordering::Relaxed);
        }
        self.length.store((begin + added) as u32, Ordering::Release);
    }

    fn copy(&self, bytes: &[AtomicU8]) {
        self.clear();
        for byte in bytes {
            self.append(&[byte.load(Ordering::Relaxed)]);
        }
    }

    pub fn bytes(&self) -> &[AtomicU8] {
        let length = (self.length.load(Ordering::Acquire) as usize).min(N);
        self.bytes.get(..length).unwrap_or_default()
    }

    pub fn read(&self) -> Vec<u8> {
        let bytes = self.bytes().iter();
        bytes.map(|byte| byte.load(Ordering::Relaxed)).collect()
    }
}

/// A node.
#[repr(C)]
pub struct Slot {
    taken: AtomicU32,
    /// How often it has begun to wait for a reader, and has gone on.
    pub waits: AtomicU32,
    /// The callback's number above, its input below.
    pub callback: AtomicU64,
    pub begun: AtomicU64,
    /// The system's number of the thread that calls it; 0 while that is not known.
    pub thread: AtomicU32,
    message: AtomicPtr<Msg>,
    pub about: Text<ABOUT>,
}

impl Slot {
    /// One of its own.
    pub fn new() -> Box<Self> {
        // SAFETY: all zeros is its beginning.
        unsafe { Box::<Self>::new_zeroed().assume_init() }
    }

    pub fn begin(&self, callback: Callback, message: *const Msg) {
        self.message.store(message.cast_mut(), Ordering::Relaxed);
        // Only its node's thread writes it.
        let begun = self.begun.load(Ordering::Relaxed);
        self.begun.store(begun.wrapping_add(1), Ordering::Relaxed);
        if callback == Callback::Create {
            // All callbacks come on one thread.
            self.thread.store(stack::this_thread(), Ordering::Relaxed);
        }
        let (number, input) = callback.to_numbers();
        let word = u64::from(number) << 32 | u64::from(input);
        self.callback.store(word, Ordering::Release);
    }

    pub fn end(&self) {
        self.callback.store(0, Ordering::Release);
    }

    pub fn within(&self) -> Option<Callback> {
        callback_of(self.callback.load(Ordering::Acquire))
    }

    pub fn give_back(&self) {
        self.end();
        self.taken.store(0, Ordering::Release);
    }
}

/// The callback of a word.
pub fn callback_of(word: u64) -> Option<Callback> {
    Callback::from_numbers((word >> 32) as u32, word as u32)
}

/// What a process shares with its parent.
#[repr(C)]
pub struct Region {
    /// 0 nothing, 1 a signal, 2 a signal because of a stack that has overflowed, 3 an exit.
    pub how: AtomicU32,
    pub signal: AtomicU32,
    pub callback: AtomicU64,
    /// How many values the message had.
    pub values: AtomicU64,
    pub about: Text<ABOUT>,
    pub meta: Text<META>,
    pub report: Text<REPORT>,
    pub life: Text<ABOUT>,
    slots: [Slot; PLACES],
}

impl Region {
    /// Memory that this process and its copies share.
    #[cfg(unix)]
    pub fn shared() -> std::io::Result<*mut Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_ANON;
        // SAFETY: new memory wherever there is room; all zeros is its beginning, and pages are aligned enough.
        let mapped =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Self>(), access, kind, -1, 0) };
        match mapped == libc::MAP_FAILED {
            true => Err(std::io::Error::last_os_error()),
            false => Ok(mapped.cast()),
        }
    }

    /// Memory of this process alone.
    #[cfg(test)]
    pub fn own() -> &'static Self {
        // SAFETY: all zeros is its beginning.
        Box::leak(unsafe { Box::<Self>::new_zeroed().assume_init() })
    }

    pub fn clear(&self) {
        self.how.store(0, Ordering::Relaxed);
        self.about.clear();
        self.meta.clear();
        self.report.clear();
        self.life.clear();
        self.slots.iter().for_each(Slot::give_back);
    }

    /// A place that nobody has.
    pub fn take(&self) -> Option<&Slot> {
        let free = |slot: &&Slot| {
            let taken = &slot.taken;
            let swapped = taken.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
            swapped.is_ok()
        };
        let slot = self.slots.iter().find(free)?;
        slot.waits.store(0, Ordering::Relaxed);
        slot.begun.store(0, Ordering::Relaxed);
        slot.thread.store(0, Ordering::Relaxed);
        Some(slot)
    }

    /// Places whose node is in a callback.
    pub fn busy(&self) -> impl Iterator<Item = &Slot> {
        let busy = |slot: &&Slot| {
            slot.taken.load(Ordering::Acquire) != 0 && slot.callback.load(Ordering::Acquire) != 0
        };
        self.slots.iter().filter(busy)
    }

    /// The process ends so, while this node is called.
    pub fn note(&self, how: How, slot: Option<&Slot>) {
        if let How::Signal { number, .. } = how {
            self.signal.store(number.cast_unsigned(), Ordering::Relaxed);
        }
        if let Some(slot) = slot {
            let callback = slot.callback.load(Ordering::Acquire);
            self.callback.store(callback, Ordering::Relaxed);
            self.about.copy(slot.about.bytes());
        }
        let number = match how {
            How::Signal { overflow, .. } => 1 + u32::from(overflow),
            How::Exit => 3,
        };
        self.how.store(number, Ordering::Release);
        if let Some(slot) = slot {
            // Last, as it may crash too.
            self.note_message(slot);
        }
    }

    fn note_message(&self, slot: &Slot) {
        let message = slot.message.load(Ordering::Relaxed);
        // SAFETY: null, or what the callback has got, which lives until it returns.
        let Some(message) = (unsafe { message.as_ref() }) else {
            return;
        };
        let values = message.array.length.max(0).cast_unsigned();
        self.values.store(values, Ordering::Relaxed);
        // SAFETY: the message vouches for so many bytes.
        let meta = unsafe { std::slice::from_raw_parts(message.meta, message.meta_len.min(META)) };
        self.meta.append(meta);
    }

    /// Fills it with anything.
    #[cfg(test)]
    pub fn scribble(&self, mut byte: impl FnMut() -> u8) {
        let begin: *const AtomicU8 = std::ptr::from_ref(self).cast();
        for at in 0..size_of::<Self>() - size_of::<[Slot; PLACES - 2]>() {
            // SAFETY: within the region, which consists of atomics alone; nobody follows its pointers here.
            let place = unsafe { &*begin.add(at) };
            place.store(byte(), Ordering::Relaxed);
        }
    }
}
