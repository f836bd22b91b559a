//! Rows that are deleted without their data file being written again: position-delete files (format version 2), deletion
//! vectors (version 3) and equality deletes. `index.rs` says which delete files apply to a data file, `load.rs` which of
//! its rows they delete, `write.rs` makes new ones; `positions.rs`, `vector.rs` and `puffin.rs` know the file formats.
mod index;
#[cfg(test)]
mod java;
mod load;
mod positions;
mod puffin;
mod vector;
mod write;

pub use index::{
    DeleteIndex, FileDeletes, PositionDeletes, SnapshotFiles, SnapshotManifests, snapshot_files,
    snapshot_manifests,
};
pub(super) use index::{is_vector, partition_key};
pub use load::deleted_positions;
pub(super) use write::{Merged, Shrunk, merge_rows, superseded, write_deletes};
