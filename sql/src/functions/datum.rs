//! One value of any type, taken out of a column and put into one. What works on values of many types, one at a time, is
//! written in terms of it. Next: `overload.rs` for functions, `shown.rs` for the text of a value.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use super::fault;
use super::span::{DAY, Span};
use crate::error::{Error, Result};
use crate::types;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Real(f32),
    Float(f64),
    /// The digits, and how many of them stand after the point.
    Numeric(i128, i8),
    Text(Cow<'a, str>),
    Json(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Uuid([u8; 16]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01 on the clock of no zone.
    Moment(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    Instant(i64),
    Span(Span),
    List(Vec<Datum<'a>>),
    Record(Vec<(String, Datum<'a>)>),
}

impl<'a> Datum<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Datum<'a> {
        Datum::Text(text.into())
    }

    pub fn texts<T: Into<Cow<'a, str>>>(texts: impl IntoIterator<Item = T>) -> Datum<'a> {
        Datum::List(texts.into_iter().map(Datum::text).collect())
    }

    /// The text of a text, JSON or other value that is held as text.
    pub fn as_str(&self) -> &str {
        match self {
            Datum::Text(text) | Datum::Json(text) => text,
            _ => "",
        }
    }

    pub fn as_int(&self) -> i64 {
        if let Datum::Int(int) = self { *int } else { 0 }
    }

    pub fn as_float(&self) -> f64 {
        match self {
            Datum::Float(float) => *float,
            Datum::Real(real) => f64::from(*real),
            _ => 0.0,
        }
    }

    pub fn is_true(&self) -> bool {
        matches!(self, Datum::Bool(true))
    }

    /// The elements of a list.
    pub fn elements(&self) -> &[Datum<'a>] {
        if let Datum::List(elements) = self { elements } else { &[] }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
}

impl From<i64> for Datum<'_> {
    fn from(value: i64) -> Self {
        Datum::Int(value)
    }
}

impl From<usize> for Datum<'_> {
    fn from(value: usize) -> Self {
        Datum::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Datum<'_> {
    fn from(value: bool) -> Self {
        Datum::Bool(value)
    }
}

impl From<String> for Datum<'_> {
    fn from(value: String) -> Self {
        Datum::Text(value.into())
    }
}

impl<'a, T: Into<Datum<'a>>> From<Option<T>> for Datum<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Datum::Null, Into::into)
    }
}

/// The value in a row of a column.
pub fn read<'a>(array: &'a dyn Array, field: &Field, row: usize) -> Datum<'a> {
    if array.is_null(row) {
        return Datum::Null;
    }
    match array.data_type() {
        DataType::Boolean => Datum::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => text(array.as_string::<i32>().value(row), field),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row), field),
        DataType::Utf8View => text(array.as_string_view().value(row), field),
        DataType::Binary => Datum::Bytes(array.as_binary::<i32>().value(row).into()),
        DataType::LargeBinary => Datum::Bytes(array.as_binary::<i64>().value(row).into()),
        DataType::BinaryView => Datum::Bytes(array.as_binary_view().value(row).into()),
        DataType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary().value(row);
            match <[u8; 16]>::try_from(bytes) {
                Ok(uuid) if types::is_uuid(field) => Datum::Uuid(uuid),
                _ => Datum::Bytes(bytes.into()),
            }
        }
        DataType::List(item) => elements(&array.as_list::<i32>().value(row), item),
        DataType::LargeList(item) => elements(&array.as_list::<i64>().value(row), item),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let member = |(column, field): (&'a ArrayRef, &Arc<Field>)| {
                (field.name().clone(), read(column.as_ref(), field, row))
            };
            Datum::Record(columns.iter().zip(fields).map(member).collect())
        }
        _ => number_or_time(array, row),
    }
}

fn text<'a>(text: &'a str, field: &Field) -> Datum<'a> {
    if types::is_json(field) { Datum::Json(text.into()) } else { Datum::Text(text.into()) }
}

