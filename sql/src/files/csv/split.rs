//! One record split into fields, in one of three manners of taking quotes. Which manner is right for a record is
//! decided in `record.rs`.
//!
//! A field that starts with the quote, blanks before it apart, runs to the closing quote, over delimiters and line
//! ends; a doubled quote is one quote. A quote inside a bare field is an ordinary character. Lines end with LF, CRLF
//! or CR.

use super::record::Record;

/// Over how many lines the lenient manner looks for the end of a field.
const LENIENT_LINES_MAX: u64 = 50;

/// How fields and records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// None where a quote means itself.
    pub quote: Option<u8>,
    /// What stands before a quote inside of quotes, besides another quote.
    pub escape: Option<u8>,
}

#[cfg(test)]
impl Dialect {
    /// Double quotes, doubled inside.
    pub const fn plain(delimiter: u8) -> Dialect {
        Dialect { delimiter, quote: Some(b'"'), escape: None }
    }
}

/// How quotes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The first quote that is not doubled closes the field; what follows it is kept as it is.
    Standard,
    /// A quote closes the field only before a delimiter or a line end; others belong to the text.
    Lenient,
    /// The same, and a quote that is not closed on its line means itself.
    Line,
}

/// A record as it was split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Where the next record starts.
    pub end: usize,
    /// Line ends inside of the record.
    pub lines: u64,
    /// The record ends with a line end, not with the input.
    pub terminated: bool,
    /// Text follows a closing quote.
    pub odd: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    Whole(Split),
    /// The input ends within the record, and more may follow.
    Short,
    /// The file ends within quotes.
    Unclosed,
}

/// Splits records in one dialect.
#[derive(Debug)]
pub struct Splitter {
    pub dialect: Dialect,
    /// Bytes that end a bare field.
    special: [bool; 256],
}

impl Splitter {
    pub fn new(dialect: Dialect) -> Splitter {
        let mut special = [false; 256];
        for byte in [dialect.delimiter, b'\n', b'\r'] {
            special[usize::from(byte)] = true;
        }
        Splitter { dialect, special }
    }

    /// A space or a tab that is not the delimiter.
    pub fn blank(&self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t') && byte != self.dialect.delimiter
    }

    /// Splits the record that starts at `start`; `last` says that nothing follows `input`.
    pub fn attempt(
        &self,
        input: &[u8],
        start: usize,
        last: bool,
        manner: Manner,
        record: &mut Record,
    ) -> Attempt {
        record.clear();
        let (mut at, mut lines, mut odd) = (start, 0, false);
        loop {
            if let Some(quote) = self.dialect.quote {
                let from = self.after_blanks(input, at);
                if from == input.len() && !last {
                    return Attempt::Short;
                }
                let quoted = input.get(from) == Some(&quote)
                    && (manner != Manner::Line || self.closed_on_line(&input[from + 1..], quote));
                if quoted {
                    let Some(after) = self.quoted(input, from + 1, last, manner, &mut lines, record) else {
                        let given_up = manner == Manner::Lenient && lines > LENIENT_LINES_MAX;
                        return if last || given_up { Attempt::Unclosed } else { Attempt::Short };
                    };
                    let next = self.after_blanks(input, after);
                    if next == input.len() && !last {
                        return Attempt::Short;
                    }
                    let closes = input.get(next).is_none_or(|byte| self.special[usize::from(*byte)]);
                    odd |= !closes;
                    at = if closes { next } else { after };
                }
            }
            let bare = input[at..].iter().position(|byte| self.special[usize::from(*byte)]);
            let end = bare.map_or(input.len(), |length| at + length);
            record.push(&input[at..end]);
            match input.get(end) {
                Some(byte) if *byte == self.dialect.delimiter => at = end + 1,
                Some(b'\r') if end + 1 == input.len() && !last => return Attempt::Short,
                None if !last => return Attempt::Short,
                terminator => {
                    record.end_field();
                    let pair = terminator == Some(&b'\r') && input.get(end + 1) == Some(&b'\n');
                    let terminated = terminator.is_some();
                    let end = end + usize::from(terminated) + usize::from(pair);
                    return Attempt::Whole(Split { end, lines, terminated, odd });
                }
            }
            record.end_field();
        }
    }

    fn after_blanks(&self, input: &[u8], mut at: usize) -> usize {
        while input.get(at).is_some_and(|byte| self.blank(*byte)) {
            at += 1;
        }
        at
    }

    /// Copies a quoted field whose first byte is at `at`; gives the place after its closing quote, or None when the
    /// input ends before that is certain.
    fn quoted(
        &self,
        input: &[u8],
        mut at: usize,
        last: bool,
        manner: Manner,
        lines: &mut u64,
        record: &mut Record,
    ) -> Option<usize> {
        let (quote, escape) = (self.dialect.quote?, self.dialect.escape);
        loop {
            if manner == Manner::Lenient && *lines > LENIENT_LINES_MAX {
                return None;
            }
            let length = input[at..].iter().position(|byte| *byte == quote || Some(*byte) == escape)?;
            let text = &input[at..at + length];
            *lines += line_ends(text);
            record.push(text);
            at += length;
            let next = input.get(at + 1).copied();
            if next.is_none() && !last {
                return None;
            }
            if input[at] == quote && next == Some(quote) {
                record.push(&[quote]);
                at += 2;
            } else if input[at] != quote {
                let escaped = next.filter(|next| *next == quote || Some(*next) == escape);
                record.push(&[escaped.unwrap_or(input[at])]);
                at += if escaped.is_some() { 2 } else { 1 };
            } else if manner != Manner::Standard && !self.closes(input, at + 1) {
                record.push(&[quote]);
                at += 1;
            } else {
                return Some(at + 1);
            }
        }
    }

    /// Whether a text, from behind a quote, has the quote that closes it on the same line.
    fn closed_on_line(&self, text: &[u8], quote: u8) -> bool {
        let line = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
        (0..line).any(|at| text[at] == quote && self.closes(&text[..line], at + 1))
    }

    /// Whether what follows a quote is the end of its field.
    fn closes(&self, input: &[u8], after: usize) -> bool {
        let next = self.after_blanks(input, after);
        input.get(next).is_none_or(|byte| self.special[usize::from(*byte)])
    }
}

/// How many line ends a text has.
pub fn line_ends(text: &[u8]) -> u64 {
    let ends = |at: usize| text[at] == b'\n' || (text[at] == b'\r' && text.get(at + 1) != Some(&b'\n'));
    (0..text.len()).filter(|at| ends(*at)).count() as u64
}
