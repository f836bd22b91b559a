//! The crawl: points at a folder, finds out what is in it, and registers it as external tables. It decides nothing on
//! its own that it cannot give a reason for, and never reads or writes a row of anybody's table.
//!
//! ```text
//! location -> list -> probe each file (infer) -> group into tables -> plan (compare with the catalog) -> apply
//! ```
//!
//! A plan is a value: what would change, why, and the values that decided. Applying it is one commit, which also keeps
//! the record of the run; `stored.rs` applies a plan that was kept, and takes a run back.
mod apply;
mod group;
pub(crate) mod infer;
mod inference;
mod name;
mod plan;
mod procedures;
mod report;
mod request;
mod run;
mod stored;

#[cfg(test)]
mod tests;

pub(crate) use procedures::PROCEDURES;
pub use report::CrawlReport;
pub use request::{CrawlRequest, Mode};
pub use run::crawl;
