//! The cells of some records into arrays, one column at a time, by the types that the table has. It must never see a
//! file or choose a type.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveBuilder, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use tarn_catalog::object::DateOrder;

use super::text::decode;
use crate::files::dates::{Written, written};
use crate::files::problem::Problem;
use crate::files::values;

/// A batch is handed on when its cells pass this size, so that wide rows do not make huge batches.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// The same for many columns.
const BATCH_CELLS_MAX: usize = 4 << 20;
/// The longest part of a bad value that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The wanted cells of some records, one after the other.
#[derive(Default)]
pub struct Cells {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line of each record.
    pub lines: Vec<u64>,
}

impl Cells {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.lines.clear();
    }

    pub fn full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES_MAX || self.ends.len() >= BATCH_CELLS_MAX
    }

    pub fn push(&mut self, cell: &[u8]) {
        self.bytes.extend_from_slice(cell);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// One column of some records.
pub struct Column<'a> {
    pub cells: &'a Cells,
    pub index: usize,
    /// Columns of `cells`.
    pub width: usize,
    pub null: Option<&'a str>,
    /// The order in which its days are written, if that is not ISO's.
    pub order: Option<DateOrder>,
    pub field: &'a Field,
}

impl Column<'_> {
    pub fn array(&self) -> Result<ArrayRef, Problem> {
        match self.field.data_type() {
            DataType::Utf8 => self.text(),
            DataType::Boolean => self.booleans(),
            DataType::Int32 => {
                self.parse::<Int32Type>(|text| values::long(text).and_then(|value| value.try_into().ok()))
            }
            DataType::Int64 => self.parse::<Int64Type>(values::long),
            DataType::Float32 => {
                self.parse::<Float32Type>(|text| read_double(text).map(|value| value as f32))
            }
            DataType::Float64 => self.parse::<Float64Type>(read_double),
            DataType::Date32 => self.parse::<Date32Type>(|text| self.read_date(text)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let zoned = zone.is_some();
                self.parse::<TimestampMicrosecondType>(|text| self.read_timestamp(text, zoned))
            }
            other => arrow::compute::cast_with_options(
                &self.text()?,
                other,
                &arrow::compute::CastOptions { safe: false, ..Default::default() },
            )
            .map_err(|error| Problem::misfit(format!("column \"{}\": {error}", self.field.name()))),
        }
    }

    /// The cells of the column from the top, NULL as None.
    fn values(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        (0..self.cells.lines.len()).map(|row| {
            let text = decode(self.cells.get(row * self.width + self.index));
            (!text.is_empty() && self.null != Some(text.as_ref())).then_some(text)
        })
    }

    fn text(&self) -> Result<ArrayRef, Problem> {
        let mut builder = StringBuilder::with_capacity(self.cells.lines.len(), 0);
        for text in self.values() {
            builder.append_option(text);
        }
        Ok(Arc::new(builder.finish()))
    }

    fn booleans(&self) -> Result<ArrayRef, Problem> {
        let values =
            self.values().enumerate().map(|(row, text)| self.value(row, text.as_deref(), values::boolean));
        Ok(Arc::new(values.collect::<Result<BooleanArray, Problem>>()?))
    }

    fn parse<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef, Problem> {
        let builder = PrimitiveBuilder::<T>::with_capacity(self.cells.lines.len());
        let mut builder = builder.with_data_type(self.field.data_type().clone());
        for (row, text) in self.values().enumerate() {
            builder.append_option(self.value(row, text.as_deref(), &parse)?);
        }
        Ok(Arc::new(builder.finish()))
    }

    /// The value of one cell; blanks around a value that is not text mean nothing, and words for NULL are NULL.
    fn value<T>(
        &self,
        row: usize,
        text: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let present = |text: &&str| !text.is_empty() && !values::is_null_word(text);
        let Some(text) = text.map(str::trim).filter(present) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| {
            let name = self.field.name();
            let type_name = crate::types::sql_name(self.field);
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            Problem::misfit(format!("column \"{name}\" is {type_name}, and \"{shown}\" is not"))
                .on_line(self.cells.lines[row])
                .with_hint(
                    "Crawl the folder again to widen the type, or use read_csv(..., all_text => true) and cast.",
                )
        })
    }

    fn read_date(&self, text: &str) -> Option<i32> {
        match self.order {
            None => values::date(text),
            Some(order) => written(text, order).filter(|written| written.time.is_none()).map(|it| it.day),
        }
    }

    /// A timestamp, or midnight of a date.
    fn read_timestamp(&self, text: &str, zoned: bool) -> Option<i64> {
        if let Some(order) = self.order {
            return written(text, order).map(Written::micros);
        }
        match values::moment(text) {
            Some(moment) => (moment.zoned == zoned).then_some(moment.micros),
            None if zoned => None,
            None => values::date(text).map(values::midnight),
        }
    }
}

/// A decimal number of a column known to be one: in any notation but with leading zeros or a plus sign.
fn read_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let leading_zero = matches!(unsigned, [b'0', next, ..] if next.is_ascii_digit());
    if leading_zero || text.starts_with('+') { None } else { text.parse().ok() }
}
