//! `to_char` of numbers and `to_number`, by a pattern, character by character as PostgreSQL does it (`formatting.c`:
//! `NUM_processor`, `NUM_numpart_to_char`, `NUM_numpart_from_char`), in the locale C.

use super::datum::Datum;
use super::number_pattern::{Action, Anchor, Pattern};
use super::overload::Call;
use super::{decimal, fault, shown};
use crate::error::{Error, Result};

/// A double has so many digits that mean something.
const FLOAT_DIGITS: usize = 15;
const ROMAN_WIDTH: usize = 15;
const ROMAN_MAX: i64 = 3999;

/// The text of a whole, decimal or floating-point number.
pub fn to_char<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let mut pattern = Pattern::read(values[1].as_str())?;
    if pattern.scientific {
        return Ok(scientific(&values[0], pattern.post).into());
    }
    if pattern.roman {
        return Ok(with_roman(&values[0], &pattern).into());
    }
    let plain = plain_digits(&values[0], &mut pattern)?;
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ('-', digits.to_owned()),
        None => ('+', plain),
    };
    let pre_length = digits.find('.').unwrap_or(digits.len());
    let overflows = pre_length > pattern.pre;
    let digits = match overflows {
        true => format!("{}.{}", "#".repeat(pattern.pre), "#".repeat(pattern.post)),
        false => digits,
    };
    let spaces = pattern.pre.saturating_sub(pre_length);
    Ok(Writer::new(pattern, digits, sign, spaces).write().into())
}

/// The digits with as many after the point as the pattern has, a sign before them.
fn plain_digits(number: &Datum, pattern: &mut Pattern) -> Result<String> {
    pattern.pre += pattern.shift;
    let scale = i8::try_from(pattern.post).unwrap_or(i8::MAX);
    let (value, from) = match number {
        Datum::Float(value) => return Ok(float_digits(*value, pattern)),
        Datum::Numeric(value, from) => (*value, *from),
        other => (i128::from(other.as_int()), 0),
    };
    let shifted = u32::try_from(pattern.shift).ok().and_then(decimal::power_of_ten);
    let shifted = shifted.and_then(|power| value.checked_mul(power));
    // More digits after the point than there are, are zeros.
    let kept = scale.min(from.max(0));
    let rounded = shifted.and_then(|shifted| decimal::rescale(shifted, from, kept));
    let rounded = rounded.ok_or_else(|| fault::out_of_range("numeric"))?;
    let mut text = decimal::shown(rounded, kept);
    if kept == 0 && scale > 0 {
        text.push('.');
    }
    text.push_str(&"0".repeat(usize::try_from(scale - kept).unwrap_or(0)));
    Ok(text)
}

fn float_digits(value: f64, pattern: &mut Pattern) -> String {
    if !value.is_finite() {
        return shown::float8(value);
    }
    let shift = i32::try_from(pattern.shift).unwrap_or(i32::MAX);
    let value = value * 10f64.powi(shift);
    let pre_length = format!("{:.0}", value.abs()).len();
    if pre_length >= FLOAT_DIGITS {
        pattern.post = 0;
    } else if pre_length + pattern.post > FLOAT_DIGITS {
        pattern.post = FLOAT_DIGITS - pre_length;
    }
    format!("{value:.precision$}", precision = pattern.post)
}

/// `1.235e+06`, with a space where a minus would be.
fn scientific(number: &Datum, post: usize) -> String {
    let (sign, digits, exponent) = match number {
        Datum::Float(value) if !value.is_finite() => {
            return format!(" #.{}", "#".repeat(post));
        }
        Datum::Float(value) => {
            let text = format!("{:.post$e}", value.abs());
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            (*value < 0.0, mantissa.to_owned(), exponent.parse().unwrap_or(0))
        }
        Datum::Numeric(value, scale) => decimal_exponent(*value, *scale, post),
        other => decimal_exponent(other.as_int().into(), 0, post),
    };
    let way = if exponent < 0 { '-' } else { '+' };
    format!("{}{digits}e{way}{:02}", if sign { '-' } else { ' ' }, exponent.abs())
}

