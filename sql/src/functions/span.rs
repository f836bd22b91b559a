//! Intervals: months, days and microseconds that stay apart, as PostgreSQL has them, with its arithmetic
//! (`timestamp.c`: `interval_mul`, `interval_justify_*`, `timestamp_age`) and its text.
//! Next: `span_input.rs` for how an interval is read.

use std::fmt;

use arrow::datatypes::IntervalMonthDayNano;

use super::fault;
use crate::error::{Error, Result};

pub const DAY: i64 = 86_400_000_000;
pub const HOUR: i64 = 3_600_000_000;
pub const MINUTE: i64 = 60_000_000;
pub const SECOND: i64 = 1_000_000;
const DAYS_OF_MONTH: i32 = 30;
const MONTHS_OF_YEAR: i32 = 12;

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl From<IntervalMonthDayNano> for Span {
    fn from(value: IntervalMonthDayNano) -> Span {
        Span { months: value.months, days: value.days, micros: value.nanoseconds / 1000 }
    }
}

impl TryFrom<Span> for IntervalMonthDayNano {
    type Error = Error;

    fn try_from(span: Span) -> Result<IntervalMonthDayNano> {
        let nanoseconds = span.micros.checked_mul(1000).ok_or_else(out_of_range)?;
        Ok(IntervalMonthDayNano::new(span.months, span.days, nanoseconds))
    }
}

fn out_of_range() -> Error {
    fault::overflow("interval out of range")
}

/// The sum of a part and what spills over into it.
fn plus(part: i32, more: i64) -> Result<i32> {
    i32::try_from(i64::from(part) + more).map_err(|_| out_of_range())
}

impl Span {
    /// How long it is when a month has 30 days and a day 24 hours: what intervals are compared by.
    pub fn length(self) -> i128 {
        let days = i128::from(self.months) * i128::from(DAYS_OF_MONTH) + i128::from(self.days);
        days * i128::from(DAY) + i128::from(self.micros)
    }

    pub fn negated(self) -> Result<Span> {
        let negated = (self.months.checked_neg(), self.days.checked_neg(), self.micros.checked_neg());
        match negated {
            (Some(months), Some(days), Some(micros)) => Ok(Span { months, days, micros }),
            _ => Err(out_of_range()),
        }
    }

    /// 24 hours are a day.
    pub fn justify_hours(mut self) -> Result<Span> {
        self.days = plus(self.days, self.micros / DAY)?;
        self.micros %= DAY;
        if self.days > 0 && self.micros < 0 {
            self.micros += DAY;
            self.days -= 1;
        } else if self.days < 0 && self.micros > 0 {
            self.micros -= DAY;
            self.days += 1;
        }
        Ok(self)
    }

    /// 30 days are a month.
    pub fn justify_days(mut self) -> Result<Span> {
        self.months = plus(self.months, (self.days / DAYS_OF_MONTH).into())?;
        self.days %= DAYS_OF_MONTH;
        if self.months > 0 && self.days < 0 {
            self.days += DAYS_OF_MONTH;
            self.months -= 1;
        } else if self.months < 0 && self.days > 0 {
            self.days -= DAYS_OF_MONTH;
            self.months += 1;
        }
        Ok(self)
    }

    /// Both, with one sign in all parts.
    pub fn justify_interval(mut self) -> Result<Span> {
        self.days = plus(self.days, self.micros / DAY)?;
        self.micros %= DAY;
        self.months = plus(self.months, (self.days / DAYS_OF_MONTH).into())?;
        self.days %= DAYS_OF_MONTH;
        if self.months > 0 && (self.days < 0 || (self.days == 0 && self.micros < 0)) {
            self.days += DAYS_OF_MONTH;
            self.months -= 1;
        } else if self.months < 0 && (self.days > 0 || (self.days == 0 && self.micros > 0)) {
            self.days -= DAYS_OF_MONTH;
            self.months += 1;
        }
        if self.days > 0 && self.micros < 0 {
            self.micros += DAY;
            self.days -= 1;
        } else if self.days < 0 && self.micros > 0 {
            self.micros -= DAY;
            self.days += 1;
        }
        Ok(self)
    }

    /// A fraction of a month spills over into days, one of a day into seconds; never the other way.
    #[expect(clippy::cast_possible_truncation, reason = "range-checked before each cast")]
    pub fn times(self, factor: f64) -> Result<Span> {
        let fits = |value: f64, limit: f64| value.is_finite() && value.abs() <= limit;
        let months = f64::from(self.months) * factor;
        let days = f64::from(self.days) * factor;
        if !fits(months, f64::from(i32::MAX)) || !fits(days, f64::from(i32::MAX)) {
            return Err(out_of_range());
        }
        let (whole_months, whole_days) = (months.trunc(), days.trunc());
        let month_rest = to_micros((months - whole_months) * f64::from(DAYS_OF_MONTH));
        let month_days = month_rest.trunc();
        let mut seconds = to_micros((days - whole_days + month_rest - month_days) * 86400.0);
        let mut days = whole_days + month_days;
        // Rounding may have made a day of it.
        if seconds.abs() >= 86400.0 {
            days += (seconds / 86400.0).trunc();
            seconds -= (seconds / 86400.0).trunc() * 86400.0;
        }
        let micros = (micros_as_float(self.micros) * factor + seconds * 1e6).round_ties_even();
        if !fits(micros, 9.2e18) || !fits(days, f64::from(i32::MAX)) {
            return Err(out_of_range());
        }
        Ok(Span { months: whole_months as i32, days: days as i32, micros: micros as i64 })
    }

