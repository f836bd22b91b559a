//! The rows of a `COPY … TO` as one Parquet file.

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

use super::transfer::FileSink;
use crate::error::{Error, Result};
use crate::outcome::Rows;
use crate::sqlstate::SqlState;

/// Compressed bytes of a row group, about.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Writes all rows; their count. Nothing is left of a file that fails.
pub(crate) async fn write_parquet(schema: &SchemaRef, rows: Rows, mut sink: FileSink) -> Result<u64> {
    match fill(schema, rows, &mut sink).await {
        Ok(count) => sink.finish().await.map(|()| count),
        Err(error) => {
            sink.abandon().await;
            Err(error)
        }
    }
}

async fn fill(schema: &SchemaRef, mut rows: Rows, sink: &mut FileSink) -> Result<u64> {
    let properties = WriterProperties::builder()
        .set_created_by(format!("tarn {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    // What Arrow calls its types means nothing to other readers.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut first = rows.try_next().await?;
    let schema = plain(first.as_ref().map_or_else(|| Arc::clone(schema), RecordBatch::schema).as_ref());
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options);
    let writer = writer.as_mut().map_err(|error| refused(error))?;
    let mut count = 0;
    while let Some(batch) = first.take() {
        count += batch.num_rows() as u64;
        let many = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &many);
        let batch = batch.map_err(|error| Error::internal(format!("rows changed their types: {error}")))?;
        writer.write(&batch).map_err(|error| refused(&error))?;
        if writer.in_progress_size() >= ROW_GROUP_BYTES {
            writer.flush().map_err(|error| refused(&error))?;
        }
        sink.write(std::mem::take(writer.inner_mut())).await?;
        first = rows.try_next().await?;
    }
    writer.finish().map_err(|error| refused(&error))?;
    sink.write(std::mem::take(writer.inner_mut())).await?;
    Ok(count)
}

/// The same columns, of which any may be NULL, without marks.
fn plain(schema: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| Field::new(field.name(), field.data_type().clone(), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn refused(error: &ParquetError) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("the rows cannot be written as Parquet: {error}"))
        .with_hint("Cast the columns to types that tables have.")
}
