//! The system tables that list grants, and access lists as PostgreSQL writes them (`alice=r/tarn`).

use std::collections::BTreeMap;

use tarn_catalog::access::{Privilege, Privileges};
use tarn_catalog::name::quote;
use tarn_catalog::object::{Grant, RelationKind, Securable};
use tarn_catalog::{PUBLIC_ROLE, RoleId};

use super::context::SystemContext;
use super::rows::Scan;
use super::value::{Rows, Value};
use super::visible::RelationKeys;
use crate::error::Result;

/// The access list of an object: NULL while nobody was granted anything, else the owner's line and one per grant.
pub fn access_list(context: &SystemContext, object: Option<Securable>, owner: RoleId) -> Result<Value> {
    let Some(object) = object else { return Ok(Value::Null) };
    let grants = context.reader.grants_on(object)?;
    if grants.is_empty() {
        return Ok(Value::Null);
    }
    let names = context.role_names()?;
    let own =
        Grant { on: object, to: owner, privileges: Privileges::all_on(object), grantable: Privileges::NONE };
    let others = grants.iter().filter(|grant| grant.to != owner);
    Ok(std::iter::once(&own)
        .chain(others)
        .map(|grant| access_item(&names, grant, owner))
        .collect::<Vec<_>>()
        .into())
}

/// The order of PostgreSQL's access lists: `arwdDUC`.
const LISTED: [Privilege; 7] = [
    Privilege::Insert,
    Privilege::Select,
    Privilege::Update,
    Privilege::Delete,
    Privilege::Truncate,
    Privilege::Usage,
    Privilege::Create,
];

fn access_item(names: &BTreeMap<RoleId, String>, grant: &Grant, owner: RoleId) -> String {
    let name = |role: &RoleId| names.get(role).map(|name| quote(name)).unwrap_or_default();
    let mut item = format!("{}=", name(&grant.to));
    for privilege in LISTED.into_iter().filter(|privilege| grant.privileges.contains(*privilege)) {
        item.push(privilege.letter());
        if grant.grantable.contains(privilege) {
            item.push('*');
        }
    }
    format!("{item}/{}", name(&owner))
}

/// A role's name as the SQL standard shows it.
fn grantee(names: &BTreeMap<RoleId, String>, role: RoleId) -> String {
    match role {
        PUBLIC_ROLE => "PUBLIC".to_string(),
        role => names.get(&role).cloned().unwrap_or_default(),
    }
}

/// What the owner holds, then what was granted.
fn held(context: &SystemContext, object: Securable, owner: RoleId) -> Result<Vec<Grant>> {
    let all = Privileges::all_on(object);
    let own = Grant { on: object, to: owner, privileges: all, grantable: all };
    let granted = context.reader.grants_on(object)?;
    Ok(std::iter::once(own).chain(granted.into_iter().filter(|grant| grant.to != owner)).collect())
}

pub fn table_privileges(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "table_schema" };
    let names = scan.context.role_names()?;
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, keys)? {
        let owner = found.relation.owner;
        for grant in held(&scan.context, Securable::Relation(found.relation.id), owner)? {
            for privilege in grant.privileges.iter() {
                let grantable = grant.grantable.contains(privilege);
                rows.push([
                    ("grantor", grantee(&names, owner).into()),
                    ("grantee", grantee(&names, grant.to).into()),
                    ("table_catalog", scan.context.database.as_str().into()),
                    ("table_schema", found.namespace.name.as_str().into()),
                    ("table_name", found.relation.name.as_str().into()),
                    ("privilege_type", privilege.name().into()),
                    ("is_grantable", if grantable { "YES" } else { "NO" }.into()),
                    ("with_hierarchy", "NO".into()),
                ])?;
            }
        }
    }
    Ok(rows)
}

/// Every grant on an object that the asking role may see; what owners hold by owning is not a grant.
pub fn system_grants(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "object_name", namespace_oid: "", namespace: "schema" };
    let mut objects = Vec::new();
    for namespace in scan.context.namespaces(&scan.keys, "", "schema")? {
        let object = Securable::Namespace(namespace.id);
        objects.push((object, "schema", namespace.name.clone(), namespace.name));
    }
    for found in scan.context.relations(&scan.keys, keys)? {
        let kind = if matches!(found.relation.kind, RelationKind::View(_)) { "view" } else { "table" };
        objects.push((
            Securable::Relation(found.relation.id),
            kind,
            found.namespace.name,
            found.relation.name,
        ));
    }
    let names = scan.context.role_names()?;
    let mut rows = scan.rows();
    for (object, kind, schema, name) in objects {
        for grant in scan.context.reader.grants_on(object)? {
            for privilege in grant.privileges.iter() {
                rows.push([
                    ("kind", kind.into()),
                    ("schema", schema.as_str().into()),
                    ("object_name", name.as_str().into()),
                    ("grantee", grantee(&names, grant.to).into()),
                    ("privilege", privilege.name().into()),
                    ("grantable", grant.grantable.contains(privilege).into()),
                ])?;
            }
        }
    }
    Ok(rows)
}
