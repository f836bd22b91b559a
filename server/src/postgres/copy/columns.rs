//! Fields -> arrays, a column at a time: the way to read a value is chosen once, and the usual forms of a value are read
//! without a detour. All others go the way of parameters (`../decode/`), one by one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray,
    NullBufferBuilder, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow::compute::concat;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use tarn_sql::CopyFormat;
use tarn_sql::types::pg_type;

use super::super::decode;
use super::super::encode::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use super::fault::{Fault, Place, shown};
use super::fields::{Fields, Found, Layout};
use super::split::Chunk;
use super::{binary, csv, decimal, moments, nested, text};
use crate::postgres::error::Report;

/// A chunk's rows.
#[derive(Debug)]
pub struct Decoded {
    pub rows: RecordBatch,
    pub lines: u64,
    pub ended: bool,
}

/// Takes a chunk apart.
pub fn decode(chunk: &Chunk, layout: &Layout) -> Result<Decoded, Fault> {
    let Found { fields, lines, ended, fault } = match layout.options.format {
        CopyFormat::Text => text::find(chunk, layout),
        CopyFormat::Csv => csv::find(chunk, layout),
        CopyFormat::Binary => binary::find(chunk, layout),
    };
    // The first fault in the data is the one that counts: what is wrong with the form comes after these rows, and of
    // their values, the first row's first.
    let mut first: Option<(usize, Fault)> = None;
    let mut arrays = Vec::with_capacity(layout.width());
    for (column, field) in layout.columns.fields().iter().enumerate() {
        let rows = first.as_ref().map_or(fields.rows(), |(row, _)| *row);
        let reader = Column { fields: &fields, rows, column, field, layout };
        match reader.array() {
            Ok(array) => arrays.push(array),
            Err(wrong) => first = Some((wrong.row, reader.fault(*wrong))),
        }
    }
    let mut rows = first.as_ref().map_or(fields.rows(), |(row, _)| *row);
    // A row that lacks fields has been filled up.
    if fault.as_ref().is_some_and(|fault| rows > 0 && fields.line(rows - 1) == fault.line) {
        rows -= 1;
    }
    let missing = first_null(&fields, rows, layout);
    if let Some(fault) = missing.or(first.map(|(_, fault)| fault)).or(fault) {
        return Err(fault);
    }
    let count = RecordBatchOptions::new().with_row_count(Some(fields.rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&layout.columns), arrays, &count);
    let rows = rows.map_err(|error| Fault {
        line: lines,
        place: Place::Line(None),
        report: Report::new("XX000", format!("copied rows do not fit their table: {error}")),
    })?;
    Ok(Decoded { rows, lines, ended })
}

/// The first of `rows` that has NULL in a column that must have a value.
fn first_null(fields: &Fields<'_>, rows: usize, layout: &Layout) -> Option<Fault> {
    let columns = layout.columns.fields().iter().enumerate();
    let required: Vec<usize> =
        columns.filter(|(_, field)| !field.is_nullable()).map(|(column, _)| column).collect();
    let null = |row: usize| required.iter().find(|column| fields.get(row, **column).is_none());
    let (row, column) = (0..rows).find_map(|row| null(row).map(|column| (row, *column)))?;
    let (name, relation) = (layout.column(column).name(), &layout.relation);
    let message =
        format!("null value in column \"{name}\" of relation \"{relation}\" violates not-null constraint");
    Some(Fault { line: fields.line(row), place: Place::Line(None), report: Report::new("23502", message) })
}

/// A value that is wrong.
struct Wrong {
    row: usize,
    report: Report,
}

type Result<T, E = Box<Wrong>> = std::result::Result<T, E>;

/// One column of a chunk.
struct Column<'a> {
    fields: &'a Fields<'a>,
    rows: usize,
    column: usize,
    field: &'a Field,
    layout: &'a Layout,
}

