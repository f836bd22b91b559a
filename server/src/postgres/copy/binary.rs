//! The binary format: a signature, then for each row the count of its fields and each field behind its length, and a
//! count of -1 at the end (`NextCopyFrom`, `CopyReadBinaryAttribute`).

use super::SIGNATURE;
use super::fault::{Fault, Place};
use super::fields::{Fields, Found, Layout};
use super::split::Chunk;
use crate::postgres::error::Report;

/// Bits of the header's flags that say something about the format that everybody must know.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
const FLAG_OIDS: u32 = 1 << 16;

/// Finds the fields of a chunk. Rows are counted as lines.
pub fn find<'a>(chunk: &'a Chunk, layout: &'a Layout) -> Found<'a> {
    let fields = Fields::new(&chunk.bytes, layout.width());
    let mut reader = Reader { data: &chunk.bytes, place: 0, layout, fields };
    let read = match chunk.first {
        true => reader.header().and_then(|()| reader.rows()),
        false => reader.rows(),
    };
    let (ended, fault) = match read {
        Ok(ended) => (ended, None),
        Err(fault) => (true, Some(fault)),
    };
    reader.fields.drop_row();
    Found { lines: reader.fields.rows() as u64, fields: reader.fields, ended, fault }
}

struct Reader<'a> {
    data: &'a [u8],
    place: usize,
    layout: &'a Layout,
    fields: Fields<'a>,
}

impl Reader<'_> {
    fn fault(&self, line: u64, message: &str) -> Fault {
        let place = if line == 0 { Place::Head } else { Place::Line(None) };
        Fault { line, place, report: Report::new("22P04", message) }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.data.get(self.place..)?.first_chunk::<N>()?;
        self.place += N;
        Some(*taken)
    }

    fn header(&mut self) -> Result<(), Fault> {
        if self.take::<11>().as_ref() != Some(SIGNATURE) {
            return Err(self.fault(0, "COPY file signature not recognized"));
        }
        let flags = self.take::<4>().map(u32::from_be_bytes);
        let flags = flags.ok_or_else(|| self.fault(0, "invalid COPY file header (missing flags)"))?;
        if flags & FLAG_OIDS != 0 {
            return Err(self.fault(0, "invalid COPY file header (WITH OIDS)"));
        }
        if flags & CRITICAL_FLAGS != 0 {
            return Err(self.fault(0, "unrecognized critical flags in COPY file header"));
        }
        let extension = self.take::<4>().map(i32::from_be_bytes);
        let extension = extension.and_then(|extension| usize::try_from(extension).ok());
        let extension =
            extension.ok_or_else(|| self.fault(0, "invalid COPY file header (missing length)"))?;
        self.place += extension;
        if self.place > self.data.len() {
            return Err(self.fault(0, "invalid COPY file header (wrong length)"));
        }
        Ok(())
    }

    /// Whether the data says that it ends. As in PostgreSQL, it may end after any row without saying so.
    fn rows(&mut self) -> Result<bool, Fault> {
        let width = self.layout.width();
        while self.place < self.data.len() {
            let line = self.fields.rows() as u64 + 1;
            let count = self.take::<2>().map(i16::from_be_bytes);
            let count = count.ok_or_else(|| self.fault(line, "unexpected EOF in COPY data"))?;
            if count == -1 {
                return match self.place == self.data.len() {
                    true => Ok(true),
                    false => Err(self.fault(line, "received copy data after EOF marker")),
                };
            }
            if usize::try_from(count) != Ok(width) {
                return Err(self.fault(line, &format!("row field count is {count}, expected {width}")));
            }
            for column in 0..width {
                self.field(line, column)?;
            }
            self.fields.end_row(line);
        }
        Ok(false)
    }

    fn field(&mut self, line: u64, column: usize) -> Result<(), Fault> {
        let fault = |message| {
            let place = Place::Column { name: self.layout.column(column).name().clone(), value: None };
            Fault { line, place, report: Report::new("22P04", message) }
        };
        let length = self.data.get(self.place..).and_then(|rest| rest.first_chunk::<4>());
        let length = i32::from_be_bytes(*length.ok_or_else(|| fault("unexpected EOF in COPY data"))?);
        let start = self.place + 4;
        if length == -1 {
            self.place = start;
            self.fields.push_null();
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| fault("invalid field size"))?;
        let end = start + length;
        if end > self.data.len() {
            return Err(fault("unexpected EOF in COPY data"));
        }
        self.place = end;
        self.fields.push(start, end);
        Ok(())
    }
}
