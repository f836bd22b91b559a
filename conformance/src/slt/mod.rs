//! SQL scripts: one folder per feature under `conformance/slt`, in the style of sqllogictest with what we need beside
//! it (users, restarts, files to read, SQLSTATEs). `script` reads a file into records, `runner` runs them against a
//! server of their own, `compare` says whether an answer is the expected one. The format is described in
//! `conformance/slt/README.md`.
//!
//! It is ours rather than the `sqllogictest` crate because an error here is a SQLSTATE with a position, a script has
//! several users and may restart its server, and all of that is less code than the crate's dependencies.

mod compare;
mod files;
mod frozen;
mod runner;
mod script;

pub use runner::{Protocol, run_all};
