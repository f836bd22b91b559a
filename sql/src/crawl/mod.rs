//! The crawl: points at a folder, finds out what is in it, and registers it as external tables. It decides nothing on
//! its own that it cannot give a reason for, and never reads or writes a row of anybody's table.
//!
//! ```text
//! location -> list -> probe each file (infer) -> group into tables -> plan (compare with the catalog) -> apply
//! ```
//!
//! A plan is a value: what would change, why, and the values that decided. Applying it is one commit.
mod apply;
mod group;
pub(crate) mod infer;
mod name;
mod plan;
mod report;
mod run;

#[cfg(test)]
mod tests;

pub use report::{CrawlReport, report_schema};
pub use run::{CrawlRequest, crawl};
