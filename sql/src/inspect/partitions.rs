//! `$partitions`: live files added up by partition.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use iceberg::spec::{DataContentType, Struct, TableMetadata};
use tarn_catalog::iceberg::ManifestRow;

use super::history::times;
use super::partition::PartitionColumn;
use crate::error::{Error, Result};

/// The figures of one partition, under the names of Spark's columns.
const FIGURES: [&str; 7] = [
    "record_count",
    "file_count",
    "total_data_file_size_in_bytes",
    "position_delete_record_count",
    "position_delete_file_count",
    "equality_delete_record_count",
    "equality_delete_file_count",
];

pub fn schema(partition: &PartitionColumn) -> SchemaRef {
    let mut fields: Vec<_> = partition.field().into_iter().collect();
    fields.push(Arc::new(Field::new("spec_id", DataType::Int32, false)));
    fields.extend(FIGURES.iter().map(|name| Arc::new(Field::new(*name, DataType::Int64, false))));
    fields.push(Arc::new(Field::new("last_updated_at", super::history::time_type(), true)));
    fields.push(Arc::new(Field::new("last_updated_snapshot_id", DataType::Int64, true)));
    Arc::new(Schema::new(fields))
}

#[derive(Debug, Default, Clone)]
struct Figures {
    sums: [i64; 7],
    snapshots: BTreeMap<i64, ()>,
}

/// What has been added up so far.
#[derive(Debug, Default)]
pub struct Sums {
    of: HashMap<(i32, Struct), Figures>,
}

impl Sums {
    pub fn add(&mut self, row: &ManifestRow) {
        let file = &row.file;
        let figures = self.of.entry((row.spec_id, file.partition().clone())).or_default();
        let records = i64::try_from(file.record_count()).unwrap_or(i64::MAX);
        let bytes = i64::try_from(file.file_size_in_bytes()).unwrap_or(i64::MAX);
        let mut plus = |place: usize, value: i64| {
            figures.sums[place] = figures.sums[place].saturating_add(value);
        };
        match file.content_type() {
            DataContentType::Data => {
                plus(0, records);
                plus(1, 1);
                plus(2, bytes);
            }
            DataContentType::PositionDeletes => {
                plus(3, records);
                plus(4, 1);
            }
            DataContentType::EqualityDeletes => {
                plus(5, records);
                plus(6, 1);
            }
        }
        figures.snapshots.insert(row.snapshot_id, ());
    }

    pub fn batch(
        self,
        schema: &SchemaRef,
        partition: &PartitionColumn,
        metadata: &TableMetadata,
    ) -> Result<RecordBatch> {
        let mut of: Vec<((i32, Struct), Figures)> = self.of.into_iter().collect();
        of.sort_by_key(|((spec, partition), _)| (*spec, format!("{partition:?}")));
        let values: Vec<_> = of.iter().map(|((spec, partition), _)| (*spec, partition)).collect();
        let mut columns: Vec<ArrayRef> = partition.array(&values, metadata)?.into_iter().collect();
        columns.push(Arc::new(values.iter().map(|(spec, _)| Some(*spec)).collect::<Int32Array>()));
        for place in 0..FIGURES.len() {
            let figures = of.iter().map(|(_, figures)| Some(figures.sums[place]));
            columns.push(Arc::new(figures.collect::<Int64Array>()));
        }
        let newest: Vec<Option<(i64, i64)>> = of
            .iter()
            .map(|(_, figures)| {
                let known = figures.snapshots.keys().filter_map(|id| metadata.snapshot_by_id(*id));
                let timed = known.map(|snapshot| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
                timed.max()
            })
            .collect();
        columns.push(times(newest.iter().map(|newest| newest.map(|(at_ms, _)| at_ms))));
        let ids = newest.iter().map(|newest| newest.map(|(_, id)| id));
        columns.push(Arc::new(ids.collect::<Int64Array>()));
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::internal(error.to_string()))
    }
}
