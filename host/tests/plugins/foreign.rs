//! A plugin with another version of arrow than the host: arrays go both ways through the Arrow C Data Interface.

use crate::harness::{Bench, Running, kind_info, message};
use arrow_array::builder::{
    FixedSizeListBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray,
    NullArray, RunArray, StringArray, StringViewArray, StructArray, TimestampNanosecondArray,
    UInt8Array, UnionArray,
};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, UnionFields};
use host::plugin::Plugin;
use host_testing::fixtures;
use plugin_abi::ffi;
use plugin_abi::meta::Parameters;
use plugin_abi::testing;
use std::sync::{Arc, OnceLock};

fn other() -> &'static Arc<Plugin> {
    static OTHER: OnceLock<Arc<Plugin>> = OnceLock::new();
    OTHER.get_or_init(|| Bench::new().load(&fixtures::path("other-arrow")))
}

fn records() -> StructArray {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
    ]);
    let names: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")]
        .into_iter()
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists),
        Arc::new(names),
        Arc::new(Float64Array::from(vec![
            Some(0.5),
            None,
            Some(2.5),
            Some(3.5),
        ])),
    ];
    let fields: Vec<Field> = ["lists", "names", "reals"]
        .into_iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    StructArray::new(fields.into(), columns, Some(nulls))
}

fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for (key, value) in [("a", 1), ("b", 2)] {
        map.keys().append_value(key);
        map.values().append_value(value);
        map.append(true).expect("a key for each value");
    }
    map.append(false).expect("no key");
    Arc::new(map.finish())
}

fn union() -> ArrayRef {
    let fields = UnionFields::try_new(
        [0, 1],
        [
            Field::new("whole", DataType::Int32, false),
            Field::new("text", DataType::Utf8, false),
        ],
    );
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 2])),
        Arc::new(StringArray::from(vec!["a"])),
    ];
    let ids = ScalarBuffer::from(vec![0_i8, 1, 0]);
    let offsets = ScalarBuffer::from(vec![0_i32, 0, 1]);
    let fields = fields.expect("two fields");
    Arc::new(UnionArray::try_new(fields, ids, Some(offsets), children).expect("a union"))
}

/// Arrays of every family, each with at least two values.
fn arrays() -> Vec<ArrayRef> {
    let mut deep = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    deep.values().append_value([Some(1), None]);
    deep.values().append_null();
    deep.append(true);
    deep.append(false);
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    for value in 0..6 {
        fixed.values().append_value(value);
    }
    (0..3).for_each(|_| fixed.append(true));
    let run_ends = Int32Array::from(vec![2, 3]);
    let runs = RunArray::<Int32Type>::try_new(&run_ends, &StringArray::from(vec!["a", "b"]));
    let dictionary: DictionaryArray<Int32Type> = ["x", "y", "x"].into_iter().collect();
    let long = "longer than what a view holds by itself";
    vec![
        Arc::new(UInt8Array::from(vec![1, 2, 3])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]).slice(1, 2)),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(StringArray::from(vec![Some("ä"), None, Some("")])),
        Arc::new(LargeStringArray::from(vec!["a", "b"])),
        Arc::new(StringViewArray::from(vec![Some("short"), None, Some(long)])),
        Arc::new(BinaryArray::from(vec![b"ab".as_slice(), b""])),
        Arc::new(
            FixedSizeBinaryArray::try_from_iter([b"abc", b"def"].iter()).expect("equal sizes"),
        ),
        Arc::new(Date32Array::from(vec![1, 2])),
        Arc::new(TimestampNanosecondArray::from(vec![1, 2]).with_timezone("UTC")),
        Arc::new(Decimal128Array::from(vec![10, -20])),
        Arc::new(NullArray::new(3)),
        Arc::new(dictionary.slice(1, 2)),
        Arc::new(dictionary),
        Arc::new(deep.finish()),
        Arc::new(fixed.finish()),
        Arc::new(records()),
        Arc::new(records().slice(1, 3)),
        map(),
        union(),
        Arc::new(runs.expect("runs")),
    ]
}

#[test]
fn arrays_go_through_another_arrow_and_come_back() {
    let mut passes = Running::start(other(), "passes", "{}");
    for array in arrays() {
        let sent = message(&array);
        assert_eq!(
            passes.give("in", &sent),
            ffi::OK,
            "{array:?} {:?}",
            passes.recorder.seen().failures
        );
        let back = passes.one("out");
        assert_eq!(&back.array().expect("an array"), &array);
        assert_eq!(back.data_type(), sent.data_type());
        passes.one("type");
        // Two readers of one message, and a reader of what came back, take it apart in any order.
        let (first, second) = (
            sent.array().expect("an array"),
            back.array().expect("an array"),
        );
        drop((sent, back));
        assert_eq!(first.to_data(), second.to_data());
    }
}

#[test]
fn buffers_are_shared_across_the_versions() {
    let mut passes = Running::start(other(), "passes", "{}");
    let parameters = Parameters::new().with("a", 1_i64);
    let sent = testing::message(vec![3_u8; 1 << 20], &parameters);
    assert_eq!(passes.give("in", &sent), ffi::OK);
    let back = passes.one("out");
    assert_eq!(
        back.bytes().map(<[u8]>::as_ptr),
        sent.bytes().map(<[u8]>::as_ptr)
    );
    assert_eq!(
        (back.parameters(), passes.text("type")),
        (Ok(parameters), "UInt8".into())
    );
    assert_eq!(sent.references(), Some(2));
    drop(back);
    assert_eq!(sent.references(), Some(1), "the other arrow has let go");
}

#[test]
fn arrays_that_another_arrow_made_are_read() {
    let mut copies = Running::start(other(), "copies", "{}");
    for array in arrays() {
        assert_eq!(
            copies.input("in", &array),
            ffi::OK,
            "{array:?} {:?}",
            copies.recorder.seen().failures
        );
        let back = copies.one("out");
        let expected = array.slice(1, array.len() - 1);
        assert_eq!(&back.array().expect("an array"), &expected);
    }
}

#[test]
fn arrays_keep_to_the_types_that_the_plugin_declares() {
    let mut makes = Running::start(other(), "makes", "{}");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None, Some(3)]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
    ]);
    let dictionary: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")]
        .into_iter()
        .collect();
    let reals: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(2.5)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["ä", "", "c"]));
    let fields = vec![
        Field::new("reals", DataType::Float64, true),
        Field::new("texts", DataType::Utf8, true),
    ];
    let nulls = NullBuffer::from(vec![true, true, false]);
    let records = StructArray::new(fields.into(), vec![reals, texts], Some(nulls));
    let expected: [(&str, ArrayRef); 3] = [
        ("list", Arc::new(list)),
        ("dictionary", Arc::new(dictionary)),
        ("struct", Arc::new(records)),
    ];
    for (output, expected) in expected {
        assert_eq!(
            makes.input("make", output),
            ffi::OK,
            "{:?}",
            makes.recorder.seen().failures
        );
        let made = makes.one(output);
        assert_eq!(&made.array().expect("an array"), &expected);
        let declared = kind_info(other(), "makes")
            .output(output)
            .and_then(|port| port.data_type.clone());
        assert_eq!(Some(made.data_type()), declared);
    }
}
