//! What is known of a whole table before it is scanned: rows, and of each column its range, its NULLs and about how
//! many different values it has. The order of joins is decided by it and nothing else, so everything is a guess here,
//! also where the metadata is sure. It is worked out once per snapshot and kept. It must never open a data file.
//! Next: `scan.rs`, and `../optimize/estimate.rs`, which reads it.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use iceberg::spec::{DataFile, PrimitiveType, TableMetadata};
use tarn_catalog::iceberg::{LiveFile, TableState, snapshot_files};
use tarn_catalog::storage::Storage;

use super::bounds::{BoundColumn, ValueRange};
use super::scan::IcebergTable;
use crate::error::Result;

/// With more files, so many of them, evenly chosen, stand for all.
const FILES_LOOKED_AT: usize = 256;

/// What one table knows about itself; kept with the decoded files.
struct Known(Statistics);

/// Finds out about every table of a plan what joins are ordered by.
pub async fn load_statistics(plan: &LogicalPlan) -> datafusion::common::Result<()> {
    let mut providers = Vec::new();
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::TableScan(scan) = plan {
            providers.push(source_as_provider(&scan.source)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for provider in &providers {
        let any: &dyn Any = provider.as_ref();
        if let Some(table) = any.downcast_ref::<IcebergTable>() {
            table.load_statistics().await;
        }
    }
    Ok(())
}

/// The statistics of a table's state, from the cache or from its manifests.
pub(crate) async fn relation_statistics(
    state: &TableState,
    storage: &Storage,
    schema: &SchemaRef,
    columns: &HashMap<String, BoundColumn>,
) -> Result<Option<Statistics>> {
    let Some(snapshot) = state.snapshot_id else {
        return Ok(None);
    };
    let metadata = &state.version.metadata;
    // Not by the schema's id: a transaction that is rolled back leaves the one it gave to the next.
    let mut hasher = DefaultHasher::new();
    schema.fields().hash(&mut hasher);
    let key = format!("statistics of {} {snapshot} {:x}", metadata.location(), hasher.finish());
    if let Some(known) = storage.decoded().get::<Known>(&key) {
        return Ok(Some(known.0.clone()));
    }
    let files = snapshot_files(storage, metadata, snapshot).await?.data;
    let mut statistics = summary(&files, schema, columns);
    for (field, slot) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if let Some(counted) =
            columns.get(field.name()).and_then(|column| counted_values(metadata, snapshot, column.id))
        {
            slot.distinct_count = inexact(counted);
        }
    }
    let bytes = schema.fields().len() * size_of::<ColumnStatistics>() * 2;
    storage.decoded().insert(key, Arc::new(Known(statistics.clone())), bytes);
    Ok(Some(statistics))
}

/// What ANALYZE, ours or another engine's, has counted in this snapshot or, failing that, in the latest one before.
fn counted_values(metadata: &TableMetadata, snapshot: i64, column: i32) -> Option<u64> {
    let sequence = |id: i64| metadata.snapshot_by_id(id).map(|snapshot| snapshot.sequence_number());
    let read = sequence(snapshot)?;
    let earlier = metadata.statistics_iter().filter_map(|file| {
        let blob = file.blob_metadata.iter().find(|blob| blob.fields == [column])?;
        let counted: u64 = blob.properties.get("ndv")?.parse().ok()?;
        Some((sequence(file.snapshot_id).filter(|sequence| *sequence <= read)?, counted))
    });
    earlier.max().map(|(_, counted)| counted)
}

fn summary(files: &[LiveFile], schema: &SchemaRef, columns: &HashMap<String, BoundColumn>) -> Statistics {
    let rows: u64 = files.iter().map(|live| live.file.record_count()).sum();
    let step = files.len().div_ceil(FILES_LOOKED_AT).max(1);
    let looked_at: Vec<&DataFile> = files.iter().step_by(step).map(|live| live.file.as_ref()).collect();
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = inexact(rows);
    for (field, slot) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if let Some(column) = columns.get(field.name()) {
            *slot = column_statistics(&looked_at, column, rows);
            // The one figure that is a promise: no file has a NULL, whatever rows of it are deleted.
            let without_null = |live: &LiveFile| live.file.null_value_counts().get(&column.id) == Some(&0);
            if files.iter().all(without_null) {
                slot.null_count = Precision::Exact(0);
            }
        }
    }
    statistics
}

