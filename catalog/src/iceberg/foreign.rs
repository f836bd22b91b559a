//! What another engine commits. It has written its data files, manifests and manifest lists itself, and says in updates
//! what becomes of the metadata; before any of it is believed, all that it leads to is looked at here: every path must lie
//! in the table's own folder, the files of a new snapshot must fit together, and what it does to rows is found out from
//! the manifests and not from what it says. It must never write. Next: `update.rs`, which makes the new metadata.

use std::collections::HashSet;

use iceberg::spec::{FormatVersion, MAIN_BRANCH, PartitionSpec, Schema, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use uuid::Uuid;

use super::check::flaw;
use super::declared::DECLARED_PROPERTIES;
use super::deletes::{SnapshotFiles, snapshot_files};
use super::manifest::{FileKey, file_key};
use super::metadata::{NewTable, new_table, refused, updated_at};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// What new snapshots do to the rows of a table, against the snapshots that they follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    pub adds_rows: bool,
    pub removes_rows: bool,
}

/// Looks at all that the updates would make part of a table.
///
/// # Errors
///
/// `Denied` for a file outside the table's folder; `InvalidArgument` for metadata or files that do not fit together.
pub async fn examine(storage: &Storage, base: &TableMetadata, updates: &[TableUpdate]) -> Result<Effect> {
    check_properties(base, updates)?;
    let guard = storage.guard();
    let mut builder = base.clone().into_builder(None);
    let mut snapshots = Vec::new();
    for update in updates {
        match update {
            TableUpdate::AddSnapshot { snapshot } => {
                guard.table_file(base.location(), snapshot.manifest_list())?;
                snapshots.push(snapshot.snapshot_id());
            }
            TableUpdate::SetStatistics { statistics } => {
                guard.table_file(base.location(), &statistics.statistics_path)?;
            }
            TableUpdate::SetPartitionStatistics { partition_statistics } => {
                guard.table_file(base.location(), &partition_statistics.statistics_path)?;
            }
            // What goes need not be looked at, and what is only named differently is checked by `update.rs`.
            TableUpdate::RemoveSnapshots { .. }
            | TableUpdate::SetLocation { .. }
            | TableUpdate::AssignUuid { .. } => continue,
            _ => {}
        }
        builder = update.clone().apply(builder).map_err(refused)?;
    }
    if snapshots.is_empty() {
        return Ok(Effect::default());
    }
    let next = builder.build().map_err(refused)?.metadata;
    let mut effect = Effect::default();
    for snapshot in snapshots {
        let one = effect_of(storage, &next, snapshot).await?;
        effect.adds_rows |= one.adds_rows;
        effect.removes_rows |= one.removes_rows;
    }
    Ok(effect)
}

/// What the table declares for itself is checked where SQL says it, and nowhere else.
fn check_properties(base: &TableMetadata, updates: &[TableUpdate]) -> Result<()> {
    let changes = |name: &str, value: Option<&String>| {
        DECLARED_PROPERTIES.contains(&name) && base.properties().get(name) != value
    };
    let wrong = updates.iter().any(|update| match update {
        TableUpdate::SetProperties { updates } => {
            updates.iter().any(|(name, value)| changes(name, Some(value)))
        }
        TableUpdate::RemoveProperties { removals } => removals.iter().any(|name| changes(name, None)),
        _ => false,
    });
    if wrong {
        let text = format!("the properties {} are set by SQL only", DECLARED_PROPERTIES.join(" and "));
        return Err(Error::invalid(text).with_hint("Use ALTER TABLE over the PostgreSQL protocol."));
    }
    Ok(())
}

async fn effect_of(storage: &Storage, metadata: &TableMetadata, snapshot_id: i64) -> Result<Effect> {
    let Some(snapshot) = metadata.snapshot_by_id(snapshot_id) else { return Ok(Effect::default()) };
    // A file that is not there, or is no manifest, is a mistake of whoever sent the snapshot.
    let blame = |error: Error| match error.kind {
        ErrorKind::NotFound(_) | ErrorKind::Unsupported => {
            Error { kind: ErrorKind::InvalidArgument, ..error }
        }
        _ => error,
    };
    let after = snapshot_files(storage, metadata, snapshot_id).await.map_err(blame)?;
    if let Some(flaw) = flaw(&after, snapshot.sequence_number()) {
        return Err(Error::invalid(flaw));
    }
    let parent = snapshot.parent_snapshot_id().filter(|id| metadata.snapshot_by_id(*id).is_some());
    let before = match parent {
        Some(parent) => snapshot_files(storage, metadata, parent).await?,
        None => SnapshotFiles::default(),
    };
    Ok(difference(&before, &after))
}

