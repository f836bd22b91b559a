//! The data files of a table as a source of rows: DataFusion's Parquet source, made to respect deletes. This is the
//! only way in which rows of a table are read. Where files have nothing deleted and no hidden column is asked for, it
//! only passes on; otherwise see `morsel.rs`. It must never decide which files are read. Next: `morsel.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, conjunction};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExprs;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::Morselizer;
use iceberg::spec::TableMetadata;
use object_store::ObjectStore;
use tarn_catalog::storage::Storage;

use super::columns::{ColumnCache, ColumnReading, Scan};
use super::equality::EqualityDeletes;
use super::evolve::Defaults;
use super::hidden::Hidden;
use super::morsel::{Reading, TableMorselizer};
use super::naming::name_of_foreign;
use super::rows::RowPruning;
use super::stage::{Stage, stored_id};

type EngineResult<T> = datafusion::common::Result<T>;

/// What all partitions of a scan share.
#[derive(Debug)]
pub(crate) struct TableScan {
    pub storage: Arc<Storage>,
    pub metadata: Arc<TableMetadata>,
    pub readers: Arc<dyn ParquetFileReaderFactory>,
    pub adapters: Arc<dyn PhysicalExprAdapterFactory>,
    pub equality: Arc<EqualityDeletes>,
    /// Keeps decoded columns, unless the session does without.
    pub columns: Option<Arc<ColumnCache>>,
    /// The initial defaults of fields that are younger than a file.
    pub defaults: Arc<Defaults>,
    /// The field ids of the table's columns.
    pub ids: Arc<[i32]>,
    /// Tells the names that columns are read under from others of the same table.
    pub names: String,
}

/// The data files of a table.
#[derive(Clone)]
pub(crate) struct TableSource {
    /// Reads the files: with projection and filters when there is no stage.
    parquet: ParquetSource,
    stage: Option<StagedScan>,
    scan: Arc<TableScan>,
    /// Whether the reader was told of an order that it may go by.
    ordered: bool,
}

/// A scan whose rows go through a stage: it projects, so that the reader does not.
#[derive(Clone)]
struct StagedScan {
    /// The table's columns and, if they are handed out, the hidden ones.
    schema: TableSchema,
    projection: ProjectionExprs,
    /// With hidden columns: for row groups and pages alone.
    predicate: Option<Arc<dyn PhysicalExpr>>,
    hidden: bool,
}

impl TableSource {
    /// A source whose rows are as they are in the files, less those that are deleted by position.
    pub fn straight(parquet: ParquetSource, scan: Arc<TableScan>) -> TableSource {
        TableSource { parquet, stage: None, scan, ordered: false }
    }

    /// A source with a stage. Its schema is `schema`, of which `parquet` knows all but the hidden columns, if those are
    /// handed out.
    pub fn staged(
        parquet: ParquetSource,
        schema: TableSchema,
        hidden: bool,
        scan: Arc<TableScan>,
    ) -> TableSource {
        let own = schema.table_schema();
        let all: Vec<usize> = (0..own.fields().len()).collect();
        let projection = ProjectionExprs::from_indices(&all, own);
        let stage = Some(StagedScan { schema, projection, predicate: None, hidden });
        TableSource { parquet, stage, scan, ordered: false }
    }

    fn with_parquet(&self, parquet: &Arc<dyn FileSource>) -> EngineResult<Arc<dyn FileSource>> {
        let parquet = parquet_of(parquet)?;
        Ok(Arc::new(TableSource { parquet, ..self.clone() }))
    }

    fn in_order(&self, parquet: &Arc<dyn FileSource>) -> EngineResult<Arc<dyn FileSource>> {
        let parquet = parquet_of(parquet)?;
        Ok(Arc::new(TableSource { parquet, ordered: true, ..self.clone() }))
    }

