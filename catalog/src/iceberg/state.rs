//! One state of a table that a query reads: a version, one of its snapshots, and the columns to read it with.
//! It must never read a file. Next: `manifest/`, which lists the files of the snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{MAIN_BRANCH, SchemaRef, Snapshot, SnapshotReference, SnapshotRetention, TableMetadata};

use crate::error::{Error, ErrorKind, Result};
use crate::reader::TableVersion;

/// A table as one query sees it.
#[derive(Debug, Clone)]
pub struct TableState {
    pub version: Arc<TableVersion>,
    /// None: the table is empty.
    pub snapshot_id: Option<i64>,
    /// The current columns for a branch, those of its time for a snapshot or tag.
    pub schema: SchemaRef,
}

impl TableState {
    /// The newest state of the main branch.
    pub fn current(version: Arc<TableVersion>) -> TableState {
        let (snapshot_id, schema) = {
            let metadata = &version.metadata;
            (metadata.current_snapshot_id(), Arc::clone(metadata.current_schema()))
        };
        TableState { version, snapshot_id, schema }
    }

    /// A branch or tag. `main` of a table without snapshots is empty.
    pub fn of_reference(version: Arc<TableVersion>, name: &str) -> Result<TableState> {
        if name == MAIN_BRANCH {
            return Ok(TableState::current(version));
        }
        let references = references(&version.metadata)?;
        let Some(SnapshotReference { snapshot_id, retention }) = references.get(name).cloned() else {
            return Err(no_reference(&references, name));
        };
        match retention {
            SnapshotRetention::Branch { .. } => {
                let schema = Arc::clone(version.metadata.current_schema());
                Ok(TableState { version, snapshot_id: Some(snapshot_id), schema })
            }
            SnapshotRetention::Tag { .. } => TableState::of_snapshot(version, snapshot_id),
        }
    }

    pub fn of_snapshot(version: Arc<TableVersion>, snapshot_id: i64) -> Result<TableState> {
        let Some(snapshot) = version.metadata.snapshot_by_id(snapshot_id) else {
            return Err(Error::invalid(format!("there is no snapshot {snapshot_id}"))
                .with_hint("It may have expired; the table's snapshots say which ones there are."));
        };
        let schema = schema_of(&version.metadata, snapshot);
        Ok(TableState { version, snapshot_id: Some(snapshot_id), schema })
    }

    /// The snapshot that was current on the main branch at a time, milliseconds since the Unix epoch.
    pub fn as_of(version: Arc<TableVersion>, at_ms: i64) -> Result<TableState> {
        let history = version.metadata.history();
        match history.iter().rev().find(|entry| entry.timestamp_ms <= at_ms) {
            Some(entry) => {
                let snapshot_id = entry.snapshot_id;
                TableState::of_snapshot(version, snapshot_id)
            }
            None => Err(Error::invalid("the table has no snapshot as old as that").with_hint(
                "Its snapshots, and when they were made, are in the table named with $snapshots.",
            )),
        }
    }
}

fn schema_of(metadata: &TableMetadata, snapshot: &Snapshot) -> SchemaRef {
    let schema = snapshot.schema_id().and_then(|id| metadata.schema_by_id(id));
    Arc::clone(schema.unwrap_or_else(|| metadata.current_schema()))
}

/// The branches and tags of a table, by name. The Iceberg crate tells them only in the metadata's JSON.
pub fn references(metadata: &TableMetadata) -> Result<BTreeMap<String, SnapshotReference>> {
    let broken = |source| Error::internal("table metadata cannot be written as JSON").with_source(source);
    let mut json = serde_json::to_value(metadata).map_err(broken)?;
    match json.get_mut("refs") {
        Some(references) => serde_json::from_value(references.take()).map_err(broken),
        None => Ok(BTreeMap::new()),
    }
}

pub(super) fn no_reference(references: &BTreeMap<String, SnapshotReference>, name: &str) -> Error {
    let known: Vec<&str> = references.keys().map(String::as_str).collect();
    let text = format!("branch or tag \"{name}\" does not exist");
    Error::new(ErrorKind::InvalidArgument, text).with_hint(format!("There are: {}.", known.join(", ")))
}
