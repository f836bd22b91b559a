//! Manifests: the files that list a table's data files. `read.rs` says which files are live, `columnar.rs` is what a scan
//! is planned from, `rewrite.rs` writes those again that lose files, `merge.rs` those that grow too many, `write.rs`
//! writes the new ones, `uuids.rs` puts their headers right, and `inspect.rs` shows all that is in them.
mod columnar;
mod inspect;
mod merge;
mod read;
mod rewrite;
mod uuids;
mod write;

pub use columnar::{ColumnarManifest, Counts, FileColumn, Values, columnar};
pub use inspect::{ManifestRow, manifest_rows, manifests_of};
pub(super) use merge::merge;
pub(super) use read::{
    Decoded, READS_AT_ONCE, decode, is_live, manifest_list, parse_bytes, read_list, remember_list,
};
pub use read::{FileKey, LiveFile, file_key, live_files};
pub(super) use rewrite::remove;
pub(super) use uuids::parse_manifest;
pub(super) use write::{Entry, ManifestOutput, version_1_is_not_written};
