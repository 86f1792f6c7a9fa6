//! Every kind of array there and back, what is shared, and bytes that are no message.

use super::*;
use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder, UnionBuilder};
use arrow_array::types::{Float64Type, Int8Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};
use std::collections::HashMap;
use std::sync::Arc;

fn texts() -> StringArray {
    StringArray::from(vec![Some("a"), None, Some(""), Some("größer"), Some("e")])
}

fn lists() -> ListArray {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("one"), None, Some("drei")]);
    builder.append_null();
    builder.append_value([Some("ü")]);
    builder.finish()
}

fn dictionary() -> DictionaryArray<Int8Type> {
    let words = ["red", "green", "red", "blue"].into_iter().map(Some);
    words.chain([None]).collect()
}

fn structs() -> StructArray {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists()),
        Arc::new(dictionary().slice(2, 3)),
        Arc::new(UInt64Array::from(vec![Some(1), None, Some(3)])),
    ];
    let fields = columns.iter().zip(["texts", "colour", "number"]);
    let fields = fields.map(|(column, name)| Field::new(name, column.data_type().clone(), true));
    StructArray::new(
        Fields::from(fields.collect::<Vec<_>>()),
        columns,
        Some(NullBuffer::from(vec![true, false, true])),
    )
}

fn map() -> MapArray {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    builder.keys().append_value("a");
    builder.values().append_value(1);
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

fn runs() -> RunArray<Int32Type> {
    RunArray::try_new(&Int32Array::from(vec![2, 3, 7]), &texts().slice(0, 3)).expect("runs")
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
fn kinds() -> Vec<ArrayRef> {
    let numbers = Int32Array::from_iter((0..100).map(|i| (i % 5 != 0).then_some(i)));
    let long = "a text that is too long to be inlined";
    let views = StringViewArray::from(vec![Some("short"), Some(long), None, Some("")]);
    let fixed = [
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![None, Some(6)]),
    ];
    vec![
        boxed(UInt8Array::from_iter_values(0..=255)),
        boxed(Int8Array::from(vec![-1])),
        boxed(UInt16Array::from(vec![1, 2, 3])),
        boxed(Int16Array::from(vec![-1; 33])),
        boxed(UInt32Array::from(vec![7; 64])),
        boxed(Int32Array::from_iter_values(0..2_000)),
        boxed(UInt64Array::from(vec![u64::MAX])),
        boxed(Int64Array::from(vec![i64::MIN, 5])),
        boxed(Float32Array::from(vec![0.5; 5_000])),
        boxed(Float64Array::from(vec![1.5, -2.5])),
        boxed(numbers.clone()),
        boxed(numbers.slice(13, 50)),
        boxed(Int32Array::from_iter_values(0..2_000).slice(3, 1_500)),
        boxed(Int64Array::from(Vec::<i64>::new())),
        boxed(UInt8Array::from(Vec::<u8>::new())),
        boxed(UInt16Array::new_null(9)),
        boxed(booleans()),
        boxed(booleans().slice(5, 61)),
        boxed(texts()),
        boxed(texts().slice(2, 3)),
        boxed(texts().slice(0, 0)),
        boxed(LargeStringArray::from(vec![Some("x"), None, Some("yz")])),
        boxed(BinaryArray::from(vec![&b"\0\xff"[..], b"", b"abc"])),
        boxed(LargeBinaryArray::from(vec![&b"\0\xff"[..], b""])),
        boxed(views.clone()),
        boxed(views.slice(1, 3)),
        boxed(BinaryViewArray::from(vec![&[0xFF_u8; 40][..], &[1]])),
        boxed(lists()),
        boxed(lists().slice(1, 2)),
        boxed(lists().slice(0, 0)),
        boxed(list_view()),
        boxed(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
            fixed, 2,
        )),
        boxed(structs()),
        boxed(structs().slice(1, 2)),
        boxed(StructArray::new_empty_fields(3, None)),
        boxed(dictionary()),
        boxed(dictionary().slice(2, 3)),
        boxed(map()),
        boxed(union(UnionBuilder::new_dense())),
        boxed(union(UnionBuilder::new_sparse())),
        boxed(runs()),
        boxed(runs().slice(1, 5)),
        boxed(NullArray::new(4)),
        boxed(Decimal128Array::from(vec![Some(12_345), None])),
        boxed(TimestampNanosecondArray::from(vec![1, 2]).with_timezone("Europe/Berlin")),
        boxed(Date32Array::from(vec![Some(19_000), None])),
        boxed(DurationMillisecondArray::from(vec![-1, 1])),
        boxed(IntervalMonthDayNanoArray::from(vec![
            None,
            Some(Default::default()),
        ])),
        boxed(
            FixedSizeBinaryArray::try_from_iter([[1_u8, 2, 3], [4, 5, 6]].into_iter())
                .expect("equal lengths"),
        ),
    ]
}

