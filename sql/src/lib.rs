//! From text to rows. No sockets, no messages, no RocksDB.
//!
//! A statement is parsed, resolved, authorized, planned and executed; `session.rs` takes it through these steps.

mod activity;
mod advisory;
mod engine;
mod notify;
mod outcome;
mod portal;
mod prepared;
mod probes;
mod session;
mod settings;
mod temporary;
mod transaction;

mod parse;
mod statement;

mod resolve;

mod authorize;
mod constant;

mod plan;

mod optimize;

mod procedure;
mod upkeep;

mod again;
mod copy;
mod execute;
mod stop;

pub mod table;

mod inspect;

pub mod files;

pub mod crawl;

pub mod system;

pub mod functions;
pub mod types;

mod error;
mod sqlstate;

pub use copy::{CopyColumns, CopyFormat, CopyHeader, CopyIn, CopyOptions, FileBytes, FileSink};
pub use engine::{Engine, EngineOptions, Login};
pub use error::{Error, Result};
pub use notify::Notification;
pub use outcome::{Notice, Outcome, Rows, Severity};
pub use parse::{Parsed, STATEMENT_BYTES_MAX};
pub use prepared::{Named, Prepared};
pub use session::{Canceller, Session, TransactionStatus};
pub use sqlstate::SqlState;
pub use system::Shapes;
pub use table::ColumnFigures;
pub use tarn_catalog::storage::CacheFigures;
pub use transaction::Origin;
pub use upkeep::maintain;
