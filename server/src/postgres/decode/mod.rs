//! Parameters of a client -> Arrow arrays of length 1, from PostgreSQL's text and binary formats. Bad values are errors
//! with the codes that PostgreSQL gives them; a value is never rounded or cut to make it fit. `../copy/` reads values
//! that are not in the usual form in the same way.
//!
//! Next: `text.rs`, `binary.rs`, and below them `number.rs`, `time.rs`, `list.rs`.

mod binary;
mod list;
mod number;
mod text;
mod time;

pub use binary::decode as binary_value;
pub use number::numeric_text;
pub use text::{bytea, decode as text_value, uuid};

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Field};
use tarn_sql::types::{oid, pg_type};

use super::error::Report;

type Result<T, E = Report> = std::result::Result<T, E>;

/// The type of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub data_type: DataType,
    /// What the client declared, or what it was told.
    pub oid: u32,
}

impl Parameter {
    /// `declared` is zero where the client leaves the type to us.
    pub fn new(data_type: DataType, declared: u32) -> Parameter {
        let oid = match (&data_type, declared) {
            // A parameter has no field whose metadata could say that its 16 bytes are a UUID. Nothing else has 16.
            (DataType::FixedSizeBinary(16), 0) => oid::UUID,
            (_, 0 | UNKNOWN_OID) => pg_type(&Field::new("", data_type.clone(), true)).oid,
            (_, declared) => declared,
        };
        Parameter { data_type, oid }
    }

    /// Reads the value of the parameter with a `position` from 1; `format` is 0 for text and 1 for binary.
    pub fn decode(&self, value: Option<&[u8]>, format: i16, zone: Tz, position: usize) -> Result<ArrayRef> {
        let Some(value) = value else { return Ok(new_null_array(&self.data_type, 1)) };
        let array = match format {
            0 => text::decode(&self.data_type, as_text(value)?, zone),
            1 => binary::decode(&self.data_type, self.oid, value),
            other => Err(Report::new("22023", format!("unsupported format code: {other}"))),
        };
        array.map_err(|report| match report.detail {
            None => report.with_detail(format!("It is the value of parameter ${position}.")),
            Some(_) => report,
        })
    }
}

/// The type that clients declare for text whose type they do not know.
const UNKNOWN_OID: u32 = 705;

/// Text as it may be: UTF-8 without a zero byte.
pub fn as_text(value: &[u8]) -> Result<&str> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Report::new("22021", "invalid byte sequence for encoding \"UTF8\"")),
    }
}

fn type_name(data_type: &DataType) -> String {
    tarn_sql::types::sql_name(&Field::new("", data_type.clone(), true))
}

pub fn bad_text(data_type: &DataType, text: &str) -> Report {
    let name = match data_type {
        DataType::FixedSizeBinary(16) => "uuid".to_owned(),
        // As the input functions say it.
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        other => type_name(other),
    };
    Report::new("22P02", format!("invalid input syntax for type {name}: \"{text}\""))
}

fn bad_binary(data_type: &DataType, value: &[u8]) -> Report {
    let name = type_name(data_type);
    Report::new("22P03", format!("incorrect binary data format for type {name}: {} bytes", value.len()))
}

fn out_of_range(data_type: &DataType, text: &str) -> Report {
    Report::new("22003", format!("value \"{text}\" is out of range for type {}", type_name(data_type)))
}

fn unsupported(data_type: &DataType) -> Report {
    Report::new("0A000", format!("a parameter of type {} is not supported", type_name(data_type)))
        .with_hint("Pass it as text and cast it in the statement.")
}

#[cfg(test)]
mod tests;
