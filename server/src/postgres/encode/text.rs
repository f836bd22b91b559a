//! The text format, as PostgreSQL's output functions write it with its default settings.

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use bytes::BufMut;
use tarn_sql::Result;
use tarn_sql::types::{self, oid, pg_type};

use super::time::{self, Separator};
use super::writer::{self, Writer, binaries, padded, padded_width, primitive, strings, unexpected};
use super::{is_json, json, list, number};

/// The writer of a column in text format.
pub fn writer<'a>(field: &Field, array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let type_oid = pg_type(field).oid;
    if let Some(width) = padded_width(field) {
        return strings(array, move |value, out| padded(value, width, out));
    }
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => strings(array, text),
        DataType::Dictionary(_, _) => {
            let values = array.as_any_dictionary().values();
            Ok(writer::dictionary(array, writer(field, values.as_ref(), zone)?))
        }
        _ if is_json(type_oid) => json::writer(field, array, zone),
        _ if types::element_oid(type_oid).is_some() => list::text_writer(type_oid, array, zone),
        DataType::FixedSizeBinary(16) if type_oid == oid::UUID => binaries(array, uuid),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            binaries(array, bytea)
        }
        _ => scalar(array, zone, Separator::Space),
    }
}

/// The writer of plain scalar values; `separator` stands between date and time.
pub fn scalar<'a>(array: &'a dyn Array, zone: Tz, separator: Separator) -> Result<Writer<'a>> {
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_, _| Ok(())),
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, out| {
                out.put_u8(if array.value(row) { b't' } else { b'f' });
                Ok(())
            })
        }
        DataType::Int8 => primitive::<Int8Type>(array, |value, out| number::integer(value.into(), out)),
        DataType::Int16 => primitive::<Int16Type>(array, |value, out| number::integer(value.into(), out)),
        DataType::Int32 => primitive::<Int32Type>(array, |value, out| number::integer(value.into(), out)),
        DataType::Int64 => primitive::<Int64Type>(array, number::integer),
        DataType::UInt8 => primitive::<UInt8Type>(array, |value, out| number::unsigned(value.into(), out)),
        DataType::UInt16 => primitive::<UInt16Type>(array, |value, out| number::unsigned(value.into(), out)),
        DataType::UInt32 => primitive::<UInt32Type>(array, |value, out| number::unsigned(value.into(), out)),
        DataType::UInt64 => primitive::<UInt64Type>(array, number::unsigned),
        DataType::Float16 => {
            primitive::<Float16Type>(array, |value, out| number::float4(value.to_f32(), out))
        }
        DataType::Float32 => primitive::<Float32Type>(array, number::float4),
        DataType::Float64 => primitive::<Float64Type>(array, number::float8),
        DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => decimal(array)?,
        _ => moment(array, zone, separator)?,
    })
}

fn decimal(array: &dyn Array) -> Result<Writer<'_>> {
    Ok(match array.data_type() {
        DataType::Decimal32(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal32Type>(array, move |value, out| decimals.text(value.into(), out))
        }
        DataType::Decimal64(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal64Type>(array, move |value, out| decimals.text(value.into(), out))
        }
        DataType::Decimal128(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal128Type>(array, move |value, out| decimals.text(value, out))
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type>(array, move |value, out| number::decimal(value, scale, out))
        }
        other => return Err(unexpected(other)),
    })
}

/// Dates, times, timestamps and intervals.
fn moment(array: &dyn Array, zone: Tz, separator: Separator) -> Result<Writer<'_>> {
    Ok(match array.data_type() {
        DataType::Date32 => primitive::<Date32Type>(array, |days, out| time::date(i64::from(days), out)),
        DataType::Date64 => {
            primitive::<Date64Type>(array, |millis, out| time::date(millis.div_euclid(time::DAY_MILLIS), out))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = time::times(array)?;
            Box::new(move |row, out| time::time(micros(row), out))
        }
        DataType::Timestamp(unit, tz) => {
            let zone = tz.is_some().then_some(zone);
            match unit {
                TimeUnit::Second => timestamp::<TimestampSecondType>(array, zone, separator),
                TimeUnit::Millisecond => timestamp::<TimestampMillisecondType>(array, zone, separator),
                TimeUnit::Microsecond => timestamp::<TimestampMicrosecondType>(array, zone, separator),
                TimeUnit::Nanosecond => timestamp::<TimestampNanosecondType>(array, zone, separator),
            }
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let intervals = time::intervals(array)?;
            Box::new(move |row, out| time::interval(&intervals(row)?, out))
        }
        other => return Err(unexpected(other)),
    })
}

fn timestamp<T: ArrowTimestampType>(array: &dyn Array, zone: Option<Tz>, separator: Separator) -> Writer<'_> {
    primitive::<T>(array, move |value, out| {
        time::timestamp(time::micros(T::UNIT, value)?, zone, separator, out)
    })
}

fn text(value: &str, out: &mut Vec<u8>) -> Result<()> {
    out.put_slice(value.as_bytes());
    Ok(())
}

/// `\x` and two digits per byte.
pub fn bytea(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.put_slice(b"\\x");
    hex(value, out);
    Ok(())
}

pub fn uuid(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    for (part, range) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if part > 0 {
            out.put_u8(b'-');
        }
        hex(&value[range], out);
    }
    Ok(())
}

fn hex(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(value.len() * 2);
    for byte in value {
        out.put_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
