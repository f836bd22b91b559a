//! The order in which a change of rows happens, and its commit. Everything before the commit stops when the statement
//! must; files that were written by then are taken back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{LogicalPlanBuilder, col};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use iceberg::spec::{DataFile, FormatVersion, TableMetadata};
use roaring::RoaringTreemap;
use tarn_catalog::WriteId;
use tarn_catalog::iceberg::{
    Operation, ReadSet, RowDelta, TableWrite, Target, deleted_positions, snapshot_files,
};
use tokio_util::task::AbortOnDropHandle;

use super::arrive::{Arrivals, Arrived, StartWriting};
use super::collect::Collector;
use super::mode::{FileSize, Losses, Mode, decide, is_serializable};
use super::whole::whole_files;
use crate::error::{Error, Result};
use crate::execute::query;
use crate::execute::write::Write;
use crate::outcome::Outcome;
use crate::plan::{ChangeKind, ChangePlan, Context, engine_error};
use crate::table::{
    IcebergTable, RowOrder, WriteProgress, arrow_schema, hidden, write_files, write_known_rows,
};

/// Rows of files below this are written by one writer, so that they become one file, bytes.
const ONE_FILE_BYTES: u64 = 128 << 20;

/// What a statement has made by the time it commits.
struct Made {
    added: Vec<DataFile>,
    losses: Losses,
    count: u64,
    returned: Vec<arrow::array::RecordBatch>,
    memory: MemoryReservation,
}

/// Runs a statement that changes rows.
pub(in crate::execute) async fn change(plan: ChangePlan, context: &Context) -> Result<Outcome> {
    let metadata = Arc::clone(&plan.target.version.metadata);
    let serializable = is_serializable(plan.kind, metadata.properties())?;
    let write = Write::begin(metadata.location(), context).await?;
    let work = Work { plan: &plan, metadata: &metadata, write: write.id, context };
    let made = match context.stop.or(work.make()).await {
        Ok(made) => made,
        Err(error) => return Err(write.abandon(error, context).await),
    };
    let Made { added, losses, count, returned, memory } = made;
    let changes_nothing = added.is_empty() && losses == Losses::default();
    if changes_nothing {
        write.forget(context).await;
    } else {
        let read = if serializable { Some(read_set(&plan, context)?) } else { None };
        let mut transaction = context.begin();
        transaction.write_table(TableWrite {
            relation: plan.target.found.relation.id,
            name: plan.target.found.qualified(),
            target: Target::Existing { base: Arc::clone(&plan.target.version) },
            write: write.id,
            branch: plan.target.branch.clone(),
            operation: operation(&plan, losses, read),
            added,
        });
        write.commit(transaction, context).await?;
    }
    answer(plan, count, returned, memory)
}

/// What must not have changed: nobody may have added a file that holds a row the statement would have looked at.
fn read_set(plan: &ChangePlan, context: &Context) -> Result<ReadSet> {
    let storage = Arc::clone(context.catalog().storage());
    let table = IcebergTable::new(plan.target.state()?, storage)?;
    let keys = plan.keys.as_ref().and_then(|keys| keys.all()).unwrap_or_default();
    Ok(ReadSet(table.file_filter(&context.state, &plan.read, keys)))
}

/// Rows that only come need nothing to be as it was.
fn operation(plan: &ChangePlan, losses: Losses, read: Option<ReadSet>) -> Operation {
    if plan.kind == ChangeKind::Insert && !plan.reads_target {
        return Operation::Append;
    }
    let removed = losses.rewritten.into_keys().chain(losses.gone).collect();
    Operation::RowDelta(RowDelta { deleted: losses.marked, removed, read })
}

fn answer(
    plan: ChangePlan,
    count: u64,
    returned: Vec<arrow::array::RecordBatch>,
    memory: MemoryReservation,
) -> Result<Outcome> {
    let tag = match plan.kind {
        ChangeKind::Delete => "DELETE",
        ChangeKind::Update => "UPDATE",
        ChangeKind::Merge => "MERGE",
        ChangeKind::Insert | ChangeKind::Overwrite => "INSERT 0",
    };
    let Some(schema) = plan.returning else { return Ok(Outcome::done(format!("{tag} {count}"))) };
    let shown = Arc::clone(&schema);
    let rows = returned.into_iter().map(move |batch| {
        let _held = &memory;
        query::relabel(&batch, &shown)
    });
    Ok(Outcome::Rows { schema, rows: futures::stream::iter(rows).boxed(), tag })
}

/// One statement at work.
struct Work<'a> {
    plan: &'a ChangePlan,
    metadata: &'a Arc<TableMetadata>,
    write: WriteId,
    context: &'a Context,
}