fn decimal_exponent(value: i128, scale: i8, post: usize) -> (bool, String, i32) {
    let digits = value.unsigned_abs().to_string();
    let length = i32::try_from(digits.len()).unwrap_or(0);
    let mut exponent = if value == 0 { 0 } else { length - 1 - i32::from(scale) };
    let kept = i8::try_from(post).unwrap_or(i8::MAX);
    let magnitude = i128::try_from(value.unsigned_abs()).unwrap_or(i128::MAX);
    let from = i8::try_from(length - 1).unwrap_or(0);
    let mut mantissa = if value == 0 { Some(0) } else { decimal::rescale(magnitude, from, kept) };
    if let Some(rounded) = mantissa
        && decimal::shown(rounded, kept).starts_with("10")
    {
        exponent += 1;
        mantissa = decimal::rescale(rounded, kept + 1, kept);
    }
    (value < 0, decimal::shown(mantissa.unwrap_or(0), kept), exponent)
}

fn with_roman(number: &Datum, pattern: &Pattern) -> String {
    let value = match number {
        #[expect(clippy::cast_possible_truncation, reason = "larger ones are shown as ###")]
        Datum::Float(value) => value.round_ties_even() as i64,
        Datum::Numeric(value, scale) => decimal::rescale(*value, *scale, 0)
            .and_then(|value| i64::try_from(value).ok())
            .unwrap_or(i64::MAX),
        other => other.as_int(),
    };
    let mut out = String::new();
    for action in &pattern.actions {
        match action {
            Action::Roman { upper } => {
                let roman = roman(value);
                let roman = if *upper { roman } else { roman.to_lowercase() };
                let width = if pattern.fill { 0 } else { ROMAN_WIDTH };
                out.push_str(&format!("{roman:>width$}"));
            }
            Action::Text(character) => out.push(*character),
            _ => {}
        }
    }
    out
}

fn roman(value: i64) -> String {
    const LETTERS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=ROMAN_MAX).contains(&value) {
        return "#".repeat(ROMAN_WIDTH);
    }
    let (mut rest, mut out) = (value, String::new());
    for (size, letters) in LETTERS {
        while rest >= size {
            out.push_str(letters);
            rest -= size;
        }
    }
    out
}

/// `st`, `nd`, `rd` or `th` of a number's digits.
pub fn ordinal(digits: &str) -> &'static str {
    let mut last = digits.chars().rev();
    match (last.next(), last.next()) {
        (_, Some('1')) => "th",
        (Some('1'), _) => "st",
        (Some('2'), _) => "nd",
        (Some('3'), _) => "rd",
        _ => "th",
    }
}

/// A number being written.
struct Writer {
    pattern: Pattern,
    digits: Vec<char>,
    /// The next of the digits.
    next: usize,
    /// The last digit that is not left out.
    last_relevant: Option<usize>,
    sign: char,
    sign_written: bool,
    /// The places that are blank before the number.
    spaces: usize,
    /// The count of digit places there are, and of those passed.
    count: usize,
    current: usize,
    zero_start: usize,
    in_number: bool,
    out: String,
}

impl Writer {
    fn new(mut pattern: Pattern, digits: String, sign: char, spaces: usize) -> Writer {
        let digits: Vec<char> = digits.chars().collect();
        let sign_written = if pattern.plus || pattern.minus {
            pattern.minus
        } else {
            if sign != '-' && pattern.fill {
                pattern.bracket = false;
            }
            if pattern.anchor == Some(Anchor::Before) && pattern.pre == pattern.digits_before_sign {
                pattern.anchor = Some(Anchor::After);
            }
            sign == '+' && pattern.fill && pattern.anchor.is_none()
        };
        let mut last_relevant = None;
        if pattern.fill && pattern.point {
            last_relevant = last_relevant_digit(&digits);
            if let Some(last) = last_relevant
                && pattern.zero_end > spaces
            {
                let last_zero = (digits.len() - 1).min(pattern.zero_end - spaces);
                last_relevant = Some(last.max(last_zero));
            }
        }
        let mut count = (pattern.post + pattern.pre).saturating_sub(1);
        if !sign_written && spaces == 0 {
            count += 1;
        }
        let zero_start = pattern.zero_start.saturating_sub(1);
        let (next, current, in_number, out) = (0, 0, false, String::new());
        Writer {
            pattern,
            digits,
            next,
            last_relevant,
            sign,
            sign_written,
            spaces,
            count,
            current,
            zero_start,
            in_number,
            out,
        }
    }

