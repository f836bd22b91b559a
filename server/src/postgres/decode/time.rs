//! Dates and times of parameters, in the ISO forms that clients send, and in binary.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, Date32Array, Date64Array, Int32Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, Offset, TimeZone};

use super::super::encode::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use super::{Report, Result, bad_binary, bad_text, unsupported};

const DAY_MICROS: i64 = 86_400_000_000;

pub fn date_text(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    // A time behind the date is dropped, as PostgreSQL does.
    let (moment, before_christ) = split_era(text.trim());
    let (day, _) = split_date(moment);
    let days = date_days(day, before_christ).ok_or_else(|| bad_moment(data_type, text))?;
    date(data_type, days).ok_or_else(|| bad_moment(data_type, text))?
}

pub fn date_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let days = <[u8; 4]>::try_from(value).map_err(|_| bad_binary(data_type, value))?;
    let days = i64::from(i32::from_be_bytes(days)) + PG_EPOCH_DAYS;
    date(data_type, days).unwrap_or_else(|| Err(bad_binary(data_type, value)))
}

fn date(data_type: &DataType, days: i64) -> Option<Result<ArrayRef>> {
    Some(Ok(match data_type {
        DataType::Date32 => Arc::new(Date32Array::from(vec![i32::try_from(days).ok()?])),
        DataType::Date64 => Arc::new(Date64Array::from(vec![days.checked_mul(86_400_000)?])),
        other => return Some(Err(unsupported(other))),
    }))
}

pub fn time_text(data_type: &DataType, text: &str) -> Result<ArrayRef> {
    let micros = day_micros(text.trim()).ok_or_else(|| bad_moment(data_type, text))?;
    time(data_type, micros)
}

pub fn time_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let micros = <[u8; 8]>::try_from(value).map(i64::from_be_bytes).ok();
    let micros = micros.filter(|micros| (0..=DAY_MICROS).contains(micros));
    time(data_type, micros.ok_or_else(|| bad_binary(data_type, value))?)
}

fn time(data_type: &DataType, micros: i64) -> Result<ArrayRef> {
    let array: ArrayRef = match data_type {
        DataType::Time32(TimeUnit::Second) => Arc::new(Int32Array::from(vec![narrow(micros / 1_000_000)])),
        DataType::Time32(_) => Arc::new(Int32Array::from(vec![narrow(micros / 1_000)])),
        DataType::Time64(TimeUnit::Nanosecond) => Arc::new(Int64Array::from(vec![micros * 1_000])),
        _ => Arc::new(Int64Array::from(vec![micros])),
    };
    cast(&array, data_type).map_err(|_| unsupported(data_type))
}

fn narrow(value: i64) -> i32 {
    i32::try_from(value).expect("a day has fewer milliseconds than 32 bits hold")
}

pub fn timestamp_text(data_type: &DataType, text: &str, zone: Tz) -> Result<ArrayRef> {
    let bad = || bad_moment(data_type, text);
    let (moment, before_christ) = split_era(text.trim());
    let (date, rest) = split_date(moment);
    let (time, offset) = split_zone(rest);
    let days = date_days(date, before_christ).ok_or_else(bad)?;
    let of_day = if time.is_empty() { 0 } else { day_micros(time).ok_or_else(bad)? };
    let local = days.checked_mul(DAY_MICROS).and_then(|micros| micros.checked_add(of_day)).ok_or_else(bad)?;
    let with_zone = matches!(data_type, DataType::Timestamp(_, Some(_)));
    let micros = match (with_zone, offset) {
        // Without a time zone in the type, one in the text is ignored, as PostgreSQL does.
        (false, _) => local,
        (true, "") => to_utc(local, zone).ok_or_else(bad)?,
        (true, offset) => zone_micros(local, offset).ok_or_else(bad)?,
    };
    timestamp(data_type, micros).ok_or_else(bad)?
}

pub fn timestamp_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let micros = <[u8; 8]>::try_from(value).map(i64::from_be_bytes).ok();
    let micros = micros.and_then(|micros| micros.checked_add(PG_EPOCH_MICROS));
    let micros = micros.ok_or_else(|| bad_binary(data_type, value))?;
    timestamp(data_type, micros).ok_or_else(|| bad_binary(data_type, value))?
}

fn timestamp(data_type: &DataType, micros: i64) -> Option<Result<ArrayRef>> {
    let DataType::Timestamp(unit, _) = data_type else { return Some(Err(unsupported(data_type))) };
    let value = match unit {
        TimeUnit::Second => micros.div_euclid(1_000_000),
        TimeUnit::Millisecond => micros.div_euclid(1_000),
        TimeUnit::Microsecond => micros,
        TimeUnit::Nanosecond => micros.checked_mul(1_000)?,
    };
    let array: ArrayRef = Arc::new(Int64Array::from(vec![value]));
    Some(cast(&array, data_type).map_err(|_| unsupported(data_type)))
}