    /// What serves a scan from memory: one without a stage, in any order.
    fn columns(&self, parquet: &ParquetSource, partition: usize) -> EngineResult<Option<Arc<ColumnReading>>> {
        let Some(cache) = self.scan.columns.as_ref().filter(|_| self.stage.is_none() && !self.ordered) else {
            return Ok(None);
        };
        let scan = Scan {
            cache: Arc::clone(cache),
            readers: Arc::clone(&self.scan.readers),
            adapters: Arc::clone(&self.scan.adapters),
            defaults: Arc::clone(&self.scan.defaults),
            ids: Arc::clone(&self.scan.ids),
            names: self.scan.names.clone(),
            partition,
            metrics: self.metrics().clone(),
        };
        Ok(ColumnReading::new(parquet, scan)?.map(Arc::new))
    }

    /// The reader of a staged scan and the stage: the columns that the projection and the equality deletes need.
    fn prepare(&self, staged: &StagedScan) -> EngineResult<(ParquetSource, Stage)> {
        let known = self.parquet.table_schema().file_schema();
        let mut wanted: Vec<usize> = Vec::new();
        let mut hidden: Vec<Hidden> = Vec::new();
        for place in staged.projection.column_indices() {
            let name = staged.schema.table_schema().field(place).name();
            match (known.index_of(name), Hidden::of_name(name)) {
                (Err(_), Some(column)) => hidden.push(column),
                (place, _) => wanted.push(place?),
            }
        }
        hidden.sort();
        hidden.dedup();
        for id in hidden.iter().filter_map(|hidden| stored_id(*hidden)) {
            wanted.push(known.index_of(&name_of_foreign(id))?);
        }
        wanted.extend(self.scan.equality.columns(known)?);
        wanted.sort_unstable();
        wanted.dedup();
        let reading = ProjectionExprs::from_indices(&wanted, known);
        let unsupported = || DataFusionError::Internal("the Parquet source does not project".to_owned());
        let parquet = self.parquet.try_pushdown_projection(&reading)?.ok_or_else(unsupported)?;
        let stage = Stage::new(&known.project(&wanted)?, hidden, &staged.projection)?;
        Ok((parquet_of(&parquet)?, stage))
    }
}

fn parquet_of(source: &Arc<dyn FileSource>) -> EngineResult<ParquetSource> {
    let other = || DataFusionError::Internal("a Parquet source became another".to_owned());
    source.downcast_ref::<ParquetSource>().cloned().ok_or_else(other)
}

