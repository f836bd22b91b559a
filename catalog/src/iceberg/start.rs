//! Which version of a table a write builds on, and whether the files that the statement made still fit it. Pure, but for
//! the look at where the files lie.

use iceberg::TableUpdate;
use iceberg::spec::{
    DataContentType, MAIN_BRANCH, NestedFieldRef, Schema, SnapshotRef, SnapshotRetention, TableMetadata, Type,
};

use super::declared::DECLARED_PROPERTIES;
use super::location::metadata_version;
use super::state::{no_reference, references};
use super::write::{Operation, TableWrite, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::object::TablePointer;
use crate::storage::Storage;

/// The version of the table that the new one follows.
#[derive(Debug)]
pub struct Start {
    pub metadata: TableMetadata,
    /// Where the version before is written; none for a new table.
    pub previous: Option<String>,
    /// Number of the new metadata file.
    pub version: u32,
}

/// Decides what to build on. A write to a table that has changed since its statement began goes to the changed table, if
/// its files fit there.
pub fn start(write: &TableWrite, head: Option<(&TableMetadata, &TablePointer)>) -> Result<Start> {
    let follow = |metadata: &TableMetadata, pointer: &TablePointer| Start {
        metadata: metadata.clone(),
        previous: Some(pointer.metadata_location.clone()),
        version: metadata_version(&pointer.metadata_location) + 1,
    };
    match (&write.target, head) {
        (Target::New(metadata), None) => {
            Ok(Start { metadata: metadata.as_ref().clone(), previous: None, version: 0 })
        }
        // An earlier write of the same transaction made it, and this one fills it.
        (Target::New(made), Some((metadata, pointer))) if made.uuid() == metadata.uuid() => {
            Ok(follow(metadata, pointer))
        }
        (Target::New(_), Some(_)) => {
            Err(Error::internal(format!("table {} exists and is made again", write.name)))
        }
        (_, None) => Err(conflict(write, "was dropped")),
        (Target::Replace { staged, base, .. }, Some((_, pointer))) if pointer == base => {
            Ok(follow(staged, pointer))
        }
        (Target::Replace { .. }, Some(_)) => Err(conflict(write, "was changed")),
        (Target::Existing { base }, Some((metadata, pointer))) => {
            if metadata.uuid() != base.metadata.uuid() {
                return Err(conflict(write, "was dropped and made again"));
            }
            check_fit(write, &base.metadata, metadata)?;
            Ok(follow(metadata, pointer))
        }
    }
}

/// The version that the write's files were made for.
pub fn written_for(write: &TableWrite) -> &TableMetadata {
    match &write.target {
        Target::New(metadata) | Target::Replace { staged: metadata, .. } => metadata,
        Target::Existing { base } => &base.metadata,
    }
}

/// The newest snapshot of a branch; none when the main branch is empty.
pub fn branch_head<'a>(
    metadata: &'a TableMetadata,
    branch: &str,
) -> Result<Option<&'a iceberg::spec::Snapshot>> {
    if branch == MAIN_BRANCH {
        return Ok(metadata.current_snapshot().map(SnapshotRef::as_ref));
    }
    let references = references(metadata)?;
    match references.get(branch).map(|reference| &reference.retention) {
        None => Err(no_reference(&references, branch)),
        Some(SnapshotRetention::Tag { .. }) => {
            Err(Error::invalid(format!("\"{branch}\" is a tag, and only branches are written to"))
                .with_hint("Make a branch at the tag, and write to that."))
        }
        Some(SnapshotRetention::Branch { .. }) => {
            Ok(metadata.snapshot_for_ref(branch).map(SnapshotRef::as_ref))
        }
    }
}

/// Files of an older schema fit as long as it had every required column, and as their columns are still there; what was
/// added or renamed since does not matter, for columns go by id. Files keep the partition spec that they were made for.
fn check_fit(write: &TableWrite, base: &TableMetadata, head: &TableMetadata) -> Result<()> {
    let declares_otherwise = || {
        DECLARED_PROPERTIES.iter().any(|name| base.properties().get(*name) != head.properties().get(*name))
    };
    if let Operation::Update { updates, .. } = &write.operation
        && updates.iter().any(is_declaration)
        && declares_otherwise()
    {
        return Err(conflict(write, "was given other constraints"));
    }
    // Rows that are merely moved fit any schema that the rows fit.
    if write.added.is_empty() || matches!(write.operation, Operation::Rewrite(_)) {
        return Ok(());
    }
    let (old, new) = (base.current_schema(), head.current_schema());
    if base.current_schema_id() != head.current_schema_id() {
        let dropped = |id: &&i32| new.field_by_id(**id).is_none();
        if old.field_id_to_fields().keys().any(|id| dropped(&id)) {
            return Err(conflict(write, "lost a column that this statement writes"));
        }
        if let Some(field) = newly_required(old, new.as_struct().fields()) {
            let detail = format!("Column \"{}\" must not be null now.", field.name);
            return Err(conflict(write, "was given other columns").with_detail(detail));
        }
    }
    // Rows were checked against what was declared when they were written.
    if declares_otherwise() {
        return Err(conflict(write, "was given other constraints"));
    }
    let spec = base.default_partition_spec_id();
    let is_gone = head.partition_spec_by_id(spec).is_none();
    let by_partition = matches!(write.operation, Operation::OverwritePartitions);
    if is_gone || by_partition && head.default_partition_spec_id() != spec {
        return Err(conflict(write, "was given another partitioning"));
    }
    Ok(())
}

/// Whether an update changes what the table declares beyond its schema.
fn is_declaration(update: &TableUpdate) -> bool {
    let is_one = |name: &String| DECLARED_PROPERTIES.contains(&name.as_str());
    match update {
        TableUpdate::SetProperties { updates } => updates.keys().any(is_one),
        TableUpdate::RemoveProperties { removals } => removals.iter().any(is_one),
        _ => false,
    }
}

/// A field that must have a value and need not have had one under the old schema.
fn newly_required<'a>(old: &Schema, fields: &'a [NestedFieldRef]) -> Option<&'a NestedFieldRef> {
    fields.iter().find_map(|field| match old.field_by_id(field.id) {
        None => (field.required && field.initial_default.is_none()).then_some(field),
        Some(before) if field.required && !before.required => Some(field),
        Some(_) => match field.field_type.as_ref() {
            Type::Primitive(_) => None,
            Type::Struct(inner) => newly_required(old, inner.fields()),
            Type::List(list) => newly_required(old, std::slice::from_ref(&list.element_field)),
            Type::Map(map) => newly_required(old, std::slice::from_ref(&map.value_field)),
        },
    })
}

/// Asserts what the writer of the files promised. A file elsewhere would be read with our credentials for ever after.
pub fn check_added(storage: &Storage, write: &TableWrite, metadata: &TableMetadata) -> Result<()> {
    let fields = written_for(write).default_partition_spec().fields().len();
    for file in &write.added {
        storage.guard().table_file(metadata.location(), file.file_path())?;
        if file.content_type() != DataContentType::Data || file.partition().fields().len() != fields {
            let text = format!("file \"{}\" does not fit table {}", file.file_path(), write.name);
            return Err(Error::internal(text));
        }
    }
    let may_add =
        !matches!(write.operation, Operation::CreateEmpty | Operation::Truncate | Operation::Update { .. });
    if may_add || write.added.is_empty() {
        return Ok(());
    }
    Err(Error::internal(format!("{:?} of table {} adds files", write.operation, write.name)))
}

pub fn conflict(write: &TableWrite, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("table {} {what} by another transaction", write.name))
        .with_hint("Run the statement again.")
}
