//! Section `[s3]`: how object stores are reached. What is not given here comes from where AWS tools take it: the
//! `AWS_*` variables, then the profile.

use std::fmt;

use super::layers::{Error, Layers, Result};
use super::value;

/// How S3 and stores that speak like it are reached.
#[derive(Debug, Clone, Default)]
pub struct S3 {
    /// URL of the service. Default: Amazon's, of the region.
    pub endpoint: Option<String>,
    /// Name of the region. Default: `AWS_REGION`, then the profile's, then `us-east-1`.
    pub region: Option<String>,
    /// Key id; given together with the secret or not at all.
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Hidden>,
    /// Goes with temporary keys.
    pub session_token: Option<Hidden>,
    /// Name of a profile in the AWS credentials file. Default: `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Whether a plain `http://` endpoint that is not on this machine is allowed. Default false.
    pub allow_http: bool,
    /// Whether the bucket goes into the path (`http://host/bucket/key`) and not into the host name, as most stores
    /// other than Amazon's want it. Default true.
    pub path_style: Option<bool>,
}

/// Text that is never printed.
#[derive(Clone)]
pub struct Hidden(String);

impl Hidden {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl S3 {
    pub fn from_layers(layers: &Layers) -> Result<S3> {
        let s3 = S3 {
            endpoint: layers.get("s3.endpoint", endpoint)?,
            region: layers.get("s3.region", value::text)?,
            access_key_id: layers.get("s3.access_key_id", value::text)?,
            secret_access_key: layers.get_secret("s3.secret_access_key").map(Hidden),
            session_token: layers.get_secret("s3.session_token").map(Hidden),
            profile: layers.get("s3.profile", value::text)?,
            allow_http: layers.get("s3.allow_http", value::boolean)?.unwrap_or(false),
            path_style: layers.get("s3.path_style", value::boolean)?,
        };
        match (&s3.access_key_id, &s3.secret_access_key) {
            (Some(_), None) => Err(Error::new("s3.access_key_id is given without s3.secret_access_key")),
            (None, Some(_)) => Err(Error::new("s3.secret_access_key is given without s3.access_key_id")),
            _ => Ok(s3),
        }
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("give a URL that starts with http:// or https://".to_owned())
    }
}
