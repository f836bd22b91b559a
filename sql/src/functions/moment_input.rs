//! Reading dates and times in the forms that people write them in: `2024-01-02 03:04`, `2024-01-02T03:04:05Z`,
//! `Jan 2 2024`, `01/02/2024` (the style `ISO, MDY`), `20240102` (PostgreSQL 15, section 8.5.1).
//! What depends on the clock (`now`, `today`) and infinity are no values here.

use arrow::array::timezone::Tz;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Offset, TimeZone};

use super::fault;
use super::span::{DAY, HOUR, MINUTE};
use crate::error::Result;

/// A text taken apart.
#[derive(Debug, Default)]
struct Fields {
    date: Option<NaiveDate>,
    /// Microseconds since midnight, which 24:00 may be.
    time: Option<i64>,
    zone: Option<Zone>,
}

#[derive(Debug, Clone, Copy)]
enum Zone {
    /// Microseconds east of Greenwich.
    Offset(i64),
    Named(Tz),
}

/// Why a text is no date.
enum Fault {
    Syntax,
    /// It is spelled well.
    Range,
}

/// Most texts are `2024-01-02` or `2024-01-02 03:04:05`: they are read without being taken apart.
fn plain(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| {
        text.get(from..to)?.iter().try_fold(0u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let stands = |place: usize, byte: u8| text.get(place) == Some(&byte);
    if !(stands(4, b'-') && stands(7, b'-')) {
        return None;
    }
    let year = i32::try_from(number(0, 4)?).ok().filter(|year| *year > 0)?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let days = i64::from(date.num_days_from_ce() - EPOCH_FROM_CE) * DAY;
    if text.len() == 10 {
        return Some(days);
    }
    let clock = text.len() == 19 && stands(10, b' ') && stands(13, b':') && stands(16, b':');
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !clock || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days + i64::from(hour) * HOUR + i64::from(minute) * MINUTE + i64::from(second) * 1_000_000)
}

/// Days since 1970-01-01.
pub fn date(text: &str) -> Result<i32> {
    if let Some(micros) = plain(text.as_bytes()) {
        return i32::try_from(micros.div_euclid(DAY)).map_err(|_| fault::field_out_of_range(text));
    }
    let fields = read(text, "date")?;
    let day = fields.date.ok_or_else(|| fault::syntax("date", text))?;
    Ok(day.num_days_from_ce() - EPOCH_FROM_CE)
}

const EPOCH_FROM_CE: i32 = 719_163;

/// Microseconds since midnight.
pub fn time(text: &str) -> Result<i64> {
    read(text, "time")?.time.ok_or_else(|| fault::syntax("time", text))
}

/// Microseconds since 1970-01-01; a zone in the text is passed over, as in PostgreSQL.
pub fn moment(text: &str) -> Result<i64> {
    if let Some(micros) = plain(text.as_bytes()) {
        return Ok(micros);
    }
    let fields = read(text, "timestamp")?;
    local(&fields).ok_or_else(|| fault::syntax("timestamp", text))
}

/// Microseconds since 1970-01-01 00:00 UTC; without a zone in the text it is a time of the session's.
pub fn instant(text: &str, session: Tz) -> Result<i64> {
    let name = "timestamp with time zone";
    let fields = read(text, name)?;
    let local = local(&fields).ok_or_else(|| fault::syntax(name, text))?;
    match fields.zone {
        Some(Zone::Offset(micros)) => Ok(local - micros),
        Some(Zone::Named(zone)) => to_utc(local, zone),
        None => to_utc(local, session),
    }
}

fn local(fields: &Fields) -> Option<i64> {
    let days = i64::from(fields.date?.num_days_from_ce() - EPOCH_FROM_CE);
    days.checked_mul(DAY)?.checked_add(fields.time.unwrap_or(0))
}

/// The instant at which clocks of a zone show a time: of two the one in standard time, and what clocks pass over is
/// counted with the offset from before.
pub fn to_utc(local: i64, zone: Tz) -> Result<i64> {
    let naive = naive(local)?;
    let offset = match zone.offset_from_local_datetime(&naive) {
        chrono::LocalResult::Single(offset) => offset.fix(),
        chrono::LocalResult::Ambiguous(_, later) => later.fix(),
        chrono::LocalResult::None => {
            let before = naive - chrono::TimeDelta::hours(3);
            match zone.offset_from_local_datetime(&before).latest() {
                Some(offset) => offset.fix(),
                None => zone.offset_from_utc_datetime(&before).fix(),
            }
        }
    };
    Ok(local - i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// What clocks of a zone show at an instant.
pub fn to_local(utc: i64, zone: Tz) -> Result<i64> {
    Ok(utc + offset_seconds(utc, zone)? * 1_000_000)
}

/// Seconds east of Greenwich, of a zone at an instant.
pub fn offset_seconds(utc: i64, zone: Tz) -> Result<i64> {
    Ok(zone.offset_from_utc_datetime(&naive(utc)?).fix().local_minus_utc().into())
}

pub fn naive(micros: i64) -> Result<NaiveDateTime> {
    chrono::DateTime::from_timestamp_micros(micros)
        .map(|time| time.naive_utc())
        .ok_or_else(|| fault::overflow("timestamp out of range"))
}

fn read(text: &str, type_name: &str) -> Result<Fields> {
    let mut fields = Fields::default();
    match fill(&mut fields, text, type_name == "time") {
        Ok(()) => Ok(fields),
        Err(Fault::Range) => Err(fault::field_out_of_range(text)),
        Err(Fault::Syntax) => Err(fault::syntax(type_name, text)),
    }
}

fn fill(fields: &mut Fields, text: &str, time_only: bool) -> Result<(), Fault> {
    let upper = text.trim().to_uppercase();
    let mut words: Vec<&str> =
        upper.split(|character: char| character.is_whitespace() || character == ',').collect();
    words.retain(|word| !word.is_empty());
    let mut before_christ = false;
    let mut named = Vec::new();
    for word in words {
        match word {
            "BC" => before_christ = true,
            "AD" => {}
            "AM" | "PM" => fields.time = Some(half_day(fields.time.ok_or(Fault::Syntax)?, word == "PM")?),
            _ if word.contains(':') && !word.starts_with(['+', '-']) => timed(fields, word)?,
            _ if fields.date.is_none() && !time_only && numeric_date(fields, word)? => {}
            _ if fields.date.is_some() || fields.time.is_some() => {
                let zone = zone(word).ok_or(Fault::Syntax)?;
                fields.zone = Some(zone);
            }
            _ => named.push(word),
        }
        if named.len() == 3 && fields.date.is_none() {
            fields.date = Some(named_date(&named)?);
        }
    }
    if !named.is_empty() && named.len() != 3 {
        return Err(Fault::Syntax);
    }
    if before_christ && let Some(date) = fields.date {
        fields.date = Some(date.with_year(1 - date.year()).ok_or(Fault::Range)?);
    }
    Ok(())
}

/// `03:04:05.6+02`, alone or after a date and a T.
fn timed(fields: &mut Fields, word: &str) -> Result<(), Fault> {
    let word = match word.split_once('T') {
        Some((date, time)) if fields.date.is_none() && !date.is_empty() => {
            if !numeric_date(fields, date)? {
                return Err(Fault::Syntax);
            }
            time
        }
        _ => word.trim_start_matches('T'),
    };
    let end = word.find(|character: char| !(character.is_ascii_digit() || ":.".contains(character)));
    let (clock, rest) = word.split_at(end.unwrap_or(word.len()));
    fields.time = Some(clock_micros(clock)?);
    match rest {
        "" => {}
        "AM" | "PM" => fields.time = Some(half_day(fields.time.unwrap_or(0), rest == "PM")?),
        _ => fields.zone = Some(zone(rest).ok_or(Fault::Syntax)?),
    }
    Ok(())
}

fn clock_micros(clock: &str) -> Result<i64, Fault> {
    let mut parts = clock.split(':');
    let mut number = || parts.next().unwrap_or("0").parse::<f64>().map_err(|_| Fault::Syntax);
    let (hours, minutes, seconds) = (number()?, number()?, number()?);
    if parts.next().is_some() {
        return Err(Fault::Syntax);
    }
    let fits =
        (0.0..=24.0).contains(&hours) && (0.0..60.0).contains(&minutes) && (0.0..=60.0).contains(&seconds);
    if !fits || (hours >= 24.0 && (minutes > 0.0 || seconds > 0.0)) {
        return Err(Fault::Range);
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked: at most a day")]
    let micros = (hours as i64 * HOUR) + (minutes as i64 * MINUTE) + (seconds * 1e6).round_ties_even() as i64;
    Ok(micros)
}

fn half_day(micros: i64, afternoon: bool) -> Result<i64, Fault> {
    let noon = 12 * HOUR;
    if micros >= 13 * HOUR {
        return Err(Fault::Range);
    }
    let within = micros % noon;
    Ok(if afternoon { within + noon } else { within })
}

/// `2024-01-02`, `2024-01-02+02`, `01/02/2024`, `20240102`, `2024.034`; false for what is no date of digits.
fn numeric_date(fields: &mut Fields, word: &str) -> Result<bool, Fault> {
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(false);
    }
    let end = word.find(|character: char| !(character.is_ascii_alphanumeric() || "-/.".contains(character)));
    let (date, rest) = word.split_at(end.unwrap_or(word.len()));
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let number = |text: &str| text.parse::<i32>().ok();
    let parsed = match parts.as_slice() {
        [digits] if digits.len() == 8 => (number(&digits[..4]), number(&digits[4..6]), number(&digits[6..])),
        [digits] if digits.len() == 6 => {
            (number(&digits[..2]).map(full_year), number(&digits[2..4]), number(&digits[4..]))
        }
        [year, month, day] if year.len() > 2 => (number(year), month_number(month), number(day)),
        [month, day, year]
            if number(month).is_some() && month_number(day).is_some() && number(day).is_none() =>
        {
            (number(year).map(|year_number| short_year(year, year_number)), month_number(day), number(month))
        }
        [month, day, year] => {
            (number(year).map(|year_number| short_year(year, year_number)), number(month), number(day))
        }
        _ => return Ok(false),
    };
    let (Some(year), Some(month), Some(day)) = parsed else { return Err(Fault::Syntax) };
    fields.date = Some(calendar_date(year, month, day)?);
    if !rest.is_empty() {
        fields.zone = Some(zone(rest).ok_or(Fault::Syntax)?);
    }
    Ok(true)
}

fn calendar_date(year: i32, month: i32, day: i32) -> Result<NaiveDate, Fault> {
    let parts = (u32::try_from(month), u32::try_from(day));
    let (Ok(month), Ok(day)) = parts else { return Err(Fault::Range) };
    if year == 0 {
        return Err(Fault::Range);
    }
    NaiveDate::from_ymd_opt(year, month, day).ok_or(Fault::Range)
}

fn full_year(year: i32) -> i32 {
    if year < 70 { year + 2000 } else { year + 1900 }
}

fn short_year(text: &str, year: i32) -> i32 {
    if text.len() <= 2 { full_year(year) } else { year }
}

/// A month by its number or its name.
fn month_number(text: &str) -> Option<i32> {
    const NAMES: [&str; 12] = [
        "JANUARY",
        "FEBRUARY",
        "MARCH",
        "APRIL",
        "MAY",
        "JUNE",
        "JULY",
        "AUGUST",
        "SEPTEMBER",
        "OCTOBER",
        "NOVEMBER",
        "DECEMBER",
    ];
    if let Ok(number) = text.parse::<i32>() {
        return Some(number);
    }
    let named = NAMES.iter().position(|name| *name == text || (text.len() == 3 && name.starts_with(text)));
    let named = named.or_else(|| (text == "SEPT").then_some(8))?;
    i32::try_from(named + 1).ok()
}

/// `JAN 2 2024`, `2 JAN 2024`
fn named_date(words: &[&str]) -> Result<NaiveDate, Fault> {
    let name = words.iter().position(|word| word.parse::<i32>().is_err() && month_number(word).is_some());
    let name = name.ok_or(Fault::Syntax)?;
    let month = month_number(words[name]).ok_or(Fault::Syntax)?;
    let numbers: Vec<&str> =
        words.iter().enumerate().filter(|(place, _)| *place != name).map(|(_, word)| *word).collect();
    let [first, second] = numbers.as_slice() else { return Err(Fault::Syntax) };
    let (day, year) = if first.len() > 2 { (second, first) } else { (first, second) };
    let number = |text: &str| text.parse::<i32>().map_err(|_| Fault::Syntax);
    calendar_date(short_year(year, number(year)?), month, number(day)?)
}

/// `Z`, `UTC`, `+02`, `-0530`, `+05:30`, `EUROPE/BERLIN`.
fn zone(word: &str) -> Option<Zone> {
    if ["Z", "UTC", "GMT"].contains(&word) {
        return Some(Zone::Offset(0));
    }
    let Some(digits) = word.strip_prefix(['+', '-']) else { return named_zone(word).map(Zone::Named) };
    let plain: String = digits.chars().filter(|character| *character != ':').collect();
    let number = |text: Option<&str>| text.unwrap_or("0").parse::<i64>().ok();
    let (hours, minutes) = match (plain.len(), digits.contains(':')) {
        (1..=2, _) => (number(Some(&plain))?, 0),
        (3, false) => (number(plain.get(..1))?, number(plain.get(1..))?),
        (3 | 4, _) => (number(plain.get(..plain.len() - 2))?, number(plain.get(plain.len() - 2..))?),
        _ => return None,
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    let micros = hours * HOUR + minutes * MINUTE;
    Some(Zone::Offset(if word.starts_with('-') { -micros } else { micros }))
}

/// A zone of the IANA database in any case, or an abbreviation that means one offset.
pub fn named_zone(name: &str) -> Option<Tz> {
    if let Ok(zone) = name.parse::<Tz>() {
        return Some(zone);
    }
    let offset = match name.to_uppercase().as_str() {
        "UTC" | "GMT" | "Z" | "ZULU" => "+00:00",
        "EST" => "-05:00",
        "EDT" | "AST" => "-04:00",
        "CST" => "-06:00",
        "CDT" => "-05:00",
        "MST" => "-07:00",
        "MDT" => "-06:00",
        "PST" => "-08:00",
        "PDT" => "-07:00",
        "CET" => "+01:00",
        "CEST" | "EET" => "+02:00",
        "EEST" | "MSK" => "+03:00",
        "BST" => "+01:00",
        "JST" => "+09:00",
        _ => {
            let words = name.split('/').map(|part| {
                let pieces = part.split('_').map(capitalized).collect::<Vec<_>>();
                pieces.join("_")
            });
            return words.collect::<Vec<_>>().join("/").parse().ok();
        }
    };
    offset.parse().ok()
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}
