//! The system tables that list schemas: `pg_namespace`, `information_schema.schemata`, `system.schemas`.

use super::declared::SCHEMAS;
use super::grants;
use super::rows::Scan;
use super::value::{Rows, Value};
use crate::error::Result;
use tarn_catalog::object::Securable;
use tarn_catalog::{RoleId, SUPERUSER};

/// A schema as the listings need it.
struct Schema {
    oid: u32,
    name: String,
    owner: RoleId,
    comment: Option<String>,
    /// None for a system schema.
    created_at_ms: Option<i64>,
    securable: Option<Securable>,
}

/// The system schemas, then the visible ones, that the keys admit.
fn schemas(scan: &Scan, oid: &str, name: &str) -> Result<Vec<Schema>> {
    let system = SCHEMAS.iter().map(|schema| Schema {
        oid: schema.oid,
        name: schema.name.to_string(),
        owner: SUPERUSER,
        comment: Some(schema.comment.to_string()),
        created_at_ms: None,
        securable: None,
    });
    let found = scan.context.namespaces(&scan.keys, oid, name)?.into_iter().map(|namespace| Schema {
        oid: namespace.id.oid(),
        name: namespace.name,
        owner: namespace.owner,
        comment: namespace.comment,
        created_at_ms: Some(namespace.created_at_ms),
        securable: Some(Securable::Namespace(namespace.id)),
    });
    Ok(system.chain(found).collect())
}

pub fn pg_namespace(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for schema in schemas(scan, "oid", "nspname")? {
        let acl = if scan.wants("nspacl") {
            grants::access_list(&scan.context, schema.securable, schema.owner)?
        } else {
            Value::Null
        };
        rows.push([
            ("oid", schema.oid.into()),
            ("nspname", schema.name.into()),
            ("nspowner", schema.owner.oid().into()),
            ("nspacl", acl),
        ])?;
    }
    Ok(rows)
}

pub fn schemata(scan: &Scan) -> Result<Rows> {
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for schema in schemas(scan, "", "schema_name")? {
        rows.push([
            ("catalog_name", scan.context.database.as_str().into()),
            ("schema_name", schema.name.into()),
            ("schema_owner", owners.get(&schema.owner).cloned().into()),
        ])?;
    }
    Ok(rows)
}

pub fn catalog_name(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    rows.push([("catalog_name", scan.context.database.as_str().into())])?;
    Ok(rows)
}

/// Only the schemas users made: the system's own are of no interest there.
pub fn system_schemas(scan: &Scan) -> Result<Rows> {
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for schema in schemas(scan, "", "schema")? {
        let Some(created_at_ms) = schema.created_at_ms else { continue };
        rows.push([
            ("catalog", scan.context.database.as_str().into()),
            ("schema", schema.name.into()),
            ("owner", owners.get(&schema.owner).cloned().unwrap_or_default().into()),
            ("created_at", (created_at_ms * 1000).into()),
            ("comment", schema.comment.into()),
        ])?;
    }
    Ok(rows)
}
