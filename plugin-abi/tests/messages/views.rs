//! Views that are taken apart: a reader may move a child or a dictionary out and release it after everything else.

use super::kinds::{dictionary, struct_of_lists};
use super::{ORDERS, Released, exported, from_array, interned, message, tracked};
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::{Array, ArrayRef, UInt8Array, cast::AsArray, make_array};
use plugin_abi::ffi::{ArrowArray, ArrowSchema};
use plugin_abi::message::{Message, Schema};

/// Moves an array out of the place where its parent has it.
fn take(place: *mut ArrowArray) -> ArrowArray {
    // SAFETY: a child or dictionary of a view that the test holds and that has not been moved yet.
    unsafe {
        let moved = place.read();
        assert!(moved.release.is_some());
        (*place).release = None;
        moved
    }
}

fn child(array: &ArrowArray, index: usize) -> *mut ArrowArray {
    assert!((index as i64) < array.n_children);
    // SAFETY: there are that many.
    unsafe { *array.children.add(index) }
}

fn child_type(schema: &ArrowSchema, index: usize) -> &ArrowSchema {
    assert!((index as i64) < schema.n_children);
    // SAFETY: there are that many, alive while the type is.
    unsafe { &**schema.children.add(index) }
}

/// An array of the C Data Interface as one of the arrow crates.
fn imported(array: ArrowArray, schema: &ArrowSchema) -> ArrayRef {
    // SAFETY: both structs are those of the C Data Interface on either side; the array is moved.
    unsafe {
        let array = std::mem::transmute::<ArrowArray, FFI_ArrowArray>(array);
        let schema = std::ptr::from_ref(schema).cast::<FFI_ArrowSchema>();
        make_array(from_ffi(array, &*schema).expect("arrow imports it"))
    }
}

fn release(mut array: ArrowArray) {
    let release = array.release.expect("not yet released");
    // SAFETY: the array's own function, called once.
    unsafe { release(&raw mut array) };
    assert!(array.release.is_none());
}

/// A message of a nested array, and its type, which outlives it.
fn nested() -> (Message, Schema, Released) {
    let (data, schema) = exported(&struct_of_lists());
    let (data, released) = tracked(data);
    let schema = interned(schema);
    let message = from_array(&schema, data).expect("a message");
    (message, schema, released)
}

#[test]
fn a_child_outlives_its_view_and_its_message() {
    let expected = struct_of_lists();
    for index in 0..2 {
        let (message, schema, released) = nested();
        let other = message.array().expect("another reader");
        let view = message.view().expect("a view");
        let moved = take(child(&view, index));
        release(view);
        drop(message);
        assert_eq!(other.to_data(), expected.to_data());
        drop(other);
        assert_eq!(released.count(), 0);
        let seen = imported(moved, child_type(&schema.as_ref().schema, index));
        assert_eq!(&seen, expected.column(index));
        drop(seen);
        assert_eq!(released.count(), 1);
    }
}

#[test]
fn a_grandchild_outlives_the_child() {
    let expected = struct_of_lists();
    let (message, schema, released) = nested();
    let view = message.view().expect("a view");
    let list = take(child(&view, 0));
    let texts = take(child(&list, 0));
    release(list);
    release(view);
    drop(message);
    let list_type = child_type(&schema.as_ref().schema, 0);
    let seen = imported(texts, child_type(list_type, 0));
    assert_eq!(&seen, expected.column(0).as_list::<i32>().values());
    assert_eq!(released.count(), 0);
    drop(seen);
    assert_eq!(released.count(), 1);
}