fn column_statistics(files: &[&DataFile], column: &BoundColumn, rows: u64) -> ColumnStatistics {
    let mut range = ValueRange::default();
    let (mut looked_at, mut nulls, mut sizes) = (0u64, 0u64, Some(0u64));
    for file in files {
        looked_at += file.record_count();
        nulls += file.null_value_counts().get(&column.id).copied().unwrap_or(0);
        sizes = sizes.zip(file.column_sizes().get(&column.id)).map(|(sum, size)| sum + size);
        range = range.union(column.bounds(file));
    }
    let scale = rows as f64 / looked_at.max(1) as f64;
    let values = looked_at.saturating_sub(nulls).max(1) as f64;
    let distinct = values_within(&column.iceberg, &range)
        .or_else(|| sizes.map(|size| values_by_size(size as f64 / values)))
        .map_or(rows as f64, |distinct| distinct.min(rows as f64));
    ColumnStatistics {
        null_count: inexact((nulls as f64 * scale) as u64),
        min_value: range.lower.map_or(Precision::Absent, Precision::Inexact),
        max_value: range.upper.map_or(Precision::Absent, Precision::Inexact),
        distinct_count: inexact(distinct.max(1.0) as u64),
        ..ColumnStatistics::new_unknown()
    }
}

fn inexact(count: u64) -> Precision<usize> {
    Precision::Inexact(usize::try_from(count).unwrap_or(usize::MAX))
}

/// At most so many values of a whole-number type lie in a range.
fn values_within(data_type: &PrimitiveType, range: &ValueRange) -> Option<f64> {
    let number = |value: &ScalarValue| match value {
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => Some(f64::from(*value)),
        ScalarValue::Int64(Some(value)) => Some(*value as f64),
        ScalarValue::Decimal128(Some(value), _, _) => Some(*value as f64),
        _ => None,
    };
    match data_type {
        PrimitiveType::Boolean => Some(2.0),
        _ => {
            let (lower, upper) = (range.lower.as_ref()?, range.upper.as_ref()?);
            Some((number(upper)? - number(lower)?).max(0.0) + 1.0)
        }
    }
}

/// A column of few values is written as references into a dictionary, so that its size tells how many there are:
/// 25 values need less than five bits for each row. Other text takes so many bits that there may be any number.
fn values_by_size(bytes_per_value: f64) -> f64 {
    (8.0 * bytes_per_value).min(64.0).exp2()
}

impl ValueRange {
    /// The values in either range; an end that one does not know is that of the other, which will do for a guess.
    fn union(self, other: ValueRange) -> ValueRange {
        let pick = |a: Option<ScalarValue>, b: Option<ScalarValue>, first: bool| match (a, b) {
            (Some(a), Some(b)) => Some(if (a < b) == first { a } else { b }),
            (a, b) => a.or(b),
        };
        ValueRange { lower: pick(self.lower, other.lower, true), upper: pick(self.upper, other.upper, false) }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum};

    use super::*;

    fn file(rows: u64, least: i64, most: i64, text_bytes: u64) -> DataFile {
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path("file:///t/data.parquet".to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(iceberg::spec::Struct::empty())
            .partition_spec_id(0)
            .record_count(rows)
            .file_size_in_bytes(1000)
            .column_sizes(HashMap::from([(1, 100), (2, text_bytes)]))
            .null_value_counts(HashMap::from([(1, 0), (2, rows / 2)]))
            .lower_bounds(HashMap::from([(1, Datum::long(least))]))
            .upper_bounds(HashMap::from([(1, Datum::long(most))]))
            .build()
            .expect("a data file")
    }

    #[test]
    fn values_are_counted_by_range_and_by_size() {
        let files = [file(1000, 11, 50, 250), file(1000, 31, 110, 250)];
        let files: Vec<&DataFile> = files.iter().collect();
        let whole = BoundColumn { id: 1, iceberg: PrimitiveType::Long, arrow: DataType::Int64 };
        let numbers = column_statistics(&files, &whole, 2000);
        assert_eq!(numbers.distinct_count, Precision::Inexact(100));
        assert_eq!(numbers.min_value, Precision::Inexact(ScalarValue::Int64(Some(11))));
        assert_eq!(numbers.max_value, Precision::Inexact(ScalarValue::Int64(Some(110))));
        let text = BoundColumn { id: 2, iceberg: PrimitiveType::String, arrow: DataType::Utf8 };
        let text = column_statistics(&files, &text, 2000);
        assert_eq!(text.distinct_count, Precision::Inexact(16), "four bits for each value");
        assert_eq!(text.null_count, Precision::Inexact(1000));
    }
}
