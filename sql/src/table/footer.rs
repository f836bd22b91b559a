//! Opens data files for DataFusion's Parquet source and remembers their footers, page index included. DataFusion's own
//! cache knows a file by its path alone and confuses two buckets (trap T9); this one goes by the full URL.
//! It must never read a row. Next: `scan.rs`, which hands it to the source.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReader;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use roaring::RoaringTreemap;
use tarn_catalog::iceberg::{FileDeletes, LiveFile};
use tarn_catalog::storage::Storage;

use super::morsel::foreign_file;
use super::naming::FieldNames;
use crate::error::Error;
use crate::sqlstate::SqlState;

/// What a scan attaches to each file for its reader.
#[derive(Debug)]
pub(crate) struct TableFile {
    pub live: LiveFile,
    /// Field ids of the floating-point columns that may hold NaN in this file. Parquet's statistics leave NaN out
    /// while SQL sorts it after every number, so pruning by them would lose its rows.
    pub may_hold_nan: HashSet<i32>,
    pub deletes: FileDeletes,
    /// Positions that the scan leaves out although the table has them.
    pub without: Option<Arc<RoaringTreemap>>,
    /// Columns with the same value in every row, by their places in the table's schema: identity partitions. They need
    /// not be in the file.
    pub constants: Vec<(usize, ScalarValue)>,
    /// The partition values as JSON, when the scan hands out hidden columns.
    pub partition: Option<String>,
}

impl TableFile {
    pub fn url(&self) -> &str {
        self.live.file.file_path()
    }

    pub fn has_deletes(&self) -> bool {
        !self.deletes.is_empty() || self.without.is_some()
    }
}

/// Makes readers that share one cache of footers.
#[derive(Debug)]
pub(crate) struct FooterCachingReaders {
    pub store: Arc<dyn ObjectStore>,
    /// Holds the cache of decoded files.
    pub storage: Arc<Storage>,
    pub names: Arc<FieldNames>,
}

impl ParquetFileReaderFactory for FooterCachingReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let file = partitioned_file.extensions.get_arc::<TableFile>().ok_or_else(foreign_file)?;
        let location = partitioned_file.object_meta.location.clone();
        let file_metrics = ParquetFileMetrics::new(partition_index, location.as_ref(), metrics);
        let size = partitioned_file.object_meta.size;
        let mut inner = ParquetObjectReader::new(Arc::clone(&self.store), location).with_file_size(size);
        if let Some(hint) = metadata_size_hint {
            inner = inner.with_footer_size_hint(hint.min(usize::try_from(size).unwrap_or(usize::MAX)));
        }
        let inner = ParquetFileReader { file_metrics, inner, partitioned_file };
        let (storage, names) = (Arc::clone(&self.storage), Arc::clone(&self.names));
        Ok(Box::new(FooterCachingReader { inner, file, storage, names }))
    }
}

struct FooterCachingReader {
    inner: ParquetFileReader,
    file: Arc<TableFile>,
    storage: Arc<Storage>,
    names: Arc<FieldNames>,
}

impl AsyncFileReader for FooterCachingReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let file = Arc::clone(&self.file);
        let bytes = self.inner.get_bytes(range);
        async move { bytes.await.map_err(|error| named(&file, error)) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let file = Arc::clone(&self.file);
        let bytes = self.inner.get_byte_ranges(ranges);
        async move { bytes.await.map_err(|error| named(&file, error)) }.boxed()
    }

    /// The page index is always read with the footer, which it lies next to: mostly one request fetches both.
    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let cache = self.storage.decoded();
            let url = self.file.url();
            let key = format!("footer of {url} under {}", self.names.key);
            if let Some(footer) = cache.get::<ParquetMetaData>(&key) {
                return Ok(footer);
            }
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let footer = self.inner.get_metadata(Some(&options)).await;
            let footer = footer.map_err(|error| named(&self.file, error))?;
            check_rows(&self.file, &footer)?;
            let footer = self.names.apply(footer, url).map_err(external)?;
            let footer = without_statistics(footer, &self.file.may_hold_nan)?;
            cache.insert(key, Arc::clone(&footer), footer.memory_size());
            Ok(footer)
        }
        .boxed()
    }
}

/// A file that was swapped for another tells itself by its number of rows.
fn check_rows(file: &TableFile, footer: &ParquetMetaData) -> parquet::errors::Result<()> {
    let (found, expected) = (footer.file_metadata().num_rows(), file.live.file.record_count());
    if u64::try_from(found) == Ok(expected) {
        return Ok(());
    }
    let text = format!("a data file has {found} rows, and the table's metadata says {expected}");
    let error = Error::new(SqlState::DATA_CORRUPTED, text)
        .with_detail(format!("The data file is {}.", file.url()))
        .with_hint("It is not the file that was committed. Restore it, or roll the table back.");
    Err(external(error))
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// An error that says which file it is about, and whether its bytes or the way to them are at fault.
fn named(file: &TableFile, error: ParquetError) -> ParquetError {
    let error = match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => Error::from(tarn_catalog::Error::from(*error)),
            Err(source) => Error::new(SqlState::IO_ERROR, source.to_string()),
        },
        damaged => Error::new(SqlState::DATA_CORRUPTED, format!("a data file is damaged: {damaged}")),
    };
    external(error.with_detail(format!("The data file is {}.", file.url())))
}

/// The footer without the statistics of the given fields.
fn without_statistics(
    footer: Arc<ParquetMetaData>,
    fields: &HashSet<i32>,
) -> parquet::errors::Result<Arc<ParquetMetaData>> {
    let schema = footer.file_metadata().schema_descr_ptr();
    let leaf_of = |leaf: &usize| {
        let info = schema.column(*leaf).self_type().get_basic_info().clone();
        info.has_id() && fields.contains(&info.id())
    };
    let leaves: Vec<usize> = (0..schema.num_columns()).filter(leaf_of).collect();
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
            group[*leaf] = ColumnIndexMetaData::NONE;
        }
    }
    Ok(Arc::new(builder.set_row_groups(groups).set_column_index(pages).build()))
}
