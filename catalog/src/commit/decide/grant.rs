//! The rules for grants: both sides exist, the privileges fit the object, and two rows (by object and by role) always
//! say the same.

use super::{conflict, expect_present, expect_role, mark, put, role_lookup};
use crate::access::Privileges;
use crate::commit::facts::{Facts, Lookup};
use crate::error::{Error, Result};
use crate::object::{Grant, Securable};
use crate::store::{Space, keys};

pub fn look_up(grant: &Grant, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Row(Space::Object, keys::securable(grant.on)));
    lookups.push(Lookup::Row(Space::Grant, keys::grant(grant.on, grant.to)));
    role_lookup(grant.to, lookups);
}

/// All grants on an object, which go when the object goes: no limit, because a forgotten one would keep its role
/// from being dropped for ever.
pub fn look_up_all(on: Securable, lookups: &mut Vec<Lookup>) {
    lookups.push(Lookup::Prefix(Space::Grant, keys::grants_on(on), usize::MAX));
}

pub fn set(before: Option<&Grant>, after: &Grant, facts: &mut Facts) -> Result<()> {
    if before.is_some_and(|before| (before.on, before.to) != (after.on, after.to)) {
        return Err(Error::internal("an update gives a grant another identity"));
    }
    let fits = Privileges::all_on(after.on).contains_all(after.privileges);
    if !fits || !after.privileges.contains_all(after.grantable) {
        return Err(Error::invalid("the privileges of a grant do not fit its object"));
    }
    expect_role(after.to, facts)?;
    expect_present(Space::Object, &keys::securable(after.on), "the object of a grant", facts)?;
    let key = keys::grant(after.on, after.to);
    expect_current(before, &key, facts)?;
    if after.privileges.is_empty() {
        remove(after, facts);
        return Ok(());
    }
    mark(Space::Grant, keys::grant_to(after.to, after.on), facts);
    put(Space::Grant, key, after, facts)
}

fn expect_current(before: Option<&Grant>, key: &[u8], facts: &Facts) -> Result<()> {
    let what = "the privileges on an object";
    match before {
        Some(before) => super::expect_unchanged(Space::Grant, key, before, what, facts),
        None if facts.get(Space::Grant, key)?.is_some() => Err(conflict(what)),
        None => Ok(()),
    }
}

pub fn remove_all(on: Securable, facts: &mut Facts) -> Result<()> {
    let keys: Vec<Vec<u8>> =
        facts.under(Space::Grant, &keys::grants_on(on))?.iter().map(|(key, _)| key.to_vec()).collect();
    for key in keys {
        if let Some(grant) = facts.read::<Grant>(Space::Grant, &key)? {
            remove(&grant, facts);
        }
    }
    Ok(())
}

fn remove(grant: &Grant, facts: &mut Facts) {
    facts.set(Space::Grant, keys::grant(grant.on, grant.to), None);
    facts.set(Space::Grant, keys::grant_to(grant.to, grant.on), None);
}
