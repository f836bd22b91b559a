//! The text format of parameters, as PostgreSQL's input functions read it.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray,
    LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::{DataType, IntervalUnit};

use super::{Result, bad_text, list, number, time, unsupported};

/// Reads `text` as a value of `data_type`; `zone` is the session's time zone.
pub fn decode(data_type: &DataType, text: &str, zone: Tz) -> Result<ArrayRef> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => string(data_type, text),
        DataType::Boolean => boolean(text).map(|value| Arc::new(BooleanArray::from(vec![value])) as ArrayRef),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => number::float_text(data_type, text),
        data_type if data_type.is_integer() => number::integer_text(data_type, text),
        data_type if data_type.is_decimal() => number::decimal_text(data_type, text),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            binary(data_type, &bytea(text).ok_or_else(|| bad_text(data_type, text))?)
        }
        DataType::FixedSizeBinary(16) => {
            binary(data_type, &uuid(text).ok_or_else(|| bad_text(data_type, text))?)
        }
        DataType::Date32 | DataType::Date64 => time::date_text(data_type, text),
        DataType::Time32(_) | DataType::Time64(_) => time::time_text(data_type, text),
        DataType::Timestamp(_, _) => time::timestamp_text(data_type, text, zone),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let interval =
                parse_interval_month_day_nano(text.trim()).map_err(|_| bad_text(data_type, text))?;
            Ok(Arc::new(IntervalMonthDayNanoArray::from(vec![interval])))
        }
        DataType::List(_) | DataType::LargeList(_) => list::decode_text(data_type, text, zone),
        other => Err(unsupported(other)),
    }
}

/// Text as the string type that is wanted; a parameter whose type nobody knows is text.
pub fn string(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![text])),
        DataType::Utf8View => Arc::new(StringViewArray::from(vec![text])),
        _ => Arc::new(StringArray::from(vec![text])),
    })
}

/// Bytes as the binary type that is wanted.
pub fn binary(data_type: &DataType, bytes: &[u8]) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::LargeBinary => Arc::new(LargeBinaryArray::from(vec![bytes])),
        DataType::BinaryView => Arc::new(BinaryViewArray::from(vec![bytes])),
        DataType::FixedSizeBinary(_) => Arc::new(
            FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes))
                .map_err(|_| unsupported(data_type))?,
        ),
        _ => Arc::new(BinaryArray::from(vec![bytes])),
    })
}

/// Any beginning of `true`, `false`, `yes`, `no` that is not that of another; `on`, `off`, `1` and `0` (`boolin`).
fn boolean(text: &str) -> Result<bool> {
    let word = text.trim().to_ascii_lowercase();
    let begins = |whole: &str, shortest: usize| word.len() >= shortest && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(bad_text(&DataType::Boolean, text))
    }
}

/// `\x` and digits, or the older form where a byte may be a backslash and three octal digits.
pub fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let digits = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>();
        return hex(&digits);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                tail
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Some(bytes)
}

/// 32 digits, with hyphens between groups of four and braces around it allowed (`uuid_in`).
pub fn uuid(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let inner = match (text.strip_prefix('{'), text.strip_suffix('}')) {
        (Some(_), Some(_)) => &text[1..text.len() - 1],
        (None, None) => text,
        _ => return None,
    };
    let mut digits = Vec::with_capacity(32);
    for byte in inner.bytes() {
        match byte {
            b'-' if digits.len() % 4 == 0 && !digits.is_empty() => {}
            b'-' => return None,
            digit => digits.push(digit),
        }
    }
    hex(&digits).filter(|bytes| bytes.len() == 16)
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| Some(value(pair[0])? * 16 + value(pair[1])?)).collect()
}