fn stamp() -> Timestamp {
    Timestamp {
        time: 0x1234_5678_9ABC_DEF0,
        clock: [7; 16],
    }
}

fn message(array: &dyn Array) -> Message {
    let field = Field::new("", array.data_type().clone(), true);
    let parameters = Parameters::new().with("count", 3).with("name", "ä");
    Message::from_arrow(stamp(), &field, array, &parameters.encode()).expect("a message")
}

/// Bytes that start so many after a multiple of 64.
fn shifted(bytes: &[u8], by: usize) -> Bytes {
    let mut buffer = arrow_buffer::MutableBuffer::with_capacity(bytes.len() + 64);
    buffer.extend_from_slice(&[0_u8; 64][..by]);
    buffer.extend_from_slice(bytes);
    Bytes::from_owner(arrow_buffer::Buffer::from(buffer)).slice(by..)
}

#[test]
fn every_array_comes_back_wherever_its_bytes_lie() {
    for array in kinds() {
        let sent = message(&array);
        let encoded = encode(&sent).expect("bytes");
        let bytes = encoded.to_vec();
        assert_eq!(bytes.len(), encoded.len());
        for by in [0, 1, 8, 20] {
            let got = decode(shifted(&bytes, by), encoded.meta(), Origin::Own).expect("a message");
            let kind = array.data_type();
            let data = got.array().expect("an array").to_data();
            assert_eq!(data, array.to_data(), "{kind}");
            data.validate_full().expect("valid");
            assert_eq!(got.field(), sent.field(), "{kind}");
            assert_eq!(got.timestamp(), stamp());
            assert_eq!(got.parameters(), sent.parameters());
        }
    }
}

#[test]
fn numbers_take_the_fast_way_and_are_what_the_writer_writes() {
    assert_eq!(template::count(), (10, 10));
    for array in kinds() {
        if !array.data_type().is_numeric() || array.null_count() > 0 || array.is_empty() {
            continue;
        }
        let sent = message(&array);
        let Some(parts) = template::encode(&sent) else {
            assert!(matches!(array.data_type(), DataType::Decimal128(..)));
            continue;
        };
        let bytes = Bytes::from(parts.concat());
        assert_eq!(bytes, stream::encode(&sent).expect("bytes").concat());
        assert!(template::decode(&bytes).is_some());
        assert!(template::decode(&bytes.slice(..bytes.len() - 1)).is_none());
    }
}

#[test]
fn large_values_are_copied_in_neither_direction() {
    let large = if cfg!(miri) { 1 << 16 } else { 1 << 20 };
    let values = UInt8Array::from_iter_values((0..large).map(|i| i as u8));
    let texts = StringArray::from(vec!["x".repeat(large)]);
    for (array, buffer) in [(boxed(values), 0), (boxed(texts), 1)] {
        let address = array.to_data().buffers()[buffer].as_ptr();
        let sent = message(&array);
        let encoded = encode(&sent).expect("bytes");
        assert!(encoded.parts().iter().any(|part| part.as_ptr() == address));
        let arrived = shifted(&encoded.to_vec(), 0);
        let inside = arrived.as_ptr_range();
        let got = decode(arrived.clone(), encoded.meta(), Origin::Own).expect("a message");
        let data = got.array().expect("an array").to_data();
        assert!(inside.contains(&data.buffers()[buffer].as_ptr()));
        drop((got, data, arrived));
        // The bytes keep the message's memory.
        drop((sent, array));
        assert_eq!(encoded.to_vec().len(), encoded.len());
    }
}