fn difference(before: &SnapshotFiles, after: &SnapshotFiles) -> Effect {
    let data = |files: &SnapshotFiles| -> HashSet<FileKey> {
        files.data.iter().map(|live| file_key(&live.file)).collect()
    };
    let deletes = |files: &SnapshotFiles| -> HashSet<FileKey> {
        files.deletes.files().iter().map(|live| file_key(&live.file)).collect()
    };
    let (data_before, data_after) = (data(before), data(after));
    let (deletes_before, deletes_after) = (deletes(before), deletes(after));
    Effect {
        // A delete file that goes may bring rows back.
        adds_rows: !data_after.is_subset(&data_before) || !deletes_before.is_subset(&deletes_after),
        removes_rows: !data_before.is_subset(&data_after) || !deletes_after.is_subset(&deletes_before),
    }
}

/// The metadata of a table that updates make from nothing: what another engine was given as staged, and has filled.
///
/// # Errors
///
/// `InvalidArgument` when the updates do not say all that a table needs, or what they say does not fit together.
pub fn created(updates: &[TableUpdate], uuid: Uuid, now_ms: i64) -> Result<TableMetadata> {
    let new = first_of(updates)?;
    let (schema, partition) = (new.schema.clone(), new.partition.clone());
    let made = new_table(new, uuid, now_ms)?;
    check_ids(&made, &schema, &partition)?;
    check_properties(&made, updates)?;
    let mut builder = made.into_builder(None);
    for update in updates {
        builder = update.clone().apply(builder).map_err(refused)?;
    }
    let built = builder.build().map_err(refused)?.metadata;
    let moved = updates.iter().any(
        |update| matches!(update, TableUpdate::SetSnapshotRef { ref_name, .. } if ref_name == MAIN_BRANCH),
    );
    updated_at(built, now_ms, moved.then_some(now_ms))
}

/// Looks at the snapshots that a table which was made with [`created`] begins with.
pub async fn examine_created(storage: &Storage, made: &TableMetadata) -> Result<()> {
    for snapshot in made.snapshots() {
        storage.guard().table_file(made.location(), snapshot.manifest_list())?;
        effect_of(storage, made, snapshot.snapshot_id()).await?;
    }
    let named = made.statistics_iter().map(|file| &file.statistics_path);
    let named = named.chain(made.partition_statistics_iter().map(|file| &file.statistics_path));
    for path in named {
        storage.guard().table_file(made.location(), path)?;
    }
    Ok(())
}

/// Fails when a requirement does not hold, as a conflict.
pub fn check_requirements(metadata: &TableMetadata, requirements: &[TableRequirement]) -> Result<()> {
    requirements.iter().try_for_each(|requirement| {
        requirement.check(Some(metadata)).map_err(|error| {
            let text = error.message().to_owned();
            Error::new(ErrorKind::Conflict, text).with_hint("Load the table again, and try again.")
        })
    })
}

/// The table as the first updates of each kind describe it.
fn first_of(updates: &[TableUpdate]) -> Result<NewTable> {
    let missing = |what: &str| Error::invalid(format!("a new table needs {what}"));
    let mut new = NewTable {
        schema: updates.iter().find_map(schema).ok_or_else(|| missing("an add-schema update"))?,
        partition: UnboundPartitionSpec::builder().build(),
        order: Vec::new(),
        properties: Default::default(),
        location: String::new(),
        format_version: FormatVersion::V2,
    };
    let (mut has_spec, mut has_order) = (false, false);
    for update in updates {
        match update {
            TableUpdate::AddSpec { spec } if !has_spec => {
                has_spec = true;
                new.partition = spec.clone();
            }
            TableUpdate::AddSortOrder { sort_order } if !has_order => {
                has_order = true;
                new.order = sort_order.fields.clone();
            }
            TableUpdate::SetLocation { location } => {
                location.trim_end_matches('/').clone_into(&mut new.location)
            }
            TableUpdate::SetProperties { updates } => new.properties.extend(updates.clone()),
            TableUpdate::UpgradeFormatVersion { format_version } => new.format_version = *format_version,
            _ => {}
        }
    }
    if new.location.is_empty() {
        return Err(missing("a set-location update"));
    }
    Ok(new)
}

fn schema(update: &TableUpdate) -> Option<Schema> {
    match update {
        TableUpdate::AddSchema { schema } => Some(schema.clone()),
        _ => None,
    }
}

/// The files that are there already name columns and partitions by the ids that were staged.
fn check_ids(made: &TableMetadata, schema: &Schema, partition: &UnboundPartitionSpec) -> Result<()> {
    let same_columns = made.current_schema().as_struct() == schema.as_struct();
    let made: &PartitionSpec = made.default_partition_spec();
    let same_partitions = partition.fields().iter().zip(made.fields()).all(|(given, made)| {
        given.source_id == made.source_id && given.field_id.is_none_or(|id| id == made.field_id)
    });
    if same_columns && same_partitions {
        return Ok(());
    }
    Err(Error::invalid("the ids of the table's columns are not those that it gets")
        .with_hint("Create the table with stage-create, and send back the schema that is answered."))
}
