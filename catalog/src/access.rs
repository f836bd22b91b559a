//! Who may do what: one requirement, one principal and the grants on one object give a yes or a no.
//! Pure and default deny: it must never read the catalog, and never know a statement. Next: `change.rs`.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::id::RoleId;
use crate::object::{Grant, Securable};

/// A right on an object that can be granted, with PostgreSQL's names and meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    /// To see into a namespace.
    Usage,
    /// To create relations in a namespace.
    Create,
}

impl Privilege {
    pub const ALL: [Privilege; 7] = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
        Privilege::Usage,
        Privilege::Create,
    ];

    /// The word of `GRANT`, upper case.
    pub fn name(self) -> &'static str {
        match self {
            Privilege::Select => "SELECT",
            Privilege::Insert => "INSERT",
            Privilege::Update => "UPDATE",
            Privilege::Delete => "DELETE",
            Privilege::Truncate => "TRUNCATE",
            Privilege::Usage => "USAGE",
            Privilege::Create => "CREATE",
        }
    }

    /// The letter of PostgreSQL's access lists (`aclitem`), as in `tarn=arwd/tarn`.
    pub fn letter(self) -> char {
        match self {
            Privilege::Select => 'r',
            Privilege::Insert => 'a',
            Privilege::Update => 'w',
            Privilege::Delete => 'd',
            Privilege::Truncate => 'D',
            Privilege::Usage => 'U',
            Privilege::Create => 'C',
        }
    }

    /// Stored on disk: a bit's place never changes.
    const fn bit(self) -> u16 {
        match self {
            Privilege::Select => 1,
            Privilege::Insert => 2,
            Privilege::Update => 4,
            Privilege::Delete => 8,
            Privilege::Truncate => 16,
            Privilege::Usage => 32,
            Privilege::Create => 64,
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of privileges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Privileges(u16);

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    /// What `GRANT ALL` means on a table or view.
    pub const ALL_RELATION: Privileges = Privileges(
        Privilege::Select.bit()
            | Privilege::Insert.bit()
            | Privilege::Update.bit()
            | Privilege::Delete.bit()
            | Privilege::Truncate.bit(),
    );
    /// What `GRANT ALL` means on a schema.
    pub const ALL_NAMESPACE: Privileges = Privileges(Privilege::Usage.bit() | Privilege::Create.bit());

    pub fn of(privileges: impl IntoIterator<Item = Privilege>) -> Privileges {
        Privileges(privileges.into_iter().fold(0, |bits, privilege| bits | privilege.bit()))
    }

    /// All that can be granted on this kind of object.
    pub fn all_on(securable: Securable) -> Privileges {
        match securable {
            Securable::Namespace(_) => Privileges::ALL_NAMESPACE,
            Securable::Relation(_) => Privileges::ALL_RELATION,
        }
    }

    pub fn contains(self, privilege: Privilege) -> bool {
        self.0 & privilege.bit() != 0
    }

    /// Whether all of `other` are in here.
    pub fn contains_all(self, other: Privileges) -> bool {
        other.minus(self).is_empty()
    }

    pub fn union(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }

    pub fn minus(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |privilege| self.contains(*privilege))
    }
}

/// A role as rights see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub role: RoleId,
    pub name: String,
    pub superuser: bool,
    pub create_role: bool,
    pub create_schema: bool,
    /// The role itself, `PUBLIC_ROLE`, and every role it is a member of, directly or through others.
    pub roles: BTreeSet<RoleId>,
}

impl Principal {
    /// Whether this principal may act as `role`: it is that role, or a member of it, or a superuser.
    pub fn acts_as(&self, role: RoleId) -> bool {
        self.superuser || self.roles.contains(&role)
    }
}

/// What a statement needs of an object, or of the role itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Privilege(Privilege),
    /// The privilege with the right to pass it on.
    Grantable(Privilege),
    Ownership,
    Superuser,
    CreateSchema,
    CreateRole,
}

/// One thing that must hold before a statement may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// None when the need is about the role alone.
    pub on: Option<Securable>,
    /// The owner of `on`.
    pub owner: Option<RoleId>,
    pub need: Need,
    /// What to call it in the message: `table orders`, `schema raw`. For needs about the role alone, the deed:
    /// `create role`.
    pub object: String,
}

