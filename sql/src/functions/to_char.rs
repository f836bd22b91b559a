//! `to_char` of dates and times, with PostgreSQL's patterns (its manual, table 9.26). Text between double quotes and
//! characters that are no pattern stand for themselves.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDateTime, TimeZone, Timelike};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

pub fn to_char() -> ScalarUDF {
    ScalarUDF::new_from_impl(ToChar { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    signature: Signature,
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = arguments else { return plan_err!("to_char takes a value and a pattern") };
        let zone = match value {
            DataType::Date32 | DataType::Date64 | DataType::Null | DataType::Timestamp(_, None) => None,
            DataType::Timestamp(_, zone) => zone.clone(),
            other => return plan_err!("to_char of {other} is not supported; dates and timestamps are"),
        };
        Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone), DataType::Utf8])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = call.args[0].to_array(call.number_rows)?;
        let patterns = call.args[1].to_array(call.number_rows)?;
        let zone = match values.data_type() {
            DataType::Timestamp(_, Some(zone)) => Some(zone.parse::<Tz>()?),
            _ => None,
        };
        let texts = format_all(&values, patterns.as_string(), zone)?;
        Ok(ColumnarValue::Array(texts))
    }
}

fn format_all(values: &ArrayRef, patterns: &StringArray, zone: Option<Tz>) -> Result<ArrayRef> {
    let values = values.as_primitive::<TimestampMicrosecondType>();
    let mut builder = StringBuilder::new();
    // Most often one pattern serves all rows.
    let mut last: Option<(&str, Vec<Part>)> = None;
    for row in 0..values.len() {
        if values.is_null(row) || patterns.is_null(row) {
            builder.append_null();
            continue;
        }
        let pattern = patterns.value(row);
        let parts = match last.take() {
            Some((text, parts)) if text == pattern => parts,
            _ => read_pattern(pattern),
        };
        builder.append_value(format_one(local_time(values.value(row), zone)?, &parts));
        last = Some((pattern, parts));
    }
    Ok(Arc::new(builder.finish()))
}

fn local_time(micros: i64, zone: Option<Tz>) -> Result<NaiveDateTime> {
    let time = chrono::DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| exec_datafusion_err!("timestamp out of range"))?
        .naive_utc();
    Ok(zone.map_or(time, |zone| zone.from_utc_datetime(&time).naive_local()))
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// A pattern by its upper-case name, as it was spelled, and whether padding is left out (`FM`).
    Field {
        name: &'static str,
        spelled: String,
        fill: bool,
    },
}

/// The patterns, longest first where one starts another.
const FIELDS: [&str; 32] = [
    "YYYY", "YYY", "IYYY", "YY", "Y", "MONTH", "MON", "MM", "MI", "MS", "US", "DAY", "DY", "DDD", "DD", "D",
    "HH24", "HH12", "HH", "SSSS", "SS", "IW", "ID", "WW", "W", "Q", "AM", "PM", "CC", "J", "A.M.", "P.M.",
];

fn read_pattern(pattern: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut rest, mut fill) = (pattern, true);
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            push_text(&mut parts, &quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or("");
        } else if rest.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("FM")) {
            fill = false;
            rest = &rest[2..];
        } else if let Some(name) = FIELDS.into_iter().find(|name| starts_with(rest, name)) {
            let (spelled, tail) = rest.split_at(name.len());
            parts.push(Part::Field { name, spelled: spelled.to_string(), fill });
            (rest, fill) = (tail, true);
        } else {
            push_text(&mut parts, &rest[..first.len_utf8()]);
            rest = &rest[first.len_utf8()..];
        }
    }
    parts
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(name))
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_string())),
    }
}

fn format_one(time: NaiveDateTime, parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Field { name, spelled, fill } => put_field(&mut out, time, name, spelled, *fill),
        }
    }
    out
}

