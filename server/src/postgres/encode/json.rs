//! Structs, maps and lists of them as JSON: PostgreSQL has no types for them, and every client reads JSON. Values are
//! written as `to_json` writes them.

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, UnionMode};
use bytes::BufMut;
use tarn_sql::Result;
use tarn_sql::types::{oid, pg_type};

use super::list::{Lists, put_items};
use super::time::Separator;
use super::writer::{self, Writer, binaries, strings};
use super::{is_json, put, text};

/// The key that the JSON functions mark text with that is JSON already.
const RAW_JSON_KEY: &str = "is_json";

/// A value of JSON, with its nulls.
struct Value<'a> {
    nulls: Option<NullBuffer>,
    write: Writer<'a>,
}

impl<'a> Value<'a> {
    fn new(field: &Field, array: &'a dyn Array, zone: Tz) -> Result<Value<'a>> {
        Ok(Value { nulls: array.logical_nulls(), write: writer(field, array, zone)? })
    }

    fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.put_slice(b"null");
            Ok(())
        } else {
            (self.write)(row, out)
        }
    }
}

/// The writer of a column as JSON.
pub fn writer<'a>(field: &Field, array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    match array.data_type() {
        DataType::Null => Ok(Box::new(|_, out| {
            out.put_slice(b"null");
            Ok(())
        })),
        DataType::Struct(_) => object(array, zone),
        DataType::Map(_, _) => map(array, zone),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => list(array, zone),
        DataType::Union(_, _) => union(array, zone),
        DataType::Dictionary(_, _) => {
            let values = array.as_any_dictionary().values();
            Ok(writer::dictionary(array, writer(field, values.as_ref(), zone)?))
        }
        _ => scalar(field, array, zone),
    }
}

fn object<'a>(array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let array = array.as_struct();
    let mut members = Vec::with_capacity(array.num_columns());
    for (position, (field, column)) in array.fields().iter().zip(array.columns()).enumerate() {
        let mut head = Vec::new();
        head.put_u8(if position == 0 { b'{' } else { b',' });
        put_string(field.name(), &mut head);
        head.put_u8(b':');
        members.push((head, Value::new(field, column.as_ref(), zone)?));
    }
    Ok(Box::new(move |row, out| {
        if members.is_empty() {
            out.put_u8(b'{');
        }
        for (head, value) in &members {
            out.put_slice(head);
            value.put(row, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn list<'a>(array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let lists = Lists::new(array)?;
    let value = Value::new(lists.item, lists.items.as_ref(), zone)?;
    Ok(Box::new(move |row, out| put_items((lists.range)(row), out, |item, out| value.put(item, out))))
}

/// Keys that are not strings become strings, as JSON has no others.
fn map<'a>(array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let array = array.as_map();
    let fields = array.entries().fields();
    let keys = Value::new(&fields[0], array.keys().as_ref(), zone)?;
    let values = Value::new(&fields[1], array.values().as_ref(), zone)?;
    let offsets = array.value_offsets();
    let index = |offset: i32| usize::try_from(offset).expect("Arrow's offsets are not negative");
    Ok(Box::new(move |row, out| {
        out.put_u8(b'{');
        for (position, entry) in (index(offsets[row])..index(offsets[row + 1])).enumerate() {
            if position > 0 {
                out.put_u8(b',');
            }
            put_key(&keys, entry, out)?;
            out.put_u8(b':');
            values.put(entry, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn put_key(keys: &Value<'_>, entry: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    keys.put(entry, out)?;
    if out.get(start) != Some(&b'"') {
        quote(start, out);
    }
    Ok(())
}

/// What the JSON operators return: one of several types per row.
fn union<'a>(array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let DataType::Union(fields, mode) = array.data_type() else {
        return Err(writer::unexpected(array.data_type()));
    };
    let dense = *mode == UnionMode::Dense;
    let array = array.as_union();
    let mut members = Vec::with_capacity(fields.len());
    for (type_id, field) in fields.iter() {
        members.push((type_id, Value::new(field, array.child(type_id).as_ref(), zone)?));
    }
    Ok(Box::new(move |row, out| {
        let place = if dense { array.value_offset(row) } else { row };
        let type_id = array.type_id(row);
        match members.iter().find(|(member, _)| *member == type_id) {
            Some((_, value)) => value.put(place, out),
            None => Ok(()),
        }
    }))
}

fn scalar<'a>(field: &Field, array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let type_oid = pg_type(field).oid;
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let raw =
                is_json(type_oid) || field.metadata().get(RAW_JSON_KEY).is_some_and(|mark| mark == "true");
            strings(array, move |value, out| {
                if raw {
                    out.put_slice(value.as_bytes());
                } else {
                    put_string(value, out);
                }
                Ok(())
            })
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            Ok(Box::new(move |row, out| {
                out.put_slice(if array.value(row) { b"true" } else { b"false" });
                Ok(())
            }))
        }
        DataType::FixedSizeBinary(16) if type_oid == oid::UUID => binaries(array, |value, out| {
            out.put_u8(b'"');
            text::uuid(value, out)?;
            out.put_u8(b'"');
            Ok(())
        }),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            binaries(array, |value, out| {
                let mut hex = Vec::new();
                text::bytea(value, &mut hex)?;
                put_string(&String::from_utf8_lossy(&hex), out);
                Ok(())
            })
        }
        _ => number_or_quoted(array, zone),
    }
}

/// Numbers as they are, all else as the text of a string; a number that JSON cannot have (`NaN`) is a string too.
fn number_or_quoted<'a>(array: &'a dyn Array, zone: Tz) -> Result<Writer<'a>> {
    let numeric = array.data_type().is_numeric();
    let write = text::scalar(array, zone, Separator::Letter)?;
    Ok(Box::new(move |row, out| {
        let start = out.len();
        write(row, out)?;
        let plain = numeric && out.last().is_some_and(u8::is_ascii_digit);
        if !plain {
            quote(start, out);
        }
        Ok(())
    }))
}

/// Makes a string of what was written from `start` on.
fn quote(start: usize, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(&out[start..]).into_owned();
    out.truncate(start);
    put_string(&text, out);
}

/// A string of JSON (RFC 8259 §7), escaping no more than it must.
fn put_string(text: &str, out: &mut Vec<u8>) {
    out.put_u8(b'"');
    for character in text.chars() {
        match character {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            '\u{8}' => out.put_slice(b"\\b"),
            '\u{c}' => out.put_slice(b"\\f"),
            control if control < ' ' => put(out, format_args!("\\u{:04x}", u32::from(control))),
            other => out.put_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}
