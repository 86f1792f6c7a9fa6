//! Arrays that break the C Data Interface are refused and released, before a reader could fall over them.

use super::kinds::{dictionary, struct_of_lists};
use super::{exported, from_array, interned, message, tracked, type_of};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field};
use plugin_abi::ffi::ArrowArray;
use plugin_abi::message::MakeError;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// What one test does to an array before it is sent.
type Break = Box<dyn FnOnce(&mut ArrowArray)>;

/// Sends `array` after `break_it`; says why it was refused, and that it was released once.
fn refused(array: &dyn Array, break_it: Break) -> String {
    let (data, schema) = exported(array);
    let (mut data, released) = tracked(data);
    break_it(&mut data);
    let error = from_array(&interned(schema), data).expect_err("a broken array");
    assert_eq!(released.count(), 1);
    assert!(matches!(error, MakeError::Invalid(_)));
    error.to_string()
}

fn child(array: &mut ArrowArray, index: usize) -> &mut ArrowArray {
    assert!((index as i64) < array.n_children);
    // SAFETY: there are that many, and nobody else has them yet.
    unsafe { &mut **array.children.add(index) }
}

/// A list that stays, in place of one that belongs to the producer.
fn leaked<T>(list: Vec<T>) -> *mut T {
    list.leak().as_mut_ptr()
}

fn numbers() -> Int32Array {
    Int32Array::from(vec![1, 2, 3])
}

fn fixed_size_list() -> FixedSizeListArray {
    FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), Some(2)]), None], 2)
}

fn runs() -> RunArray<Int32Type> {
    RunArray::try_new(&Int32Array::from(vec![2, 5]), &Int32Array::from(vec![7, 8]))
        .expect("runs that rise")
}

fn views() -> StringViewArray {
    StringViewArray::from(vec!["a text that is too long to be inlined"])
}

fn sparse_union() -> UnionArray {
    let mut builder = builder::UnionBuilder::new_sparse();
    builder.append::<Int32Type>("a", 1).expect("a new field");
    builder.append::<Int32Type>("a", 2).expect("the same type");
    builder.build().expect("a union")
}

#[test]
fn a_broken_array_is_refused_with_the_reason() {
    let lists = struct_of_lists;
    let cases: Vec<(Box<dyn Array>, Break, &str)> = vec![
        (
            Box::new(numbers()),
            Box::new(|a| a.length = -1),
            "negative length or offset",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.offset = -1),
            "negative length or offset",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.null_count = -2),
            "null count out of range",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.null_count = 4),
            "null count out of range",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.offset = i64::MAX),
            "length and offset overflow",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.length = i64::MAX / 8),
            "length and offset overflow",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.n_buffers = 1),
            "1 buffers for format \"i\"",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.n_buffers = 3),
            "3 buffers for format \"i\"",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.n_buffers = -1),
            "-1 buffers for format \"i\"",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.buffers = null_mut()),
            "list of buffers is missing",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.buffers = leaked(vec![null::<c_void>(); 2])),
            "missing or misaligned values for format \"i\"",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.buffers = leaked(vec![null(), 0x1002 as *const c_void])),
            "missing or misaligned values for format \"i\"",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.n_children = 1),
            "other children or dictionary",
        ),
        (
            Box::new(numbers()),
            Box::new(|a| a.dictionary = leaked(vec![0_u8]).cast()),
            "other children or dictionary",
        ),
        (
            Box::new(dictionary()),
            Box::new(|a| a.dictionary = null_mut()),
            "other children or dictionary",
        ),
        (
            Box::new(dictionary()),
            // SAFETY: a dictionary-encoded array has one.
            Box::new(|a| unsafe { (*a.dictionary).length = -1 }),
            "negative length or offset",
        ),
        (
            Box::new(lists()),
            Box::new(|a| a.n_children = 1),
            "other children or dictionary",
        ),
        (
            Box::new(lists()),
            Box::new(|a| a.n_children = -1),
            "other children or dictionary",
        ),
        (
            Box::new(lists()),
            Box::new(|a| a.children = null_mut()),
            "list of children is missing",
        ),
        (
            Box::new(lists()),
            Box::new(|a| a.children = leaked(vec![null_mut(); 2])),
            "a child is missing",
        ),
        (
            Box::new(lists()),
            Box::new(|a| child(a, 1).length = -1),
            "negative length or offset",
        ),
        (
            Box::new(lists()),
            Box::new(|a| child(child(a, 0), 0).n_buffers = 2),
            "2 buffers for format \"u\"",
        ),
        (
            Box::new(lists()),
            Box::new(|a| child(a, 1).length = 2),
            "child 1 has 2 values, too few for the 3 that its parent needs",
        ),
        (
            Box::new(lists()),
            Box::new(|a| a.offset = 1),
            "child 0 has 3 values, too few for the 4 that its parent needs",
        ),
        (
            Box::new(fixed_size_list()),
            Box::new(|a| child(a, 0).length = 3),
            "child 0 has 3 values, too few for the 4 that its parent needs",
        ),
        (
            Box::new(sparse_union()),
            Box::new(|a| child(a, 0).length = 1),
            "child 0 has 1 values, too few for the 2 that its parent needs",
        ),
        (
            Box::new(runs()),
            Box::new(|a| child(a, 1).length = 1),
            "child 1 has 1 values, too few for the 2 that its parent needs",
        ),
        (
            Box::new(runs()),
            Box::new(|a| child(a, 0).length = 0),
            "values without a run",
        ),
        (
            Box::new(views()),
            Box::new(|a| a.n_buffers = 2),
            "2 buffers for format \"vu\"",
        ),
        (
            Box::new(views()),
            // SAFETY: the buffers of an array of views with one data buffer.
            Box::new(|a| unsafe {
                a.buffers = leaked(vec![null(), *a.buffers.add(1), *a.buffers.add(2), null()])
            }),
            "missing or misaligned lengths",
        ),
        (
            Box::new(views()),
            // SAFETY: as above.
            Box::new(|a| unsafe {
                a.buffers = leaked(vec![null(), *a.buffers.add(1), null(), *a.buffers.add(3)])
            }),
            "data buffer 0 is missing",
        ),
    ];
    for (array, break_it, expected) in cases {
        let error = refused(array.as_ref(), break_it);
        assert_eq!(
            error
                .strip_prefix("invalid Arrow data: ")
                .map(|text| text.contains(expected)),
            Some(true),
            "{error}, not {expected}"
        );
    }
}

