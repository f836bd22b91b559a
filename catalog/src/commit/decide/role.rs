//! The rules for roles: names are unique, membership has no circle, the first superuser stays one, and a role that owns
//! or holds something is not dropped.

use std::collections::BTreeSet;

use super::{expect_fresh, expect_role, expect_unchanged, put, role_lookup};
use crate::commit::facts::{Facts, Lookup};
use crate::error::{Error, ErrorKind, ObjectKind, Result};
use crate::id::{PUBLIC_ROLE, RoleId, SUPERUSER};
use crate::name::{check_role_name, quote};
use crate::object::Role;
use crate::store::{Space, keys};

pub fn look_up(before: Option<&Role>, after: &Role, lookups: &mut Vec<Lookup>) {
    for role in before.into_iter().chain([after]) {
        role_lookup(role.id, lookups);
        lookups.push(Lookup::Row(Space::Role, keys::role_name(&role.name)));
    }
    if joins(before, after).next().is_some() {
        // Only following memberships from role to role would need fewer, and roles that join others are few.
        lookups.push(Lookup::Prefix(Space::Role, keys::ROLES.to_vec(), usize::MAX));
    }
}

pub fn look_up_drop(role: &Role, enough: usize, lookups: &mut Vec<Lookup>) {
    look_up(None, &Role { member_of: Vec::new(), ..role.clone() }, lookups);
    lookups.push(Lookup::Prefix(Space::Role, keys::owned_by(role.id), enough));
    lookups.push(Lookup::Prefix(Space::Grant, keys::grants_to(role.id), enough));
}

pub fn create(role: &Role, facts: &mut Facts) -> Result<()> {
    check_role_name(&role.name)?;
    expect_fresh(Space::Role, &keys::role(role.id), facts)?;
    take_name(role, facts)?;
    check_membership(None, role, facts)?;
    put(Space::Role, keys::role(role.id), role, facts)
}

pub fn update(before: &Role, after: &Role, facts: &mut Facts) -> Result<()> {
    if before.id != after.id {
        return Err(Error::internal("an update gives a role another identity"));
    }
    if after.id == SUPERUSER && !(after.superuser && after.login) {
        return Err(Error::invalid(format!(
            "role {} must stay a superuser that may log in",
            quote(&before.name)
        ))
        .with_hint("Without it nobody could give rights back that were taken by mistake."));
    }
    let key = keys::role(before.id);
    expect_unchanged(Space::Role, &key, before, &format!("the role {}", quote(&before.name)), facts)?;
    if before.name != after.name {
        check_role_name(&after.name)?;
        facts.set(Space::Role, keys::role_name(&before.name), None);
        take_name(after, facts)?;
    }
    check_membership(Some(before), after, facts)?;
    put(Space::Role, key, after, facts)
}

/// Roles that are members of the dropped one keep its id in `member_of`. It means nothing any more, because ids are
/// never issued again, and readers pass over it.
pub fn remove(role: &Role, facts: &mut Facts) -> Result<()> {
    let key = keys::role(role.id);
    expect_unchanged(Space::Role, &key, role, &format!("the role {}", quote(&role.name)), facts)?;
    let owned = facts.under(Space::Role, &keys::owned_by(role.id))?.len();
    let granted = facts.under(Space::Grant, &keys::grants_to(role.id))?.len();
    let refused = |detail: &str, hint: &str| {
        let message =
            format!("role {} cannot be dropped because some objects depend on it", quote(&role.name));
        Err(Error::new(ErrorKind::DependentObjects, message).with_detail(detail).with_hint(hint))
    };
    if role.id == SUPERUSER {
        return refused(
            "It is the first superuser, which is always there.",
            "Take its password away instead.",
        );
    }
    if owned > 0 {
        return refused("It owns schemas or relations.", "Give them to another role: ALTER ... OWNER TO.");
    }
    if granted > 0 {
        return refused("It holds privileges on schemas or relations.", "REVOKE them first.");
    }
    facts.set(Space::Role, keys::role_name(&role.name), None);
    facts.set(Space::Role, key, None);
    Ok(())
}

fn take_name(role: &Role, facts: &mut Facts) -> Result<()> {
    let key = keys::role_name(&role.name);
    if facts.get(Space::Role, &key)?.is_some() {
        let message = format!("role \"{}\" already exists", role.name);
        return Err(Error::new(ErrorKind::AlreadyExists(ObjectKind::Role), message));
    }
    put(Space::Role, key, &role.id, facts)
}

/// The roles that `after` is a member of and `before` was not.
fn joins<'a>(before: Option<&'a Role>, after: &'a Role) -> impl Iterator<Item = RoleId> + 'a {
    let known = move |role: &RoleId| before.is_some_and(|before| before.member_of.contains(role));
    after.member_of.iter().copied().filter(move |role| !known(role))
}

fn check_membership(before: Option<&Role>, after: &Role, facts: &Facts) -> Result<()> {
    let mut open: Vec<RoleId> = joins(before, after).collect();
    for joined in &open {
        if *joined == PUBLIC_ROLE {
            return Err(Error::invalid("membership of the pseudo-role public cannot be granted"));
        }
        expect_role(*joined, facts)?;
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if id == after.id {
            let message = format!("role {} would become a member of itself", quote(&after.name));
            return Err(Error::invalid(message));
        }
        if seen.insert(id)
            && let Some(role) = facts.read::<Role>(Space::Role, &keys::role(id))?
        {
            open.extend(role.member_of);
        }
    }
    Ok(())
}