/// The elements of a list, whose column ends with the call, as values that stand alone.
fn elements<'a>(array: &ArrayRef, item: &Field) -> Datum<'a> {
    Datum::List((0..array.len()).map(|row| owned(read(array.as_ref(), item, row))).collect())
}

/// The value without what it borrows.
pub fn owned<'a>(datum: Datum<'_>) -> Datum<'a> {
    match datum {
        Datum::Text(text) => Datum::Text(text.into_owned().into()),
        Datum::Json(text) => Datum::Json(text.into_owned().into()),
        Datum::Bytes(bytes) => Datum::Bytes(bytes.into_owned().into()),
        Datum::List(elements) => Datum::List(elements.into_iter().map(owned).collect()),
        Datum::Record(members) => {
            Datum::Record(members.into_iter().map(|(name, member)| (name, owned(member))).collect())
        }
        Datum::Null => Datum::Null,
        Datum::Bool(value) => Datum::Bool(value),
        Datum::Int(value) => Datum::Int(value),
        Datum::Real(value) => Datum::Real(value),
        Datum::Float(value) => Datum::Float(value),
        Datum::Numeric(value, scale) => Datum::Numeric(value, scale),
        Datum::Uuid(value) => Datum::Uuid(value),
        Datum::Date(value) => Datum::Date(value),
        Datum::Time(value) => Datum::Time(value),
        Datum::Moment(value) => Datum::Moment(value),
        Datum::Instant(value) => Datum::Instant(value),
        Datum::Span(value) => Datum::Span(value),
    }
}

fn number_or_time<'a>(array: &dyn Array, row: usize) -> Datum<'a> {
    match array.data_type() {
        DataType::Int8 => Datum::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Datum::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Datum::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Datum::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Datum::Int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Datum::Int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Datum::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Datum::Numeric(array.as_primitive::<UInt64Type>().value(row).into(), 0),
        DataType::Float32 => Datum::Real(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Datum::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            Datum::Numeric(array.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Date32 => Datum::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            Datum::Time(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Time64(_) => Datum::Time(array.as_primitive::<Time64NanosecondType>().value(row) / 1000),
        DataType::Timestamp(unit, zone) => {
            let micros = micros(array, *unit, row);
            if zone.is_some() { Datum::Instant(micros) } else { Datum::Moment(micros) }
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            Datum::Span(array.as_primitive::<IntervalMonthDayNanoType>().value(row).into())
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>().value(row);
            Datum::Span(Span { months, ..Span::default() })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            Datum::Span(Span { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1000 })
        }
        // What lies between two times is counted in days and the rest.
        DataType::Duration(unit) => {
            let micros = duration(array, *unit, row);
            let days = i32::try_from(micros / DAY).unwrap_or(i32::MAX);
            Datum::Span(Span { months: 0, days, micros: micros % DAY })
        }
        _ => Datum::Null,
    }
}

fn micros(array: &dyn Array, unit: TimeUnit, row: usize) -> i64 {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1_000_000),
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().value(row).saturating_mul(1000)
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000),
    }
}

fn duration(array: &dyn Array, unit: TimeUnit, row: usize) -> i64 {
    use arrow::datatypes::{
        DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    };
    match unit {
        TimeUnit::Second => array.as_primitive::<DurationSecondType>().value(row).saturating_mul(1_000_000),
        TimeUnit::Millisecond => {
            array.as_primitive::<DurationMillisecondType>().value(row).saturating_mul(1000)
        }
        TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().value(row).div_euclid(1000),
    }
}

