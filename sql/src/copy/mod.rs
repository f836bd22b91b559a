//! `COPY`, as the doors know it: how the data is written, and where the rows go that a client sends. The bytes themselves
//! are the door's: this crate takes rows in and gives rows out. It must never know a message or a byte of the formats.
//!
//! ```text
//! COPY t FROM   door: bytes -> rows ── CopyIn ── channel ──> source.rs ──> the plan of an INSERT ──> files, commit
//! COPY t TO     a query ──> rows ── Outcome::CopyOut ──> door: rows -> bytes
//! ```

mod options;
mod receive;
mod source;

pub use options::{CopyColumns, CopyFormat, CopyHeader, CopyOptions};
pub use receive::CopyIn;
pub(crate) use source::{Incoming, copy_source};
