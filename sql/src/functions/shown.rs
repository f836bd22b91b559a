//! The text of a value as PostgreSQL's output functions give it, and as they stand in JSON.

use std::fmt::Write;

use arrow::array::timezone::Tz;
use chrono::{Datelike, NaiveDate};

use super::datum::Datum;
use super::span::Clock;
use super::{decimal, moment_input};
use crate::error::{Error, Result};

const EPOCH_FROM_CE: i32 = 719_163;
const DAY: i64 = 86_400_000_000;

/// From these powers of ten on a number is written with an exponent, and below the last.
const FLOAT8_EXPONENT_FROM: i32 = 15;
const FLOAT4_EXPONENT_FROM: i32 = 6;
const EXPONENT_BELOW: i32 = -4;

/// The text of a value; that of NULL is empty. Times with a zone are shown in the session's.
pub fn text(datum: &Datum, zone: Tz) -> Result<String> {
    Ok(match datum {
        Datum::Null => String::new(),
        Datum::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
        Datum::Int(value) => value.to_string(),
        Datum::Real(value) => float4(*value),
        Datum::Float(value) => float8(*value),
        Datum::Numeric(value, scale) => decimal::shown(*value, *scale),
        Datum::Text(text) | Datum::Json(text) => text.to_string(),
        Datum::Bytes(bytes) => {
            let mut text = "\\x".to_owned();
            for byte in bytes.iter() {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
        Datum::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).to_string(),
        Datum::Date(days) => date(*days)?,
        Datum::Time(micros) => Clock(micros.unsigned_abs()).to_string(),
        Datum::Moment(micros) => moment(*micros, ' ', "")?,
        Datum::Instant(micros) => instant(*micros, ' ', zone)?,
        Datum::Span(span) => span.to_string(),
        Datum::List(elements) => list(elements, zone)?,
        Datum::Record(members) => record(members, zone)?,
    })
}

/// A number in the fewest digits that read back as the same.
pub fn float8(value: f64) -> String {
    match value.is_finite() {
        true => finite(&format!("{value:e}"), FLOAT8_EXPONENT_FROM),
        false => not_finite(value),
    }
}

pub fn float4(value: f32) -> String {
    match value.is_finite() {
        true => finite(&format!("{value:e}"), FLOAT4_EXPONENT_FROM),
        false => not_finite(value.into()),
    }
}

fn not_finite(value: f64) -> String {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    name.to_owned()
}

fn finite(scientific: &str, exponent_from: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (first, rest) = digits.split_once('.').unwrap_or((digits, ""));
    if !(EXPONENT_BELOW..exponent_from).contains(&exponent) {
        let point = if rest.is_empty() { "" } else { "." };
        let way = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{way}{:02}", exponent.abs());
    }
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            format!("{sign}0.{:0<zeros$}{first}{rest}", "")
        }
        Ok(whole) if rest.len() <= whole => format!("{sign}{first}{rest:0<whole$}"),
        Ok(whole) => format!("{sign}{first}{}.{}", &rest[..whole], &rest[whole..]),
    }
}

fn day(days: i64) -> Result<(String, &'static str)> {
    let day = i32::try_from(days).ok().and_then(|days| days.checked_add(EPOCH_FROM_CE));
    let day = day.and_then(NaiveDate::from_num_days_from_ce_opt);
    let day = day.ok_or_else(|| super::fault::overflow("date out of range"))?;
    let (year, era) = if day.year() > 0 { (day.year(), "") } else { (1 - day.year(), " BC") };
    Ok((format!("{year:04}-{:02}-{:02}", day.month(), day.day()), era))
}

fn date(days: i32) -> Result<String> {
    let (day, era) = day(days.into())?;
    Ok(format!("{day}{era}"))
}

fn moment(micros: i64, between: char, zone: &str) -> Result<String> {
    let (day, era) = day(micros.div_euclid(DAY))?;
    let clock = Clock(micros.rem_euclid(DAY).unsigned_abs());
    Ok(format!("{day}{between}{clock}{zone}{era}"))
}

fn instant(micros: i64, between: char, zone: Tz) -> Result<String> {
    let offset = moment_input::offset_seconds(micros, zone)?;
    let minutes = between == 'T';
    moment(micros + offset * 1_000_000, between, &offset_text(offset, minutes))
}