    fn write(mut self) -> String {
        let actions = std::mem::take(&mut self.pattern.actions);
        for action in actions {
            let fill = self.pattern.fill;
            match action {
                Action::Nine | Action::Point => self.digit(false),
                Action::Zero => self.digit(true),
                Action::Comma | Action::Group => match (self.in_number, fill) {
                    (true, _) => self.out.push(','),
                    (false, true) => {}
                    (false, false) => self.out.push(' '),
                },
                Action::Currency => self.out.push(' '),
                Action::Minus | Action::Plus => {
                    let wanted = if action == Action::Minus { '-' } else { '+' };
                    if self.sign == wanted {
                        self.out.push(wanted);
                    } else if !fill {
                        self.out.push(' ');
                    }
                }
                Action::Sign => self.out.push(self.sign),
                Action::Ordinal { upper } => {
                    let skip = self.digits.first() == Some(&'#') || self.sign == '-' || self.pattern.point;
                    if !skip {
                        let digits: String = self.digits.iter().collect();
                        let suffix = ordinal(&digits);
                        let suffix = if upper { suffix.to_uppercase() } else { suffix.to_owned() };
                        self.out.push_str(&suffix);
                    }
                }
                Action::Text(character) => self.out.push(character),
                Action::Roman { .. } | Action::Silent => {}
            }
        }
        self.out
    }

    /// Whether the zero before the point is left out: `9.9` of 0.1 is ` .1`.
    fn leaves_zero_out(&self) -> bool {
        !self.pattern.zero && self.next == 0 && self.digits.first() == Some(&'0') && self.pattern.post != 0
    }

    fn ends_at_point(&self) -> bool {
        self.last_relevant.is_some_and(|last| self.digits.get(last) == Some(&'.'))
    }

    fn write_sign(&mut self) {
        let starts = self.current >= self.spaces || (self.pattern.zero && self.zero_start == self.current);
        if self.sign_written || !starts || (self.leaves_zero_out() && !self.ends_at_point()) {
            return;
        }
        match self.pattern.anchor {
            Some(Anchor::Before) => self.out.push(self.sign),
            Some(Anchor::After) => return,
            None if self.pattern.bracket => self.out.push(if self.sign == '+' { ' ' } else { '<' }),
            None if self.sign == '-' => self.out.push('-'),
            None if !self.pattern.fill => self.out.push(' '),
            None => {}
        }
        self.sign_written = true;
    }

    fn digit(&mut self, zero: bool) {
        self.in_number = false;
        self.write_sign();
        if self.current < self.spaces && (self.zero_start > self.current || !self.pattern.zero) {
            if !self.pattern.fill {
                self.out.push(' ');
            }
        } else if self.pattern.zero && self.current < self.spaces {
            self.out.push('0');
            self.in_number = true;
        } else {
            self.write_digit(zero);
            self.next = (self.next + 1).min(self.digits.len());
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.pattern.point);
        if self.last_relevant == Some(self.next) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && self.pattern.bracket {
                self.out.push(if self.sign == '+' { ' ' } else { '>' });
            } else if self.pattern.anchor == Some(Anchor::After) {
                self.out.push(self.sign);
            }
        }
        self.current += 1;
    }

    fn write_digit(&mut self, zero: bool) {
        let Some(digit) = self.digits.get(self.next).copied() else { return };
        if digit == '.' {
            if !self.ends_at_point() || self.pattern.fill {
                self.out.push('.');
            }
        } else if self.last_relevant.is_some_and(|last| self.next > last) && !zero {
            // Zeros at the end are left out.
        } else if self.leaves_zero_out() {
            if !self.pattern.fill {
                self.out.push(' ');
            } else if self.ends_at_point() {
                self.out.push('0');
            }
        } else {
            self.out.push(digit);
            self.in_number = true;
        }
    }
}

/// The last digit after the point that is not zero, or the point.
fn last_relevant_digit(digits: &[char]) -> Option<usize> {
    let point = digits.iter().position(|digit| *digit == '.')?;
    let last = digits.iter().rposition(|digit| *digit != '0').unwrap_or(point);
    Some(last.max(point))
}