#[test]
fn the_same_type_is_one_type_on_both_sides() {
    let id = |message: &Message| message.field().expect("a type");
    let sent = message(&texts());
    let encoded = encode(&sent).expect("bytes");
    let got = decode(encoded.to_vec().into(), encoded.meta(), Origin::Own).expect("a message");
    assert_eq!(id(&sent), id(&got));
    let named = Field::new("picture", DataType::UInt8, false).with_metadata(HashMap::from([(
        "ARROW:extension:name".into(),
        "jpeg".to_owned(),
    )]));
    let array = UInt8Array::from(vec![1, 2]);
    let sent = Message::from_arrow(stamp(), &named, &array, &[]).expect("a message");
    let encoded = encode(&sent).expect("bytes");
    let got = decode(encoded.to_vec().into(), encoded.meta(), Origin::Own).expect("a message");
    let expected = named.with_name("").with_nullable(true);
    assert_eq!(got.field(), Ok(expected));
    assert_eq!(got.bytes(), Ok(&[1, 2][..]));
}

#[test]
fn bytes_fit_a_room_or_are_not_written() {
    let encoded = encode(&message(&lists())).expect("bytes");
    let mut room = vec![0; encoded.len() + 3];
    assert!(encoded.copy_to(&mut room) && room.starts_with(&encoded.to_vec()));
    assert!(!encoded.copy_to(&mut room[..encoded.len() - 1]));
}

#[test]
fn what_is_no_message_is_refused_with_the_reason() {
    let numbers = encode(&message(&UInt8Array::from(vec![1]))).expect("bytes");
    let lists = encode(&message(&lists())).expect("bytes");
    let (bytes, meta) = (lists.to_vec(), lists.meta().clone());
    let refused = |bytes: &[u8]| {
        let outcome = decode(Bytes::copy_from_slice(bytes), &meta, Origin::Own);
        outcome.expect_err("refused").to_string()
    };
    let early = "no Arrow stream of one message: it ends early";
    assert_eq!(refused(&[]), early);
    assert_eq!(refused(&bytes[..bytes.len() - 1]), early);
    assert_eq!(
        refused(&[&bytes[..], b"x"].concat()),
        "no Arrow stream of one message: bytes follow its end"
    );
    assert_eq!(
        refused(b"hello, world"),
        "no Arrow stream of one message: a message does not start with its mark"
    );
    let without_end = &bytes[..bytes.len() - 8];
    assert_eq!(
        refused(&[without_end, &bytes[..]].concat()),
        "no Arrow stream of one message: not one schema, then dictionaries, then one record batch"
    );
    let whole = || Bytes::from(numbers.to_vec());
    assert_eq!(
        decode(whole(), &[0; 23], Origin::Own).expect_err("short"),
        DecodeError::NoTimestamp
    );
    let mut meta = vec![0; HEADER];
    meta.push(200);
    assert!(matches!(
        decode(whole(), &meta, Origin::Own),
        Err(DecodeError::Meta(_))
    ));
    let long = vec![0; MAX_META + 1];
    assert!(matches!(
        decode(whole(), &long, Origin::Own),
        Err(DecodeError::TooLong {
            what: "metadata",
            ..
        })
    ));
}

/// Numbers that look random and are the same each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
            2 if at + 8 <= bytes.len() => {
                let extreme = [0, 1, -1, i64::MAX, i64::MIN, 1 << 31, 1 << 40][random.below(7)];
                bytes[at..at + 8].copy_from_slice(&extreme.to_le_bytes());
            }
            _ if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => {}
        }
    }
}

#[test]
fn changed_bytes_are_a_valid_message_or_an_error() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut taken, mut refused) = (0, 0);
    // An interpreter takes a thousand times as long.
    let each = if cfg!(miri) { 3 } else { 300 };
    for array in kinds() {
        let encoded = encode(&message(&array)).expect("bytes");
        for _ in 0..each {
            let mut bytes = encoded.to_vec();
            mutate(&mut bytes, &mut random);
            match decode(bytes.into(), encoded.meta(), Origin::Own) {
                Ok(message) => {
                    let data = message.array().expect("an array").to_data();
                    data.validate_full().expect("only valid data pass");
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    let few = 3 * each;
    assert!(taken > few && refused > few, "{taken} {refused}");
}
