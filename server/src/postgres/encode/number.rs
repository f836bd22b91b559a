//! Numbers as PostgreSQL writes them: floating point in the fewest digits that read back as the same number, and
//! decimals of any width, as text and in binary groups of four digits.

use std::fmt;

use bytes::BufMut;
use tarn_sql::{Error, Result, SqlState};

use super::put;

/// From these powers of ten on, a number is written with an exponent (`float8out`, `float4out`).
const FLOAT8_EXPONENT_FROM: i32 = 15;
const FLOAT4_EXPONENT_FROM: i32 = 6;
/// Below this power of ten too.
const EXPONENT_BELOW: i32 = -4;

pub fn float4(value: f32, out: &mut Vec<u8>) -> Result<()> {
    if value.is_finite() {
        finite(format_args!("{value:e}"), FLOAT4_EXPONENT_FROM, out);
    } else {
        out.put_slice(not_finite(value.is_nan(), value > 0.0));
    }
    Ok(())
}

pub fn float8(value: f64, out: &mut Vec<u8>) -> Result<()> {
    if value.is_finite() {
        finite(format_args!("{value:e}"), FLOAT8_EXPONENT_FROM, out);
    } else {
        out.put_slice(not_finite(value.is_nan(), value > 0.0));
    }
    Ok(())
}

fn not_finite(nan: bool, positive: bool) -> &'static [u8] {
    match (nan, positive) {
        (true, _) => b"NaN",
        (false, true) => b"Infinity",
        (false, false) => b"-Infinity",
    }
}

/// Room for the longest number `{:e}` writes, on the stack.
#[derive(Default)]
struct Scratch {
    bytes: [u8; 32],
    length: usize,
}

impl fmt::Write for Scratch {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Rust's `{:e}` gives the same shortest digits (`-1.25e-7`); only the place of the point and the exponent differ.
fn finite(scientific: fmt::Arguments<'_>, exponent_from: i32, out: &mut Vec<u8>) {
    let mut scratch = Scratch::default();
    fmt::Write::write_fmt(&mut scratch, scientific).expect("17 digits and an exponent fit");
    let text = std::str::from_utf8(&scratch.bytes[..scratch.length]).expect("numbers are ASCII");
    let (mantissa, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent = exponent.parse::<i32>().expect("the exponent is a number");
    let digits = match mantissa.strip_prefix('-') {
        Some(digits) => {
            out.put_u8(b'-');
            digits
        }
        None => mantissa,
    };
    let (first, rest) = digits.split_once('.').unwrap_or((digits, ""));
    if (EXPONENT_BELOW..exponent_from).contains(&exponent) {
        positional(first, rest, exponent, out);
    } else {
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        put(out, format_args!("{first}{point}{rest}e{sign}{:02}", exponent.abs()));
    }
}

fn positional(first: &str, rest: &str, exponent: i32, out: &mut Vec<u8>) {
    let Ok(whole) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        put(out, format_args!("0.{:0<zeros$}{first}{rest}", ""));
        return;
    };
    if rest.len() <= whole {
        put(out, format_args!("{first}{rest:0<whole$}"));
    } else {
        put(out, format_args!("{first}{}.{}", &rest[..whole], &rest[whole..]));
    }
}

/// Two digits for each number below 100.
const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
    40414243444546474849505152535455565758596061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// The two digits of a number below 100.
pub fn pair(number: usize) -> [u8; 2] {
    [PAIRS[number * 2], PAIRS[number * 2 + 1]]
}

/// Puts the digits of `value` at the end of `room`, and gives where they begin.
fn put_digits(mut value: u64, room: &mut [u8; 20]) -> usize {
    let mut start = room.len();
    while value >= 100 {
        start -= 2;
        room[start..start + 2].copy_from_slice(&pair((value % 100) as usize));
        value /= 100;
    }
    if value >= 10 {
        start -= 2;
        room[start..start + 2].copy_from_slice(&pair(value as usize));
    } else {
        start -= 1;
        room[start] = b'0' + value as u8;
    }
    start
}

/// An integer in text.
pub fn integer(value: i64, out: &mut Vec<u8>) -> Result<()> {
    if value < 0 {
        out.put_u8(b'-');
    }
    unsigned(value.unsigned_abs(), out)
}

pub fn unsigned(value: u64, out: &mut Vec<u8>) -> Result<()> {
    let mut room = [0; 20];
    let start = put_digits(value, &mut room);
    out.put_slice(&room[start..]);
    Ok(())
}

/// Decimals that fit into 64 bits are written without a detour, if their scale is one of these.
const SHORT_SCALES: std::ops::RangeInclusive<i8> = 0..=18;

/// Decimals of one scale.
#[derive(Debug, Clone, Copy)]
pub struct Decimals {
    scale: i8,
    /// Ten to the power of the scale, if it is a short one.
    point: Option<u64>,
}

impl Decimals {
    pub fn new(scale: i8) -> Decimals {
        let places = u32::try_from(scale).ok().filter(|_| SHORT_SCALES.contains(&scale));
        Decimals { scale, point: places.map(|places| 10u64.pow(places)) }
    }

    /// The sign of a short decimal, and what stands before and behind its point; `None` for all others.
    fn short(self, value: i128) -> Option<(bool, u64, u64)> {
        let (value, point) = (i64::try_from(value).ok()?, self.point?);
        let magnitude = value.unsigned_abs();
        Some((value < 0, magnitude / point, magnitude % point))
    }

