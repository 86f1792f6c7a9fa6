//! Arrow types of dora 0.x: read from bytes, and translated to the crate version of dora's types.
//!
//! Invariant: no type is nested deeper than [`MAX_DEPTH`]. The order of variants is that of arrow-schema 54, which all
//! served releases use. Absent: what that version does not have: narrow decimals.

use super::reader::Reader;
use crate::process::dora::words::Malformed;
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use dora_message_v0::arrow_schema as old;
use std::collections::HashMap;
use std::sync::Arc;

/// Deepest nesting of types and of arrays.
pub(super) const MAX_DEPTH: usize = 32;

pub(super) fn read(reader: &mut Reader<'_>, depth: usize) -> Result<DataType, Malformed> {
    use DataType as T;
    if depth > MAX_DEPTH {
        return Err(Malformed::new("a type that is nested too deep"));
    }
    let deeper = depth + 1;
    Ok(match reader.u32()? {
        0 => T::Null,
        1 => T::Boolean,
        2 => T::Int8,
        3 => T::Int16,
        4 => T::Int32,
        5 => T::Int64,
        6 => T::UInt8,
        7 => T::UInt16,
        8 => T::UInt32,
        9 => T::UInt64,
        10 => T::Float16,
        11 => T::Float32,
        12 => T::Float64,
        13 => {
            let unit = time_unit(reader)?;
            let zone = reader.option()?.then(|| reader.text()).transpose()?;
            T::Timestamp(unit, zone.map(Into::into))
        }
        14 => T::Date32,
        15 => T::Date64,
        16 => T::Time32(time_unit(reader)?),
        17 => T::Time64(time_unit(reader)?),
        18 => T::Duration(time_unit(reader)?),
        19 => T::Interval(match reader.u32()? {
            0 => IntervalUnit::YearMonth,
            1 => IntervalUnit::DayTime,
            2 => IntervalUnit::MonthDayNano,
            other => return Err(unknown("interval", other)),
        }),
        20 => T::Binary,
        21 => T::FixedSizeBinary(reader.i32()?),
        22 => T::LargeBinary,
        23 => T::BinaryView,
        24 => T::Utf8,
        25 => T::LargeUtf8,
        26 => T::Utf8View,
        27 => T::List(field(reader, deeper)?),
        28 => T::ListView(field(reader, deeper)?),
        29 => T::FixedSizeList(field(reader, deeper)?, reader.i32()?),
        30 => T::LargeList(field(reader, deeper)?),
        31 => T::LargeListView(field(reader, deeper)?),
        32 => T::Struct(Fields::from(
            reader.list(26, |reader| field(reader, deeper))?,
        )),
        33 => union(reader, deeper)?,
        34 => {
            let keys = read(reader, deeper)?;
            T::Dictionary(keys.into(), read(reader, deeper)?.into())
        }
        35 => T::Decimal128(reader.byte()?, reader.byte()?.cast_signed()),
        36 => T::Decimal256(reader.byte()?, reader.byte()?.cast_signed()),
        37 => T::Map(field(reader, deeper)?, reader.option()?),
        38 => T::RunEndEncoded(field(reader, deeper)?, field(reader, deeper)?),
        other => return Err(unknown("type", other)),
    })
}

fn unknown(what: &str, place: u32) -> Malformed {
    Malformed(format!("{what} {place} does not exist"))
}

fn time_unit(reader: &mut Reader<'_>) -> Result<TimeUnit, Malformed> {
    Ok(match reader.u32()? {
        0 => TimeUnit::Second,
        1 => TimeUnit::Millisecond,
        2 => TimeUnit::Microsecond,
        3 => TimeUnit::Nanosecond,
        other => return Err(unknown("unit of time", other)),
    })
}

fn field(reader: &mut Reader<'_>, depth: usize) -> Result<Arc<Field>, Malformed> {
    let name = reader.text()?;
    let data_type = read(reader, depth)?;
    let nullable = reader.option()?;
    let _dictionary = reader.i64()?;
    let ordered = reader.option()?;
    let metadata = reader.list(16, |reader| {
        Ok((reader.text()?.to_owned(), reader.text()?.to_owned()))
    })?;
    let field = Field::new(name, data_type, nullable)
        .with_metadata(metadata.into_iter().collect::<HashMap<_, _>>());
    Ok(Arc::new(match ordered {
        true => field.with_dict_is_ordered(true),
        false => field,
    }))
}

