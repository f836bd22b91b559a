//! What a statement hands over for one table: data files that are written already, and what they mean.
//! It must never know how they were made. Next: `snapshot.rs`, which turns a write into a new version of the table.

use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{DataFile, TableMetadata};

use crate::id::{RelationId, WriteId};
use crate::object::TablePointer;
use crate::reader::TableVersion;

/// A write to one table, waiting for its commit.
#[derive(Debug, Clone)]
pub struct TableWrite {
    pub relation: RelationId,
    /// The table as messages call it.
    pub name: String,
    pub target: Target,
    /// Part of the name of every file that this write makes.
    pub write: WriteId,
    pub operation: Operation,
    pub added: Vec<DataFile>,
}

/// The table that is written to.
#[derive(Debug, Clone)]
pub enum Target {
    /// One that this commit creates: made by [`super::new_table`], without a snapshot, not yet written anywhere.
    New(Box<TableMetadata>),
    /// One that this commit replaces (`CREATE OR REPLACE`): made by [`super::replace_table`] from the version at `base`.
    Replace { staged: Box<TableMetadata>, base: TablePointer },
    /// The version that the statement read.
    Existing { base: Arc<TableVersion> },
}

/// What happens to the files that the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Nothing is there and nothing is added: the table gets metadata and no snapshot.
    CreateEmpty,
    /// They stay.
    Append,
    /// They all go.
    OverwriteAll,
    /// Those in a partition that an added file is in go.
    OverwritePartitions,
    /// They all go and nothing comes.
    Truncate,
}

/// A new version of a table, in object storage but not yet pointed to.
#[derive(Debug, Clone)]
pub struct Produced {
    pub metadata: TableMetadata,
    /// The metadata file's content.
    pub json: Bytes,
    pub pointer: TablePointer,
    /// URLs of the metadata files that were written, to be deleted if the commit does not happen.
    pub files: Vec<String>,
}
