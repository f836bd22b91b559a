//! Rows of manifest lists: `$manifests` and `$all_manifests`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    StructBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use iceberg::spec::{Datum, ManifestFile, PrimitiveLiteral, TableMetadata, Type};
use tarn_catalog::iceberg::partition_type;

use super::kind::MetadataTable;
use crate::error::{Error, Result};

/// The counts of a manifest, under the names of Spark's columns.
const COUNTS: [&str; 6] = [
    "added_data_files_count",
    "existing_data_files_count",
    "deleted_data_files_count",
    "added_delete_files_count",
    "existing_delete_files_count",
    "deleted_delete_files_count",
];

fn summary_fields() -> Fields {
    Fields::from(vec![
        Field::new("contains_null", DataType::Boolean, true),
        Field::new("contains_nan", DataType::Boolean, true),
        Field::new("lower_bound", DataType::Utf8, true),
        Field::new("upper_bound", DataType::Utf8, true),
    ])
}

pub fn schema(kind: MetadataTable) -> SchemaRef {
    let mut fields = vec![
        Field::new("content", DataType::Int32, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("length", DataType::Int64, false),
        Field::new("partition_spec_id", DataType::Int32, false),
        Field::new("added_snapshot_id", DataType::Int64, true),
    ];
    fields.extend(COUNTS.iter().map(|name| Field::new(*name, DataType::Int32, true)));
    let summary = Field::new("item", DataType::Struct(summary_fields()), true);
    fields.push(Field::new("partition_summaries", DataType::List(Arc::new(summary)), true));
    if kind == MetadataTable::AllManifests {
        fields.push(Field::new("reference_snapshot_id", DataType::Int64, false));
    }
    Arc::new(Schema::new(fields))
}

/// The manifests of some snapshots.
pub fn batch(
    kind: MetadataTable,
    lists: &[(i64, Arc<Vec<ManifestFile>>)],
    metadata: &TableMetadata,
) -> Result<RecordBatch> {
    let rows: Vec<(i64, &ManifestFile)> =
        lists.iter().flat_map(|(id, list)| list.iter().map(move |manifest| (*id, manifest))).collect();
    let int = |of: &dyn Fn(&ManifestFile) -> Option<i32>| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, manifest)| of(manifest)).collect::<Int32Array>())
    };
    let mut columns: Vec<ArrayRef> = vec![
        int(&|manifest| Some(manifest.content as i32)),
        Arc::new(rows.iter().map(|(_, manifest)| Some(&manifest.manifest_path)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, manifest)| Some(manifest.manifest_length)).collect::<Int64Array>()),
        int(&|manifest| Some(manifest.partition_spec_id)),
        Arc::new(rows.iter().map(|(_, manifest)| Some(manifest.added_snapshot_id)).collect::<Int64Array>()),
    ];
    for place in 0..COUNTS.len() {
        columns.push(int(&|manifest| {
            let deletes = manifest.content as i32 == 1;
            let counts =
                [manifest.added_files_count, manifest.existing_files_count, manifest.deleted_files_count];
            match deletes == (place >= 3) {
                true => counts[place % 3].and_then(|count| i32::try_from(count).ok()),
                false => Some(0),
            }
        }));
    }
    columns.push(summaries(&rows, metadata));
    if kind == MetadataTable::AllManifests {
        columns.push(Arc::new(rows.iter().map(|(id, _)| Some(*id)).collect::<Int64Array>()));
    }
    RecordBatch::try_new(schema(kind), columns).map_err(|error| Error::internal(error.to_string()))
}

fn summaries(rows: &[(i64, &ManifestFile)], metadata: &TableMetadata) -> ArrayRef {
    let mut list = ListBuilder::new(StructBuilder::from_fields(summary_fields(), rows.len()));
    for (_, manifest) in rows {
        let spec = metadata.partition_spec_by_id(manifest.partition_spec_id);
        let types = spec.and_then(|spec| partition_type(metadata, metadata.current_schema(), spec).ok());
        for (place, summary) in manifest.partitions.iter().flatten().enumerate() {
            let data_type = types.as_ref().and_then(|types| types.fields().get(place));
            let bound = |bytes: Option<&[u8]>| match (bytes, data_type.map(|field| field.field_type.as_ref()))
            {
                (Some(bytes), Some(Type::Primitive(primitive))) => {
                    Datum::try_from_bytes(bytes, primitive.clone()).ok().map(|bound| match bound.literal() {
                        PrimitiveLiteral::String(text) => text.clone(),
                        _ => bound.to_string(),
                    })
                }
                _ => None,
            };
            let row = list.values();
            if let Some(column) = row.field_builder::<BooleanBuilder>(0) {
                column.append_value(summary.contains_null);
            }
            if let Some(column) = row.field_builder::<BooleanBuilder>(1) {
                column.append_option(summary.contains_nan);
            }
            if let Some(column) = row.field_builder::<StringBuilder>(2) {
                column.append_option(bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice())));
            }
            if let Some(column) = row.field_builder::<StringBuilder>(3) {
                column.append_option(bound(summary.upper_bound.as_ref().map(|bytes| bytes.as_slice())));
            }
            row.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}