/// Whether `principal` meets `requirement`, given the grants on its object. What is not allowed is denied.
pub fn decide(principal: &Principal, requirement: &Requirement, grants: &[Grant]) -> Result<()> {
    if principal.superuser || is_met(principal, requirement, grants) {
        return Ok(());
    }
    Err(denied(requirement))
}

fn is_met(principal: &Principal, requirement: &Requirement, grants: &[Grant]) -> bool {
    let owns = requirement.owner.is_some_and(|owner| principal.roles.contains(&owner));
    match requirement.need {
        Need::Privilege(privilege) => owns || holds(principal, requirement, grants, privilege, false),
        Need::Grantable(privilege) => owns || holds(principal, requirement, grants, privilege, true),
        Need::Ownership => owns,
        Need::Superuser => false,
        Need::CreateSchema => principal.create_schema,
        Need::CreateRole => principal.create_role,
    }
}

/// Grants on other objects are passed over rather than trusted not to be there.
fn holds(
    principal: &Principal,
    requirement: &Requirement,
    grants: &[Grant],
    privilege: Privilege,
    grantable: bool,
) -> bool {
    grants.iter().any(|grant| {
        Some(grant.on) == requirement.on
            && principal.roles.contains(&grant.to)
            && grant.privileges.contains(privilege)
            && (!grantable || grant.grantable.contains(privilege))
    })
}

