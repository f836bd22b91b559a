//! What a write is built on, and where the changes of others lie that it must not run over. For a statement that commits
//! by itself both are the table's head. In a transaction of several statements they are not: a write builds on what the
//! statements before it made of the table, and only what others did since the transaction began can be a conflict.
//!
//! ```text
//! base ── others ── head of the catalog ── first write ── second write ── this write
//! └────────┬─────────────────┘                                └─ Basis::head, built on
//!          └─ Others::Between, looked through for conflicts
//! ```
//!
//! It must never read a file. Next: `snapshot.rs`.

use iceberg::spec::TableMetadata;

use super::write::{TableWrite, Target};
use crate::object::TablePointer;

/// Row ids from here on belong to rows of a transaction that has not committed: the commit gives them others. Readers
/// take a data file with such a first row id for one that has none.
pub const PROVISIONAL_ROW_ID: u64 = 1 << 62;

/// What a write is built on and checked against.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The version that the new one follows; none when there is no such table.
    pub head: Option<(&'a TableMetadata, &'a TablePointer)>,
    pub others: Others<'a>,
    /// The id that the new snapshot gets, when an earlier statement of the transaction knows it by this id already.
    pub snapshot_id: Option<i64>,
    /// For the transaction's own eyes: the version gets no metadata.json, and its new rows get provisional ids.
    pub staged: bool,
}

/// Where changes by others are looked for.
#[derive(Debug, Clone, Copy)]
pub enum Others<'a> {
    /// Between the version that the statement read ([`Target::Existing`]) and `Basis::head`.
    SinceRead,
    /// Between these two; whatever else `Basis::head` has is the transaction's own.
    Between { base: &'a TableMetadata, head: &'a TableMetadata },
    /// Nobody else knows the table, or nobody else has changed it.
    Nowhere,
}

impl<'a> Basis<'a> {
    /// Of a statement that commits by itself.
    pub fn head(head: Option<(&'a TableMetadata, &'a TablePointer)>) -> Basis<'a> {
        Basis { head, others: Others::SinceRead, snapshot_id: None, staged: false }
    }

    /// The two versions between which others may have changed the table; none when they cannot have.
    pub fn changed_between(&self, write: &'a TableWrite) -> Option<(&'a TableMetadata, &'a TableMetadata)> {
        match (self.others, &write.target, self.head) {
            (Others::Between { base, head }, _, _) => Some((base, head)),
            (Others::SinceRead, Target::Existing { base }, Some((head, _))) => {
                Some((base.metadata.as_ref(), head))
            }
            (Others::SinceRead | Others::Nowhere, _, _) => None,
        }
    }
}