    /// In text.
    pub fn text(self, value: i128, out: &mut Vec<u8>) -> Result<()> {
        let Some((negative, whole, behind)) = self.short(value) else {
            return decimal(value, self.scale, out);
        };
        if negative {
            out.put_u8(b'-');
        }
        unsigned(whole, out)?;
        if self.scale == 2 {
            let [tens, ones] = pair(behind as usize);
            out.put_slice(&[b'.', tens, ones]);
        } else if self.scale > 0 {
            let mut room = [b'0'; 20];
            out.put_u8(b'.');
            put_digits(behind, &mut room);
            out.put_slice(&room[room.len() - usize::from(self.scale.unsigned_abs())..]);
        }
        Ok(())
    }

    /// In binary.
    pub fn binary(self, value: i128, out: &mut Vec<u8>) -> Result<()> {
        // More digits behind the point make no whole groups in 64 bits.
        match self.short(value).filter(|_| self.scale <= 16) {
            Some((negative, whole, behind)) => short_numeric(negative, whole, behind, self.scale, out),
            None => numeric(value, self.scale, out),
        }
    }
}

fn short_numeric(
    negative: bool,
    mut whole: u64,
    mut behind: u64,
    scale: i8,
    out: &mut Vec<u8>,
) -> Result<()> {
    const GROUP: u64 = 10_000;
    // Groups are counted from the point: five hold what is before it, five what is behind.
    let mut groups = [0u16; 10];
    let places = usize::from(scale.unsigned_abs());
    behind *= 10u64.pow((places.next_multiple_of(GROUP_DIGITS) - places) as u32);
    for group in groups[5..5 + places.div_ceil(GROUP_DIGITS)].iter_mut().rev() {
        *group = (behind % GROUP) as u16;
        behind /= GROUP;
    }
    for group in groups[..5].iter_mut().rev() {
        *group = (whole % GROUP) as u16;
        whole /= GROUP;
    }
    let first = groups.iter().position(|group| *group != 0);
    let last = groups.iter().rposition(|group| *group != 0);
    let (significant, weight) = match first.zip(last) {
        Some((first, last)) => (&groups[first..=last], 4 - first as i16),
        None => (&groups[..0], 0),
    };
    out.put_i16(signed(significant.len())?);
    out.put_i16(weight);
    out.put_u16(if negative { NUMERIC_NEGATIVE } else { 0 });
    out.put_i16(i16::from(scale));
    significant.iter().for_each(|group| out.put_u16(*group));
    Ok(())
}

/// A decimal's digits, without its sign; the widest has 77.
struct Digits {
    negative: bool,
    digits: String,
    /// How many of them are behind the point.
    scale: usize,
}

/// A negative scale means that zeros follow the digits.
fn digits(unscaled: impl fmt::Display, scale: i8) -> Digits {
    let text = unscaled.to_string();
    let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
    let mut digits = text.to_owned();
    if let (Ok(zeros), false) = (usize::try_from(-i16::from(scale)), text == "0") {
        digits.extend(std::iter::repeat_n('0', zeros));
    }
    Digits { negative, digits, scale: usize::try_from(scale).unwrap_or(0) }
}

/// A decimal in text.
pub fn decimal(unscaled: impl fmt::Display, scale: i8, out: &mut Vec<u8>) -> Result<()> {
    let Digits { negative, digits, scale } = digits(unscaled, scale);
    let sign = if negative { "-" } else { "" };
    if scale == 0 {
        put(out, format_args!("{sign}{digits}"));
    } else {
        let width = scale + 1;
        let padded = format!("{digits:0>width$}");
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        put(out, format_args!("{sign}{whole}.{fraction}"));
    }
    Ok(())
}

const GROUP_DIGITS: usize = 4;
const NUMERIC_NEGATIVE: u16 = 0x4000;

/// A decimal in binary: the count of groups, the weight of the first as a power of 10000, sign, digits behind the
/// point, and the groups without zero groups at either end.
pub fn numeric(unscaled: impl fmt::Display, scale: i8, out: &mut Vec<u8>) -> Result<()> {
    let Digits { negative, digits, scale } = digits(unscaled, scale);
    // Groups are counted from the point: fill both sides up to whole groups.
    let behind = scale.next_multiple_of(GROUP_DIGITS);
    let before = digits.len().saturating_sub(scale).next_multiple_of(GROUP_DIGITS);
    let aligned = format!("{digits:0>before$}", before = before + scale) + &"0".repeat(behind - scale);
    let mut groups = Vec::with_capacity(aligned.len() / GROUP_DIGITS);
    for group in aligned.as_bytes().chunks(GROUP_DIGITS) {
        groups.push(group.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0')));
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let significant = groups.get(leading..groups.len() - trailing).unwrap_or_default();
    let weight =
        if significant.is_empty() { 0 } else { signed(before / GROUP_DIGITS)? - 1 - signed(leading)? };
    out.put_i16(signed(significant.len())?);
    out.put_i16(weight);
    out.put_u16(if negative { NUMERIC_NEGATIVE } else { 0 });
    out.put_i16(signed(scale)?);
    significant.iter().for_each(|group| out.put_u16(*group));
    Ok(())
}

fn signed(count: usize) -> Result<i16> {
    i16::try_from(count)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "a number has too many digits"))
}
