//! What exists, who may, which version, which files: the catalog of Tarn. No SQL, no query engine, no wire.
//!
//! Read in this order: `object.rs` says what there is, `change.rs` how it changes, `transaction.rs` and `commit.rs`
//! how changes become true together, `block.rs` how several statements gather them, `reader.rs` how they are seen, `store/` how they are kept.

pub mod name;

mod id;

pub mod object;

pub mod crawler;

pub mod access;

mod change;

mod transaction;

mod block;

mod commit;

mod reader;

mod sight;

mod pins;

mod held;

mod catalog;

mod store;

pub mod iceberg;

pub mod storage;

pub mod scram;

mod secret;

pub mod env;

mod error;

pub use block::{Block, Savepoint};
pub use catalog::{Catalog, MetadataChange, Options, Reaped};
pub use change::Change;
pub use commit::{Answer, Answered, Discard, Turn, UpkeepRecord};
pub use error::{Error, ErrorKind, ObjectKind, Result};
pub use id::*;
pub use object::Securable;
pub use reader::{Reader, TableVersion};
pub use secret::Secret;
pub use store::LogEntry;
pub use transaction::{Reading, Transaction};
