//! What a writer of values is, and how one is made from an array of Arrow without a look-up per value.

use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{DataType, Field};
use tarn_sql::types::characters;
use tarn_sql::{Error, Result};

/// Writes the value of a row, which is not null.
pub type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<()> + Send + 'a>;

/// Values of a primitive array, each written by `write`.
pub fn primitive<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    write: impl Fn(T::Native, &mut Vec<u8>) -> Result<()> + Send + 'a,
) -> Writer<'a> {
    let array = array.as_primitive::<T>();
    Box::new(move |row, out| write(array.value(row), out))
}

/// Values of a string array.
pub fn strings<'a>(
    array: &'a dyn Array,
    write: impl Fn(&str, &mut Vec<u8>) -> Result<()> + Send + 'a,
) -> Result<Writer<'a>> {
    Ok(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            Box::new(move |row, out| write(array.value(row), out))
        }
        other => return Err(unexpected(other)),
    })
}

/// The characters that every value of a `char(n)` column is shown with.
pub fn padded_width(field: &Field) -> Option<usize> {
    let characters = characters(field).filter(|characters| characters.fixed)?;
    characters.length.and_then(|length| usize::try_from(length).ok())
}

/// A text with spaces after it up to so many characters. It is the same in both formats.
pub fn padded(value: &str, width: usize, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(value.as_bytes());
    let missing = width.saturating_sub(value.chars().count());
    out.resize(out.len() + missing, b' ');
    Ok(())
}

/// Values of a binary array.
pub fn binaries<'a>(
    array: &'a dyn Array,
    write: impl Fn(&[u8], &mut Vec<u8>) -> Result<()> + Send + 'a,
) -> Result<Writer<'a>> {
    Ok(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(move |row, out| write(array.value(row), out))
        }
        other => return Err(unexpected(other)),
    })
}

/// Values of a dictionary array, each written as `inner` writes the dictionary's entry.
pub fn dictionary<'a>(array: &'a dyn Array, inner: Writer<'a>) -> Writer<'a> {
    let keys = array.as_any_dictionary().normalized_keys();
    Box::new(move |row, out| inner(keys[row], out))
}

/// A type that has no writer. The plan should have cast it away.
pub fn unexpected(data_type: &DataType) -> Error {
    Error::unsupported(format!("sending a column of type {data_type}"))
        .with_hint("Cast the column to text or to another type of PostgreSQL.")
}
