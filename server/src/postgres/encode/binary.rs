//! The binary format, as PostgreSQL's send functions write it. The width of an integer is that of the type we announced
//! (`oid` has 4 bytes), whatever the width in Arrow.

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use bytes::BufMut;
use tarn_sql::types::{self, oid, pg_type};
use tarn_sql::{Error, Result, SqlState};

use super::writer::{self, Writer, binaries, padded, padded_width, primitive, strings, unexpected};
use super::{is_json, json, list, number, time};

/// The version that opens every binary jsonb.
const JSONB_VERSION: u8 = 1;

/// The writer of a column in binary format.
pub fn writer<'a>(field: &Field, array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let pg_type = pg_type(field);
    if let Some(width) = padded_width(field) {
        return strings(array, move |value, out| padded(value, width, out));
    }
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let version = (pg_type.oid == oid::JSONB).then_some(JSONB_VERSION);
            if pg_type.oid == oid::CHAR {
                // It always has its one byte.
                return strings(array, |value, out| {
                    raw(&[], if value.is_empty() { &[0] } else { value.as_bytes() }, out)
                });
            }
            strings(array, move |value, out| raw(version.as_slice(), value.as_bytes(), out))
        }
        DataType::Dictionary(_, _) => {
            let values = array.as_any_dictionary().values();
            Ok(writer::dictionary(array, writer(field, values.as_ref(), zone)?))
        }
        _ if is_json(pg_type.oid) => json::writer(field, array, zone),
        _ if types::element_oid(pg_type.oid).is_some() => list::binary_writer(pg_type.oid, array, zone),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            binaries(array, |value, out| raw(&[], value, out))
        }
        DataType::UInt64 => {
            Ok(primitive::<UInt64Type>(array, |value, out| number::numeric(i128::from(value), 0, out)))
        }
        data_type if data_type.is_integer() => integer(array, pg_type.len),
        data_type if data_type.is_decimal() => decimal(array),
        _ => scalar(array),
    }
}

fn integer(array: &dyn Array, bytes: i16) -> Result<Writer<'_>> {
    fn put<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &dyn Array, bytes: i16) -> Writer<'_> {
        primitive::<T>(array, move |value, out| put_integer(value.into(), bytes, out))
    }
    Ok(match array.data_type() {
        DataType::Int8 => put::<Int8Type>(array, bytes),
        DataType::Int16 => put::<Int16Type>(array, bytes),
        DataType::Int32 => put::<Int32Type>(array, bytes),
        DataType::Int64 => put::<Int64Type>(array, bytes),
        DataType::UInt8 => put::<UInt8Type>(array, bytes),
        DataType::UInt16 => put::<UInt16Type>(array, bytes),
        DataType::UInt32 => put::<UInt32Type>(array, bytes),
        other => return Err(unexpected(other)),
    })
}

/// Four bytes are signed or, for an OID, unsigned: both fit.
fn put_integer(value: i64, bytes: i16, out: &mut Vec<u8>) -> Result<()> {
    let fits = match bytes {
        2 => i16::try_from(value).map(|value| out.put_i16(value)).is_ok(),
        4 => match (i32::try_from(value), u32::try_from(value)) {
            (Ok(value), _) => {
                out.put_i32(value);
                true
            }
            (_, Ok(value)) => {
                out.put_u32(value);
                true
            }
            _ => false,
        },
        _ => {
            out.put_i64(value);
            true
        }
    };
    if fits {
        Ok(())
    } else {
        let message = format!("the value {value} does not fit into {bytes} bytes");
        Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
    }
}

fn decimal(array: &dyn Array) -> Result<Writer<'_>> {
    Ok(match array.data_type() {
        DataType::Decimal32(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal32Type>(array, move |value, out| decimals.binary(value.into(), out))
        }
        DataType::Decimal64(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal64Type>(array, move |value, out| decimals.binary(value.into(), out))
        }
        DataType::Decimal128(_, scale) => {
            let decimals = number::Decimals::new(*scale);
            primitive::<Decimal128Type>(array, move |value, out| decimals.binary(value, out))
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type>(array, move |value, out| number::numeric(value, scale, out))
        }
        other => return Err(unexpected(other)),
    })
}

fn scalar(array: &dyn Array) -> Result<Writer<'_>> {
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_, _| Ok(())),
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, out| {
                out.put_u8(u8::from(array.value(row)));
                Ok(())
            })
        }
        DataType::Float16 => {
            primitive::<Float16Type>(array, |value, out| raw(&[], &value.to_f32().to_be_bytes(), out))
        }
        DataType::Float32 => {
            primitive::<Float32Type>(array, |value, out| raw(&[], &value.to_be_bytes(), out))
        }
        DataType::Float64 => {
            primitive::<Float64Type>(array, |value, out| raw(&[], &value.to_be_bytes(), out))
        }
        DataType::Date32 => primitive::<Date32Type>(array, |days, out| date(i64::from(days), out)),
        DataType::Date64 => {
            primitive::<Date64Type>(array, |millis, out| date(millis.div_euclid(time::DAY_MILLIS), out))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = time::times(array)?;
            Box::new(move |row, out| raw(&[], &micros(row).to_be_bytes(), out))
        }
        DataType::Timestamp(TimeUnit::Second, _) => timestamp::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => timestamp::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => timestamp::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamp::<TimestampNanosecondType>(array),
        DataType::Interval(_) | DataType::Duration(_) => {
            let intervals = time::intervals(array)?;
            Box::new(move |row, out| {
                let interval = intervals(row)?;
                out.put_i64(interval.micros);
                out.put_i32(interval.days);
                out.put_i32(interval.months);
                Ok(())
            })
        }
        other => return Err(unexpected(other)),
    })
}

/// Days since 2000-01-01.
fn date(days: i64, out: &mut Vec<u8>) -> Result<()> {
    put_integer(days - time::PG_EPOCH_DAYS, 4, out)
}

/// Microseconds since 2000-01-01.
fn timestamp<T: arrow::datatypes::ArrowTimestampType>(array: &dyn Array) -> Writer<'_> {
    primitive::<T>(array, |value, out| {
        let micros = time::micros(T::UNIT, value)?.checked_sub(time::PG_EPOCH_MICROS);
        let micros = micros.ok_or_else(time::out_of_range)?;
        out.put_i64(micros);
        Ok(())
    })
}

fn raw(before: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.put_slice(before);
    out.put_slice(value);
    Ok(())
}
