//! Views for other engines. One that SQL has made is shown as Iceberg describes views, with its text in the dialect
//! `postgresql`. One that another engine makes is kept with all that the engine says of it; if one of its texts is in that
//! dialect, SQL reads it too. There are no files: a view is in the catalog alone.

use std::collections::HashMap;

use iceberg::ViewUpdate;
use iceberg::spec::{
    Schema, ViewFormatVersion, ViewMetadata, ViewMetadataBuilder, ViewRepresentation, ViewVersion,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tarn_catalog::access::Privilege;
use tarn_catalog::iceberg::default_location;
use tarn_catalog::object::{Namespace, Relation, RelationKind, View};
use tarn_catalog::{Answered, Change, LAKE};
use uuid::Uuid;

use super::Rest;
use super::again::Slot;
use super::answer::Answer;
use super::error::{Error, Result};
use super::request::Request;
use super::table;
use super::view_metadata::{described, own_uuid};
use super::view_text;
use super::visitor::{Found, Visitor, check_name, retried};

/// Bytes of the largest request about a view: its description is kept in the catalog.
const VIEW_BYTES_MAX: usize = 1 << 20;

/// What texts that SQL can read call their dialect.
const DIALECTS: [&str; 3] = ["postgresql", "postgres", "tarn"];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CreateView {
    name: String,
    location: Option<String>,
    schema: Schema,
    view_version: ViewVersion,
    #[serde(default)]
    properties: HashMap<String, String>,
}

#[derive(Deserialize)]
struct CommitView {
    #[serde(default)]
    requirements: Vec<Requirement>,
    updates: Vec<ViewUpdate>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Requirement {
    #[serde(rename = "assert-view-uuid")]
    Uuid { uuid: Uuid },
}

pub fn list(visitor: &Visitor, request: &Request) -> Result<Answer> {
    table::identifiers(visitor, request, |relation| matches!(relation.kind, RelationKind::View(_)))
}

pub fn load(visitor: &Visitor, request: &Request) -> Result<Answer> {
    answer(visitor, &visitor.view(&request.identifier())?)
}

pub fn exists(visitor: &Visitor, request: &Request) -> Result<Answer> {
    visitor.view(&request.identifier())?;
    Ok(Answer::nothing())
}

/// The answer to a caller who may read the view.
pub fn answer(visitor: &Visitor, found: &Found) -> Result<Answer> {
    visitor.may(found, Privilege::Select)?;
    let metadata = metadata(visitor, found)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = metadata.get("current-version-id").and_then(Value::as_i64).unwrap_or_default();
    let location = format!("{}/metadata/{version:05}-{}.metadata.json", text("location"), text("view-uuid"));
    Ok(Answer::json(&json!({ "metadata-location": location, "metadata": metadata, "config": {} })))
}

/// The view as Iceberg describes it.
fn metadata(visitor: &Visitor, found: &Found) -> Result<Value> {
    let RelationKind::View(view) = &found.relation.kind else {
        return Err(Error::internal("a view that is none"));
    };
    match &view.iceberg {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("the description of a view is damaged: {error}"))),
        None => {
            // Those that were searched and are not there say nothing.
            let is_there =
                |name: &&String| visitor.reader.namespace(LAKE, name).is_ok_and(|found| found.is_some());
            let default = view.search_path.iter().find(is_there).unwrap_or(&found.namespace.name);
            let location = default_location(
                visitor.catalog.warehouse(),
                &found.namespace.name,
                &found.relation.name,
                own_uuid(found.relation.id, found.relation.created_at_ms),
            );
            Ok(described(&location, default, &found.relation, view))
        }
    }
}

pub async fn create(rest: &Rest, visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let namespace = visitor.namespace(&request.namespace())?;
    let wanted: CreateView = read(request)?;
    check_name(&wanted.name)?;
    visitor.may_in(&namespace, Privilege::Create)?;
    if visitor.reader.relation(namespace.id, &wanted.name)?.is_some() {
        return Err(Error::already_exists("View", &wanted.name));
    }
    let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
    let id = transaction.new_relation_id()?;
    let created_at_ms = visitor.catalog.env().now_ms();
    let uuid = own_uuid(id, created_at_ms);
    let location = wanted.location.filter(|location| !location.is_empty()).unwrap_or_else(|| {
        default_location(visitor.catalog.warehouse(), &namespace.name, &wanted.name, uuid)
    });
    let builder = ViewMetadataBuilder::new(
        location,
        wanted.schema,
        wanted.view_version,
        ViewFormatVersion::V1,
        wanted.properties,
    );
    let metadata = builder.and_then(|builder| builder.assign_uuid(uuid).build()).map_err(refused)?.metadata;
    let relation = Relation {
        id,
        namespace: namespace.id,
        name: wanted.name.clone(),
        owner: visitor.principal.role,
        comment: metadata.properties().get("comment").cloned(),
        created_at_ms,
        kind: RelationKind::View(kept(rest, visitor, &namespace, &metadata).await?),
    };
    transaction.push(Change::CreateRelation(relation.clone()));
    slot.keep(&mut transaction, visitor, Answered::View(id));
    visitor.catalog.commit(transaction).await?;
    answer(visitor, &Found { namespace, relation })
}

