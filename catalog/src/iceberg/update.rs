//! A change of a table's metadata alone: columns, partitioning, properties, branches and tags, snapshots that expire.
//! It must never read or write a file; `snapshot.rs` writes what this makes.

use std::collections::BTreeSet;

use iceberg::spec::{MAIN_BRANCH, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use super::metadata::{refused, updated_at};
use super::state::references;
use crate::error::{Error, ErrorKind, Result};

/// The metadata after all updates, or a conflict when a requirement does not hold for `head`. `previous` is where `head`
/// is written, `now_ms` the time of the change.
pub fn update(
    head: TableMetadata,
    previous: Option<String>,
    requirements: &[TableRequirement],
    updates: &[TableUpdate],
    now_ms: i64,
) -> Result<TableMetadata> {
    for requirement in requirements {
        requirement.check(Some(&head)).map_err(not_met)?;
    }
    check(&head, updates)?;
    // A reference that moves gets a time of its own, so that time travel by time has one answer.
    let now_ms = now_ms.max(head.last_updated_ms() + 1);
    let before = head.history().last().cloned();
    let expired = expired(updates);
    let mut builder = head.into_builder(previous);
    for update in updates {
        builder = update.clone().apply(builder).map_err(refused)?;
    }
    for snapshot_id in &expired {
        builder = builder.remove_statistics(*snapshot_id).remove_partition_statistics(*snapshot_id);
    }
    let built = builder.build().map_err(refused)?.metadata;
    let moves_main = |update: &TableUpdate| match update {
        TableUpdate::SetSnapshotRef { ref_name, .. } => ref_name == MAIN_BRANCH,
        _ => false,
    };
    // The builder takes the time of a branch that moves from the machine.
    let moved = updates.iter().any(moves_main) && built.history().last() != before.as_ref();
    updated_at(built, now_ms, moved.then_some(now_ms))
}

/// Refuses what the builder lets through and should not.
fn check(head: &TableMetadata, updates: &[TableUpdate]) -> Result<()> {
    let moves = |update: &TableUpdate| match update {
        TableUpdate::SetLocation { location } => location.trim_end_matches('/') != head.location(),
        _ => false,
    };
    if updates.iter().any(moves) {
        return Err(Error::new(ErrorKind::Unsupported, "the location of a table cannot be changed")
            .with_hint("Make a table there, and INSERT INTO it the rows of this one."));
    }
    let renamed =
        |update: &TableUpdate| matches!(update, TableUpdate::AssignUuid { uuid } if *uuid != head.uuid());
    if updates.iter().any(renamed) {
        return Err(Error::new(ErrorKind::Unsupported, "the UUID of a table cannot be changed"));
    }
    let expired = expired(updates);
    if expired.is_empty() {
        return Ok(());
    }
    let mut references = references(head)?;
    for update in updates {
        match update {
            TableUpdate::RemoveSnapshotRef { ref_name } => {
                references.remove(ref_name);
            }
            TableUpdate::SetSnapshotRef { ref_name, reference } => {
                references.insert(ref_name.clone(), reference.clone());
            }
            _ => {}
        }
    }
    // The builder would drop the reference without a word.
    match references.iter().find(|(_, reference)| expired.contains(&reference.snapshot_id)) {
        Some((name, reference)) => Err(Error::new(
            ErrorKind::Conflict,
            format!("snapshot {} is what branch or tag \"{name}\" points to", reference.snapshot_id),
        )
        .with_hint("Keep the snapshot, or drop the branch or tag first.")),
        None => Ok(()),
    }
}

fn expired(updates: &[TableUpdate]) -> BTreeSet<i64> {
    let ids = updates.iter().filter_map(|update| match update {
        TableUpdate::RemoveSnapshots { snapshot_ids } => Some(snapshot_ids),
        _ => None,
    });
    ids.flatten().copied().collect()
}

fn not_met(error: iceberg::Error) -> Error {
    let what = error.message().trim_start_matches("Requirement failed: ").to_string();
    Error::new(ErrorKind::Conflict, "the table was changed by another transaction")
        .with_detail(format!("{what}."))
        .with_hint("Run the statement again.")
}
