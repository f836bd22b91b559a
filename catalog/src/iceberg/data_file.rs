//! The description of one data file, as manifests hold it.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct, TableMetadata};

use super::manifest::LiveFile;
use super::metrics::ColumnMetrics;
use crate::error::{Error, Result};

/// What a writer knows about a Parquet file that it has finished.
#[derive(Debug, Clone)]
pub struct FileFacts {
    /// URL, from [`super::data_file_location`].
    pub location: String,
    pub bytes: u64,
    pub rows: u64,
    /// Values of the table's default partition spec, in its order; [`Struct::empty`] for an unpartitioned table.
    pub partition: Struct,
    /// By field id, from [`super::metrics::Collector::finish`].
    pub metrics: HashMap<i32, ColumnMetrics>,
    /// Compressed bytes of each column, by field id, from the file's footer.
    pub column_bytes: HashMap<i32, u64>,
    /// Where each row group starts, rising.
    pub split_offsets: Vec<i64>,
    /// The sort order of the table that the rows are in, if they are in one.
    pub sort_order_id: Option<i32>,
}

/// Describes a finished Parquet file of a table.
pub fn describe_file(metadata: &TableMetadata, facts: FileFacts) -> Result<DataFile> {
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::Data)
        .file_path(facts.location)
        .file_format(DataFileFormat::Parquet)
        .partition(facts.partition)
        .partition_spec_id(metadata.default_partition_spec_id())
        .record_count(facts.rows)
        .file_size_in_bytes(facts.bytes)
        .column_sizes(facts.column_bytes)
        .split_offsets(Some(facts.split_offsets));
    let mut values = HashMap::new();
    let mut nulls = HashMap::new();
    let mut nans = HashMap::new();
    let mut lower = HashMap::new();
    let mut upper = HashMap::new();
    for (field, metrics) in facts.metrics {
        values.insert(field, metrics.value_count);
        nulls.insert(field, metrics.null_count);
        metrics.nan_count.map(|count| nans.insert(field, count));
        metrics.lower.map(|bound| lower.insert(field, bound));
        metrics.upper.map(|bound| upper.insert(field, bound));
    }
    builder.value_counts(values).null_value_counts(nulls).nan_value_counts(nans);
    builder.lower_bounds(lower).upper_bounds(upper);
    if let Some(order) = facts.sort_order_id {
        builder.sort_order_id(order);
    }
    build(&builder)
}

/// A live file's description with its inherited row id written out, as an entry that a manifest carries on must have.
pub(super) fn carried(live: &LiveFile) -> Result<DataFile> {
    let file = live.file.as_ref();
    if file.first_row_id() == live.first_row_id {
        return Ok(file.clone());
    }
    let mut builder = builder_of(file);
    builder.partition_spec_id(live.spec_id).first_row_id(live.first_row_id);
    build(&builder)
}

/// All of a description but the spec it is of.
pub(super) fn builder_of(file: &DataFile) -> DataFileBuilder {
    let mut builder = DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_string())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(file.first_row_id())
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes());
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    builder
}

pub(super) fn build(builder: &DataFileBuilder) -> Result<DataFile> {
    builder
        .build()
        .map_err(|source| Error::internal("a data file's description is incomplete").with_source(source))
}
