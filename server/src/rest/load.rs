//! A table as it is answered: its metadata as the file has it, where that is, and how its files are reached. A client
//! that has a version already is told so by the `ETag`. No policy on rows or columns exists yet; a table that has one must
//! never be answered here, because whoever has the files has all rows.

use std::collections::BTreeSet;

use axum::http::{StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tarn_catalog::access::Privilege;
use tarn_catalog::{Reader, TableVersion};

use super::access;
use super::answer::Answer;
use super::error::{Error, Result};
use super::request::{Request, hex};
use super::visitor::{Found, Visitor};

/// Which snapshots are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    All,
    /// Those that a branch or tag points to.
    Referenced,
}

impl Snapshots {
    pub fn of(request: &Request) -> Result<Snapshots> {
        match request.parameter("snapshots") {
            None | Some("all") => Ok(Snapshots::All),
            Some("refs") => Ok(Snapshots::Referenced),
            Some(_) => Err(Error::bad_request("the parameter snapshots is all or refs")),
        }
    }
}

/// The answer to a caller who may read the table.
///
/// # Errors
///
/// 403 for who may see the table and not read it.
pub async fn table(
    visitor: &Visitor,
    found: &Found,
    snapshots: Snapshots,
    request: &Request,
) -> Result<Answer> {
    visitor.may(found, Privilege::Select)?;
    let (location, metadata) = metadata(&visitor.reader, found, snapshots).await?;
    let tag = tag(&location, snapshots);
    let location = Value::String(location).to_string();
    let pointer = super::table::pointer(visitor, found)?;
    let config = access::config(visitor, &pointer.location, request)?;
    let body = format!("{{\"metadata-location\":{location},\"metadata\":{metadata},\"config\":{config}}}");
    Ok(Answer::text(StatusCode::OK, body).with_header(header::ETAG, &tag))
}

/// The same, or 304 for a client that says that it has this version.
pub async fn unless_known(visitor: &Visitor, found: &Found, request: &Request) -> Result<Answer> {
    let snapshots = Snapshots::of(request)?;
    visitor.may(found, Privilege::Select)?;
    if let Some(known) = request.header("if-none-match")
        && let Some(pointer) = visitor.reader.pointer(found.relation.id)?
    {
        let tag = tag(&pointer.metadata_location, snapshots);
        let is_known = |one: &str| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag;
        if known.split(',').map(str::trim).any(is_known) {
            let mut answer = Answer::nothing().with_header(header::ETAG, &tag);
            answer.status = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
    }
    table(visitor, found, snapshots, request).await
}

/// The answer to a commit that has made this version.
pub fn committed(version: &TableVersion) -> Result<Answer> {
    let location = &version.pointer.metadata_location;
    let (text, metadata) = (Value::from(location.as_str()), text_of(version)?);
    let body = format!("{{\"metadata-location\":{text},\"metadata\":{metadata}}}");
    Ok(Answer::text(StatusCode::OK, body).with_header(header::ETAG, &tag(location, Snapshots::All)))
}

fn text_of(version: &TableVersion) -> Result<String> {
    serde_json::to_string(version.metadata.as_ref()).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("the table's metadata cannot be written: {error}"))
}

/// Where the metadata is, and the metadata as JSON.
pub async fn metadata(reader: &Reader, found: &Found, snapshots: Snapshots) -> Result<(String, String)> {
    if let Some(reason) = reader.unsupported(found.relation.id)? {
        return raw(reader, found, &reason).await;
    }
    let version = reader.table(found.relation.id).await?;
    let location = version.pointer.metadata_location.clone();
    if snapshots == Snapshots::All {
        return Ok((location, text_of(&version)?));
    }
    let mut json: Value = serde_json::from_str(&text_of(&version)?).map_err(unwritable)?;
    keep_referenced(&mut json);
    Ok((location, json.to_string()))
}

/// A table that this server cannot read: another engine may, so it gets the file as it is.
async fn raw(reader: &Reader, found: &Found, reason: &str) -> Result<(String, String)> {
    let pointer =
        reader.pointer(found.relation.id)?.ok_or_else(|| Error::internal("a table without a pointer"))?;
    let storage = reader.storage();
    let file = storage.guard().table_file(&pointer.location, &pointer.metadata_location)?;
    let bytes = storage.get(&file).await?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) if is_json => Ok((pointer.metadata_location, text)),
        _ => Err(Error::internal(format!("the table's metadata is damaged: {reason}"))),
    }
}

fn keep_referenced(metadata: &mut Value) {
    let ids = |refs: &Value| -> BTreeSet<i64> {
        let refs = refs.as_object().into_iter().flatten();
        refs.filter_map(|(_, reference)| reference.get("snapshot-id")?.as_i64()).collect()
    };
    let mut kept = metadata.get("refs").map(ids).unwrap_or_default();
    kept.extend(metadata.get("current-snapshot-id").and_then(Value::as_i64));
    if let Some(snapshots) = metadata.get_mut("snapshots").and_then(Value::as_array_mut) {
        snapshots.retain(|snapshot| {
            snapshot.get("snapshot-id").and_then(Value::as_i64).is_some_and(|id| kept.contains(&id))
        });
    }
}

/// Names one version of a table in one form.
fn tag(metadata_location: &str, snapshots: Snapshots) -> String {
    let mut digest = Sha256::new();
    digest.update(metadata_location);
    digest.update([u8::from(snapshots == Snapshots::Referenced)]);
    format!("\"{}\"", &hex(&digest.finalize())[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_referenced_snapshots_are_kept() {
        let mut metadata = json!({
            "current-snapshot-id": 3,
            "snapshots": [{ "snapshot-id": 1 }, { "snapshot-id": 2 }, { "snapshot-id": 3 }],
            "refs": { "main": { "snapshot-id": 3 }, "old": { "snapshot-id": 1 } },
        });
        keep_referenced(&mut metadata);
        assert_eq!(metadata["snapshots"], json!([{ "snapshot-id": 1 }, { "snapshot-id": 3 }]));
    }

    #[test]
    fn each_form_of_a_version_has_a_tag_of_its_own() {
        let tags = [
            tag("s3://b/1.json", Snapshots::All),
            tag("s3://b/1.json", Snapshots::Referenced),
            tag("s3://b/2.json", Snapshots::All),
        ];
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
