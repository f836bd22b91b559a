//! Lines of text become rows: the header is looked at and left out, and every other line must have a field for each
//! column. What the text and CSV formats have in common is here.

use tarn_sql::CopyHeader;

use super::fault::{Fault, Place, not_utf8};
use super::fields::{Fields, Found, Layout};
use super::split::{Chunk, LineEnd};

/// The rows of a chunk, while they are found.
pub struct Rows<'a> {
    pub layout: &'a Layout,
    pub data: &'a [u8],
    pub line_end: LineEnd,
    pub fields: Fields<'a>,
    /// The line that is being read, from 1.
    pub line: u64,
    /// How many fields the line has so far; those that are too many are not kept.
    count: usize,
    header: CopyHeader,
    /// The first byte that is not part of a text.
    wrong_from: usize,
}

impl<'a> Rows<'a> {
    pub fn new(chunk: &'a Chunk, layout: &'a Layout) -> Rows<'a> {
        let data = chunk.bytes.as_slice();
        let broken = std::str::from_utf8(data).err().map(|error| error.valid_up_to());
        // `contains` looks at many bytes at once.
        let zero = data.contains(&0).then(|| data.iter().position(|byte| *byte == 0)).flatten();
        Rows {
            layout,
            data,
            line_end: chunk.line_end,
            fields: Fields::new(data, layout.width()),
            line: 1,
            count: 0,
            header: if chunk.first { layout.options.header } else { CopyHeader::No },
            wrong_from: broken.into_iter().chain(zero).min().unwrap_or(usize::MAX),
        }
    }

    /// Where the next field goes; `None` when the line has too many, and what comes is only counted.
    pub fn next_column(&mut self) -> Option<usize> {
        let column = self.count;
        self.count += 1;
        (column < self.layout.width()).then_some(column)
    }

    /// Ends the line `text`, which ends at `place`.
    pub fn end_line(&mut self, text: &[u8], place: usize) -> Result<(), Fault> {
        if place > self.wrong_from {
            return Err(self.wrong_text());
        }
        let count = std::mem::take(&mut self.count);
        let header = std::mem::replace(&mut self.header, CopyHeader::No);
        if header == CopyHeader::No {
            self.check_count(count, text)?;
            self.fields.end_row(self.line);
        } else {
            if header == CopyHeader::Match {
                self.check_header(count, text)?;
            }
            self.fields.drop_row();
        }
        self.line += 1;
        Ok(())
    }

    /// Whether the data lacks the header that it must have.
    pub fn lacks_header(&self) -> bool {
        self.header == CopyHeader::Match
    }

    fn check_count(&mut self, count: usize, text: &[u8]) -> Result<(), Fault> {
        let width = self.layout.width();
        if count > width {
            let message = "extra data after last expected column";
            return Err(Fault::format(self.line, Some(text), message));
        }
        if count < width {
            let missing = self.layout.column(count).name();
            let message = format!("missing data for column \"{missing}\"");
            // The fields that are there are looked at first.
            (count..width).for_each(|_| self.fields.push_null());
            self.fields.end_row(self.line);
            return Err(Fault::format(self.line, Some(text), message));
        }
        Ok(())
    }

    fn check_header(&self, count: usize, text: &[u8]) -> Result<(), Fault> {
        let width = self.layout.width();
        if count != width {
            let message = format!("wrong number of fields in header line: got {count}, expected {width}");
            return Err(Fault::format(self.line, Some(text), message));
        }
        for (column, name) in self.layout.columns.fields().iter().map(|field| field.name()).enumerate() {
            let found = match self.fields.get(self.fields.rows(), column) {
                Some(found) if found == name.as_bytes() => continue,
                Some(found) => format!("got \"{}\"", String::from_utf8_lossy(found)),
                None => format!("got null value (\"{}\")", self.layout.options.null),
            };
            let message = format!(
                "column name mismatch in header line field {}: {found}, expected \"{name}\"",
                column + 1
            );
            return Err(Fault::format(self.line, Some(text), message));
        }
        Ok(())
    }

    fn wrong_text(&self) -> Fault {
        let report = not_utf8(&self.data[self.wrong_from..]);
        Fault { line: self.line, place: Place::Line(None), report }
    }

    /// All that was found; a fault is what came after it.
    pub fn found(self, ended: bool, fault: Option<Fault>) -> Found<'a> {
        Found { lines: self.line - 1, fields: self.fields, ended, fault }
    }
}
