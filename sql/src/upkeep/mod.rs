//! Upkeep of tables: what keeps them small, fast and tidy. Each deed is a procedure with its own file; it plans first,
//! in plain functions, and then does. Nothing here makes a writer fail: upkeep follows the newest version of a table or
//! gives way. It must never read a table in another way than queries do.
//!
//! ```text
//! procedures.rs  the entries of the table of procedures
//! report.rs      what a procedure answers with
//! optimize/      small files, deletes, order
//! manifests.rs   many small manifests
//! deletes.rs     many position-delete files of one data file
//! expire.rs      snapshots that have had their time
//! orphans.rs     files that nothing leads to
//! check.rs       every pointer and file, looked at
//! analyze.rs     how many distinct values columns have
//! vacuum.rs      the sum of them
//! health.rs      how much a table needs of it
//! schedule.rs    what the server does by itself, as policies ask
//! add_files.rs   Parquet files of others, made part of a table; adopt.rs says what such a file holds
//! register.rs    tables that exist already, taken into the catalog and out of it
//! ```
mod add_files;
mod adopt;
mod analyze;
mod check;
mod commit;
mod deletes;
mod expire;
mod health;
mod manifests;
mod optimize;
mod orphans;
mod procedures;
mod register;
mod report;
mod schedule;
mod vacuum;

pub(crate) use health::{Health, policy_text};
pub(crate) use procedures::PROCEDURES;
pub use schedule::maintain;

#[cfg(test)]
mod tests;
