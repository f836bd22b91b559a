//! What a data file says about the values of one column: its bounds and its partition, brought to one closed range
//! of the column's own type. Every answer errs to the wide side. It must never read a file or decide what to skip.
//! Next: `prune.rs` and `statistics.rs`, the two that ask.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Months, NaiveDate};
use datafusion::common::ScalarValue;
use iceberg::spec::{
    DataFile, Datum, Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, Struct, Transform, Type,
};

/// The values a column can have in one file, both ends included; an end that is `None` is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ValueRange {
    pub lower: Option<ScalarValue>,
    pub upper: Option<ScalarValue>,
}

impl ValueRange {
    fn single(value: ScalarValue) -> ValueRange {
        ValueRange { lower: Some(value.clone()), upper: Some(value) }
    }

    /// The values in both ranges.
    pub fn intersect(self, other: ValueRange) -> ValueRange {
        let later = |a: ScalarValue, b: ScalarValue| if a >= b { a } else { b };
        let earlier = |a: ScalarValue, b: ScalarValue| if a <= b { a } else { b };
        ValueRange {
            lower: either(self.lower, other.lower, later),
            upper: either(self.upper, other.upper, earlier),
        }
    }
}

fn either<T>(a: Option<T>, b: Option<T>, both: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

/// A column that bounds are asked of.
#[derive(Debug, Clone)]
pub(crate) struct BoundColumn {
    pub id: i32,
    pub iceberg: PrimitiveType,
    pub arrow: DataType,
}

impl BoundColumn {
    /// The values of the column in a file, from its bounds and from its partition under `spec`.
    pub fn range(&self, file: &DataFile, spec: &PartitionSpec) -> ValueRange {
        self.bounds(file).intersect(self.ranges_of_partition(file.partition(), spec))
    }

    /// The values of the column in a partition.
    pub fn ranges_of_partition(&self, partition: &Struct, spec: &PartitionSpec) -> ValueRange {
        let mut range = ValueRange::default();
        for (field, value) in spec.fields().iter().zip(partition.iter()) {
            if field.source_id == self.id
                && let Some(Literal::Primitive(value)) = value
                && let Some(values) = self.partition_range(field.transform, value)
            {
                range = range.intersect(values);
            }
        }
        range
    }

    /// The file's own bounds of the column.
    pub fn bounds(&self, file: &DataFile) -> ValueRange {
        if self.may_hold_nan(file) {
            return ValueRange::default();
        }
        let bound = |datum: Option<&Datum>, lower| self.bound(datum?.literal(), lower);
        ValueRange {
            lower: bound(file.lower_bounds().get(&self.id), true),
            upper: bound(file.upper_bounds().get(&self.id), false),
        }
    }

    /// A lower or upper bound as the column's type of today.
    pub fn bound(&self, value: &PrimitiveLiteral, lower: bool) -> Option<ScalarValue> {
        self.scalar(value).map(|bound| signed_zero(bound, lower))
    }

    /// Iceberg's bounds leave NaN out; SQL sorts it after every number (and before, with its sign bit set).
    fn may_hold_nan(&self, file: &DataFile) -> bool {
        let floating = matches!(self.iceberg, PrimitiveType::Float | PrimitiveType::Double);
        floating && file.nan_value_counts().get(&self.id).copied() != Some(0)
    }

    /// A value as the column's type of today; a value written under an older, narrower type is widened.
    pub fn scalar(&self, value: &PrimitiveLiteral) -> Option<ScalarValue> {
        use PrimitiveLiteral as Value;
        Some(match (&self.arrow, value) {
            (DataType::Boolean, Value::Boolean(value)) => ScalarValue::Boolean(Some(*value)),
            (DataType::Int32, Value::Int(value)) => ScalarValue::Int32(Some(*value)),
            (DataType::Int64, Value::Long(value)) => ScalarValue::Int64(Some(*value)),
            (DataType::Int64, Value::Int(value)) => ScalarValue::Int64(Some((*value).into())),
            (DataType::Float32, Value::Float(value)) => ScalarValue::Float32(Some(value.0)),
            (DataType::Float64, Value::Double(value)) => ScalarValue::Float64(Some(value.0)),
            (DataType::Float64, Value::Float(value)) => ScalarValue::Float64(Some(value.0.into())),
            (DataType::Decimal128(precision, scale), Value::Int128(value)) => {
                ScalarValue::Decimal128(Some(*value), *precision, *scale)
            }
            (DataType::Date32, Value::Int(value)) => ScalarValue::Date32(Some(*value)),
            (DataType::Time64(TimeUnit::Microsecond), Value::Long(value)) => {
                ScalarValue::Time64Microsecond(Some(*value))
            }
            // A date that became a timestamp.
            (DataType::Timestamp(TimeUnit::Microsecond, None), Value::Int(day)) => {
                ScalarValue::TimestampMicrosecond(Some(micros_of_day((*day).into())?), None)
            }
            (DataType::Timestamp(TimeUnit::Nanosecond, None), Value::Int(day)) => {
                ScalarValue::TimestampNanosecond(Some(micros_of_day((*day).into())?.checked_mul(1000)?), None)
            }
            (DataType::Timestamp(TimeUnit::Microsecond, zone), Value::Long(value)) => {
                ScalarValue::TimestampMicrosecond(Some(*value), zone.clone())
            }
            (DataType::Timestamp(TimeUnit::Nanosecond, zone), Value::Long(value)) => {
                ScalarValue::TimestampNanosecond(Some(*value), zone.clone())
            }
            (DataType::Utf8, Value::String(value)) => ScalarValue::Utf8(Some(value.clone())),
            (DataType::Utf8View, Value::String(value)) => ScalarValue::Utf8View(Some(value.clone())),
            (DataType::Binary, Value::Binary(value)) => ScalarValue::Binary(Some(value.clone())),
            (DataType::BinaryView, Value::Binary(value)) => ScalarValue::BinaryView(Some(value.clone())),
            (DataType::FixedSizeBinary(length), Value::Binary(value))
                if i32::try_from(value.len()) == Ok(*length) =>
            {
                ScalarValue::FixedSizeBinary(*length, Some(value.clone()))
            }
            (DataType::FixedSizeBinary(16), Value::UInt128(value)) => {
                ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec()))
            }
            _ => return None,
        })
    }

    /// The source values that a partition value stands for; `None` when it says nothing about order.
    pub fn partition_range(&self, transform: Transform, value: &PrimitiveLiteral) -> Option<ValueRange> {
        match (transform, value) {
            // Zeros of both signs may share a partition elsewhere, and NaN has no place in an order.
            (Transform::Identity, PrimitiveLiteral::Float(_) | PrimitiveLiteral::Double(_)) => None,
            (Transform::Identity, value) => self.scalar(value).map(ValueRange::single),
            (Transform::Truncate(width), value) => self.truncated(width, value),
            (Transform::Year, PrimitiveLiteral::Int(year)) => self.months(year.checked_mul(12)?, 12),
            (Transform::Month, PrimitiveLiteral::Int(month)) => self.months(*month, 1),
            (Transform::Day, PrimitiveLiteral::Int(day)) => {
                let first = before_epoch_widened(*day)?;
                self.instants(micros_of_day(first)?, micros_of_day(i64::from(*day) + 1)?)
            }
            (Transform::Hour, PrimitiveLiteral::Int(hour)) => {
                let first = before_epoch_widened(*hour)?;
                self.instants(micros_of_hour(first)?, micros_of_hour(i64::from(*hour) + 1)?)
            }
            _ => None,
        }
    }

    fn truncated(&self, width: u32, value: &PrimitiveLiteral) -> Option<ValueRange> {
        let last = match value {
            PrimitiveLiteral::Int(value) => {
                PrimitiveLiteral::Int(value.checked_add(i32::try_from(width).ok()?.checked_sub(1)?)?)
            }
            PrimitiveLiteral::Long(value) => {
                PrimitiveLiteral::Long(value.checked_add(i64::from(width).checked_sub(1)?)?)
            }
            PrimitiveLiteral::Int128(value) => {
                PrimitiveLiteral::Int128(value.checked_add(i128::from(width).checked_sub(1)?)?)
            }
            PrimitiveLiteral::String(value) => return self.prefix(width, value),
            _ => return None,
        };
        Some(ValueRange { lower: self.scalar(value), upper: self.scalar(&last) })
    }

    /// The strings whose first `width` characters are `prefix`.
    fn prefix(&self, width: u32, prefix: &str) -> Option<ValueRange> {
        let value = PrimitiveLiteral::String(prefix.to_owned());
        if prefix.chars().count() < usize::try_from(width).ok()? {
            return self.scalar(&value).map(ValueRange::single);
        }
        let upper = after_prefix(prefix).and_then(|next| self.scalar(&PrimitiveLiteral::String(next)));
        Some(ValueRange { lower: self.scalar(&value), upper })
    }

    /// The days or instants of `count` months from `month`, counted from January 1970.
    fn months(&self, month: i32, count: i32) -> Option<ValueRange> {
        let unit = month.checked_div(count)?;
        let first = i32::try_from(before_epoch_widened(unit)?).ok()?.checked_mul(count)?;
        let end = month.checked_add(count)?;
        self.instants(micros_of_month(first)?, micros_of_month(end)?)
    }

    /// The column's values from `start` to just before `end`, both in microseconds since 1970.
    fn instants(&self, start: i64, end: i64) -> Option<ValueRange> {
        const DAY: i64 = 86_400_000_000;
        let literal = |micros: i64| match &self.arrow {
            DataType::Date32 => i32::try_from(micros.div_euclid(DAY)).ok().map(PrimitiveLiteral::Int),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(PrimitiveLiteral::Long(micros)),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                micros.checked_mul(1000).map(PrimitiveLiteral::Long)
            }
            _ => None,
        };
        let lower = literal(start)?;
        let last = match literal(end)? {
            PrimitiveLiteral::Int(end) => PrimitiveLiteral::Int(end - 1),
            PrimitiveLiteral::Long(end) => PrimitiveLiteral::Long(end - 1),
            _ => return None,
        };
        Some(ValueRange { lower: self.scalar(&lower), upper: self.scalar(&last) })
    }
}

