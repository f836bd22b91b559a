//! Requests that another engine sends to a bucket by itself, signed here with the server's credentials, which it never sees.
//! A signature is good for one request to one object, and which object that is is read from the very address that is
//! signed; whoever asks must have let its location pass the guard. It must never sign for a host that is not the bucket's.

use std::sync::Arc;

use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};
use url::Url;

use super::guard::Checked;
use super::location::{Location, Scheme};
use super::registry::Storage;
use super::s3::{self, Bucket};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// How a client reaches a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAccess {
    pub region: String,
    /// None: Amazon's own.
    pub endpoint: Option<String>,
    pub path_style: bool,
}

/// Headers to send with the request, the signature among them.
pub type Signed = Vec<(String, String)>;

impl Storage {
    /// How a client reaches the bucket of a location; None if it is not in one.
    pub fn bucket_access(&self, location: &str) -> Result<Option<BucketAccess>> {
        let location = Location::parse(location)?;
        if location.scheme != Scheme::S3 {
            return Ok(None);
        }
        let bucket = self.bucket(&location.bucket)?;
        let Bucket { region, endpoint, path_style, store: _ } = bucket.as_ref();
        Ok(Some(BucketAccess { region: region.clone(), endpoint: endpoint.clone(), path_style: *path_style }))
    }

    /// The location, `s3://bucket/key`, of the object that a request to the bucket of `table_location` is about; of a
    /// listing, the prefix that it lists.
    ///
    /// # Errors
    ///
    /// `Denied` for an address that is not of this bucket, or of no object in it.
    pub fn object_of(&self, table_location: &str, address: &str) -> Result<String> {
        let table = Location::parse(table_location)?;
        let elsewhere =
            || Error::new(ErrorKind::Denied, "the request is not about an object in the bucket of the table");
        let url = Url::parse(address).map_err(|_| elsewhere())?;
        if table.scheme != Scheme::S3 || !url.username().is_empty() || url.password().is_some() {
            return Err(elsewhere());
        }
        let bucket = self.bucket(&table.bucket)?;
        let key = key_of(&url, &table.bucket, &bucket).ok_or_else(elsewhere)?;
        let key = match key.is_empty() {
            true => listed(&url),
            false => decoded(&key),
        };
        let key = key.filter(|key| !key.is_empty()).ok_or_else(elsewhere)?;
        Ok(format!("s3://{}/{key}", table.bucket))
    }

    /// Signs a request about `object`, at the address that [`Storage::object_of`] has read it from.
    pub async fn sign(
        &self,
        object: &Checked,
        method: &str,
        address: &str,
        headers: &[(String, String)],
    ) -> Result<Signed> {
        let malformed = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::invalid("the request cannot be signed").with_source(source)
        };
        let bucket = self.bucket(&object.location().bucket)?;
        let credential = bucket.store.credentials().get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.parse().map_err(|error| malformed(Box::new(error)))?;
        *request.uri_mut() = address.parse().map_err(|error| malformed(Box::new(error)))?;
        let mut digest = None;
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("x-amz-content-sha256") {
                digest = Some(value.as_str());
            } else if is_signed(name) {
                let name: http::HeaderName = name.parse().map_err(|error| malformed(Box::new(error)))?;
                let value = value.parse().map_err(|error| malformed(Box::new(error)))?;
                request.headers_mut().append(name, value);
            }
        }
        let authorizer = AwsAuthorizer::new(&credential, "s3", &bucket.region);
        match digest.and_then(digest_of) {
            Some(digest) => authorizer.authorize(&mut request, Some(&digest)),
            None => authorizer.with_sign_payload(false).authorize(&mut request, None),
        }
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Ok(request.headers().iter().filter_map(text).collect())
    }

    fn bucket(&self, name: &str) -> Result<Arc<Bucket>> {
        if let Some(bucket) = self.buckets.read().get(name) {
            return Ok(Arc::clone(bucket));
        }
        let bucket = Arc::new(s3::open_bucket(name, &self.s3)?);
        self.buckets.write().insert(name.to_owned(), Arc::clone(&bucket));
        Ok(bucket)
    }
}

/// Only what the service looks at is signed: proxies may change the rest on the way.
fn is_signed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    (name.starts_with("x-amz-") && name != "x-amz-date" && name != "x-amz-security-token")
        || matches!(name.as_str(), "content-type" | "content-md5" | "range" | "if-none-match" | "if-match")
}