fn denied(requirement: &Requirement) -> Error {
    let object = &requirement.object;
    let error = |message: String| Error::new(ErrorKind::Denied, message);
    match requirement.need {
        Need::Privilege(privilege) => error(format!("permission denied for {object}"))
            .with_detail(format!("This needs the privilege {privilege}."))
            .with_hint("Ask the owner, or a superuser, to GRANT it."),
        Need::Grantable(privilege) => error(format!("permission denied for {object}"))
            .with_detail(format!("This needs the privilege {privilege} WITH GRANT OPTION.")),
        Need::Ownership => error(format!("must be owner of {object}")),
        Need::Superuser => {
            error(format!("permission denied to {object}")).with_detail("Only a superuser may do this.")
        }
        Need::CreateSchema => error(format!("permission denied to {object}"))
            .with_detail("Only roles with the attribute CREATESCHEMA may create schemas.")
            .with_hint("A superuser can give it: ALTER ROLE name CREATESCHEMA."),
        Need::CreateRole => error(format!("permission denied to {object}"))
            .with_detail("Only roles with the attribute CREATEROLE may create, alter and drop roles.")
            .with_hint("A superuser can give it: ALTER ROLE name CREATEROLE."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NamespaceId, PUBLIC_ROLE, RelationId};

    const ALICE: RoleId = RoleId(101);
    const READERS: RoleId = RoleId(102);
    const OTHER: RoleId = RoleId(103);
    const ORDERS: Securable = Securable::Relation(RelationId(201));

    fn alice() -> Principal {
        Principal {
            role: ALICE,
            name: "alice".into(),
            superuser: false,
            create_role: false,
            create_schema: false,
            roles: BTreeSet::from([ALICE, READERS, PUBLIC_ROLE]),
        }
    }

    fn grant(on: Securable, to: RoleId, privileges: &[Privilege], grantable: &[Privilege]) -> Grant {
        Grant {
            on,
            to,
            privileges: Privileges::of(privileges.iter().copied()),
            grantable: Privileges::of(grantable.iter().copied()),
        }
    }

    fn check(principal: &Principal, need: Need, owner: RoleId, grants: &[Grant], expect: &str) {
        let on = match need {
            Need::Privilege(_) | Need::Grantable(_) | Need::Ownership => Some(ORDERS),
            Need::Superuser | Need::CreateSchema | Need::CreateRole => None,
        };
        let requirement = Requirement { on, owner: on.map(|_| owner), need, object: "table orders".into() };
        let answer = match decide(principal, &requirement, grants) {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Denied);
                error.message
            }
        };
        assert_eq!(answer, expect, "{need:?} with {grants:?}");
    }

    #[test]
    fn privileges_come_from_grants_on_the_same_object() {
        use Privilege::{Insert, Select};
        let denied = "permission denied for table orders";
        let select = Need::Privilege(Select);
        check(&alice(), select, OTHER, &[], denied);
        check(&alice(), select, OTHER, &[grant(ORDERS, ALICE, &[Select], &[])], "ok");
        check(&alice(), select, OTHER, &[grant(ORDERS, READERS, &[Select], &[])], "ok");
        check(&alice(), select, OTHER, &[grant(ORDERS, PUBLIC_ROLE, &[Select], &[])], "ok");
        check(&alice(), select, OTHER, &[grant(ORDERS, OTHER, &[Select], &[])], denied);
        check(&alice(), select, OTHER, &[grant(ORDERS, ALICE, &[Insert], &[])], denied);
        let elsewhere = Securable::Namespace(NamespaceId(201));
        check(&alice(), select, OTHER, &[grant(elsewhere, ALICE, &[Select], &[])], denied);
    }

    #[test]
    fn passing_on_needs_the_grant_option() {
        use Privilege::Select;
        let need = Need::Grantable(Select);
        let denied = "permission denied for table orders";
        check(&alice(), need, OTHER, &[grant(ORDERS, ALICE, &[Select], &[])], denied);
        check(&alice(), need, OTHER, &[grant(ORDERS, READERS, &[Select], &[Select])], "ok");
        // A stored row that says "grantable" without the privilege itself gives nothing.
        check(&alice(), need, OTHER, &[grant(ORDERS, ALICE, &[], &[Select])], denied);
        check(&alice(), need, ALICE, &[], "ok");
    }

    #[test]
    fn owners_hold_everything_on_their_own() {
        check(&alice(), Need::Privilege(Privilege::Delete), ALICE, &[], "ok");
        check(&alice(), Need::Privilege(Privilege::Delete), READERS, &[], "ok");
        check(&alice(), Need::Ownership, READERS, &[], "ok");
        let everything = grant(ORDERS, ALICE, &Privilege::ALL, &Privilege::ALL);
        check(&alice(), Need::Ownership, OTHER, &[everything], "must be owner of table orders");
    }

    #[test]
    fn attributes_of_the_role() {
        let denied = "permission denied to table orders";
        for need in [Need::Superuser, Need::CreateSchema, Need::CreateRole] {
            check(&alice(), need, ALICE, &[], denied);
            check(&Principal { superuser: true, ..alice() }, need, OTHER, &[], "ok");
        }
        check(&Principal { create_role: true, ..alice() }, Need::CreateRole, OTHER, &[], "ok");
        check(&Principal { create_role: true, ..alice() }, Need::CreateSchema, OTHER, &[], denied);
        check(&Principal { create_schema: true, ..alice() }, Need::CreateSchema, OTHER, &[], "ok");
        check(&Principal { create_schema: true, ..alice() }, Need::Superuser, OTHER, &[], denied);
    }

    #[test]
    fn superusers_pass_everything() {
        let root = Principal { superuser: true, roles: BTreeSet::new(), ..alice() };
        for privilege in Privilege::ALL {
            check(&root, Need::Privilege(privilege), OTHER, &[], "ok");
            check(&root, Need::Grantable(privilege), OTHER, &[], "ok");
        }
        check(&root, Need::Ownership, OTHER, &[], "ok");
    }

    #[test]
    fn sets_of_privileges() {
        let set = Privileges::of([Privilege::Select, Privilege::Create]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Privilege::Select, Privilege::Create]);
        assert_eq!(set.minus(Privileges::ALL_NAMESPACE), Privileges::of([Privilege::Select]));
        assert!(Privileges::ALL_RELATION.contains_all(Privileges::of([Privilege::Truncate])));
        assert!(!Privileges::ALL_RELATION.contains(Privilege::Usage));
        assert!(Privileges::NONE.is_empty());
        let bits: BTreeSet<u16> = Privilege::ALL.iter().map(|privilege| privilege.bit()).collect();
        assert_eq!(bits.len(), Privilege::ALL.len());
    }
}
