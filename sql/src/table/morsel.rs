//! Files on their way into DataFusion's Parquet reader. A file without deletes goes straight in. Of any other the
//! deletes are loaded first, at execution and side by side, and become the reader's plan of which rows to read; where
//! the scan has a stage, the rows then go through it (`stage.rs`).
//!
//! ```text
//! file -> deletes, footer -> access plan -> Parquet reader -> stage
//!                                      \-> columns in memory
//! ```

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use iceberg::spec::TableMetadata;
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;
use tarn_catalog::iceberg::deleted_positions;
use tarn_catalog::storage::Storage;

use super::access::{Positions, live_rows};
use super::columns::ColumnReading;
use super::equality::EqualityDeletes;
use super::footer::TableFile;
use super::rows::RowPruning;
use super::stage::{FileRows, Stage};
use crate::error::Error;

type EngineResult<T> = datafusion::common::Result<T>;

/// Opens the files of one partition of a scan.
#[derive(Debug)]
pub(crate) struct TableMorselizer {
    pub reading: Arc<Reading>,
}

/// What files are read with.
pub(crate) struct Reading {
    /// Where columns may be in memory.
    pub served: Option<Arc<ColumnReading>>,
    /// The Parquet reader for files that are read as they are.
    pub straight: Arc<dyn Morselizer>,
    /// The Parquet reader that keeps to a plan of rows.
    pub careful: Arc<dyn Morselizer>,
    pub readers: Arc<dyn ParquetFileReaderFactory>,
    pub storage: Arc<Storage>,
    pub metadata: Arc<TableMetadata>,
    pub partition: usize,
    pub metrics: ExecutionPlanMetricsSet,
    /// The number of columns that the Parquet reader knows.
    pub columns: usize,
    pub stage: Option<Arc<Stage>>,
    /// Leaves out row groups and pages where the reader itself must not, because positions are counted.
    pub pruning: Option<RowPruning>,
    pub equality: Arc<EqualityDeletes>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("partition", &self.partition).field("stage", &self.stage).finish()
    }
}

impl Morselizer for TableMorselizer {
    fn plan_file(&self, mut file: PartitionedFile) -> EngineResult<Box<dyn MorselPlanner>> {
        let about = file.extensions.get_arc::<TableFile>().ok_or_else(foreign_file)?;
        file.statistics = for_reader(file.statistics.take(), &about, self.reading.columns);
        let reading = &self.reading;
        if reading.stage.is_none() && reading.served.is_none() && !about.has_deletes() {
            return reading.straight.plan_file(file);
        }
        Ok(Box::new(Loading { reading: Arc::clone(&self.reading), file, about }))
    }
}

pub(crate) fn foreign_file() -> DataFusionError {
    DataFusionError::Internal("a table scan has a file that is not the table's".to_owned())
}

/// The statistics that the reader goes by: its own columns, and those that are constant in the file as constants, which
/// holds whether the file has such a column or not.
fn for_reader(
    statistics: Option<Arc<Statistics>>,
    file: &TableFile,
    columns: usize,
) -> Option<Arc<Statistics>> {
    let statistics = statistics?;
    if file.constants.is_empty() && statistics.column_statistics.len() == columns {
        return Some(statistics);
    }
    let mut statistics = Arc::unwrap_or_clone(statistics);
    statistics.column_statistics.resize_with(columns, ColumnStatistics::new_unknown);
    let rows = usize::try_from(file.live.file.record_count()).unwrap_or(usize::MAX);
    statistics.num_rows = Precision::Exact(rows);
    for (column, value) in &file.constants {
        statistics.column_statistics[*column] = constant(value, rows);
    }
    Some(Arc::new(statistics))
}

fn constant(value: &ScalarValue, rows: usize) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    if value.is_null() {
        statistics.null_count = Precision::Exact(rows);
    } else {
        statistics.null_count = Precision::Exact(0);
        statistics.min_value = Precision::Exact(value.clone());
        statistics.max_value = Precision::Exact(value.clone());
    }
    statistics
}

/// A file whose deletes are still to be loaded.
#[derive(Debug)]
struct Loading {
    reading: Arc<Reading>,
    file: PartitionedFile,
    about: Arc<TableFile>,
}

impl MorselPlanner for Loading {
    fn plan(self: Box<Self>) -> EngineResult<Option<MorselPlan>> {
        let Loading { reading, file, about } = *self;
        let open = async move { reading.open(file, about).await };
        Ok(Some(MorselPlan::new().with_pending_planner(open)))
    }
}

