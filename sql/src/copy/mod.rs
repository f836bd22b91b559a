//! `COPY`, as the doors know it: how the data is written, where the rows go that come in, and the files of the server that
//! data is in. The bytes themselves are the door's: this crate takes rows in and gives rows out, but for Parquet, which
//! it writes itself. It must never know a message or a byte of the other formats.
//!
//! ```text
//! COPY t FROM   door: bytes -> rows ── CopyIn ── channel ──> source.rs ──> the plan of an INSERT ──> files, commit
//!               the bytes are the client's, or those of a file (transfer.rs)
//! COPY t TO     a query ──> rows ── Outcome::CopyOut ──> door: rows -> bytes ──> client, or a file (transfer.rs)
//!                                └─ parquet.rs ──> a file
//! ```

mod many;
mod options;
mod parquet;
mod receive;
mod source;
mod transfer;

pub use options::{CopyColumns, CopyFormat, CopyHeader, CopyOptions};
pub(crate) use parquet::write_parquet;
pub use receive::CopyIn;
pub(crate) use source::{Incoming, copy_source};
pub use transfer::{FileBytes, FileSink};
