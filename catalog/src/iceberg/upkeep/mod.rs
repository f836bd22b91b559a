//! Upkeep of a table where no query engine is needed: which snapshots expire, which files nothing leads to any more,
//! and whether everything that leads somewhere leads to what it says. It must never move a pointer or keep a row.
//!
//! ```text
//! expire.rs      which snapshots, branches and tags have had their time             pure
//! reach.rs       the files that snapshots lead to, and those that only some lead to
//! orphans.rs     the files of a table's folder that nothing leads to
//! check.rs       every pointer and file of a table, looked at, with what is wrong
//! statistics.rs  sketches of distinct values, in Puffin files
//! ```
mod check;
mod expire;
mod orphans;
mod reach;
mod statistics;

pub use check::{CheckOptions, Problem, Severity, check_table};
pub use expire::{ExpireOptions, Expiry, expiry};
pub use orphans::{ORPHAN_AGE_MIN_MS, Orphan, Orphans, find_orphans};
pub use reach::{FileKind, Unreached, manifests, old_metadata_files, statistics_files, unreached};
pub use statistics::{DistinctSketch, write_statistics};
