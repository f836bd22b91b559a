//! Makes what one statement of a block did visible to the statements after it, and to nobody else: its table writes become
//! versions with manifests but no metadata.json, its changes are decided over the block's own view, and the rows that
//! come of it are laid over the version the block reads. What does not fit is an error of this statement.
//!
//! The manifests belong to writes of their own, one per table, so that the end of the block, or the next start after a
//! crash, takes them away. It must never move a pointer that anybody else sees.

use std::collections::BTreeMap;

use super::decide::{self, Moment};
use super::gather::{self, Table};
use super::look::look;
use super::{IntentChange, Parts, Work, WriteIntent};
use crate::block::{Block, Staging};
use crate::change::Change;
use crate::error::Result;
use crate::iceberg::{Basis, Operation, Others, TableWrite, Target, produce};
use crate::id::{CommitSequence, RelationId, WriteId};
use crate::reader::{Reader, remember};
use crate::store::{Space, keys, values};
use crate::transaction::Transaction;

impl Parts {
    /// Says, durably, that files below `location` whose names contain the returned id are nobody's unless a commit says
    /// otherwise.
    pub(crate) async fn begin_write(&self, location: &str) -> Result<WriteId> {
        let write = WriteId(self.env.uuid());
        let begun_at_ms = self.env.now_ms();
        let intent = WriteIntent { write, location: location.to_owned(), begun_at_ms, abandoned: false };
        self.change_intent(IntentChange::Begin(intent)).await?;
        Ok(write)
    }

    pub(crate) async fn change_intent(&self, change: IntentChange) -> Result<()> {
        self.committer.submit(Work::Intent(change), Vec::new()).await?;
        Ok(())
    }
}

/// Adds a statement's transaction to a block. When this fails the block is as it was.
pub(crate) async fn stage(parts: &Parts, block: &mut Block, statement: Transaction) -> Result<()> {
    block.check_room(&statement)?;
    let reader = block.reader();
    let dropped = gather::dropped(&statement);
    let mut tables = BTreeMap::new();
    let mut snapshots = Vec::with_capacity(statement.writes.len());
    for planned in &statement.writes {
        let write = &planned.write;
        if dropped.contains(&write.relation) {
            snapshots.push(None);
            continue;
        }
        let earlier = match tables.remove(&write.relation) {
            Some(table) => Some(table),
            None => current(&reader, write.relation).await?,
        };
        let (table, snapshot_id) = stage_write(parts, block, write, earlier).await?;
        tables.insert(write.relation, table);
        snapshots.push(snapshot_id);
    }
    lay(block, &statement, tables, parts)?;
    block.holds.push(parts.held.hold(changed_files(&statement)));
    for (mut planned, snapshot_id) in statement.writes.into_iter().zip(snapshots) {
        planned.snapshot_id = snapshot_id;
        block.made.writes.push(planned);
    }
    block.made.changes.extend(statement.changes);
    for (relation, reading) in statement.reads {
        block.made.assume_rows_unchanged(relation, reading);
    }
    Ok(())
}

/// The data files of others that a statement takes rows out of.
fn changed_files(statement: &Transaction) -> Vec<String> {
    let deltas = statement.table_writes().filter_map(|write| match &write.operation {
        Operation::RowDelta(delta) => Some(delta.deleted.keys().chain(&delta.removed)),
        _ => None,
    });
    deltas.flatten().cloned().collect()
}

async fn current(reader: &Reader, relation: RelationId) -> Result<Option<Table>> {
    match reader.pointer(relation)? {
        Some(_) => Ok(Some(Table::at(&*reader.table(relation).await?))),
        None => Ok(None),
    }
}

/// Writes the manifests of a version; gives the version, and the snapshot that it adds.
async fn stage_write(
    parts: &Parts,
    block: &mut Block,
    write: &TableWrite,
    earlier: Option<Table>,
) -> Result<(Table, Option<i64>)> {
    let location = match &write.target {
        Target::New(metadata) | Target::Replace { staged: metadata, .. } => metadata.location(),
        Target::Existing { base } => base.metadata.location(),
    };
    if !block.staging.contains_key(location) {
        let staging = Staging { write: parts.begin_write(location).await?, files: Vec::new() };
        block.staging.insert(location.to_owned(), staging);
    }
    let Some(staging) = block.staging.get_mut(location) else {
        return Err(crate::error::Error::internal("a staging write is missing"));
    };
    let own = TableWrite { write: staging.write, ..write.clone() };
    let head = earlier.as_ref().map(|table| (table.metadata.as_ref(), &table.pointer));
    // Everything since the version that the statement read is the block's own.
    let basis = Basis { head, others: Others::Nowhere, snapshot_id: None, staged: true };
    let made = produce(&parts.storage, parts.env.as_ref(), &own, basis).await?;
    staging.files.extend(made.files);
    let mut pointer = made.pointer;
    // No such file is written; the name only has to be this version's alone, for the cache of parsed metadata.
    let name = pointer.metadata_location.replace(&own.write.to_string(), &parts.env.uuid().to_string());
    pointer.metadata_location = name;
    let is_new = |id: &i64| head.is_none_or(|(metadata, _)| metadata.snapshot_by_id(*id).is_none());
    let snapshot_id = made.metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).find(is_new);
    let before = earlier.as_ref().and_then(|table| table.before.clone());
    let table = Table { before, read: None, metadata: made.metadata.into(), json: made.json, pointer };
    Ok((table, snapshot_id))
}

/// Decides the statement's changes as if the block's own rows were the catalog, and lays the outcome over it.
fn lay(
    block: &mut Block,
    statement: &Transaction,
    tables: BTreeMap<RelationId, Table>,
    parts: &Parts,
) -> Result<()> {
    let at = block.base().sequence();
    let mut changes = statement.changes.clone();
    for (relation, table) in tables {
        let metadata_json = values::compress(&table.json)?;
        remember(&parts.storage, &table.pointer.metadata_location, table.metadata, table.json.len());
        let (before, after) = (table.before, table.pointer);
        changes.push(Change::MovePointer { relation, before, after, metadata_json });
    }
    let mut facts = look(&block.rows, at, decide::lookups(&changes, &[]))?;
    let moment = Moment { base: at, sequence: CommitSequence(at.0 + 1) };
    decide::decide(moment, &changes, &[], &mut facts)?;
    // What the block itself made or changed is checked by those changes.
    let unchanged = statement.unchanged.iter().copied();
    let others = unchanged.filter(|object| !block.rows.covers(Space::Object, &keys::securable(*object)));
    block.made.unchanged.extend(others);
    block.rows.lay(facts.into_writes(), moment.sequence);
    Ok(())
}
