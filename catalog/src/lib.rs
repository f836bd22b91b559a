//! What exists, who may, which version, which files: the catalog of Tarn. No SQL, no query engine, no wire.
pub mod access;
mod catalog;
mod change;
mod commit;
pub mod env;
mod error;
pub mod iceberg;
mod id;
pub mod name;
pub mod object;
mod reader;
mod secret;
pub mod storage;
mod store;
mod transaction;

pub use error::{Error, ErrorKind, ObjectKind, Result};
pub use id::*;
pub use reader::TableVersion;
pub use secret::Secret;
