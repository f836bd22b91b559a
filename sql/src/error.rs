//! The error every door shows: a SQLSTATE, a message made for the user, and what to do about it.
//! It must never know a wire message. Next: `sqlstate.rs` for the codes.

use std::fmt;

use tarn_catalog::{ErrorKind, ObjectKind};

use crate::sqlstate::SqlState;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a statement, in PostgreSQL's style.
#[derive(Debug, Clone)]
pub struct Error {
    pub sqlstate: SqlState,
    /// Short, lower case, no full stop.
    pub message: String,
    /// Whole sentences.
    pub detail: Option<String>,
    /// What to do, as a whole sentence.
    pub hint: Option<String>,
    /// Where in the statement's text, as a character count from 1.
    pub position: Option<u32>,
    /// Where in the statement's text, as line and column from 1, before the text is there to count characters in.
    pub(crate) location: Option<(u64, u64)>,
}

impl Error {
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error { sqlstate, message: message.into(), detail: None, hint: None, position: None, location: None }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_position(mut self, position: u32) -> Error {
        self.position = Some(position);
        self
    }

    /// Turns line and column into a count of characters in `text`.
    pub(crate) fn locate(mut self, text: &str) -> Error {
        if let (Some((line, column)), None) = (self.location.take(), self.position) {
            let skipped: usize =
                text.split_inclusive('\n').take(line as usize - 1).map(|line| line.chars().count()).sum();
            self.position = u32::try_from(skipped as u64 + column).ok();
        }
        self
    }

    /// A clause or statement that nobody handles (0A000), named.
    pub fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// A bug of ours (XX000).
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(SqlState::INTERNAL_ERROR, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

impl std::error::Error for Error {}

impl From<tarn_catalog::Error> for Error {
    fn from(error: tarn_catalog::Error) -> Error {
        let sqlstate = match error.kind {
            ErrorKind::NotFound(kind) | ErrorKind::AlreadyExists(kind) => object_state(&error.kind, kind),
            ErrorKind::InvalidName if error.message.starts_with("zero-length") => SqlState::SYNTAX_ERROR,
            ErrorKind::InvalidName if error.message.starts_with("unacceptable schema name") => {
                SqlState::RESERVED_NAME
            }
            ErrorKind::InvalidName => SqlState::INVALID_NAME,
            ErrorKind::InvalidArgument => SqlState::INVALID_PARAMETER_VALUE,
            ErrorKind::DependentObjects => SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            ErrorKind::Denied => SqlState::INSUFFICIENT_PRIVILEGE,
            ErrorKind::Unsupported => SqlState::FEATURE_NOT_SUPPORTED,
            ErrorKind::Conflict => SqlState::SERIALIZATION_FAILURE,
            ErrorKind::OutcomeUnknown => SqlState::STATEMENT_COMPLETION_UNKNOWN,
            ErrorKind::Limit => SqlState::PROGRAM_LIMIT_EXCEEDED,
            ErrorKind::Storage => SqlState::IO_ERROR,
            ErrorKind::Corrupt => SqlState::DATA_CORRUPTED,
            ErrorKind::InUse => SqlState::OBJECT_IN_USE,
            ErrorKind::Internal => SqlState::INTERNAL_ERROR,
        };
        let message = error.to_string();
        Error { sqlstate, message, detail: error.detail, hint: error.hint, position: None, location: None }
    }
}

fn object_state(error: &ErrorKind, object: ObjectKind) -> SqlState {
    let missing = matches!(error, ErrorKind::NotFound(_));
    match (object, missing) {
        (ObjectKind::Catalog, true) => SqlState::INVALID_CATALOG_NAME,
        (ObjectKind::Catalog, false) => SqlState::DUPLICATE_DATABASE,
        (ObjectKind::Namespace, true) => SqlState::INVALID_SCHEMA_NAME,
        (ObjectKind::Namespace, false) => SqlState::DUPLICATE_SCHEMA,
        (ObjectKind::Relation, true) => SqlState::UNDEFINED_TABLE,
        (ObjectKind::Relation, false) => SqlState::DUPLICATE_TABLE,
        (ObjectKind::Column, true) => SqlState::UNDEFINED_COLUMN,
        (ObjectKind::Column, false) => SqlState::DUPLICATE_COLUMN,
        (ObjectKind::Role, true) => SqlState::UNDEFINED_OBJECT,
        (ObjectKind::Role, false) => SqlState::DUPLICATE_OBJECT,
        (ObjectKind::File, true) => SqlState::UNDEFINED_FILE,
        (ObjectKind::File, false) => SqlState::DUPLICATE_FILE,
    }
}
