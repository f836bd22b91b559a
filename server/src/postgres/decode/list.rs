//! Arrays of one dimension as parameters, in text (`{a,NULL,"b c"}`) and binary.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, LargeListArray, ListArray, new_empty_array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};

use super::binary::split;
use super::{Report, Result, bad_binary, binary, text, unsupported};

pub fn decode_text(data_type: &DataType, literal: &str, zone: Tz) -> Result<ArrayRef> {
    let item = item(data_type)?;
    let values = items_of(literal).ok_or_else(|| bad_literal(literal))?;
    let mut arrays = Vec::with_capacity(values.len());
    for value in values {
        arrays.push(match value {
            Some(value) => text::decode(item.data_type(), &value, zone)?,
            None => new_null_array(item.data_type(), 1),
        });
    }
    list(data_type, item, &arrays)
}

pub fn decode_binary(data_type: &DataType, value: &[u8]) -> Result<ArrayRef> {
    let item = item(data_type)?;
    let bad = || bad_binary(data_type, value);
    let (dimensions, rest) = split::<4>(value).ok_or_else(bad)?;
    let (_has_nulls, rest) = split::<4>(rest).ok_or_else(bad)?;
    let (item_oid, rest) = split::<4>(rest).ok_or_else(bad)?;
    let mut arrays = Vec::new();
    match i32::from_be_bytes(dimensions) {
        0 if rest.is_empty() => {}
        1 => {
            let (length, rest) = split::<4>(rest).ok_or_else(bad)?;
            let (_lower_bound, mut rest) = split::<4>(rest).ok_or_else(bad)?;
            for _ in 0..i32::from_be_bytes(length) {
                let (array, tail) = binary_item(item.data_type(), u32::from_be_bytes(item_oid), rest, bad)?;
                arrays.push(array);
                rest = tail;
            }
            if !rest.is_empty() {
                return Err(bad());
            }
        }
        _ => return Err(Report::new("0A000", "an array of several dimensions is not supported")),
    }
    list(data_type, item, &arrays)
}

fn binary_item<'a>(
    data_type: &DataType,
    type_oid: u32,
    bytes: &'a [u8],
    bad: impl Fn() -> Report,
) -> Result<(ArrayRef, &'a [u8])> {
    let (length, rest) = split::<4>(bytes).ok_or_else(&bad)?;
    let length = i32::from_be_bytes(length);
    if length == -1 {
        return Ok((new_null_array(data_type, 1), rest));
    }
    let (value, rest) =
        usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(bad)?;
    Ok((binary::decode(data_type, type_oid, value)?, rest))
}

fn item(data_type: &DataType) -> Result<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => Ok(item),
        other => Err(unsupported(other)),
    }
}

fn list(data_type: &DataType, item: &FieldRef, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = if arrays.is_empty() {
        new_empty_array(item.data_type())
    } else {
        concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(|_| unsupported(data_type))?
    };
    // A parameter may hold nulls whatever the column it is meant for says; the plan checks that.
    let item = Arc::new(item.as_ref().clone().with_nullable(item.is_nullable() || values.null_count() > 0));
    let lengths = std::iter::once(values.len());
    Ok(match data_type {
        DataType::LargeList(_) => {
            Arc::new(LargeListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None))
        }
        _ => Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None)),
    })
}

/// The items of a literal; `None` when it is not one of one dimension.
fn items_of(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut rest = inner.trim_start();
    if rest.is_empty() {
        return Some(items);
    }
    loop {
        let (item, tail) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest)? };
        items.push(item);
        match tail.strip_prefix(',') {
            Some(tail) => rest = tail.trim_start(),
            None => return tail.is_empty().then_some(items),
        }
    }
}

/// An item in quotes, and what follows it.
fn quoted(text: &str) -> Option<(Option<String>, &str)> {
    let mut item = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((Some(item), text[place + 1..].trim_start())),
            '\\' => item.push(characters.next()?.1),
            other => item.push(other),
        }
    }
    None
}

/// An item without quotes, and what follows it.
fn plain(text: &str) -> Option<(Option<String>, &str)> {
    let mut item = String::new();
    let mut end = text.len();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            ',' => {
                end = place;
                break;
            }
            '{' | '}' | '"' => return None,
            '\\' => item.push(characters.next()?.1),
            other => item.push(other),
        }
    }
    let item = item.trim_end().to_owned();
    if item.is_empty() {
        return None;
    }
    let null = item.eq_ignore_ascii_case("NULL");
    Some(((!null).then_some(item), &text[end..]))
}

fn bad_literal(literal: &str) -> Report {
    Report::new("22P02", format!("malformed array literal: \"{literal}\""))
        .with_hint("An array is written {1,2,NULL} or {\"a b\",c}, in one dimension.")
}
