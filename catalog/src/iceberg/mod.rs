//! Iceberg tables: their metadata, snapshots and manifests, as the specification has them
//! (<https://iceberg.apache.org/spec/>). It must never know a catalog key, a role or a query.
//!
//! ```text
//! write.rs      what a statement hands over: files that exist already, and what they mean
//! metadata.rs   the metadata.json of a new or replaced table
//! unreadable.rs a metadata.json that cannot be read in full
//! declared.rs   lengths of types and constraints, which Iceberg has no place for
//! partitioning.rs what files of all partitionings are partitioned by
//! state.rs      which snapshot and columns a reader sees: current, of a branch or tag, as of a time
//! basis.rs      what a write is built on, and where others may have come before it
//! start.rs      which version a write builds on, and whether its files fit
//! validate.rs   whether others have changed what a write rests on
//! changes.rs    which files of a snapshot go, and which come
//! foreign.rs    what another engine commits: looked at before it is believed
//! update.rs     a change of the metadata alone
//! snapshot.rs   a write and the table's head -> manifests, manifest list, metadata.json, new pointer
//! manifest/     manifests read (live files, cached) and written (rolled, merged)
//! deletes/      which rows of a data file are deleted, read and written
//! difference.rs what one snapshot changed
//! summary.rs    the figures of a snapshot that other engines expect
//! metrics/      bounds and counts of a data file, from the batches that go into it
//! data_file.rs  the description of one data file
//! upkeep/       what expires, what nothing leads to any more, what is wrong
//! location.rs   names of folders and files
//! ```
mod basis;
mod changes;
mod check;
mod data_file;
mod declared;
mod deletes;
mod difference;
mod foreign;
mod location;
mod manifest;
mod metadata;
pub mod metrics;
mod partitioning;
mod snapshot;
mod start;
mod state;
mod summary;
mod unreadable;
mod update;
pub mod upkeep;
mod validate;
mod write;

pub use basis::{Basis, Others, PROVISIONAL_ROW_ID};
pub use data_file::{FileFacts, describe_file};
pub use declared::{CONSTRAINTS_MAX, Constraint, ConstraintKind, DECLARED_PROPERTIES, Declared, identifying};
pub use deletes::{
    DeleteIndex, FileDeletes, PositionDeletes, SnapshotFiles, SnapshotManifests, deleted_positions,
    snapshot_files, snapshot_manifests,
};
pub use difference::{SnapshotChanges, snapshot_changes};
pub use foreign::{Effect, check_requirements, created, examine, examine_created};
pub use location::{data_file_location, default_location};
pub use manifest::{
    ColumnarManifest, Counts, FileColumn, FileKey, LiveFile, ManifestRow, Values, columnar, file_key,
    live_files, manifest_rows, manifests_of,
};
pub use metadata::{NewTable, new_table, parse_metadata, pointer_to, replace_table};
pub use partitioning::{field_of, partition_type};
pub use snapshot::produce;
pub use state::{TableState, references};
pub use unreadable::pointer_to_unreadable;
pub use write::{AnyFile, FileFilter, Operation, Produced, ReadSet, Rewrite, RowDelta, TableWrite, Target};
