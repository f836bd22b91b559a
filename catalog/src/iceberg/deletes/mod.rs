//! Rows that are deleted without their data file being written again: position-delete files (format version 2), deletion
//! vectors (version 3) and equality deletes. `index.rs` says which delete files apply to a data file, `load.rs` which of
//! its rows they delete; `positions.rs` and `vector.rs` know the two file formats.
mod index;
mod load;
mod positions;
mod vector;

pub use index::{DeleteIndex, FileDeletes, PositionDeletes, SnapshotFiles, snapshot_files};
pub use load::deleted_positions;
