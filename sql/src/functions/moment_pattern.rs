//! `to_date` and `to_timestamp` of a text by a pattern (`time_pattern.rs`), as lenient as PostgreSQL about what stands
//! between the fields (`formatting.c`: `DCH_from_char`, `do_to_timestamp`).

use arrow::array::timezone::Tz;
use chrono::{Datelike, NaiveDate, Weekday};

use super::span::{DAY, HOUR, MINUTE, SECOND};
use super::time_pattern::{self, Field, Part};
use super::{fault, moment_input};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// What was read, field by field.
#[derive(Debug, Default)]
pub struct Read {
    text: String,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    century: Option<i64>,
    hour: i64,
    half_days: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    before_christ: bool,
    /// Seconds east of Greenwich.
    zone_hours: Option<i64>,
    zone_minutes: i64,
    zone_west: bool,
}

/// The names of months.
pub const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads a text by a pattern.
pub fn read(text: &str, pattern: &str) -> Result<Read> {
    let parts = time_pattern::read(pattern);
    let mut read = Read { text: text.to_owned(), ..Read::default() };
    let mut rest = text;
    for (place, part) in parts.iter().enumerate() {
        match part {
            Part::Text(character, quoted) => rest = pass(rest, *character, *quoted),
            Part::Field(field) => {
                rest = rest.trim_start();
                if rest.is_empty() {
                    break;
                }
                let open = field.ordinal.is_some() || !field.fill || ends_number(parts.get(place + 1));
                rest = read.field(field, rest, open)?;
                if field.ordinal.is_some() {
                    rest = rest.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
                }
            }
        }
    }
    Ok(read)
}

/// What stands for itself takes a character of the text; a separator only one that is none of a value.
fn pass(rest: &str, character: char, quoted: bool) -> &str {
    let mut characters = rest.chars();
    match characters.next() {
        Some(next) if quoted || character.is_alphanumeric() || !next.is_alphanumeric() => {
            // A sign before a number is part of it.
            let sign = !quoted && character == ' ' && (next == '+' || next == '-');
            if sign { rest } else { characters.as_str() }
        }
        _ => rest,
    }
}

/// Whether a number reaches as far as there are digits, because no other follows.
fn ends_number(next: Option<&Part>) -> bool {
    match next {
        None => true,
        Some(Part::Text(character, _)) => !character.is_ascii_digit(),
        Some(Part::Field(field)) => {
            ["MONTH", "MON", "DAY", "DY", "AM", "PM", "A.M.", "P.M.", "AD", "BC", "A.D.", "B.C.", "RM", "TZ"]
                .contains(&field.name)
        }
    }
}

