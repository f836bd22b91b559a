//! What is wrong with a file: the reason, where in the file, and what to do. A crawl puts it in a row of its report,
//! a scan makes it the statement's error; both name the file.

use datafusion::error::DataFusionError;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// Something wrong with one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub sqlstate: SqlState,
    /// Completes "file ... cannot be read: ".
    pub reason: String,
    /// From 1.
    pub line: Option<u64>,
    pub hint: Option<String>,
    /// There is nothing in the file, which a crawl takes for no mistake.
    pub empty: bool,
}

impl Problem {
    fn new(sqlstate: SqlState, reason: impl Into<String>) -> Problem {
        Problem { sqlstate, reason: reason.into(), line: None, hint: None, empty: false }
    }

    /// The file does not keep to its format.
    pub fn malformed(reason: impl Into<String>) -> Problem {
        Problem::new(SqlState::BAD_COPY_FILE_FORMAT, reason)
    }

    /// There is nothing in the file.
    pub fn empty(reason: impl Into<String>) -> Problem {
        Problem { empty: true, ..Problem::malformed(reason) }
    }

    /// A value does not fit its column.
    pub fn misfit(reason: impl Into<String>) -> Problem {
        Problem::new(SqlState::INVALID_TEXT_REPRESENTATION, reason)
    }

    /// The file keeps to its format, and we do not read it.
    pub fn unsupported(reason: impl Into<String>) -> Problem {
        Problem::new(SqlState::FEATURE_NOT_SUPPORTED, reason)
    }

    /// The file was there when its folder was listed.
    pub fn missing() -> Problem {
        Problem::new(SqlState::UNDEFINED_FILE, "it does not exist any more")
            .with_hint("Put the file back, or run the statement again to see what is there now.")
    }

    /// The object store did not give the file.
    pub fn store(error: &object_store::Error) -> Problem {
        match error {
            object_store::Error::NotFound { .. } => Problem::missing(),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Problem::new(SqlState::INSUFFICIENT_PRIVILEGE, "the object store refuses to give it")
            }
            other => Problem::new(SqlState::IO_ERROR, other.to_string()),
        }
    }

    /// Reading or decompressing stopped.
    pub fn compression(error: &DataFusionError) -> Problem {
        match error.find_root() {
            DataFusionError::ObjectStore(error) => Problem::store(error),
            DataFusionError::IoError(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Problem::missing()
            }
            DataFusionError::IoError(error) => {
                Problem::malformed(format!("reading or decompressing it fails: {error}"))
            }
            other => Problem::malformed(format!("decompressing it fails: {other}")),
        }
    }

    pub fn on_line(mut self, line: u64) -> Problem {
        self.line = Some(line);
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// The reason with its line, without the file: for a report that has the file in a column of its own.
    pub fn in_words(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.reason),
            None => self.reason.clone(),
        }
    }

    /// The statement's error; `file` is the name as the user would write it.
    pub fn of_file(self, file: &str) -> Error {
        let place = self.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let message = format!("file \"{file}\"{place} cannot be read: {}", self.reason);
        let error = Error::new(self.sqlstate, message);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The error as DataFusion carries it through a running query; the execute step takes it out again.
pub fn carried(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
