//! The rules for databases and namespaces: names are unique, new names are not reserved, only an empty one is dropped.

use super::{expect_fresh, expect_present, expect_role, expect_unchanged, put, role_lookup};
use super::{grant, mark};
use crate::commit::facts::{Facts, Lookup};
use crate::error::{Error, ErrorKind, ObjectKind, Result};
use crate::name::{check_identifier, check_namespace_name, quote};
use crate::object::{Database, Namespace, Securable};
use crate::store::{Space, keys};

/// Relations named in the detail of a refused drop.
const DEPENDENTS_SHOWN_MAX: usize = 5;

pub fn look_up_database(database: &Database, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::database(database.id)));
    lookups.push(Lookup::Row(Space::Name, keys::database_name(&database.name)));
    role_lookup(database.owner, lookups);
}

pub fn create_database(database: &Database, facts: &mut Facts) -> Result<()> {
    check_identifier(&database.name)?;
    expect_role(database.owner, facts)?;
    expect_fresh(Space::Object, &keys::database(database.id), facts)?;
    let name = keys::database_name(&database.name);
    if facts.get(Space::Name, &name)?.is_some() {
        let message = format!("database {} already exists", quoted(&database.name));
        return Err(Error::new(ErrorKind::AlreadyExists(ObjectKind::Catalog), message));
    }
    put(Space::Name, name, &database.id, facts)?;
    put(Space::Object, keys::database(database.id), database, facts)
}

pub fn look_up(namespace: &Namespace, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::database(namespace.catalog)));
    lookups.push(Lookup::Row(Space::Object, keys::namespace(namespace.id)));
    lookups.push(Lookup::Row(Space::Name, keys::namespace_name(namespace.catalog, &namespace.name)));
    role_lookup(namespace.owner, lookups);
}

/// `enough`: the number of relations that proves the namespace is not made empty by this transaction.
pub fn look_up_drop(namespace: &Namespace, enough: usize, lookups: &mut Vec<Lookup>) {
    look_up(namespace, lookups);
    let relations = keys::relation_names(namespace.id, "");
    lookups.push(Lookup::Prefix(Space::Name, relations, enough + DEPENDENTS_SHOWN_MAX));
    grant::look_up_all(Securable::Namespace(namespace.id), lookups);
}

pub fn create(namespace: &Namespace, facts: &mut Facts) -> Result<()> {
    check_namespace_name(&namespace.name)?;
    expect_role(namespace.owner, facts)?;
    expect_present(Space::Object, &keys::database(namespace.catalog), "the database of a new schema", facts)?;
    expect_fresh(Space::Object, &keys::namespace(namespace.id), facts)?;
    take_name(namespace, facts)?;
    mark(Space::Role, keys::owned(namespace.owner, Securable::Namespace(namespace.id)), facts);
    put(Space::Object, keys::namespace(namespace.id), namespace, facts)
}

pub fn update(before: &Namespace, after: &Namespace, facts: &mut Facts) -> Result<()> {
    if (before.id, before.catalog) != (after.id, after.catalog) {
        return Err(Error::internal("an update gives a schema another identity"));
    }
    let key = keys::namespace(before.id);
    expect_unchanged(Space::Object, &key, before, &described(before), facts)?;
    if before.name != after.name {
        check_namespace_name(&after.name)?;
        facts.set(Space::Name, keys::namespace_name(before.catalog, &before.name), None);
        take_name(after, facts)?;
    }
    if before.owner != after.owner {
        expect_role(after.owner, facts)?;
        let object = Securable::Namespace(before.id);
        facts.set(Space::Role, keys::owned(before.owner, object), None);
        mark(Space::Role, keys::owned(after.owner, object), facts);
    }
    put(Space::Object, key, after, facts)
}

pub fn remove(namespace: &Namespace, facts: &mut Facts) -> Result<()> {
    let key = keys::namespace(namespace.id);
    expect_unchanged(Space::Object, &key, namespace, &described(namespace), facts)?;
    expect_empty(namespace, facts)?;
    let object = Securable::Namespace(namespace.id);
    grant::remove_all(object, facts)?;
    facts.set(Space::Role, keys::owned(namespace.owner, object), None);
    facts.set(Space::Name, keys::namespace_name(namespace.catalog, &namespace.name), None);
    facts.set(Space::Object, key, None);
    Ok(())
}

fn expect_empty(namespace: &Namespace, facts: &Facts) -> Result<()> {
    let prefix = keys::relation_names(namespace.id, "");
    let relations = facts.under(Space::Name, &prefix)?;
    if relations.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = relations
        .iter()
        .take(DEPENDENTS_SHOWN_MAX)
        .map(|(key, _)| quote(&String::from_utf8_lossy(&key[prefix.len()..key.len() - 1])))
        .collect();
    let more = if relations.len() > shown.len() { " and more" } else { "" };
    let message = format!("cannot drop schema {} because other objects depend on it", quote(&namespace.name));
    Err(Error::new(ErrorKind::DependentObjects, message)
        .with_detail(format!("It still contains {}{more}.", shown.join(", ")))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too."))
}

fn take_name(namespace: &Namespace, facts: &mut Facts) -> Result<()> {
    let key = keys::namespace_name(namespace.catalog, &namespace.name);
    if facts.get(Space::Name, &key)?.is_some() {
        let message = format!("schema {} already exists", quoted(&namespace.name));
        return Err(Error::new(ErrorKind::AlreadyExists(ObjectKind::Namespace), message));
    }
    put(Space::Name, key, &namespace.id, facts)
}

fn described(namespace: &Namespace) -> String {
    format!("the schema {}", quote(&namespace.name))
}

/// PostgreSQL quotes the names in these messages whether or not they need it.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
