//! An Iceberg table as DataFusion sees it: which files a query reads, in how many parts, and what the optimizer may
//! believe about them. The reading itself is DataFusion's own Parquet source. It must never change a table: the hooks
//! for that are refused here (trap T1). Next: `prune.rs`, `statistics.rs`, `footer.rs`.
//!
//! ```text
//! snapshot -> live files -> refuse what we cannot read -> prune -> limit -> guard -> groups -> DataSourceExec
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Cast, Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, PrimitiveType, TableMetadata};
use object_store::{ObjectMeta, ObjectStore};
use tarn_catalog::iceberg::{TableState, live_files};
use tarn_catalog::storage::Storage;

use super::bounds::{BoundColumn, primitive};
use super::footer::{FooterCachingReaders, TableFile};
use super::prune::{SpecifiedFile, may_match};
use super::schema::{arrow_schema, scan_schema};
use super::statistics::{WantedColumn, file_statistics};
use crate::error::{Error, Result};

type EngineResult<T> = datafusion::common::Result<T>;

/// One state of an Iceberg table, to be read.
#[derive(Debug)]
pub struct IcebergTable {
    state: TableState,
    storage: Arc<Storage>,
    /// What a scan hands out.
    schema: SchemaRef,
    /// The same columns of plain types, in which files are pruned: DataFusion's pruning knows LIKE on those only, and
    /// the Iceberg crate hashes nothing else.
    plain: SchemaRef,
    /// The id of each column, in the schema's order.
    ids: Vec<i32>,
    /// The columns that have bounds, by name.
    bounded: HashMap<String, BoundColumn>,
}

impl IcebergTable {
    pub fn new(state: TableState, storage: Arc<Storage>) -> Result<IcebergTable> {
        let iceberg = &state.schema;
        let plain = arrow_schema(iceberg)?;
        let schema = scan_schema(iceberg)?;
        let fields = iceberg.as_struct().fields();
        let ids = fields.iter().map(|field| field.id).collect();
        let bounded = fields.iter().zip(plain.fields()).filter_map(|(field, arrow)| {
            let iceberg = primitive(&field.field_type)?;
            Some((
                field.name.clone(),
                BoundColumn { id: field.id, iceberg, arrow: arrow.data_type().clone() },
            ))
        });
        let bounded = bounded.collect();
        Ok(IcebergTable { state, storage, schema, plain, ids, bounded })
    }

    fn metadata(&self) -> &TableMetadata {
        &self.state.version.metadata
    }

    /// The data files of the state's snapshot.
    async fn files(&self) -> Result<Vec<SpecifiedFile>> {
        let Some(snapshot) = self.state.snapshot_id else {
            return Ok(Vec::new());
        };
        let live = live_files(&self.storage, self.metadata(), snapshot).await?;
        live.into_iter().map(|live| self.specified(live.file, live.spec_id)).collect()
    }

    fn specified(&self, file: Arc<DataFile>, spec: i32) -> Result<SpecifiedFile> {
        if file.content_type() != DataContentType::Data {
            return Err(Error::unsupported("reading a table with delete files"));
        }
        if file.file_format() != DataFileFormat::Parquet {
            return Err(Error::unsupported(format!("reading data files in {} format", file.file_format())));
        }
        let missing = || Error::internal(format!("data file {} has partition spec {spec}", file.file_path()));
        let spec = Arc::clone(self.metadata().partition_spec_by_id(spec).ok_or_else(missing)?);
        Ok(SpecifiedFile { file, spec })
    }

    /// Leaves out the files in which one of `filters` is true for no row. A filter that only a later operator can
    /// evaluate, a subquery for example, leaves every file in.
    fn prune(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        files: &mut Vec<SpecifiedFile>,
    ) -> EngineResult<()> {
        let schema = DFSchema::try_from(Arc::clone(&self.plain))?;
        for filter in filters {
            let Ok(predicate) = state.create_physical_expr(without_views(filter.clone())?, &schema) else {
                continue;
            };
            let mut kept = may_match(&predicate, &self.plain, &self.bounded, files).into_iter();
            files.retain(|_| kept.next().unwrap_or(true));
        }
        Ok(())
    }

    /// The columns a query reads, for their statistics.
    fn wanted(&self, projection: Option<&Vec<usize>>) -> Vec<WantedColumn> {
        let positions: Vec<usize> = match projection {
            Some(positions) => positions.clone(),
            None => (0..self.ids.len()).collect(),
        };
        let column = |position: usize| {
            let field = self.schema.fields().get(position)?;
            let arrow = field.data_type().clone();
            let bounds = self.bounded.get(field.name()).map(|bounds| BoundColumn { arrow, ..bounds.clone() });
            Some(WantedColumn { position, id: *self.ids.get(position)?, bounds })
        };
        positions.into_iter().filter_map(column).collect()
    }

    /// The file as DataFusion opens it, after the guard has let it through.
    fn admit(&self, file: &SpecifiedFile, wanted: &[WantedColumn]) -> Result<AdmittedFile> {
        let url = file.file.file_path();
        let checked = self.storage.guard().table_file(self.metadata().location(), url)?;
        let (store, location) = self.storage.resolve(&checked)?;
        let last_modified = chrono::DateTime::UNIX_EPOCH;
        let size = file.file.file_size_in_bytes();
        let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
        let statistics = file_statistics(&file.file, &self.schema, wanted);
        let extension = TableFile { url: url.to_owned(), may_hold_nan: self.may_hold_nan(&file.file) };
        let file = PartitionedFile::new_from_meta(meta)
            .with_statistics(Arc::new(statistics))
            .with_extension(extension);
        Ok(AdmittedFile { file, store, store_url: self.storage.store_url(&checked) })
    }

