//! Smallest and largest values of one array, of the column's type.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use iceberg::spec::{Datum, PrimitiveType};

use super::truncate::{bytes_above, bytes_prefix, text_above, text_prefix};
use crate::error::Result;

/// Bytes of the longest fixed-length values that have bounds; those are never truncated.
const FIXED_BYTES_MAX: usize = 64;

/// The smallest or largest of some values.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Value {
    Boolean(bool),
    Int(i32),
    Long(i64),
    /// Never NaN.
    Float(f32),
    /// Never NaN.
    Double(f64),
    Decimal(i128),
    /// A prefix of a text or of bytes, and whether something followed it. Two prefixes are in the order of what they are
    /// prefixes of, as far as they show it.
    Prefix(Vec<u8>, bool),
}

/// What one array adds to the bounds.
#[derive(Debug, Default)]
pub struct Part {
    pub lower: Option<Value>,
    pub upper: Option<Value>,
    pub nans: u64,
}

impl Value {
    /// The one of two that is `wanted` of the other.
    pub fn pick(one: Option<Value>, other: Option<Value>, wanted: Ordering) -> Option<Value> {
        match (one, other) {
            (Some(one), Some(other)) if other.partial_cmp(&one) == Some(wanted) => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        }
    }

    /// As the lower bound that manifests hold.
    pub fn into_lower(self, kind: &PrimitiveType) -> Result<Datum> {
        let value = match self {
            // -0.0 and 0.0 are equal to SQL, and the specification has -0.0 come first.
            Value::Float(0.0) => Value::Float(-0.0),
            Value::Double(0.0) => Value::Double(-0.0),
            other => other,
        };
        value.into_datum(kind)
    }

    /// As the upper bound that manifests hold; there is none above a truncated value that cannot be counted up.
    pub fn into_upper(self, kind: &PrimitiveType) -> Result<Option<Datum>> {
        let value = match self {
            Value::Float(0.0) => Value::Float(0.0),
            Value::Double(0.0) => Value::Double(0.0),
            Value::Prefix(prefix, true) => {
                let above = match (kind, std::str::from_utf8(&prefix)) {
                    (PrimitiveType::String, Ok(text)) => text_above(text).map(String::into_bytes),
                    (PrimitiveType::String, Err(_)) => None,
                    _ => bytes_above(&prefix),
                };
                match above {
                    Some(above) => Value::Prefix(above, false),
                    None => return Ok(None),
                }
            }
            other => other,
        };
        value.into_datum(kind).map(Some)
    }

    fn into_datum(self, kind: &PrimitiveType) -> Result<Datum> {
        // The specification's single-value serialization is the one door to a Datum of every type.
        let bytes = match self {
            Value::Boolean(value) => vec![u8::from(value)],
            Value::Int(value) => value.to_le_bytes().to_vec(),
            Value::Long(value) => value.to_le_bytes().to_vec(),
            Value::Float(value) => value.to_le_bytes().to_vec(),
            Value::Double(value) => value.to_le_bytes().to_vec(),
            Value::Decimal(value) => value.to_be_bytes().to_vec(),
            Value::Prefix(bytes, _) => bytes,
        };
        Ok(Datum::try_from_bytes(&bytes, kind.clone())?)
    }
}