impl Reading {
    async fn open(
        &self,
        mut file: PartitionedFile,
        about: Arc<TableFile>,
    ) -> EngineResult<Box<dyn MorselPlanner>> {
        let dead = self.dead_rows(&about).await.map_err(engine_error)?;
        let deleted = self.equality.of(&about).await.map_err(engine_error)?;
        if let Some(served) = &self.served {
            let footer = self.footer(&file).await?;
            let groups = footer.row_groups();
            let plan = super::rows::within_range(live_rows(groups, &dead), groups, file.range.as_ref());
            if let Some(planner) = served.offer(plan, &footer, &file, &about)? {
                return Ok(planner);
            }
        }
        if self.stage.is_none() && dead.is_empty() && !about.has_deletes() {
            return self.straight.plan_file(file);
        }
        let mut positions = None;
        let counted = self.stage.as_ref().is_some_and(|stage| stage.needs_positions());
        if counted || !dead.is_empty() {
            let footer = self.footer(&file).await?;
            let groups = footer.row_groups();
            let mut plan = live_rows(groups, &dead);
            if counted {
                let range = file.range.take();
                if let Some(pruning) = &self.pruning {
                    plan = pruning.prune(plan, &footer, &file, &about)?;
                }
                plan = super::rows::within_range(plan, groups, range.as_ref());
                positions = Some(Positions::of(&plan, groups));
            }
            file.extensions.insert(plan);
        }
        let planner = self.careful.plan_file(file)?;
        Ok(match &self.stage {
            None => planner,
            Some(stage) => {
                let rows = FileRows { file: about, positions, deleted, url: None, partition: None };
                Box::new(Staged { inner: planner, stage: Arc::clone(stage), rows })
            }
        })
    }

    /// The positions of rows that are not read: deleted ones, and those that the scan is told to leave out.
    async fn dead_rows(&self, file: &TableFile) -> crate::error::Result<Arc<RoaringTreemap>> {
        let dead = deleted_positions(&self.storage, &self.metadata, &file.deletes, file.url()).await?;
        Ok(match &file.without {
            None => dead,
            Some(without) if dead.is_empty() => Arc::clone(without),
            Some(without) => Arc::new(dead.as_ref() | without.as_ref()),
        })
    }

    async fn footer(&self, file: &PartitionedFile) -> EngineResult<Arc<ParquetMetaData>> {
        let mut reader = self.readers.create_reader(self.partition, file.clone(), None, &self.metrics)?;
        Ok(reader.get_metadata(None).await?)
    }
}

fn engine_error(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The planner of a file whose rows go through a stage. A file comes as one stream, in which the rows are counted.
#[derive(Debug)]
struct Staged {
    inner: Box<dyn MorselPlanner>,
    stage: Arc<Stage>,
    rows: FileRows,
}

impl MorselPlanner for Staged {
    fn plan(self: Box<Self>) -> EngineResult<Option<MorselPlan>> {
        let Staged { inner, stage, rows } = *self;
        let Some(mut plan) = inner.plan()? else { return Ok(None) };
        let (mut morsels, mut planners) = (plan.take_morsels(), plan.take_ready_planners());
        let pending = plan.take_pending_planner();
        match (morsels.pop(), planners.pop(), pending) {
            (Some(inner), None, None) if morsels.is_empty() => {
                let morsel: Box<dyn Morsel> = Box::new(StagedMorsel { inner, stage, rows });
                Ok(Some(MorselPlan::new().with_morsels(vec![morsel])))
            }
            (None, Some(inner), None) if planners.is_empty() => {
                let planner: Box<dyn MorselPlanner> = Box::new(Staged { inner, stage, rows });
                Ok(Some(MorselPlan::new().with_planners(vec![planner])))
            }
            (None, None, Some(pending)) => Ok(Some(MorselPlan::new().with_pending_planner(async move {
                let inner = pending.await?;
                Ok(Box::new(Staged { inner, stage, rows }) as Box<dyn MorselPlanner>)
            }))),
            (None, None, None) => Ok(None),
            _ => Err(DataFusionError::Internal("a data file comes in more than one stream".to_owned())),
        }
    }
}

#[derive(Debug)]
struct StagedMorsel {
    inner: Box<dyn Morsel>,
    stage: Arc<Stage>,
    rows: FileRows,
}

impl Morsel for StagedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, EngineResult<RecordBatch>> {
        let StagedMorsel { inner, stage, mut rows } = *self;
        let staged = inner.into_stream().map_ok(move |batch| stage.run(batch, &mut rows));
        staged.map(|outcome| outcome.and_then(|outcome| outcome)).boxed()
    }
}
