//! A reading as an Arrow struct.
//!
//! Invariant: [`SAMPLE`] is the type of what [`to_array`] makes. Absent: how a machine is read.

use crate::machine::Reading;
use arrow_array::{ArrayRef, Float32Array, StructArray, UInt64Array};
use arrow_schema::{ArrowError, DataType, Fields};
use host_readings::field;
use std::sync::{Arc, LazyLock};

/// The type of a sample, for declaring the port.
pub const SAMPLE: &str = "Struct<cpu_total: Float32, cpu_core_mean: Float32, cpu_core_max: Float32, \
    memory_used: UInt64, memory_total: UInt64, disk_used: UInt64, disk_free: UInt64, \
    network_received: UInt64, network_sent: UInt64, temperature: Float32>";

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let load = |name| field(name, DataType::Float32, "%", false);
    let size = |name| field(name, DataType::UInt64, "B", false);
    let counter = |name| field(name, DataType::UInt64, "B", true);
    Fields::from(vec![
        load("cpu_total"),
        load("cpu_core_mean"),
        load("cpu_core_max"),
        size("memory_used"),
        size("memory_total"),
        size("disk_used"),
        size("disk_free"),
        counter("network_received"),
        counter("network_sent"),
        field("temperature", DataType::Float32, "°C", false),
    ])
});

/// One row with the reading's numbers; null where it has none.
///
/// # Errors
/// None in practice: the columns are those of the fields.
pub fn to_array(reading: &Reading) -> Result<StructArray, ArrowError> {
    let float = |value| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let whole = |value| -> ArrayRef { Arc::new(UInt64Array::from(vec![value])) };
    let columns = vec![
        float(reading.cpu_total),
        float(reading.cpu_core_mean),
        float(reading.cpu_core_max),
        whole(reading.memory_used),
        whole(reading.memory_total),
        whole(reading.disk_used),
        whole(reading.disk_free),
        whole(reading.network_received),
        whole(reading.network_sent),
        float(reading.temperature),
    ];
    StructArray::try_new(FIELDS.clone(), columns, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use host_readings::columns;

    #[test]
    fn each_number_is_in_its_column_and_what_is_missing_is_null() {
        let reading = Reading {
            cpu_total: Some(150.0),
            cpu_core_mean: Some(75.0),
            cpu_core_max: Some(100.0),
            memory_used: Some(4),
            memory_total: Some(5),
            disk_used: Some(6),
            disk_free: Some(7),
            network_received: Some(8),
            network_sent: Some(9),
            temperature: None,
        };
        let sample = to_array(&reading).expect("a sample");
        let actual: Vec<_> = columns(&sample)
            .into_iter()
            .map(|column| (column.name, column.unit, column.counter, column.values[0]))
            .collect();
        assert_eq!(
            actual,
            [
                ("cpu_total", "%", false, Some(150.0)),
                ("cpu_core_mean", "%", false, Some(75.0)),
                ("cpu_core_max", "%", false, Some(100.0)),
                ("memory_used", "B", false, Some(4.0)),
                ("memory_total", "B", false, Some(5.0)),
                ("disk_used", "B", false, Some(6.0)),
                ("disk_free", "B", false, Some(7.0)),
                ("network_received", "B", true, Some(8.0)),
                ("network_sent", "B", true, Some(9.0)),
                ("temperature", "°C", false, None),
            ]
        );
    }
}
