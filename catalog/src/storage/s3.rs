//! Opens a bucket of a store that speaks the S3 protocol.
//!
//! Settings come first, then the `AWS_*` environment, then the profile files, as with the AWS tools. It must never
//! print a key: errors name the bucket and the endpoint only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::location::shown;
use super::options::S3Options;
use super::profile::{self, Profile};
use crate::error::{Error, ErrorKind, Result};

/// Requests are tried again this often, and for no longer than [`RETRY_TIME_MAX`].
const RETRIES_MAX: usize = 6;
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// One request carries a part of a file, so this is a very slow network.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// The `AWS_*` variables of a process.
type Environment = BTreeMap<String, String>;

/// Opens one bucket. Nothing is asked of the service yet.
pub fn open(bucket: &str, options: &S3Options) -> Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(build(bucket, builder(bucket, options)?)?))
}

/// How a bucket is reached, and the client whose credentials sign requests to it.
#[derive(Debug)]
pub struct Bucket {
    pub store: AmazonS3,
    pub region: String,
    /// None: Amazon's own.
    pub endpoint: Option<String>,
    pub path_style: bool,
}

/// The same, for requests that others send.
pub fn open_bucket(bucket: &str, options: &S3Options) -> Result<Bucket> {
    let builder = builder(bucket, options)?;
    Ok(Bucket {
        region: builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_default(),
        endpoint: builder.get_config_value(&AmazonS3ConfigKey::Endpoint),
        path_style: options.path_style.unwrap_or(true),
        store: build(bucket, builder)?,
    })
}

fn builder(bucket: &str, options: &S3Options) -> Result<AmazonS3Builder> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("AWS_") || name == "HOME")
        .collect();
    let builder = configure(bucket, options, &environment)?;
    if !has_credentials(&builder) {
        return Err(no_credentials(bucket));
    }
    Ok(builder)
}

fn build(bucket: &str, builder: AmazonS3Builder) -> Result<AmazonS3> {
    builder.build().map_err(|source| {
        Error::new(ErrorKind::Storage, format!("bucket \"{bucket}\" cannot be opened")).with_source(source)
    })
}

/// Whether somebody said where a key comes from. The metadata service of a cloud machine is asked only when it is
/// named: on any other machine the question would go to a stranger.
fn has_credentials(builder: &AmazonS3Builder) -> bool {
    let sources = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
        AmazonS3ConfigKey::MetadataEndpoint,
    ];
    let unsigned = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature).as_deref() == Some("true");
    unsigned || sources.iter().any(|source| builder.get_config_value(source).is_some())
}

fn no_credentials(bucket: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("there are no credentials for bucket \"{bucket}\""))
        .with_detail("Neither the settings nor the environment nor a profile has an access key.")
        .with_hint(
            "Set storage.s3 in tarn.toml, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        )
}

fn configure(bucket: &str, options: &S3Options, environment: &Environment) -> Result<AmazonS3Builder> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let profile = chosen_profile(options, variable)?;
    let mut builder = with_key(options, &profile, environment).with_bucket_name(bucket);
    let region = options.region.clone().or_else(|| variable("AWS_REGION"));
    let region = region.or_else(|| variable("AWS_DEFAULT_REGION")).or(profile.region);
    builder = builder.with_region(region.unwrap_or_else(|| "us-east-1".to_string()));
    let endpoint = options.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL_S3"));
    let endpoint = endpoint.or_else(|| variable("AWS_ENDPOINT_URL")).or(profile.endpoint);
    let plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if let Some(endpoint) = endpoint {
        let allowed = options.allow_http || variable("AWS_ALLOW_HTTP").as_deref() == Some("true");
        check_endpoint(&endpoint, allowed)?;
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let client = ClientOptions::new().with_timeout(REQUEST_TIME_MAX).with_connect_timeout(CONNECT_TIME_MAX);
    Ok(builder
        .with_client_options(client.with_allow_http(plain))
        .with_virtual_hosted_style_request(!options.path_style.unwrap_or(true))
        // A metadata file is created once or not at all; without this header two writers could both believe it.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIME_MAX,
        }))
}

/// A profile that was named is always read; the default one only where no key is set otherwise.
fn chosen_profile(options: &S3Options, variable: impl Fn(&str) -> Option<String>) -> Result<Profile> {
    let named = options.profile.clone().or_else(|| variable("AWS_PROFILE"));
    let has_key = options.access_key_id.is_some() || variable("AWS_ACCESS_KEY_ID").is_some();
    match named {
        Some(name) => profile::read(&profile::files(variable), &name, true),
        None if has_key => Ok(Profile::default()),
        None => profile::read(&profile::files(variable), "default", false),
    }
}