fn union(reader: &mut Reader<'_>, depth: usize) -> Result<DataType, Malformed> {
    let fields = reader.list(27, |reader| {
        Ok((reader.byte()?.cast_signed(), field(reader, depth)?))
    })?;
    let (ids, fields): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let mode = match reader.u32()? {
        0 => UnionMode::Sparse,
        1 => UnionMode::Dense,
        other => return Err(unknown("kind of union", other)),
    };
    let fields = UnionFields::try_new(ids, fields).map_err(|error| Malformed(error.to_string()))?;
    Ok(DataType::Union(fields, mode))
}

/// The type as dora 0.x says it.
///
/// # Errors
/// It cannot.
pub(super) fn to_old(data_type: &DataType) -> Result<old::DataType, String> {
    use DataType as T;
    use old::DataType as O;
    Ok(match data_type {
        T::Null => O::Null,
        T::Boolean => O::Boolean,
        T::Int8 => O::Int8,
        T::Int16 => O::Int16,
        T::Int32 => O::Int32,
        T::Int64 => O::Int64,
        T::UInt8 => O::UInt8,
        T::UInt16 => O::UInt16,
        T::UInt32 => O::UInt32,
        T::UInt64 => O::UInt64,
        T::Float16 => O::Float16,
        T::Float32 => O::Float32,
        T::Float64 => O::Float64,
        T::Timestamp(unit, zone) => O::Timestamp(old_unit(*unit), zone.clone()),
        T::Date32 => O::Date32,
        T::Date64 => O::Date64,
        T::Time32(unit) => O::Time32(old_unit(*unit)),
        T::Time64(unit) => O::Time64(old_unit(*unit)),
        T::Duration(unit) => O::Duration(old_unit(*unit)),
        T::Interval(IntervalUnit::YearMonth) => O::Interval(old::IntervalUnit::YearMonth),
        T::Interval(IntervalUnit::DayTime) => O::Interval(old::IntervalUnit::DayTime),
        T::Interval(IntervalUnit::MonthDayNano) => O::Interval(old::IntervalUnit::MonthDayNano),
        T::Binary => O::Binary,
        T::FixedSizeBinary(width) => O::FixedSizeBinary(*width),
        T::LargeBinary => O::LargeBinary,
        T::BinaryView => O::BinaryView,
        T::Utf8 => O::Utf8,
        T::LargeUtf8 => O::LargeUtf8,
        T::Utf8View => O::Utf8View,
        T::List(item) => O::List(old_field(item)?),
        T::ListView(item) => O::ListView(old_field(item)?),
        T::FixedSizeList(item, width) => O::FixedSizeList(old_field(item)?, *width),
        T::LargeList(item) => O::LargeList(old_field(item)?),
        T::LargeListView(item) => O::LargeListView(old_field(item)?),
        T::Struct(fields) => {
            let fields = fields.iter().map(|field| old_field(field));
            O::Struct(fields.collect::<Result<Vec<_>, _>>()?.into())
        }
        T::Union(fields, mode) => {
            let fields = fields.iter().map(|(id, field)| Ok((id, old_field(field)?)));
            let mode = match mode {
                UnionMode::Sparse => old::UnionMode::Sparse,
                UnionMode::Dense => old::UnionMode::Dense,
            };
            O::Union(fields.collect::<Result<_, String>>()?, mode)
        }
        T::Dictionary(keys, values) => O::Dictionary(to_old(keys)?.into(), to_old(values)?.into()),
        T::Decimal128(precision, scale) => O::Decimal128(*precision, *scale),
        T::Decimal256(precision, scale) => O::Decimal256(*precision, *scale),
        T::Map(entries, sorted) => O::Map(old_field(entries)?, *sorted),
        T::RunEndEncoded(ends, values) => O::RunEndEncoded(old_field(ends)?, old_field(values)?),
        T::Decimal32(..) | T::Decimal64(..) => {
            return Err(format!("dora 0.x has no type {data_type}"));
        }
    })
}

fn old_unit(unit: TimeUnit) -> old::TimeUnit {
    match unit {
        TimeUnit::Second => old::TimeUnit::Second,
        TimeUnit::Millisecond => old::TimeUnit::Millisecond,
        TimeUnit::Microsecond => old::TimeUnit::Microsecond,
        TimeUnit::Nanosecond => old::TimeUnit::Nanosecond,
    }
}

fn old_field(field: &Field) -> Result<Arc<old::Field>, String> {
    let data_type = to_old(field.data_type())?;
    Ok(Arc::new(
        old::Field::new(field.name(), data_type, field.is_nullable())
            .with_metadata(field.metadata().clone().into()),
    ))
}
