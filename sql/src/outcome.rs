//! What a statement gives back: rows as a stream, or a tag that says it is done. It must never know how a door
//! writes them.

use std::pin::Pin;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};

use crate::copy::{CopyIn, CopyOptions, FileSink};
use crate::error::Result;
use crate::sqlstate::SqlState;

/// Rows as they are made, batch by batch; dropping the stream stops the statement.
pub type Rows = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a statement gives back.
pub enum Outcome {
    /// Rows, and the word of the command tag: `SELECT` is followed by their count.
    Rows { schema: SchemaRef, rows: Rows, tag: &'static str },
    /// No rows, and the whole command tag: `INSERT 0 5`.
    Done { tag: String },
    /// Rows for a `COPY TO`, to be written as the options say: for the client, or into a file.
    CopyOut { schema: SchemaRef, rows: Rows, options: CopyOptions, file: Option<FileSink> },
    /// A `COPY FROM` that waits for rows.
    CopyIn(Box<CopyIn>),
}

impl Outcome {
    pub(crate) fn done(tag: impl Into<String>) -> Outcome {
        Outcome::Done { tag: tag.into() }
    }

    /// The same; what `ends` stands for lasts until the rows have been read or are not wanted any more.
    pub(crate) fn until_read(self, ends: impl Send + 'static) -> Outcome {
        let hold = |rows: Rows| {
            let hold = move |batch| {
                let _lasts = &ends;
                batch
            };
            rows.map(hold).boxed()
        };
        match self {
            Outcome::Rows { schema, rows, tag } => Outcome::Rows { schema, rows: hold(rows), tag },
            Outcome::CopyOut { schema, rows, options, file } => {
                Outcome::CopyOut { schema, rows: hold(rows), options, file }
            }
            done => done,
        }
    }

    /// Rows that are all there already.
    pub(crate) fn batch(batch: RecordBatch, tag: &'static str) -> Outcome {
        let schema = batch.schema();
        Outcome::Rows { schema, rows: futures::stream::iter([Ok(batch)]).boxed(), tag }
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Rows { schema, tag, rows: _ } => write!(f, "Rows({tag}, {schema:?})"),
            Outcome::Done { tag } => write!(f, "Done({tag})"),
            Outcome::CopyOut { schema, options, .. } => write!(f, "CopyOut({options:?}, {schema:?})"),
            Outcome::CopyIn(copy) => copy.fmt(f),
        }
    }
}

/// How much a user wants to know of a message that is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
}

/// A message beside the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub severity: Severity,
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Notice {
    pub(crate) fn plain(message: impl Into<String>) -> Notice {
        let sqlstate = SqlState::SUCCESSFUL_COMPLETION;
        Notice { severity: Severity::Notice, sqlstate, message: message.into(), detail: None, hint: None }
    }

    pub(crate) fn warning(sqlstate: SqlState, message: impl Into<String>) -> Notice {
        Notice { severity: Severity::Warning, sqlstate, message: message.into(), detail: None, hint: None }
    }
}
