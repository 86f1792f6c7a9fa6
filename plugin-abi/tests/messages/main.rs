//! Messages as their readers see them: every kind of Arrow array comes out as it went in, without a copy, in whatever
//! order and on whatever threads its readers let go; what is broken is refused before it is a message.

mod kinds;
mod plain;
mod refused;
mod types;
mod views;

use arrow_array::Array;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, to_ffi};
use plugin_abi::ffi::{ArrowArray, ArrowSchema};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often the producer's release of an array was called.
#[derive(Clone, Default)]
struct Released(Arc<AtomicUsize>);

impl Released {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Behind an array of [`tracked`]: the array as its producer made it.
struct Tracked {
    inner: ArrowArray,
    released: Released,
}

/// The same array with a release that is counted, and that does not mind what a test did to the outer struct.
fn tracked(inner: ArrowArray) -> (ArrowArray, Released) {
    unsafe extern "C" fn release(array: *mut ArrowArray) {
        // SAFETY: called once, with the struct made below, whose private data are the box.
        unsafe {
            let mut tracked = Box::from_raw((*array).private_data.cast::<Tracked>());
            (*array).release = None;
            let inner = tracked.inner.release.expect("not yet released");
            inner(&raw mut tracked.inner);
            tracked.released.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let released = Released::default();
    // SAFETY: plain fields; the box below is their one owner, the outer struct borrows what it points to.
    let mut outer = unsafe { std::ptr::read(&raw const inner) };
    let tracked = Tracked {
        inner,
        released: released.clone(),
    };
    outer.private_data = Box::into_raw(Box::new(tracked)).cast();
    outer.release = Some(release);
    (outer, released)
}

/// An array of the arrow crates as the structs of the C Data Interface.
fn exported(array: &dyn Array) -> (ArrowArray, ArrowSchema) {
    let (data, schema) = to_ffi(&array.to_data()).expect("arrow exports it");
    // SAFETY: both structs are those of the C Data Interface on either side, moved.
    unsafe {
        (
            std::mem::transmute::<FFI_ArrowArray, ArrowArray>(data),
            std::mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema),
        )
    }
}

/// The type of an array, which is let go.
fn type_of(array: &dyn Array) -> Schema {
    let (mut data, schema) = exported(array);
    let release = data.release.expect("an array");
    // SAFETY: the array's own function, called once.
    unsafe { release(&raw mut data) };
    interned(schema)
}

fn interned(schema: ArrowSchema) -> Schema {
    // SAFETY: the arrow crate made it.
    unsafe { Schema::intern(schema) }.expect("a type of Arrow's")
}

fn from_array(schema: &Schema, array: ArrowArray) -> Result<Message, MakeError> {
    // SAFETY: what the tests break is what `from_array` looks at before it follows a pointer.
    unsafe { Message::from_array(Timestamp::default(), schema, array, &[]) }
}

/// A message that took an array over, and how often the array was released.
fn message(array: &dyn Array) -> (Message, Released) {
    let (data, schema) = exported(array);
    let (data, released) = tracked(data);
    let message = from_array(&interned(schema), data).expect("a message");
    (message, released)
}

/// Every order of three readers.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];
