//! How another engine reaches the files of a table. Files on this machine have plain paths. Keys of a bucket are never given
//! away: they open more than one table, and S3-compatible services issue none that do not without a service of tokens. A
//! client that asks for it has its requests signed here, one by one: for files of this table, and only what its role
//! may do. A file that is there is never written over, and deleting is the owner's.

use axum::http::header;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tarn_catalog::access::Privilege;
use tarn_catalog::storage::Checked;
use tarn_catalog::{ErrorKind, ObjectKind};

use super::answer::Answer;
use super::error::{Error, Result};
use super::request::{PREFIX, Request};
use super::visitor::{Found, Visitor};

/// What a client says in `X-Iceberg-Access-Delegation` when it can have its requests signed.
const REMOTE_SIGNING: &str = "remote-signing";

/// What a listing may say.
const LISTING: [&str; 9] = [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
    "x-id",
];

#[derive(Deserialize)]
struct SignRequest {
    uri: String,
    method: String,
    headers: Map<String, Value>,
    provider: Option<String>,
}

/// The configuration that goes with a table at `location`, for the client of a request.
pub fn config(visitor: &Visitor, location: &str, request: &Request) -> Result<Value> {
    let Some(bucket) = visitor.catalog.storage().bucket_access(location)? else { return Ok(json!({})) };
    let mut config = json!({
        "client.region": bucket.region,
        "s3.region": bucket.region,
        "s3.path-style-access": bucket.path_style.to_string(),
    });
    if let Some(endpoint) = bucket.endpoint {
        config["s3.endpoint"] = json!(endpoint);
    }
    let wanted = request.header("x-iceberg-access-delegation").unwrap_or_default();
    if wanted.split(',').any(|one| one.trim() == REMOTE_SIGNING) {
        let endpoint = format!("v1/{PREFIX}/{}/sign", request.table_path());
        config["s3.remote-signing-enabled"] = json!("true");
        config["s3.signer"] = json!("S3V4RestSigner");
        config["s3.signer.endpoint"] = json!(endpoint);
        config["signer.endpoint"] = json!(endpoint);
    }
    Ok(config)
}

/// `POST …/tables/{table}/sign`.
///
/// # Errors
///
/// 403 for what is not a file of the table, and for what the role may not do with it.
pub async fn sign(visitor: &Visitor, request: &Request) -> Result<Answer> {
    let found = visitor.table(&request.identifier())?;
    let wanted: SignRequest = request.json()?;
    if wanted.provider.as_deref().is_some_and(|provider| provider != "s3") {
        return Err(Error::bad_request("only requests of the provider s3 are signed"));
    }
    let pointer = super::table::pointer(visitor, &found)?;
    let storage = visitor.catalog.storage();
    let object = storage.object_of(&pointer.location, &wanted.uri)?;
    let file = storage.guard().table_file(&pointer.location, &object)?;
    check(visitor, &found, &wanted, &file).await?;
    let headers: Vec<(String, String)> = wanted.headers.iter().flat_map(each).collect();
    let signed = storage.sign(&file, &wanted.method, &wanted.uri, &headers).await?;
    let mut answered = wanted.headers.clone();
    for (name, value) in signed {
        answered.retain(|given, _| !given.eq_ignore_ascii_case(&name));
        answered.insert(name, json!([value]));
    }
    let body = json!({ "uri": wanted.uri, "headers": answered });
    Ok(Answer::json(&body).with_header(header::CACHE_CONTROL, "no-cache"))
}

/// A header with each of its values.
fn each((name, values): (&String, &Value)) -> Vec<(String, String)> {
    let texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|value| (name.clone(), value.to_owned())).collect()
}

async fn check(visitor: &Visitor, found: &Found, wanted: &SignRequest, file: &Checked) -> Result<()> {
    let query = wanted.uri.split_once('?').map_or("", |(_, query)| query);
    let parts = url::form_urlencoded::parse(query.as_bytes());
    let only = |known: &[&str]| parts.clone().all(|(name, _)| known.contains(&name.as_ref()));
    let only_upload = only(&["uploads", "uploadId", "partNumber", "x-id"]);
    match wanted.method.as_str() {
        // A listing is of what its prefix, which was taken for the file, has below it.
        "GET" if only(&LISTING) => visitor.may(found, Privilege::Select),
        "GET" | "HEAD" if only_upload => visitor.may(found, Privilege::Select),
        "PUT" | "POST" if only_upload => {
            may_write(visitor, found)?;
            // The source of a copy would be read with the server's rights.
            if wanted.headers.keys().any(|name| name.to_ascii_lowercase().starts_with("x-amz-copy-source")) {
                return Err(Error::forbidden("copies are not signed"));
            }
            match visitor.catalog.storage().head(file).await {
                Err(error) if error.kind == ErrorKind::NotFound(ObjectKind::File) => Ok(()),
                Err(error) => Err(error.into()),
                Ok(_) => {
                    Err(Error::forbidden("the file is there, and files of a table are never written over"))
                }
            }
        }
        "DELETE" if only_upload => visitor.owns(found),
        _ => Err(Error::forbidden("this request is not one about a single file of the table")),
    }
}

fn may_write(visitor: &Visitor, found: &Found) -> Result<()> {
    let writes = [Privilege::Insert, Privilege::Update, Privilege::Delete];
    match writes.iter().any(|privilege| visitor.may(found, *privilege).is_ok()) {
        true => Ok(()),
        false => visitor.may(found, Privilege::Insert),
    }
}
