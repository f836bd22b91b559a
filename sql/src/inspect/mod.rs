//! Tables about a table: `"t$snapshots"`, `"t$files"` and the like, with the columns that Spark and Trino have. They are
//! read from the metadata and the manifests alone; manifests are read one by one while the rows are asked for.
//!
//! ```text
//! kind.rs       which there are, and which of them are of one snapshot
//! provider.rs   one of them as DataFusion scans it
//! history.rs    rows of the metadata: snapshots, history, refs, metadata log, properties
//! manifests.rs  rows of manifest lists
//! files.rs      rows of manifests: files and entries
//! partitions.rs files added up by partition
//! partition.rs  partition values as one struct over all specs
//! bounds.rs     statistics of columns, for machines and for people
//! ```

mod bounds;
mod files;
mod history;
mod kind;
mod manifests;
mod partition;
mod partitions;
mod provider;

pub use kind::MetadataTable;
pub use provider::metadata_table;
