//! Runs a query and writes its rows as data files of a table. The files belong to no snapshot yet: committing them is
//! the caller's, and nobody sees them before. When anything fails, or the caller stops waiting, every file of the
//! write is deleted again. It must never commit. Next: `arrange.rs`, `fanout.rs`, `clustered.rs`, `data_file.rs`.
//!
//! ```text
//! query partition 0 ─ keys ─┐              ┌─ writer 0 ─ files
//! query partition 1 ─ keys ─┼─ arrangement ┤
//! query partition 2 ─ keys ─┘              └─ writer 1 ─ files
//! ```

use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use iceberg::spec::{DataFile, TableMetadata};
use tarn_catalog::WriteId;
use tarn_catalog::storage::Storage;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::arrange::arrange;
use super::clustered::ClusteredWriter;
use super::data_file::{FileNames, FileTarget};
use super::fanout::FanoutWriter;
use super::keys::{Keys, RowOrder};
use super::progress::WriteProgress;
use crate::error::{Error, Result};
use crate::plan::engine_error;

/// Writes the rows of `input` as files of the table `target` and describes them. Columns are matched by position.
/// Dropping the returned future stops the write and deletes its files.
pub async fn write_files(
    target: &TableMetadata,
    write: WriteId,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    storage: Arc<Storage>,
    progress: &WriteProgress,
    order: RowOrder,
) -> Result<Vec<DataFile>> {
    let files = FileTarget::new(target, write, storage, progress.clone())?;
    write_to(files, input, context, order).await
}

/// The same for rows that the table knows already, or some of which it knows: after the table's columns the input has
/// each row's id and the sequence number of its last change, NULL where the commit is to give them (row lineage).
pub async fn write_known_rows(
    target: &TableMetadata,
    write: WriteId,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    storage: Arc<Storage>,
    progress: &WriteProgress,
    order: RowOrder,
) -> Result<Vec<DataFile>> {
    let files = FileTarget::new(target, write, storage, progress.clone())?.with_lineage()?;
    write_to(files, input, context, order).await
}

async fn write_to(
    mut files: FileTarget,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    order: RowOrder,
) -> Result<Vec<DataFile>> {
    let processors = context.session_config().target_partitions().max(1);
    let keys = Arc::new(Keys::new(&files.metadata, Arc::clone(&files.schema), order)?);
    let plan = arrange(input, &keys, files.properties.distribution, processors, &files.progress)?;
    let writers = plan.output_partitioning().partition_count();
    // The writers of an unpartitioned table share the columns of a file out when there are processors to spare.
    files.lanes = if keys.splitter.is_some() { 1 } else { processors.div_ceil(writers.max(1)) };
    files.sort_order_id = keys.order.as_ref().map(|order| order.id);
    let files = Arc::new(files);
    let mut running = Running::new(Arc::clone(&files));
    for number in 0..writers {
        let memory = MemoryConsumer::new(format!("TableWriter[{number}]")).register(context.memory_pool());
        let names = FileNames::new(Arc::clone(&files), number);
        let writer = match keys.order {
            Some(_) => Writer::Clustered(ClusteredWriter::new(Arc::clone(&keys), names, memory, Vec::new())),
            None => Writer::Fanout(FanoutWriter::new(Arc::clone(&keys), names, memory, Arc::clone(&context))),
        };
        let (plan, context, stop) = (Arc::clone(&plan), Arc::clone(&context), running.stop.clone());
        running.spawn(run_writer(number, writer, plan, context, stop));
    }
    drop(plan);
    running.finish().await
}

/// How a task of a write ended: with the files of one writer and its number, or why not.
type Ended = Result<(usize, Vec<DataFile>), Failure>;

/// Why a task of a write ended early.
enum Failure {
    /// It failed itself.
    Own(Error),
    /// Another one did, or nobody waits any more.
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Own(error)
    }
}

