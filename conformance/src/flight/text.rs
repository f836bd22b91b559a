//! Values of Arrow as PostgreSQL's text format has them, written from the side of a reader: the scripts expect text, and
//! what came as columns must be the same values. The SQL type of a column is in its metadata.

use crate::calendar::{DAY_MICROS, civil};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Field, Float16Type, Float32Type, Float64Type,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use std::fmt::Write;

const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";

/// The digits before the point from which a number is written with an exponent.
const REAL_DIGITS: i32 = 6;
const DOUBLE_DIGITS: i32 = 15;

/// Every row of a batch as texts; None for NULL.
pub fn rows(batch: &RecordBatch, zone: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let schema = batch.schema();
    let cell = |row: usize| {
        let cells = batch.columns().iter().zip(schema.fields());
        cells.map(|(array, field)| value(field, array, row, zone)).collect()
    };
    (0..batch.num_rows()).map(cell).collect()
}

/// The letter of a script for a column's type.
pub fn type_letter(field: &Field) -> char {
    let name = field.metadata().get(TYPE_NAME).map(String::as_str).unwrap_or_default();
    match name.split('(').next().unwrap_or_default() {
        "boolean" => 'B',
        "smallint" | "integer" | "bigint" | "oid" => 'I',
        "real" | "double precision" | "numeric" => 'R',
        "date" => 'D',
        "timestamp without time zone" | "timestamp with time zone" => 'P',
        _ => 'T',
    }
}

/// Whether values of a type are written in the session's time zone.
pub fn has_zone(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::List(item) => has_zone(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_zone(field.data_type())),
        DataType::Map(entries, _) => has_zone(entries.data_type()),
        _ => false,
    }
}

fn value(field: &Field, array: &ArrayRef, row: usize, zone: &str) -> Result<Option<String>, String> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return Ok(None);
    }
    let name = field.metadata().get(TYPE_NAME).map(String::as_str).unwrap_or_default();
    let text = match array.data_type() {
        DataType::List(_) if name == "json" => json(field, array, row, zone)?,
        DataType::List(item) => list(item, array, row, zone, name.ends_with("vector"))?,
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => json(field, array, row, zone)?,
        _ => scalar(field, array, row, zone, ' ')?,
    };
    Ok(Some(text))
}

fn scalar(
    field: &Field,
    array: &ArrayRef,
    row: usize,
    zone: &str,
    separator: char,
) -> Result<String, String> {
    Ok(match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_string(),
        DataType::Float16 => real(f64::from(array.as_primitive::<Float16Type>().value(row).to_f32()), true),
        DataType::Float32 => real32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => real(array.as_primitive::<Float64Type>().value(row), false),
        DataType::Timestamp(unit, of_zone) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, of_zone.clone());
            let array =
                if *unit == TimeUnit::Microsecond { array.clone() } else { converted(array, &micros)? };
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            timestamp(micros, of_zone.as_ref().map(|_| zone), separator)
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let array = converted(array, &DataType::Time64(TimeUnit::Microsecond))?;
            time(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Date32 | DataType::Date64 => {
            let array = converted(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let (date, before_christ) = date(array.as_primitive::<TimestampMicrosecondType>().value(row));
            if before_christ { format!("{date} BC") } else { date }
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            interval(value.months, value.days, value.nanoseconds / 1_000)
        }
        DataType::Duration(_) => {
            let array = converted(array, &DataType::Duration(TimeUnit::Microsecond))?;
            let micros = array.as_primitive::<DurationMicrosecondType>().value(row);
            let days = i32::try_from(micros / DAY_MICROS).map_err(|_| "a time longer than an interval")?;
            interval(0, days, micros % DAY_MICROS)
        }
        DataType::FixedSizeBinary(16) if is_uuid(field) => uuid(array.as_fixed_size_binary().value(row)),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row)),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row)),
        _ => array_value_to_string(array, row).map_err(|error| error.to_string())?,
    })
}

fn is_uuid(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.uuid")
}

fn converted(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, String> {
    cast(array, data_type).map_err(|error| error.to_string())
}

fn real32(value: f32) -> String {
    if value.is_finite() { scientific(&format!("{value:e}"), REAL_DIGITS) } else { special(f64::from(value)) }
}

fn real(value: f64, single: bool) -> String {
    let digits = if single { REAL_DIGITS } else { DOUBLE_DIGITS };
    if value.is_finite() { scientific(&format!("{value:e}"), digits) } else { special(value) }
}

fn special(value: f64) -> String {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
    .to_string()
}

/// From `-1.25e-7` to what PostgreSQL writes.
fn scientific(text: &str, digits_max: i32) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let all: String = digits.chars().filter(|c| *c != '.').collect();
    if !(-4..digits_max).contains(&exponent) {
        let point = if digits.contains('.') { "." } else { "" };
        let (first, rest) = all.split_at(1);
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("{sign}0.{}{all}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    };
    match all.len() {
        0 => String::new(),
        length if whole == 0 => format!("{sign}0.{}", &all[..length]),
        length if length <= whole => format!("{sign}{all}{}", "0".repeat(whole - length)),
        _ => format!("{sign}{}.{}", &all[..whole], &all[whole..]),
    }
}

/// The date of a moment, and whether it is before Christ.
fn date(micros: i64) -> (String, bool) {
    // Microseconds of 64 bits reach less far than days of 32.
    let days = i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX);
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    (format!("{year:04}-{month:02}-{day:02}"), before_christ)
}

fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if micros % 1_000_000 != 0 {
        let fraction = format!(".{:06}", micros % 1_000_000);
        text.push_str(fraction.trim_end_matches('0'));
    }
    text
}