/// A text read by a pattern.
pub fn to_number<'a>(call: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let pattern = Pattern::read(values[1].as_str())?;
    if values[1].as_str().is_empty() {
        return Ok(Datum::Null);
    }
    if pattern.scientific {
        return Err(Error::unsupported("\"EEEE\" for input"));
    }
    if pattern.roman {
        return Err(Error::unsupported("\"RN\" for input"));
    }
    let mut reader = Reader::new(&pattern, values[0].as_str());
    reader.read();
    let text = format!("{}{}", reader.sign.unwrap_or(' '), reader.digits.trim_end_matches('.'));
    let (value, scale) = decimal::parse(&text).ok_or_else(|| fault::syntax("numeric", &text))?;
    let shift = i8::try_from(pattern.shift).unwrap_or(i8::MAX);
    let scale = scale.saturating_add(shift);
    let arrow::datatypes::DataType::Decimal128(_, wanted) = call.returns else { return Ok(Datum::Null) };
    let value = decimal::rescale(value, scale, *wanted).ok_or_else(|| fault::out_of_range("numeric"))?;
    Ok(Datum::Numeric(value, *wanted))
}

/// The digits after the point that `to_number` gives for a constant pattern.
pub fn digits_of_pattern(pattern: Option<&str>) -> (u8, i8) {
    let read = pattern.and_then(|pattern| Pattern::read(pattern).ok());
    let scale = read.map_or(10, |pattern| pattern.post + pattern.shift);
    (38, i8::try_from(scale.min(30)).unwrap_or(30))
}

/// A number being read.
struct Reader<'a> {
    pattern: &'a Pattern,
    input: Vec<char>,
    place: usize,
    sign: Option<char>,
    digits: String,
    before: usize,
    after: usize,
    point: bool,
}

impl<'a> Reader<'a> {
    fn new(pattern: &'a Pattern, input: &str) -> Reader<'a> {
        let (input, digits) = (input.chars().collect(), String::new());
        Reader { pattern, input, place: 0, sign: None, digits, before: 0, after: 0, point: false }
    }

    fn peek(&self) -> Option<char> {
        self.input.get(self.place).copied()
    }

    fn read(&mut self) {
        for action in &self.pattern.actions {
            if self.peek().is_none() {
                break;
            }
            match action {
                Action::Nine | Action::Zero => self.digit(true),
                Action::Point => self.digit(false),
                Action::Comma | Action::Group => {
                    if self.peek() == Some(',') {
                        self.place += 1;
                    }
                }
                Action::Currency | Action::Minus | Action::Plus | Action::Sign => self.pass(1),
                Action::Ordinal { .. } => self.pass(2),
                Action::Text(_) => self.place += 1,
                Action::Roman { .. } | Action::Silent => {}
            }
        }
    }

    /// Passes over characters that no number has.
    fn pass(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some(character) if !"0123456789.,+-".contains(character) => self.place += 1,
                _ => break,
            }
        }
    }

    fn digit(&mut self, is_digit: bool) {
        self.part(is_digit);
        self.place += 1;
    }

    fn part(&mut self, is_digit: bool) {
        if self.peek() == Some(' ') {
            self.place += 1;
        }
        let none_yet = self.before + self.after == 0;
        if self.sign.is_none() && is_digit && none_yet {
            match self.peek() {
                Some('-') => self.take_sign('-'),
                Some('<') if self.pattern.bracket => self.take_sign('-'),
                Some('+') => self.take_sign('+'),
                _ => {}
            }
        }
        let Some(character) = self.peek() else { return };
        let mut read = false;
        if character.is_ascii_digit() {
            if self.point && self.after == self.pattern.post {
                return;
            }
            self.digits.push(character);
            if self.point {
                self.after += 1
            } else {
                self.before += 1
            }
            read = true;
        } else if self.pattern.point && !self.point && character == '.' {
            self.digits.push('.');
            self.point = true;
            read = true;
        }
        if self.sign.is_some() || self.before + self.after == 0 {
            return;
        }
        let next = self.input.get(self.place + 1).copied();
        if self.pattern.anchor.is_some() && read {
            if let Some(sign @ ('-' | '+')) = next {
                self.place += 1;
                self.sign = Some(sign);
            }
        } else if !read
            && self.pattern.anchor.is_none()
            && (self.pattern.plus || self.pattern.minus)
            && ['-', '+'].contains(&character)
        {
            self.sign = Some(character);
        }
    }

    fn take_sign(&mut self, sign: char) {
        self.sign = Some(sign);
        self.place += 1;
    }
}
