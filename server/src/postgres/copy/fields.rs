//! Where the fields of a chunk's rows are. The formats find them; columns are then made of them, one after the other,
//! without looking at the text again.

use tarn_sql::CopyOptions;

use arrow::array::timezone::Tz;
use arrow::datatypes::{FieldRef, SchemaRef};

use super::fault::Fault;

/// What is known of all the data before its first byte.
#[derive(Debug, Clone)]
pub struct Layout {
    pub columns: SchemaRef,
    /// The name of the table.
    pub relation: String,
    pub options: CopyOptions,
    /// For times without a zone of their own.
    pub zone: Tz,
    /// By column: what looks like NULL is a text.
    pub force_not_null: Vec<bool>,
    /// By column: what looks like NULL is one in quotes too.
    pub force_null: Vec<bool>,
}

impl Layout {
    pub fn new(columns: &SchemaRef, relation: &str, options: &CopyOptions, zone: Tz) -> Layout {
        let flags = |named: &tarn_sql::CopyColumns| {
            columns.fields().iter().map(|field| named.has(field.name())).collect::<Vec<_>>()
        };
        Layout {
            columns: columns.clone(),
            relation: relation.to_owned(),
            zone,
            force_not_null: flags(&options.force_not_null),
            force_null: flags(&options.force_null),
            options: options.clone(),
        }
    }

    pub fn width(&self) -> usize {
        self.columns.fields().len()
    }

    pub fn column(&self, column: usize) -> &FieldRef {
        &self.columns.fields()[column]
    }
}

/// Where one field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

const NULL: Span = Span { start: u32::MAX, end: u32::MAX };

/// The fields of the rows of a chunk.
#[derive(Debug)]
pub struct Fields<'a> {
    data: &'a [u8],
    /// Values that do not stand in the data as they are; their places count on from its end.
    extra: Vec<u8>,
    width: usize,
    spans: Vec<Span>,
    /// The line of each row, from 1.
    lines: Vec<u32>,
}

impl<'a> Fields<'a> {
    pub fn new(data: &'a [u8], width: usize) -> Fields<'a> {
        // Mostly a field takes eight bytes and more, so this is room enough.
        let spans = Vec::with_capacity(data.len() / 8 + width);
        Fields { data, extra: Vec::new(), width, spans, lines: Vec::new() }
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    pub fn line(&self, row: usize) -> u64 {
        u64::from(self.lines[row])
    }

    /// How many fields the row that is being read has so far.
    pub fn in_row(&self) -> usize {
        self.spans.len() - self.rows() * self.width
    }

    /// A field that stands in the data.
    pub fn push(&mut self, start: usize, end: usize) {
        self.spans.push(Span { start: place(start), end: place(end) });
    }

    pub fn push_null(&mut self) {
        self.spans.push(NULL);
    }

    /// Where a value begins that `extra` is about to get.
    pub fn begin_extra(&self) -> usize {
        self.extra.len()
    }

    pub fn extra(&mut self) -> &mut Vec<u8> {
        &mut self.extra
    }

    pub fn extra_from(&self, begun: usize) -> &[u8] {
        &self.extra[begun..]
    }

    /// The value that `extra` has got since.
    pub fn push_extra(&mut self, begun: usize) {
        let end = self.data.len() + self.extra.len();
        self.push(self.data.len() + begun, end);
    }

    /// Ends the row, which must have all its fields.
    pub fn end_row(&mut self, line: u64) {
        debug_assert_eq!(self.in_row(), self.width, "a row has another number of fields");
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
    }

    /// Forgets the row that is being read.
    pub fn drop_row(&mut self) {
        self.spans.truncate(self.rows() * self.width);
    }

    /// The bytes of a field; `None` for NULL.
    pub fn get(&self, row: usize, column: usize) -> Option<&[u8]> {
        let span = self.spans[row * self.width + column];
        if span == NULL {
            return None;
        }
        let (start, end) = (span.start as usize, span.end as usize);
        Some(match start.checked_sub(self.data.len()) {
            None => &self.data[start..end],
            Some(start) => &self.extra[start..end - self.data.len()],
        })
    }
}

/// A chunk is at most as long as the longest record and a message, far below 4 GiB.
fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX - 1)
}

/// What has been found in a chunk.
#[derive(Debug)]
pub struct Found<'a> {
    pub fields: Fields<'a>,
    /// How many lines the chunk has.
    pub lines: u64,
    /// The data says that it ends here; what follows is not looked at.
    pub ended: bool,
    /// What is wrong after the rows that were found.
    pub fault: Option<Fault>,
}