#[test]
fn an_array_of_another_type_is_refused() {
    let (data, schema) = exported(&numbers());
    drop(interned(schema));
    let (data, released) = tracked(data);
    let texts = type_of(&StringArray::from(vec!["x"]));
    let error = from_array(&texts, data).expect_err("numbers are no texts");
    assert!(
        error.to_string().contains("2 buffers for format \"u\""),
        "{error}"
    );
    assert_eq!(released.count(), 1);
}

#[test]
fn a_released_array_is_refused_and_not_released_again() {
    let (data, schema) = exported(&numbers());
    let (mut data, released) = tracked(data);
    let release = data.release.expect("an array");
    // SAFETY: the array's own function, called once.
    unsafe { release(&raw mut data) };
    let error = from_array(&interned(schema), data).expect_err("nothing is left");
    assert!(
        error.to_string().contains("moved away or released"),
        "{error}"
    );
    assert_eq!(released.count(), 1);
}

#[test]
fn a_released_child_is_refused() {
    let error = refused(
        &struct_of_lists(),
        Box::new(|array| {
            let child = child(array, 1);
            let release = child.release.expect("a child");
            // SAFETY: the child's own function, called once.
            unsafe { release(child) };
        }),
    );
    assert!(error.contains("moved away or released"), "{error}");
}

#[test]
fn offsets_and_lengths_as_other_producers_write_them_are_taken() {
    // A struct whose offset is in the parent and whose children are whole.
    let (data, schema) = exported(&struct_of_lists());
    let (mut data, released) = tracked(data);
    (data.offset, data.length, data.null_count) = (1, 2, -1);
    let message = from_array(&interned(schema), data).expect("a message");
    let seen = message.array().expect("a struct");
    assert_eq!(seen.to_data(), struct_of_lists().slice(1, 2).to_data());
    drop((seen, message));
    assert_eq!(released.count(), 1);

    // Nulls that nobody has counted.
    for (values, valid) in [(vec![Some(1), Some(2)], true), (vec![Some(1), None], false)] {
        let bitmap = arrow_buffer::NullBuffer::from_iter(values.iter().map(Option::is_some));
        let numbers = ScalarBuffer::from_iter(values.iter().map(|value| value.unwrap_or_default()));
        let (data, schema) = exported(&Int32Array::new(numbers, Some(bitmap)));
        let (mut data, _) = tracked(data);
        data.null_count = -1;
        let message = from_array(&interned(schema), data).expect("a message");
        assert_eq!(message.values::<i32>().is_ok(), valid);
        assert_eq!(
            message.array().expect("numbers").as_ref(),
            &Int32Array::from(values) as &dyn Array
        );
    }
}

#[test]
fn an_empty_array_may_leave_its_buffers_out() {
    let (data, schema) = exported(&Int32Array::from(Vec::<i32>::new()));
    let (mut data, _) = tracked(data);
    data.buffers = leaked(vec![null::<c_void>(); 2]);
    let message = from_array(&interned(schema), data).expect("a message");
    assert_eq!(message.values::<i32>(), Ok(&[][..]));
    assert!(message.array().expect("no numbers").is_empty());
}

#[test]
fn a_list_of_structs_passes() {
    let items: ArrayRef = Arc::new(struct_of_lists());
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let list = ListArray::new(
        field,
        arrow_buffer::OffsetBuffer::from_lengths([1, 2]),
        items,
        None,
    );
    assert!(matches!(list.data_type(), DataType::List(_)));
    let (message, _) = message(&list);
    assert_eq!(message.array().expect("a list").to_data(), list.to_data());
}
