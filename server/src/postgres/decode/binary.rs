//! The binary format of parameters, as PostgreSQL's receive functions read it.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use tarn_sql::types::oid;

use super::{Result, as_text, bad_binary, list, number, text, time, unsupported};

/// Reads `value` as a value of `data_type`, which the client knows as the type `type_oid`.
pub fn decode(data_type: &DataType, type_oid: u32, value: &[u8]) -> Result<ArrayRef> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            let value = match (type_oid, value) {
                // A version opens every binary jsonb; there is one so far.
                (oid::JSONB, [1, json @ ..]) => json,
                (oid::JSONB, _) => return Err(bad_binary(data_type, value)),
                _ => value,
            };
            text::string(data_type, as_text(value)?)
        }
        DataType::Boolean => match value {
            [byte] => Ok(Arc::new(BooleanArray::from(vec![*byte != 0]))),
            _ => Err(bad_binary(data_type, value)),
        },
        DataType::Float16 | DataType::Float32 | DataType::Float64 => number::float_binary(data_type, value),
        DataType::UInt64 => number::unsigned_binary(data_type, value),
        data_type if data_type.is_integer() => number::integer_binary(data_type, value),
        data_type if data_type.is_decimal() => {
            number::decimal_text(data_type, &number::numeric_text(data_type, value)?)
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => text::binary(data_type, value),
        DataType::FixedSizeBinary(length) if usize::try_from(*length) == Ok(value.len()) => {
            text::binary(data_type, value)
        }
        DataType::FixedSizeBinary(_) => Err(bad_binary(data_type, value)),
        DataType::Date32 | DataType::Date64 => time::date_binary(data_type, value),
        DataType::Time32(_) | DataType::Time64(_) => time::time_binary(data_type, value),
        DataType::Timestamp(_, _) => time::timestamp_binary(data_type, value),
        DataType::Interval(IntervalUnit::MonthDayNano) => interval(data_type, value),
        DataType::List(_) | DataType::LargeList(_) => list::decode_binary(data_type, value),
        other => Err(unsupported(other)),
    }
}

/// The next `N` bytes of `value`, and the rest.
pub fn split<const N: usize>(value: &[u8]) -> Option<([u8; N], &[u8])> {
    value.split_first_chunk::<N>().map(|(first, rest)| (*first, rest))
}

/// Microseconds, days, months.
fn interval(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let bad = || bad_binary(data_type, value);
    let (micros, rest) = split::<8>(value).ok_or_else(bad)?;
    let (days, rest) = split::<4>(rest).ok_or_else(bad)?;
    let months = <[u8; 4]>::try_from(rest).map_err(|_| bad())?;
    let nanos = i64::from_be_bytes(micros).checked_mul(1_000).ok_or_else(bad)?;
    let interval = IntervalMonthDayNano::new(i32::from_be_bytes(months), i32::from_be_bytes(days), nanos);
    Ok(Arc::new(IntervalMonthDayNanoArray::from(vec![interval])))
}
