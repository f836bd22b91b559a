//! Decoded columns of hot row groups, kept in memory: a scan that finds its columns here reads no byte of a file and
//! decodes nothing. What is kept is what the table's columns are today, under their types of today, rows that are
//! deleted included, so that every state of a table shares it. It must never decide which rows a query sees: that is
//! the plan of rows of `morsel.rs`.
//!
//! ```text
//! file -> footer, plan of rows -> offer (is every column here, or worth keeping?)
//!    yes -> group: columns from here, the others decoded and kept -> rows of the plan -> projection
//!    no  -> DataFusion's Parquet reader
//! ```
//!
//! `packed.rs` keeps them small, `cache.rs` says what stays, `pool.rs` gives its memory to operators that need it.
mod cache;
mod group;
mod offer;
mod packed;
mod pool;

pub use cache::{ColumnCache, ColumnFigures};
pub(crate) use offer::{ColumnReading, Scan};
pub use pool::YieldingPool;

#[cfg(test)]
mod tests;
