//! A `COPY FROM` that waits for its rows. The write runs as a task of its own and takes rows from a channel; it commits
//! when it has been told that these were all, and takes everything back when they stop coming before that.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::options::CopyOptions;
use super::source::Incoming;
use super::transfer::FileBytes;
use crate::error::{Error, Result};

/// Takes the rows of a `COPY FROM`. Dropping it leaves nothing of them.
#[derive(Debug)]
pub struct CopyIn {
    columns: SchemaRef,
    options: CopyOptions,
    relation: String,
    sender: mpsc::Sender<Incoming>,
    write: Write,
    source: Option<FileBytes>,
}

/// The write of the rows.
#[derive(Debug)]
enum Write {
    Running(JoinHandle<Result<u64>>),
    /// It has needed no more rows, and this is what it came to.
    Ended(u64),
    Failed,
}

impl CopyIn {
    pub(crate) fn new(
        columns: SchemaRef,
        options: CopyOptions,
        relation: String,
        sender: mpsc::Sender<Incoming>,
        write: JoinHandle<Result<u64>>,
        source: Option<FileBytes>,
    ) -> CopyIn {
        CopyIn { columns, options, relation, sender, write: Write::Running(write), source }
    }

    /// The file that the data is in; None when the client sends it.
    pub fn take_source(&mut self) -> Option<FileBytes> {
        self.source.take()
    }

    /// The columns that are to come, in their order. A row with NULL in one that is not nullable is an error.
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    pub fn options(&self) -> &CopyOptions {
        &self.options
    }

    /// The name of the table, for messages.
    pub fn relation(&self) -> &str {
        &self.relation
    }

    /// Hands rows over; waits while the writer has enough of them.
    ///
    /// # Errors
    ///
    /// Whatever the write has met.
    pub async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        if self.sender.send(Incoming::Rows(rows)).await.is_ok() {
            return Ok(());
        }
        // Nobody takes rows any more: the write has failed, or its plan can do without them.
        self.ended().await.map(drop)
    }

    /// Waits until the write fails by itself, if ever.
    pub async fn failure(&mut self) -> Error {
        match self.ended().await {
            Err(error) => error,
            Ok(_) => std::future::pending().await,
        }
    }

    /// These were all rows: commits them, and gives their count.
    ///
    /// # Errors
    ///
    /// Whatever the write or its commit met; 40003 when nobody knows.
    pub async fn finish(mut self) -> Result<u64> {
        // If nobody takes it, the write has ended already.
        let _ = self.sender.send(Incoming::End).await;
        self.ended().await
    }

    /// Leaves nothing of the rows, and comes back when they are gone.
    pub async fn abandon(self) {
        let CopyIn { sender, write, .. } = self;
        drop(sender);
        if let Write::Running(write) = write {
            // That it broke off is known.
            let _ = write.await;
        }
    }

    async fn ended(&mut self) -> Result<u64> {
        let write = match &mut self.write {
            Write::Running(write) => write,
            Write::Ended(rows) => return Ok(*rows),
            Write::Failed => return Err(Error::internal("a COPY goes on after it has failed")),
        };
        let answer = match write.await {
            Ok(answer) => answer,
            Err(error) => Err(Error::internal(format!("the statement broke off: {error}"))),
        };
        self.write = match &answer {
            Ok(rows) => Write::Ended(*rows),
            Err(_) => Write::Failed,
        };
        answer
    }
}
