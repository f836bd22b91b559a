//! New tables: made at once, or staged. A staged table is only answered, with the folder and the ids that it will have; it
//! is made when the client commits it, with all that it has written in the meantime.

use std::collections::HashMap;

use axum::http::{StatusCode, header};
use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use serde::Deserialize;
use serde_json::json;
use tarn_catalog::access::Privilege;
use tarn_catalog::iceberg::{
    DECLARED_PROPERTIES, NewTable, created, default_location, examine_created, new_table,
};
use tarn_catalog::object::Namespace;
use uuid::Uuid;

use super::access;
use super::again::Slot;
use super::answer::Answer;
use super::commit::{Made, Step};
use super::error::{Error, Result};
use super::load;
use super::request::{Identifier, Request};
use super::table::check_free;
use super::visitor::{Visitor, check_name};

/// How long a staged table may take to be committed, milliseconds: the UUID that was staged says when it was made, so
/// that nobody can take the folder of a table that was dropped long ago.
const STAGED_MS_MAX: i64 = 24 * 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CreateTable {
    name: String,
    location: Option<String>,
    schema: Schema,
    partition_spec: Option<UnboundPartitionSpec>,
    write_order: Option<SortOrder>,
    #[serde(default)]
    stage_create: Option<bool>,
    properties: Option<HashMap<String, String>>,
}

pub async fn create(visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let namespace = visitor.namespace(&request.namespace())?;
    let wanted: CreateTable = request.json()?;
    let name = wanted.name.clone();
    check_name(&name)?;
    visitor.may_in(&namespace, Privilege::Create)?;
    check_free(visitor, visitor.reader.relation(namespace.id, &name)?.as_ref(), &name)?;
    let is_staged = wanted.stage_create.unwrap_or(false);
    let metadata = metadata_of(visitor, &namespace, wanted)?;
    if is_staged {
        make_folders(visitor, metadata.location()).await?;
        let json = serde_json::to_value(&metadata)
            .map_err(|error| Error::internal(format!("the staged metadata cannot be written: {error}")))?;
        let config = access::config(visitor, metadata.location(), request)?;
        let body = json!({ "metadata": json, "config": config });
        return Ok(Answer::json(&body).with_header(header::CACHE_CONTROL, "no-store"));
    }
    let mut made = Made::new(visitor);
    let id = made.create(&namespace, &name, metadata)?;
    let sequence = made.commit(slot, Some(id)).await?;
    let reader = visitor.catalog.reader_at(sequence);
    let visitor = Visitor { reader, ..visitor.renewed() };
    let found = visitor.by_id(id)?.ok_or_else(|| Error::unknown_outcome("the new table is not there"))?;
    load::table(&visitor, &found, load::Snapshots::All, request).await
}

/// The client writes to the folder before the table is made.
async fn make_folders(visitor: &Visitor, location: &str) -> Result<()> {
    let storage = visitor.catalog.storage();
    for name in ["data", "metadata"] {
        let folder = storage.guard().table_folder(&format!("{location}/{name}"))?;
        storage.make_folder(&folder).await?;
    }
    Ok(())
}

/// The first metadata of a table that is made or staged.
fn metadata_of(visitor: &Visitor, namespace: &Namespace, wanted: CreateTable) -> Result<TableMetadata> {
    let env = visitor.catalog.env();
    let uuid = env.uuid();
    let properties = wanted.properties.unwrap_or_default();
    if let Some(name) = DECLARED_PROPERTIES.iter().find(|name| properties.contains_key(**name)) {
        return Err(Error::bad_request(format!("the property {name} is set by SQL only")));
    }
    let format_version = match properties.get("format-version").map(String::as_str) {
        None | Some("2") => FormatVersion::V2,
        Some("3") => FormatVersion::V3,
        Some(_) => return Err(Error::bad_request("the format-version of a new table is 2 or 3")),
    };
    let location = match wanted.location.filter(|location| !location.is_empty()) {
        None => default_location(visitor.catalog.warehouse(), &namespace.name, &wanted.name, uuid),
        Some(location) => own_location(visitor, &location, None)?,
    };
    let table = NewTable {
        schema: wanted.schema,
        partition: wanted.partition_spec.unwrap_or_else(|| UnboundPartitionSpec::builder().build()),
        order: wanted.write_order.map(|order| order.fields).unwrap_or_default(),
        properties,
        location,
        format_version,
    };
    Ok(new_table(table, uuid, env.now_ms())?)
}