/// A key, its secret and its token come from one place; mixing two places makes a key that nobody has.
fn with_key(options: &S3Options, profile: &Profile, environment: &Environment) -> AmazonS3Builder {
    let from_settings = options.access_key_id.is_some();
    let from_profile = profile.access_key_id.is_some()
        && (options.profile.is_some() || !environment.contains_key("AWS_ACCESS_KEY_ID"));
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment {
        let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() else { continue };
        let is_key = matches!(
            key,
            AmazonS3ConfigKey::AccessKeyId | AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::Token
        );
        if !(is_key && (from_settings || from_profile)) {
            builder = builder.with_config(key, value);
        }
    }
    let (id, secret, token) = match (from_settings, from_profile) {
        (true, _) => (&options.access_key_id, &options.secret_access_key, &options.session_token),
        (_, true) => (&profile.access_key_id, &profile.secret_access_key, &profile.session_token),
        _ => (&None, &None, &None),
    };
    if let Some(id) = id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = secret {
        builder = builder.with_secret_access_key(secret.expose());
    }
    if let Some(token) = token {
        builder = builder.with_token(token.expose());
    }
    builder
}

/// Without TLS a key and everybody's data go over the network in clear, so that must be asked for, except on loopback.
fn check_endpoint(endpoint: &str, plain_allowed: bool) -> Result<()> {
    let Ok(url) = url::Url::parse(endpoint) else {
        return Err(Error::invalid(format!("S3 endpoint \"{}\" is not a URL", shown(endpoint)))
            .with_hint("Write it as https://host or https://host:port."));
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if plain_allowed || loopback => Ok(()),
        "http" => Err(Error::invalid(format!("S3 endpoint \"{}\" does not use TLS", shown(endpoint)))
            .with_hint("Use https://, or allow plain HTTP in the storage settings (allow_http).")),
        _ => Err(Error::invalid(format!("S3 endpoint \"{}\" is not an HTTP URL", shown(endpoint)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn value(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> Option<String> {
        builder.get_config_value(&key)
    }

    #[test]
    fn settings_win_over_the_environment_and_never_mix_keys_with_it() {
        let options = S3Options {
            access_key_id: Some("MINE".to_string()),
            secret_access_key: Some(Secret::new("mine".to_string())),
            endpoint: Some("http://127.0.0.1:9000/".to_string()),
            ..S3Options::default()
        };
        let environment = environment(&[
            ("AWS_ACCESS_KEY_ID", "THEIRS"),
            ("AWS_SESSION_TOKEN", "theirs"),
            ("AWS_REGION", "eu-west-1"),
        ]);
        let builder = configure("bucket", &options, &environment).expect("good settings");
        assert_eq!(value(&builder, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("MINE"));
        assert_eq!(value(&builder, AmazonS3ConfigKey::Token), None);
        assert_eq!(value(&builder, AmazonS3ConfigKey::Region).as_deref(), Some("eu-west-1"));
        assert_eq!(value(&builder, AmazonS3ConfigKey::Endpoint).as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(value(&builder, AmazonS3ConfigKey::ConditionalPut).as_deref(), Some("etag"));
    }

    #[test]
    fn a_profile_is_read_where_no_key_is_set() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(".aws")).expect("the folder is made");
        let text = "[default]\naws_access_key_id = P\naws_secret_access_key = p\nregion = eu-north-1\n";
        std::fs::write(folder.path().join(".aws/credentials"), text).expect("the file is written");
        let home = environment(&[("HOME", &folder.path().display().to_string())]);
        let builder = configure("bucket", &S3Options::default(), &home).expect("a profile");
        assert_eq!(value(&builder, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("P"));
        assert_eq!(value(&builder, AmazonS3ConfigKey::Region).as_deref(), Some("eu-north-1"));
    }

    #[test]
    fn plain_http_is_for_loopback_unless_asked_for() {
        let check =
            |endpoint: &str, allowed| check_endpoint(endpoint, allowed).map_err(|error| error.message);
        assert_eq!(check("http://localhost:9000", false), Ok(()));
        assert_eq!(check("http://[::1]:9000", false), Ok(()));
        assert_eq!(check("https://minio.example.org", false), Ok(()));
        assert_eq!(check("http://minio.example.org", true), Ok(()));
        assert!(check("http://minio.example.org", false).is_err());
        assert!(check("ftp://localhost", true).is_err());
        assert!(check("minio", true).is_err());
    }
}
