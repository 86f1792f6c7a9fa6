//! The helpers of the header read and write what the Rust side does.

use super::{Plugin, input, message, message_at, taken};
use arrow_array::{
    Array, BinaryArray, Float64Array, Int64Array, StringArray, StructArray, UInt8Array, UInt64Array,
};
use plugin_abi::ffi;
use plugin_abi::meta::{Parameters, Timestamp};
use std::sync::{Arc, LazyLock};
use std::time::UNIX_EPOCH;

static PLUGIN: LazyLock<Plugin> = LazyLock::new(|| Plugin::load("tests/c/helpers.c"));

/// What an instance answers to a message, and the arrays that it sent.
fn answer(array: &dyn Array) -> (i32, Vec<Arc<dyn Array>>) {
    let table = PLUGIN.table();
    let mut back = PLUGIN
        .create(&table, "back", &["a", "b"], "null")
        .expect("an instance");
    let status = back.on_event(input(&message(array, &Parameters::new())));
    let sent = taken(&table.callbacks().sent);
    let arrays = sent
        .iter()
        .map(|(_, message)| message.array().expect("a leaf"));
    (status, arrays.collect())
}

#[test]
fn plain_data_come_back_as_they_went() {
    let bytes = UInt8Array::from_iter_values(0..=255);
    let texts = StringArray::from(vec!["a", "größer", ""]);
    let numbers = UInt64Array::from(vec![7, u64::MAX]);
    let arrays: [&dyn Array; 7] = [
        &bytes,
        &bytes.slice(17, 100),
        &bytes.slice(0, 0),
        &texts.slice(1, 1),
        &texts.slice(2, 1),
        &numbers.slice(1, 1),
        &UInt64Array::from(vec![Some(1), None]).slice(0, 1),
    ];
    for array in arrays {
        let (status, sent) = answer(array);
        assert_eq!(status, ffi::OK, "{array:?}");
        assert!(!sent.is_empty());
        for back in sent {
            assert_eq!(back.to_data(), array.to_data());
        }
    }
}

#[test]
fn other_data_are_told_apart() {
    let column: Arc<dyn Array> = Arc::new(UInt8Array::from(vec![1]));
    let nested = StructArray::try_from(vec![("x", column)]).expect("a struct");
    let cases: [(&dyn Array, i32); 9] = [
        (&Int64Array::from(vec![1]), ffi::ERR_WRONG_TYPE),
        (&Float64Array::from(vec![1.0]), ffi::ERR_WRONG_TYPE),
        (&BinaryArray::from(vec![&b"x"[..]]), ffi::ERR_WRONG_TYPE),
        (&nested, ffi::ERR_WRONG_TYPE),
        (&UInt64Array::from(vec![1, 2]), ffi::ERR_INVALID_DATA),
        (&UInt64Array::from(vec![None]), ffi::ERR_INVALID_DATA),
        (&StringArray::from(vec!["a", "b"]), ffi::ERR_INVALID_DATA),
        (
            &StringArray::from(vec![None::<&str>]),
            ffi::ERR_INVALID_DATA,
        ),
        (
            &UInt8Array::from(vec![Some(1), None]),
            ffi::ERR_INVALID_DATA,
        ),
    ];
    for (array, expected) in cases {
        let (status, sent) = answer(array);
        assert_eq!(status, expected, "{array:?}");
        assert!(sent.is_empty());
    }
}

#[test]
fn a_timestamp_is_the_same_on_both_sides() {
    let table = PLUGIN.table();
    let mut back = PLUGIN
        .create(&table, "back", &["a", "b"], "null")
        .expect("an instance");
    for time in [
        0,
        1 << 32,
        (1_700_000_000 << 32) | 0x8000_0001,
        u64::MAX >> 1,
    ] {
        let stamp = Timestamp {
            time,
            clock: [0; 16],
        };
        let message = message_at(&UInt64Array::from(vec![1]), &Parameters::new(), stamp);
        assert_eq!(back.on_event(input(&message)), ffi::OK);
        let since = stamp.system_time().duration_since(UNIX_EPOCH);
        let nanos = since.expect("after the epoch").as_nanos();
        let lines = taken(&table.callbacks().lines);
        // The last one: the host has said that it does not know the type `no format`.
        assert_eq!(
            lines.last().map(|line| line.1.clone()),
            Some(nanos.to_string())
        );
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_between_characters() {
    for (text, expected) in [
        ("x".repeat(2000), "x".repeat(1023)),
        ("ä".repeat(600), "ä".repeat(511)),
        (
            format!("x{}", "ä".repeat(600)),
            format!("x{}", "ä".repeat(511)),
        ),
        (
            format!("xx{}", "€".repeat(600)),
            format!("xx{}", "€".repeat(340)),
        ),
    ] {
        let table = PLUGIN.table();
        let created = PLUGIN.create(&table, "long", &[], &text);
        assert_eq!(created.err(), Some(ffi::ERR_FAILED));
        assert_eq!(taken(&table.callbacks().failures)[0].text, expected);
    }
}