pub async fn replace(rest: &Rest, visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let found = visitor.view(&request.identifier())?;
    visitor.owns(&found)?;
    let CommitView { requirements, updates } = read(request)?;
    let before: ViewMetadata = serde_json::from_value(metadata(visitor, &found)?)
        .map_err(|error| Error::internal(format!("the description of a view is damaged: {error}")))?;
    let other = |requirement: &Requirement| match requirement {
        Requirement::Uuid { uuid } => *uuid != before.uuid(),
    };
    if requirements.iter().any(other) {
        return Err(Error::commit_failed("Requirement failed: view UUID does not match"));
    }
    let metadata = updated(before, updates)?;
    let view = kept(rest, visitor, &found.namespace, &metadata).await?;
    let after = Relation {
        kind: RelationKind::View(view),
        comment: metadata.properties().get("comment").cloned(),
        ..found.relation.clone()
    };
    let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
    transaction.push(Change::UpdateRelation { before: found.relation, after: after.clone() });
    slot.keep(&mut transaction, visitor, Answered::View(after.id));
    visitor.catalog.commit(transaction).await?;
    answer(visitor, &Found { namespace: found.namespace, relation: after })
}

fn updated(before: ViewMetadata, updates: Vec<ViewUpdate>) -> Result<ViewMetadata> {
    let uuid = before.uuid();
    let mut builder = before.into_builder();
    for update in updates {
        builder = match update {
            ViewUpdate::AssignUuid { uuid: other } if other != uuid => {
                return Err(Error::bad_request("the UUID of a view cannot be changed"));
            }
            ViewUpdate::AssignUuid { .. } => builder,
            ViewUpdate::UpgradeFormatVersion { format_version } => {
                builder.upgrade_format_version(format_version).map_err(refused)?
            }
            ViewUpdate::AddSchema { schema, last_column_id: _ } => builder.add_schema(schema),
            ViewUpdate::SetLocation { location } => builder.set_location(location),
            ViewUpdate::SetProperties { updates } => builder.set_properties(updates).map_err(refused)?,
            ViewUpdate::RemoveProperties { removals } => builder.remove_properties(&removals),
            ViewUpdate::AddViewVersion { view_version } => {
                builder.add_version(view_version).map_err(refused)?
            }
            ViewUpdate::SetCurrentViewVersion { view_version_id } => {
                builder.set_current_version_id(view_version_id).map_err(refused)?
            }
        };
    }
    Ok(builder.build().map_err(refused)?.metadata)
}

/// What the catalog keeps of a view: the text that SQL reads, if there is one, and everything.
async fn kept(
    rest: &Rest,
    visitor: &Visitor,
    namespace: &Namespace,
    metadata: &ViewMetadata,
) -> Result<View> {
    let version = metadata.current_version();
    let mut texts = version.representations().iter().map(|ViewRepresentation::Sql(text)| text);
    let is_ours = |dialect: &str| DIALECTS.iter().any(|ours| dialect.eq_ignore_ascii_case(ours));
    let text = texts.find(|text| is_ours(&text.dialect));
    let path: Vec<String> = match version.default_namespace().as_ref().as_slice() {
        [] => vec![namespace.name.clone()],
        [level] => vec![level.clone()],
        _ => return Err(Error::bad_request("the default-namespace of a view has one level here")),
    };
    let columns = match text {
        Some(text) => view_text::columns(rest, visitor, &text.sql, &path, metadata.current_schema()).await?,
        None => view_text::columns_of(metadata.current_schema()),
    };
    let iceberg = serde_json::to_string(metadata)
        .map_err(|error| Error::internal(format!("the description of a view cannot be written: {error}")))?;
    let sql = text.map(|text| view_text::bare(&text.sql).to_owned()).unwrap_or_default();
    Ok(View { sql, search_path: path, columns, iceberg: Some(iceberg) })
}

pub async fn remove(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    retried(visitor, |visitor| async move {
        let found = visitor.view(&request.identifier())?;
        visitor.owns(&found)?;
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        transaction.push(Change::DropRelation(found.relation));
        slot.keep(&mut transaction, &visitor, Answered::Nothing);
        visitor.catalog.commit(transaction).await?;
        Ok(Answer::nothing())
    })
    .await
}

pub async fn rename(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    table::renamed(visitor, request, slot, |visitor, identifier| visitor.view(identifier)).await
}

fn read<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T> {
    if request.body.len() > VIEW_BYTES_MAX {
        return Err(Error::bad_request(format!("a view has at most {VIEW_BYTES_MAX} bytes")));
    }
    request.json()
}

/// The builder refuses what the client asked for.
fn refused(error: iceberg::Error) -> Error {
    Error::bad_request(error.message().to_owned())
}
