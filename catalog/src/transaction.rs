//! A transaction: one version to read, and a list of changes that have not happened yet. Nothing here waits or writes;
//! it must never decide whether the changes fit. Next: `commit.rs`, which does; `block.rs` for transactions of several
//! statements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::TableWrite;
use crate::id::{NamespaceId, RelationId, RoleId};
use crate::object::Securable;
use crate::reader::Reader;

/// Issues ids. Those of a transaction that never commits are lost, and after a restart may be issued again, which
/// nobody can tell: they were in no row. An id that was in a row is never issued again.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) fn starting_at(next: u64) -> Ids {
        Ids(AtomicU64::new(next))
    }

    /// The id that will be issued next.
    pub(crate) fn next(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn issue(&self) -> Result<u64> {
        let issued = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |next| {
            (next <= u64::from(u32::MAX)).then_some(next + 1)
        });
        issued.map_err(|_| {
            Error::new(ErrorKind::Limit, "all object ids are used up")
                .with_detail("Every object ever created takes one of 4294967295 ids, as in PostgreSQL.")
        })
    }
}

/// What was read of a table whose rows must not have changed when the transaction commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// The newest rows of its main branch. Files that others have only rewritten, as compaction does, are no change.
    Current,
    /// Another branch, or an older state: any change of the table counts.
    Other,
}

/// A write, and the id of its snapshot if statements after it know it by this id.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub write: TableWrite,
    pub snapshot_id: Option<i64>,
}

/// Changes to commit together.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub(crate) principal: RoleId,
    pub(crate) changes: Vec<Change>,
    pub(crate) writes: Vec<Planned>,
    pub(crate) unchanged: Vec<Securable>,
    pub(crate) reads: BTreeMap<RelationId, Reading>,
    pub(crate) in_turn: bool,
    reader: Reader,
    ids: Arc<Ids>,
}

impl Transaction {
    pub(crate) fn new(principal: RoleId, reader: Reader, ids: Arc<Ids>) -> Transaction {
        Transaction {
            principal,
            changes: Vec::new(),
            writes: Vec::new(),
            unchanged: Vec::new(),
            reads: BTreeMap::new(),
            in_turn: false,
            reader,
            ids,
        }
    }

    /// The version that the transaction rests on. It does not show the transaction's own changes.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    pub fn new_namespace_id(&self) -> Result<NamespaceId> {
        self.ids.issue().map(NamespaceId)
    }

    pub fn new_relation_id(&self) -> Result<RelationId> {
        self.ids.issue().map(RelationId)
    }

    pub fn new_role_id(&self) -> Result<RoleId> {
        self.ids.issue().map(RoleId)
    }

    /// Adds a change, to be made after those before it.
    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds a new version of a table, whose data files are written already. It is made after all pushed changes; the
    /// commit adds the `MovePointer` and `FinishWrite` that belong to it.
    pub fn write_table(&mut self, write: TableWrite) {
        self.writes.push(Planned { write, snapshot_id: None });
    }

    /// Lets the commit fail if somebody changes or drops this object first: the sources of a view, for example.
    pub fn assume_unchanged(&mut self, object: Securable) {
        self.unchanged.push(object);
    }

    /// Lets the commit fail if somebody changes the rows of a table that the transaction has read: for serializable
    /// transactions.
    pub fn assume_rows_unchanged(&mut self, relation: RelationId, reading: Reading) {
        let known = self.reads.entry(relation).or_insert(reading);
        *known = (*known).max(reading);
    }

    /// Says that whoever commits this has the turn of the table that it writes.
    pub fn in_turn(&mut self) {
        self.in_turn = true;
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub fn table_writes(&self) -> impl Iterator<Item = &TableWrite> {
        self.writes.iter().map(|planned| &planned.write)
    }

    /// Nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.writes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_end_where_postgresql_oids_end() -> Result<()> {
        let ids = Ids::starting_at(u64::from(u32::MAX) - 1);
        assert_eq!(ids.issue()?, u64::from(u32::MAX) - 1);
        assert_eq!(ids.issue()?, u64::from(u32::MAX));
        assert_eq!(ids.issue().map_err(|error| error.kind), Err(ErrorKind::Limit));
        assert_eq!(ids.next(), u64::from(u32::MAX) + 1);
        Ok(())
    }
}
