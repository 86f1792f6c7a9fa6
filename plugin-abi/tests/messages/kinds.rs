//! The kinds of array, and that three readers of one message see each as it was sent.

use super::{ORDERS, message};
use arrow_array::builder::{
    BinaryViewBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder, StringViewBuilder,
    UnionBuilder,
};
use arrow_array::types::{Float64Type, Int8Type, Int32Type, Int64Type};
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields};
use std::sync::Arc;

fn list_of_numbers() -> ListArray {
    let rows = [
        Some(vec![Some(1), None, Some(3)]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
    ];
    ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
}

fn list_of_texts() -> ListArray {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("one"), None, Some("drei")]);
    builder.append_null();
    builder.append_value([Some("ü")]);
    builder.finish()
}

pub fn struct_of_lists() -> StructArray {
    let fields = Fields::from(vec![
        Field::new("texts", list_of_texts().data_type().clone(), true),
        Field::new("number", DataType::UInt64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(list_of_texts()),
        Arc::new(UInt64Array::from(vec![Some(1), None, Some(3)])),
    ];
    StructArray::new(
        fields,
        columns,
        Some(NullBuffer::from(vec![true, false, true])),
    )
}

pub fn dictionary() -> DictionaryArray<Int8Type> {
    ["red", "green", "red", "blue"]
        .into_iter()
        .map(Some)
        .chain([None])
        .collect()
}

fn struct_with_dictionary() -> StructArray {
    let column: ArrayRef = Arc::new(dictionary());
    let field = Field::new("colour", column.data_type().clone(), true);
    StructArray::new(Fields::from(vec![field]), vec![column], None)
}

fn list_view() -> ListViewArray {
    ListViewArray::new(
        Arc::new(Field::new_list_field(DataType::Int64, true)),
        ScalarBuffer::from(vec![2, 0, 1]),
        ScalarBuffer::from(vec![2, 1, 0]),
        Arc::new(Int64Array::from(vec![10, 20, 30, 40])),
        None,
    )
}

fn fixed_size_list() -> FixedSizeListArray {
    let rows = [
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![None, Some(6)]),
    ];
    FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(rows, 2)
}

fn map() -> MapArray {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    builder.keys().append_value("a");
    builder.values().append_value(1);
    builder.keys().append_value("b");
    builder.values().append_null();
    builder.append(true).expect("as many keys as values");
    builder.append(false).expect("as many keys as values");
    builder.finish()
}

fn union(mut builder: UnionBuilder) -> UnionArray {
    builder.append::<Int32Type>("a", 1).expect("a new field");
    builder
        .append::<Float64Type>("b", 2.5)
        .expect("a new field");
    builder.append::<Int32Type>("a", 3).expect("the same type");
    builder.build().expect("a union")
}

fn run_ends() -> RunArray<Int32Type> {
    let values = StringArray::from(vec![Some("x"), None, Some("z")]);
    RunArray::try_new(&Int32Array::from(vec![2, 3, 7]), &values).expect("runs that rise")
}

fn views() -> StringViewArray {
    let mut builder = StringViewBuilder::new().with_fixed_block_size(32);
    for text in [
        "short",
        "a text that is too long to be inlined",
        "",
        "another text beyond twelve bytes",
    ] {
        builder.append_value(text);
    }
    builder.append_null();
    builder.finish()
}

fn binary_views() -> BinaryViewArray {
    let mut builder = BinaryViewBuilder::new();
    builder.append_value([0xFF; 40]);
    builder.append_value([1]);
    builder.finish()
}

fn booleans() -> BooleanArray {
    BooleanArray::new(
        BooleanBuffer::from_iter((0..100).map(|i| i % 3 == 0)),
        Some(NullBuffer::from_iter((0..100).map(|i| i % 7 != 0))),
    )
}

fn boxed(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// One of each, with nulls, offsets and emptiness where a mistake would hide.
pub fn all() -> Vec<(&'static str, ArrayRef)> {
    let numbers = Int32Array::from_iter((0..100).map(|i| (i % 5 != 0).then_some(i)));
    let texts = StringArray::from(vec![Some("a"), None, Some(""), Some("größer"), Some("e")]);
    vec![
        ("bytes", boxed(UInt8Array::from_iter_values(0..=255))),
        ("numbers", boxed(Float64Array::from(vec![1.5, -2.5]))),
        ("one number", boxed(UInt64Array::from(vec![7]))),
        ("numbers with nulls", boxed(numbers.clone())),
        ("sliced numbers", boxed(numbers.slice(13, 50))),
        ("no numbers", boxed(Int64Array::from(Vec::<i64>::new()))),
        ("all null", boxed(UInt16Array::new_null(9))),
        ("bool", boxed(booleans())),
        ("sliced bool", boxed(booleans().slice(5, 61))),
        ("utf8", boxed(texts.clone())),
        ("sliced utf8", boxed(texts.slice(2, 3))),
        ("empty utf8", boxed(texts.slice(0, 0))),
        (
            "large utf8",
            boxed(LargeStringArray::from(vec![Some("x"), None, Some("yz")])),
        ),
        (
            "binary",
            boxed(BinaryArray::from(vec![&b"\0\xff"[..], b"", b"abc"])),
        ),
        (
            "large binary",
            boxed(LargeBinaryArray::from(vec![&b"\0\xff"[..], b""])),
        ),
        ("utf8 view", boxed(views())),
        ("sliced utf8 view", boxed(views().slice(1, 3))),
        ("binary view", boxed(binary_views())),
        ("list", boxed(list_of_numbers())),
        ("sliced list", boxed(list_of_numbers().slice(1, 3))),
        ("empty list", boxed(list_of_numbers().slice(0, 0))),
        (
            "large list",
            boxed(LargeListArray::new(
                Arc::new(Field::new_list_field(DataType::Utf8, true)),
                OffsetBuffer::from_lengths([2, 0, 3]),
                boxed(texts),
                None,
            )),
        ),
        ("list view", boxed(list_view())),
        ("fixed-size list", boxed(fixed_size_list())),
        (
            "sliced fixed-size list",
            boxed(fixed_size_list().slice(1, 2)),
        ),
        ("struct", boxed(struct_of_lists())),
        ("sliced struct", boxed(struct_of_lists().slice(1, 2))),
        (
            "struct without fields",
            boxed(StructArray::new_empty_fields(3, None)),
        ),
        ("dictionary", boxed(dictionary())),
        ("sliced dictionary", boxed(dictionary().slice(2, 3))),
        ("struct with a dictionary", boxed(struct_with_dictionary())),
        ("map", boxed(map())),
        ("dense union", boxed(union(UnionBuilder::new_dense()))),
        ("sparse union", boxed(union(UnionBuilder::new_sparse()))),
        ("run-end encoded", boxed(run_ends())),
        ("sliced run-end encoded", boxed(run_ends().slice(1, 5))),
        ("null", boxed(NullArray::new(4))),
        (
            "decimal",
            boxed(
                Decimal128Array::from(vec![Some(12345), None])
                    .with_precision_and_scale(10, 2)
                    .expect("fits"),
            ),
        ),
        (
            "decimal 256",
            boxed(Decimal256Array::from(vec![i256::from_i128(-7)])),
        ),
        (
            "timestamp with a zone",
            boxed(TimestampNanosecondArray::from(vec![1, 2]).with_timezone("Europe/Berlin")),
        ),
        ("date", boxed(Date32Array::from(vec![Some(19_000), None]))),
        ("time", boxed(Time64MicrosecondArray::from(vec![1]))),
        (
            "duration",
            boxed(DurationMillisecondArray::from(vec![-1, 1])),
        ),
        (
            "interval",
            boxed(IntervalMonthDayNanoArray::from(vec![
                None,
                Some(Default::default()),
            ])),
        ),
        (
            "fixed-size binary",
            boxed(
                FixedSizeBinaryArray::try_from_iter([[1_u8, 2, 3], [4, 5, 6]].into_iter())
                    .expect("equal lengths"),
            ),
        ),
        (
            "dictionary of numbers",
            boxed({
                let keys = Int64Array::from(vec![1, 0, 1]);
                DictionaryArray::<Int64Type>::new(keys, boxed(Float32Array::from(vec![0.5, 1.5])))
            }),
        ),
    ]
}

/// Where the values lie: every buffer with bytes in it, validity apart (the export may copy that).
fn addresses(data: &ArrayData) -> Vec<*const u8> {
    if data.is_empty() {
        return Vec::new();
    }
    let own = data.buffers().iter().filter(|buffer| !buffer.is_empty());
    own.map(|buffer| buffer.as_ptr())
        .chain(data.child_data().iter().flat_map(addresses))
        .collect()
}

#[test]
fn three_readers_see_what_was_sent_and_nothing_is_copied() {
    for (name, array) in all() {
        let sent = array.to_data();
        for order in ORDERS {
            let (message, released) = message(&array);
            assert_eq!(message.len(), array.len(), "{name}");
            let mut readers: Vec<_> = (0..3).map(|_| Some(message.array().expect(name))).collect();
            drop(message);
            for reader in order {
                let seen = readers[reader].take().expect("once").to_data();
                assert_eq!(seen, sent, "{name}");
                assert_eq!(addresses(&seen), addresses(&sent), "{name}");
            }
            assert_eq!(released.count(), 1, "{name}");
        }
    }
}

#[test]
fn the_references_of_all_readers_are_given_back() {
    for (name, array) in all() {
        let (message, released) = message(&array);
        assert_eq!(message.references(), Some(1), "{name}");
        let readers: Vec<_> = (0..3).map(|_| message.array().expect(name)).collect();
        // An array without a buffer has nothing to hold on to.
        let held = 1 + readers.len();
        assert!(
            message.references() == Some(held) || addresses(&array.to_data()).is_empty(),
            "{name}: {:?}",
            message.references()
        );
        drop(readers);
        assert_eq!(
            (message.references(), released.count()),
            (Some(1), 0),
            "{name}"
        );
        drop(message);
        assert_eq!(released.count(), 1, "{name}");
    }
}

#[test]
fn readers_on_threads_let_go_when_they_like() {
    for (name, array) in all() {
        let sent = array.to_data();
        let (message, released) = message(&array);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (message, sent) = (message.clone(), &sent);
                scope.spawn(move || {
                    let first = message.array().expect(name);
                    let second = message.clone().array().expect(name);
                    drop(message);
                    assert_eq!(&first.to_data(), sent, "{name}");
                    drop(first);
                    assert_eq!(&second.to_data(), sent, "{name}");
                });
            }
        });
        assert_eq!(
            (message.references(), released.count()),
            (Some(1), 0),
            "{name}"
        );
        drop(message);
        assert_eq!(released.count(), 1, "{name}");
    }
}

#[test]
fn what_the_last_of_many_threads_lets_go_is_released_once() {
    let (message, released) = message(&struct_of_lists());
    let sent = struct_of_lists().to_data();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (message, sent) = (message.clone(), &sent);
            scope.spawn(move || {
                for _ in 0..50 {
                    let copy = message.clone();
                    assert_eq!(&copy.array().expect("a struct").to_data(), sent);
                }
            });
        }
        drop(message);
    });
    assert_eq!(released.count(), 1);
}