    /// As `times`, by a divisor: PostgreSQL divides each part.
    #[expect(clippy::cast_possible_truncation, reason = "range-checked before each cast")]
    pub fn divided(self, divisor: f64) -> Result<Span> {
        if divisor == 0.0 {
            return Err(fault::division_by_zero());
        }
        let months = (f64::from(self.months) / divisor).trunc();
        let days = (f64::from(self.days) / divisor).trunc();
        if !months.is_finite() || !days.is_finite() || months.abs() > 2e9 || days.abs() > 2e9 {
            return Err(out_of_range());
        }
        let month_rest = (f64::from(self.months) / divisor - months) * f64::from(DAYS_OF_MONTH);
        let month_rest = to_micros(month_rest);
        let month_days = month_rest.trunc();
        let day_rest = f64::from(self.days) / divisor - days + month_rest - month_days;
        let mut seconds = to_micros(day_rest * 86400.0);
        let mut days = days + month_days;
        if seconds.abs() >= 86400.0 {
            days += (seconds / 86400.0).trunc();
            seconds -= (seconds / 86400.0).trunc() * 86400.0;
        }
        let micros = (micros_as_float(self.micros) / divisor + seconds * 1e6).round_ties_even();
        if micros.abs() > 9.2e18 {
            return Err(out_of_range());
        }
        Ok(Span { months: months as i32, days: days as i32, micros: micros as i64 })
    }

    pub fn plus(self, other: Span) -> Result<Span> {
        let months = self.months.checked_add(other.months);
        let days = self.days.checked_add(other.days);
        let micros = self.micros.checked_add(other.micros);
        match (months, days, micros) {
            (Some(months), Some(days), Some(micros)) => Ok(Span { months, days, micros }),
            _ => Err(out_of_range()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "PostgreSQL computes in floating point, too")]
pub fn micros_as_float(micros: i64) -> f64 {
    micros as f64
}

/// Rounded to what microseconds can hold, as `TSROUND` does.
fn to_micros(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// `1 year 2 mons -3 days +04:05:06.7`: the style `postgres`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.months / MONTHS_OF_YEAR, "year"),
            (self.months % MONTHS_OF_YEAR, "mon"),
            (self.days, "day"),
        ];
        let (mut first, mut negative) = (true, false);
        for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
            let space = if first { "" } else { " " };
            let sign = if negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            write!(f, "{space}{sign}{value} {unit}{plural}")?;
            (first, negative) = (false, value < 0);
        }
        if !first && self.micros == 0 {
            return Ok(());
        }
        let sign = match (self.micros < 0, negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let space = if first { "" } else { " " };
        write!(f, "{space}{sign}{}", Clock(self.micros.unsigned_abs()))
    }
}

/// `04:05:06.7`: hours, minutes and seconds of a count of microseconds.
pub struct Clock(pub u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND.unsigned_abs();
        let fraction = self.0 % SECOND.unsigned_abs();
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if fraction == 0 {
            return Ok(());
        }
        write!(f, ".{}", format!("{fraction:06}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(months: i32, days: i32, micros: i64) -> Span {
        Span { months, days, micros }
    }

    /// The expected texts are what PostgreSQL 15 gives.
    #[test]
    fn intervals_are_written_as_postgresql_does() {
        for (value, expect) in [
            (span(0, 0, 0), "00:00:00"),
            (span(14, 3, 4 * HOUR), "1 year 2 mons 3 days 04:00:00"),
            (span(-1, -2, -3 * HOUR), "-1 mons -2 days -03:00:00"),
            (span(1, -2, 3 * HOUR), "1 mon -2 days +03:00:00"),
            (span(0, 1, 0), "1 day"),
            (span(0, 0, 1_500_000), "00:00:01.5"),
        ] {
            assert_eq!(value.to_string(), expect);
        }
    }

    #[test]
    fn products_and_quotients_spill_over_downward() {
        let check = |value: Result<Span>, expect: &str| {
            assert_eq!(value.expect("in range").to_string(), expect);
        };
        check(span(0, 1, 0).times(1.5), "1 day 12:00:00");
        check(span(1, 0, 0).times(0.5), "15 days");
        check(span(1, 0, 0).divided(3.0), "10 days");
        check(span(14, 3, 14_706_700_000).times(2.5), "2 years 11 mons 7 days 22:12:46.75");
        check(span(14, 3, 14_706_700_000).divided(7.0), "2 mons 10:52:09.528572");
        assert!(span(0, 1, 0).divided(0.0).is_err());
    }

    #[test]
    fn parts_are_justified() {
        let check = |value: Result<Span>, expect: &str| {
            assert_eq!(value.expect("in range").to_string(), expect);
        };
        check(span(1, 65, 27 * HOUR).justify_days(), "3 mons 5 days 27:00:00");
        check(span(0, 0, -27 * HOUR).justify_hours(), "-1 days -03:00:00");
        check(span(1, 0, -HOUR).justify_interval(), "29 days 23:00:00");
        check(span(0, 100, 100 * HOUR).justify_interval(), "3 mons 14 days 04:00:00");
    }
}