/// The moment without its era, and whether that is before year 1.
fn split_era(text: &str) -> (&str, bool) {
    match text.strip_suffix("BC").or_else(|| text.strip_suffix("bc")) {
        Some(moment) => (moment.trim_end(), true),
        None => (text, false),
    }
}

/// The date, and what follows it after a space or a `T`.
fn split_date(text: &str) -> (&str, &str) {
    text.split_once([' ', 'T', 't']).map_or((text, ""), |(date, rest)| (date, rest.trim_start()))
}

/// The time of day, and the zone: an offset, `Z`, or a name after a space.
fn split_zone(text: &str) -> (&str, &str) {
    let time_chars = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
    let end = text.find(|c| !time_chars(c)).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// Days since 1970-01-01 of `2024-01-31` or `20240131`.
fn date_days(text: &str, before_christ: bool) -> Option<i64> {
    let (year, month, day) = match text.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] if year.len() >= 4 => (year, month, day),
        [whole] if whole.len() == 8 => (whole.get(..4)?, whole.get(4..6)?, whole.get(6..)?),
        _ => return None,
    };
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let year = i32::try_from(digits(year)?).ok().filter(|year| *year > 0)?;
    // The year before year 1 is 1 BC.
    let year = if before_christ { 1 - year } else { year };
    let date = NaiveDate::from_ymd_opt(year, digits(month)?, digits(day)?)?;
    Some(i64::from(date.to_epoch_days()))
}

/// Microseconds since midnight of `12:34`, `12:34:56` or `12:34:56.789`.
fn day_micros(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hours = number(parts.next()?, 24)?;
    let minutes = number(parts.next()?, 59)?;
    let (seconds, fraction) =
        parts.next().map_or(("0", ""), |part| part.split_once('.').unwrap_or((part, "")));
    let seconds = number(seconds, 60)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What is finer than a microsecond is rounded.
    let micros = (format!("{fraction:0<7}").get(..7)?.parse::<i64>().ok()? + 5) / 10;
    let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    (total <= DAY_MICROS).then_some(total)
}

fn number(text: &str, max: i64) -> Option<i64> {
    let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>().ok().filter(|value| plain && *value <= max)
}

/// A local time with an offset (`+02`, `-0330`, `+05:30`, `Z`) or a zone's name, in UTC.
fn zone_micros(local: i64, zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") || zone.eq_ignore_ascii_case("utc") {
        return Some(local);
    }
    let Some(unsigned) = zone.strip_prefix(['+', '-']) else {
        return to_utc(local, zone.parse::<Tz>().ok()?);
    };
    let (hours, minutes, seconds) = match unsigned.split(':').collect::<Vec<_>>()[..] {
        [joined] if joined.len() == 4 => (joined.get(..2)?, joined.get(2..)?, "0"),
        [hours] => (hours, "0", "0"),
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let offset = (number(hours, 15)? * 60 + number(minutes, 59)?) * 60 + number(seconds, 59)?;
    let ahead = if zone.starts_with('-') { -offset } else { offset };
    local.checked_sub(ahead * 1_000_000)
}

/// A local time of a zone in UTC: of two moments that the clock shows the same for, the one before the change; a time
/// that the clock skips is taken with the offset before the change, as PostgreSQL does.
fn to_utc(local: i64, zone: Tz) -> Option<i64> {
    let naive = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).map(|utc| utc.naive_utc());
    let offset_of = |naive: &NaiveDateTime| {
        zone.offset_from_local_datetime(naive).earliest().map(|offset| offset.fix().local_minus_utc())
    };
    let hours_before = |hours: i64| naive(local.checked_sub(hours * 3_600_000_000)?);
    let ahead = offset_of(&naive(local)?).or_else(|| offset_of(&hours_before(3)?))?;
    local.checked_sub(i64::from(ahead) * 1_000_000)
}

fn bad_moment(data_type: &DataType, text: &str) -> Report {
    let report = bad_text(data_type, text);
    // PostgreSQL tells text that is no date from a date that does not exist.
    let report = match text.trim().starts_with(|c: char| c.is_ascii_digit()) {
        true => Report::new("22008", format!("date/time field value out of range: \"{text}\"")),
        false => Report { sqlstate: "22007", ..report },
    };
    report.with_hint("Use the ISO form, such as 2024-01-31 or 2024-01-31 12:34:56+00.")
}
