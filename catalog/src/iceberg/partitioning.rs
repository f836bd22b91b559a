//! What a table's files are partitioned by, for all of its partitionings: a file keeps the one it was written with, and
//! the columns that one is made of may have been dropped since. It must never read a file.

use std::sync::Arc;

use iceberg::spec::{NestedField, NestedFieldRef, PartitionSpec, Schema, StructType, TableMetadata};

use crate::error::{Error, ErrorKind, Result};

/// A field by its id: as `schema` has it, or else as the newest columns had it that had it.
pub fn field_of(metadata: &TableMetadata, schema: &Schema, id: i32) -> Option<NestedFieldRef> {
    if let Some(field) = schema.field_by_id(id) {
        return Some(Arc::clone(field));
    }
    let had = metadata.schemas_iter().filter(|schema| schema.field_by_id(id).is_some());
    had.max_by_key(|schema| schema.schema_id()).and_then(|schema| schema.field_by_id(id)).cloned()
}

/// The types of a spec's values.
///
/// # Errors
///
/// A column that no schema of the table ever had, or one that cannot be partitioned so.
pub fn partition_type(metadata: &TableMetadata, schema: &Schema, spec: &PartitionSpec) -> Result<StructType> {
    let typed = |field: &iceberg::spec::PartitionField| {
        let source = field_of(metadata, schema, field.source_id).ok_or_else(|| {
            let message = format!("partition field \"{}\" has no source column", field.name);
            Error::new(ErrorKind::Unsupported, message)
        })?;
        let data_type = field.transform.result_type(&source.field_type)?;
        Ok(NestedField::optional(field.field_id, &field.name, data_type).into())
    };
    Ok(StructType::new(spec.fields().iter().map(typed).collect::<Result<_>>()?))
}