impl Column<'_> {
    fn fault(&self, wrong: Wrong) -> Fault {
        let name = self.field.name().clone();
        let value = match self.layout.options.format {
            CopyFormat::Binary => None,
            CopyFormat::Text | CopyFormat::Csv => self.fields.get(wrong.row, self.column).map(shown),
        };
        Fault {
            line: self.fields.line(wrong.row),
            place: Place::Column { name, value },
            report: wrong.report,
        }
    }

    fn array(&self) -> Result<ArrayRef> {
        match self.layout.options.format {
            CopyFormat::Binary => self.of_binary(),
            CopyFormat::Text | CopyFormat::Csv => self.of_text(),
        }
    }

    fn of_text(&self) -> Result<ArrayRef> {
        match self.field.data_type() {
            DataType::Int32 => self.primitive::<Int32Type>(|text| i32::try_from(integer(text)?).ok()),
            DataType::Int64 => self.primitive::<Int64Type>(integer),
            DataType::Float32 => self.primitive::<Float32Type>(|text| float(text)?.parse().ok()),
            DataType::Float64 => self.primitive::<Float64Type>(|text| float(text)?.parse().ok()),
            DataType::Decimal128(precision, scale) => self.decimal(*precision, *scale),
            DataType::Date32 => self.primitive::<Date32Type>(moments::date),
            DataType::Time64(TimeUnit::Microsecond) => self.primitive::<Time64MicrosecondType>(moments::time),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let with_zone = zone.is_some();
                self.primitive::<TimestampMicrosecondType>(|text| moments::timestamp(text, with_zone))
            }
            DataType::Boolean => self.boolean(|text| match text {
                b"t" => Some(true),
                b"f" => Some(false),
                _ => None,
            }),
            DataType::Utf8 => self.strings(),
            DataType::Binary => self.bytes(|column, row, text, out| {
                out.extend(decode::bytea(column.text(row, text)?).ok_or_else(|| column.bad_text(row, text))?);
                Ok(())
            }),
            DataType::FixedSizeBinary(length) => self.fixed(*length),
            DataType::Struct(_) | DataType::Map(_, _) => self.nested(),
            DataType::List(item) if item.data_type().is_nested() => self.nested(),
            _ => self.one_by_one(),
        }
    }

    fn of_binary(&self) -> Result<ArrayRef> {
        match self.field.data_type() {
            DataType::Int32 => {
                self.primitive::<Int32Type>(|value| Some(i32::from_be_bytes(value.try_into().ok()?)))
            }
            DataType::Int64 => {
                self.primitive::<Int64Type>(|value| Some(i64::from_be_bytes(value.try_into().ok()?)))
            }
            DataType::Float32 => {
                self.primitive::<Float32Type>(|value| Some(f32::from_be_bytes(value.try_into().ok()?)))
            }
            DataType::Float64 => {
                self.primitive::<Float64Type>(|value| Some(f64::from_be_bytes(value.try_into().ok()?)))
            }
            DataType::Decimal128(precision, scale) => self.decimal(*precision, *scale),
            DataType::Date32 => self.primitive::<Date32Type>(|value| {
                let days = i64::from(i32::from_be_bytes(value.try_into().ok()?));
                i32::try_from(days + PG_EPOCH_DAYS).ok()
            }),
            DataType::Time64(TimeUnit::Microsecond) => self.primitive::<Time64MicrosecondType>(|value| {
                let micros = i64::from_be_bytes(value.try_into().ok()?);
                (0..=moments::DAY_MICROS).contains(&micros).then_some(micros)
            }),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.primitive::<TimestampMicrosecondType>(|value| {
                    i64::from_be_bytes(value.try_into().ok()?).checked_add(PG_EPOCH_MICROS)
                })
            }
            DataType::Boolean => self.boolean(|value| match value {
                [byte] => Some(*byte != 0),
                _ => None,
            }),
            DataType::Utf8 => self.strings(),
            DataType::Binary => self.bytes(|_, _, value, out| {
                out.extend_from_slice(value);
                Ok(())
            }),
            DataType::FixedSizeBinary(length) => self.fixed(*length),
            DataType::Struct(_) | DataType::Map(_, _) => self.nested(),
            DataType::List(item) if item.data_type().is_nested() => self.nested(),
            _ => self.one_by_one(),
        }
    }

    fn value(&self, row: usize) -> Option<&[u8]> {
        self.fields.get(row, self.column)
    }

    fn wrong(&self, row: usize, report: Report) -> Box<Wrong> {
        Box::new(Wrong { row, report })
    }

    fn text<'t>(&self, row: usize, value: &'t [u8]) -> Result<&'t str> {
        decode::as_text(value).map_err(|report| self.wrong(row, report))
    }

    fn bad_text(&self, row: usize, value: &[u8]) -> Box<Wrong> {
        let text = String::from_utf8_lossy(value);
        self.wrong(row, decode::bad_text(self.field.data_type(), &text))
    }

    /// Any value, the way of a parameter.
    fn single(&self, row: usize, value: &[u8]) -> Result<ArrayRef> {
        let data_type = self.field.data_type();
        let array = match self.layout.options.format {
            CopyFormat::Binary => decode::binary_value(data_type, pg_type(self.field).oid, value),
            CopyFormat::Text | CopyFormat::Csv => {
                decode::text_value(data_type, self.text(row, value)?, self.layout.zone)
            }
        };
        array.map_err(|report| self.wrong(row, report))
    }

    /// Values of one width; `usual` reads those in the usual form.
    fn primitive<T: ArrowPrimitiveType>(
        &self,
        usual: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(self.rows);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for row in 0..self.rows {
            let Some(value) = self.value(row) else {
                values.push(T::Native::default());
                nulls.append_null();
                continue;
            };
            values.push(match usual(value) {
                Some(value) => value,
                None => self.single(row, value)?.as_primitive::<T>().value(0),
            });
            nulls.append_non_null();
        }
        let array = PrimitiveArray::<T>::new(values.into(), nulls.finish());
        Ok(Arc::new(array.with_data_type(self.field.data_type().clone())))
    }

    fn decimal(&self, precision: u8, scale: i8) -> Result<ArrayRef> {
        let limit = 10i128.pow(u32::from(precision.min(38)));
        let binary = self.layout.options.format == CopyFormat::Binary;
        let mut values = Vec::with_capacity(self.rows);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for row in 0..self.rows {
            let Some(value) = self.value(row) else {
                values.push(0);
                nulls.append_null();
                continue;
            };
            let usual = match binary {
                true => decimal::parse_short_binary(value, scale, limit),
                false => decimal::parse_short(value, scale, limit),
            };
            values.push(match usual {
                Some(value) => value,
                None => self.any_decimal(row, value, precision, scale)?,
            });
            nulls.append_non_null();
        }
        let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls.finish());
        Ok(Arc::new(array.with_data_type(self.field.data_type().clone())))
    }

    fn any_decimal(&self, row: usize, value: &[u8], precision: u8, scale: i8) -> Result<i128> {
        let number = match self.layout.options.format {
            CopyFormat::Binary => {
                let text = decode::numeric_text(self.field.data_type(), value);
                let text = text.map_err(|report| self.wrong(row, report))?;
                decimal::parse(text.as_bytes(), precision, scale)
            }
            CopyFormat::Text | CopyFormat::Csv => decimal::parse(value, precision, scale),
        };
        match number {
            Some(number) => number.map_err(|report| self.wrong(row, report)),
            None if value.eq_ignore_ascii_case(b"nan") => {
                let detail = format!("A field with precision {precision}, scale {scale} cannot hold NaN.");
                Err(self.wrong(row, Report::new("22003", "numeric field overflow").with_detail(detail)))
            }
            None => {
                let text = String::from_utf8_lossy(value);
                let report =
                    Report::new("22P02", format!("invalid input syntax for type numeric: \"{text}\""));
                Err(self.wrong(row, report))
            }
        }
    }

    fn boolean(&self, usual: impl Fn(&[u8]) -> Option<bool>) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(self.rows);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for row in 0..self.rows {
            let Some(value) = self.value(row) else {
                values.push(false);
                nulls.append_null();
                continue;
            };
            values.push(match usual(value) {
                Some(value) => value,
                None => self.single(row, value)?.as_boolean().value(0),
            });
            nulls.append_non_null();
        }
        Ok(Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls.finish())))
    }

    /// Texts are looked at all at once.
    fn strings(&self) -> Result<ArrayRef> {
        let (offsets, values, nulls) = self.gather(|_, value, out| {
            out.extend_from_slice(value);
            Ok(())
        })?;
        let whole = !values.contains(&0);
        match StringArray::try_new(offsets, Buffer::from_vec(values), nulls) {
            Ok(array) if whole => Ok(Arc::new(array)),
            _ => Err(self.first_no_text()),
        }
    }

    fn first_no_text(&self) -> Box<Wrong> {
        let no_text = |row: &usize| self.value(*row).is_some_and(|value| decode::as_text(value).is_err());
        let row = (0..self.rows).find(no_text).unwrap_or(0);
        self.wrong(row, super::fault::not_utf8(self.value(row).unwrap_or_default()))
    }

    fn bytes(&self, put: impl Fn(&Self, usize, &[u8], &mut Vec<u8>) -> Result<()>) -> Result<ArrayRef> {
        let (offsets, values, nulls) = self.gather(|row, value, out| put(self, row, value, out))?;
        Ok(Arc::new(BinaryArray::new(offsets, Buffer::from_vec(values), nulls)))
    }

    /// Values one after the other, and where each begins.
    #[allow(clippy::type_complexity)] // the three parts of an array, named where they are taken
    fn gather(
        &self,
        put: impl Fn(usize, &[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<(OffsetBuffer<i32>, Vec<u8>, Option<arrow::buffer::NullBuffer>)> {
        let bytes = (0..self.rows).map(|row| self.value(row).map_or(0, <[u8]>::len)).sum();
        let mut values = Vec::with_capacity(bytes);
        let mut offsets = Vec::with_capacity(self.rows + 1);
        offsets.push(0);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for row in 0..self.rows {
            match self.value(row) {
                Some(value) => {
                    put(row, value, &mut values)?;
                    nulls.append_non_null();
                }
                None => nulls.append_null(),
            }
            let end = i32::try_from(values.len());
            offsets.push(
                end.map_err(|_| self.wrong(row, Report::new("54000", "a chunk of data is too large")))?,
            );
        }
        Ok((OffsetBuffer::new(offsets.into()), values, nulls.finish()))
    }

    fn fixed(&self, length: i32) -> Result<ArrayRef> {
        let width = usize::try_from(length).unwrap_or(0);
        let mut values = Vec::with_capacity(self.rows * width);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for row in 0..self.rows {
            match self.value(row) {
                Some(value) => {
                    let single = self.fixed_value(row, value)?;
                    if single.len() != width {
                        return Err(self.bad_text(row, value));
                    }
                    values.extend_from_slice(&single);
                    nulls.append_non_null();
                }
                None => {
                    values.resize(values.len() + width, 0);
                    nulls.append_null();
                }
            }
        }
        let array = FixedSizeBinaryArray::try_new(length, Buffer::from_vec(values), nulls.finish());
        let array = array.map_err(|error| self.wrong(0, Report::new("XX000", error.to_string())))?;
        Ok(Arc::new(array))
    }

    fn fixed_value(&self, row: usize, value: &[u8]) -> Result<Vec<u8>> {
        if self.layout.options.format == CopyFormat::Binary {
            return Ok(value.to_vec());
        }
        let text = self.text(row, value)?;
        let read =
            if tarn_sql::types::is_uuid(self.field) { decode::uuid(text) } else { decode::bytea(text) };
        read.ok_or_else(|| self.bad_text(row, value))
    }

    fn one_by_one(&self) -> Result<ArrayRef> {
        let mut arrays = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            arrays.push(match self.value(row) {
                Some(value) => self.single(row, value)?,
                None => new_null_array(self.field.data_type(), 1),
            });
        }
        if arrays.is_empty() {
            return Ok(new_null_array(self.field.data_type(), 0));
        }
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        concat(&arrays).map_err(|error| self.wrong(0, Report::new("XX000", error.to_string())))
    }

    /// Structs, maps and lists of them are JSON.
    fn nested(&self) -> Result<ArrayRef> {
        let values = (0..self.rows).map(|row| self.value(row));
        nested::decode(self.field, values).map_err(|(row, report)| self.wrong(row, report))
    }
}

/// At most 18 digits and a sign.
#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// A number in digits, which the standard library reads as PostgreSQL does unless it is too large.
fn float(text: &[u8]) -> Option<&str> {
    let plain = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    std::str::from_utf8(text).ok().filter(|_| plain && text.len() < 30)
}