/// A folder that the caller names for a new table: only those may who may name any, and no table may be there.
fn own_location(visitor: &Visitor, location: &str, uuid: Option<Uuid>) -> Result<String> {
    let guard = visitor.catalog.storage().guard();
    let checked = guard.table_location(&visitor.principal, location)?.to_string();
    let location = checked.trim_end_matches('/').to_owned();
    check_place(visitor, &location, uuid)?;
    Ok(location)
}

fn check_place(visitor: &Visitor, location: &str, uuid: Option<Uuid>) -> Result<()> {
    match visitor.reader.table_at(location, uuid)? {
        None => Ok(()),
        Some(_) => Err(Error::new(
            StatusCode::CONFLICT,
            "AlreadyExistsException",
            "the files at this location belong to another table",
        )),
    }
}

/// A table that the updates of a commit make: what was staged, and what the client has done to it since.
pub async fn from_updates(
    visitor: &Visitor,
    identifier: &Identifier,
    updates: &[TableUpdate],
) -> Result<Step> {
    let namespace = visitor.namespace(&identifier.namespace)?;
    check_name(&identifier.name)?;
    visitor.may_in(&namespace, Privilege::Create)?;
    let there = visitor.reader.relation(namespace.id, &identifier.name)?;
    check_free(visitor, there.as_ref(), &identifier.name)?;
    let env = visitor.catalog.env();
    let assigned = updates.iter().find_map(|update| match update {
        TableUpdate::AssignUuid { uuid } => Some(*uuid),
        _ => None,
    });
    let uuid = assigned.unwrap_or_else(|| env.uuid());
    let metadata = created(updates, uuid, env.now_ms())?;
    let location = metadata.location().to_owned();
    let staged = default_location(visitor.catalog.warehouse(), &namespace.name, &identifier.name, uuid);
    if location == staged {
        check_age(uuid, env.now_ms())?;
        check_place(visitor, &location, Some(uuid))?;
    } else if own_location(visitor, &location, Some(uuid))? != location {
        return Err(Error::bad_request("the location is not written as it is read"));
    }
    examine_created(visitor.catalog.storage(), &metadata).await?;
    Ok(Step::Create { namespace, name: identifier.name.clone(), metadata: Box::new(metadata) })
}

/// A version 7 UUID begins with the milliseconds since the Unix epoch.
fn check_age(uuid: Uuid, now_ms: i64) -> Result<()> {
    let (high, _) = uuid.as_u64_pair();
    let made_ms = i64::try_from(high >> 16).unwrap_or(i64::MAX);
    if uuid.get_version_num() == 7 && (now_ms - STAGED_MS_MAX..=now_ms + 1).contains(&made_ms) {
        return Ok(());
    }
    Err(Error::bad_request("this table was not staged here within the last day: create it with stage-create"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_uuids_of_ours_may_be_staged() {
        let now_ms = 1_790_000_000_000_u64;
        let made = |at_ms| uuid::Builder::from_unix_timestamp_millis(at_ms, &[7; 10]).into_uuid();
        let now = i64::try_from(now_ms).expect("a time");
        assert!(check_age(made(now_ms), now).is_ok());
        assert!(check_age(made(now_ms - 60_000), now).is_ok());
        assert!(check_age(made(now_ms - 2 * 86_400_000), now).is_err());
        assert!(check_age(made(now_ms + 86_400_000), now).is_err());
        assert!(check_age(Uuid::from_u128(7), now).is_err());
    }
}
