//! Columns of a sample: how they are declared, and their numbers whatever their type.
//!
//! Absent: columns that hold no numbers; they are passed over.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, StructArray};
use arrow_schema::{DataType, Field, Metadata};

/// Key of a field's metadata: the unit of its values, such as `B`.
const UNIT: &str = "unit";
/// Key of a field's metadata, present when the values only ever rise: their rate is what tells something.
const COUNTER: &str = "counter";

/// A nullable field that says its unit, and whether it is a counter.
pub fn field(name: &str, data_type: DataType, unit: &str, counter: bool) -> Field {
    let mut metadata = Metadata::from([(UNIT, unit)]);
    if counter {
        metadata.insert(COUNTER, "true");
    }
    Field::new(name, data_type, true).with_metadata(metadata)
}

/// The numbers of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// Unit of its values; empty when the field says none.
    pub unit: &'a str,
    /// Whether its values only ever rise.
    pub counter: bool,
    /// One per row. `None` for null, not-a-number and infinity. Integers from 2^53 on are rounded.
    pub values: Vec<Option<f64>>,
}

/// The columns of a sample that hold numbers, in order.
pub fn columns(sample: &StructArray) -> Vec<Column<'_>> {
    let columns = sample.fields().iter().zip(sample.columns());
    columns
        .filter_map(|(field, array)| {
            let mut values = numbers(array)?;
            for (row, value) in values.iter_mut().enumerate() {
                // A row that is null as a whole may still have values below.
                if sample.is_null(row) {
                    *value = None;
                }
            }
            Some(Column {
                name: field.name(),
                unit: field.metadata().get(UNIT).map_or("", String::as_str),
                counter: field.metadata().contains_key(COUNTER),
                values,
            })
        })
        .collect()
}

/// The values of an array of numbers; `None` for any other array.
fn numbers(array: &dyn Array) -> Option<Vec<Option<f64>>> {
    macro_rules! first_of {
        ($($number:ty),*) => {$(
            if let Some(values) = array.as_primitive_opt::<$number>() {
                let finite = |value: Option<_>| value.map(|v| v as f64).filter(|v| v.is_finite());
                return Some(values.iter().map(finite).collect());
            }
        )*};
    }
    first_of!(
        Float64Type,
        Float32Type,
        UInt64Type,
        Int64Type,
        UInt32Type,
        Int32Type,
        UInt16Type,
        Int16Type,
        UInt8Type,
        Int8Type
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float32Array, StringArray, UInt64Array};
    use arrow_buffer::NullBuffer;
    use std::sync::Arc;

    #[test]
    fn numbers_of_any_type_come_with_unit_and_nothing_else_does() {
        let fields = vec![
            field("load", DataType::Float32, "%", false),
            Field::new("name", DataType::Utf8, true),
            field("sent", DataType::UInt64, "B", true),
            Field::new("bare", DataType::UInt64, true),
        ];
        let counts: ArrayRef = Arc::new(UInt64Array::from(vec![Some(1 << 53), None, Some(3)]));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Float32Array::from(vec![1.5, f32::NAN, f32::INFINITY])),
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
            counts.clone(),
            counts,
        ];
        let sample = StructArray::new(fields.into(), arrays, None);
        let expected = |name, unit, counter, values: [Option<f64>; 3]| Column {
            name,
            unit,
            counter,
            values: values.to_vec(),
        };
        let counts = [Some(9_007_199_254_740_992.0), None, Some(3.0)];
        assert_eq!(
            columns(&sample),
            [
                expected("load", "%", false, [Some(1.5), None, None]),
                expected("sent", "B", true, counts),
                expected("bare", "", false, counts),
            ]
        );
    }

    #[test]
    fn a_row_that_is_null_has_no_numbers() {
        let fields = vec![field("load", DataType::UInt64, "%", false)];
        let arrays: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(vec![1, 2]))];
        let nulls = NullBuffer::from(vec![false, true]);
        let sample = StructArray::new(fields.into(), arrays, Some(nulls));
        assert_eq!(columns(&sample)[0].values, [None, Some(2.0)]);
    }
}
