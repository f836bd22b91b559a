//! Numbers of parameters. A decimal keeps every digit or is refused.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type, i256,
};

use super::binary::split;
use super::{Report, Result, bad_binary, bad_text, out_of_range, type_name, unsupported};

/// Exponents beyond this make more digits than any type has.
const EXPONENT_MAX: i32 = 200;

pub fn integer_text(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    let value = text.trim().parse::<i128>().map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            out_of_range(data_type, text)
        }
        _ => bad_text(data_type, text),
    })?;
    integer(data_type, value)
}

/// Clients send the width they declared; when they left the type to us, the one they were told.
pub fn integer_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let number = match value {
        [a, b] => i128::from(i16::from_be_bytes([*a, *b])),
        [a, b, c, d] => i128::from(i32::from_be_bytes([*a, *b, *c, *d])),
        [a, b, c, d, e, f, g, h] => i128::from(i64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
        _ => return Err(bad_binary(data_type, value)),
    };
    integer(data_type, number)
}

fn integer(data_type: &DataType, value: i128) -> Result<ArrayRef> {
    fn fit<T: ArrowPrimitiveType<Native: TryFrom<i128>>>(value: i128) -> Option<ArrayRef> {
        let native = T::Native::try_from(value).ok()?;
        Some(Arc::new(PrimitiveArray::<T>::from_value(native, 1)))
    }
    let array = match data_type {
        DataType::Int8 => fit::<Int8Type>(value),
        DataType::Int16 => fit::<Int16Type>(value),
        DataType::Int32 => fit::<Int32Type>(value),
        DataType::Int64 => fit::<Int64Type>(value),
        DataType::UInt8 => fit::<UInt8Type>(value),
        DataType::UInt16 => fit::<UInt16Type>(value),
        DataType::UInt32 => fit::<UInt32Type>(value),
        DataType::UInt64 => fit::<UInt64Type>(value),
        other => return Err(unsupported(other)),
    };
    array.ok_or_else(|| out_of_range(data_type, &value.to_string()))
}

pub fn float_text(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    let trimmed = text.trim();
    let finite_text = trimmed.bytes().any(|byte| byte.is_ascii_digit());
    let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
    let nonzero_text = mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    // Read at the width that is wanted: through f64, a float4 would be rounded twice.
    let (array, infinite, zero): (ArrayRef, bool, bool) = if matches!(data_type, DataType::Float32) {
        let value = trimmed.parse::<f32>().map_err(|_| bad_text(data_type, text))?;
        (Arc::new(Float32Array::from(vec![value])), value.is_infinite(), value == 0.0)
    } else {
        let value = trimmed.parse::<f64>().map_err(|_| bad_text(data_type, text))?;
        (Arc::new(Float64Array::from(vec![value])), value.is_infinite(), value == 0.0)
    };
    if (infinite && finite_text) || (zero && nonzero_text) {
        let name = type_name(data_type);
        return Err(Report::new("22003", format!("\"{text}\" is out of range for type {name}")));
    }
    cast(&array, data_type).map_err(|_| out_of_range(data_type, text))
}

pub fn float_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let array: ArrayRef = match value.len() {
        4 => Arc::new(Float32Array::from(vec![f32::from_bits(word(value))])),
        8 => {
            let (bits, _) = split::<8>(value).ok_or_else(|| bad_binary(data_type, value))?;
            Arc::new(Float64Array::from(vec![f64::from_be_bytes(bits)]))
        }
        _ => return Err(bad_binary(data_type, value)),
    };
    cast(&array, data_type).map_err(|_| bad_binary(data_type, value))
}

fn word(value: &[u8]) -> u32 {
    value.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// A decimal of any width from its text: digits, a point, an exponent.
pub fn decimal_text(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    let (precision, scale) = match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        other => return Err(unsupported(other)),
    };
    let (negative, digits, exponent) = digits(text).ok_or_else(|| bad_text(data_type, text))?;
    let unscaled = shift(&digits, exponent + i32::from(scale)).ok_or_else(|| too_precise(data_type, text))?;
    if unscaled.len() > usize::from(precision) {
        return Err(out_of_range(data_type, text));
    }
    let sign = if negative { "-" } else { "" };
    let value =
        i256::from_string(&format!("{sign}0{unscaled}")).ok_or_else(|| out_of_range(data_type, text))?;
    decimal(data_type, value).ok_or_else(|| out_of_range(data_type, text))
}

fn decimal(data_type: &DataType, value: i256) -> Option<ArrayRef> {
    let narrow = value.to_i128();
    Some(match data_type {
        DataType::Decimal32(precision, scale) => {
            let array = Decimal32Array::from(vec![i32::try_from(narrow?).ok()?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal64(precision, scale) => {
            let array = Decimal64Array::from(vec![i64::try_from(narrow?).ok()?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal128(precision, scale) => {
            let array = Decimal128Array::from(vec![narrow?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal256(precision, scale) => {
            let array = Decimal256Array::from(vec![value]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        _ => return None,
    })
}

/// Sign, digits without zeros before them, and the power of ten that they are to be multiplied with.
fn digits(text: &str) -> Option<(bool, String, i32)> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    numeric.then(|| (negative, digits.trim_start_matches('0').to_owned(), exponent))
}

/// `digits` times ten to the power of `places`; `None` when a digit that is not zero would be lost.
fn shift(digits: &str, places: i32) -> Option<String> {
    if digits.is_empty() {
        return Some(String::new());
    }
    if places >= 0 {
        let zeros = usize::try_from(places.min(EXPONENT_MAX)).ok()?;
        return Some(format!("{digits}{:0<zeros$}", ""));
    }
    let lost = usize::try_from(-places).ok()?;
    let kept = digits.len().saturating_sub(lost);
    digits[kept..].bytes().all(|digit| digit == b'0').then(|| digits[..kept].to_owned())
}

fn too_precise(data_type: &DataType, text: &str) -> Report {
    let name = type_name(data_type);
    Report::new("22003", format!("value \"{text}\" has more digits behind the point than type {name}"))
        .with_hint("Cast the parameter to a type that holds it, such as $1::numeric(38,20).")
}

/// An unsigned number of 64 bits, which clients know as numeric because int8 does not hold it.
pub fn unsigned_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let text = numeric_text(data_type, value)?;
    let whole = decimal_text(&DataType::Decimal128(38, 0), &text)?;
    integer(data_type, whole.as_primitive::<Decimal128Type>().value(0))
}

/// The text of a binary numeric: count of groups of four digits, weight of the first, sign, digits behind the point.
pub fn numeric_text(data_type: &DataType, value: &[u8]) -> Result<String> {
    let bad = || bad_binary(data_type, value);
    let (head, rest) = split::<8>(value).ok_or_else(bad)?;
    let field = |index: usize| i16::from_be_bytes([head[index * 2], head[index * 2 + 1]]);
    let sign = match field(2).cast_unsigned() {
        0 => "",
        0x4000 => "-",
        _ => return Err(Report::new("22003", "NaN and infinity are not values of a decimal type")),
    };
    if usize::try_from(field(0)).ok().map(|groups| groups * 2) != Some(rest.len()) {
        return Err(bad());
    }
    let mut digits = String::new();
    for group in rest.chunks(2) {
        let group = i16::from_be_bytes([group[0], group[1]]);
        if !(0..10_000).contains(&group) {
            return Err(bad());
        }
        digits.push_str(&format!("{group:04}"));
    }
    let exponent = (i32::from(field(1)) - i32::from(field(0)) + 1) * 4;
    Ok(if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}e{exponent}") })
}
