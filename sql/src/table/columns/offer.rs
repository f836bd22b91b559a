//! Whether the columns that a scan wants of a file come from memory or go there, or whether the Parquet reader has less
//! to do. It must never decode a value. Next: `group.rs`, which does.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    ParquetAccessPlan, RowGroupAccess, apply_file_schema_type_coercions,
};
use datafusion::datasource::physical_plan::{ParquetFileReaderFactory, ParquetSource};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::projection::Projector;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_datasource::file::FileSource;
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;

use super::cache::{Chunk, ChunkKey, ColumnCache};
use super::group::GroupMorsel;
use crate::table::evolve::Defaults;
use crate::table::footer::TableFile;
use crate::table::rows::RowPruning;

type EngineResult<T> = datafusion::common::Result<T>;

/// What a scan is that may be served from memory.
pub(crate) struct Scan {
    pub cache: Arc<ColumnCache>,
    pub readers: Arc<dyn ParquetFileReaderFactory>,
    pub adapters: Arc<dyn PhysicalExprAdapterFactory>,
    /// The initial defaults of fields that are younger than a file.
    pub defaults: Arc<Defaults>,
    /// The field ids of the table's columns.
    pub ids: Arc<[i32]>,
    /// Tells the names that columns are read under from others of the same table.
    pub names: String,
    pub partition: usize,
    pub metrics: ExecutionPlanMetricsSet,
}

/// A column that is read.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Its place in the table.
    place: usize,
    id: i32,
    shape: u64,
}

impl Wanted {
    fn of(place: usize, known: &Schema, scan: &Scan) -> Option<Wanted> {
        let field = known.fields().get(place)?;
        let mut hasher = DefaultHasher::new();
        field.data_type().hash(&mut hasher);
        // A field inside the column may be younger than a file.
        if field.data_type().is_nested() {
            scan.defaults.fields.iter().collect::<BTreeMap<_, _>>().hash(&mut hasher);
        }
        Some(Wanted { place, id: *scan.ids.get(place)?, shape: hasher.finish() })
    }

    fn key(&self, file: &Arc<str>, group: usize) -> ChunkKey {
        ChunkKey { file: Arc::clone(file), group, column: self.id, shape: self.shape }
    }
}

/// The columns that one partition of a scan reads, the same for all its files.
pub(crate) struct ColumnReading {
    pub(super) scan: Scan,
    /// All of the table's columns.
    known: SchemaRef,
    wanted: Vec<Wanted>,
    pub(super) schema: SchemaRef,
    pub(super) projector: Projector,
    pruning: Option<RowPruning>,
}

