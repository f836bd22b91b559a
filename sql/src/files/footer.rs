//! The footers of Parquet files that are not ours: read once as long as a file does not change, and turned into what
//! the optimizer may believe. It must never read a row. Next: `scan.rs`.
//!
//! Two things differ from our own tables' files. They can be replaced under the same name, so a footer is remembered
//! with the file's size, age and tag. And nobody counted the NaNs in them: Parquet's bounds leave NaN out while SQL
//! sorts it after every number, so bounds of floating-point columns are forgotten and never prune.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReader;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use tarn_catalog::storage::Storage;

/// Footers read side by side.
const FOOTERS_AT_ONCE: usize = 16;
/// With more files, planning would take longer than the statistics save.
const FILES_WITH_STATISTICS_MAX: usize = 2000;

/// Makes readers that share the storage's cache of decoded files.
#[derive(Debug)]
pub struct Footers {
    pub store: Arc<dyn ObjectStore>,
    pub storage: Arc<Storage>,
    /// The store's name, which is part of what tells two files apart.
    pub store_url: String,
}

impl Footers {
    /// What a footer is remembered under.
    fn key(&self, meta: &ObjectMeta) -> String {
        let tag = meta.e_tag.as_deref().unwrap_or_default();
        let age = meta.last_modified.timestamp_micros();
        format!("external {}/{} {} {age} {tag}", self.store_url, meta.location, meta.size)
    }

    fn reader(&self, meta: &ObjectMeta) -> ParquetObjectReader {
        ParquetObjectReader::new(Arc::clone(&self.store), meta.location.clone()).with_file_size(meta.size)
    }

    async fn footer(
        &self,
        meta: &ObjectMeta,
        reader: &mut impl AsyncFileReader,
    ) -> parquet::errors::Result<Arc<ParquetMetaData>> {
        let key = self.key(meta);
        if let Some(footer) = self.storage.decoded().get::<ParquetMetaData>(&key) {
            return Ok(footer);
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = without_floating_bounds(reader.get_metadata(Some(&options)).await?)?;
        self.storage.decoded().insert(key, Arc::clone(&footer), footer.memory_size());
        Ok(footer)
    }

    /// The files with what their footers say of them. A footer that cannot be read says nothing here: the scan will
    /// say what is wrong with the file, if the query needs it at all.
    pub async fn with_statistics(
        &self,
        files: Vec<PartitionedFile>,
        schema: &SchemaRef,
    ) -> Vec<PartitionedFile> {
        if files.len() > FILES_WITH_STATISTICS_MAX {
            return files;
        }
        let with_statistics = |file: PartitionedFile| async move {
            let mut reader = self.reader(&file.object_meta);
            match self.footer(&file.object_meta, &mut reader).await.map(|footer| statistics(&footer, schema))
            {
                Ok(Some(statistics)) => file.with_statistics(Arc::new(statistics)),
                Ok(None) | Err(_) => file,
            }
        };
        futures::stream::iter(files).map(with_statistics).buffered(FOOTERS_AT_ONCE).collect().await
    }
}

/// What a footer says, over the columns of the table's files. The number of rows is exact. Bounds are estimates:
/// many writers cut them short. Columns whose type in the file is another than the table's have none.
fn statistics(footer: &ParquetMetaData, schema: &SchemaRef) -> Option<Statistics> {
    let file = footer.file_metadata();
    let found = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()).ok()?;
    let same = |index: &usize| {
        let field = schema.field(*index);
        found.field_with_name(field.name()).is_ok_and(|found| found.data_type() == field.data_type())
    };
    let positions: Vec<usize> = (0..schema.fields().len()).filter(same).collect();
    let fields: Vec<_> = positions.iter().map(|index| Arc::clone(&schema.fields()[*index])).collect();
    let known =
        DFParquetMetadata::statistics_from_parquet_metadata(footer, &Arc::new(Schema::new(fields))).ok()?;
    let mut statistics = Statistics::new_unknown(schema);
    for (position, column) in positions.into_iter().zip(known.column_statistics) {
        statistics.column_statistics[position] = column.to_inexact();
    }
    statistics.num_rows = Precision::Exact(usize::try_from(file.num_rows()).ok()?);
    statistics.total_byte_size = known.total_byte_size.to_inexact();
    Some(statistics)
}

impl ParquetFileReaderFactory for Footers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        let meta = file.object_meta.clone();
        let file_metrics = ParquetFileMetrics::new(partition, meta.location.as_ref(), metrics);
        let mut inner = self.reader(&meta);
        if let Some(hint) = metadata_size_hint {
            inner = inner.with_footer_size_hint(hint.min(usize::try_from(meta.size).unwrap_or(usize::MAX)));
        }
        let footers = Footers {
            store: Arc::clone(&self.store),
            storage: Arc::clone(&self.storage),
            store_url: self.store_url.clone(),
        };
        let inner = ParquetFileReader { file_metrics, inner, partitioned_file: file };
        Ok(Box::new(FooterReader { inner, meta, footers }))
    }
}

struct FooterReader {
    inner: ParquetFileReader,
    meta: ObjectMeta,
    footers: Footers,
}

impl AsyncFileReader for FooterReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move { self.footers.footer(&self.meta, &mut self.inner).await }.boxed()
    }
}

/// The footer without the bounds of floating-point columns.
fn without_floating_bounds(footer: Arc<ParquetMetaData>) -> parquet::errors::Result<Arc<ParquetMetaData>> {
    let schema = footer.file_metadata().schema_descr_ptr();
    let floating = |leaf: &usize| {
        let column = schema.column(*leaf);
        matches!(column.physical_type(), PhysicalType::FLOAT | PhysicalType::DOUBLE)
            || column.logical_type_ref() == Some(&LogicalType::Float16)
    };
    let leaves: Vec<usize> = (0..schema.num_columns()).filter(floating).collect();
    if leaves.is_empty() {
        return Ok(footer);
    }
    let mut builder = Arc::unwrap_or_clone(footer).into_builder();
    let mut groups = builder.take_row_groups();
    for group in &mut groups {
        for leaf in &leaves {
            let column = group.column(*leaf).clone();
            group.columns_mut()[*leaf] = column.into_builder().clear_statistics().build()?;
        }
    }
    let mut pages = builder.take_column_index();
    for group in pages.iter_mut().flatten() {
        for leaf in &leaves {
            if let Some(index) = group.get_mut(*leaf) {
                *index = ColumnIndexMetaData::NONE;
            }
        }
    }
    Ok(Arc::new(builder.set_row_groups(groups).set_column_index(pages).build()))
}