/// The tasks of a write, and what is left to do when they are not waited for.
struct Running {
    tasks: JoinSet<Ended>,
    stop: CancellationToken,
    files: Arc<FileTarget>,
    done: bool,
}

impl Running {
    fn new(files: Arc<FileTarget>) -> Running {
        Running { tasks: JoinSet::new(), stop: CancellationToken::new(), files, done: false }
    }

    fn spawn(&mut self, task: impl Future<Output = Ended> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let result = task.await;
            if result.is_err() {
                stop.cancel();
            }
            result
        });
    }

    /// Waits for every task. With the first error the others stop, and the files go.
    async fn finish(mut self) -> Result<Vec<DataFile>> {
        let mut written = Vec::new();
        let (mut failure, mut stopped) = (None, false);
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(files)) => written.push(files),
                Ok(Err(Failure::Own(error))) => failure = failure.or(Some(error)),
                Ok(Err(Failure::Stopped)) => stopped = true,
                Err(error) => {
                    self.stop.cancel();
                    failure = failure.or(Some(Error::internal(format!("a writer failed: {error}"))));
                }
            }
        }
        if stopped && failure.is_none() {
            failure = Some(Error::internal("a write was stopped by nobody"));
        }
        if let Some(error) = failure {
            self.files.discard().await;
            self.done = true;
            return Err(error);
        }
        self.done = true;
        written.sort_by_key(|(number, _)| *number);
        Ok(written.into_iter().flat_map(|(_, files)| files).collect())
    }
}

impl Drop for Running {
    /// The tasks are told to stop rather than aborted, so that they can take back what they began to upload.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut self.tasks);
        let files = Arc::clone(&self.files);
        // Without a runtime the process is ending, and the sweep at the next start deletes the files.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                while tasks.join_next().await.is_some() {}
                files.discard().await;
            });
        }
    }
}

/// How rows become files.
enum Writer {
    /// In any order.
    Fanout(FanoutWriter),
    /// Partition after partition.
    Clustered(ClusteredWriter),
}

async fn run_writer(
    number: usize,
    mut writer: Writer,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    stop: CancellationToken,
) -> Ended {
    let written = match plan.execute(number, context).map_err(engine_error) {
        Ok(rows) => writer.write(rows, &stop).await,
        Err(error) => Err(error.into()),
    };
    match written {
        Ok(files) => Ok((number, files)),
        Err(failure) => {
            writer.abort().await;
            Err(failure)
        }
    }
}

impl Writer {
    /// Writes rows until there are no more, and then those that were put aside.
    async fn write(
        &mut self,
        rows: SendableRecordBatchStream,
        stop: &CancellationToken,
    ) -> Result<Vec<DataFile>, Failure> {
        self.take(rows, stop).await?;
        let fanout = match self {
            Writer::Clustered(writer) => return Ok(writer.finish().await?),
            Writer::Fanout(writer) => writer,
        };
        let finished = fanout.finish().await?;
        let Some(aside) = fanout.aside() else { return Ok(finished) };
        let rows = unless_stopped(stop, aside.finish()).await??;
        *self = Writer::Clustered(fanout.clustered(finished));
        self.take(rows, stop).await?;
        match self {
            Writer::Clustered(writer) => Ok(writer.finish().await?),
            Writer::Fanout(writer) => Ok(writer.finish().await?),
        }
    }

    async fn take(
        &mut self,
        mut rows: SendableRecordBatchStream,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        while let Some(batch) = unless_stopped(stop, rows.next()).await? {
            let batch = batch.map_err(engine_error)?;
            match self {
                Writer::Fanout(writer) => writer.write(&batch).await?,
                Writer::Clustered(writer) => writer.write(&batch).await?,
            }
        }
        Ok(())
    }

    async fn abort(self) {
        match self {
            Writer::Fanout(writer) => writer.abort().await,
            Writer::Clustered(writer) => writer.abort().await,
        }
    }
}

/// Waits for something, or for the write to be stopped.
async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Stopped),
        done = work => Ok(done),
    }
}