/// The type of a column when it can have bounds at all.
pub(crate) fn primitive(data_type: &Type) -> Option<PrimitiveType> {
    data_type.as_primitive_type().cloned()
}

/// Zero is written with either sign, and SQL sorts -0.0 before 0.0: a bound of zero covers both.
fn signed_zero(bound: ScalarValue, lower: bool) -> ScalarValue {
    match bound {
        ScalarValue::Float32(Some(0.0)) => ScalarValue::Float32(Some(if lower { -0.0 } else { 0.0 })),
        ScalarValue::Float64(Some(0.0)) => ScalarValue::Float64(Some(if lower { -0.0 } else { 0.0 })),
        other => other,
    }
}

/// Old writers rounded times before 1970 towards it, so that a unit up to 0 may hold values of the unit before.
fn before_epoch_widened(unit: i32) -> Option<i64> {
    let unit = i64::from(unit);
    if unit <= 0 { unit.checked_sub(1) } else { Some(unit) }
}

fn micros_of_day(day: i64) -> Option<i64> {
    day.checked_mul(86_400_000_000)
}

fn micros_of_hour(hour: i64) -> Option<i64> {
    hour.checked_mul(3_600_000_000)
}

/// Midnight of the first day of a month counted from January 1970.
fn micros_of_month(month: i32) -> Option<i64> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let distance = Months::new(month.unsigned_abs());
    let first =
        if month >= 0 { epoch.checked_add_months(distance)? } else { epoch.checked_sub_months(distance)? };
    micros_of_day(first.signed_duration_since(epoch).num_days())
}

