//! Lists of scalars as PostgreSQL arrays of one dimension, in text (`{a,NULL,"b c"}`) and binary.

use std::ops::Range;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use bytes::BufMut;
use tarn_sql::types;
use tarn_sql::{Error, Result, SqlState};

use super::writer::{Writer, unexpected};
use super::{Cell, Format, put};

/// A list array taken apart: where each row's items are among all items.
pub struct Lists<'a> {
    pub item: &'a FieldRef,
    pub items: &'a ArrayRef,
    pub range: Box<dyn Fn(usize) -> Range<usize> + Send + 'a>,
}

impl<'a> Lists<'a> {
    pub fn new(array: &'a dyn Array) -> Result<Lists<'a>> {
        let as_index = |offset: i64| usize::try_from(offset).expect("Arrow's offsets are not negative");
        Ok(match array.data_type() {
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                let offsets = list.value_offsets();
                let range =
                    move |row: usize| as_index(offsets[row].into())..as_index(offsets[row + 1].into());
                Lists { item, items: list.values(), range: Box::new(range) }
            }
            DataType::LargeList(item) => {
                let list = array.as_list::<i64>();
                let offsets = list.value_offsets();
                let range = move |row: usize| as_index(offsets[row])..as_index(offsets[row + 1]);
                Lists { item, items: list.values(), range: Box::new(range) }
            }
            DataType::FixedSizeList(item, _) => {
                let list = array.as_fixed_size_list();
                let length = as_index(list.value_length().into());
                let range = move |row: usize| row * length..(row + 1) * length;
                Lists { item, items: list.values(), range: Box::new(range) }
            }
            DataType::ListView(item) => {
                let list = array.as_list_view::<i32>();
                let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
                let start = move |row: usize| as_index(offsets[row].into());
                let range = move |row: usize| start(row)..start(row) + as_index(sizes[row].into());
                Lists { item, items: list.values(), range: Box::new(range) }
            }
            DataType::LargeListView(item) => {
                let list = array.as_list_view::<i64>();
                let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
                let start = move |row: usize| as_index(offsets[row]);
                let range = move |row: usize| start(row)..start(row) + as_index(sizes[row]);
                Lists { item, items: list.values(), range: Box::new(range) }
            }
            other => return Err(unexpected(other)),
        })
    }
}

/// Arrays in text; a vector is its numbers alone.
pub fn text_writer(array_oid: u32, array: &dyn Array, zone: Tz) -> Result<Writer<'_>> {
    let lists = Lists::new(array)?;
    let cell = Cell::new(lists.item, lists.items.as_ref(), Format::Text, zone)?;
    if types::is_vector(array_oid) {
        return Ok(Box::new(move |row, out| {
            for (position, item) in (lists.range)(row).enumerate() {
                if position > 0 {
                    out.put_u8(b' ');
                }
                (cell.write)(item, out)?;
            }
            Ok(())
        }));
    }
    Ok(Box::new(move |row, out| {
        out.put_u8(b'{');
        for (position, item) in (lists.range)(row).enumerate() {
            if position > 0 {
                out.put_u8(b',');
            }
            if cell.is_null(item) {
                out.put_slice(b"NULL");
            } else {
                let start = out.len();
                (cell.write)(item, out)?;
                quote(start, out);
            }
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

/// Puts what was written from `start` on into quotes, if an array's text needs it (`array_out`).
fn quote(start: usize, out: &mut Vec<u8>) {
    let text = &out[start..];
    let special = |byte: &u8| {
        matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"NULL") && !text.iter().any(special) {
        return;
    }
    let text = text.to_vec();
    out.truncate(start);
    out.put_u8(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// Arrays in binary: dimensions, whether there are nulls, the items' type, then length and lower bound of each
/// dimension, then the items. An empty array has no dimension.
pub fn binary_writer(array_oid: u32, array: &dyn Array, zone: Tz) -> Result<Writer<'_>> {
    let lists = Lists::new(array)?;
    let cell = Cell::new(lists.item, lists.items.as_ref(), Format::Binary, zone)?;
    let item_oid = types::element_oid(array_oid).unwrap_or(types::oid::TEXT);
    let lower_bound = i32::from(!types::is_vector(array_oid));
    Ok(Box::new(move |row, out| {
        let range = (lists.range)(row);
        let length = i32::try_from(range.len())
            .map_err(|_| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "an array has too many items"))?;
        let nulls = range.clone().any(|item| cell.is_null(item));
        out.put_i32(i32::from(length > 0));
        out.put_i32(i32::from(nulls));
        out.put_u32(item_oid);
        if length > 0 {
            out.put_i32(length);
            out.put_i32(lower_bound);
        }
        range.into_iter().try_for_each(|item| cell.write(item, out))
    }))
}

/// The items of a list as `[a,b]`, each written by `write`.
pub fn put_items(
    range: Range<usize>,
    out: &mut Vec<u8>,
    write: impl Fn(usize, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    put(out, format_args!("["));
    for (position, item) in range.enumerate() {
        if position > 0 {
            out.put_u8(b',');
        }
        write(item, out)?;
    }
    out.put_u8(b']');
    Ok(())
}