    /// Every floating-point field, nested ones too, that is not known to be without NaN in this file.
    fn may_hold_nan(&self, file: &DataFile) -> HashSet<i32> {
        let fields = self.state.schema.field_id_to_fields();
        let floating = |data_type| matches!(data_type, Some(PrimitiveType::Float | PrimitiveType::Double));
        fields
            .values()
            .filter(|field| floating(primitive(&field.field_type)))
            .map(|field| field.id)
            .filter(|id| file.nan_value_counts().get(id).copied() != Some(0))
            .collect()
    }

    /// The plan that reads `files`.
    fn plan(
        &self,
        state: &dyn Session,
        files: Vec<AdmittedFile>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Some(first) = files.first() else {
            let schema = datafusion::physical_plan::project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        };
        let store_url = ObjectStoreUrl::parse(&first.store_url)?;
        let readers =
            FooterCachingReaders { store: Arc::clone(&first.store), storage: Arc::clone(&self.storage) };
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options.clone())
            .with_parquet_file_reader_factory(Arc::new(readers));
        if let Some(hint) = options.global.metadata_size_hint {
            source = source.with_metadata_size_hint(hint);
        }
        let statistics = self.summary(&files)?;
        let groups = balance(files, state.config().target_partitions());
        let config = FileScanConfigBuilder::new(store_url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn summary(&self, files: &[AdmittedFile]) -> EngineResult<Statistics> {
        let statistics = files.iter().filter_map(|admitted| admitted.file.statistics.as_deref());
        Statistics::try_merge_iter(statistics, &self.schema)
    }
}

#[async_trait]
impl TableProvider for IcebergTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut files = self.files().await.map_err(engine_error)?;
        self.prune(state, filters, &mut files)?;
        if let (Some(limit), true) = (limit, filters.is_empty()) {
            keep_enough(&mut files, limit);
        }
        let wanted = self.wanted(projection);
        let admitted = files.iter().map(|file| self.admit(file, &wanted)).collect::<Result<Vec<_>>>();
        self.plan(state, admitted.map_err(engine_error)?, projection, limit)
    }

    /// Files and row groups are left out by a filter, single rows are not, so DataFusion filters again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        _input: Arc<dyn ExecutionPlan>,
        _operation: InsertOp,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(refused("INSERT"))
    }

    /// DataFusion loses a subquery's predicate on its way here, and no predicate means every row (trap T1).
    async fn delete_from(
        &self,
        _state: &dyn Session,
        _filters: Vec<Expr>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(refused("DELETE"))
    }

    async fn update(
        &self,
        _state: &dyn Session,
        _assignments: Vec<(String, Expr)>,
        _filters: Vec<Expr>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(refused("UPDATE"))
    }

    async fn truncate(&self, _state: &dyn Session) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Err(refused("TRUNCATE"))
    }
}

/// The same expression over plain text and bytes.
fn without_views(expression: Expr) -> EngineResult<Expr> {
    let plain = |expression: Expr| match expression {
        Expr::Literal(ScalarValue::Utf8View(text), metadata) => {
            Transformed::yes(Expr::Literal(ScalarValue::Utf8(text), metadata))
        }
        Expr::Literal(ScalarValue::BinaryView(bytes), metadata) => {
            Transformed::yes(Expr::Literal(ScalarValue::Binary(bytes), metadata))
        }
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Utf8View => {
            Transformed::yes(Expr::Cast(Cast::new(cast.expr, DataType::Utf8)))
        }
        Expr::Cast(cast) if *cast.field.data_type() == DataType::BinaryView => {
            Transformed::yes(Expr::Cast(Cast::new(cast.expr, DataType::Binary)))
        }
        other => Transformed::no(other),
    };
    expression.transform(|expression| Ok(plain(expression))).data()
}

/// Writes are planned by us; one that arrives here has gone around that.
fn refused(statement: &str) -> DataFusionError {
    engine_error(Error::internal(format!("{statement} was planned by the query engine itself")))
}

/// Our error in DataFusion's, to be taken out again where the statement ends.
fn engine_error(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A data file that the guard let through.
struct AdmittedFile {
    file: PartitionedFile,
    store: Arc<dyn ObjectStore>,
    store_url: String,
}

/// Drops the files after those whose rows are enough for a limit. Manifests count rows exactly.
fn keep_enough(files: &mut Vec<SpecifiedFile>, limit: usize) {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut rows = 0u64;
    files.retain(|file| {
        let wanted = rows < limit;
        rows = rows.saturating_add(file.file.record_count());
        wanted
    });
}

/// At most `count` groups of about equal bytes; within a group the files stay in the snapshot's order. DataFusion
/// splits the big ones further, by row groups.
fn balance(files: Vec<AdmittedFile>, count: usize) -> Vec<FileGroup> {
    let count = count.clamp(1, files.len().max(1));
    let mut by_size: Vec<(usize, u64)> =
        files.iter().map(|admitted| admitted.file.object_meta.size).enumerate().collect();
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut bytes = vec![0u64; count];
    let mut group_of = vec![0usize; files.len()];
    for (file, size) in by_size {
        let lightest = (0..count).min_by_key(|group| bytes[*group]).unwrap_or(0);
        bytes[lightest] = bytes[lightest].saturating_add(size);
        group_of[file] = lightest;
    }
    let mut groups: Vec<Vec<PartitionedFile>> = (0..count).map(|_| Vec::new()).collect();
    for (admitted, group) in files.into_iter().zip(group_of) {
        groups[group].push(admitted.file);
    }
    groups.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect()
}
