//! How the catalog is kept: an ordered map of rows in named spaces, with old versions readable and each commit whole.
//! It must never know what a row means. Next: `keys.rs` for the layout, `rocks.rs` for the disk, `memory.rs` for the
//! model that tests compare it with, `overlay.rs` for rows that only a transaction sees.
//!
//! Old versions of rows are kept for ever, about a kilobyte per commit: nothing removes them yet.

mod chain;
pub mod keys;
mod memory;
#[cfg(test)]
mod model_test;
mod overlay;
mod rocks;
pub mod values;

use std::fmt::Debug;

use bytes::Bytes;

pub use chain::{GENESIS, LogEntry, LogRow, verify};
pub use memory::Memory;
pub use overlay::Overlay;
pub use rocks::Rocks;

use crate::error::Result;
use crate::id::CommitSequence;

/// A group of rows with one kind of key; one RocksDB column family each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    System,
    Name,
    Object,
    Pointer,
    Metadata,
    Grant,
    Role,
    Log,
    Intent,
    Upkeep,
}

impl Space {
    pub const ALL: [Space; 10] = [
        Space::System,
        Space::Name,
        Space::Object,
        Space::Pointer,
        Space::Metadata,
        Space::Grant,
        Space::Role,
        Space::Log,
        Space::Intent,
        Space::Upkeep,
    ];

    /// The column family. Stored on disk: a name never changes.
    pub fn name(self) -> &'static str {
        match self {
            Space::System => "system",
            Space::Name => "name",
            Space::Object => "object",
            Space::Pointer => "pointer",
            Space::Metadata => "metadata",
            Space::Grant => "grant",
            Space::Role => "role",
            Space::Log => "log",
            Space::Intent => "intent",
            Space::Upkeep => "upkeep",
        }
    }

    /// Whether old versions of a row stay readable. Rows of the other spaces are simply overwritten and deleted:
    /// they are never read at an old version.
    pub fn is_versioned(self) -> bool {
        match self {
            Space::Name | Space::Object | Space::Pointer | Space::Grant | Space::Role => true,
            Space::System | Space::Metadata | Space::Log | Space::Intent | Space::Upkeep => false,
        }
    }
}

/// Where the catalog's history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Of the last commit.
    pub sequence: CommitSequence,
    /// Of the last log entry.
    pub hash: [u8; 32],
    /// No object has this id or a larger one.
    pub next_id: u64,
}

impl Head {
    /// The head of a store that nothing was written to.
    pub fn empty() -> Head {
        Head { sequence: CommitSequence(0), hash: GENESIS, next_id: crate::id::FIRST_NORMAL_ID }
    }
}

/// One version of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub value: Bytes,
    /// The commit that wrote it; 0 in spaces that keep no versions.
    pub written_at: CommitSequence,
}

/// A row to write; without a value it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub space: Space,
    pub key: Vec<u8>,
    pub value: Option<Bytes>,
    /// The commit it belongs to; ignored in spaces that keep no versions.
    pub sequence: CommitSequence,
}

/// Everything that becomes true at once.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The head after it.
    pub head: Head,
    pub writes: Vec<Write>,
}

/// A row found by a scan.
pub type Row = (Vec<u8>, Versioned);

/// An ordered map that remembers. Reads may come from any thread; [`Store::apply`] from one at a time.
pub trait Store: Send + Sync + Debug {
    fn head(&self) -> Head;

    /// The newest version of a row that is not newer than `at`.
    fn get(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<Versioned>>;

    /// The rows whose key starts with `prefix` and comes after `after`, in the order of their keys, as they were at
    /// `at`. At most `limit`.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: CommitSequence,
    ) -> Result<Vec<Row>>;

    /// Writes the whole batch or nothing, and returns when it would survive a loss of power. On an error of kind
    /// `OutcomeUnknown` it may be either, and the store takes no more writes until it is opened again.
    fn apply(&self, batch: Batch) -> Result<()>;
}
