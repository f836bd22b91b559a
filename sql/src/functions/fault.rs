//! The errors that functions give for values that they are not for, in PostgreSQL's words.

use crate::error::Error;
use crate::sqlstate::SqlState;

/// `integer out of range`
pub fn out_of_range(type_name: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

/// A date, time or interval that there is not.
pub fn overflow(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// A value that this parameter does not take.
pub fn parameter(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// Text that is no value of the type.
pub fn syntax(type_name: &str, text: &str) -> Error {
    let state = match type_name {
        "date" | "timestamp" | "timestamp with time zone" | "time" | "interval" => {
            SqlState::INVALID_DATETIME_FORMAT
        }
        _ => SqlState::INVALID_TEXT_REPRESENTATION,
    };
    Error::new(state, format!("invalid input syntax for type {type_name}: \"{text}\""))
}

/// A date or time that is spelled well and is none.
pub fn field_out_of_range(text: &str) -> Error {
    overflow(format!("date/time field value out of range: \"{text}\""))
}

pub fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

pub fn null_value(message: impl Into<String>) -> Error {
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
}