/// `+02`, `+05:30`; in JSON always with minutes.
pub fn offset_text(seconds: i64, minutes: bool) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let mut text = format!("{sign}{:02}", seconds / 3600);
    if minutes || seconds % 3600 != 0 {
        let _ = write!(text, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    text
}

fn list(elements: &[Datum], zone: Tz) -> Result<String> {
    let shown = elements.iter().map(|element| match element {
        Datum::Null => Ok("NULL".to_owned()),
        Datum::List(inner) => list(inner, zone),
        other => Ok(quoted_element(&text(other, zone)?)),
    });
    Ok(format!("{{{}}}", shown.collect::<Result<Vec<_>>>()?.join(",")))
}

fn quoted_element(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|character: char| "{}\",\\".contains(character) || character.is_whitespace());
    match plain {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn record(members: &[(String, Datum)], zone: Tz) -> Result<String> {
    let shown = members.iter().map(|(_, member)| match member {
        Datum::Null => Ok(String::new()),
        other => {
            let text = text(other, zone)?;
            let plain = !text.is_empty()
                && !text
                    .contains(|character: char| "()\",\\".contains(character) || character.is_whitespace());
            Ok(match plain {
                true => text,
                false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")),
            })
        }
    });
    Ok(format!("({})", shown.collect::<Result<Vec<_>>>()?.join(",")))
}

/// A value as JSON (`datum_to_json`): numbers and booleans as they are, times in ISO form, everything else as a string.
pub fn json(datum: &Datum, zone: Tz) -> Result<String> {
    Ok(match datum {
        Datum::Null => "null".to_owned(),
        Datum::Bool(value) => value.to_string(),
        Datum::Int(_) | Datum::Numeric(..) => text(datum, zone)?,
        Datum::Real(value) if value.is_finite() => float4(*value),
        Datum::Float(value) if value.is_finite() => float8(*value),
        Datum::Json(text) => text.to_string(),
        Datum::Moment(micros) => string(&moment(*micros, 'T', "")?),
        Datum::Instant(micros) => string(&instant(*micros, 'T', zone)?),
        Datum::List(elements) => {
            let elements = elements.iter().map(|element| json(element, zone)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", elements.join(","))
        }
        Datum::Record(members) => {
            let member =
                |(name, member): &(String, Datum)| Ok(format!("{}:{}", string(name), json(member, zone)?));
            let members = members.iter().map(member).collect::<Result<Vec<_>>>()?;
            format!("{{{}}}", members.join(","))
        }
        other => string(&text(other, zone)?),
    })
}

/// A JSON string, escaped as PostgreSQL does it.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The session's time zone, by its setting.
pub fn zone(name: Option<&str>) -> Result<Tz> {
    let name = name.unwrap_or("+00:00");
    moment_input::named_zone(name)
        .ok_or_else(|| Error::internal(format!("the session's time zone is {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::span::Span;

    /// The expected texts are what PostgreSQL 15 gives in the zone Europe/Berlin.
    #[test]
    fn values_are_written_as_postgresql_does() {
        let zone = zone(Some("Europe/Berlin")).expect("a zone");
        for (datum, expect) in [
            (Datum::Float(1e15), "1e+15"),
            (Datum::Float(0.1), "0.1"),
            (Datum::Float(1e-7), "1e-07"),
            (Datum::Float(123_456.789), "123456.789"),
            (Datum::Moment(1_704_164_645_000_000), "2024-01-02 03:04:05"),
            (Datum::Instant(1_719_835_200_500_000), "2024-07-01 14:00:00.5+02"),
            (Datum::Span(Span { days: 1, micros: 7_200_000_000, months: 0 }), "1 day 02:00:00"),
            (Datum::texts(["a", "b c", "", "null"]), "{a,\"b c\",\"\",\"null\"}"),
            (Datum::Bytes(vec![1, 0xab].into()), "\\x01ab"),
            (Datum::Numeric(-150, 2), "-1.50"),
        ] {
            assert_eq!(text(&datum, zone).expect("shown"), expect);
        }
        let json = |datum: Datum| json(&datum, zone).expect("shown");
        assert_eq!(json(Datum::Instant(1_719_835_200_000_000)), "\"2024-07-01T14:00:00+02:00\"");
        assert_eq!(json(Datum::Float(f64::NAN)), "\"NaN\"");
        assert_eq!(json(Datum::text("a\"b\n")), "\"a\\\"b\\n\"");
    }
}
