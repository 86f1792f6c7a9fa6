//! How messages lie in memory: one allocation with the [`Msg`], its count, its metadata and, for small data, the
//! data themselves.
//!
//! Invariant: after `finish` nothing in a cell changes but its count. Absent: reading (see the parent module) and
//! queues. This code runs in the host and in the test harness of a node; a plugin only calls it through [`MsgVt`].

use super::schema::Schema;
use super::view;
use crate::ffi::{ArrowArray, ERR_NO_MEMORY, Msg, MsgVt, OK, Status};
use crate::meta::Timestamp;
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering, fence};

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

/// Behind a `*const Msg` of this module.
#[repr(C)]
pub(super) struct Cell {
    msg: Msg,
    count: AtomicUsize,
    layout: Layout,
    /// Null, or where the data lie.
    memory: Option<Box<dyn Memory>>,
    buffers: [*const c_void; 3],
}

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
    let payload_at = size_of::<Cell>()
        .checked_add(meta_len)?
        .checked_next_multiple_of(ALIGN)?;
    let mut total = payload_at;
    if let Source::Copy { buffers, .. } = &source {
        for buffer in buffers.iter().copied().flatten() {
            total = total
                .checked_add(buffer.len())?
                .checked_next_multiple_of(ALIGN)?;
        }
    }
    let Ok(layout) = Layout::from_size_align(total, ALIGN) else {
        return drop_source(source);
    };
    // SAFETY: the size is not zero.
    let Some(cell) = NonNull::new(unsafe { alloc(layout) }.cast::<Cell>()) else {
        return drop_source(source);
    };
    let base = cell.as_ptr().cast::<u8>();
    // SAFETY: everything written lies within the `total` bytes just allocated, aligned for `Cell`.
    unsafe {
        let meta = base.add(size_of::<Cell>());
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
            layout,
            memory: None,
            buffers: [null(); 3],
        });
        fill(&mut *cell.as_ptr(), base.add(payload_at), source);
    }
    Some(cell.cast())
}

/// # Safety
/// `payload` starts room enough for the copies that `source` asks for.
unsafe fn fill(cell: &mut Cell, mut payload: *mut u8, source: Source<'_>) {
    match source {
        Source::Copy {
            length,
            null_count,
            buffers,
        } => {
            for (slot, buffer) in cell.buffers.iter_mut().zip(buffers) {
                let Some(bytes) = buffer else { continue };
                // SAFETY: the caller reserved the sum of the rounded lengths.
                unsafe {
                    payload.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    *slot = payload.cast();
                    payload = payload.add(bytes.len().next_multiple_of(ALIGN));
                }
            }
            cell.borrow_buffers(length, null_count, buffers.len());
        }
        Source::Memory { length, memory } => {
            cell.buffers[1] = memory.as_ptr().cast();
            cell.memory = Some(memory);
            cell.borrow_buffers(length, 0, 2);
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

pub(super) unsafe extern "C" fn retain(msg: *const Msg) {
    // SAFETY: the caller holds a reference, so the cell lives.
    unsafe { (*msg.cast::<Cell>()).count.fetch_add(1, Ordering::Relaxed) };
}

pub(super) unsafe extern "C" fn release(msg: *const Msg) {
    let cell = msg.cast_mut().cast::<Cell>();
    // SAFETY: the caller holds a reference, so the cell lives.
    if unsafe { (*cell).count.fetch_sub(1, Ordering::Release) } > 1 {
        return;
    }
    fence(Ordering::Acquire);
    // SAFETY: that was the last reference: nobody else reads the cell any more. The schema's reference was taken
    // in `new`; the memory was allocated with the layout that the cell kept.
    unsafe {
        release_array(&mut (*cell).msg.array);
        drop(Schema::from_raw((*cell).msg.schema));
        let layout = (*cell).layout;
        cell.drop_in_place();
        dealloc(cell.cast(), layout);
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
