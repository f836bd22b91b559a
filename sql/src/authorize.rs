//! Whether a statement may run: what it will do becomes a list of requirements, and every one must be met. The
//! match over statement kinds is exhaustive, so a new kind without an entry does not compile; what is not allowed
//! is denied. Planning takes an [`Authorized`], which only this file makes. Next: `plan/mod.rs`.

use tarn_catalog::access::{self, Need, Principal, Privilege, Privileges, Requirement};
use tarn_catalog::object::{Namespace, Role, Securable};
use tarn_catalog::{LAKE, Reader};

use crate::error::{Error, Result};
use crate::procedure::{ProcedureCall, Right};
use crate::resolve::{
    Action, Change, ConstraintObjects, CopyInto, Found, Object, PolicyObject, RelationChange, Resolved,
    ResolvedQuery, ResolvedRelation, SchemaChange, Scope, TableTarget,
};
use crate::sqlstate::SqlState;
use crate::statement::{GrantPrivileges, RoleOptions};

/// A statement that may run. Only [`authorize`] makes one.
#[derive(Debug)]
pub(crate) struct Authorized {
    action: Action,
    notices: Vec<String>,
}

impl Authorized {
    pub fn action(&self) -> &Action {
        &self.action
    }

    pub fn into_parts(self) -> (Action, Vec<String>) {
        (self.action, self.notices)
    }
}

/// Checks every requirement of a statement.
///
/// # Errors
///
/// 42501 naming the object for the first requirement that is not met.
pub(crate) fn authorize(resolved: Resolved, scope: &Scope) -> Result<Authorized> {
    let mut needs = Needs { scope, principal: &scope.principal, list: Vec::new() };
    needs.action(resolved.action())?;
    for (principal, requirement) in &needs.list {
        scope.reader.check(principal, requirement)?;
    }
    let (action, notices) = resolved.into_parts();
    Ok(Authorized { action, notices })
}

/// Checks that a principal may make tables in the schema of a crawl, which makes the schema if there is none.
///
/// # Errors
///
/// 42501 naming the schema.
pub(crate) fn check_crawl(schema: &str, principal: &Principal, reader: &Reader) -> Result<()> {
    let (requirement, grants) = match reader.namespace(LAKE, schema)? {
        Some(namespace) => {
            let on = Securable::Namespace(namespace.id);
            let need = Need::Privilege(Privilege::Create);
            let object = format!("schema {schema}");
            let owner = Some(namespace.owner);
            (Requirement { on: Some(on), owner, need, object }, reader.grants_on(on)?)
        }
        None => {
            let object = "create schema".to_owned();
            (Requirement { on: None, owner: None, need: Need::CreateSchema, object }, Vec::new())
        }
    };
    Ok(access::decide(principal, &requirement, &grants)?)
}

/// The requirements of one statement, collected for one principal at a time.
struct Needs<'a> {
    scope: &'a Scope,
    principal: &'a Principal,
    list: Vec<(Principal, Requirement)>,
}

