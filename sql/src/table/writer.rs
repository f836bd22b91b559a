//! Runs a query and writes its rows as data files of a table. The files belong to no snapshot yet: committing them is
//! the caller's, and nobody sees them before. When anything fails, or the caller stops waiting, every file of the
//! write is deleted again. It must never commit. Next: `conform.rs`, `partition.rs`, `fanout.rs`, `data_file.rs`.
//!
//! ```text
//! query partition 0 ─ conform ─ split ─┐                 ┌─ writer 0 ─ files
//! query partition 1 ─ conform ─ split ─┼─ by partition ──┤
//! query partition 2 ─ conform ─ split ─┘                 └─ writer 1 ─ files
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use iceberg::spec::{DataFile, Struct, TableMetadata};
use tarn_catalog::WriteId;
use tarn_catalog::storage::Storage;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::conform::conform;
use super::data_file::FileTarget;
use super::fanout::{FanoutWriter, Routed};
use super::partition::PartitionSplitter;
use super::progress::WriteProgress;
use crate::error::{Error, Result};
use crate::plan::engine_error;

/// Batches that wait in front of a writer.
const WRITER_BATCHES_MAX: usize = 4;

/// Writes the rows of `input` as files of the table `target` and describes them. Columns are matched by position.
/// Dropping the returned future stops the write and deletes its files.
pub async fn write_files(
    target: &TableMetadata,
    write: WriteId,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    storage: Arc<Storage>,
    progress: &WriteProgress,
) -> Result<Vec<DataFile>> {
    let files = FileTarget::new(target, write, storage, progress.clone())?;
    write_to(files, input, context).await
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
) -> Result<Vec<DataFile>> {
    let files = FileTarget::new(target, write, storage, progress.clone())?.with_lineage()?;
    write_to(files, input, context).await
}

async fn write_to(
    mut files: FileTarget,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> Result<Vec<DataFile>> {
    let target = &files.metadata;
    let processors = context.session_config().target_partitions().max(1);
    let inputs = input.output_partitioning().partition_count();
    let spec = target.default_partition_spec();
    let splitter = match spec.is_unpartitioned() {
        true => None,
        false => Some(Arc::new(PartitionSplitter::try_new(spec, target.current_schema())?)),
    };
    // Every table partition is written by one writer, so that it gets few files; an unpartitioned table keeps the
    // query's order within each writer, and shares the columns of a file out when there are processors to spare.
    let writers = if splitter.is_some() { processors } else { inputs.clamp(1, processors) };
    files.lanes = if splitter.is_some() { 1 } else { processors.div_ceil(writers) };
    let files = Arc::new(files);
    let mut running = Running::new(Arc::clone(&files));
    let mut routes = Vec::with_capacity(writers);
    for number in 0..writers {
        let memory = MemoryConsumer::new(format!("TableWriter[{number}]")).register(context.memory_pool());
        let writer = FanoutWriter::new(Arc::clone(&files), number, memory);
        let (route, routed) = mpsc::channel(WRITER_BATCHES_MAX);
        routes.push(route);
        running.spawn(run_writer(number, writer, routed, running.stop.clone()));
    }
    for partition in 0..inputs {
        let splitter = splitter.clone();
        let feed =
            Feed { files: Arc::clone(&files), splitter, routes: routes.clone(), stop: running.stop.clone() };
        running.spawn(feed.run(partition, Arc::clone(&input), Arc::clone(&context)));
    }
    drop(routes);
    running.finish().await
}

/// How a task of a write ended: with the files of one writer and its number (a feed has none), or why not.
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

async fn run_writer(
    number: usize,
    mut writer: FanoutWriter,
    mut routed: mpsc::Receiver<Routed>,
    stop: CancellationToken,
) -> Ended {
    match write_routed(&mut writer, &mut routed, &stop).await {
        Ok(files) => Ok((number, files)),
        Err(failure) => {
            writer.abort().await;
            Err(failure)
        }
    }
}

async fn write_routed(
    writer: &mut FanoutWriter,
    routed: &mut mpsc::Receiver<Routed>,
    stop: &CancellationToken,
) -> Result<Vec<DataFile>, Failure> {
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Stopped),
            next = routed.recv() => next,
        };
        match next {
            Some(rows) => writer.write(rows).await?,
            // A feed that fails stops the write before it lets go of its route.
            None if stop.is_cancelled() => return Err(Failure::Stopped),
            None => return Ok(writer.finish().await?),
        }
    }
}

/// Takes one partition of the query to the writers.
struct Feed {
    files: Arc<FileTarget>,
    splitter: Option<Arc<PartitionSplitter>>,
    routes: Vec<mpsc::Sender<Routed>>,
    stop: CancellationToken,
}

impl Feed {
    async fn run(self, partition: usize, input: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Ended {
        let result = self.feed(partition, input, context).await;
        if result.is_err() {
            // Before `self` lets go of the routes: a writer must not take a failed query's end for its end.
            self.stop.cancel();
        }
        result.map(|()| (partition, Vec::new()))
    }

    async fn feed(
        &self,
        partition: usize,
        input: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<(), Failure> {
        let mut rows = input.execute(partition, context).map_err(engine_error)?;
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Failure::Stopped),
                next = rows.next() => next,
            };
            match next {
                Some(batch) => self.route(partition, &batch.map_err(engine_error)?).await?,
                None => return Ok(()),
            }
        }
    }

    async fn route(&self, partition: usize, batch: &RecordBatch) -> Result<(), Failure> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = conform(batch, &self.files.schema)?;
        self.files.progress.add_rows(rows.num_rows());
        let Some(splitter) = &self.splitter else {
            let (key, value, folder) = (Box::default(), Struct::empty(), String::new());
            return self.send(partition, Routed { key, value, folder, rows }).await;
        };
        for part in splitter.split(&rows)? {
            let mut hasher = DefaultHasher::new();
            part.key.hash(&mut hasher);
            let route = usize::try_from(hasher.finish() % self.routes.len().max(1) as u64).unwrap_or(0);
            let folder = splitter.folder(&part.value);
            self.send(route, Routed { key: part.key, value: part.value, folder, rows: part.rows }).await?;
        }
        Ok(())
    }

    async fn send(&self, route: usize, routed: Routed) -> Result<(), Failure> {
        let Some(sender) = self.routes.get(route % self.routes.len().max(1)) else {
            return Err(Error::internal("a write has no writer").into());
        };
        // A writer that does not listen any more has failed, and says why itself.
        sender.send(routed).await.map_err(|_| Failure::Stopped)
    }
}
