//! From text to rows. No sockets, no messages, no RocksDB.
pub mod crawl;
mod error;
pub mod files;
pub mod functions;
mod sqlstate;
mod statement;
pub mod system;
pub mod table;
pub mod types;

pub use error::{Error, Result};
pub use sqlstate::SqlState;
