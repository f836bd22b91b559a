//! Tables that exist already, by their metadata file: taken into the catalog where they lie, and out of it with all their
//! files left behind. As with `CALL system.register_table`, only who may name any location may register, the file must
//! lie in the table's own folder, and the folder must be nobody else's.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tarn_catalog::access::Privilege;
use tarn_catalog::iceberg::{parse_metadata, pointer_to, pointer_to_unreadable};
use tarn_catalog::object::{Relation, RelationKind, TablePointer};
use tarn_catalog::{Answered, Change, RelationId};

use super::again::Slot;
use super::answer::Answer;
use super::error::{Error, Result};
use super::load;
use super::request::Request;
use super::table::{check_free, pointer};
use super::visitor::{Visitor, check_name, retried};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RegisterTable {
    name: String,
    metadata_location: String,
    #[serde(default)]
    overwrite: bool,
}

pub async fn register(visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let namespace = visitor.namespace(&request.namespace())?;
    let wanted: RegisterTable = request.json()?;
    check_name(&wanted.name)?;
    visitor.may_in(&namespace, Privilege::Create)?;
    let there = match wanted.overwrite {
        true => visitor.find_table(&super::request::Identifier {
            namespace: request.namespace(),
            name: wanted.name.clone(),
        })?,
        false => None,
    };
    if let Some(found) = &there {
        visitor.owns(found)?;
    } else {
        check_free(visitor, visitor.reader.relation(namespace.id, &wanted.name)?.as_ref(), &wanted.name)?;
    }
    let (after, json) = read(visitor, &wanted.metadata_location).await?;
    check_place(visitor, &after, there.as_ref().map(|found| found.relation.id))?;
    let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
    let id = match &there {
        Some(found) => {
            let before = pointer(visitor, found)?;
            transaction.push(Change::repoint(found.relation.id, before, after, &json)?);
            found.relation.id
        }
        None => {
            let id = transaction.new_relation_id()?;
            transaction.push(Change::CreateRelation(Relation {
                id,
                namespace: namespace.id,
                name: wanted.name.clone(),
                owner: visitor.principal.role,
                comment: None,
                created_at_ms: visitor.catalog.env().now_ms(),
                kind: RelationKind::Table,
            }));
            transaction.push(Change::register(id, after, &json)?);
            id
        }
    };
    slot.keep(&mut transaction, visitor, Answered::Table(id));
    let sequence = visitor.catalog.commit(transaction).await?;
    let reader = visitor.catalog.reader_at(sequence);
    let visitor = Visitor { reader, ..visitor.renewed() };
    let found = visitor.by_id(id)?.ok_or_else(|| Error::unknown_outcome("the table is not there"))?;
    load::table(&visitor, &found, load::Snapshots::All, request).await
}

/// What a metadata file says of its table.
async fn read(visitor: &Visitor, file: &str) -> Result<(TablePointer, Vec<u8>)> {
    let storage = visitor.catalog.storage();
    // What a table that left the catalog has left in the warehouse may come back; nothing else there is read as a file.
    let own = storage.guard().own(file).ok().filter(|_| visitor.principal.superuser);
    let is_own = own.is_some();
    let checked = match own {
        Some(own) => own,
        None => storage.guard().user_path(&visitor.principal, file)?,
    };
    let json = storage.get(&checked).await?.to_vec();
    let pointer = match parse_metadata(&json) {
        Ok(metadata) => pointer_to(&metadata, checked.to_string()),
        // It is listed, and says on being read why that does not work.
        Err(_) => pointer_to_unreadable(&json, checked.to_string())?,
    };
    let location = pointer.location.trim_end_matches('/');
    match is_own {
        true if location.ends_with(&pointer.uuid.to_string()) => drop(storage.guard().own(location)?),
        true => {
            return Err(Error::bad_request("the folder is not one that this server has made for a table"));
        }
        false => drop(storage.guard().table_location(&visitor.principal, location)?),
    }
    storage.guard().table_file(location, checked.as_str())?;
    Ok((pointer, json))
}

fn check_place(visitor: &Visitor, pointer: &TablePointer, own: Option<RelationId>) -> Result<()> {
    let location = pointer.location.trim_end_matches('/');
    match visitor.reader.table_at(location, Some(pointer.uuid))? {
        Some((_, relation)) if Some(relation.id) != own => Err(Error::new(
            StatusCode::CONFLICT,
            "AlreadyExistsException",
            "the files at this location belong to another table: unregister that first",
        )),
        _ => Ok(()),
    }
}

pub async fn unregister(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    retried(visitor, |visitor| async move {
        let found = visitor.table(&request.identifier())?;
        visitor.owns(&found)?;
        let (location, metadata) = load::metadata(&visitor.reader, &found, load::Snapshots::All).await?;
        let location = Value::String(location);
        let body = format!("{{\"metadata-location\":{location},\"metadata\":{metadata}}}");
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        // A commit in between would be missing from the answer.
        transaction.assume_rows_unchanged(found.relation.id, tarn_catalog::Reading::Other);
        transaction.push(Change::DropRelation(found.relation));
        let answered = Answered::Text { status: StatusCode::OK.as_u16(), body: body.clone() };
        slot.keep(&mut transaction, &visitor, answered);
        visitor.catalog.commit(transaction).await?;
        Ok(Answer::text(StatusCode::OK, body))
    })
    .await
}