impl FileSource for TableSource {
    fn create_file_opener(
        &self,
        _store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> EngineResult<Arc<dyn FileOpener>> {
        Err(DataFusionError::Internal("table files are read in morsels".to_owned()))
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> EngineResult<Box<dyn Morselizer>> {
        let (parquet, stage) = match &self.stage {
            None => (self.parquet.clone(), None),
            Some(staged) => {
                let (parquet, stage) = self.prepare(staged)?;
                (parquet, Some(Arc::new(stage)))
            }
        };
        // The reader may count rows of a limit before deleted ones are gone, and rebuild the plan of rows without
        // looking at it (trap T2). Rows that the stage drops are never counted by the reader.
        let limit = config.limit.filter(|_| self.stage.is_none() || self.scan.equality.is_empty());
        let keeping = FileScanConfigBuilder::new(config.object_store_url.clone(), Arc::new(parquet.clone()))
            .with_limit(limit)
            .with_preserve_order(true)
            .with_expr_adapter(Some(Arc::clone(&self.scan.adapters)))
            .build();
        let careful: Arc<dyn Morselizer> =
            Arc::from(parquet.create_morselizer(Arc::clone(&store), &keeping, partition)?);
        let straight: Arc<dyn Morselizer> = match &stage {
            None => Arc::from(parquet.create_morselizer(store, config, partition)?),
            Some(_) => Arc::clone(&careful),
        };
        let pruning =
            self.stage.as_ref().and_then(|staged| staged.predicate.as_ref()).and_then(|predicate| {
                let schema = Arc::clone(parquet.table_schema().file_schema());
                let adapters = Arc::clone(&self.scan.adapters);
                RowPruning::new(predicate, schema, adapters, partition, self.metrics().clone())
            });
        let reading = Arc::new(Reading {
            served: self.columns(&parquet, partition)?,
            straight: Arc::clone(&straight),
            careful,
            readers: Arc::clone(&self.scan.readers),
            storage: Arc::clone(&self.scan.storage),
            metadata: Arc::clone(&self.scan.metadata),
            partition,
            metrics: self.metrics().clone(),
            columns: parquet.table_schema().file_schema().fields().len(),
            stage,
            pruning,
            equality: Arc::clone(&self.scan.equality),
        });
        Ok(Box::new(TableMorselizer { reading }))
    }

    fn table_schema(&self) -> &TableSchema {
        match &self.stage {
            None => self.parquet.table_schema(),
            Some(staged) => &staged.schema,
        }
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        match self.with_parquet(&self.parquet.with_batch_size(batch_size)) {
            Ok(source) => source,
            Err(_) => Arc::new(self.clone()),
        }
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        match &self.stage {
            Some(staged) if staged.hidden => staged.predicate.clone(),
            _ => self.parquet.filter(),
        }
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        match &self.stage {
            None => self.parquet.projection(),
            Some(staged) => Some(&staged.projection),
        }
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.parquet.metrics()
    }

    fn file_type(&self) -> &str {
        "parquet"
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parquet.fmt_extra(kind, f)?;
        let predicate = self.stage.as_ref().and_then(|staged| staged.predicate.as_ref());
        match (kind, predicate) {
            (DisplayFormatType::TreeRender, _) | (_, None) => Ok(()),
            (_, Some(predicate)) => write!(f, ", predicate={predicate}"),
        }
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> EngineResult<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        if let Some(staged) = self.stage.as_ref().filter(|staged| staged.hidden) {
            let answers = vec![PushedDown::No; filters.len()];
            let predicate = conjunction(staged.predicate.iter().cloned().chain(filters));
            let stage = Some(StagedScan { predicate: Some(predicate), ..staged.clone() });
            let source: Arc<dyn FileSource> = Arc::new(TableSource { stage, ..self.clone() });
            return Ok(
                FilterPushdownPropagation::with_parent_pushdown_result(answers).with_updated_node(source)
            );
        }
        let schema = Arc::clone(self.parquet.table_schema().table_schema());
        let nested: Vec<bool> = filters.iter().map(|filter| is_on_nested(filter, &schema)).collect();
        let pushed = self.parquet.try_pushdown_filters(filters, config)?;
        // The reader drops a filter on a nested column silently when the column has evolved since the file.
        let answers = pushed.filters.into_iter().zip(nested);
        let filters = answers.map(|(answer, nested)| if nested { PushedDown::No } else { answer }).collect();
        let updated_node = match pushed.updated_node {
            Some(parquet) => Some(self.with_parquet(&parquet)?),
            None => None,
        };
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    /// A stage counts rows as the file has them, so that no other order will do.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> EngineResult<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        if self.stage.is_some() {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        Ok(match self.parquet.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => {
                SortOrderPushdownResult::Exact { inner: self.in_order(&inner)? }
            }
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: self.in_order(&inner)? }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.parquet.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> EngineResult<Option<Arc<dyn FileSource>>> {
        let Some(staged) = &self.stage else {
            let pushed = self.parquet.try_pushdown_projection(projection)?;
            return pushed.map(|parquet| self.with_parquet(&parquet)).transpose();
        };
        let projection = staged.projection.try_merge(projection)?;
        let stage = Some(StagedScan { projection, ..staged.clone() });
        Ok(Some(Arc::new(TableSource { stage, ..self.clone() })))
    }
}

fn is_on_nested(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let is_nested = |name: &str| {
        let field = schema.field_with_name(name);
        field.is_ok_and(|field: &arrow::datatypes::Field| DataType::is_nested(field.data_type()))
    };
    collect_columns(filter).iter().any(|column| is_nested(column.name()))
}