fn invalid(text: &str, field: &Field) -> Error {
    let shown: String = text.chars().take(field.name.len().max(3)).collect();
    let message = format!("invalid value \"{shown}\" for \"{}\"", field.spelled);
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

impl Read {
    /// Reads one field and gives what is left.
    fn field<'t>(&mut self, field: &Field, rest: &'t str, open: bool) -> Result<&'t str> {
        if let Some(tail) = self.word(field, rest)? {
            return Ok(tail);
        }
        let width = match field.name {
            "Y" | "Q" | "W" | "D" | "ID" | "I" | "FF1" => 1,
            "YYY" | "IYY" | "DDD" | "IDDD" | "MS" | "FF3" => 3,
            "YYYY" | "IYYY" | "FF4" => 4,
            "SSSS" | "SSSSS" | "FF5" => 5,
            "US" | "FF6" => 6,
            "J" | "Y,YYY" => 7,
            _ => 2,
        };
        let (number, digits, tail) = number(rest, field, width, open)?;
        self.take(field, number, digits);
        Ok(tail)
    }

    fn take(&mut self, field: &Field, number: i64, digits: usize) {
        match field.name {
            "YYYY" | "Y,YYY" => self.year = Some(number),
            "YYY" | "YY" | "Y" => self.year = Some(if digits < 4 { near_2020(number) } else { number }),
            "IYYY" => self.iso_year = Some(number),
            "IYY" | "IY" | "I" => self.iso_year = Some(near_2020(number)),
            "MM" => self.month = Some(number),
            "DD" => self.day = Some(number),
            "DDD" => self.day_of_year = Some(number),
            "IDDD" => {
                (self.iso_week, self.iso_day) = (Some((number - 1) / 7 + 1), Some((number - 1) % 7 + 1))
            }
            "IW" => self.iso_week = Some(number),
            "WW" => self.day_of_year = Some((number - 1) * 7 + 1),
            "W" => self.day = Some((number - 1) * 7 + 1),
            "ID" => self.iso_day = Some(number),
            "J" => self.julian = Some(number),
            "CC" => self.century = Some(number),
            "HH24" => self.hour = number,
            "HH12" | "HH" => (self.hour, self.half_days) = (number, true),
            "MI" => self.minute = number,
            "SS" => self.second = number,
            "SSSS" | "SSSSS" => {
                (self.hour, self.minute, self.second) = (number / 3600, number / 60 % 60, number % 60);
            }
            "TZH" => self.zone_hours = Some(number),
            "TZM" => self.zone_minutes = number,
            "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let missing = u32::try_from(6usize.saturating_sub(digits)).unwrap_or(0);
                self.micros = number.saturating_mul(10i64.pow(missing));
            }
            // The quarter and the day of the week say nothing that is needed.
            _ => {}
        }
    }

    /// Fields that are words; None for the others.
    fn word<'t>(&mut self, field: &Field, rest: &'t str) -> Result<Option<&'t str>> {
        const DAYS: [&str; 7] =
            ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
        const ROMAN: [&str; 12] = ["xii", "xi", "x", "ix", "viii", "vii", "vi", "v", "iv", "iii", "ii", "i"];
        let lower = rest.to_lowercase();
        let find = |names: &[&'static str], short: bool| {
            names.iter().enumerate().find_map(|(place, name)| {
                let name = if short { name.get(..3).unwrap_or(name) } else { name };
                lower.starts_with(name).then_some((place, name.len()))
            })
        };
        let found = match field.name {
            "MONTH" | "MON" => {
                let found = find(&MONTHS, field.name == "MON").ok_or_else(|| invalid(rest, field))?;
                self.month = i64::try_from(found.0 + 1).ok();
                found.1
            }
            "DAY" | "DY" => find(&DAYS, field.name == "DY").ok_or_else(|| invalid(rest, field))?.1,
            "RM" => {
                let found = find(&ROMAN, false).ok_or_else(|| invalid(rest, field))?;
                self.month = i64::try_from(12 - found.0).ok();
                found.1
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let found = find(&["am", "pm", "a.m.", "p.m."], false).ok_or_else(|| invalid(rest, field))?;
                (self.afternoon, self.half_days) = (Some(found.0 % 2 == 1), true);
                found.1
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let found = find(&["ad", "bc", "a.d.", "b.c."], false).ok_or_else(|| invalid(rest, field))?;
                self.before_christ = found.0 % 2 == 1;
                found.1
            }
            "TZH" => {
                self.zone_west = rest.starts_with('-');
                let digits = rest.trim_start_matches(['+', '-']);
                let (hours, _, tail) = number(digits, field, 2, false)?;
                self.zone_hours = Some(hours);
                return Ok(Some(tail));
            }
            "TZ" | "OF" => {
                let message = format!("formatting field \"{}\" is only supported in to_char", field.spelled);
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            _ => return Ok(None),
        };
        Ok(Some(&rest[found..]))
    }

    fn wrong(&self) -> Error {
        fault::field_out_of_range(&self.text)
    }

    fn day(&self) -> Result<NaiveDate> {
        let narrow = |value: i64| u32::try_from(value).map_err(|_| self.wrong());
        if let Some(julian) = self.julian {
            let days = i32::try_from(julian - 1_721_425).map_err(|_| self.wrong())?;
            return NaiveDate::from_num_days_from_ce_opt(days).ok_or_else(|| self.wrong());
        }
        if let Some(year) = self.iso_year {
            let year = i32::try_from(year).map_err(|_| self.wrong())?;
            let weekday =
                Weekday::try_from(u8::try_from(self.iso_day.unwrap_or(1) - 1).map_err(|_| self.wrong())?);
            let week = narrow(self.iso_week.unwrap_or(1))?;
            let day = weekday.ok().and_then(|weekday| NaiveDate::from_isoywd_opt(year, week, weekday));
            return day.ok_or_else(|| self.wrong());
        }
        let year = match (self.year, self.century) {
            (Some(year), _) if self.before_christ => 1 - year,
            (Some(0), _) => return Err(self.wrong()),
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            // Without a year it is the first before Christ.
            (None, None) => 0,
        };
        let year = i32::try_from(year).map_err(|_| self.wrong())?;
        let day = match self.day_of_year.filter(|_| self.month.is_none()) {
            Some(ordinal) => NaiveDate::from_yo_opt(year, narrow(ordinal)?),
            None => NaiveDate::from_ymd_opt(
                year,
                narrow(self.month.unwrap_or(1))?,
                narrow(self.day.unwrap_or(1))?,
            ),
        };
        day.ok_or_else(|| self.wrong())
    }

    fn clock(&self) -> Result<i64> {
        let mut hour = self.hour;
        if self.half_days {
            if !(1..=12).contains(&hour) && hour != 0 {
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
                    .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + if self.afternoon == Some(true) { 12 } else { 0 };
            if self.afternoon.is_none() && self.hour == 12 {
                hour = 0;
            }
        }
        if !(0..24).contains(&hour) || !(0..60).contains(&self.minute) || !(0..60).contains(&self.second) {
            return Err(self.wrong());
        }
        Ok(hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.micros)
    }

    /// Days since 1970-01-01.
    pub fn date(&self) -> Result<i32> {
        self.clock()?;
        Ok(self.day()?.num_days_from_ce() - 719_163)
    }

    /// Microseconds since 1970-01-01 00:00 UTC.
    pub fn instant(&self, session: Tz) -> Result<i64> {
        let local = i64::from(self.day()?.num_days_from_ce() - 719_163) * DAY + self.clock()?;
        match self.zone_hours {
            Some(hours) => {
                let east = hours.abs() * HOUR + self.zone_minutes * MINUTE;
                Ok(if self.zone_west { local + east } else { local - east })
            }
            None => moment_input::to_utc(local, session),
        }
    }
}

/// A number of at most so many digits, unless it is open; how many there were, and what is left.
fn number<'t>(rest: &'t str, field: &Field, width: usize, open: bool) -> Result<(i64, usize, &'t str)> {
    let signed = rest.starts_with(['-', '+']);
    let digits = if signed { &rest[1..] } else { rest };
    let comma = field.name == "Y,YYY";
    let end = digits
        .find(|digit: char| !(digit.is_ascii_digit() || (comma && digit == ',')))
        .unwrap_or(digits.len());
    let end = if open { end } else { end.min(width) };
    let (taken, tail) = digits.split_at(end);
    let value = taken.replace(',', "").parse::<i64>().map_err(|_| invalid(rest, field))?;
    Ok((if rest.starts_with('-') { -value } else { value }, end, tail))
}

/// A year of less than four digits is the one nearest to 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}
