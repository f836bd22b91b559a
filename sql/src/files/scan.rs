//! Files as a table of DataFusion: which files a query reads, in how many parts, and the columns that come from the
//! names of folders. The files were listed when the statement was planned. It can only be read; it must never list.
//! Next: `source.rs` for text, `parquet.rs` for Parquet.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectStore;
use tarn_catalog::storage::Storage;

use super::footer::Footers;
use super::listing::{FoundFile, Listing};
use super::name;
use super::parquet::NamingSource;
use super::problem::Problem;
use super::source::{ShownName, TextReading, TextSource};
use super::values;
use crate::error::Result;
use crate::table::hidden;

type EngineResult<T> = datafusion::error::Result<T>;

/// How the files of a table are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    Parquet,
    Text(TextReading),
}

/// The columns that have their values from where a file lies, besides those that folders name themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct FolderColumns<'a> {
    /// Those of folders named for dates.
    pub dates: &'a [String],
    /// The hidden column for the name of the file.
    pub file: bool,
}

/// Listed files of one format and one schema.
pub struct FilesTable {
    schema: SchemaRef,
    /// The same columns in the order the scan has them: those of the files, then those of the folders' names.
    table_schema: TableSchema,
    /// For each column of `schema`, its place in `table_schema`.
    places: Vec<usize>,
    reading: Reading,
    files: Vec<PartitionedFile>,
    store: Arc<dyn ObjectStore>,
    store_url: String,
    storage: Arc<Storage>,
}

impl std::fmt::Debug for FilesTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesTable")
            .field("reading", &self.reading)
            .field("files", &self.files.len())
            .finish()
    }
}

impl FilesTable {
    /// A table over listed files. A column that folders are named for (`year=2024`) has its value from there.
    pub fn new(
        schema: SchemaRef,
        reading: Reading,
        listing: Listing,
        storage: &Arc<Storage>,
        of_place: FolderColumns<'_>,
    ) -> Result<FilesTable> {
        let keys = listing.files.iter().flat_map(partitions).map(|(key, _)| key);
        let dates = of_place.dates.iter().map(String::as_str);
        let keys: HashSet<&str> = keys.chain(dates).chain(of_place.file.then_some(hidden::FILE)).collect();
        let (of_folders, of_files): (Vec<usize>, Vec<usize>) =
            (0..schema.fields().len()).partition(|index| keys.contains(schema.field(*index).name().as_str()));
        let field = |index: &usize| Arc::clone(&schema.fields()[*index]);
        let file_schema = Schema::new(of_files.iter().map(field).collect::<Vec<FieldRef>>());
        let folder_fields: Vec<FieldRef> = of_folders.iter().map(field).collect();
        let mut places = vec![0; schema.fields().len()];
        for (place, index) in of_files.iter().chain(&of_folders).enumerate() {
            places[*index] = place;
        }
        let files = listing.files.iter().map(|file| partitioned_file(file, &folder_fields, of_place));
        Ok(FilesTable {
            files: files.collect::<Result<Vec<_>>>()?,
            table_schema: TableSchema::new(Arc::new(file_schema), folder_fields),
            places,
            schema,
            reading,
            store: listing.store,
            store_url: listing.store_url,
            storage: Arc::clone(storage),
        })
    }

    fn source(&self, state: &dyn Session) -> Arc<dyn FileSource> {
        match &self.reading {
            Reading::Text(reading) => Arc::new(TextSource::new(reading.clone(), self.table_schema.clone())),
            Reading::Parquet => {
                let mut global = state.config_options().execution.parquet.clone();
                // Spark and Hive wrote 96-bit timestamps; in nanoseconds they would not reach before 1677.
                global.coerce_int96 = Some("us".to_owned());
                let options = TableParquetOptions { global, ..TableParquetOptions::default() };
                let source = ParquetSource::new(self.table_schema.clone())
                    .with_table_parquet_options(options)
                    .with_parquet_file_reader_factory(Arc::new(self.footers()));
                NamingSource::around(Arc::new(source))
            }
        }
    }

    fn footers(&self) -> Footers {
        Footers {
            store: Arc::clone(&self.store),
            storage: Arc::clone(&self.storage),
            store_url: self.store_url.clone(),
        }
    }