impl fmt::Debug for ColumnReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnReading").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl ColumnReading {
    /// The same columns as `parquet` reads. Nothing, when it reads none or some of them have no field id.
    pub fn new(parquet: &ParquetSource, scan: Scan) -> EngineResult<Option<ColumnReading>> {
        // A reader that filters rows by itself answers for more than is kept.
        if parquet.table_parquet_options().global.pushdown_filters {
            return Ok(None);
        }
        let Some(projection) = parquet.projection() else { return Ok(None) };
        let known = Arc::clone(parquet.table_schema().file_schema());
        let mut places = projection.column_indices();
        places.sort_unstable();
        places.dedup();
        let wanted = places.iter().map(|place| Wanted::of(*place, &known, &scan));
        let wanted: Option<Vec<Wanted>> = wanted.collect();
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(None) };
        let schema = Arc::new(known.project(&places)?);
        let projection = projection.clone().try_map_exprs(|expr| reassign_expr_columns(expr, &schema))?;
        let projector = projection.make_projector(&schema)?;
        let pruning = parquet.filter().and_then(|predicate| {
            let (adapters, metrics) = (Arc::clone(&scan.adapters), scan.metrics.clone());
            RowPruning::new(&predicate, Arc::clone(&known), adapters, scan.partition, metrics)
        });
        Ok(Some(ColumnReading { scan, known, wanted, schema, projector, pruning }))
    }

    /// Reads the rows of `plan` here, if all that is to be read is in memory or worth keeping.
    pub fn offer(
        self: &Arc<Self>,
        plan: ParquetAccessPlan,
        footer: &Arc<ParquetMetaData>,
        file: &PartitionedFile,
        about: &Arc<TableFile>,
    ) -> EngineResult<Option<Box<dyn MorselPlanner>>> {
        let columns = footer.file_metadata().schema_descr().columns();
        // The times of old files come in a form of their own.
        if columns.iter().any(|column| column.physical_type() == PhysicalType::INT96) {
            return Ok(None);
        }
        let file_columns = self.columns_of(footer, about)?;
        let key: Arc<str> = Arc::from(format!("{}\n{}", about.url(), self.scan.names));
        let groups = plan.row_group_indexes();
        let found: Vec<GroupColumns> =
            groups.iter().map(|group| self.find(&key, *group, &file_columns)).collect();
        if !found.iter().any(|group| group.missing == 0 || group.hot) {
            return Ok(None);
        }
        let pruned = match &self.pruning {
            Some(pruning) => pruning.prune(plan.clone(), footer, file, about)?,
            None => plan.clone(),
        };
        let mut morsels: Vec<Box<dyn Morsel>> = Vec::new();
        let columns = Arc::new(file_columns);
        for found in found {
            let (before, after) = (&plan.inner()[found.group], &pruned.inner()[found.group]);
            if *after == RowGroupAccess::Skip {
                continue;
            }
            let rows = columns.rows_of(found.group)?;
            // Of a small part of the pages the reader decodes much less than is to be kept; but again and again.
            let most = before == after || rows_read(after, rows) >= rows / 2 || found.hot_in_parts;
            if found.missing > 0 && !(found.hot && most) {
                return Ok(None);
            }
            let (access, file) = (after.clone(), file.clone());
            let (reading, columns, key) = (Arc::clone(self), Arc::clone(&columns), Arc::clone(&key));
            morsels.push(Box::new(GroupMorsel { reading, columns, key, found, access, file }));
        }
        Ok(Some(Box::new(Served { morsels })))
    }

    /// Where each wanted column of a file comes from.
    fn columns_of(&self, footer: &Arc<ParquetMetaData>, about: &TableFile) -> EngineResult<FileColumns> {
        let file = footer.file_metadata();
        let mut physical = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        if let Some(coerced) = apply_file_schema_type_coercions(&self.known, &physical) {
            physical = coerced;
        }
        let physical = Arc::new(physical);
        let adapter = self.scan.adapters.create(Arc::clone(&self.known), Arc::clone(&physical))?;
        let mut sources = Vec::with_capacity(self.wanted.len());
        for Wanted { place, .. } in &self.wanted {
            let constant = about.constants.iter().find(|(constant, _)| constant == place);
            if let Some((_, value)) = constant {
                sources.push(Source::Constant(value.cast_to(self.known.field(*place).data_type())?));
                continue;
            }
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(Column::new(self.known.field(*place).name(), *place));
            let adapted = adapter.rewrite(column)?;
            sources.push(match adapted.downcast_ref::<Literal>() {
                Some(literal) => Source::Constant(literal.value().clone()),
                None => Source::File(adapted),
            });
        }
        let options = ArrowReaderOptions::new().with_schema(Arc::clone(&physical));
        Ok(FileColumns { sources, footer: Arc::clone(footer), options })
    }

    fn find(&self, key: &Arc<str>, group: usize, columns: &FileColumns) -> GroupColumns {
        let (mut chunks, mut missing) = (Vec::with_capacity(self.wanted.len()), 0);
        let (mut hot, mut hot_in_parts) = (true, true);
        for (wanted, source) in self.wanted.iter().zip(&columns.sources) {
            if matches!(source, Source::Constant(_)) {
                chunks.push(None);
                continue;
            }
            let known = self.scan.cache.use_chunk(&wanted.key(key, group));
            if known.chunk.is_none() {
                missing += 1;
                hot &= known.hot;
                hot_in_parts &= known.hot_in_parts;
            }
            chunks.push(known.chunk);
        }
        GroupColumns { group, chunks, missing, hot, hot_in_parts }
    }

    pub(super) fn key(&self, file: &Arc<str>, group: usize, column: usize) -> Option<ChunkKey> {
        Some(self.wanted.get(column)?.key(file, group))
    }
}

fn rows_read(access: &RowGroupAccess, rows: usize) -> usize {
    match access {
        RowGroupAccess::Skip => 0,
        RowGroupAccess::Scan => rows,
        RowGroupAccess::Selection(selection) => selection.row_count(),
    }
}

/// Where a column of a file comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is the same in every row.
    Constant(ScalarValue),
    /// This expression over the file's columns.
    File(Arc<dyn PhysicalExpr>),
}

/// The wanted columns of a file.
#[derive(Debug)]
pub(super) struct FileColumns {
    pub sources: Vec<Source>,
    footer: Arc<ParquetMetaData>,
    options: ArrowReaderOptions,
}

impl FileColumns {
    pub fn rows_of(&self, group: usize) -> EngineResult<usize> {
        let rows = self.footer.row_groups().get(group).map(|group| group.num_rows());
        let rows = rows.and_then(|rows| usize::try_from(rows).ok());
        rows.ok_or_else(|| DataFusionError::Internal("a file has no such row group".to_owned()))
    }

    pub fn metadata(&self) -> EngineResult<ArrowReaderMetadata> {
        Ok(ArrowReaderMetadata::try_new(Arc::clone(&self.footer), self.options.clone())?)
    }
}

/// What is in memory of one row group.
#[derive(Debug)]
pub(super) struct GroupColumns {
    pub group: usize,
    /// By wanted column; a constant has none.
    pub chunks: Vec<Option<Arc<Chunk>>>,
    /// The number of columns that are not in memory.
    pub missing: usize,
    /// Whether those are used often enough to be kept.
    pub hot: bool,
    /// Whether they are even if each use is of a small part.
    pub hot_in_parts: bool,
}

/// The row groups of a file that are read here.
#[derive(Debug)]
struct Served {
    morsels: Vec<Box<dyn Morsel>>,
}

impl MorselPlanner for Served {
    fn plan(self: Box<Self>) -> EngineResult<Option<MorselPlan>> {
        if self.morsels.is_empty() {
            return Ok(None);
        }
        Ok(Some(MorselPlan::new().with_morsels(self.morsels)))
    }
}
