//! How values are written in settings: sizes, times, yes and no. Each parser answers with the value or with a
//! sentence that says what would be right.

use std::time::Duration;

/// A whole number from 1.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number from 1".to_owned()),
    }
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    text.parse::<bool>().map_err(|_| "give true or false".to_owned())
}

/// Any text but the empty one.
pub fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    Bytes(usize),
    /// Of what the machine, or the container, has.
    Percent(usize),
}

/// `4GiB`, `512MB`, `1073741824` or `60%`.
pub fn size(text: &str) -> Result<Size, String> {
    let problem = || "give a size such as 4GiB, 512MiB or 60%".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<usize>().map_err(|_| problem())?;
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "kb" => 1_000,
        "mib" | "m" => 1 << 20,
        "mb" => 1_000_000,
        "gib" | "g" => 1 << 30,
        "gb" => 1_000_000_000,
        "tib" | "t" => 1 << 40,
        "tb" => 1_000_000_000_000,
        "%" if (1..=100).contains(&number) => return Ok(Size::Percent(number)),
        _ => return Err(problem()),
    };
    match number.checked_mul(factor) {
        Some(bytes) if bytes > 0 => Ok(Size::Bytes(bytes)),
        _ => Err(problem()),
    }
}

/// `30s`, `500ms`, `5min`, `2h`; a number alone is milliseconds, as in PostgreSQL's `statement_timeout`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let problem = || "give a time such as 500ms, 30s, 5min or 2h".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().map_err(|_| problem())?;
    let factor_ms = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(problem()),
    };
    number.checked_mul(factor_ms).map(Duration::from_millis).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expect: Option<Size>| assert_eq!(size(text).ok(), expect, "{text}");
        check("1024", Some(Size::Bytes(1024)));
        check("4GiB", Some(Size::Bytes(4 << 30)));
        check("512 MB", Some(Size::Bytes(512_000_000)));
        check("60%", Some(Size::Percent(60)));
        check("0", None);
        check("0%", None);
        check("101%", None);
        check("4 apples", None);
        check("99999999999999999999GiB", None);
        check("-1", None);
    }

    #[test]
    fn times() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(duration(text).ok(), expect.map(Duration::from_millis), "{text}");
        };
        check("0", Some(0));
        check("250", Some(250));
        check("30s", Some(30_000));
        check("5min", Some(300_000));
        check("2h", Some(7_200_000));
        check("1 fortnight", None);
        check("", None);
    }
}