fn put_field(out: &mut String, time: NaiveDateTime, name: &str, spelled: &str, fill: bool) {
    let week = time.iso_week();
    let (number, width): (i64, usize) = match name {
        "YYYY" => (time.year().into(), 4),
        "YYY" => ((time.year() % 1000).into(), 3),
        "YY" => ((time.year() % 100).into(), 2),
        "Y" => ((time.year() % 10).into(), 1),
        "IYYY" => (week.year().into(), 4),
        "MM" => (time.month().into(), 2),
        "DD" => (time.day().into(), 2),
        "DDD" => (time.ordinal().into(), 3),
        "D" => (i64::from(time.weekday().number_from_sunday()), 1),
        "ID" => (i64::from(time.weekday().number_from_monday()), 1),
        "IW" => (week.week().into(), 2),
        "WW" => ((time.ordinal0() / 7 + 1).into(), 2),
        "W" => ((time.day0() / 7 + 1).into(), 1),
        "Q" => ((time.month0() / 3 + 1).into(), 1),
        "CC" => (((time.year() + 99) / 100).into(), 2),
        "J" => (i64::from(time.num_days_from_ce()) + 1_721_425, 1),
        "HH24" => (time.hour().into(), 2),
        "HH12" | "HH" => (time.hour12().1.into(), 2),
        "MI" => (time.minute().into(), 2),
        "SS" => (time.second().into(), 2),
        "SSSS" => (time.num_seconds_from_midnight().into(), 1),
        "MS" => ((time.nanosecond() / 1_000_000).into(), 3),
        "US" => ((time.nanosecond() / 1_000).into(), 6),
        word => return put_word(out, time, word, spelled, fill),
    };
    // Writing to a String cannot fail.
    let _ = if fill { write!(out, "{number:0width$}") } else { write!(out, "{number}") };
}

/// Names are spelled as the pattern is (`MONTH`, `Month`, `month`), and full names filled up to nine characters.
fn put_word(out: &mut String, time: NaiveDateTime, name: &str, spelled: &str, fill: bool) {
    let word = match name {
        "MONTH" => time.format("%B").to_string(),
        "MON" => time.format("%b").to_string(),
        "DAY" => time.format("%A").to_string(),
        "DY" => time.format("%a").to_string(),
        "A.M." | "P.M." => if time.hour() < 12 { "A.M." } else { "P.M." }.to_string(),
        _ => if time.hour() < 12 { "AM" } else { "PM" }.to_string(),
    };
    let first_lower = spelled.chars().next().is_some_and(char::is_lowercase);
    let rest_lower = spelled.chars().nth(1).is_some_and(char::is_lowercase);
    let word = match (first_lower, rest_lower) {
        (true, _) => word.to_lowercase(),
        (false, true) => word,
        (false, false) => word.to_uppercase(),
    };
    let width = if fill && matches!(name, "MONTH" | "DAY") { 9 } else { 0 };
    let _ = write!(out, "{word:width$}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expect: &str) {
        let time = chrono::NaiveDate::from_ymd_opt(2024, 2, 3)
            .and_then(|date| date.and_hms_micro_opt(16, 5, 6, 7008));
        assert_eq!(format_one(time.expect("a time"), &read_pattern(pattern)), expect, "{pattern}");
    }

    /// The expected texts are what PostgreSQL 15 gives for timestamp '2024-02-03 16:05:06.007008'.
    #[test]
    fn patterns_of_postgresql() {
        check("YYYY-MM-DD HH24:MI:SS.US", "2024-02-03 16:05:06.007008");
        check("DD/MM/YY HH12:MI AM", "03/02/24 04:05 PM");
        check(
            "Month|MONTH|month|Mon|MON|Dy|DAY|Day",
            "February |FEBRUARY |february |Feb|FEB|Sat|SATURDAY |Saturday ",
        );
        check("FMMonth FMDD, YYYY", "February 3, 2024");
        check("\"year\" YYYY \"Q\"Q", "year 2024 Q1");
        check("DDD D ID IW IYYY WW W J MS SSSS", "034 7 6 05 2024 05 1 2460344 007 57906");
        check("HH:MI:SS p.m.", "04:05:06 p.m.");
    }
}
