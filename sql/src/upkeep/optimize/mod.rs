//! `optimize`: small files are joined, deletes are worked in, files of an older partitioning move into the current one,
//! and rows are put in order, group by group; each group is one commit.
//!
//! ```text
//! options.rs  what is asked for
//! choose.rs   which files, in which groups     pure
//! order.rs    in which order their rows go
//! zorder.rs   the bits of several columns, interleaved
//! run.rs      read, write, commit, try again
//! ```
mod choose;
mod options;
mod order;
mod run;
mod zorder;

pub(super) use options::{Options, PARAMETERS};
pub(super) use run::{optimize, run};
