//! Memory for outputs' data, to be filled in place.
//!
//! Invariant: initialised from the start (zeros or leftovers), 64-aligned, owned by one at a time. Absent: shared
//! memory, which implements the same traits elsewhere.

use crate::message::Memory;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// [`Memory`] that may still be written.
pub trait Room: Memory {
    /// First byte, for writing.
    fn as_mut_ptr(&mut self) -> *mut u8;
    /// The same memory, read-only from now on.
    fn freeze(self: Box<Self>) -> Box<dyn Memory>;
}

/// Memory of this process.
#[derive(Debug)]
pub struct Heap {
    pointer: NonNull<u8>,
    layout: Layout,
    len: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Heap {}
// SAFETY: as above; writing needs `&mut`.
unsafe impl Sync for Heap {}

impl Heap {
    /// Zeroed memory; `None` when there is none. Large blocks are zeroed by the system as they are touched.
    pub fn new(len: usize) -> Option<Self> {
        let layout = Layout::from_size_align(len.max(1), 64).ok()?;
        // SAFETY: the size is not zero.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self {
            pointer,
            layout,
            len,
        })
    }
}

impl Memory for Heap {
    fn as_ptr(&self) -> *const u8 {
        self.pointer.as_ptr()
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Room for Heap {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    fn freeze(self: Box<Self>) -> Box<dyn Memory> {
        self
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) }
    }
}
