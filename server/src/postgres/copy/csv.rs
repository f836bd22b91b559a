//! The CSV format: fields between delimiters, quoted where they hold one, a quote or the end of a line
//! (`CopyReadLineText`, `CopyReadAttributesCSV`).

use super::fault::Fault;
use super::fields::{Found, Layout};
use super::rows::Rows;
use super::split::{Chunk, LineEnd};

/// Finds the fields of a chunk.
pub fn find<'a>(chunk: &'a Chunk, layout: &'a Layout) -> Found<'a> {
    let mut reader = Reader::new(chunk, layout);
    match reader.read() {
        Ok(ended) => reader.rows.found(ended, None),
        Err(fault) => reader.rows.found(true, Some(fault)),
    }
}

struct Reader<'a> {
    rows: Rows<'a>,
    /// Bytes that end a piece outside quotes.
    special: [bool; 256],
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: &'a [u8],
    /// What a line in quotes is counted by: before the first line has ended, nobody knows how lines end.
    counted: u8,
    line_start: usize,
}

/// What stands behind a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Field(usize),
    Line(usize),
}

impl<'a> Reader<'a> {
    fn new(chunk: &'a Chunk, layout: &'a Layout) -> Reader<'a> {
        let options = &layout.options;
        let mut special = [false; 256];
        for byte in [options.delimiter, options.quote, b'\n', b'\r'] {
            special[usize::from(byte)] = true;
        }
        Reader {
            rows: Rows::new(chunk, layout),
            special,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            null: options.null.as_bytes(),
            counted: if chunk.line_end == LineEnd::Newline && !chunk.first { b'\n' } else { b'\r' },
            line_start: 0,
        }
    }

    /// Whether the data says that it ends.
    fn read(&mut self) -> Result<bool, Fault> {
        let data = self.rows.data;
        let mut place = 0;
        while place < data.len() || self.rows.lacks_header() {
            self.line_start = place;
            if self.is_end_mark(place)? {
                return Ok(true);
            }
            place = loop {
                match self.field(place)? {
                    After::Field(next) => place = next,
                    After::Line(next) => break next,
                }
            };
        }
        Ok(false)
    }

    /// `\.` alone in its line.
    fn is_end_mark(&self, place: usize) -> Result<bool, Fault> {
        let Some(rest) = self.rows.data[place..].strip_prefix(b"\\.") else { return Ok(false) };
        let style = "end-of-copy marker does not match previous newline style";
        match (rest, self.rows.line_end) {
            ([b'\r', b'\n', ..], LineEnd::ReturnNewline) => Ok(true),
            (_, LineEnd::ReturnNewline) => Ok(false),
            ([b'\n', ..], LineEnd::Newline | LineEnd::Unknown)
            | ([b'\r', ..], LineEnd::Return | LineEnd::Unknown) => Ok(true),
            ([b'\n' | b'\r', ..], _) => Err(Fault::format(self.rows.line, None, style)),
            _ => Ok(false),
        }
    }

    /// Reads the field that begins at `start`.
    fn field(&mut self, start: usize) -> Result<After, Fault> {
        let data = self.rows.data;
        let length = data[start..].iter().position(|byte| self.special[usize::from(*byte)]);
        let end = length.map_or(data.len(), |length| start + length);
        if data.get(end) == Some(&self.quote) {
            return if end == start { self.quoted(start) } else { self.mixed(start) };
        }
        self.put(start, end);
        self.after(end)
    }

    /// An unquoted field.
    #[inline]
    fn put(&mut self, start: usize, end: usize) {
        let Some(column) = self.rows.next_column() else { return };
        if self.rows.data[start..end] != *self.null {
            self.rows.fields.push(start, end);
        } else if self.rows.layout.force_not_null[column] {
            self.put_text(self.null);
        } else {
            self.rows.fields.push_null();
        }
    }

    fn put_text(&mut self, text: &[u8]) {
        let begun = self.rows.fields.begin_extra();
        self.rows.fields.extra().extend_from_slice(text);
        self.rows.fields.push_extra(begun);
    }

    /// A field that begins with a quote: mostly the next quote ends it, and it can be taken as it stands.
    fn quoted(&mut self, start: usize) -> Result<After, Fault> {
        let data = self.rows.data;
        let (quote, escape, counted) = (self.quote, self.escape, self.counted);
        let inner = start + 1;
        let stops = |byte: &u8| *byte == quote || *byte == escape;
        let Some(length) = data[inner..].iter().position(stops) else { return self.mixed(start) };
        let end = inner + length;
        let alone = match data.get(end + 1) {
            None | Some(b'\n' | b'\r') => true,
            Some(byte) => *byte == self.delimiter,
        };
        if data[end] != quote || !alone {
            return self.mixed(start);
        }
        let value = &data[inner..end];
        self.rows.line += value.iter().filter(|byte| **byte == counted).count() as u64;
        if let Some(column) = self.rows.next_column() {
            if self.rows.layout.force_null[column] && value == self.null {
                self.rows.fields.push_null();
            } else {
                self.rows.fields.push(inner, end);
            }
        }
        self.after(end + 1)
    }

    /// A field that is only quoted in parts, or has quotes in its value.
    fn mixed(&mut self, start: usize) -> Result<After, Fault> {
        let data = self.rows.data;
        let mut value = Vec::new();
        let mut place = start;
        let mut quoted = false;
        while let Some(byte) = data.get(place).copied() {
            place += 1;
            if !quoted {
                if byte == self.quote {
                    quoted = true;
                } else if self.special[usize::from(byte)] {
                    place -= 1;
                    break;
                } else {
                    value.push(byte);
                }
                continue;
            }
            let next = data.get(place).copied();
            if byte == self.escape && next.is_some_and(|next| next == self.escape || next == self.quote) {
                value.extend(next);
                place += 1;
            } else if byte == self.quote {
                quoted = false;
            } else {
                self.rows.line += u64::from(byte == self.counted);
                value.push(byte);
            }
        }
        if quoted {
            let line = &data[self.line_start..];
            return Err(Fault::format(self.rows.line, Some(line), "unterminated CSV quoted field"));
        }
        if let Some(column) = self.rows.next_column() {
            if self.rows.layout.force_null[column] && value == self.null {
                self.rows.fields.push_null();
            } else {
                self.put_text(&value);
            }
        }
        self.after(place)
    }

    /// What the byte at `place`, which ends a field, ends beside it.
    #[inline]
    fn after(&mut self, place: usize) -> Result<After, Fault> {
        let data = self.rows.data;
        let next = match data.get(place) {
            Some(byte) if *byte == self.delimiter => return Ok(After::Field(place + 1)),
            Some(_) => self.after_line(place)?,
            None => place,
        };
        self.rows.end_line(&data[self.line_start..place], place)?;
        if self.rows.line_end == LineEnd::Newline {
            self.counted = b'\n';
        }
        Ok(After::Line(next))
    }

    /// Where the next line begins after a line end at `place`, which must be like the first one.
    fn after_line(&self, place: usize) -> Result<usize, Fault> {
        let data = self.rows.data;
        let unquoted = |what: &str| {
            Fault::format(self.rows.line, None, format!("unquoted {what} found in data"))
                .with_hint(&format!("Use quoted CSV field to represent {what}."))
        };
        match (data[place], self.rows.line_end) {
            (b'\n', LineEnd::Newline | LineEnd::Unknown) | (b'\r', LineEnd::Return | LineEnd::Unknown) => {
                Ok(place + 1)
            }
            (b'\r', LineEnd::ReturnNewline) if data.get(place + 1) == Some(&b'\n') => Ok(place + 2),
            (b'\r', _) => Err(unquoted("carriage return")),
            _ => Err(unquoted("newline")),
        }
    }
}
