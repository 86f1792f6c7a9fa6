//! How messages lie in memory: one allocation with the [`Msg`], its count, for small data the data themselves, and its
//! metadata.
//!
//! Invariant: once it is made nothing in a cell changes but its count. A message with a number or two is three cache lines:
//! each of them goes from the sender's core to the reader's and back. Absent: reading (see the parent module) and queues.
//! This code runs in the host and in the test harness of a node; a plugin only calls it through [`MsgVt`].

use super::blocks;
use super::schema::Schema;
use super::view;
use crate::ffi::{ArrowArray, ERR_NO_MEMORY, Msg, MsgVt, OK, Status};
use crate::meta::Timestamp;
use std::alloc::Layout;
use std::ffi::c_void;
use std::mem::{needs_drop, size_of};
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Arrow buffers inside a cell start at multiples of this: enough for every primitive type.
const ALIGN: usize = 16;

/// Memory that a message's data lie in and that is given back with the message, on any thread.
pub trait Memory: Send + Sync {
    /// First byte. Aligned for the data that are in it.
    fn as_ptr(&self) -> *const u8;
    /// Length in bytes.
    fn len(&self) -> usize;
    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Behind a `*const Msg` of this module. What it owns, data or the memory that they lie in, follows, then the metadata.
#[repr(C)]
pub(super) struct Cell {
    msg: Msg,
    count: AtomicUsize,
    /// Of the whole allocation, in bytes.
    size: usize,
    buffers: [*const c_void; 3],
}

/// Where what a cell owns begins.
const BODY: usize = size_of::<Cell>();

const _: () = assert!(!needs_drop::<Cell>());
const _: () = assert!(BODY.is_multiple_of(ALIGN) && BODY + 8 + crate::meta::HEADER <= 3 * 64);

static VT: MsgVt = MsgVt {
    size: size_of::<MsgVt>(),
    retain,
    release,
    view,
};

/// The start of every message.
pub(super) struct Head<'a> {
    pub(super) schema: &'a Schema,
    pub(super) stamp: Timestamp,
    pub(super) parameters: &'a [u8],
}

/// Where a cell's array comes from.
pub(super) enum Source<'a> {
    /// Buffers to be copied into the cell; `None` is an absent one.
    Copy {
        length: i64,
        null_count: i64,
        buffers: &'a [Option<&'a [u8]>],
    },
    /// A primitive array of `length` values in memory that the cell keeps.
    Memory {
        length: i64,
        memory: Box<dyn Memory>,
    },
    /// A producer's array, moved in.
    Array(ArrowArray),
}

/// Makes a message with one reference; `None` when there is no memory (a moved array is released then).
pub(super) fn new(head: &Head<'_>, source: Source<'_>) -> Option<NonNull<Msg>> {
    let meta_len = crate::meta::HEADER.checked_add(head.parameters.len())?;
    let mut body = 0_usize;
    match &source {
        Source::Copy { buffers, .. } => {
            for buffer in buffers.iter().copied().flatten() {
                body = body
                    .checked_next_multiple_of(ALIGN)?
                    .checked_add(buffer.len())?;
            }
        }
        Source::Memory { .. } => body = size_of::<Box<dyn Memory>>(),
        Source::Array(_) => {}
    }
    let meta_at = BODY.checked_add(body)?;
    let total = meta_at.checked_add(meta_len)?;
    let Ok(layout) = Layout::from_size_align(total, ALIGN) else {
        return drop_source(source);
    };
    // SAFETY: the size is not zero.
    let Some(cell) = (unsafe { blocks::allocate(layout) }) else {
        return drop_source(source);
    };
    let cell = cell.cast::<Cell>();
    let base = cell.as_ptr().cast::<u8>();
    // SAFETY: everything written lies within the `total` bytes just allocated, aligned for `Cell`.
    unsafe {
        let meta = base.add(meta_at);
        meta.copy_from_nonoverlapping(head.stamp.to_bytes().as_ptr(), crate::meta::HEADER);
        meta.add(crate::meta::HEADER)
            .copy_from_nonoverlapping(head.parameters.as_ptr(), head.parameters.len());
        cell.as_ptr().write(Cell {
            msg: Msg {
                size: size_of::<Msg>() as u32,
                n_nodes: head.schema.as_ref().n_nodes,
                vt: &raw const VT,
                array: empty_array(),
                schema: head.schema.clone().into_raw(),
                meta,
                meta_len,
            },
            count: AtomicUsize::new(1),
            size: total,
            buffers: [null(); 3],
        });
        fill(&mut *cell.as_ptr(), base.add(BODY), source);
    }
    Some(cell.cast())
}

