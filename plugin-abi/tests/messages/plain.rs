//! Bytes, texts and numbers: copied in or filled in place, read without the arrow crates.

use super::message;
use arrow_array::{
    Array, BooleanArray, Float32Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    UInt64Array, cast::AsArray, types::UInt64Type,
};
use plugin_abi::ffi::{Leaf, Str};
use plugin_abi::message::{DataError, MakeError, Memory, Message, Schema};
use plugin_abi::meta::{Parameters, Timestamp};
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn leaf_type(format: &'static CStr) -> Schema {
    Schema::leaf(format).expect("a type of Arrow's")
}

/// A message of copied buffers; `None` is an absent one.
pub fn copied(
    schema: &Schema,
    length: i64,
    null_count: i64,
    buffers: &[Option<&[u8]>],
) -> Result<Message, MakeError> {
    let buffers: Vec<Str> = buffers
        .iter()
        .map(|buffer| Str {
            ptr: buffer.map_or(std::ptr::null(), <[u8]>::as_ptr),
            len: buffer.map_or(0, <[u8]>::len),
        })
        .collect();
    let leaf = Leaf {
        length,
        null_count,
        buffers: buffers.as_ptr(),
        n_buffers: buffers.len(),
    };
    // SAFETY: slices are valid for their lengths.
    unsafe { Message::copy(Timestamp::default(), schema, &leaf, &[]) }
}

fn little(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect()
}

#[test]
fn copied_bytes_are_the_messages_own() {
    let schema = leaf_type(c"C");
    let large = if cfg!(miri) { 1 << 14 } else { 1 << 20 };
    for length in [0, 1, 15, 16, 17, 4096, large] {
        let mut bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let message = copied(&schema, length, 0, &[None, Some(&bytes)]).expect("bytes");
        let sent = bytes.clone();
        bytes.fill(0);
        assert_eq!(message.bytes().expect("bytes"), sent);
        assert_eq!(message.len(), sent.len());
        assert_eq!(message.data_type(), "UInt8");
        let array = message.array().expect("bytes");
        assert_eq!(
            array
                .as_primitive::<arrow_array::types::UInt8Type>()
                .values(),
            &sent[..]
        );
        drop(message);
        assert_eq!(array.len(), sent.len());
    }
}

#[test]
fn copied_numbers_lie_aligned_wherever_they_came_from() {
    let mut bytes = vec![0];
    bytes.extend(little(&[1, u64::MAX, 3]));
    let message = copied(&leaf_type(c"L"), 3, 0, &[None, Some(&bytes[1..])]).expect("numbers");
    assert_eq!(message.values::<u64>().expect("numbers"), [1, u64::MAX, 3]);
    assert_eq!(
        message
            .array()
            .expect("numbers")
            .as_primitive::<UInt64Type>()
            .values(),
        &[1, u64::MAX, 3]
    );
}

#[test]
fn copied_leaves_of_every_shape_are_arrays() {
    let numbers = little(&[1, 2, 3]);
    let message =
        copied(&leaf_type(c"L"), 3, 1, &[Some(&[0b101]), Some(&numbers)]).expect("numbers");
    let expected = UInt64Array::from(vec![Some(1), None, Some(3)]);
    assert_eq!(
        message.array().expect("numbers").as_ref(),
        &expected as &dyn Array
    );

    let message = copied(&leaf_type(c"b"), 3, 1, &[Some(&[0b110]), Some(&[0b010])]).expect("bools");
    let expected = BooleanArray::from(vec![None, Some(true), Some(false)]);
    assert_eq!(
        message.array().expect("bools").as_ref(),
        &expected as &dyn Array
    );

    let offsets: Vec<u8> = [0_i32, 2, 2, 5]
        .into_iter()
        .flat_map(i32::to_ne_bytes)
        .collect();
    let buffers = [Some(&[0b101][..]), Some(&offsets), Some(&b"abcde"[..])];
    let message = copied(&leaf_type(c"u"), 3, 1, &buffers).expect("texts");
    let expected = StringArray::from(vec![Some("ab"), None, Some("cde")]);
    assert_eq!(
        message.array().expect("texts").as_ref(),
        &expected as &dyn Array
    );

    let message = copied(&leaf_type(c"n"), 4, 0, &[]).expect("nulls");
    assert_eq!(message.array().expect("nulls").len(), 4);
}

/// Format, length, number of nulls, buffers, and what the refusal says.
type Case<'a> = (&'static CStr, i64, i64, &'a [Option<&'a [u8]>], &'a str);

