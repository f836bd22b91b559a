//! The rows that a statement brings. While they are few they wait, so that they can go into one file with the rows of
//! the files that are written anew; when they become many they are written as they come, in bounded memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::ExecutionPlan;
use iceberg::spec::DataFile;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::plan::engine_error;
use crate::table::incoming;

/// Bytes of rows that wait.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Batches in front of the writer.
const BATCHES_MAX: usize = 4;

/// Starts the writing of a plan's rows.
pub(super) type StartWriting =
    Box<dyn FnOnce(Arc<dyn ExecutionPlan>) -> AbortOnDropHandle<Result<Vec<DataFile>>> + Send>;

/// New rows on their way.
pub(super) struct Arrivals {
    schema: SchemaRef,
    memory: MemoryReservation,
    start: Option<StartWriting>,
    waiting: Vec<RecordBatch>,
    bytes: usize,
    writing: Option<Writing>,
}

struct Writing {
    rows: mpsc::Sender<RecordBatch>,
    task: AbortOnDropHandle<Result<Vec<DataFile>>>,
}

/// What became of the rows.
pub(super) enum Arrived {
    /// They wait as the rows of this plan.
    Waiting(Arc<dyn ExecutionPlan>),
    Written(Vec<DataFile>),
    Nothing,
}

impl Arrivals {
    pub fn new(schema: SchemaRef, memory: MemoryReservation, start: StartWriting) -> Arrivals {
        let (start, waiting) = (Some(start), Vec::new());
        Arrivals { schema, memory, start, waiting, bytes: 0, writing: None }
    }

    pub async fn push(&mut self, rows: RecordBatch) -> Result<()> {
        if self.writing.is_none() {
            let bytes = rows.get_array_memory_size();
            let fits = self.bytes + bytes <= WAITING_BYTES_MAX && self.memory.try_grow(bytes).is_ok();
            if fits {
                self.bytes += bytes;
                self.waiting.push(rows);
                return Ok(());
            }
            self.start()?;
            for rows in std::mem::take(&mut self.waiting) {
                self.send(rows).await?;
            }
            self.memory.free();
        }
        self.send(rows).await
    }

    fn start(&mut self) -> Result<()> {
        let (rows, plan) = incoming(&self.schema, BATCHES_MAX)?;
        let start = self.start.take().ok_or_else(|| Error::internal("a write has begun twice"))?;
        let task = start(plan);
        self.writing = Some(Writing { rows, task });
        Ok(())
    }

    async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        let Some(writing) = &mut self.writing else { return Err(Error::internal("nobody writes")) };
        if writing.rows.send(rows).await.is_ok() {
            return Ok(());
        }
        // A writer that does not listen any more has failed, and says why.
        let ended = (&mut writing.task).await;
        match ended {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(Error::internal("a writer stopped before its rows ended")),
            Err(error) => Err(Error::internal(format!("a writer broke off: {error}"))),
        }
    }

    pub async fn finish(mut self) -> Result<Arrived> {
        if let Some(Writing { rows, task }) = self.writing.take() {
            drop(rows);
            let written = task.await;
            let written = written.map_err(|error| Error::internal(format!("a writer broke off: {error}")))?;
            return written.map(Arrived::Written);
        }
        if self.waiting.is_empty() {
            return Ok(Arrived::Nothing);
        }
        let plan = MemorySourceConfig::try_new_exec(&[self.waiting], self.schema, None);
        let plan: Arc<dyn ExecutionPlan> = plan.map_err(engine_error)?;
        Ok(Arrived::Waiting(plan))
    }
}
