//! Tables as objects: listed, loaded, dropped, renamed. What is in them changes in `commit.rs`.

use serde::Deserialize;
use serde_json::{Value, json};
use tarn_catalog::access::Privilege;
use tarn_catalog::object::{Relation, RelationKind, TablePointer};
use tarn_catalog::{Answered, Catalog, Change, CommitSequence};

use super::again::Slot;
use super::answer::Answer;
use super::error::{Error, Result};
use super::load;
use super::page::Page;
use super::request::{Identifier, Request};
use super::visitor::{Found, Visitor, check_name, retried};

/// Names read of the catalog at a time.
const NAMES_AT_ONCE: usize = 1000;

#[derive(Deserialize)]
struct Rename {
    source: Identifier,
    destination: Identifier,
}

pub fn list(visitor: &Visitor, request: &Request) -> Result<Answer> {
    identifiers(visitor, request, |relation| relation.kind == RelationKind::Table)
}

/// The relations of a namespace that are `wanted` and seen, by name.
pub fn identifiers(
    visitor: &Visitor,
    request: &Request,
    wanted: impl Fn(&Relation) -> bool,
) -> Result<Answer> {
    let namespace = visitor.namespace(&request.namespace())?;
    let page = Page::of(request)?;
    let (mut names, mut after) = (Vec::new(), page.after.clone());
    loop {
        let relations = visitor.reader.relations_after(namespace.id, after.as_deref(), NAMES_AT_ONCE)?;
        let is_last = relations.len() < NAMES_AT_ONCE;
        after = relations.last().map(|relation| relation.name.clone());
        for relation in relations {
            if !page.is_full(names.len()) && wanted(&relation) && visitor.sees(&relation)? {
                names.push(relation.name);
            }
        }
        if is_last || page.is_full(names.len()) {
            break;
        }
    }
    let next = page.cut(&mut names, String::as_str);
    let identifiers: Vec<Value> =
        names.into_iter().map(|name| json!({ "namespace": [namespace.name], "name": name })).collect();
    Ok(Answer::json(&json!({ "identifiers": identifiers, "next-page-token": next })))
}

pub async fn load(visitor: &Visitor, request: &Request) -> Result<Answer> {
    load::unless_known(visitor, &visitor.table(&request.identifier())?, request).await
}

pub fn exists(visitor: &Visitor, request: &Request) -> Result<Answer> {
    visitor.table(&request.identifier())?;
    Ok(Answer::nothing())
}

/// Takes a table out of the catalog. Its files stay, as with `DROP TABLE`, unless they are to be purged.
pub async fn remove(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let purge = request.flag("purgeRequested")?;
    retried(visitor, |visitor| async move {
        let found = visitor.table(&request.identifier())?;
        visitor.owns(&found)?;
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        if purge && let Some(pointer) = visitor.reader.pointer(found.relation.id)? {
            check_purge(&visitor, &found).await?;
            transaction.push(visitor.catalog.to_purge(found.relation.id, &pointer)?);
        }
        transaction.push(Change::DropRelation(found.relation));
        slot.keep(&mut transaction, &visitor, Answered::Nothing);
        let sequence = visitor.catalog.commit(transaction).await?;
        if purge {
            reap_after(sequence, std::sync::Arc::clone(&visitor.catalog));
        }
        Ok(Answer::nothing())
    })
    .await
}

/// A table that says that its files are not its own alone keeps them.
async fn check_purge(visitor: &Visitor, found: &Found) -> Result<()> {
    if visitor.reader.unsupported(found.relation.id)?.is_some() {
        return Ok(());
    }
    let version = visitor.reader.table(found.relation.id).await?;
    match version.metadata.properties().get("gc.enabled").map(String::as_str) {
        Some("false") => Err(Error::bad_request(
            "cannot purge the table: its property gc.enabled is false, because other tables may use its files",
        )),
        _ => Ok(()),
    }
}

/// Deletes what a commit left behind once nobody reads a version from before it.
fn reap_after(commit: CommitSequence, catalog: std::sync::Arc<Catalog>) {
    tokio::spawn(async move {
        catalog.when_unread(commit).await;
        if let Err(error) = catalog.reap().await {
            tracing::warn!(%error, "the files of a purged table stay for now");
        }
    });
}

pub async fn rename(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    renamed(visitor, request, slot, |visitor, identifier| visitor.table(identifier)).await
}

/// Gives a relation another name, in another namespace if that is asked for.
pub async fn renamed(
    visitor: Visitor,
    request: &Request,
    slot: &Slot,
    find: impl Fn(&Visitor, &Identifier) -> Result<Found>,
) -> Result<Answer> {
    let Rename { source, destination } = request.json()?;
    check_name(&destination.name)?;
    let (source, destination, find) = (&source, &destination, &find);
    retried(visitor, |visitor| async move {
        let found = find(&visitor, source)?;
        visitor.owns(&found)?;
        let namespace = visitor.namespace(&destination.namespace)?;
        visitor.may_in(&namespace, Privilege::Create)?;
        if visitor.reader.relation(namespace.id, &destination.name)?.is_some() {
            return Err(Error::already_exists("Table or view", &destination.name));
        }
        let before = found.relation;
        let after = Relation { namespace: namespace.id, name: destination.name.clone(), ..before.clone() };
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        transaction.push(Change::UpdateRelation { before, after });
        slot.keep(&mut transaction, &visitor, Answered::Nothing);
        visitor.catalog.commit(transaction).await?;
        Ok(Answer::nothing())
    })
    .await
}

/// What a client tells of its scans and commits is taken and counted, and nothing else.
pub fn report(visitor: &Visitor, request: &Request) -> Result<Answer> {
    visitor.table(&request.identifier())?;
    let report: Value = request.json()?;
    match report.get("report-type").and_then(Value::as_str) {
        Some("scan-report" | "commit-report") => Ok(Answer::nothing()),
        Some(_) => Err(Error::bad_request("the report-type is scan-report or commit-report")),
        None => Err(Error::bad_request("the report has no report-type")),
    }
}

/// Fails with 409 when a relation of this name is there, whoever sees it.
pub fn check_free(visitor: &Visitor, found: Option<&Relation>, name: &str) -> Result<()> {
    match found {
        Some(relation) if visitor.sees(relation)? => Err(Error::already_exists("Table", name)),
        Some(_) => Err(Error::already_exists("An object of another owner", name)),
        None => Ok(()),
    }
}

/// Where a table's metadata is.
pub fn pointer(visitor: &Visitor, found: &Found) -> Result<TablePointer> {
    visitor.reader.pointer(found.relation.id)?.ok_or_else(|| Error::internal("a table without a pointer"))
}