#[test]
fn a_dictionary_outlives_its_indices() {
    let (data, schema) = exported(&dictionary());
    let (data, released) = tracked(data);
    let schema = interned(schema);
    let message = from_array(&schema, data).expect("a message");
    let view = message.view().expect("a view");
    let values = take(view.dictionary);
    release(view);
    assert_eq!(message.references(), Some(2));
    assert_eq!(
        message.array().expect("another reader").to_data(),
        dictionary().to_data()
    );
    drop(message);
    // SAFETY: a dictionary-encoded type has one.
    let values_type = unsafe { &*schema.as_ref().schema.dictionary };
    assert_eq!(&imported(values, values_type), dictionary().values());
    assert_eq!(released.count(), 1);
}

#[test]
fn the_parts_of_a_view_are_released_in_any_order_on_any_thread() {
    // SAFETY: what the contract says of arrays: released on any thread.
    struct Part(ArrowArray);
    // SAFETY: as above.
    unsafe impl Send for Part {}

    for order in ORDERS {
        let (message, _schema, released) = nested();
        let view = message.view().expect("a view");
        let (first, second) = (take(child(&view, 0)), take(child(&view, 1)));
        let mut parts = [Some(Part(view)), Some(Part(first)), Some(Part(second))];
        assert_eq!(message.references(), Some(2));
        for part in order {
            let part = parts[part].take();
            std::thread::spawn(move || {
                let Part(array) = { part }.expect("once");
                release(array);
            })
            .join()
            .expect("no panic");
        }
        assert_eq!(message.references(), Some(1));
        drop(message);
        assert_eq!(released.count(), 1);
    }
}

#[test]
fn parts_released_at_the_same_time_give_one_reference_back() {
    struct Part(ArrowArray);
    // SAFETY: arrays may be released on any thread.
    unsafe impl Send for Part {}

    let (message, _schema, released) = nested();
    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
        let view = message.view().expect("a view");
        let parts = [
            Part(take(child(&view, 0))),
            Part(take(child(&view, 1))),
            Part(view),
        ];
        std::thread::scope(|scope| {
            for part in parts {
                scope.spawn(move || {
                    let Part(array) = { part };
                    release(array);
                });
            }
        });
        assert_eq!(message.references(), Some(1));
    }
    drop(message);
    assert_eq!(released.count(), 1);
}

#[test]
fn a_view_of_a_message_can_be_sent_again() {
    let (first, schema, released) = nested();
    let again = from_array(&schema, first.view().expect("a view")).expect("a message");
    let once_more = from_array(&schema, again.view().expect("a view")).expect("a message");
    drop((first, again));
    assert_eq!(
        once_more.array().expect("a struct").to_data(),
        struct_of_lists().to_data()
    );
    assert_eq!(released.count(), 0);
    drop(once_more);
    assert_eq!(released.count(), 1);
}

#[test]
fn forty_mebibytes_are_shared_by_pointer() {
    let count = if cfg!(miri) { 1 << 12 } else { 40 << 20 };
    let array = UInt8Array::from_iter_values((0..count).map(|i| i as u8));
    let first = array.values().as_ptr();
    let (message, released) = message(&array);
    drop(array);
    let readers = [message.clone(), message.clone(), message.clone()];
    let arrays: Vec<ArrayRef> = readers
        .iter()
        .map(|reader| reader.array().expect("bytes"))
        .collect();
    assert_eq!(message.references(), Some(7));
    for (reader, array) in readers.iter().zip(&arrays) {
        let bytes = reader.bytes().expect("bytes");
        assert_eq!((bytes.as_ptr(), bytes.len()), (first, count));
        let values = array.as_primitive::<arrow_array::types::UInt8Type>();
        assert_eq!(values.values().as_ptr(), first);
    }
    drop((readers, arrays));
    assert_eq!((message.references(), released.count()), (Some(1), 0));
    drop(message);
    assert_eq!(released.count(), 1);
}

#[test]
fn an_array_shares_its_buffers_with_the_sender_who_keeps_it() {
    let array = UInt8Array::from(vec![1, 2, 3]);
    let (message, _) = message(&array);
    assert_eq!(
        message.bytes().expect("bytes").as_ptr(),
        array.values().as_ptr()
    );
}
