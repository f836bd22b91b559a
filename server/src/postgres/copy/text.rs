//! The text format: fields between delimiters, where a backslash gives the character after it another meaning
//! (`CopyReadLineText`, `CopyReadAttributesText`).

use super::fault::{Fault, Place, not_utf8};
use super::fields::{Found, Layout};
use super::marks::Marks;
use super::rows::Rows;
use super::split::{Chunk, LineEnd};
use crate::postgres::error::Report;

/// Finds the fields of a chunk.
pub fn find<'a>(chunk: &'a Chunk, layout: &'a Layout) -> Found<'a> {
    let mut reader = Reader::new(chunk, layout);
    let read = reader.read();
    match read {
        Ok(ended) => reader.rows.found(ended, None),
        Err(fault) => reader.rows.found(true, Some(fault)),
    }
}

/// Why the rest of the data is not looked at.
enum Stop {
    Fault(Box<Fault>),
    /// It says that it ends.
    End,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(Box::new(fault))
    }
}

struct Reader<'a> {
    rows: Rows<'a>,
    delimiter: u8,
    null: &'a [u8],
    line_start: usize,
    field_start: usize,
    /// The field has a backslash.
    escaped: bool,
    /// What is wrong with a field of the line; it is told with the whole line.
    wrong: Option<Report>,
}

impl<'a> Reader<'a> {
    fn new(chunk: &'a Chunk, layout: &'a Layout) -> Reader<'a> {
        Reader {
            rows: Rows::new(chunk, layout),
            delimiter: layout.options.delimiter,
            null: layout.options.null.as_bytes(),
            line_start: 0,
            field_start: 0,
            escaped: false,
            wrong: None,
        }
    }

    /// Whether the data says that it ends.
    fn read(&mut self) -> Result<bool, Fault> {
        let data = self.rows.data;
        let marks = Marks::new([self.delimiter, b'\n', b'\r', b'\\']);
        match marks.each(data, |place| self.mark(place)) {
            Err(Stop::Fault(fault)) => return Err(*fault),
            Err(Stop::End) => return Ok(true),
            Ok(()) => {}
        }
        // The last line may do without its end.
        if self.line_start < data.len() || self.rows.lacks_header() {
            self.end_line(data.len(), data.len())?;
        }
        Ok(false)
    }

    /// Does what a byte that means something says; gives the place to go on from.
    #[inline]
    fn mark(&mut self, place: usize) -> Result<usize, Stop> {
        let data = self.rows.data;
        if data[place] == self.delimiter {
            self.end_field(place);
            self.field_start = place + 1;
            return Ok(place + 1);
        }
        if data[place] != b'\\' {
            let next = self.after_line(place)?;
            self.end_line(place, next)?;
            return Ok(next);
        }
        if data.get(place + 1) != Some(&b'.') {
            self.escaped = true;
            return Ok(place + 2);
        }
        self.check_end_mark(place + 2)?;
        if place > self.line_start {
            self.end_line(place, place)?;
        }
        Err(Stop::End)
    }

    /// Ends the line at `place`; the next one begins at `next`.
    fn end_line(&mut self, place: usize, next: usize) -> Result<(), Fault> {
        self.end_field(place);
        let line = &self.rows.data[self.line_start..place];
        if let Some(report) = self.wrong.take() {
            let place = Place::Line(Some(super::fault::shown(line)));
            return Err(Fault { line: self.rows.line, place, report });
        }
        self.rows.end_line(line, place)?;
        self.line_start = next;
        self.field_start = next;
        Ok(())
    }

    /// Where the next line begins after a line end at `place`, which must be like the first one.
    fn after_line(&self, place: usize) -> Result<usize, Fault> {
        let data = self.rows.data;
        let literal = |what: &str, escape: &str| {
            Fault::format(self.rows.line, None, format!("literal {what} found in data"))
                .with_hint(&format!("Use \"{escape}\" to represent {what}."))
        };
        match (data[place], self.rows.line_end) {
            (b'\n', LineEnd::Newline | LineEnd::Unknown) | (b'\r', LineEnd::Return | LineEnd::Unknown) => {
                Ok(place + 1)
            }
            (b'\r', LineEnd::ReturnNewline) if data.get(place + 1) == Some(&b'\n') => Ok(place + 2),
            (b'\r', _) => Err(literal("carriage return", "\\r")),
            _ => Err(literal("newline", "\\n")),
        }
    }

    /// `\.` ends the data if it ends its line.
    fn check_end_mark(&self, mut place: usize) -> Result<(), Fault> {
        let data = self.rows.data;
        let fault = |message: &str| Err(Fault::format(self.rows.line, None, message));
        let style = "end-of-copy marker does not match previous newline style";
        if self.rows.line_end == LineEnd::ReturnNewline {
            match data.get(place) {
                Some(b'\n') => return fault(style),
                Some(b'\r') => place += 1,
                _ => return fault("end-of-copy marker corrupt"),
            }
        }
        match (data.get(place), self.rows.line_end) {
            (Some(b'\n'), LineEnd::Newline | LineEnd::ReturnNewline | LineEnd::Unknown)
            | (Some(b'\r'), LineEnd::Return | LineEnd::Unknown) => Ok(()),
            (Some(b'\n' | b'\r'), _) => fault(style),
            _ => fault("end-of-copy marker corrupt"),
        }
    }

    #[inline]
    fn end_field(&mut self, end: usize) {
        let start = self.field_start;
        let escaped = std::mem::take(&mut self.escaped);
        if self.rows.next_column().is_none() {
            return;
        }
        let raw = &self.rows.data[start..end.max(start)];
        if raw == self.null {
            self.rows.fields.push_null();
        } else if escaped {
            let begun = self.rows.fields.begin_extra();
            let suspicious = unescape(raw, self.rows.fields.extra());
            self.rows.fields.push_extra(begun);
            if suspicious {
                let value = self.rows.fields.extra_from(begun);
                let text = std::str::from_utf8(value).is_ok_and(|text| !text.contains('\0'));
                if !text && self.wrong.is_none() {
                    self.wrong = Some(not_utf8(value));
                }
            }
        } else {
            self.rows.fields.push(start, end);
        }
    }
}

/// Puts a field into `out` with the meaning of its backslashes; tells whether it has got bytes that must be looked at,
/// because they may make no text.
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut suspicious = false;
    let mut rest = raw;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..place]);
        rest = &rest[place + 1..];
        let Some((first, tail)) = rest.split_first() else { return suspicious };
        rest = tail;
        let byte = match first {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'0'..=b'7' => {
                let (byte, tail) = digits(&[*first], rest, 8, 2);
                suspicious |= byte == 0 || !byte.is_ascii();
                rest = tail;
                byte
            }
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
                let (byte, tail) = digits(&[], rest, 16, 2);
                suspicious |= byte == 0 || !byte.is_ascii();
                rest = tail;
                byte
            }
            other => *other,
        };
        out.push(byte);
    }
    out.extend_from_slice(rest);
    suspicious
}

/// The byte that `first` and up to `more` digits of `rest` make, and what follows them.
fn digits<'a>(first: &[u8], rest: &'a [u8], radix: u32, more: usize) -> (u8, &'a [u8]) {
    let count = rest.iter().take(more).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let (taken, rest) = rest.split_at(count);
    let value = |byte: &u8| char::from(*byte).to_digit(radix).unwrap_or(0);
    let whole = first.iter().chain(taken).fold(0, |sum, byte| sum * radix + value(byte));
    // Three octal digits may say more than a byte holds; what is too much falls off.
    (whole.to_le_bytes()[0], rest)
}