/// The path of the object in its bucket, still encoded; None for an address that is not of this bucket.
fn key_of(url: &Url, name: &str, bucket: &Bucket) -> Option<String> {
    let path = url.path().strip_prefix('/')?;
    let in_path = || {
        let rest = path.strip_prefix(name)?;
        if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('/').map(str::to_owned) }
    };
    let host = url.host_str()?;
    let Some(endpoint) = &bucket.endpoint else {
        let region = &bucket.region;
        let hosts = ["s3.amazonaws.com".to_owned(), format!("s3.{region}.amazonaws.com")];
        if url.scheme() != "https" || url.port().is_some() {
            return None;
        }
        return match hosts.iter().any(|own| own == host) {
            true => in_path(),
            false => {
                let own = hosts.iter().any(|own| format!("{name}.{own}") == host);
                own.then(|| path.to_owned())
            }
        };
    };
    let endpoint = Url::parse(endpoint).ok()?;
    let same =
        endpoint.scheme() == url.scheme() && endpoint.port_or_known_default() == url.port_or_known_default();
    let own = endpoint.host_str()?;
    match host {
        _ if !same => None,
        host if host == own => in_path(),
        host if host == format!("{name}.{own}") => Some(path.to_owned()),
        _ => None,
    }
}

/// The prefix of a listing of objects.
fn listed(url: &Url) -> Option<String> {
    let parameter = |wanted: &str| {
        let mut named = url.query_pairs().filter(|(name, _)| name == wanted);
        let (_, value) = named.next()?;
        // Given twice, the service might take the other one.
        named.next().is_none().then(|| value.into_owned())
    };
    parameter("list-type").filter(|kind| kind == "2").and_then(|_| parameter("prefix"))
}

/// A path with its `%XX` decoded, once; what is left of an escape after that is part of the name.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The digest that a client gives as hexadecimal text; what is none is not signed.
fn digest_of(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * DIGEST_BYTES || !text.is_ascii() {
        return None;
    }
    (0..DIGEST_BYTES).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::storage::{S3Options, StorageOptions};

    fn storage() -> Arc<Storage> {
        let s3 = S3Options {
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            access_key_id: Some("KEY".to_owned()),
            secret_access_key: Some(Secret::new("hidden".to_owned())),
            ..S3Options::default()
        };
        let warehouse = "s3://lake/warehouse".to_owned();
        Storage::new(StorageOptions { s3, warehouse, ..StorageOptions::default() }).expect("storage")
    }

    #[test]
    fn an_address_is_read_as_the_object_that_it_is_about() {
        let storage = storage();
        let object =
            |address: &str| storage.object_of("s3://lake/warehouse/t", address).map_err(|error| error.kind);
        let found = Ok("s3://lake/warehouse/t/data/a b.parquet".to_owned());
        assert_eq!(object("http://127.0.0.1:9000/lake/warehouse/t/data/a%20b.parquet?x=1"), found);
        for elsewhere in [
            "http://127.0.0.1:9001/lake/warehouse/t/data/a",
            "https://127.0.0.1:9000/lake/warehouse/t/data/a",
            "http://example.org/lake/warehouse/t/data/a",
            "http://u:p@127.0.0.1:9000/lake/warehouse/t/data/a",
            "http://127.0.0.1:9000/other/warehouse/t/data/a",
            "http://127.0.0.1:9000/lake",
            "http://127.0.0.1:9000/lake/",
            "http://127.0.0.1:9000/lake?prefix=warehouse/t/data/",
            "http://127.0.0.1:9000/lake?list-type=2&prefix=",
            "http://127.0.0.1:9000/lake?list-type=2&prefix=warehouse/t/&prefix=",
            "nothing",
        ] {
            assert_eq!(object(elsewhere), Err(ErrorKind::Denied), "{elsewhere}");
        }
        let listing = object("http://127.0.0.1:9000/lake?list-type=2&prefix=warehouse%2Ft%2Fdata%2F");
        assert_eq!(listing, Ok("s3://lake/warehouse/t/data/".to_owned()));
        // Dots are folded away by whoever sends the request, and so they are here.
        let folded = object("http://127.0.0.1:9000/lake/warehouse/t/../other");
        assert_eq!(folded, Ok("s3://lake/warehouse/other".to_owned()));
    }

    #[tokio::test]
    async fn a_signature_covers_what_the_service_looks_at_and_shows_no_secret() {
        let storage = storage();
        let object = storage.guard().table_file("s3://lake/warehouse/t", "s3://lake/warehouse/t/data/a");
        let headers = [
            ("X-Amz-Content-SHA256".to_owned(), "ab".repeat(DIGEST_BYTES)),
            ("Range".to_owned(), "bytes=0-7".to_owned()),
            ("User-Agent".to_owned(), "test".to_owned()),
        ];
        let address = "http://127.0.0.1:9000/lake/warehouse/t/data/a";
        let signed = storage.sign(&object.expect("inside"), "GET", address, &headers).await.expect("signed");
        let of =
            |wanted: &str| signed.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let authorization = of("authorization").expect("a signature");
        assert!(authorization.contains("SignedHeaders=host;range;x-amz-content-sha256;x-amz-date"));
        assert_eq!(of("x-amz-content-sha256"), Some("ab".repeat(DIGEST_BYTES)));
        assert!(!signed.iter().any(|(_, value)| value.contains("hidden")));
    }
}
