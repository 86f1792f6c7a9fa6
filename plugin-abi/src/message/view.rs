//! Views: arrays of the Arrow C Data Interface that a reader may keep, move and take apart, while the message's own
//! array stays whole.
//!
//! Invariant: every array handed out, root or descendant, can be released on its own, in any order, on any thread;
//! the last one gives the message's reference back. The interface lets a reader move a child out of its parent, so
//! borrowed children would be corrupted for the next reader: descendants are copied (their structs, not their data).
//! Absent: data. Buffers stay where the producer put them.

use super::cell;
use crate::ffi::{ArrowArray, Msg};
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Copies of all descendants behind a nested view, in one allocation: this head, the arrays, the child pointers.
#[repr(C)]
struct Block {
    /// Arrays not yet released, the root included.
    live: AtomicUsize,
    msg: *const Msg,
    layout: Layout,
}

/// A view of a message; `None` when there is no memory.
///
/// # Safety
/// The caller holds a reference to `msg`, whose array is valid.
pub(super) unsafe fn of(msg: *const Msg) -> Option<ArrowArray> {
    // SAFETY: alive by the caller's reference.
    let source = unsafe { &(*msg).array };
    if source.n_children == 0 && source.dictionary.is_null() {
        // SAFETY: as above; the reference is given back by `release_leaf`.
        unsafe { cell::retain(msg) };
        return Some(ArrowArray {
            release: Some(release_leaf),
            private_data: msg.cast_mut().cast::<c_void>(),
            ..bits(source)
        });
    }
    // SAFETY: as above.
    unsafe { nested(msg, source) }
}

/// The same fields. Whoever uses this replaces what belongs to the producer alone.
fn bits(array: &ArrowArray) -> ArrowArray {
    // SAFETY: plain fields, and no drop.
    unsafe { std::ptr::read(array) }
}

unsafe extern "C" fn release_leaf(array: *mut ArrowArray) {
    // SAFETY: called with the view that `of` made, whose private data are its message's reference.
    unsafe {
        (*array).release = None;
        cell::release((*array).private_data.cast::<Msg>());
    }
}

/// Counts the descendants (arrays below the root) and the child pointers that a copy needs.
unsafe fn count(array: &ArrowArray, arrays: &mut usize, pointers: &mut usize) {
    let children = array.n_children.max(0) as usize;
    *arrays += children;
    *pointers += children;
    for i in 0..children {
        // SAFETY: a valid array has `n_children` valid children; `Message` checked that when it was sent.
        unsafe { count(&**array.children.add(i), arrays, pointers) }
    }
    if !array.dictionary.is_null() {
        *arrays += 1;
        // SAFETY: as above.
        unsafe { count(&*array.dictionary, arrays, pointers) }
    }
}

unsafe fn nested(msg: *const Msg, source: &ArrowArray) -> Option<ArrowArray> {
    let (mut arrays, mut pointers) = (0, 0);
    // SAFETY: valid by the caller's promise.
    unsafe { count(source, &mut arrays, &mut pointers) };
    let (layout, arrays_at) = Layout::new::<Block>()
        .extend(Layout::array::<ArrowArray>(arrays).ok()?)
        .ok()?;
    let (layout, pointers_at) = layout
        .extend(Layout::array::<*mut ArrowArray>(pointers).ok()?)
        .ok()?;
    // SAFETY: not of size zero.
    let block = NonNull::new(unsafe { alloc(layout) })?.as_ptr();
    // SAFETY: within the allocation; the message's reference is given back with the block.
    unsafe {
        cell::retain(msg);
        block.cast::<Block>().write(Block {
            live: AtomicUsize::new(arrays + 1),
            msg,
            layout,
        });
        let mut room = Room {
            block: block.cast(),
            arrays: block.add(arrays_at).cast(),
            pointers: block.add(pointers_at).cast(),
        };
        Some(room.copy(source))
    }
}

/// What is left of a block's room while the copies are made.
struct Room {
    block: *mut Block,
    arrays: *mut ArrowArray,
    pointers: *mut *mut ArrowArray,
}

impl Room {
    /// A copy of one array whose descendants lie in the block.
    unsafe fn copy(&mut self, source: &ArrowArray) -> ArrowArray {
        let mut out = ArrowArray {
            release: Some(release_nested),
            private_data: self.block.cast(),
            children: null_mut(),
            ..bits(source)
        };
        let children = source.n_children.max(0) as usize;
        // SAFETY: `count` has counted exactly what is taken here.
        unsafe {
            if children > 0 {
                out.children = self.pointers;
                self.pointers = self.pointers.add(children);
                for i in 0..children {
                    *out.children.add(i) = self.place(&**source.children.add(i));
                }
            }
            if !source.dictionary.is_null() {
                out.dictionary = self.place(&*source.dictionary);
            }
        }
        out
    }

    unsafe fn place(&mut self, source: &ArrowArray) -> *mut ArrowArray {
        let slot = self.arrays;
        // SAFETY: as in `copy`.
        unsafe {
            self.arrays = slot.add(1);
            slot.write(self.copy(source));
        }
        slot
    }
}

unsafe extern "C" fn release_nested(array: *mut ArrowArray) {
    // SAFETY: called with an array that `Room::copy` made, perhaps moved since. Children that were moved out have
    // no release here any more; the block lives while one of its arrays does.
    unsafe {
        let this = &mut *array;
        for i in 0..this.n_children.max(0) as usize {
            cell::release_array(&mut **this.children.add(i));
        }
        if let Some(values) = this.dictionary.as_mut() {
            cell::release_array(values);
        }
        this.release = None;
        let block = this.private_data.cast::<Block>();
        if (*block).live.fetch_sub(1, Ordering::Release) > 1 {
            return;
        }
        // After what others did before they let go. Not a fence: the thread sanitizer knows none.
        (*block).live.load(Ordering::Acquire);
        let Block { msg, layout, .. } = block.read();
        dealloc(block.cast(), layout);
        cell::release(msg);
    }
}
