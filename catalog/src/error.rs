//! The catalog's error: a kind chosen by what the caller does next, and text made for the user.
//! It must never know a SQLSTATE or a gRPC status; those are given where the wire is known.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Catalog,
    Namespace,
    Relation,
    Column,
    Role,
    File,
}

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Fix the name: there is no such object.
    NotFound(ObjectKind),
    /// Fix the name: there is one already.
    AlreadyExists(ObjectKind),
    /// Fix the name: it can never be one.
    InvalidName,
    /// Fix the request.
    InvalidArgument,
    /// Drop what depends on it first.
    DependentObjects,
    /// Ask somebody who may.
    Denied,
    /// Ask for something we do.
    Unsupported,
    /// Try again: somebody else changed the same thing first, and this certainly did not happen.
    Conflict,
    /// Look before trying again: it may have happened.
    OutcomeUnknown,
    /// A named limit was passed.
    Limit,
    /// The object store or the disk failed; this certainly did not happen.
    Storage,
    /// The catalog's own store is damaged.
    Corrupt,
    /// Another process has the data folder.
    InUse,
    /// A bug of ours.
    Internal,
}

/// An error of the catalog.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    /// Short, lower case, no full stop.
    pub message: String,
    /// Whole sentences.
    pub detail: Option<String>,
    /// What to do, as a whole sentence.
    pub hint: Option<String>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), detail: None, hint: None, source: None }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    pub fn not_found(kind: ObjectKind, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound(kind), message)
    }

    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Error {
        let kind = match &error {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound(ObjectKind::File),
            // The library tells a missing bucket by the service's text alone.
            error if error.to_string().contains("NoSuchBucket") => ErrorKind::NotFound(ObjectKind::File),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                ErrorKind::Denied
            }
            _ => ErrorKind::Storage,
        };
        Error::new(kind, "object store request failed").with_source(error)
    }
}

impl From<iceberg::Error> for Error {
    fn from(error: iceberg::Error) -> Error {
        let kind = match error.kind() {
            iceberg::ErrorKind::FeatureUnsupported => ErrorKind::Unsupported,
            iceberg::ErrorKind::DataInvalid => ErrorKind::InvalidArgument,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, "iceberg metadata cannot be used").with_source(error)
    }
}
