//! Cuts the data of a `COPY FROM` into chunks of whole records, whatever pieces it comes in. It looks at no more than it
//! must to tell where a record ends, and leaves all errors to those who take the chunks apart.

use tarn_sql::{CopyFormat, CopyOptions};

use super::{CHUNK_BYTES, SIGNATURE};
use crate::postgres::error::Failure;

/// The longest record, bytes; PostgreSQL has the same limit.
const RECORD_BYTES_MAX: usize = (1 << 30) - 1;

/// How lines end. The first one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// There has been none yet.
    Unknown,
    Newline,
    Return,
    ReturnNewline,
}

/// A piece of the data that ends where a record ends.
#[derive(Debug)]
pub struct Chunk {
    pub bytes: Vec<u8>,
    /// It begins where the data begins.
    pub first: bool,
    pub line_end: LineEnd,
}

/// Cuts one stream.
#[derive(Debug)]
pub struct Splitter {
    format: CopyFormat,
    quote: u8,
    escape: u8,
    fields: usize,
    bytes: Vec<u8>,
    first: bool,
    line_end: LineEnd,
    /// How many bytes there must be until it is worth looking again.
    look_at: usize,
}

impl Splitter {
    pub fn new(options: &CopyOptions, fields: usize) -> Splitter {
        Splitter {
            format: options.format,
            quote: options.quote,
            escape: options.escape,
            fields,
            bytes: Vec::new(),
            first: true,
            line_end: LineEnd::Unknown,
            look_at: CHUNK_BYTES,
        }
    }

    /// Takes the next bytes; gives a chunk when there is enough for one.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Chunk>, Failure> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(CHUNK_BYTES + CHUNK_BYTES / 8);
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < self.look_at {
            return Ok(None);
        }
        let end = match self.format {
            CopyFormat::Text => self.end_of_lines(),
            CopyFormat::Csv => self.end_of_csv(),
            CopyFormat::Binary => binary_end(&self.bytes, self.first, self.fields),
        };
        if end == 0 {
            if self.bytes.len() > RECORD_BYTES_MAX {
                return Err(Failure::error("54000", "a row of the copied data is longer than 1 GB"));
            }
            // Twice as much next time, so that a long record is not looked at for every piece of it.
            self.look_at = self.bytes.len() * 2;
            return Ok(None);
        }
        self.look_at = CHUNK_BYTES;
        let mut rest = self.bytes.split_off(end);
        rest.reserve(CHUNK_BYTES + CHUNK_BYTES / 8);
        Ok(Some(self.cut(rest)))
    }

    /// What is left at the end of the data.
    pub fn finish(&mut self) -> Chunk {
        if self.line_end == LineEnd::Unknown {
            self.find_line_end();
        }
        self.cut(Vec::new())
    }

    fn cut(&mut self, rest: Vec<u8>) -> Chunk {
        let bytes = std::mem::replace(&mut self.bytes, rest);
        let first = std::mem::take(&mut self.first);
        Chunk { bytes, first, line_end: self.line_end }
    }

    /// Looks for the end of the first line.
    fn find_line_end(&mut self) {
        let (mut quoted, mut place) = (false, 0);
        while let Some(byte) = self.bytes.get(place) {
            match byte {
                b'\\' if self.format == CopyFormat::Text => place += 1,
                byte if *byte == self.quote && self.format == CopyFormat::Csv => quoted = !quoted,
                b'\n' if !quoted => {
                    self.line_end = LineEnd::Newline;
                    return;
                }
                b'\r' if !quoted => {
                    self.line_end = match self.bytes.get(place + 1) {
                        Some(b'\n') => LineEnd::ReturnNewline,
                        _ => LineEnd::Return,
                    };
                    return;
                }
                _ => {}
            }
            place += 1;
        }
    }

    /// The byte that ends a line.
    fn terminator(&mut self) -> u8 {
        if self.line_end == LineEnd::Unknown {
            self.find_line_end();
        }
        if self.line_end == LineEnd::Return { b'\r' } else { b'\n' }
    }

    /// Behind the last line that is whole. A terminator after a backslash is part of the line.
    fn end_of_lines(&mut self) -> usize {
        let terminator = self.terminator();
        let mut before = self.bytes.len();
        while let Some(place) = self.bytes[..before].iter().rposition(|byte| *byte == terminator) {
            let mut line = &self.bytes[..place];
            if self.line_end == LineEnd::ReturnNewline {
                line = line.strip_suffix(b"\r").unwrap_or(line);
            }
            let backslashes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes.is_multiple_of(2) {
                return place + 1;
            }
            before = place;
        }
        0
    }

    /// Behind the last line that is whole and not inside quotes.
    fn end_of_csv(&mut self) -> usize {
        let terminator = self.terminator();
        if self.escape != self.quote {
            return escaped_csv_end(&self.bytes, terminator, self.quote, self.escape);
        }
        // Every quote opens or closes: an even number of them before a place means that it is outside.
        let mut quotes = self.bytes.iter().filter(|byte| **byte == self.quote).count();
        for (place, byte) in self.bytes.iter().enumerate().rev() {
            if *byte == self.quote {
                quotes -= 1;
            } else if *byte == terminator && quotes.is_multiple_of(2) {
                return place + 1;
            }
        }
        0
    }
}

/// The same where quotes in a value stand behind another character.
fn escaped_csv_end(bytes: &[u8], terminator: u8, quote: u8, escape: u8) -> usize {
    let (mut quoted, mut escaped, mut end) = (false, false, 0);
    for (place, byte) in bytes.iter().enumerate() {
        if quoted && *byte == escape {
            escaped = !escaped;
        }
        if *byte == quote && !escaped {
            quoted = !quoted;
        }
        if *byte != escape {
            escaped = false;
        }
        if *byte == terminator && !quoted {
            end = place + 1;
        }
    }
    end
}

/// Behind the last row that is whole. Data that cannot be right is handed on as it is.
fn binary_end(bytes: &[u8], first: bool, fields: usize) -> usize {
    let mut end = 0;
    if first {
        let head = SIGNATURE.len() + 8;
        let Some(extension) = bytes.get(head - 4..head).and_then(|bytes| bytes.first_chunk::<4>()) else {
            return 0;
        };
        end = match usize::try_from(i32::from_be_bytes(*extension)) {
            Ok(extension) => head + extension,
            Err(_) => return bytes.len(),
        };
    }
    loop {
        let mut place = end;
        let Some(count) = bytes.get(place..).and_then(|rest| rest.first_chunk::<2>()) else {
            return if end <= bytes.len() { end } else { 0 };
        };
        if usize::try_from(i16::from_be_bytes(*count)) != Ok(fields) {
            return bytes.len();
        }
        place += 2;
        for _ in 0..fields {
            let Some([a, b, c, d]) = bytes.get(place..place + 4) else { return end };
            place += 4;
            match i32::from_be_bytes([*a, *b, *c, *d]) {
                -1 => {}
                length if length < 0 => return bytes.len(),
                length => place += length.unsigned_abs() as usize,
            }
        }
        if place > bytes.len() {
            return end;
        }
        end = place;
    }
}
