//! Where files are: every file that Tarn reads, writes or deletes is reached through here, and nothing is reached
//! that has not passed the guard. It must never know what a table, a namespace or a grant is.
//!
//! ```text
//! text of a user or of metadata -> location (what it says) -> guard (may it?) -> Checked -> registry (its store)
//! ```
mod cache;
mod guard;
mod iceberg;
mod leftovers;
mod local;
mod location;
mod options;
mod profile;
mod registry;
mod s3;
mod sign;

pub use cache::{CacheFigures, DecodedCache};
pub use guard::{Checked, StorageGuard};
pub use iceberg::{HeldFiles, TableStorage};
pub use options::{S3Options, StorageOptions};
pub use registry::Storage;
pub use sign::{BucketAccess, Signed};