/// A string after every string that starts with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The code points between 0xD7FF and 0xE000 are no characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat};

    use super::*;

    fn column(iceberg: PrimitiveType, arrow: DataType) -> BoundColumn {
        BoundColumn { id: 1, iceberg, arrow }
    }

    fn dates() -> BoundColumn {
        column(PrimitiveType::Date, DataType::Date32)
    }

    fn day_number(year: i32, month: u32, day: u32) -> ScalarValue {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("epoch");
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("date");
        ScalarValue::Date32(i32::try_from(date.signed_duration_since(epoch).num_days()).ok())
    }

    fn check(
        column: &BoundColumn,
        transform: Transform,
        value: PrimitiveLiteral,
        lower: ScalarValue,
        upper: ScalarValue,
    ) {
        let expect = ValueRange { lower: Some(lower), upper: Some(upper) };
        assert_eq!(column.partition_range(transform, &value), Some(expect), "{transform} {value:?}");
    }

    #[test]
    fn a_partition_is_a_range_of_its_source_column() {
        let int = column(PrimitiveType::Int, DataType::Int32);
        let text = column(PrimitiveType::String, DataType::Utf8);
        let utf8 = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        let word = |text: &str| PrimitiveLiteral::String(text.to_owned());
        check(
            &dates(),
            Transform::Year,
            PrimitiveLiteral::Int(54),
            day_number(2024, 1, 1),
            day_number(2024, 12, 31),
        );
        check(
            &dates(),
            Transform::Month,
            PrimitiveLiteral::Int(649),
            day_number(2024, 2, 1),
            day_number(2024, 2, 29),
        );
        check(
            &dates(),
            Transform::Day,
            PrimitiveLiteral::Int(5),
            day_number(1970, 1, 6),
            day_number(1970, 1, 6),
        );
        check(&int, Transform::Truncate(10), PrimitiveLiteral::Int(-10), int_value(-10), int_value(-1));
        check(&int, Transform::Identity, PrimitiveLiteral::Int(7), int_value(7), int_value(7));
        check(&text, Transform::Truncate(3), word("abc"), utf8("abc"), utf8("abd"));
        check(&text, Transform::Truncate(3), word("ab"), utf8("ab"), utf8("ab"));
        let instants = column(PrimitiveType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None));
        let micros = |value: i64| ScalarValue::TimestampMicrosecond(Some(value), None);
        check(
            &instants,
            Transform::Hour,
            PrimitiveLiteral::Int(1),
            micros(3_600_000_000),
            micros(7_199_999_999),
        );
    }

    fn int_value(value: i32) -> ScalarValue {
        ScalarValue::Int32(Some(value))
    }

    #[test]
    fn partitions_up_to_1970_are_widened_by_one_unit() {
        check(
            &dates(),
            Transform::Day,
            PrimitiveLiteral::Int(0),
            day_number(1969, 12, 31),
            day_number(1970, 1, 1),
        );
        check(
            &dates(),
            Transform::Year,
            PrimitiveLiteral::Int(-1),
            day_number(1968, 1, 1),
            day_number(1969, 12, 31),
        );
    }

    #[test]
    fn what_says_nothing_is_no_range() {
        let int = column(PrimitiveType::Int, DataType::Int32);
        assert_eq!(int.partition_range(Transform::Bucket(4), &PrimitiveLiteral::Int(3)), None);
        assert_eq!(int.partition_range(Transform::Void, &PrimitiveLiteral::Int(3)), None);
        // Truncating the smallest number wraps around; no range is better than a wrong one.
        assert_eq!(int.partition_range(Transform::Truncate(10), &PrimitiveLiteral::Int(i32::MAX - 1)), None);
        let double = column(PrimitiveType::Double, DataType::Float64);
        assert_eq!(double.partition_range(Transform::Identity, &PrimitiveLiteral::Double(0.0.into())), None);
    }

    #[test]
    fn nothing_sorts_after_the_last_character() {
        assert_eq!(after_prefix("a\u{10FFFF}"), Some("b".to_owned()));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
        assert_eq!(after_prefix("\u{D7FF}"), Some("\u{E000}".to_owned()));
    }

    #[test]
    fn bounds_of_floats_hold_only_without_nan() {
        let double = column(PrimitiveType::Double, DataType::Float64);
        let file = |nans: Option<u64>| {
            DataFileBuilder::default()
                .content(DataContentType::Data)
                .file_path("f".to_owned())
                .file_format(DataFileFormat::Parquet)
                .record_count(2)
                .file_size_in_bytes(1)
                .nan_value_counts(nans.map(|count| (1, count)).into_iter().collect())
                .lower_bounds([(1, Datum::double(0.0))].into())
                .upper_bounds([(1, Datum::double(2.0))].into())
                .build()
                .expect("file")
        };
        assert_eq!(double.bounds(&file(Some(1))), ValueRange::default());
        assert_eq!(double.bounds(&file(None)), ValueRange::default());
        let range = double.bounds(&file(Some(0)));
        assert!(matches!(range.lower, Some(ScalarValue::Float64(Some(zero))) if zero.is_sign_negative()));
        assert_eq!(range.upper, Some(ScalarValue::Float64(Some(2.0))));
    }
}
