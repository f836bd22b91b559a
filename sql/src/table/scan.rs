//! An Iceberg table as DataFusion sees it: which files a query reads, in how many parts, and what the optimizer may
//! believe about them. The reading itself is DataFusion's own Parquet source. It must never change a table: the hooks
//! for that are refused here (trap T1). Next: `prune.rs`, `statistics.rs`, `footer.rs`.
//!
//! ```text
//! snapshot -> live files -> refuse what we cannot read -> prune -> limit -> guard -> groups -> DataSourceExec
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Cast, Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use iceberg::spec::{
    DataFile, DataFileFormat, Literal, PartitionField, PrimitiveType, Schema as TableColumns, TableMetadata,
    Transform,
};
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use roaring::RoaringTreemap;
use tarn_catalog::iceberg::{
    Declared, DeleteIndex, FileDeletes, LiveFile, SnapshotManifests, TableState, partition_type,
    snapshot_manifests,
};
use tarn_catalog::storage::Storage;

use super::bounds::{BoundColumn, primitive};
use super::choose::{Choice, pruning};
use super::columns::ColumnCache;
use super::equality::EqualityDeletes;
use super::evolve::{Defaults, Evolution};
use super::footer::{FooterCachingReaders, TableFile};
use super::hidden::{self, Hidden};
use super::morsel::foreign_file;
use super::naming::{FieldNames, name_of_foreign};
use super::order::{Groups, group};
use super::prune::SpecifiedFile;
use super::relation::relation_statistics;
use super::schema::{arrow_schema, arrow_type, scan_schema, with_types};
use super::source::{TableScan, TableSource};
use super::stage::stored_id;
use super::statistics::{LiveRows, WantedColumn, file_statistics};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

type EngineResult<T> = datafusion::common::Result<T>;

/// One state of an Iceberg table, to be read.
#[derive(Debug)]
pub struct IcebergTable {
    state: TableState,
    storage: Arc<Storage>,
    /// What a scan hands out: the table's columns, and after them the hidden ones if it was asked for those.
    schema: SchemaRef,
    /// The table's own columns of plain types, in which files are pruned: DataFusion's pruning knows LIKE on those
    /// only, and the Iceberg crate hashes nothing else.
    plain: SchemaRef,
    /// The id of each of the table's own columns, in the schema's order.
    ids: Vec<i32>,
    /// The columns that have bounds, by name.
    bounded: HashMap<String, BoundColumn>,
    names: Arc<FieldNames>,
    defaults: Arc<Defaults>,
    hidden: Vec<Hidden>,
    /// The only data files that are read, by URL.
    only: Option<HashSet<String>>,
    /// Data files that are not read, by URL.
    pub(super) except: HashSet<String>,
    /// Rows that are left out in addition to the deleted ones.
    without: BTreeMap<String, Arc<RoaringTreemap>>,
    /// What joins are ordered by, once somebody has asked for it.
    relation: OnceLock<Statistics>,
}

impl IcebergTable {
    pub fn new(state: TableState, storage: Arc<Storage>) -> Result<IcebergTable> {
        let iceberg = &state.schema;
        let plain = arrow_schema(iceberg)?;
        let types = Declared::of(&state.version.metadata).types;
        let schema = with_types(scan_schema(iceberg)?, iceberg, &types);
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
        let names = Arc::new(FieldNames::new(&state.version.metadata, iceberg)?);
        let defaults = defaults(iceberg)?;
        let (hidden, only, without) = (Vec::new(), None, BTreeMap::new());
        Ok(IcebergTable {
            state,
            storage,
            schema,
            plain,
            ids,
            bounded,
            names,
            defaults,
            hidden,
            only,
            except: HashSet::new(),
            without,
            relation: OnceLock::new(),
        })
    }

    /// Finds out what joins are ordered by. A table of which it cannot be found out goes without: reading it will
    /// say why.
    pub(super) async fn load_statistics(&self) {
        if self.relation.get().is_some() {
            return;
        }
        match relation_statistics(&self.state, &self.storage, &self.schema, &self.bounded).await {
            // Another part of the same statement may have been first.
            Ok(Some(statistics)) => drop(self.relation.set(statistics)),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a table has no statistics"),
        }
    }

    /// The same table with the hidden columns (`hidden.rs`) after its own.
    ///
    /// # Errors
    ///
    /// 0A000 when the table has a column of its own with such a name.
    pub fn with_row_columns(self) -> Result<IcebergTable> {
        self.with_hidden(&hidden::NAMES)
    }

