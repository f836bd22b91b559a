//! The patterns of `to_char` and `to_number` for numbers (PostgreSQL 15, table 9.28), read into actions and what they say
//! together. Next: `number_text.rs` for what is made of them.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Nine,
    Zero,
    Point,
    Comma,
    Group,
    Currency,
    Minus,
    Plus,
    Sign,
    Roman {
        upper: bool,
    },
    Ordinal {
        upper: bool,
    },
    /// What shapes the whole and writes nothing by itself.
    Silent,
    Text(char),
}

/// Where the sign of `S` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Before,
    After,
}

/// What a pattern says as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pattern {
    pub actions: Vec<Action>,
    /// Digits before and after the point.
    pub pre: usize,
    pub post: usize,
    /// Digits that `V` shifts by.
    pub shift: usize,
    pub shifts: bool,
    pub point: bool,
    pub fill: bool,
    /// Where zeros start and end, counted from 1.
    pub zero_start: usize,
    pub zero_end: usize,
    pub zero: bool,
    pub blank: bool,
    pub anchor: Option<Anchor>,
    /// The digits before `S`.
    pub digits_before_sign: usize,
    pub minus: bool,
    pub plus: bool,
    pub bracket: bool,
    pub roman: bool,
    pub scientific: bool,
}

/// Longer ones first where one starts another.
const KEYWORDS: [(&str, char); 34] = [
    ("EEEE", 'E'),
    ("eeee", 'E'),
    ("FM", 'F'),
    ("fm", 'F'),
    ("MI", 'M'),
    ("mi", 'M'),
    ("PL", 'P'),
    ("pl", 'P'),
    ("PR", 'R'),
    ("pr", 'R'),
    ("RN", 'N'),
    ("rn", 'n'),
    ("SG", 'G'),
    ("sg", 'G'),
    ("SP", 'x'),
    ("sp", 'x'),
    ("TH", 'T'),
    ("th", 't'),
    ("9", '9'),
    ("0", '0'),
    (".", '.'),
    (",", ','),
    ("B", 'B'),
    ("b", 'B'),
    ("D", '.'),
    ("d", '.'),
    ("G", 'g'),
    ("g", 'g'),
    ("L", 'L'),
    ("l", 'L'),
    ("S", 'S'),
    ("s", 'S'),
    ("V", 'V'),
    ("v", 'V'),
];

fn wrong(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

impl Pattern {
    pub fn read(text: &str) -> Result<Pattern> {
        let mut pattern = Pattern::default();
        let (mut rest, mut quoted) = (text, false);
        while let Some(first) = rest.chars().next() {
            let tail = &rest[first.len_utf8()..];
            if first == '"' {
                (quoted, rest) = (!quoted, tail);
            } else if first == '\\' && (quoted || tail.starts_with('"')) {
                let next = tail.chars().next();
                pattern.actions.extend(next.map(Action::Text));
                rest = &tail[next.map_or(0, char::len_utf8)..];
            } else if let Some((word, key)) =
                KEYWORDS.iter().find(|(word, _)| !quoted && rest.starts_with(word))
            {
                pattern.take(*key)?;
                rest = &rest[word.len()..];
            } else {
                pattern.actions.push(Action::Text(first));
                rest = tail;
            }
        }
        Ok(pattern)
    }

    fn take(&mut self, key: char) -> Result<()> {
        if self.scientific && key != 'E' {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        let action = match key {
            '9' | '0' => self.digit(key == '0')?,
            '.' => {
                if self.point {
                    return Err(wrong("multiple decimal points"));
                }
                if self.shifts {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
                Action::Point
            }
            ',' => Action::Comma,
            'g' => Action::Group,
            'L' => Action::Currency,
            'B' => {
                self.blank |= self.pre == 0 && self.post == 0 && !self.zero;
                Action::Silent
            }
            'F' => {
                self.fill = true;
                Action::Silent
            }
            'N' | 'n' => {
                self.roman = true;
                Action::Roman { upper: key == 'N' }
            }
            'T' | 't' => Action::Ordinal { upper: key == 'T' },
            'V' => {
                if self.point {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.shifts = true;
                Action::Silent
            }
            'E' => self.exponent()?,
            'x' => Action::Silent,
            sign => self.sign(sign)?,
        };
        self.actions.push(action);
        Ok(())
    }

    fn digit(&mut self, zero: bool) -> Result<Action> {
        if self.bracket {
            let digit = if zero { "0" } else { "9" };
            return Err(wrong(&format!("\"{digit}\" must be ahead of \"PR\"")));
        }
        if !zero {
            match (self.shifts, self.point) {
                (true, _) => self.shift += 1,
                (false, true) => self.post += 1,
                (false, false) => self.pre += 1,
            }
            return Ok(Action::Nine);
        }
        if !self.zero && !self.point {
            self.zero = true;
            self.zero_start = self.pre + 1;
        }
        if self.point {
            self.post += 1
        } else {
            self.pre += 1
        }
        self.zero_end = self.pre + self.post;
        Ok(Action::Zero)
    }

    fn sign(&mut self, key: char) -> Result<Action> {
        let others = self.plus || self.minus || self.bracket;
        match key {
            'S' => {
                if self.anchor.is_some() {
                    return Err(wrong("cannot use \"S\" twice"));
                }
                if others {
                    return Err(wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                self.anchor = Some(if self.point { Anchor::After } else { Anchor::Before });
                self.digits_before_sign = self.pre;
                Ok(Action::Silent)
            }
            'R' => {
                if self.anchor.is_some() || self.plus || self.minus {
                    return Err(wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.bracket = true;
                Ok(Action::Silent)
            }
            _ => {
                if self.anchor.is_some() {
                    let name = ["MI", "PL", "SG"][usize::from(key != 'M') + usize::from(key == 'G')];
                    return Err(wrong(&format!("cannot use \"S\" and \"{name}\" together")));
                }
                self.minus |= key != 'P';
                self.plus |= key != 'M';
                Ok(match key {
                    'M' => Action::Minus,
                    'P' => Action::Plus,
                    _ => Action::Sign,
                })
            }
        }
    }

    fn exponent(&mut self) -> Result<Action> {
        if self.scientific {
            return Err(wrong("cannot use \"EEEE\" twice"));
        }
        let others = self.blank
            || self.fill
            || self.anchor.is_some()
            || self.bracket
            || self.minus
            || self.plus
            || self.roman
            || self.shifts;
        if others {
            return Err(wrong("\"EEEE\" is incompatible with other formats")
                .with_detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
        }
        self.scientific = true;
        Ok(Action::Silent)
    }
}
