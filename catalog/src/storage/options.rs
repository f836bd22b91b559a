//! What the process must say about its stores before any of them is opened. `server` fills this from its settings.

use std::path::PathBuf;

use crate::secret::Secret;

/// Settings of all storage access.
#[derive(Debug, Clone, Default)]
pub struct StorageOptions {
    pub s3: S3Options,
    /// Folders that nobody may name: the data folder, with the catalog and its keys. The warehouse may lie inside; its
    /// files are reached as tables only.
    pub forbidden: Vec<PathBuf>,
    /// URL of the folder that new tables are put in, without a trailing slash.
    pub warehouse: String,
    /// When set, users may name local paths below these folders only.
    pub local_roots: Option<Vec<PathBuf>>,
}

/// How S3 is reached. What is not set here is looked for in the `AWS_*` environment, then in the profile files.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// URL of an S3-compatible service; none means Amazon's own.
    pub endpoint: Option<String>,
    /// Default `us-east-1`.
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret<String>>,
    pub session_token: Option<Secret<String>>,
    /// Name of a section of `~/.aws/credentials` and `~/.aws/config`.
    pub profile: Option<String>,
    /// Allows an endpoint without TLS that is not on this machine.
    pub allow_http: bool,
    /// `endpoint/bucket/key` (the default) rather than `bucket.endpoint/key`.
    pub path_style: Option<bool>,
}