/// # Safety
/// `body` starts room enough, aligned to [`ALIGN`], for what `source` is made of.
unsafe fn fill(cell: &mut Cell, body: *mut u8, source: Source<'_>) {
    match source {
        Source::Copy {
            length,
            null_count,
            buffers,
        } => {
            let mut end = 0_usize;
            for (slot, buffer) in cell.buffers.iter_mut().zip(buffers) {
                let Some(bytes) = buffer else { continue };
                // SAFETY: the caller reserved the sum of the lengths, each rounded up before the next.
                unsafe {
                    let start = body.add(end.next_multiple_of(ALIGN));
                    start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    *slot = start.cast();
                    end = end.next_multiple_of(ALIGN) + bytes.len();
                }
            }
            cell.borrow_buffers(length, null_count, buffers.len());
        }
        Source::Memory { length, memory } => {
            cell.buffers[1] = memory.as_ptr().cast();
            cell.borrow_buffers(length, 0, 2);
            let keeper = body.cast::<Box<dyn Memory>>();
            cell.msg.array.private_data = keeper.cast();
            cell.msg.array.release = Some(release_memory);
            // SAFETY: the caller reserved room for it.
            unsafe { keeper.write(memory) };
        }
        Source::Array(array) => cell.msg.array = array,
    }
}

fn drop_source<T>(source: Source<'_>) -> Option<T> {
    if let Source::Array(mut array) = source {
        release_array(&mut array);
    }
    None
}

/// Calls the producer's release unless that has been done.
pub(super) fn release_array(array: &mut ArrowArray) {
    if let Some(release) = array.release {
        // SAFETY: the producer's own function, on an array not yet released.
        unsafe { release(array) }
    }
}

impl Cell {
    fn borrow_buffers(&mut self, length: i64, null_count: i64, n_buffers: usize) {
        self.msg.array = ArrowArray {
            length,
            null_count,
            n_buffers: n_buffers.min(self.buffers.len()) as i64,
            buffers: self.buffers.as_mut_ptr(),
            release: Some(release_nothing),
            ..empty_array()
        };
    }
}

pub(super) fn empty_array() -> ArrowArray {
    ArrowArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: null_mut(),
        children: null_mut(),
        dictionary: null_mut(),
        release: None,
        private_data: null_mut(),
    }
}

unsafe extern "C" fn release_nothing(array: *mut ArrowArray) {
    // SAFETY: called with the array that carries it.
    unsafe { (*array).release = None }
}

unsafe extern "C" fn release_memory(array: *mut ArrowArray) {
    // SAFETY: called once, with the array that carries it: its private data are the memory that `fill` wrote into the cell.
    unsafe {
        (*array).release = None;
        (*array)
            .private_data
            .cast::<Box<dyn Memory>>()
            .drop_in_place();
    }
}

pub(super) unsafe extern "C" fn retain(msg: *const Msg) {
    // SAFETY: the caller holds a reference, so the cell lives.
    unsafe { (*msg.cast::<Cell>()).count.fetch_add(1, Ordering::Relaxed) };
}

pub(super) unsafe extern "C" fn release(msg: *const Msg) {
    let cell = msg.cast_mut().cast::<Cell>();
    // SAFETY: the caller holds a reference, so the cell lives until it is counted down.
    let count = unsafe { &(*cell).count };
    // With the only reference in hand nobody can take another: nothing is left to count.
    if count.load(Ordering::Acquire) > 1 {
        if count.fetch_sub(1, Ordering::Release) > 1 {
            return;
        }
        // Not a fence: the thread sanitizer knows none.
        count.load(Ordering::Acquire);
    }
    // SAFETY: that was the last reference: nobody else reads the cell any more. The schema's reference was taken in `new`;
    // the memory was allocated with this layout, and the cell itself has nothing to drop.
    unsafe {
        release_array(&mut (*cell).msg.array);
        drop(Schema::from_raw((*cell).msg.schema));
        let layout = Layout::from_size_align_unchecked((*cell).size, ALIGN);
        blocks::free(NonNull::new_unchecked(cell.cast()), layout);
    }
}

unsafe extern "C" fn view(msg: *const Msg, out: *mut ArrowArray) -> Status {
    // SAFETY: the caller holds a reference and `out` is its own to fill.
    match unsafe { view::of(msg) } {
        Some(array) => {
            // SAFETY: as above; what `out` held before is not an array yet.
            unsafe { out.write(array) };
            OK
        }
        None => ERR_NO_MEMORY,
    }
}

/// The number of references to a message that this copy of the crate made: for tests and diagnostics.
///
/// # Safety
/// `msg` was made by [`new`] of this copy of the crate.
pub(super) unsafe fn references(msg: *const Msg) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { (*msg.cast::<Cell>()).count.load(Ordering::Relaxed) }
}

/// Whether this copy of the crate made a message.
pub(super) fn is_own(msg: &Msg) -> bool {
    std::ptr::eq(msg.vt, &raw const VT)
}

const _: () =
    assert!(std::mem::offset_of!(Cell, msg) == 0 && std::mem::align_of::<Cell>() <= ALIGN);
