//! Whether a transaction's changes fit the catalog as it is now, and the rows they write. Pure: [`lookups`] says which
//! rows are needed, somebody gathers them, [`decide`] answers. A conflict is an ordinary answer.
//! It must never wait, and never read anything but its arguments. The rules of each kind of object are in `decide/`.

mod crawler;
mod grant;
mod namespace;
mod policy;
mod relation;
mod role;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::facts::{Facts, Lookup};
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CommitSequence, PUBLIC_ROLE, RoleId};
use crate::object::Securable;
use crate::store::{Space, keys, values};

/// Where in history a decision is made.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The version the transaction read: what it assumes unchanged must not be newer.
    pub base: CommitSequence,
    /// The commit it becomes.
    pub sequence: CommitSequence,
}

/// The rows that [`decide`] needs for these changes and assumptions.
pub fn lookups(changes: &[Change], unchanged: &[Securable]) -> Vec<Lookup> {
    // Each change deletes at most one row under a prefix that must become empty: one more tells whether it does.
    let enough = changes.len() + 1;
    let mut lookups = Vec::new();
    for change in changes {
        match change {
            Change::CreateDatabase(database) => namespace::look_up_database(database, &mut lookups),
            Change::CreateNamespace(after) => namespace::look_up(after, &mut lookups),
            Change::UpdateNamespace { before, after } => {
                namespace::look_up(before, &mut lookups);
                namespace::look_up(after, &mut lookups);
            }
            Change::DropNamespace(before) => namespace::look_up_drop(before, enough, &mut lookups),
            Change::CreateRelation(after) => relation::look_up(after, &mut lookups),
            Change::UpdateRelation { before, after } => {
                relation::look_up(before, &mut lookups);
                relation::look_up(after, &mut lookups);
            }
            Change::DropRelation(before) => relation::look_up_drop(before, &mut lookups),
            Change::MovePointer { relation, .. } => relation::look_up_pointer(*relation, &mut lookups),
            Change::CreateRole(after) => role::look_up(None, after, &mut lookups),
            Change::UpdateRole { before, after } => role::look_up(Some(before), after, &mut lookups),
            Change::DropRole(before) => role::look_up_drop(before, enough, &mut lookups),
            Change::SetGrant { after, .. } => grant::look_up(after, &mut lookups),
            Change::SetPolicy { on, .. } => policy::look_up(*on, &mut lookups),
            Change::SetCrawler { before, after } => {
                crawler::look_up(before.as_ref(), after.as_ref(), &mut lookups)
            }
            Change::SetCrawlRun { before: _, after } => crawler::look_up_run(after, &mut lookups),
            Change::Discard { .. } => {}
            Change::Answer(answer) => lookups.push(Lookup::Row(Space::Upkeep, keys::answer(answer.key))),
            Change::FinishWrite(write) => lookups.push(Lookup::Row(Space::Intent, keys::intent(*write))),
        }
    }
    lookups.extend(unchanged.iter().map(|object| Lookup::Row(Space::Object, keys::securable(*object))));
    lookups.sort();
    lookups.dedup();
    lookups
}

/// Makes the changes in `facts`, one after the other, or says why not.
pub fn decide(moment: Moment, changes: &[Change], unchanged: &[Securable], facts: &mut Facts) -> Result<()> {
    for object in unchanged {
        let key = keys::securable(*object);
        match facts.get(Space::Object, &key)?.map(|fact| fact.written_at) {
            Some(written_at) if written_at <= Some(moment.base) => {}
            _ => return Err(conflict("an object that this transaction read")),
        }
    }
    for change in changes {
        make(moment, change, facts)?;
    }
    relation::check_tables_have_pointers(changes, facts)
}

