//! Opens data files for DataFusion's Parquet source and remembers their footers, page index included. DataFusion's own
//! cache knows a file by its path alone and confuses two buckets (trap T9); this one goes by the full URL.
//! It must never read a row. Next: `scan.rs`, which hands it to the source.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::DataFusionError;
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
use tarn_catalog::storage::Storage;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// What a scan attaches to each file for its reader.
#[derive(Debug)]
pub(crate) struct TableFile {
    pub url: String,
    /// Field ids of the floating-point columns that may hold NaN in this file. Parquet's statistics leave NaN out
    /// while SQL sorts it after every number, so pruning by them would lose its rows.
    pub may_hold_nan: HashSet<i32>,
}

/// Makes readers that share one cache of footers.
#[derive(Debug)]
pub(crate) struct FooterCachingReaders {
    pub store: Arc<dyn ObjectStore>,
    /// Holds the cache of decoded files.
    pub storage: Arc<Storage>,
}

impl ParquetFileReaderFactory for FooterCachingReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let file = partitioned_file.extensions.get_arc::<TableFile>().ok_or_else(|| {
            DataFusionError::Internal("a table scan has a file that is not the table's".into())
        })?;
        let location = partitioned_file.object_meta.location.clone();
        let file_metrics = ParquetFileMetrics::new(partition_index, location.as_ref(), metrics);
        let size = partitioned_file.object_meta.size;
        let mut inner = ParquetObjectReader::new(Arc::clone(&self.store), location).with_file_size(size);
        if let Some(hint) = metadata_size_hint {
            inner = inner.with_footer_size_hint(hint.min(usize::try_from(size).unwrap_or(usize::MAX)));
        }
        let inner = ParquetFileReader { file_metrics, inner, partitioned_file };
        Ok(Box::new(FooterCachingReader { inner, file, storage: Arc::clone(&self.storage) }))
    }
}

struct FooterCachingReader {
    inner: ParquetFileReader,
    file: Arc<TableFile>,
    storage: Arc<Storage>,
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
            if let Some(footer) = self.storage.decoded().get::<ParquetMetaData>(&self.file.url) {
                return Ok(footer);
            }
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let footer = self.inner.get_metadata(Some(&options)).await;
            let footer = without_statistics(
                footer.map_err(|error| named(&self.file, error))?,
                &self.file.may_hold_nan,
            )?;
            self.storage.decoded().insert(self.file.url.clone(), Arc::clone(&footer), footer.memory_size());
            Ok(footer)
        }
        .boxed()
    }
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
    ParquetError::External(Box::new(error.with_detail(format!("The data file is {}.", file.url))))
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
