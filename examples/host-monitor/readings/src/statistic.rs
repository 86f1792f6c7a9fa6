//! What the statistics plugin sends: an Arrow struct with one row per column of the samples.
//!
//! Absent: how the numbers come about (see the plugin).

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, StringArray, StructArray, UInt64Array};
use arrow_schema::{DataType, Field, Fields};
use std::sync::{Arc, LazyLock};

/// The type of a statistics message, for declaring ports.
pub const STATISTICS: &str =
    "Struct<column: Utf8, samples: UInt64, mean: Float64, rate: Float64, p95: Float64>";

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let field = |name, data_type, nullable| Field::new(name, data_type, nullable);
    Fields::from(vec![
        field("column", DataType::Utf8, false),
        field("samples", DataType::UInt64, false),
        field("mean", DataType::Float64, true),
        field("rate", DataType::Float64, true),
        field("p95", DataType::Float64, true),
    ])
});

/// What the samples in a window say of one column. Units are those of the column.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistic {
    /// The column's name.
    pub column: String,
    /// How many samples in the window have a value.
    pub samples: u64,
    /// Their mean; `None` without any.
    pub mean: Option<f64>,
    /// Change per second from the first to the last of them; `None` unless two of them differ in time.
    pub rate: Option<f64>,
    /// The value that 95 % of them do not exceed; `None` without any.
    pub p95: Option<f64>,
}

/// One row per statistic, of the type [`STATISTICS`].
pub fn to_array(statistics: &[Statistic]) -> StructArray {
    let numbers = |of: fn(&Statistic) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(statistics.iter().map(of)))
    };
    let names = statistics.iter().map(|one| &one.column);
    let samples = statistics.iter().map(|one| one.samples);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names)),
        Arc::new(UInt64Array::from_iter_values(samples)),
        numbers(|one| one.mean),
        numbers(|one| one.rate),
        numbers(|one| one.p95),
    ];
    StructArray::new(FIELDS.clone(), columns, None)
}

/// Reads the statistics back.
///
/// # Errors
/// The array is not of the type [`STATISTICS`], or has null names or counts.
pub fn from_array(array: &dyn Array) -> Result<Vec<Statistic>, WrongColumns> {
    let wrong = || WrongColumns(array.data_type().to_string());
    let rows = array.as_struct_opt().ok_or_else(wrong)?;
    let column = |name| rows.column_by_name(name).ok_or_else(wrong);
    let numbers = |name| {
        column(name)?
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(wrong)
    };
    let names = column("column")?.as_string_opt::<i32>().ok_or_else(wrong)?;
    let samples = column("samples")?
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(wrong)?;
    let (mean, rate, p95) = (numbers("mean")?, numbers("rate")?, numbers("p95")?);
    let values = mean.iter().zip(rate).zip(p95);
    let rows = names.iter().zip(samples).zip(values);
    rows.map(|((name, samples), ((mean, rate), p95))| {
        Ok(Statistic {
            column: name.ok_or_else(wrong)?.to_owned(),
            samples: samples.ok_or_else(wrong)?,
            mean,
            rate,
            p95,
        })
    })
    .collect()
}

/// An array that is no [`STATISTICS`]: its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongColumns(pub String);

impl std::fmt::Display for WrongColumns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "expected {STATISTICS} without null names, got {}",
            self.0
        )
    }
}

impl std::error::Error for WrongColumns {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_come_back_from_their_array() {
        let statistics = [
            Statistic {
                column: "load".into(),
                samples: 3,
                mean: Some(1.5),
                rate: Some(-0.5),
                p95: Some(2.0),
            },
            Statistic {
                column: "none".into(),
                samples: 0,
                mean: None,
                rate: None,
                p95: None,
            },
        ];
        let array = to_array(&statistics);
        assert_eq!(from_array(&array).as_deref(), Ok(&statistics[..]));
        assert_eq!(from_array(&to_array(&[])), Ok(vec![]));
    }

    #[test]
    fn another_array_is_refused_by_its_type() {
        let numbers = UInt64Array::from(vec![1]);
        let error = from_array(&numbers).expect_err("no struct");
        assert!(error.to_string().ends_with("got UInt64"), "{error}");
    }
}
