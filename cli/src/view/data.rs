//! The data of a message as JSON, shortened: the first elements of each array, the first characters of each text.
//!
//! Invariant: time and memory are bounded whatever the array holds. Absent: exactness beyond that; whoever needs all of a
//! message reads it with a node.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value;

/// Most elements of an array that are shown.
const ELEMENTS: usize = 16;
/// Most characters of a text.
const CHARACTERS: usize = 200;
/// Most levels of arrays in arrays.
const DEPTH: usize = 4;

/// The elements; the last one is a text such as `… 100 more` when there are more than are shown.
pub fn json(array: &dyn Array) -> Value {
    elements(array, 0)
}

fn elements(array: &dyn Array, depth: usize) -> Value {
    let shown = array.len().min(ELEMENTS);
    let mut values: Vec<Value> = (0..shown)
        .map(|index| element(array, index, depth))
        .collect();
    if array.len() > shown {
        values.push(format!("… {} more", array.len() - shown).into());
    }
    Value::Array(values)
}

/// One element. Types that are not known here are shown by their names.
fn element(array: &dyn Array, index: usize, depth: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(index).into(),
        DataType::Utf8 => text(array.as_string::<i32>().value(index)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(index)),
        DataType::Utf8View => text(array.as_string_view().value(index)),
        DataType::Binary => bytes(array.as_binary::<i32>().value(index)),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(index)),
        DataType::BinaryView => bytes(array.as_binary_view().value(index)),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(index)),
        other if other.is_nested() => nested(array, index, depth),
        _ => number(array, index),
    }
}

fn nested(array: &dyn Array, index: usize, depth: usize) -> Value {
    if depth >= DEPTH {
        return "…".into();
    }
    let depth = depth + 1;
    match array.data_type() {
        DataType::List(_) => elements(&array.as_list::<i32>().value(index), depth),
        DataType::LargeList(_) => elements(&array.as_list::<i64>().value(index), depth),
        DataType::FixedSizeList(..) => elements(&array.as_fixed_size_list().value(index), depth),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let pair = |(field, column): (&arrow_schema::FieldRef, &arrow_array::ArrayRef)| {
                (field.name().clone(), element(column, index, depth))
            };
            Value::Object(columns.take(ELEMENTS).map(pair).collect())
        }
        other => unknown(other),
    }
}

fn number(array: &dyn Array, index: usize) -> Value {
    match array.data_type() {
        DataType::Int8 => plain::<Int8Type>(array, index),
        DataType::Int16 => plain::<Int16Type>(array, index),
        DataType::Int32 => plain::<Int32Type>(array, index),
        DataType::Int64 => plain::<Int64Type>(array, index),
        DataType::UInt8 => plain::<UInt8Type>(array, index),
        DataType::UInt16 => plain::<UInt16Type>(array, index),
        DataType::UInt32 => plain::<UInt32Type>(array, index),
        DataType::UInt64 => plain::<UInt64Type>(array, index),
        DataType::Float16 => f64::from(array.as_primitive::<Float16Type>().value(index)).into(),
        DataType::Float32 => decimal(array.as_primitive::<Float32Type>().value(index)),
        DataType::Float64 => plain::<Float64Type>(array, index),
        DataType::Date32 => plain::<Date32Type>(array, index),
        DataType::Date64 => plain::<Date64Type>(array, index),
        DataType::Time32(TimeUnit::Second) => plain::<Time32SecondType>(array, index),
        DataType::Time32(_) => plain::<Time32MillisecondType>(array, index),
        DataType::Time64(TimeUnit::Microsecond) => plain::<Time64MicrosecondType>(array, index),
        DataType::Time64(_) => plain::<Time64NanosecondType>(array, index),
        DataType::Timestamp(TimeUnit::Second, _) => plain::<TimestampSecondType>(array, index),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            plain::<TimestampMillisecondType>(array, index)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            plain::<TimestampMicrosecondType>(array, index)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            plain::<TimestampNanosecondType>(array, index)
        }
        other => unknown(other),
    }
}

fn plain<T: ArrowPrimitiveType<Native: Into<Value>>>(array: &dyn Array, index: usize) -> Value {
    array.as_primitive::<T>().value(index).into()
}

/// With as many digits as tell it from its neighbours: 0.1, not 0.10000000149011612.
fn decimal(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, Value::from)
}

fn unknown(data_type: &DataType) -> Value {
    text(&format!("<{data_type}>"))
}

fn text(text: &str) -> Value {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => {
            let rest = text.get(end..).unwrap_or_default();
            // Counting the characters of a long text would take long.
            format!(
                "{}… {} more bytes",
                text.get(..end).unwrap_or_default(),
                rest.len()
            )
            .into()
        }
        None => text.into(),
    }
}

fn bytes(bytes: &[u8]) -> Value {
    let shown = bytes.get(..ELEMENTS).unwrap_or(bytes);
    let mut text: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > shown.len() {
        text.push_str(&format!("… {} more bytes", bytes.len() - shown.len()));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Int32Builder, ListBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, DurationSecondArray, Float32Array, Int32Array,
        StringArray, StructArray, UInt64Array,
    };
    use arrow_schema::Field;
    use std::sync::Arc;

    fn shown(array: impl Array) -> String {
        json(&array).to_string()
    }

    #[test]
    fn data_are_shown_as_json() {
        assert_eq!(
            shown(UInt64Array::from(vec![Some(u64::MAX), None])),
            "[18446744073709551615,null]"
        );
        assert_eq!(shown(Float32Array::from(vec![0.1, f32::NAN])), "[0.1,null]");
        assert_eq!(shown(BooleanArray::from(vec![true])), "[true]");
        assert_eq!(shown(StringArray::from(vec!["größe"])), "[\"größe\"]");
        assert_eq!(
            shown(BinaryArray::from(vec![&b"\x01\xff"[..]])),
            "[\"01ff\"]"
        );
        assert_eq!(
            shown(DurationSecondArray::from(vec![1])),
            "[\"<Duration(s)>\"]"
        );
        let mut list = ListBuilder::new(Int32Builder::new());
        list.append_value([Some(1), None]);
        let list: ArrayRef = Arc::new(list.finish());
        let number: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        let field = |name: &str, array: &ArrayRef| {
            Arc::new(Field::new(name, array.data_type().clone(), true))
        };
        let both = StructArray::from(vec![
            (field("a", &number), number),
            (field("b", &list), list),
        ]);
        assert_eq!(shown(both), r#"[{"a":7,"b":[1,null]}]"#);
    }

    #[test]
    fn long_data_are_shortened() {
        let many = shown(Int32Array::from_iter_values(0..1_000_000));
        assert!(many.ends_with("15,\"… 999984 more\"]"), "{many}");
        let long = shown(StringArray::from(vec!["ü".repeat(1_000)]));
        assert!(long.ends_with("ü… 1600 more bytes\"]"), "{long}");
        let bytes = shown(BinaryArray::from(vec![&[0u8; 20][..]]));
        assert!(bytes.ends_with("00… 4 more bytes\"]"), "{bytes}");
    }
}