/// Values as a column of a type that functions give.
pub fn column(data: &[Datum], data_type: &DataType) -> Result<ArrayRef> {
    macro_rules! gather {
        ($array:ty, $pattern:pat => $value:expr) => {
            Arc::new(
                data.iter()
                    .map(|datum| match datum {
                        $pattern => Some($value),
                        _ => None,
                    })
                    .collect::<$array>(),
            )
        };
    }
    Ok(match data_type {
        DataType::Boolean => gather!(BooleanArray, Datum::Bool(value) => *value),
        DataType::Int32 => {
            let narrow = |datum: &Datum| match datum {
                Datum::Int(value) => {
                    i32::try_from(*value).map(Some).map_err(|_| fault::out_of_range("integer"))
                }
                _ => Ok(None),
            };
            Arc::new(data.iter().map(narrow).collect::<Result<Int32Array>>()?)
        }
        DataType::Int64 => gather!(Int64Array, Datum::Int(value) => *value),
        DataType::Float64 => gather!(Float64Array, Datum::Float(value) => *value),
        DataType::Decimal128(precision, scale) => {
            let numbers = data.iter().map(|datum| rescaled(datum, *precision, *scale));
            let numbers = numbers.collect::<Result<Decimal128Array>>()?;
            Arc::new(numbers.with_data_type(data_type.clone()))
        }
        DataType::Utf8 => gather!(StringArray, Datum::Text(text) | Datum::Json(text) => text.as_ref()),
        DataType::Binary => {
            let bytes = |datum: &'_ Datum| match datum {
                Datum::Bytes(bytes) => Some(bytes.to_vec()),
                _ => None,
            };
            Arc::new(data.iter().map(bytes).collect::<BinaryArray>())
        }
        DataType::Date32 => gather!(Date32Array, Datum::Date(value) => *value),
        DataType::Time64(TimeUnit::Microsecond) => {
            gather!(Time64MicrosecondArray, Datum::Time(value) => *value)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let moments = data.iter().map(|datum| match datum {
                Datum::Moment(value) | Datum::Instant(value) => Some(*value),
                _ => None,
            });
            let moments: TimestampMicrosecondArray = moments.collect();
            Arc::new(moments.with_timezone_opt(zone.clone()))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let spans = data.iter().map(|datum| match datum {
                Datum::Span(span) => IntervalMonthDayNano::try_from(*span).map(Some),
                _ => Ok(None),
            });
            Arc::new(spans.collect::<Result<IntervalMonthDayNanoArray>>()?)
        }
        DataType::List(item) => list(data, item)?,
        other => return cast_back(data, other),
    })
}

fn list(data: &[Datum], item: &Arc<Field>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(data.iter().map(|datum| datum.elements().len()));
    let nulls: NullBuffer = data.iter().map(|datum| matches!(datum, Datum::List(_))).collect();
    let values: Vec<Datum> = data.iter().flat_map(Datum::elements).cloned().collect();
    let values = column(&values, item.data_type())?;
    let item = Arc::new(item.as_ref().clone().with_nullable(true));
    let list = ListArray::try_new(item, offsets, values, Some(nulls));
    Ok(Arc::new(list.map_err(|error| Error::internal(error.to_string()))?))
}

/// Types that no function computes in, but whose values may be handed through.
fn cast_back(data: &[Datum], data_type: &DataType) -> Result<ArrayRef> {
    let near = match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Null => return Ok(arrow::array::new_null_array(data_type, data.len())),
        other => return Err(Error::unsupported(format!("values of the type {other} in this function"))),
    };
    let widened: Vec<Datum> = data
        .iter()
        .map(|datum| match datum {
            Datum::Real(value) => Datum::Float(f64::from(*value)),
            other => other.clone(),
        })
        .collect();
    let array = column(&widened, &near)?;
    arrow::compute::cast(&array, data_type).map_err(|error| Error::internal(error.to_string()))
}

/// A number at another scale; digits that have no room are rounded away.
fn rescaled(datum: &Datum, precision: u8, scale: i8) -> Result<Option<i128>> {
    let (value, from) = match datum {
        Datum::Numeric(value, from) => (*value, *from),
        Datum::Int(value) => (i128::from(*value), 0),
        _ => return Ok(None),
    };
    let moved = super::decimal::rescale(value, from, scale);
    let largest = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    match moved.filter(|moved| moved.unsigned_abs() < largest.unsigned_abs()) {
        Some(moved) => Ok(Some(moved)),
        None => Err(fault::out_of_range("numeric")),
    }
}
