//! The rules for relations and for the pointers of tables: one name space per namespace, a table always has a pointer,
//! a pointer moves only from where its writer saw it.

use bytes::Bytes;

use super::{
    Moment, conflict, expect_fresh, expect_present, expect_role, expect_unchanged, put, role_lookup,
};
use super::{grant, mark};
use crate::change::Change;
use crate::commit::facts::{Facts, Lookup};
use crate::error::{Error, ErrorKind, ObjectKind, Result};
use crate::id::RelationId;
use crate::name::{check_identifier, quote};
use crate::object::{Relation, RelationKind, Securable, TablePointer};
use crate::store::{Space, keys};

/// Copies of metadata.json kept per table; older ones are in the object store, as all are.
const METADATA_VERSIONS_KEPT: usize = 8;

/// More copies than this cannot gather, because each commit removes what is too much.
const METADATA_VERSIONS_MAX: usize = 64;

pub fn look_up(relation: &Relation, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::namespace(relation.namespace)));
    lookups.push(Lookup::Row(Space::Object, keys::relation(relation.id)));
    lookups.push(Lookup::Row(Space::Name, keys::relation_name(relation.namespace, &relation.name)));
    lookups.push(Lookup::Row(Space::Pointer, keys::pointer(relation.id)));
    role_lookup(relation.owner, lookups);
}

pub fn look_up_drop(relation: &Relation, lookups: &mut Vec<Lookup>) {
    look_up(relation, lookups);
    look_up_pointer(relation.id, lookups);
    grant::look_up_all(Securable::Relation(relation.id), lookups);
}

pub fn look_up_pointer(relation: RelationId, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::relation(relation)));
    lookups.push(Lookup::Row(Space::Pointer, keys::pointer(relation)));
    let copies = keys::metadata_versions(relation);
    lookups.push(Lookup::Prefix(Space::Metadata, copies, METADATA_VERSIONS_MAX));
}

pub fn create(relation: &Relation, facts: &mut Facts) -> Result<()> {
    check_identifier(&relation.name)?;
    expect_role(relation.owner, facts)?;
    expect_fresh(Space::Object, &keys::relation(relation.id), facts)?;
    take_name(relation, facts)?;
    mark(Space::Role, keys::owned(relation.owner, Securable::Relation(relation.id)), facts);
    put(Space::Object, keys::relation(relation.id), relation, facts)
}

pub fn update(before: &Relation, after: &Relation, facts: &mut Facts) -> Result<()> {
    let same_kind = std::mem::discriminant(&before.kind) == std::mem::discriminant(&after.kind);
    if before.id != after.id || !same_kind {
        return Err(Error::internal("an update gives a relation another identity"));
    }
    let key = keys::relation(before.id);
    expect_unchanged(Space::Object, &key, before, &described(before), facts)?;
    if (before.namespace, &before.name) != (after.namespace, &after.name) {
        check_identifier(&after.name)?;
        facts.set(Space::Name, keys::relation_name(before.namespace, &before.name), None);
        take_name(after, facts)?;
    }
    if before.owner != after.owner {
        expect_role(after.owner, facts)?;
        let object = Securable::Relation(before.id);
        facts.set(Space::Role, keys::owned(before.owner, object), None);
        mark(Space::Role, keys::owned(after.owner, object), facts);
    }
    put(Space::Object, key, after, facts)
}

pub fn remove(relation: &Relation, facts: &mut Facts) -> Result<()> {
    let key = keys::relation(relation.id);
    expect_unchanged(Space::Object, &key, relation, &described(relation), facts)?;
    let object = Securable::Relation(relation.id);
    grant::remove_all(object, facts)?;
    remove_copies(relation.id, 0, facts)?;
    if facts.get(Space::Pointer, &keys::pointer(relation.id))?.is_some() {
        facts.set(Space::Pointer, keys::pointer(relation.id), None);
    }
    facts.set(Space::Role, keys::owned(relation.owner, object), None);
    facts.set(Space::Name, keys::relation_name(relation.namespace, &relation.name), None);
    facts.set(Space::Object, key, None);
    Ok(())
}

pub fn move_pointer(
    moment: Moment,
    relation: RelationId,
    before: Option<&TablePointer>,
    after: &TablePointer,
    metadata_json: &Bytes,
    facts: &mut Facts,
) -> Result<()> {
    let Some(object) = facts.read::<Relation>(Space::Object, &keys::relation(relation))? else {
        return Err(conflict("a table that this transaction writes to"));
    };
    if object.kind != RelationKind::Table {
        return Err(Error::internal(format!(
            "{} is given a table's metadata and is not a table",
            described(&object)
        )));
    }
    let key = keys::pointer(relation);
    let current: Option<TablePointer> = facts.read(Space::Pointer, &key)?;
    if current.as_ref() != before {
        return Err(conflict(&described(&object)));
    }
    remove_copies(relation, METADATA_VERSIONS_KEPT - 1, facts)?;
    facts.set(Space::Metadata, keys::metadata(relation, moment.sequence), Some(metadata_json.clone()));
    put(Space::Pointer, key, after, facts)
}

/// A table without metadata could not be read, and nothing would say why.
pub fn check_tables_have_pointers(changes: &[Change], facts: &Facts) -> Result<()> {
    for change in changes {
        let Change::CreateRelation(relation) = change else { continue };
        let exists = facts.get(Space::Object, &keys::relation(relation.id))?.is_some();
        let is_table = relation.kind == RelationKind::Table;
        if exists && is_table && facts.get(Space::Pointer, &keys::pointer(relation.id))?.is_none() {
            return Err(Error::internal(format!("{} is created without metadata", described(relation))));
        }
    }
    Ok(())
}

/// Deletes all copies of metadata but the newest `kept`.
fn remove_copies(relation: RelationId, kept: usize, facts: &mut Facts) -> Result<()> {
    let copies = facts.under(Space::Metadata, &keys::metadata_versions(relation))?;
    let old: Vec<Vec<u8>> = copies.iter().skip(kept).map(|(key, _)| key.to_vec()).collect();
    for key in old {
        facts.set(Space::Metadata, key, None);
    }
    Ok(())
}

/// The name is looked at before the namespace, so that the answer to a name in use is always the same.
fn take_name(relation: &Relation, facts: &mut Facts) -> Result<()> {
    let key = keys::relation_name(relation.namespace, &relation.name);
    if facts.get(Space::Name, &key)?.is_some() {
        let message = format!("relation \"{}\" already exists", relation.name);
        return Err(Error::new(ErrorKind::AlreadyExists(ObjectKind::Relation), message));
    }
    expect_present(Space::Object, &keys::namespace(relation.namespace), "the schema of a relation", facts)?;
    put(Space::Name, key, &relation.id, facts)
}

fn described(relation: &Relation) -> String {
    let kind = match &relation.kind {
        RelationKind::Table => "table",
        RelationKind::External(_) => "external table",
        RelationKind::View(_) => "view",
    };
    format!("the {kind} {}", quote(&relation.name))
}
