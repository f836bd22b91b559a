//! A statement with its parameters, on its way through its rows. Rows are taken from the engine one batch at a time and
//! go to the client before the next one is asked for; a portal that is suspended keeps the rest of a batch, no more.

use arrow::array::{ArrayRef, RecordBatch};
use futures::StreamExt;
use tarn_sql::{Prepared, Rows};

use super::encode::{Format, RowEncoder};
use super::error::Failure;
use super::output::{BUFFER_BYTES, Output};
use crate::metrics::Ending;

/// A portal of the extended protocol.
pub struct Portal {
    /// `None` for the empty statement.
    pub statement: Option<Prepared>,
    pub parameters: Vec<ArrayRef>,
    /// One format per column.
    pub formats: Vec<Format>,
    pub progress: Progress,
}

/// How far a portal has come.
pub enum Progress {
    /// Bound, and not yet executed.
    Start,
    /// There may be more rows.
    Rows(Cursor),
    /// All rows have been sent; executing it again sends none.
    NoMoreRows { tag: &'static str },
    /// A statement without rows has run; it cannot run again.
    Done,
}

/// Rows on their way to the client.
pub struct Cursor {
    rows: Rows,
    encoder: RowEncoder,
    /// What is left of a batch, and from which row.
    rest: Option<(RecordBatch, usize)>,
    tag: &'static str,
}

/// What one round of sending came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub rows: usize,
    /// There are no more rows. When the limit was reached nobody has looked yet.
    pub ended: bool,
}

impl Cursor {
    pub fn new(rows: Rows, encoder: RowEncoder, tag: &'static str) -> Cursor {
        Cursor { rows, encoder, rest: None, tag }
    }

    /// Sends at most `rows_max` rows.
    pub async fn send(&mut self, rows_max: usize, output: &mut Output) -> Result<Sent, Failure> {
        let mut sent = 0;
        while sent < rows_max {
            let (batch, first) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.rows.next().await {
                    Some(batch) => (batch?, 0),
                    None => return Ok(Sent { rows: sent, ended: true }),
                },
            };
            let encoder = &self.encoder;
            let rows = output
                .put_with(|buffer| encoder.encode(&batch, first, rows_max - sent, BUFFER_BYTES, buffer))?;
            sent += rows;
            if first + rows < batch.num_rows() {
                self.rest = Some((batch, first + rows));
            }
            output.flush_full().await?;
        }
        Ok(Sent { rows: sent, ended: false })
    }

    /// The command tag after `rows` rows.
    pub fn tag(&self, rows: usize) -> String {
        tag(self.tag, rows)
    }

    pub fn word(&self) -> &'static str {
        self.tag
    }
}

/// Only some commands tell the count of their rows.
pub fn tag(word: &'static str, rows: usize) -> String {
    match word {
        "SELECT" | "FETCH" | "INSERT 0" | "UPDATE" | "DELETE" | "MERGE" => format!("{word} {rows}"),
        other => other.to_owned(),
    }
}

/// How a statement's result counts.
pub fn ending<T>(result: &Result<T, Failure>) -> Ending {
    match result {
        Ok(_) => Ending::Done,
        Err(Failure::Error(report)) if report.sqlstate == "57014" => Ending::Cancelled,
        Err(Failure::Error(_) | Failure::Fatal(_)) => Ending::Failed,
        Err(Failure::Gone(_)) => Ending::Cancelled,
    }
}