impl Work<'_> {
    /// Runs the plan and writes what comes of it.
    async fn make(&self) -> Result<Made> {
        let whole = whole_files(self.plan, self.context).await?;
        let physical = query::physical_plan(&whole.rest, self.context).await?;
        let (collector, arrived) = self.collect(physical).await?;
        let mut collector = collector;
        let deleted = std::mem::take(&mut collector.deleted);
        let sizes = self.sizes(&deleted).await?;
        let mode = Mode::of(self.plan.kind, self.metadata.properties(), self.metadata.format_version())?;
        let mut losses = decide(mode, deleted, &sizes)?;
        losses.gone.extend(whole.files);
        let added = self.write_rest(arrived, &losses, &sizes).await?;
        let count = collector.count + whole.rows;
        let (returned, memory) = collector.into_returned();
        Ok(Made { added, losses, count, returned, memory })
    }

    /// Whether rows are written together with their row ids.
    fn keeps_row_ids(&self) -> bool {
        self.metadata.format_version() >= FormatVersion::V3
            && (self.plan.kind != ChangeKind::Insert || self.plan.reads_target)
    }

    async fn collect(&self, physical: Arc<dyn ExecutionPlan>) -> Result<(Collector, Arrived)> {
        let pool = self.context.state.runtime_env().memory_pool.clone();
        let memory = |name: &str| MemoryConsumer::new(name.to_owned()).register(&pool);
        let columns = match self.plan.writes {
            true => arrow_schema(self.metadata.current_schema())?.fields().len(),
            false => 0,
        };
        let row_ids = self.keeps_row_ids();
        let mut collector = Collector::new(self.plan.kind, columns, row_ids, memory("ReturnedRows"));
        let schema = collector.schema(&physical.schema());
        let mut arrivals = Arrivals::new(schema, memory("NewRows"), self.start_writing());
        let mut rows = execute_stream(physical, self.context.state.task_ctx()).map_err(engine_error)?;
        while let Some(batch) = rows.next().await {
            if let Some(come) = collector.take(&batch.map_err(engine_error)?)? {
                arrivals.push(come).await?;
            }
        }
        Ok((collector, arrivals.finish().await?))
    }

    /// Writes a plan's rows on a task of its own.
    fn start_writing(&self) -> StartWriting {
        let (metadata, write) = (Arc::clone(self.metadata), self.write);
        let (known, task) = (self.keeps_row_ids(), self.context.state.task_ctx());
        let storage = Arc::clone(self.context.catalog().storage());
        Box::new(move |plan| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                let (progress, order) = (WriteProgress::default(), RowOrder::Declared);
                match known {
                    true => write_known_rows(&metadata, write, plan, task, storage, &progress, order).await,
                    false => write_files(&metadata, write, plan, task, storage, &progress, order).await,
                }
            }))
        })
    }

    /// What is known of the files that lose rows.
    async fn sizes(&self, deleted: &BTreeMap<String, RoaringTreemap>) -> Result<HashMap<String, FileSize>> {
        let (Some(snapshot), false) = (self.plan.target.state()?.snapshot_id, deleted.is_empty()) else {
            return Ok(HashMap::new());
        };
        let storage = self.context.catalog().storage();
        let files = snapshot_files(storage, self.metadata, snapshot).await?;
        let mut sizes = HashMap::with_capacity(deleted.len());
        for live in &files.data {
            let url = live.file.file_path();
            if !deleted.contains_key(url) {
                continue;
            }
            let deletes = files.deletes.of(live);
            let gone = deleted_positions(storage, self.metadata, &deletes, url).await?.len();
            let (bytes, rows) = (live.file.file_size_in_bytes(), live.file.record_count());
            sizes.insert(url.to_owned(), FileSize { bytes, rows, deleted: gone });
        }
        Ok(sizes)
    }

    /// Writes the rows that wait, and what is left of the files that are written anew.
    async fn write_rest(
        &self,
        arrived: Arrived,
        losses: &Losses,
        sizes: &HashMap<String, FileSize>,
    ) -> Result<Vec<DataFile>> {
        let (mut written, waiting) = match arrived {
            Arrived::Written(files) => (files, None),
            Arrived::Waiting(plan) => (Vec::new(), Some(plan)),
            Arrived::Nothing => (Vec::new(), None),
        };
        let left = match losses.rewritten.is_empty() {
            true => None,
            false => Some(self.left(&losses.rewritten).await?),
        };
        let bytes: u64 =
            losses.rewritten.keys().filter_map(|file| sizes.get(file)).map(|size| size.bytes).sum();
        let mut plan = match (waiting, left) {
            (None, None) => return Ok(written),
            (Some(plan), None) | (None, Some(plan)) => plan,
            (Some(waiting), Some(left)) => UnionExec::try_new(vec![left, waiting]).map_err(engine_error)?,
        };
        if bytes < ONE_FILE_BYTES {
            plan = Arc::new(CoalescePartitionsExec::new(plan));
        }
        let files = self.start_writing()(plan).await;
        written.extend(files.map_err(|error| Error::internal(format!("a writer broke off: {error}")))??);
        Ok(written)
    }

    /// The rows that are left of files, in the columns of the rows that come.
    async fn left(&self, rewritten: &BTreeMap<String, RoaringTreemap>) -> Result<Arc<dyn ExecutionPlan>> {
        let files = rewritten.keys().cloned();
        let rows = rewritten.iter().map(|(file, rows)| (file.clone(), Arc::new(rows.clone()))).collect();
        let storage = Arc::clone(self.context.catalog().storage());
        let table = IcebergTable::new(self.plan.target.state()?, storage)?
            .with_row_columns()?
            .only_files(files)
            .without_rows(rows);
        let schema = arrow_schema(self.metadata.current_schema())?;
        let mut columns: Vec<_> = schema.fields().iter().map(|field| column(field.name())).collect();
        if self.keeps_row_ids() {
            columns.extend([column(hidden::ROW_ID), column(hidden::LAST_UPDATED)]);
        }
        let plan = LogicalPlanBuilder::scan("rewritten", provider_as_source(Arc::new(table)), None)
            .and_then(|scan| scan.project(columns)?.build())
            .map_err(engine_error)?;
        query::physical_plan(&plan, self.context).await
    }
}

fn column(name: &str) -> datafusion::logical_expr::Expr {
    col(datafusion::common::Column::from_name(name))
}
