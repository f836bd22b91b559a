//! Writes one Parquet file of a table: batches in, the file's description for its manifest out. Encoded row groups are
//! handed to the object store as they are finished, so a file needs the memory of one row group. It must never decide
//! which rows go into the file. Next: `fanout.rs` and `clustered.rs`, which do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use iceberg::spec::{DataFile, Struct, TableMetadata};
use object_store::buffered::BufWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use tarn_catalog::WriteId;
use tarn_catalog::iceberg::metrics::Collector;
use tarn_catalog::iceberg::{FileFacts, describe_file};
use tarn_catalog::storage::Storage;
use tokio::io::AsyncWriteExt;

use super::hidden;
use super::progress::WriteProgress;
use super::properties::{FileProperties, parquet_schema};
use super::row_group::{RowGroupEncoder, encode_error};
use super::schema::arrow_schema;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The field ids of row lineage, as the specification has them.
const ROW_ID_FIELD: i32 = 2_147_483_540;
const LAST_UPDATED_FIELD: i32 = 2_147_483_539;

/// Counts the writes of this process: a statement may write several times under one id, and no two of its files may have
/// one name.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// What all files of one write have in common.
pub(crate) struct FileTarget {
    pub metadata: TableMetadata,
    pub schema: SchemaRef,
    pub properties: FileProperties,
    pub storage: Arc<Storage>,
    pub progress: WriteProgress,
    pub write: WriteId,
    /// How many tasks encode one file.
    pub lanes: usize,
    /// The order that the rows of every file are in.
    pub sort_order_id: Option<i32>,
    /// Part of the name of every file, beside the id.
    turn: u64,
    parquet: SchemaDescriptor,
    /// Every file that was begun, for the case that the write fails.
    begun: parking_lot::Mutex<Vec<String>>,
}

impl FileTarget {
    pub fn new(
        metadata: &TableMetadata,
        write: WriteId,
        storage: Arc<Storage>,
        progress: WriteProgress,
    ) -> Result<FileTarget> {
        let schema = arrow_schema(metadata.current_schema())?;
        let parquet = parquet_schema(metadata.current_schema(), &schema)?;
        let properties = FileProperties::new(metadata.properties())?;
        let begun = parking_lot::Mutex::default();
        Ok(FileTarget {
            metadata: metadata.clone(),
            schema,
            properties,
            storage,
            progress,
            write,
            lanes: 1,
            sort_order_id: None,
            turn: WRITES.fetch_add(1, Ordering::Relaxed),
            parquet,
            begun,
        })
    }

    /// The files also have each row's id and the sequence number of its last change.
    pub fn with_lineage(mut self) -> Result<FileTarget> {
        let known = [(hidden::ROW_ID, ROW_ID_FIELD), (hidden::LAST_UPDATED, LAST_UPDATED_FIELD)];
        let mut fields: Vec<FieldRef> = self.schema.fields().iter().map(Arc::clone).collect();
        for (name, id) in known {
            let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
            fields.push(Arc::new(Field::new(name, DataType::Int64, true).with_metadata(id)));
        }
        self.schema = Arc::new(Schema::new(fields));
        self.parquet = parquet_schema(self.metadata.current_schema(), &self.schema)?;
        Ok(self)
    }

    /// The columns of a batch that the table declares: the others have no metrics.
    fn declared(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let count = self.metadata.current_schema().as_struct().fields().len();
        if batch.num_columns() == count {
            return Ok(batch.clone());
        }
        let columns: Vec<usize> = (0..count).collect();
        batch.project(&columns).map_err(|error| Error::internal(error.to_string()))
    }

    /// Deletes every file of the write. A file that cannot be deleted now is left to the sweep at the next start,
    /// which knows the write's id.
    pub async fn discard(&self) {
        let begun = std::mem::take(&mut *self.begun.lock());
        for url in begun {
            let deleted = match self.storage.guard().table_file(self.metadata.location(), &url) {
                Ok(checked) => self.storage.delete(&checked).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(%url, %error, "a file of a failed write is left behind");
            }
        }
    }
}

/// Begins the files of one writer, each under a name of its own.
#[derive(Clone)]
pub(crate) struct FileNames {
    target: Arc<FileTarget>,
    writer: usize,
    begun: usize,
}

impl FileNames {
    pub fn new(target: Arc<FileTarget>, writer: usize) -> FileNames {
        FileNames { target, writer, begun: 0 }
    }

    /// Bytes that a file should have.
    pub fn target_file_bytes(&self) -> usize {
        self.target.properties.target_file_bytes
    }

    /// Begins a file of a partition, in a folder below the table's data folder.
    pub fn begin(&mut self, folder: Option<&str>, partition: Struct) -> Result<DataFileWriter> {
        let (number, writer, turn, write) = (self.begun, self.writer, self.target.turn, self.target.write);
        self.begun += 1;
        let name = format!("{number:05}-{writer}-{turn}-{write}.parquet");
        let name = match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name,
        };
        DataFileWriter::begin(&self.target, &name, partition)
    }
}

/// A Parquet file being written.
pub(crate) struct DataFileWriter {
    target: Arc<FileTarget>,
    url: String,
    partition: Struct,
    file: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    group: Option<RowGroupEncoder>,
    upload: BufWriter,
    collector: Collector,
    uploaded: usize,
    rows: u64,
}

