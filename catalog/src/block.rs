//! A transaction of several statements: `BEGIN … COMMIT`. Each statement reads the version at its beginning with what the
//! statements before it have made laid over it, and hands over a [`Transaction`] of its own, which is staged: checked
//! against what the block sees, and kept, for the commit to make all of them on the newest version at once.
//!
//! ```text
//! version at BEGIN ─┬─ reader ─> statement 1 ─ Transaction ─> stage ─┐
//!                   └─ + rows laid over it  <────────────────────────┘ reader ─> statement 2 ─ …
//!                                                    COMMIT: changes and writes of all, in order, as one Transaction
//! ```
//!
//! It must never write to the catalog's store. Next: `commit/stage.rs`, which adds to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::held::Hold;
use crate::id::{RelationId, WriteId};
use crate::reader::Reader;
use crate::store::Overlay;
use crate::transaction::{Reading, Transaction};

/// Changes and writes that one block may gather.
const STEPS_MAX: usize = 100_000;

/// A transaction of several statements that has not ended.
#[derive(Debug)]
pub struct Block {
    /// What the commit will get. Its reader is the version at the beginning.
    pub(crate) made: Transaction,
    pub(crate) rows: Overlay,
    /// The writes that own the manifests of staged versions, by the table's folder.
    pub(crate) staging: BTreeMap<String, Staging>,
    /// The data files that its statements have taken rows out of.
    pub(crate) holds: Vec<Hold>,
}

/// Files that only the block reads.
#[derive(Debug)]
pub(crate) struct Staging {
    pub write: WriteId,
    pub files: Vec<String>,
}

/// A point in a block to go back to. Cheap.
#[derive(Debug, Clone)]
pub struct Savepoint {
    changes: usize,
    writes: usize,
    unchanged: usize,
    rows: Overlay,
}

impl Block {
    pub(crate) fn new(made: Transaction) -> Block {
        let rows = Overlay::new(made.reader().store().clone());
        Block { made, rows, staging: BTreeMap::new(), holds: Vec::new() }
    }

    /// The version at the beginning with everything that the block has made.
    pub fn reader(&self) -> Reader {
        self.made.reader().over(Arc::new(self.rows.clone()))
    }

    /// The version at the beginning.
    pub fn base(&self) -> &Reader {
        self.made.reader()
    }

    /// Nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// As [`Transaction::assume_rows_unchanged`], for a statement that only reads.
    pub fn assume_rows_unchanged(&mut self, relation: RelationId, reading: Reading) {
        self.made.assume_rows_unchanged(relation, reading);
    }

    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            changes: self.made.changes.len(),
            writes: self.made.writes.len(),
            unchanged: self.made.unchanged.len(),
            rows: self.rows.clone(),
        }
    }

    /// Forgets what was made since, and tells the writes whose files nobody needs any more. What was read since stays
    /// read: its rows may be in the client's hands.
    pub(crate) fn back_to(&mut self, savepoint: &Savepoint) -> BTreeSet<WriteId> {
        let changes = self.made.changes.split_off(savepoint.changes);
        let writes = self.made.writes.split_off(savepoint.writes);
        self.made.unchanged.truncate(savepoint.unchanged);
        self.rows = savepoint.rows.clone();
        let kept = self.made.write_ids();
        let forgotten = writes.iter().map(|planned| planned.write.write).chain(finished(&changes));
        forgotten.filter(|write| !kept.contains(write)).collect()
    }

    pub(crate) fn check_room(&self, more: &Transaction) -> Result<()> {
        let steps = |transaction: &Transaction| transaction.changes.len() + transaction.writes.len();
        if steps(&self.made) + steps(more) <= STEPS_MAX {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, "the transaction makes too many changes")
            .with_detail(format!("It may make {STEPS_MAX}."))
            .with_hint("Commit more often, or write more rows with each statement."))
    }
}

impl Transaction {
    /// The writes whose files the commit makes part of tables.
    pub(crate) fn write_ids(&self) -> BTreeSet<WriteId> {
        self.table_writes().map(|write| write.write).chain(finished(&self.changes)).collect()
    }
}

fn finished(changes: &[Change]) -> impl Iterator<Item = WriteId> {
    changes.iter().filter_map(|change| match change {
        Change::FinishWrite(write) => Some(*write),
        _ => None,
    })
}