fn timestamp(micros: i64, zone: Option<&str>, separator: char) -> String {
    let offset = zone.map(|zone| offset_seconds(micros, zone));
    let local = micros + offset.unwrap_or(0) * 1_000_000;
    let (date, before_christ) = date(local);
    let mut text = format!("{date}{separator}{}", time(local.rem_euclid(DAY_MICROS)));
    if let Some(offset) = offset {
        let sign = if offset < 0 { '-' } else { '+' };
        let seconds = offset.abs();
        let _ = write!(text, "{sign}{:02}", seconds / 3600);
        if separator == 'T' || seconds % 3600 != 0 {
            let _ = write!(text, ":{:02}", seconds / 60 % 60);
        }
    }
    if before_christ {
        text.push_str(" BC");
    }
    text
}

/// How far a zone is ahead of UTC at a moment: Arrow writes it at the end of the text.
fn offset_seconds(micros: i64, zone: &str) -> i64 {
    let one =
        arrow::array::TimestampSecondArray::from(vec![micros.div_euclid(1_000_000)]).with_timezone(zone);
    let text = array_value_to_string(&one, 0).unwrap_or_default();
    let Some(at) = text.rfind(['+', '-']).filter(|at| text.len() - at == 6) else { return 0 };
    let (sign, hours, minutes) = (&text[at..=at], &text[at + 1..at + 3], &text[at + 4..]);
    let seconds = hours.parse::<i64>().unwrap_or(0) * 3600 + minutes.parse::<i64>().unwrap_or(0) * 60;
    if sign == "-" { -seconds } else { seconds }
}

fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut text = String::new();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value != 0 {
            let space = if text.is_empty() { "" } else { " " };
            let plus = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            let _ = write!(text, "{space}{plus}{value} {unit}{plural}");
            after_negative = value < 0;
        }
    }
    if micros != 0 || text.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        let sign = if micros < 0 {
            "-"
        } else if after_negative {
            "+"
        } else {
            ""
        };
        let _ = write!(text, "{space}{sign}{}", time(micros.abs()));
    }
    text
}

fn uuid(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn bytes(value: &[u8]) -> String {
    value.iter().fold("\\x".to_string(), |text, byte| format!("{text}{byte:02x}"))
}

fn list(item: &Field, array: &ArrayRef, row: usize, zone: &str, vector: bool) -> Result<String, String> {
    let items = array.as_list::<i32>().value(row);
    let mut texts = Vec::with_capacity(items.len());
    for place in 0..items.len() {
        texts.push(match value(item, &items, place, zone)? {
            None => "NULL".to_string(),
            Some(text) => quoted_item(text),
        });
    }
    Ok(if vector { texts.join(" ") } else { format!("{{{}}}", texts.join(",")) })
}

fn quoted_item(text: String) -> String {
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',' | ' ' | '\t' | '\n' | '\r');
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value as `to_json` writes it.
fn json(field: &Field, array: &ArrayRef, row: usize, zone: &str) -> Result<String, String> {
    if array.is_null(row) {
        return Ok("null".to_string());
    }
    Ok(match array.data_type() {
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let members = fields.iter().zip(array.columns()).map(|(field, column)| {
                Ok(format!("{}:{}", string(field.name()), json(field, column, row, zone)?))
            });
            format!("{{{}}}", members.collect::<Result<Vec<_>, String>>()?.join(","))
        }
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            let values = (0..items.len()).map(|place| json(item, &items, place, zone));
            format!("[{}]", values.collect::<Result<Vec<_>, String>>()?.join(","))
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let fields = entries.fields();
            let members = (0..entries.len()).map(|place| {
                let key = json(&fields[0], keys, place, zone)?;
                let key = if key.starts_with('"') { key } else { string(&key) };
                Ok(format!("{key}:{}", json(&fields[1], values, place, zone)?))
            });
            format!("{{{}}}", members.collect::<Result<Vec<_>, String>>()?.join(","))
        }
        DataType::Union(..) => {
            let union = array.as_union();
            let child = union.value(row);
            json(&Field::new("", child.data_type().clone(), true), &child, 0, zone)?
        }
        DataType::Null => "null".to_string(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Utf8 | DataType::LargeUtf8 => {
            let text = array_value_to_string(array, row).map_err(|error| error.to_string())?;
            let is_json = field.metadata().get("tarn:type").is_some_and(|kind| kind == "json")
                || field.metadata().get("is_json").is_some_and(|mark| mark == "true");
            if is_json { text } else { string(&text) }
        }
        data_type => {
            let text = scalar(field, array, row, zone, 'T')?;
            let number = data_type.is_numeric() && text.ends_with(|c: char| c.is_ascii_digit());
            if number { text } else { string(&text) }
        }
    })
}

fn string(text: &str) -> String {
    serde_json::Value::String(text.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_postgresql_does() {
        let doubles = [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.25, "0.25"),
            (1e15, "1e+15"),
            (123_456_789.0, "123456789"),
            (1e14, "100000000000000"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
        ];
        for (value, expect) in doubles {
            assert_eq!(real(value, false), expect);
        }
        assert_eq!(real32(1e6), "1e+06");
        assert_eq!(timestamp(0, None, ' '), "1970-01-01 00:00:00");
        assert_eq!(timestamp(-1, None, ' '), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp(1_500_000, Some("+02:00"), ' '), "1970-01-01 02:00:01.5+02");
        assert_eq!(date(-62_167_219_200_000_001), ("0002-12-31".to_string(), true));
        assert_eq!(interval(14, -3, 1_500_000), "1 year 2 mons -3 days +00:00:01.5");
        assert_eq!(quoted_item("a b".to_string()), "\"a b\"");
    }
}
