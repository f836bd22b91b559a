//! Delimited text and JSON as a DataFusion file source. Ours rather than DataFusion's own because theirs match the
//! columns of delimited text by position, accept an array that is cut off, and do not say which file is broken.
//! It opens files and projects columns; it must never list a folder or choose a type. Next: `scan.rs`.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExprs;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::csv::{self, CsvReading};
use super::feed::Feed;
use super::json;
use super::name::compression_of;
use super::problem::{Problem, carried};

/// Rows per batch when the session does not say.
const BATCH_ROWS: usize = 8192;

/// How the text files of one table are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextReading {
    Csv(CsvReading),
    Json { keyed: bool },
}

/// Text files as a source of rows.
#[derive(Debug, Clone)]
pub struct TextSource {
    reading: TextReading,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    pub fn new(reading: TextReading, table_schema: TableSchema) -> TextSource {
        TextSource {
            reading,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_rows: BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let table = self.table_schema.file_schema();
        let wanted = Arc::new(table.project(&self.projection.file_indices)?);
        let opener = TextOpener {
            reading: self.reading.clone(),
            table: Arc::clone(table),
            wanted,
            batch_rows: self.batch_rows,
            store,
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), table)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(TextSource { batch_rows: batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(TextSource { projection, ..self.clone() })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.reading {
            TextReading::Csv(_) => "csv",
            TextReading::Json { .. } => "json",
        }
    }

    /// A quoted line end looks like any other, so a file cannot be cut at a byte; files are read side by side.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn fmt_extra(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reading {
            TextReading::Csv(reading) => {
                let delimiter = char::from(reading.dialect.delimiter);
                write!(f, ", delimiter={delimiter:?}, header={}", reading.header)
            }
            TextReading::Json { keyed } => write!(f, ", keyed={keyed}"),
        }
    }
}

struct TextOpener {
    reading: TextReading,
    /// All columns that the table's files may have.
    table: SchemaRef,
    /// The columns to read.
    wanted: SchemaRef,
    batch_rows: usize,
    store: Arc<dyn ObjectStore>,
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let (reading, batch_rows) = (self.reading.clone(), self.batch_rows);
        let (table, wanted) = (Arc::clone(&self.table), Arc::clone(&self.wanted));
        let store = Arc::clone(&self.store);
        let name = file_name(&file);
        Ok(async move {
            let path = file.object_meta.location;
            let in_file = |problem: Problem| carried(problem.of_file(&name));
            let feed = Feed::open(&store, &path, compression_of(path.as_ref())).await.map_err(&in_file)?;
            let rows = match reading {
                TextReading::Csv(reading) => csv::rows(feed, reading, table, wanted, batch_rows),
                TextReading::Json { keyed } => json::rows(feed, keyed, wanted, batch_rows),
            };
            let name = name.clone();
            Ok(rows.map_err(move |problem| carried(problem.of_file(&name))).boxed())
        }
        .boxed())
    }
}

/// The name of a file as the user would write it; the listing left it with the file.
pub struct ShownName(pub String);

pub fn file_name(file: &PartitionedFile) -> String {
    match file.extension::<ShownName>() {
        Some(name) => name.0.clone(),
        None => file.object_meta.location.to_string(),
    }
}
