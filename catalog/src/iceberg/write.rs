//! What a statement hands over for one table: data files that are written already, and what they mean.
//! It must never know how they were made. Next: `snapshot.rs`, which turns a write into a new version of the table.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};
use roaring::RoaringTreemap;

use super::manifest::LiveFile;
use super::metadata::NewTable;
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
    /// The branch that moves: [`iceberg::spec::MAIN_BRANCH`] unless the statement names another.
    pub branch: String,
    pub operation: Operation,
    /// New data files, of any operation that adds rows.
    pub added: Vec<DataFile>,
}

/// The table that is written to.
#[derive(Debug, Clone)]
pub enum Target {
    /// One that this commit creates: made by [`super::new_table`], without a snapshot, not yet written anywhere.
    New(Box<TableMetadata>),
    /// One that this commit replaces (`CREATE OR REPLACE`): made by [`super::replace_table`] from the version at `base`.
    Replace {
        staged: Box<TableMetadata>,
        /// What `staged` was made from, to make it again when the version at `base` is made again: by the commit of a
        /// transaction that wrote the table before. Without it such a transaction is refused.
        definition: Option<Box<NewTable>>,
        base: TablePointer,
    },
    /// The version that the statement read.
    Existing { base: Arc<TableVersion> },
}

/// What happens to the files that the table has.
#[derive(Debug, Clone)]
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
    /// Single rows go, and others may come: DELETE, UPDATE, MERGE.
    RowDelta(RowDelta),
    /// Files make room for added ones that hold the same rows: compaction and the like.
    Rewrite(Rewrite),
    /// The metadata alone changes: columns, partitioning, properties, branches, snapshots that expire.
    Update {
        /// Must hold for the version that the catalog points to when the commit comes.
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    },
}

/// Rows that a statement takes out of a branch.
#[derive(Debug, Clone, Default)]
pub struct RowDelta {
    /// Rows by the URL of their data file, each counted from 0 in the file. They become deletion vectors in format
    /// version 3 and position-delete files in version 2. None of them was deleted in the version the statement read.
    pub deleted: BTreeMap<String, RoaringTreemap>,
    /// Data files that go as a whole: all their rows are deleted, or the added files hold what is left of them. Delete
    /// files that only they had go with them.
    pub removed: Vec<String>,
    /// What the statement read, where it must not have changed.
    pub read: Option<ReadSet>,
}

/// What must not have changed for a serializable commit: no file that this filter lets through was added since.
#[derive(Debug, Clone)]
pub struct ReadSet(pub Arc<dyn FileFilter>);

/// Tells from their descriptions which data files may hold rows of interest.
pub trait FileFilter: Debug + Send + Sync {
    /// One answer per file; true where in doubt.
    fn may_match(&self, metadata: &TableMetadata, files: &[LiveFile]) -> Vec<bool>;
}

/// Every file may hold a row of interest.
#[derive(Debug, Clone, Copy)]
pub struct AnyFile;

impl FileFilter for AnyFile {
    fn may_match(&self, _metadata: &TableMetadata, files: &[LiveFile]) -> Vec<bool> {
        vec![true; files.len()]
    }
}

/// Files that make room for others with the same rows.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    /// URLs of data files; rows of them that are deleted later than in the version that was read are a conflict.
    pub removed: Vec<String>,
    /// URLs of data files that stay, and whose position deletes become one delete file each: a deletion vector in format
    /// version 3.
    pub merged_deletes: Vec<String>,
    /// The added files take this data sequence number, so that later equality deletes still apply to them.
    pub data_sequence_number: Option<i64>,
    /// Small manifests are merged, however few there are.
    pub merge_manifests: bool,
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
