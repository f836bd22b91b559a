//! Namespaces, which SQL calls schemas: one level, with properties that only other engines read. The comment of SQL is the
//! property `comment`, and the owner is told as `owner`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tarn_catalog::object::Namespace;
use tarn_catalog::{Answered, Change, LAKE};

use super::again::Slot;
use super::answer::Answer;
use super::error::{Error, Result};
use super::page::Page;
use super::request::{Request, levels};
use super::visitor::{Visitor, check_levels, retried};

/// The property that is the comment of SQL.
const COMMENT: &str = "comment";

/// The property that tells the owner, and cannot be set.
const OWNER: &str = "owner";

#[derive(Deserialize)]
struct CreateNamespace {
    namespace: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct UpdateProperties {
    #[serde(default)]
    removals: Vec<String>,
    #[serde(default)]
    updates: BTreeMap<String, String>,
}

pub fn list(visitor: &Visitor, request: &Request) -> Result<Answer> {
    let page = Page::of(request)?;
    let mut names = Vec::new();
    match request.parameter("parent").filter(|parent| !parent.is_empty()) {
        // There is nothing below a namespace.
        Some(parent) => drop(visitor.namespace(&levels(parent))?),
        None => {
            for namespace in visitor.reader.namespaces(LAKE)? {
                let is_later = page.after.as_ref().is_none_or(|after| namespace.name > *after);
                if is_later && visitor.sees_namespace(&namespace)? {
                    names.push(namespace.name);
                }
                if page.is_full(names.len()) {
                    break;
                }
            }
        }
    }
    let next = page.cut(&mut names, String::as_str);
    let namespaces: Vec<[String; 1]> = names.into_iter().map(|name| [name]).collect();
    Ok(Answer::json(&json!({ "namespaces": namespaces, "next-page-token": next })))
}

pub async fn create(visitor: &Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let CreateNamespace { namespace: levels, mut properties } = request.json()?;
    let name = check_levels(&levels)?.to_owned();
    visitor.may_create_namespaces()?;
    if visitor.reader.namespace(LAKE, &name)?.is_some() {
        return Err(Error::already_exists("Namespace", &name));
    }
    refuse_owner(properties.keys())?;
    let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
    let namespace = Namespace {
        id: transaction.new_namespace_id()?,
        catalog: LAKE,
        name,
        owner: visitor.principal.role,
        comment: properties.remove(COMMENT),
        properties,
        created_at_ms: visitor.catalog.env().now_ms(),
    };
    let body = json!({ "namespace": levels, "properties": shown(visitor, &namespace)? });
    transaction.push(Change::CreateNamespace(namespace));
    let answer = Answer::json(&body);
    slot.keep(&mut transaction, visitor, Answered::Text { status: 200, body: body.to_string() });
    visitor.catalog.commit(transaction).await?;
    Ok(answer)
}

pub fn load(visitor: &Visitor, request: &Request) -> Result<Answer> {
    let namespace = visitor.namespace(&request.namespace())?;
    let properties = shown(visitor, &namespace)?;
    Ok(Answer::json(&json!({ "namespace": [namespace.name], "properties": properties })))
}

pub fn exists(visitor: &Visitor, request: &Request) -> Result<Answer> {
    visitor.namespace(&request.namespace())?;
    Ok(Answer::nothing())
}

pub async fn remove(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    retried(visitor, |visitor| async move {
        let namespace = visitor.namespace(&request.namespace())?;
        visitor.owns_namespace(&namespace)?;
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        transaction.push(Change::DropNamespace(namespace));
        slot.keep(&mut transaction, &visitor, Answered::Nothing);
        visitor.catalog.commit(transaction).await?;
        Ok(Answer::nothing())
    })
    .await
}

pub async fn update(visitor: Visitor, request: &Request, slot: &Slot) -> Result<Answer> {
    let wanted: UpdateProperties = request.json()?;
    let wanted = &wanted;
    if let Some(both) = wanted.removals.iter().find(|name| wanted.updates.contains_key(*name)) {
        return Err(Error::unprocessable(format!("the property {both:?} is both set and removed")));
    }
    refuse_owner(wanted.removals.iter().chain(wanted.updates.keys()))?;
    retried(visitor, |visitor| async move {
        let before = visitor.namespace(&request.namespace())?;
        visitor.owns_namespace(&before)?;
        let mut after = before.clone();
        let body = changed(&mut after, wanted);
        let mut transaction = visitor.catalog.begin_at(visitor.reader.clone(), visitor.principal.role);
        transaction.push(Change::UpdateNamespace { before, after });
        slot.keep(&mut transaction, &visitor, Answered::Text { status: 200, body: body.to_string() });
        visitor.catalog.commit(transaction).await?;
        Ok(Answer::json(&body))
    })
    .await
}

/// Sets and removes properties; says what happened to each.
fn changed(namespace: &mut Namespace, wanted: &UpdateProperties) -> Value {
    let (mut removed, mut missing) = (Vec::new(), Vec::new());
    for name in wanted.removals.iter().collect::<BTreeSet<_>>() {
        let there = match name.as_str() {
            COMMENT => namespace.comment.take().is_some(),
            _ => namespace.properties.remove(name).is_some(),
        };
        if there { removed.push(name) } else { missing.push(name) }
    }
    for (name, value) in &wanted.updates {
        match name.as_str() {
            COMMENT => namespace.comment = Some(value.clone()),
            _ => drop(namespace.properties.insert(name.clone(), value.clone())),
        }
    }
    json!({
        "updated": wanted.updates.keys().collect::<Vec<_>>(),
        "removed": removed,
        "missing": missing,
    })
}

fn refuse_owner<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<()> {
    match names.any(|name| name == OWNER) {
        true => {
            Err(Error::bad_request("the property \"owner\" is who owns the namespace, and is set by SQL"))
        }
        false => Ok(()),
    }
}

fn shown(visitor: &Visitor, namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let mut properties = namespace.properties.clone();
    properties.extend(namespace.comment.clone().map(|comment| (COMMENT.to_owned(), comment)));
    let owner = visitor.reader.role_by_id(namespace.owner)?;
    properties.extend(owner.map(|owner| (OWNER.to_owned(), owner.name)));
    Ok(properties)
}
