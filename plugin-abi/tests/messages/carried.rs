//! What those need who carry messages elsewhere: values as they lie in memory, and arrays of the arrow crates.

use super::{kinds, message, type_of};
use arrow_array::{Array, Int32Array, UInt8Array};
use arrow_schema::{DataType, Field};
use plugin_abi::message::{MakeError, Message, Schema};
use plugin_abi::meta::{Parameters, Timestamp};
use std::collections::HashMap;

#[test]
fn values_as_they_lie_come_back() {
    let numbers = Int32Array::from(vec![1, -2, 3, 4]);
    for (array, expected) in [
        (numbers.clone(), vec![1, -2, 3, 4]),
        (numbers.slice(1, 2), vec![-2, 3]),
        (numbers.slice(0, 0), vec![]),
    ] {
        let (sent, _) = message(&array);
        let (format, bytes) = sent.plain().expect("numbers");
        assert_eq!(format, "i");
        let again = Message::from_plain(Timestamp::default(), &type_of(&array), bytes, &[]);
        assert_eq!(again.expect("numbers").values::<i32>(), Ok(&*expected));
    }
    let odd = Message::from_plain(Timestamp::default(), &type_of(&numbers), &[0; 5], &[]);
    assert!(matches!(odd, Err(MakeError::Invalid(_))));
    let text = Schema::leaf(c"u").expect("a type");
    assert!(Message::from_plain(Timestamp::default(), &text, &[], &[]).is_err());
}

#[test]
fn only_plain_values_lie_plainly() {
    for (name, array) in kinds::all() {
        let plain = message(&array).0.plain().is_some();
        let expected = array.data_type().is_primitive()
            && array.null_count() == 0
            && !name.starts_with("decimal");
        assert_eq!(plain, expected, "{name}");
    }
}

#[test]
fn an_array_is_a_message_of_the_same_type_that_shares_its_buffers() {
    let parameters = Parameters::new().with("a", 1);
    for (name, array) in kinds::all() {
        let field = Field::new("", array.data_type().clone(), true);
        let stamp = Timestamp {
            time: 5,
            clock: [9; 16],
        };
        let made = Message::from_arrow(stamp, &field, &array, &parameters.encode()).expect(name);
        assert_eq!(
            made.array().expect(name).to_data(),
            array.to_data(),
            "{name}"
        );
        assert_eq!(made.timestamp(), stamp);
        assert_eq!(made.parameters(), Ok(parameters.clone()));
        assert_eq!(made.field().expect(name), field, "{name}");
    }
}

#[test]
fn a_fields_metadata_are_the_messages() {
    let array = UInt8Array::from(vec![1, 2]);
    let field = Field::new("picture", DataType::UInt8, true).with_metadata(HashMap::from([(
        "ARROW:extension:name".to_owned(),
        "jpeg".to_owned(),
    )]));
    let made = Message::from_arrow(Timestamp::default(), &field, &array, &[]).expect("a message");
    assert_eq!(made.field(), Ok(field));
    assert_eq!(made.bytes(), Ok(&[1, 2][..]));
    assert_eq!(made.plain(), None);
    let wrong = Field::new("", DataType::Int8, true);
    assert!(Message::from_arrow(Timestamp::default(), &wrong, &array, &[]).is_err());
}
