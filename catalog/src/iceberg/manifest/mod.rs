//! Manifests: the files that list a table's data files. `read.rs` says which files are live, `rewrite.rs` what becomes
//! of the manifests when some of them go or when they grow too many, `write.rs` writes the new ones.
mod read;
mod rewrite;
mod write;

pub(super) use read::{Decoded, READS_AT_ONCE, decode, is_live, manifest_list, parse_bytes};
pub use read::{LiveFile, live_files};
pub(super) use rewrite::{Removal, merge, remove};
pub(super) use write::{Entry, ManifestOutput, version_1_is_not_written};
