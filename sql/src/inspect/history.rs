//! Rows of the metadata file alone: `$snapshots`, `$history`, `$refs`, `$metadata_log_entries`, `$properties`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata};
use tarn_catalog::TableVersion;
use tarn_catalog::iceberg::references;

use super::kind::MetadataTable;
use crate::error::{Error, Result};

pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// Points in time from milliseconds since the Unix epoch.
pub fn times(at_ms: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let micros = at_ms.map(|at_ms| at_ms.map(|at_ms| at_ms.saturating_mul(1000)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn summary_type() -> DataType {
    let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(Fields::from(entries)), false)), false)
}

pub fn schema(kind: MetadataTable) -> SchemaRef {
    let long = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str| Field::new(name, time_type(), false);
    Arc::new(Schema::new(match kind {
        MetadataTable::Snapshots => vec![
            time("committed_at"),
            long("snapshot_id", false),
            long("parent_id", true),
            text("operation", true),
            text("manifest_list", true),
            Field::new("summary", summary_type(), true),
        ],
        MetadataTable::History => vec![
            time("made_current_at"),
            long("snapshot_id", false),
            long("parent_id", true),
            Field::new("is_current_ancestor", DataType::Boolean, false),
        ],
        MetadataTable::Refs => vec![
            text("name", false),
            text("type", false),
            long("snapshot_id", false),
            long("max_reference_age_in_ms", true),
            Field::new("min_snapshots_to_keep", DataType::Int32, true),
            long("max_snapshot_age_in_ms", true),
        ],
        MetadataTable::MetadataLogEntries => vec![
            time("timestamp"),
            text("file", false),
            long("latest_snapshot_id", true),
            Field::new("latest_schema_id", DataType::Int32, true),
            long("latest_sequence_number", true),
        ],
        _ => vec![text("key", false), text("value", true)],
    }))
}

pub fn batch(kind: MetadataTable, version: &TableVersion) -> Result<RecordBatch> {
    let metadata = &version.metadata;
    let columns = match kind {
        MetadataTable::Snapshots => snapshots(metadata)?,
        MetadataTable::History => history(metadata),
        MetadataTable::Refs => refs(&references(metadata)?),
        MetadataTable::MetadataLogEntries => metadata_log(metadata, &version.pointer.metadata_location),
        _ => properties(metadata),
    };
    RecordBatch::try_new(schema(kind), columns).map_err(|error| Error::internal(error.to_string()))
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn snapshots(metadata: &TableMetadata) -> Result<Vec<ArrayRef>> {
    let mut snapshots: Vec<_> = metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
    let names =
        MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut summaries = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for snapshot in &snapshots {
        let sorted: BTreeMap<_, _> = snapshot.summary().additional_properties.iter().collect();
        for (key, value) in sorted {
            summaries.keys().append_value(key);
            summaries.values().append_value(value);
        }
        summaries.append(true).map_err(|error| Error::internal(error.to_string()))?;
    }
    let all = || snapshots.iter();
    Ok(vec![
        times(all().map(|snapshot| Some(snapshot.timestamp_ms()))),
        longs(all().map(|snapshot| Some(snapshot.snapshot_id()))),
        longs(all().map(|snapshot| snapshot.parent_snapshot_id())),
        texts(all().map(|snapshot| Some(snapshot.summary().operation.as_str()))),
        texts(all().map(|snapshot| Some(snapshot.manifest_list()))),
        Arc::new(summaries.finish()),
    ])
}

fn history(metadata: &TableMetadata) -> Vec<ArrayRef> {
    let parent = |id: &i64| metadata.snapshot_by_id(*id)?.parent_snapshot_id();
    let ancestors: HashSet<i64> = std::iter::successors(metadata.current_snapshot_id(), parent).collect();
    let all = || metadata.history().iter();
    vec![
        times(all().map(|entry| Some(entry.timestamp_ms))),
        longs(all().map(|entry| Some(entry.snapshot_id))),
        longs(all().map(|entry| parent(&entry.snapshot_id))),
        Arc::new(all().map(|entry| Some(ancestors.contains(&entry.snapshot_id))).collect::<BooleanArray>()),
    ]
}

fn refs(references: &BTreeMap<String, SnapshotReference>) -> Vec<ArrayRef> {
    let all = || references.values();
    let kept = |reference: &SnapshotReference| match reference.retention {
        SnapshotRetention::Branch { min_snapshots_to_keep, max_snapshot_age_ms, max_ref_age_ms } => {
            ("BRANCH", min_snapshots_to_keep, max_snapshot_age_ms, max_ref_age_ms)
        }
        SnapshotRetention::Tag { max_ref_age_ms } => ("TAG", None, None, max_ref_age_ms),
    };
    vec![
        texts(references.keys().map(Some)),
        texts(all().map(|reference| Some(kept(reference).0))),
        longs(all().map(|reference| Some(reference.snapshot_id))),
        longs(all().map(|reference| kept(reference).3)),
        Arc::new(all().map(|reference| kept(reference).1).collect::<Int32Array>()),
        longs(all().map(|reference| kept(reference).2)),
    ]
}

fn metadata_log(metadata: &TableMetadata, current: &str) -> Vec<ArrayRef> {
    let now = (metadata.last_updated_ms(), current);
    let earlier =
        metadata.metadata_log().iter().map(|entry| (entry.timestamp_ms, entry.metadata_file.as_str()));
    let entries: Vec<(i64, &str)> = earlier.chain([now]).collect();
    let newest = |at_ms: i64| {
        let entry = metadata.history().iter().rev().find(|entry| entry.timestamp_ms <= at_ms)?;
        metadata.snapshot_by_id(entry.snapshot_id)
    };
    let all = || entries.iter().map(|(at_ms, _)| newest(*at_ms));
    vec![
        times(entries.iter().map(|(at_ms, _)| Some(*at_ms))),
        texts(entries.iter().map(|(_, file)| Some(*file))),
        longs(all().map(|snapshot| snapshot.map(|snapshot| snapshot.snapshot_id()))),
        Arc::new(all().map(|snapshot| snapshot?.schema_id()).collect::<Int32Array>()),
        longs(all().map(|snapshot| snapshot.map(|snapshot| snapshot.sequence_number()))),
    ]
}

fn properties(metadata: &TableMetadata) -> Vec<ArrayRef> {
    let sorted: BTreeMap<_, _> = metadata.properties().iter().collect();
    vec![texts(sorted.keys().map(Some)), texts(sorted.values().map(Some))]
}