    /// What is known of all files together, for the optimizer.
    fn summary(&self, files: &[PartitionedFile]) -> EngineResult<Statistics> {
        let schema = self.table_schema.table_schema();
        if files.iter().any(|file| file.statistics.is_none()) {
            return Ok(Statistics::new_unknown(schema));
        }
        Statistics::try_merge_iter(files.iter().filter_map(|file| file.statistics.as_deref()), schema)
    }

    /// The files that filters on folder names leave.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<PartitionedFile>> {
        let fields = self.table_schema.table_partition_cols();
        let on_folders = |filter: &&Expr| {
            let columns = filter.column_refs();
            !columns.is_empty()
                && columns.iter().all(|column| fields.iter().any(|f| *f.name() == column.name))
        };
        let filters: Vec<&Expr> = filters.iter().filter(on_folders).collect();
        if filters.is_empty() || self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let schema = Arc::new(Schema::new(fields.clone()));
        let column = |index: usize| {
            ScalarValue::iter_to_array(self.files.iter().map(|file| file.partition_values[index].clone()))
        };
        let columns = (0..fields.len()).map(column).collect::<EngineResult<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.files.len()));
        let values = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
        let schema = DFSchema::try_from(schema)?;
        let mut keep = vec![true; self.files.len()];
        for filter in filters {
            let filter = state.create_physical_expr(filter.clone(), &schema)?;
            let verdict = filter.evaluate(&values)?.into_array(self.files.len())?;
            if let Some(verdict) = verdict.as_any().downcast_ref::<BooleanArray>() {
                keep.iter_mut().zip(verdict).for_each(|(keep, verdict)| *keep &= verdict == Some(true));
            }
        }
        Ok(self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect())
    }
}

#[async_trait]
impl TableProvider for FilesTable {
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
        let mut files = self.pruned(state, filters)?;
        if files.is_empty() {
            let schema = datafusion::physical_plan::project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        if self.reading == Reading::Parquet {
            files = self.footers().with_statistics(files, self.table_schema.file_schema()).await;
        }
        let statistics = self.summary(&files)?;
        let indices = match projection {
            Some(wanted) => wanted.iter().map(|index| self.places[*index]).collect(),
            None => self.places.clone(),
        };
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(&self.store_url)?, self.source(state))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(indices))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Filters leave out files and row groups, never single rows, so DataFusion filters again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The `key=value` folders above a file.
fn partitions(file: &FoundFile) -> impl Iterator<Item = (&str, Option<String>)> {
    file.folders().filter_map(name::partition)
}

fn partitioned_file(
    file: &FoundFile,
    fields: &[FieldRef],
    of_place: FolderColumns<'_>,
) -> Result<PartitionedFile> {
    let dates = name::date_values(file.folders());
    let value = |field: &FieldRef| {
        if of_place.file && field.name() == hidden::FILE {
            return Ok(ScalarValue::from(file.shown()));
        }
        let text =
            partitions(file).filter(|(key, _)| key == field.name()).last().and_then(|(_, value)| value);
        let of_date = || dates.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value.clone());
        match text.or_else(|| of_place.dates.contains(field.name()).then(of_date).flatten()) {
            None => ScalarValue::try_new_null(field.data_type()).map_err(|error| error.to_string()),
            Some(text) => partition_value(&text, field.data_type()),
        }
        .map_err(|reason| {
            let reason = format!("the folder's value of column \"{}\" does not fit: {reason}", field.name());
            Problem::misfit(reason).of_file(file.shown())
        })
    };
    let values = fields.iter().map(value).collect::<Result<Vec<_>>>()?;
    Ok(PartitionedFile::new_from_meta(file.meta.clone())
        .with_partition_values(values)
        .with_extension(ShownName(file.shown().to_owned())))
}

/// The value that the name of a folder gives a column.
fn partition_value(text: &str, data_type: &DataType) -> std::result::Result<ScalarValue, String> {
    let misfit = || format!("\"{text}\"");
    match data_type {
        DataType::Int64 => values::long(text).map(|value| ScalarValue::Int64(Some(value))).ok_or_else(misfit),
        DataType::Date32 => {
            values::date(text).map(|value| ScalarValue::Date32(Some(value))).ok_or_else(misfit)
        }
        other => ScalarValue::try_from_string(text.to_owned(), other).map_err(|error| error.to_string()),
    }
}