#[test]
fn a_copy_that_does_not_fit_its_type_is_refused() {
    let eight = [0; 8];
    let falling: Vec<u8> = [0_i32, 3, 1]
        .into_iter()
        .flat_map(i32::to_ne_bytes)
        .collect();
    let cases: [Case<'_>; 14] = [
        (c"L", -1, 0, &[None, Some(&eight)], "negative length"),
        (
            c"L",
            1,
            -2,
            &[None, Some(&eight)],
            "null count out of range",
        ),
        (
            c"L",
            1,
            2,
            &[Some(&[0]), Some(&eight)],
            "null count out of range",
        ),
        (
            c"L",
            1,
            1,
            &[None, Some(&eight)],
            "without a validity bitmap",
        ),
        (c"L", 1, 0, &[Some(&eight)], "1 buffers for format \"L\""),
        (c"L", 1, 0, &[], "0 buffers for format \"L\""),
        (
            c"L",
            2,
            0,
            &[None, Some(&eight)],
            "buffer 1 has 8 bytes, too few for 2 values",
        ),
        (c"L", i64::MAX, 0, &[None, Some(&eight)], "too few"),
        (c"L", 1, 0, &[None, None], "buffer 1 has 0 bytes"),
        (
            c"C",
            8,
            0,
            &[Some(&[]), Some(&eight)],
            "buffer 0 has 0 bytes",
        ),
        (c"b", 65, 0, &[None, Some(&eight)], "too few for 65 values"),
        (
            c"u",
            2,
            0,
            &[None, Some(&eight), Some(&[])],
            "buffer 1 has 8 bytes",
        ),
        (
            c"u",
            2,
            0,
            &[None, Some(&falling), Some(&eight)],
            "buffer 2",
        ),
        (
            c"vu",
            1,
            0,
            &[None, Some(&eight), Some(&eight)],
            "3 buffers for format \"vu\"",
        ),
    ];
    for (format, length, null_count, buffers, expected) in cases {
        let error = copied(&leaf_type(format), length, null_count, buffers).expect_err(expected);
        assert!(
            error.to_string().contains(expected),
            "{error}, not {expected}"
        );
    }
    let large: [Option<&[u8]>; 3] = [None, Some(&eight), Some(&eight)];
    let error = copied(&leaf_type(c"U"), 0, 0, &large).expect_err("no leaf");
    assert!(error.to_string().contains("send an array"), "{error}");
    let leaf = Leaf {
        length: 1,
        null_count: 0,
        buffers: std::ptr::null(),
        n_buffers: 2,
    };
    // SAFETY: a null list is what is being tested.
    let error = unsafe { Message::copy(Timestamp::default(), &leaf_type(c"C"), &leaf, &[]) };
    assert!(
        error
            .expect_err("no list")
            .to_string()
            .contains("list of buffers is missing")
    );
}

/// Memory that counts its drops.
struct Counted {
    words: Vec<u64>,
    from: usize,
    bytes: usize,
    dropped: Arc<AtomicUsize>,
}

impl Memory for Counted {
    fn as_ptr(&self) -> *const u8 {
        self.words.as_ptr().cast::<u8>().wrapping_add(self.from)
    }

    fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted(words: usize, from: usize) -> (Box<Counted>, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let memory = Counted {
        words: (0..words as u64).collect(),
        from,
        bytes: 8 * words - from,
        dropped: dropped.clone(),
    };
    (Box::new(memory), dropped)
}

#[test]
fn memory_filled_in_place_is_shared_and_given_back_once() {
    let count = if cfg!(miri) { 1 << 10 } else { 5 << 20 };
    let (memory, dropped) = counted(count, 0);
    let length = i64::try_from(count).expect("a length");
    let first = memory.as_ptr();
    let message = Message::in_memory(Timestamp::default(), &leaf_type(c"L"), length, memory, &[])
        .expect("numbers");
    let readers = [message.clone(), message.clone(), message.clone()];
    let arrays = readers
        .each_ref()
        .map(|reader| reader.array().expect("numbers"));
    for (reader, array) in readers.iter().zip(&arrays) {
        let values = reader.values::<u64>().expect("numbers");
        assert_eq!((values.as_ptr().cast(), values.len()), (first, count));
        assert_eq!(
            array.as_primitive::<UInt64Type>().values().as_ptr().cast(),
            first
        );
        assert_eq!(values.last(), Some(&(count as u64 - 1)));
    }
    drop((message, readers));
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(arrays);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn memory_that_does_not_fit_its_type_is_refused_and_given_back() {
    for (format, length, from, expected) in [
        (c"L", 5, 0, "32 bytes for 5 values"),
        (c"L", -1, 0, "-1 values"),
        (c"L", i64::MAX, 0, "values of format \"L\""),
        (c"L", 1, 4, "28 bytes for 1 values"),
        (c"u", 1, 0, "no primitive"),
        (c"b", 1, 0, "no primitive"),
    ] {
        let (memory, dropped) = counted(4, from);
        let error = Message::in_memory(
            Timestamp::default(),
            &leaf_type(format),
            length,
            memory,
            &[],
        );
        let error = error.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn metadata_come_with_the_message() {
    let parameters = Parameters::new()
        .with("encoding", "rgb8")
        .with("width", 640_i64);
    let stamp = Timestamp {
        time: 7 << 32,
        clock: [3; 16],
    };
    let buffers = [
        Str {
            ptr: std::ptr::null(),
            len: 0,
        },
        Str {
            ptr: std::ptr::null(),
            len: 0,
        },
    ];
    let leaf = Leaf {
        length: 0,
        null_count: 0,
        buffers: buffers.as_ptr(),
        n_buffers: 2,
    };
    // SAFETY: absent buffers.
    let message = unsafe { Message::copy(stamp, &leaf_type(c"C"), &leaf, &parameters.encode()) };
    let message = message.expect("nothing");
    assert_eq!(message.timestamp(), stamp);
    assert_eq!(message.parameters(), Ok(parameters));
    assert!(message.is_empty() && message.bytes() == Ok(&[]));
}

fn text_of(text: &[u8]) -> Message {
    let offsets: Vec<u8> = [0_i32, text.len() as i32]
        .into_iter()
        .flat_map(i32::to_ne_bytes)
        .collect();
    copied(&leaf_type(c"u"), 1, 0, &[None, Some(&offsets), Some(text)]).expect("a text")
}

#[test]
fn one_text_is_read_from_either_type_and_wherever_it_lies() {
    assert_eq!(text_of("größer".as_bytes()).text(), Ok("größer"));
    assert_eq!(text_of(b"").text(), Ok(""));
    let (last, _) = message(&StringArray::from(vec!["a", "bcd", "ef"]).slice(2, 1));
    assert_eq!(last.text(), Ok("ef"));
    let (large, _) = message(&LargeStringArray::from(vec!["a", "bcd", "ef"]).slice(1, 1));
    assert_eq!(large.text(), Ok("bcd"));
}

#[test]
fn values_of_a_slice_are_those_of_the_slice() {
    let (slice, _) = message(&Int64Array::from(vec![1, 2, 3, 4, 5]).slice(1, 3));
    assert_eq!(slice.values::<i64>(), Ok(&[2, 3, 4][..]));
    let (valid, _) =
        message(&Float32Array::from(vec![None, Some(1.0), Some(2.0), None]).slice(1, 2));
    assert_eq!(valid.values::<f32>(), Ok(&[1.0, 2.0][..]));
}

#[test]
fn what_a_reader_is_told() {
    let wrong = |expected, actual: &str| DataError::WrongType {
        expected,
        actual: actual.into(),
    };
    let (numbers, _) = message(&UInt64Array::from(vec![1, 2]));
    let (nulls, _) = message(&UInt64Array::from(vec![Some(1), None]));
    let (none, _) = message(&UInt64Array::from(Vec::<u64>::new()));
    let (texts, _) = message(&StringArray::from(vec!["a", "b"]));
    let (no_text, _) = message(&StringArray::from(vec![None::<&str>]));
    let (view, _) = message(&StringViewArray::from(vec!["a"]));
    let (nested, _) = message(&super::kinds::struct_of_lists());
    let (indices, _) = message(&super::kinds::dictionary());

    assert_eq!(numbers.bytes().err(), Some(wrong("UInt8", "UInt64")));
    assert_eq!(
        numbers.values::<i64>().err(),
        Some(wrong("Int64", "UInt64"))
    );
    assert_eq!(numbers.text().err(), Some(wrong("Utf8", "UInt64")));
    assert_eq!(view.text().err(), Some(wrong("Utf8", "Utf8View")));
    assert_eq!(
        indices.values::<i8>().err(),
        Some(wrong("Int8", "Dictionary<Int8, Utf8>"))
    );
    assert_eq!(
        nested.value::<u64>().err(),
        Some(wrong("UInt64", "Struct<texts: List<Utf8>, number: UInt64>"))
    );
    assert_eq!(numbers.value::<u64>(), Err(DataError::NotOne { length: 2 }));
    assert_eq!(none.value::<u64>(), Err(DataError::NotOne { length: 0 }));
    assert_eq!(texts.text(), Err(DataError::NotOne { length: 2 }));
    assert_eq!(nulls.values::<u64>(), Err(DataError::Nulls));
    assert_eq!(no_text.text(), Err(DataError::Nulls));
    assert_eq!(text_of(b"\xff").text(), Err(DataError::NotUtf8));
}

#[test]
fn what_is_wrong_is_said_in_words() {
    for (error, text) in [
        (
            DataError::WrongType {
                expected: "UInt8",
                actual: "Utf8".into(),
            },
            "expected UInt8, got Utf8",
        ),
        (DataError::NotOne { length: 2 }, "expected one value, got 2"),
        (DataError::Nulls, "expected no null values"),
        (DataError::NotUtf8, "the text is not UTF-8"),
        (DataError::Invalid("x".into()), "invalid Arrow data: x"),
    ] {
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(MakeError::NoMemory.to_string(), "no memory for the message");
}