fn make(moment: Moment, change: &Change, facts: &mut Facts) -> Result<()> {
    match change {
        Change::CreateDatabase(database) => namespace::create_database(database, facts),
        Change::CreateNamespace(after) => namespace::create(after, facts),
        Change::UpdateNamespace { before, after } => namespace::update(before, after, facts),
        Change::DropNamespace(before) => namespace::remove(before, facts),
        Change::CreateRelation(after) => relation::create(after, facts),
        Change::UpdateRelation { before, after } => relation::update(before, after, facts),
        Change::DropRelation(before) => relation::remove(before, facts),
        Change::MovePointer { relation, before, after, metadata_json } => {
            relation::move_pointer(moment, *relation, before.as_ref(), after, metadata_json, facts)
        }
        Change::CreateRole(after) => role::create(after, facts),
        Change::UpdateRole { before, after } => role::update(before, after, facts),
        Change::DropRole(before) => role::remove(before, facts),
        Change::SetGrant { before, after } => grant::set(before.as_ref(), after, facts),
        Change::SetPolicy { on, before, after } => policy::set(*on, before.as_ref(), after.as_ref(), facts),
        Change::SetCrawler { before, after } => crawler::set(before.as_ref(), after.as_ref(), facts),
        Change::SetCrawlRun { before, after } => crawler::set_run(before.as_ref(), after, facts),
        Change::Discard { relation: _, discard } => super::upkeep::discard(moment.sequence, discard, facts),
        Change::Answer(answer) => super::answer::keep(answer, facts),
        Change::FinishWrite(write) => finish_write(keys::intent(*write), facts),
    }
}

/// The intent is the proof that nobody has begun to delete the write's files.
fn finish_write(key: Vec<u8>, facts: &mut Facts) -> Result<()> {
    let intent: Option<super::WriteIntent> = facts.read(Space::Intent, &key)?;
    if intent.is_none_or(|intent| intent.abandoned) {
        return Err(conflict("a write that was given up already"));
    }
    facts.set(Space::Intent, key, None);
    Ok(())
}

/// The answer to a transaction that came second.
fn conflict(what: &str) -> Error {
    Error::new(ErrorKind::Conflict, "could not serialize access due to concurrent update")
        .with_detail(format!("Another transaction that committed first changed or dropped {what}."))
        .with_hint("Run the transaction again.")
}

/// Checks that the row is what the transaction took it to be.
///
/// The rows are compared rather than their versions, so that it does not matter which version the writer read.
fn expect_unchanged<T: DeserializeOwned + PartialEq>(
    space: Space,
    key: &[u8],
    before: &T,
    what: &str,
    facts: &Facts,
) -> Result<()> {
    let Some(fact) = facts.get(space, key)? else { return Err(conflict(what)) };
    if values::decode::<T>(&fact.value)? == *before {
        return Ok(());
    }
    match fact.written_at {
        Some(_) => Err(conflict(what)),
        None => Err(Error::internal(format!(
            "a change of {what} does not start from what the transaction made of it"
        ))),
    }
}

/// Checks that an object something new leans on is still there.
fn expect_present(space: Space, key: &[u8], what: &str, facts: &Facts) -> Result<()> {
    match facts.get(space, key)? {
        Some(_) => Ok(()),
        None => Err(conflict(what)),
    }
}

fn expect_role(role: RoleId, facts: &Facts) -> Result<()> {
    if role == PUBLIC_ROLE {
        return Ok(());
    }
    expect_present(Space::Role, &keys::role(role), "a role that this transaction names", facts)
}

/// Checks that the id of a new object was not used before; only a bug can make it so.
fn expect_fresh(space: Space, key: &[u8], facts: &Facts) -> Result<()> {
    match facts.get(space, key)? {
        None => Ok(()),
        Some(_) => Err(Error::internal("the id of a new object is in use already")),
    }
}

fn put<T: Serialize>(space: Space, key: Vec<u8>, value: &T, facts: &mut Facts) -> Result<()> {
    facts.set(space, key, Some(values::encode(value)?));
    Ok(())
}

/// Writes a row that says all it has to say by being there.
fn mark(space: Space, key: Vec<u8>, facts: &mut Facts) {
    facts.set(space, key, Some(Bytes::new()));
}

fn role_lookup(role: RoleId, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Role, keys::role(role)));
}

#[cfg(test)]
mod tests;
