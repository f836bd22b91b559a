//! Rows of manifests: `$files` and its kin, and `$entries`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int32Builder, Int64Array, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use iceberg::spec::{DataContentType, DataFile, ManifestStatus, TableMetadata};
use tarn_catalog::iceberg::ManifestRow;

use super::bounds::{counts, map_type, readable_metrics, texts};
use super::kind::MetadataTable;
use super::partition::PartitionColumn;
use crate::error::{Error, Result};
use crate::types::json_marks;

/// Whether a file belongs in the table.
pub fn is_of(kind: MetadataTable, row: &ManifestRow) -> bool {
    let data = row.file.content_type() == DataContentType::Data;
    match kind {
        MetadataTable::DataFiles | MetadataTable::AllDataFiles => data,
        MetadataTable::DeleteFiles | MetadataTable::AllDeleteFiles => !data,
        _ => true,
    }
}

/// The columns of a file, with the types of Trino.
fn file_fields(partition: &PartitionColumn) -> Vec<FieldRef> {
    let plain = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    let list = |element| DataType::List(Arc::new(Field::new("item", element, true)));
    let before = [
        plain("content", DataType::Int32, false),
        plain("file_path", DataType::Utf8, false),
        plain("file_format", DataType::Utf8, false),
        plain("spec_id", DataType::Int32, false),
    ];
    let after = [
        plain("record_count", DataType::Int64, false),
        plain("file_size_in_bytes", DataType::Int64, false),
        plain("column_sizes", map_type(DataType::Int64), true),
        plain("value_counts", map_type(DataType::Int64), true),
        plain("null_value_counts", map_type(DataType::Int64), true),
        plain("nan_value_counts", map_type(DataType::Int64), true),
        plain("lower_bounds", map_type(DataType::Utf8), true),
        plain("upper_bounds", map_type(DataType::Utf8), true),
        plain("key_metadata", DataType::Binary, true),
        plain("split_offsets", list(DataType::Int64), true),
        plain("equality_ids", list(DataType::Int32), true),
        plain("sort_order_id", DataType::Int32, true),
        plain("first_row_id", DataType::Int64, true),
        plain("referenced_data_file", DataType::Utf8, true),
        plain("content_offset", DataType::Int64, true),
        plain("content_size_in_bytes", DataType::Int64, true),
    ];
    before.into_iter().chain(partition.field()).chain(after).collect()
}

fn metrics_field() -> FieldRef {
    Arc::new(Field::new("readable_metrics", DataType::Utf8, true).with_metadata(json_marks()))
}

pub fn files_schema(partition: &PartitionColumn) -> SchemaRef {
    let fields: Vec<FieldRef> = file_fields(partition).into_iter().chain([metrics_field()]).collect();
    Arc::new(Schema::new(fields))
}

pub fn entries_schema(partition: &PartitionColumn) -> SchemaRef {
    let plain = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    let file = DataType::Struct(Fields::from(file_fields(partition)));
    Arc::new(Schema::new(vec![
        plain("status", DataType::Int32, false),
        plain("snapshot_id", DataType::Int64, true),
        plain("sequence_number", DataType::Int64, true),
        plain("file_sequence_number", DataType::Int64, true),
        plain("data_file", file, false),
        metrics_field(),
    ]))
}

pub fn files_batch(
    schema: &SchemaRef,
    rows: &[ManifestRow],
    partition: &PartitionColumn,
    metadata: &TableMetadata,
) -> Result<RecordBatch> {
    let mut columns = file_columns(rows, partition, metadata)?;
    columns.push(metrics(rows, metadata));
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(broken)
}

pub fn entries_batch(
    schema: &SchemaRef,
    rows: &[ManifestRow],
    partition: &PartitionColumn,
    metadata: &TableMetadata,
) -> Result<RecordBatch> {
    let status = |row: &ManifestRow| match row.status {
        ManifestStatus::Existing => 0,
        ManifestStatus::Added => 1,
        ManifestStatus::Deleted => 2,
    };
    let fields = Fields::from(file_fields(partition));
    let files = StructArray::try_new(fields, file_columns(rows, partition, metadata)?, None);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(status(row))).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| Some(row.snapshot_id)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.sequence_number).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.file_sequence_number).collect::<Int64Array>()),
        Arc::new(files.map_err(broken)?),
        metrics(rows, metadata),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(broken)
}

fn metrics(rows: &[ManifestRow], metadata: &TableMetadata) -> ArrayRef {
    let metrics = rows.iter().map(|row| Some(readable_metrics(&row.file, metadata)));
    Arc::new(metrics.collect::<StringArray>())
}

fn file_columns(
    rows: &[ManifestRow],
    partition: &PartitionColumn,
    metadata: &TableMetadata,
) -> Result<Vec<ArrayRef>> {
    let int = |of: &dyn Fn(&DataFile) -> Option<i32>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(&row.file)).collect::<Int32Array>())
    };
    let long = |of: &dyn Fn(&ManifestRow) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    };
    let text = |of: &dyn Fn(&DataFile) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(&row.file)).collect::<StringArray>())
    };
    let files = || rows.iter().map(|row| row.file.as_ref());
    let values: Vec<_> = rows.iter().map(|row| (row.spec_id, row.file.partition())).collect();
    let mut columns = vec![
        int(&|file| Some(file.content_type() as i32)),
        text(&|file| Some(file.file_path().to_owned())),
        text(&|file| Some(file.file_format().to_string().to_uppercase())),
        Arc::new(rows.iter().map(|row| Some(row.spec_id)).collect::<Int32Array>()) as ArrayRef,
    ];
    columns.extend(partition.array(&values, metadata)?);
    columns.extend([
        long(&|row| i64::try_from(row.file.record_count()).ok()),
        long(&|row| i64::try_from(row.file.file_size_in_bytes()).ok()),
        counts(files().map(DataFile::column_sizes)).map_err(broken)?,
        counts(files().map(DataFile::value_counts)).map_err(broken)?,
        counts(files().map(DataFile::null_value_counts)).map_err(broken)?,
        counts(files().map(DataFile::nan_value_counts)).map_err(broken)?,
        texts(files().map(DataFile::lower_bounds)).map_err(broken)?,
        texts(files().map(DataFile::upper_bounds)).map_err(broken)?,
        Arc::new(files().map(DataFile::key_metadata).collect::<BinaryArray>()) as ArrayRef,
        split_offsets(rows),
        equality_ids(rows),
        int(&DataFile::sort_order_id),
        long(&|row| row.first_row_id),
        text(&DataFile::referenced_data_file),
        long(&|row| row.file.content_offset()),
        long(&|row| row.file.content_size_in_bytes()),
    ]);
    Ok(columns)
}

fn split_offsets(rows: &[ManifestRow]) -> ArrayRef {
    let mut builder = ListBuilder::new(Int64Builder::new());
    for row in rows {
        let offsets = row.file.split_offsets();
        offsets.into_iter().flatten().for_each(|offset| builder.values().append_value(*offset));
        builder.append(offsets.is_some());
    }
    Arc::new(builder.finish())
}

fn equality_ids(rows: &[ManifestRow]) -> ArrayRef {
    let mut builder = ListBuilder::new(Int32Builder::new());
    for row in rows {
        let ids = row.file.equality_ids();
        ids.iter().flatten().for_each(|id| builder.values().append_value(*id));
        builder.append(ids.is_some());
    }
    Arc::new(builder.finish())
}

fn broken(error: ArrowError) -> Error {
    Error::internal(format!("a metadata table does not fit its columns: {error}"))
}