/// The bounds of an array, with at most `kept` characters or bytes; 0 asks for none. None when the array is not of the
/// type that a column of this kind has, so that nothing can be said of its values.
pub fn bounds_of(array: &ArrayRef, kind: &PrimitiveType, kept: usize) -> Option<Part> {
    use PrimitiveType as P;
    let text = |text: &str| {
        let (prefix, longer) = text_prefix(text, kept);
        Value::Prefix(prefix.as_bytes().to_vec(), longer)
    };
    let bytes = |bytes: &[u8]| {
        let (prefix, longer) = bytes_prefix(bytes, kept);
        Value::Prefix(prefix.to_vec(), longer)
    };
    Some(match (kind, array.data_type()) {
        (P::Boolean, DataType::Boolean) => {
            let array = array.as_boolean();
            part(compute::min_boolean(array), compute::max_boolean(array), Value::Boolean)
        }
        (P::Int, DataType::Int32) => primitive::<Int32Type>(array, Value::Int),
        (P::Date, DataType::Date32) => primitive::<Date32Type>(array, Value::Int),
        (P::Long, DataType::Int64) => primitive::<Int64Type>(array, Value::Long),
        (P::Time, DataType::Time64(TimeUnit::Microsecond)) => {
            primitive::<Time64MicrosecondType>(array, Value::Long)
        }
        (P::Timestamp | P::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            primitive::<TimestampMicrosecondType>(array, Value::Long)
        }
        (P::TimestampNs | P::TimestamptzNs, DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            primitive::<TimestampNanosecondType>(array, Value::Long)
        }
        (P::Decimal { scale, .. }, DataType::Decimal128(_, own)) if i64::from(*scale) == i64::from(*own) => {
            primitive::<Decimal128Type>(array, Value::Decimal)
        }
        (P::Float, DataType::Float32) => {
            floating(array.as_primitive::<Float32Type>(), f32::is_nan, f32::total_cmp, Value::Float)
        }
        (P::Double, DataType::Float64) => {
            floating(array.as_primitive::<Float64Type>(), f64::is_nan, f64::total_cmp, Value::Double)
        }
        (P::String, DataType::Utf8) => {
            let array = array.as_string::<i32>();
            part(compute::min_string(array), compute::max_string(array), text)
        }
        (P::String, DataType::LargeUtf8) => {
            let array = array.as_string::<i64>();
            part(compute::min_string(array), compute::max_string(array), text)
        }
        (P::String, DataType::Utf8View) => {
            let array = array.as_string_view();
            part(compute::min_string_view(array), compute::max_string_view(array), text)
        }
        (P::Binary, DataType::Binary) => {
            let array = array.as_binary::<i32>();
            part(compute::min_binary(array), compute::max_binary(array), bytes)
        }
        (P::Binary, DataType::LargeBinary) => {
            let array = array.as_binary::<i64>();
            part(compute::min_binary(array), compute::max_binary(array), bytes)
        }
        (P::Binary, DataType::BinaryView) => {
            let array = array.as_binary_view();
            part(compute::min_binary_view(array), compute::max_binary_view(array), bytes)
        }
        (P::Uuid | P::Fixed(_), DataType::FixedSizeBinary(length)) if *length as usize <= FIXED_BYTES_MAX => {
            let array = array.as_fixed_size_binary();
            let whole = |value: &[u8]| Value::Prefix(value.to_vec(), false);
            part(compute::min_fixed_size_binary(array), compute::max_fixed_size_binary(array), whole)
        }
        _ => return None,
    })
}

fn part<T>(min: Option<T>, max: Option<T>, value: impl Fn(T) -> Value) -> Part {
    Part { lower: min.map(&value), upper: max.map(&value), nans: 0 }
}

fn primitive<T: arrow::datatypes::ArrowNumericType>(
    array: &ArrayRef,
    value: impl Fn(T::Native) -> Value,
) -> Part {
    let array = array.as_primitive::<T>();
    part(compute::min(array), compute::max(array), value)
}

/// Arrow's own kernels count NaN as the largest number, and Iceberg's bounds leave it out.
fn floating<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    is_nan: impl Fn(T::Native) -> bool,
    order: impl Fn(&T::Native, &T::Native) -> Ordering,
    value: impl Fn(T::Native) -> Value,
) -> Part {
    let mut nans = 0;
    let mut range: Option<(T::Native, T::Native)> = None;
    let mut see = |number: T::Native| {
        if is_nan(number) {
            nans += 1;
            return;
        }
        range = Some(match range {
            None => (number, number),
            Some((low, high)) => (
                if order(&number, &low).is_lt() { number } else { low },
                if order(&number, &high).is_gt() { number } else { high },
            ),
        });
    };
    if array.null_count() == 0 {
        array.values().iter().copied().for_each(&mut see);
    } else {
        array.iter().flatten().for_each(&mut see);
    }
    Part { lower: range.map(|(low, _)| value(low)), upper: range.map(|(_, high)| value(high)), nans }
}