impl Needs<'_> {
    fn action(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Query(query) | Action::Declare { declare: _, query } => self.query(query),
            Action::Insert { target, columns: _, source, overwrite } => {
                self.relation(&target.found, Privilege::Insert);
                if *overwrite {
                    self.relation(&target.found, Privilege::Delete);
                }
                source.iter().for_each(|source| self.query(source));
            }
            Action::Change(change) => self.change(change),
            Action::CopyFrom(copy) => self.copy_from(copy),
            Action::Explain { action, .. } | Action::CopyTo { action, .. } => self.action(action)?,
            Action::Load { target, columns: _, source } => self.insert(&target.found, source),
            Action::Truncate(targets) => {
                targets.iter().for_each(|target| self.relation(&target.found, Privilege::Truncate));
            }
            Action::CreateTable { namespace, existing, table: _, objects, query } => {
                self.namespace(namespace, Privilege::Create);
                existing.iter().for_each(|target| self.owned_relation(&target.found));
                self.constraints(objects);
                query.iter().for_each(|query| self.query(query));
            }
            Action::CreateView { namespace, existing, view: _, search_path: _, query } => {
                self.namespace(namespace, Privilege::Create);
                existing.iter().for_each(|found| self.owned_relation(found));
                self.query(query);
            }
            Action::CreateSchema(create) => {
                self.role(Need::CreateSchema, "create schema");
                if let Some(owner) = &create.owner {
                    self.act_as(&self.scope.role(owner)?)?;
                }
            }
            Action::Drop(relations) => relations.iter().for_each(|found| self.owned_relation(found)),
            Action::DropSchema { namespaces, contents: _ } => {
                namespaces.iter().for_each(|namespace| self.owned_namespace(namespace));
            }
            Action::AlterRelation { found, change } => self.alter_relation(found, change)?,
            Action::AlterTable { target, actions: _, objects } => self.alter_table(target, objects),
            Action::AlterSchema { namespace, change } => self.alter_schema(namespace, change)?,
            Action::CommentSchema { namespace, text: _ } => self.owned_namespace(namespace),
            Action::CommentRelation { found, .. } | Action::CommentColumn { found, .. } => {
                self.owned_relation(found);
            }
            Action::CommentRole { role, text: _ } => self.manage(role, "comment on role"),
            Action::CreateRole { create, member_of } => {
                self.role(Need::CreateRole, "create role");
                self.role_options(&create.options);
                member_of.iter().for_each(|role| self.manage(role, "grant role"));
            }
            Action::AlterRole { role, rename_to, options } => {
                self.alter_role(role, rename_to.is_some(), options)
            }
            Action::DropRole(roles) => roles.iter().for_each(|role| self.manage(role, "drop role")),
            Action::GrantPrivileges { objects, roles: _, grant } => self.grant(objects, grant)?,
            Action::GrantMembership { revoke: _, granted, members: _ } => {
                granted.iter().for_each(|role| self.manage(role, "grant role"));
            }
            Action::Procedure(call) => self.procedure(call),
            Action::SetPolicy { on, before: _, after: _ } => self.policy(on),
            Action::Describe(relation) => self.read(relation),
            Action::Set(_) | Action::Show(_) | Action::Transaction(_) | Action::Discard(_) => {}
            Action::Intended(_) | Action::Deallocate(_) | Action::Close(_) | Action::Nothing { .. } => {}
            // Authorized by itself: when the cursor was declared, and whenever the statement is prepared or executed.
            Action::Fetch(_) | Action::Prepare(_) | Action::Execute(_) => {}
        }
        Ok(())
    }

    fn alter_table(&mut self, target: &TableTarget, objects: &ConstraintObjects) {
        self.owned_relation(&target.found);
        self.constraints(objects);
    }

    /// There is no privilege REFERENCES: who may read the other table may say that rows lead to it.
    fn constraints(&mut self, objects: &ConstraintObjects) {
        objects.tables.iter().flatten().for_each(|target| self.relation(&target.found, Privilege::Select));
        objects.conditions.iter().for_each(|condition| self.query(condition));
    }

    fn change(&mut self, change: &Change) {
        change.privileges().into_iter().for_each(|privilege| self.relation(&change.target.found, privilege));
        change.queries().into_iter().for_each(|query| self.query(query));
    }

    fn insert(&mut self, found: &Found, source: &ResolvedQuery) {
        self.relation(found, Privilege::Insert);
        self.query(source);
    }

    fn copy_from(&mut self, copy: &CopyInto) {
        self.relation(&copy.target.found, Privilege::Insert);
        copy.filter.iter().for_each(|filter| self.query(filter));
    }

    fn policy(&mut self, on: &PolicyObject) {
        match on {
            PolicyObject::Database(_) => self.role(Need::Superuser, "set the policy of a database"),
            PolicyObject::Schema(namespace) => self.owned_namespace(namespace),
            PolicyObject::Table(found) => self.owned_relation(found),
        }
    }

    fn procedure(&mut self, call: &ProcedureCall) {
        match call.procedure.right {
            Right::Owner => call.found.iter().for_each(|found| self.owned_relation(found)),
            Right::Asked => {}
            Right::Superuser => self.role(Need::Superuser, &format!("run {}", call.procedure.name)),
        }
        call.filter.iter().for_each(|filter| self.query(filter));
    }

    fn query(&mut self, query: &ResolvedQuery) {
        query.relations.values().for_each(|relation| self.read(relation));
    }

    fn read(&mut self, relation: &ResolvedRelation) {
        match relation {
            ResolvedRelation::Table { found, state: _ }
            | ResolvedRelation::External { found, external: _ } => {
                self.relation(found, Privilege::Select);
            }
            ResolvedRelation::Reading(reading) => self.relation(&reading.found, Privilege::Select),
            ResolvedRelation::Rows { relation, columns: _ } => self.read(relation),
            ResolvedRelation::Changes(reading) => self.relation(&reading.found, Privilege::Select),
            ResolvedRelation::View { found, view: _, owner, query } => {
                self.relation(found, Privilege::Select);
                let mut inner = Needs { scope: self.scope, principal: owner, list: Vec::new() };
                inner.query(query);
                self.list.append(&mut inner.list);
            }
            // System tables show each user what that user may see; files are checked path by path when found.
            ResolvedRelation::System { .. } | ResolvedRelation::Files { .. } => {}
        }
    }

    fn alter_schema(&mut self, namespace: &Namespace, change: &SchemaChange) -> Result<()> {
        self.owned_namespace(namespace);
        match change {
            SchemaChange::Rename(_) => self.role(Need::CreateSchema, "create schema"),
            SchemaChange::Owner(role) => self.act_as(role)?,
        }
        Ok(())
    }

    fn alter_relation(&mut self, found: &Found, change: &RelationChange) -> Result<()> {
        self.owned_relation(found);
        match change {
            RelationChange::Rename(_) => self.namespace(&found.namespace, Privilege::Create),
            RelationChange::Move(namespace) => self.namespace(namespace, Privilege::Create),
            RelationChange::Owner(role) => self.act_as(role)?,
        }
        Ok(())
    }

    /// A role may always change its own password.
    fn alter_role(&mut self, role: &Role, rename: bool, options: &RoleOptions) {
        let password = RoleOptions { password: options.password.clone(), ..RoleOptions::default() };
        if role.id == self.principal.role && !rename && *options == password {
            return;
        }
        self.manage(role, "alter role");
        self.role_options(options);
    }

    fn role_options(&mut self, options: &RoleOptions) {
        if options.superuser.is_some() {
            self.role(Need::Superuser, "make or unmake a superuser");
        }
        if options.create_schema == Some(true) {
            self.role(Need::CreateSchema, "give the attribute CREATESCHEMA");
        }
    }

    /// Superusers are managed by superusers only, or the right to manage roles would be the right to everything.
    fn manage(&mut self, role: &Role, deed: &str) {
        self.role(Need::CreateRole, deed);
        if role.superuser {
            self.role(Need::Superuser, &format!("{deed} \"{}\", which is a superuser", role.name));
        }
    }

    fn grant(&mut self, objects: &[Object], grant: &GrantPrivileges) -> Result<()> {
        for object in objects {
            let (on, owner, label, all) = match object {
                Object::Schema(namespace) => {
                    let on = Securable::Namespace(namespace.id);
                    (on, namespace.owner, format!("schema {}", namespace.name), Privileges::ALL_NAMESPACE)
                }
                Object::Relation(found) => {
                    let on = Securable::Relation(found.relation.id);
                    (on, found.relation.owner, found.label(), Privileges::ALL_RELATION)
                }
            };
            let privileges = grant.privileges.clone().unwrap_or_else(|| all.iter().collect());
            if let Some(wrong) = privileges.iter().find(|privilege| !all.contains(**privilege)) {
                let message = format!("invalid privilege type {wrong} for {label}");
                return Err(Error::new(SqlState::INVALID_GRANT, message));
            }
            for privilege in privileges {
                self.require(on, owner, Need::Grantable(privilege), label.clone());
            }
        }
        Ok(())
    }

    /// Giving an object away needs membership in the role that gets it.
    fn act_as(&self, role: &Role) -> Result<()> {
        if self.principal.acts_as(role.id) {
            return Ok(());
        }
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be member of role \"{}\"", role.name)))
    }

    fn relation(&mut self, found: &Found, privilege: Privilege) {
        self.namespace(&found.namespace, Privilege::Usage);
        let on = Securable::Relation(found.relation.id);
        self.require(on, found.relation.owner, Need::Privilege(privilege), found.label());
    }

    fn owned_relation(&mut self, found: &Found) {
        self.namespace(&found.namespace, Privilege::Usage);
        let on = Securable::Relation(found.relation.id);
        self.require(on, found.relation.owner, Need::Ownership, found.label());
    }

    fn namespace(&mut self, namespace: &Namespace, privilege: Privilege) {
        let on = Securable::Namespace(namespace.id);
        let label = format!("schema {}", namespace.name);
        self.require(on, namespace.owner, Need::Privilege(privilege), label);
    }

    fn owned_namespace(&mut self, namespace: &Namespace) {
        let on = Securable::Namespace(namespace.id);
        self.require(on, namespace.owner, Need::Ownership, format!("schema {}", namespace.name));
    }

    fn require(&mut self, on: Securable, owner: tarn_catalog::RoleId, need: Need, object: String) {
        let requirement = Requirement { on: Some(on), owner: Some(owner), need, object };
        self.list.push((self.principal.clone(), requirement));
    }

    fn role(&mut self, need: Need, deed: &str) {
        let requirement = Requirement { on: None, owner: None, need, object: deed.to_owned() };
        self.list.push((self.principal.clone(), requirement));
    }
}