impl DataFileWriter {
    /// Begins a file at `name` below the table's data folder.
    fn begin(target: &Arc<FileTarget>, name: &str, partition: Struct) -> Result<DataFileWriter> {
        let location = target.metadata.location();
        let url = format!("{location}/data/{name}");
        let checked = target.storage.guard().table_file(location, &url)?;
        let (store, path) = target.storage.resolve(&checked)?;
        target.begun.lock().push(url.clone());
        let options = ArrowWriterOptions::new()
            .with_properties(target.properties.parquet.clone())
            .with_parquet_schema(target.parquet.clone());
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&target.schema), options);
        let (file, groups) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(encode_error)?;
        Ok(DataFileWriter {
            target: Arc::clone(target),
            url,
            partition,
            file,
            groups,
            group: None,
            upload: BufWriter::new(store, path),
            collector: Collector::with_properties(
                target.metadata.current_schema(),
                target.metadata.properties(),
            ),
            uploaded: 0,
            rows: 0,
        })
    }

    /// Bytes of the file so far, the ones still being encoded included.
    pub fn bytes(&self) -> usize {
        self.uploaded + self.buffered()
    }

    /// Bytes the file holds in memory.
    pub fn buffered(&self) -> usize {
        self.file.inner().len() + self.group.as_ref().map_or(0, RowGroupEncoder::bytes)
    }

    /// Adds rows in the table's schema.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.collector.observe(&self.target.declared(batch)?)?;
        self.rows += batch.num_rows() as u64;
        let rows_max = self.target.properties.row_group_rows;
        let mut start = 0;
        while start < batch.num_rows() {
            let group = match &mut self.group {
                Some(group) => group,
                None => self.group.insert(new_group(&self.target, &self.file, &self.groups)?),
            };
            let count = (rows_max - group.rows().min(rows_max)).clamp(1, batch.num_rows() - start);
            group.write(&batch.slice(start, count)).await?;
            start += count;
            if group.rows() >= rows_max || group.bytes() >= self.target.properties.row_group_bytes {
                self.finish_group().await?;
            }
        }
        Ok(())
    }

    /// Ends the row group that is being encoded and hands its bytes to the object store.
    pub async fn finish_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let chunks = group.finish().await?;
        let mut row_group = self.file.next_row_group().map_err(encode_error)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group).map_err(encode_error)?;
        }
        row_group.close().map_err(encode_error)?;
        self.upload_encoded().await
    }

    async fn upload_encoded(&mut self) -> Result<()> {
        let encoded = std::mem::take(self.file.inner_mut());
        self.uploaded += encoded.len();
        self.target.progress.add_bytes(encoded.len());
        self.upload.put(Bytes::from(encoded)).await.map_err(|error| tarn_catalog::Error::from(error).into())
    }

    /// Ends the file; once this returns, the object store has it.
    pub async fn finish(mut self) -> Result<DataFile> {
        let footer = match self.finish_all().await {
            Ok(footer) => footer,
            Err(error) => {
                self.abort().await;
                return Err(error);
            }
        };
        self.upload.shutdown().await.map_err(upload_error)?;
        self.target.progress.add_file();
        let facts = FileFacts {
            location: self.url,
            bytes: self.uploaded as u64,
            rows: self.rows,
            partition: self.partition,
            metrics: self.collector.finish()?,
            column_bytes: column_bytes(&footer),
            split_offsets: split_offsets(&footer),
            sort_order_id: self.target.sort_order_id,
        };
        Ok(describe_file(&self.target.metadata, facts)?)
    }

    async fn finish_all(&mut self) -> Result<ParquetMetaData> {
        self.finish_group().await?;
        let footer = self.file.finish().map_err(encode_error)?;
        self.upload_encoded().await?;
        Ok(footer)
    }

    /// Gives the file up. What an upload has left at the object store is taken back.
    pub async fn abort(mut self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(url = %self.url, %error, "an upload could not be taken back");
        }
    }
}

fn new_group(
    target: &FileTarget,
    file: &SerializedFileWriter<Vec<u8>>,
    groups: &ArrowRowGroupWriterFactory,
) -> Result<RowGroupEncoder> {
    let number = file.flushed_row_groups().len();
    let columns = groups.create_column_writers(number).map_err(encode_error)?;
    Ok(RowGroupEncoder::new(&target.schema, columns, target.lanes))
}

/// The uploader speaks of files as the operating system does and keeps the object store's own error inside.
fn upload_error(error: std::io::Error) -> Error {
    match error.downcast::<object_store::Error>() {
        Ok(error) => tarn_catalog::Error::from(error).into(),
        Err(error) => Error::new(SqlState::IO_ERROR, format!("a data file cannot be written: {error}")),
    }
}

/// Compressed bytes by field id.
fn column_bytes(footer: &ParquetMetaData) -> HashMap<i32, u64> {
    let mut bytes = HashMap::new();
    for column in footer.row_groups().iter().flat_map(|group| group.columns()) {
        let info = column.column_descr().self_type().get_basic_info().clone();
        if info.has_id() {
            *bytes.entry(info.id()).or_insert(0) += u64::try_from(column.compressed_size()).unwrap_or(0);
        }
    }
    bytes
}

/// Where each row group begins.
fn split_offsets(footer: &ParquetMetaData) -> Vec<i64> {
    let begin = |column: &parquet::file::metadata::ColumnChunkMetaData| column.byte_range().0;
    let groups = footer.row_groups().iter();
    groups.filter_map(|group| i64::try_from(group.columns().iter().map(begin).min()?).ok()).collect()
}
