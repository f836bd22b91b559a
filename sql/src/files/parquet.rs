//! DataFusion's own Parquet source with one thing added: an error of a broken file names the file. All else is passed
//! through. It must never read a byte itself. Next: `scan.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::SortOrderPushdownResult;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExprs;
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::ObjectStore;

use super::problem::{Problem, carried};
use super::source::file_name;

/// Parquet files as a source of rows.
pub struct NamingSource {
    inner: Arc<dyn FileSource>,
}

impl NamingSource {
    pub fn around(inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(NamingSource { inner })
    }
}

impl FileSource for NamingSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let inner = self.inner.create_morselizer(store, config, partition)?;
        Ok(Box::new(NamingMorselizer { inner }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        NamingSource::around(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(NamingSource::around);
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => {
                SortOrderPushdownResult::Exact { inner: NamingSource::around(inner) }
            }
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: NamingSource::around(inner) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_projection(projection)?.map(NamingSource::around))
    }
}

#[derive(Debug)]
struct NamingMorselizer {
    inner: Box<dyn Morselizer>,
}

impl Morselizer for NamingMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let name: Arc<str> = Arc::from(file_name(&file));
        let inner = self.inner.plan_file(file).map_err(|error| named(error, &name))?;
        Ok(Box::new(NamingPlanner { inner, name }))
    }
}

#[derive(Debug)]
struct NamingPlanner {
    inner: Box<dyn MorselPlanner>,
    name: Arc<str>,
}

impl MorselPlanner for NamingPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let NamingPlanner { inner, name } = *self;
        let Some(mut plan) = inner.plan().map_err(|error| named(error, &name))? else { return Ok(None) };
        let morsels = plan
            .take_morsels()
            .into_iter()
            .map(|inner| -> Box<dyn Morsel> { Box::new(NamingMorsel { inner, name: Arc::clone(&name) }) });
        let planners = plan.take_ready_planners().into_iter().map(|inner| -> Box<dyn MorselPlanner> {
            Box::new(NamingPlanner { inner, name: Arc::clone(&name) })
        });
        let mut named_plan =
            MorselPlan::new().with_morsels(morsels.collect()).with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            named_plan.set_pending_planner(async move {
                let inner = pending.await.map_err(|error| named(error, &name))?;
                Ok(Box::new(NamingPlanner { inner, name }) as Box<dyn MorselPlanner>)
            });
        }
        Ok(Some(named_plan))
    }
}

#[derive(Debug)]
struct NamingMorsel {
    inner: Box<dyn Morsel>,
    name: Arc<str>,
}

impl Morsel for NamingMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let NamingMorsel { inner, name } = *self;
        inner.into_stream().map_err(move |error| named(error, &name)).boxed()
    }
}

/// The error with the file's name, when it is about the file; others, such as of a filter that divides by zero or of
/// memory that runs out, stay as they are.
fn named(error: DataFusionError, name: &str) -> DataFusionError {
    match problem(&error) {
        Some(problem) => carried(problem.of_file(name)),
        None => error,
    }
}

fn problem(error: &DataFusionError) -> Option<Problem> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(broken(&error.to_string())),
        DataFusionError::ObjectStore(error) => Some(Problem::store(error)),
        DataFusionError::IoError(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(Problem::missing())
        }
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(reason) => Some(broken(reason)),
            ArrowError::CastError(reason) => Some(Problem::misfit(reason.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// What a crawl and a scan say of a Parquet file that cannot be read.
pub fn broken(reason: &str) -> Problem {
    let reason = reason.trim_start_matches("Parquet argument error: ").trim_start_matches("Parquet error: ");
    Problem::malformed(format!("it is not a whole Parquet file: {reason}"))
        .with_hint("Copy the file again; it may have been cut off.")
}