    /// The same table with these of the hidden columns after its own.
    pub fn with_hidden(mut self, names: &[&str]) -> Result<IcebergTable> {
        if let Some(taken) = names.iter().find(|name| self.plain.index_of(name).is_ok()) {
            let text = format!("column \"{taken}\" has the name of a column that every row has by itself");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                .with_hint("Rename the column with ALTER TABLE … RENAME COLUMN."));
        }
        self.hidden = names.iter().filter_map(|name| Hidden::of_name(name)).collect();
        let own = self.schema.fields().iter().take(self.ids.len()).cloned();
        let hidden = self.hidden.iter().map(|hidden| FieldRef::new(hidden.field()));
        self.schema = Arc::new(Schema::new(own.chain(hidden).collect::<Vec<FieldRef>>()));
        Ok(self)
    }

    /// The same table as if it had these data files alone.
    pub fn only_files(mut self, urls: impl IntoIterator<Item = String>) -> IcebergTable {
        self.only = Some(urls.into_iter().collect());
        self
    }

    /// The same table as if these rows, by the URL of their data file, were deleted too.
    pub fn without_rows(mut self, rows: BTreeMap<String, Arc<RoaringTreemap>>) -> IcebergTable {
        self.without = rows;
        self
    }

    /// The columns in which files are pruned, and their bounds.
    pub(super) fn pruning(&self) -> (&SchemaRef, &HashMap<String, BoundColumn>) {
        (&self.plain, &self.bounded)
    }

    /// The URLs of the data files that may hold a row for which all filters are true.
    pub async fn files_matching(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<String>> {
        let predicates = self.predicates(state, filters).map_err(crate::plan::engine_error)?;
        let (files, _) = self.files(predicates, &[]).await?;
        Ok(files.iter().map(|file| file.file().file_path().to_owned()).collect())
    }

    /// The data files that may hold a row for which a condition is true, with the figures of some columns, and what
    /// deletes rows of them.
    pub(super) async fn matching(
        &self,
        condition: Arc<dyn PhysicalExpr>,
        wanted: &[WantedColumn],
    ) -> Result<(Vec<SpecifiedFile>, Arc<DeleteIndex>)> {
        self.files(pruning(vec![condition], &self.plain), wanted).await
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(super) fn metadata(&self) -> &TableMetadata {
        &self.state.version.metadata
    }

    /// The data files of the state's snapshot in which the filters may be true for some row, and what deletes rows of
    /// them.
    async fn files(
        &self,
        predicates: Vec<PruningPredicate>,
        wanted: &[WantedColumn],
    ) -> Result<(Vec<SpecifiedFile>, Arc<DeleteIndex>)> {
        let Some(snapshot) = self.state.snapshot_id else {
            return Ok((Vec::new(), Arc::default()));
        };
        let SnapshotManifests { data, deletes } =
            snapshot_manifests(&self.storage, self.metadata(), snapshot).await?;
        let choice = Choice {
            storage: &self.storage,
            metadata: self.metadata(),
            columns: &self.state.schema,
            bounded: &self.bounded,
            predicates,
            only: self.only.as_ref(),
            except: &self.except,
            described: wanted.iter().map(|column| column.id).collect(),
        };
        let files = choice.files(data).await?.into_iter().map(|live| self.specified(live));
        Ok((files.collect::<Result<_>>()?, deletes))
    }

    fn specified(&self, live: LiveFile) -> Result<SpecifiedFile> {
        let file = &live.file;
        if file.file_format() != DataFileFormat::Parquet {
            return Err(Error::unsupported(format!("reading data files in {} format", file.file_format())));
        }
        let missing =
            || Error::internal(format!("data file {} has partition spec {}", file.file_path(), live.spec_id));
        let spec = Arc::clone(self.metadata().partition_spec_by_id(live.spec_id).ok_or_else(missing)?);
        Ok(SpecifiedFile { live, spec })
    }

    /// The filters as far as they can leave files out. One that only a later operator can evaluate, a subquery for
    /// example, leaves every file in.
    fn predicates(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<PruningPredicate>> {
        let schema = DFSchema::try_from(Arc::clone(&self.plain))?;
        let mut predicates = Vec::new();
        for filter in filters {
            predicates.extend(state.create_physical_expr(without_views(filter.clone())?, &schema).ok());
        }
        Ok(pruning(predicates, &self.plain))
    }

    /// The places of the columns that a query reads.
    fn read_columns(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        projection.cloned().unwrap_or_else(|| (0..self.ids.len()).collect())
    }

    /// The columns a query reads, for their statistics.
    fn wanted(&self, projection: Option<&Vec<usize>>) -> Vec<WantedColumn> {
        self.read_columns(projection).into_iter().filter_map(|position| self.described(position)).collect()
    }

    /// The column at a place, for its statistics.
    pub(super) fn described(&self, position: usize) -> Option<WantedColumn> {
        let field = self.schema.fields().get(position)?;
        let arrow = field.data_type().clone();
        let bounds = self.bounded.get(field.name()).map(|bounds| BoundColumn { arrow, ..bounds.clone() });
        Some(WantedColumn { position, id: *self.ids.get(position)?, bounds })
    }

    /// The file as DataFusion opens it, after the guard has let it through.
    fn admit(
        &self,
        file: SpecifiedFile,
        deletes: FileDeletes,
        wanted: &[WantedColumn],
    ) -> Result<AdmittedFile> {
        let data = file.file();
        let checked = self.storage.guard().table_file(self.metadata().location(), data.file_path())?;
        let (store, location) = self.storage.resolve(&checked)?;
        let last_modified = chrono::DateTime::UNIX_EPOCH;
        let size = data.file_size_in_bytes();
        let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
        let without = self.without.get(data.file_path()).cloned();
        let rows = if without.is_some() { LiveRows::AtMost } else { LiveRows::of(data, &deletes) };
        let statistics = file_statistics(data, &self.schema, wanted, rows);
        let extension = TableFile {
            may_hold_nan: self.may_hold_nan(data),
            constants: self.constants(&file),
            partition: self.hidden.contains(&Hidden::Partition).then(|| self.partition_text(&file)).flatten(),
            deletes,
            without,
            live: file.live,
        };
        let about = Arc::new(extension);
        let mut file = PartitionedFile::new_from_meta(meta).with_statistics(Arc::new(statistics));
        file.extensions.insert_arc(Arc::clone(&about));
        Ok(AdmittedFile { file, about, store, store_url: self.storage.store_url(&checked) })
    }

    /// The columns that the file is partitioned by as they are, with their value in it. Floating-point numbers stay out:
    /// zeros of both signs may share a partition.
    fn constants(&self, file: &SpecifiedFile) -> Vec<(usize, ScalarValue)> {
        let fields = file.spec.fields().iter().zip(file.file().partition().iter());
        let identity = fields.filter(|(field, _)| field.transform == Transform::Identity);
        let constant = |(field, value): (&PartitionField, Option<&Literal>)| {
            let place = self.ids.iter().position(|id| *id == field.source_id)?;
            let own = self.schema.field(place);
            let column = self.bounded.get(own.name())?;
            if matches!(column.iceberg, PrimitiveType::Float | PrimitiveType::Double) {
                return None;
            }
            let column = BoundColumn { arrow: own.data_type().clone(), ..column.clone() };
            let value = match value {
                None => ScalarValue::try_new_null(own.data_type()).ok()?,
                Some(Literal::Primitive(value)) => column.scalar(value)?,
                Some(_) => return None,
            };
            Some((place, value))
        };
        identity.filter_map(constant).collect()
    }

    /// The partition values by the names of the spec's fields, as JSON.
    fn partition_text(&self, file: &SpecifiedFile) -> Option<String> {
        let types = partition_type(self.metadata(), &self.state.schema, &file.spec).ok()?;
        let mut object = serde_json::Map::new();
        for (field, value) in types.fields().iter().zip(file.file().partition().iter()) {
            let json = match value {
                Some(value) => value.clone().try_into_json(&field.field_type).ok()?,
                None => serde_json::Value::Null,
            };
            object.insert(field.name.clone(), json);
        }
        Some(serde_json::Value::Object(object).to_string())
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
        let source = self.source(state, &files)?;
        let statistics = self.summary(&files)?;
        let files = files.into_iter().map(|admitted| admitted.file).collect();
        let options = state.config_options();
        let parts = (options.execution.target_partitions, options.optimizer.repartition_file_min_size);
        let read = self.read_columns(projection);
        let Groups { groups, order } = group(files, self.metadata(), &self.schema, &self.ids, &read, parts);
        let config = FileScanConfigBuilder::new(store_url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            // A partition that comes in order reads its own files and no others. Asking for the order to be kept is not
            // enough: DataFusion's rule for limits takes that back.
            .with_partitioned_by_file_group(order.is_some())
            .with_output_ordering(order.into_iter().collect())
            .with_expr_adapter(Some(Arc::new(Evolution { defaults: Arc::clone(&self.defaults) })))
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// What reads the files: straight from Parquet, or through a stage if one of them has equality deletes or hidden
    /// columns are handed out.
    fn source(&self, state: &dyn Session, files: &[AdmittedFile]) -> EngineResult<TableSource> {
        let deletes = files.iter().flat_map(|admitted| &admitted.about.deletes.equality);
        let equality = EqualityDeletes::new(&self.storage, self.metadata(), &self.state.schema, deletes);
        let equality = Arc::new(equality.map_err(engine_error)?);
        let store = files.first().map(|first| Arc::clone(&first.store)).ok_or_else(foreign_file)?;
        let (storage, names) = (Arc::clone(&self.storage), Arc::clone(&self.names));
        let readers: Arc<dyn ParquetFileReaderFactory> =
            Arc::new(FooterCachingReaders { store, storage, names });
        let scan = Arc::new(TableScan {
            storage: Arc::clone(&self.storage),
            metadata: Arc::clone(&self.state.version.metadata),
            readers: Arc::clone(&readers),
            adapters: Arc::new(Evolution { defaults: Arc::clone(&self.defaults) }),
            equality: Arc::clone(&equality),
            columns: columns_of(state),
            defaults: Arc::clone(&self.defaults),
            ids: Arc::from(self.ids.as_slice()),
            names: self.names.key.clone(),
        });
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        // Iceberg's times have microseconds; the nanoseconds of old files would not reach as far.
        options.global.coerce_int96 = Some("us".to_owned());
        let hint = options.global.metadata_size_hint;
        let staged = !self.hidden.is_empty() || !equality.is_empty();
        let mut parquet =
            ParquetSource::new(if staged { self.read(&equality) } else { Arc::clone(&self.schema) })
                .with_table_parquet_options(options)
                .with_parquet_file_reader_factory(readers);
        if let Some(hint) = hint {
            parquet = parquet.with_metadata_size_hint(hint);
        }
        if !staged {
            return Ok(TableSource::straight(parquet, scan));
        }
        let schema = TableSchema::from_file_schema(Arc::clone(&self.schema));
        Ok(TableSource::staged(parquet, schema, !self.hidden.is_empty(), scan))
    }

    /// What a scan with a stage may read: the table's columns, those hidden ones that files may hold, and what equality
    /// deletes compare although it was dropped.
    fn read(&self, equality: &EqualityDeletes) -> SchemaRef {
        let own = self.schema.fields().iter().take(self.ids.len()).cloned();
        let stored = self.hidden.iter().filter_map(|hidden| stored_id(*hidden)).map(|id| {
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
            Arc::new(Field::new(name_of_foreign(id), DataType::Int64, true).with_metadata(metadata))
        });
        Arc::new(Schema::new(own.chain(stored).chain(equality.dropped()).collect::<Vec<FieldRef>>()))
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

    fn statistics(&self) -> Option<Statistics> {
        self.relation.get().cloned()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let wanted = self.wanted(projection);
        let predicates = self.predicates(state, filters)?;
        let (mut files, deletes) = self.files(predicates, &wanted).await.map_err(engine_error)?;
        if let (Some(limit), true) = (limit, filters.is_empty() && self.without.is_empty()) {
            keep_enough(&mut files, &deletes, limit);
        }
        let admitted = files.into_iter().map(|file| {
            let deletes = deletes.of(&file.live);
            self.admit(file, deletes, &wanted)
        });
        self.plan(state, admitted.collect::<Result<_>>().map_err(engine_error)?, projection, limit)
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
pub(super) fn without_views(expression: Expr) -> EngineResult<Expr> {
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

/// The columns in memory, unless the session reads without them.
fn columns_of(state: &dyn Session) -> Option<Arc<ColumnCache>> {
    state.config().get_extension::<ColumnCache>().filter(|columns| !columns.is_off())
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
    about: Arc<TableFile>,
    store: Arc<dyn ObjectStore>,
    store_url: String,
}

/// The initial defaults of all fields.
fn defaults(schema: &TableColumns) -> Result<Arc<Defaults>> {
    let mut defaults = Defaults::default();
    for (id, field) in schema.field_id_to_fields() {
        let (Some(Literal::Primitive(value)), Some(iceberg)) =
            (&field.initial_default, primitive(&field.field_type))
        else {
            continue;
        };
        let column = BoundColumn { id: *id, iceberg, arrow: arrow_type(&field.field_type)? };
        defaults.fields.extend(column.scalar(value).map(|value| (*id, value)));
    }
    let columns = schema.as_struct().fields().iter();
    let named =
        columns.filter_map(|column| Some((column.name.clone(), defaults.fields.get(&column.id)?.clone())));
    defaults.columns = named.collect();
    Ok(Arc::new(defaults))
}

/// Drops the files after those whose rows are enough for a limit.
fn keep_enough(files: &mut Vec<SpecifiedFile>, deletes: &DeleteIndex, limit: usize) {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut rows = 0u64;
    files.retain(|file| {
        let wanted = rows < limit;
        let live = LiveRows::of(file.file(), &deletes.of(&file.live));
        rows = rows.saturating_add(live.at_least(file.file()));
        wanted
    });
}
