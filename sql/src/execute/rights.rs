//! `GRANT` and `REVOKE`: one row per object and role says what the role holds on it from then on.

use tarn_catalog::access::Privileges;
use tarn_catalog::object::{Grant, Role, Securable};
use tarn_catalog::{Change, PUBLIC_ROLE};

use super::commit;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::resolve::Object;
use crate::sqlstate::SqlState;
use crate::statement::GrantPrivileges;

pub(super) async fn privileges(
    objects: Vec<Object>,
    roles: Vec<Option<Role>>,
    grant: &GrantPrivileges,
    context: &Context,
) -> Result<Outcome> {
    let mut transaction = context.begin();
    for object in &objects {
        let on = match object {
            Object::Schema(namespace) => Securable::Namespace(namespace.id),
            Object::Relation(found) => Securable::Relation(found.relation.id),
        };
        let held = context.scope.reader.grants_on(on)?;
        let named = match &grant.privileges {
            Some(privileges) => Privileges::of(privileges.iter().copied()),
            None => Privileges::all_on(on),
        };
        for role in &roles {
            let to = role.as_ref().map_or(PUBLIC_ROLE, |role| role.id);
            if to == PUBLIC_ROLE && grant.grant_option && !grant.revoke {
                let message = "grant options can only be granted to roles";
                return Err(Error::new(SqlState::INVALID_GRANT, message));
            }
            let before = held.iter().find(|held| held.to == to).cloned();
            let after = changed(before.as_ref(), on, to, named, grant);
            if before.as_ref() != Some(&after) && (before.is_some() || !after.privileges.is_empty()) {
                transaction.push(Change::SetGrant { before, after });
            }
        }
    }
    if !transaction.is_empty() {
        commit(transaction, context).await?;
    }
    Ok(Outcome::done(if grant.revoke { "REVOKE" } else { "GRANT" }))
}

/// What a role holds after a grant or revoke.
fn changed(
    before: Option<&Grant>,
    on: Securable,
    to: tarn_catalog::RoleId,
    named: Privileges,
    grant: &GrantPrivileges,
) -> Grant {
    let held = before.map_or(Privileges::NONE, |grant| grant.privileges);
    let grantable = before.map_or(Privileges::NONE, |grant| grant.grantable);
    match (grant.revoke, grant.grant_option) {
        (false, with_option) => {
            let passed_on = if with_option { named } else { Privileges::NONE };
            Grant { on, to, privileges: held.union(named), grantable: grantable.union(passed_on) }
        }
        (true, true) => Grant { on, to, privileges: held, grantable: grantable.minus(named) },
        (true, false) => Grant { on, to, privileges: held.minus(named), grantable: grantable.minus(named) },
    }
}

pub(super) async fn membership(
    revoke: bool,
    granted: &[Role],
    members: Vec<Role>,
    context: &Context,
) -> Result<Outcome> {
    let reader = &context.scope.reader;
    let mut transaction = context.begin();
    for before in members {
        let mut after = before.clone();
        for role in granted {
            let circular =
                reader.principal(role.id)?.is_some_and(|granted| granted.roles.contains(&before.id));
            if circular && !revoke {
                let message = format!("role \"{}\" is a member of role \"{}\"", role.name, before.name);
                return Err(Error::new(SqlState::INVALID_GRANT, message));
            }
            after.member_of.retain(|held| *held != role.id);
            if !revoke {
                after.member_of.push(role.id);
            }
        }
        if after != before {
            transaction.push(Change::UpdateRole { before, after });
        }
    }
    if !transaction.is_empty() {
        commit(transaction, context).await?;
    }
    Ok(Outcome::done(if revoke { "REVOKE ROLE" } else { "GRANT ROLE" }))
}
