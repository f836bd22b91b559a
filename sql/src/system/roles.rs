//! The system tables that list roles and memberships. A password verifier is never among their columns.

use tarn_catalog::RoleId;
use tarn_catalog::object::Role;

use super::rows::Scan;
use super::value::{Rows, Value};
use crate::error::Result;

/// OID of `pg_authid`, which comments on roles belong to.
const PG_AUTHID: u32 = 1260;

fn roles(scan: &Scan, oid: &str, name: &str) -> Result<Vec<Role>> {
    let roles = scan.context.reader.roles()?;
    let admits =
        |role: &Role| scan.keys.admits_int(oid, role.id.oid()) && scan.keys.admits_text(name, &role.name);
    Ok(roles.into_iter().filter(admits).collect())
}

pub fn pg_roles(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for role in roles(scan, "oid", "rolname")? {
        rows.push([
            ("oid", role.id.oid().into()),
            ("rolname", role.name.into()),
            ("rolsuper", role.superuser.into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", role.create_role.into()),
            // What CREATEDB is to PostgreSQL, the right to create schemas is to Tarn; it has no other databases.
            ("rolcreatedb", role.create_schema.into()),
            ("rolcanlogin", role.login.into()),
            ("rolreplication", false.into()),
            ("rolbypassrls", false.into()),
            ("rolconnlimit", (-1).into()),
            ("rolpassword", "********".into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_user(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for role in roles(scan, "usesysid", "usename")?.into_iter().filter(|role| role.login) {
        rows.push([
            ("usename", role.name.into()),
            ("usesysid", role.id.oid().into()),
            ("usecreatedb", role.create_schema.into()),
            ("usesuper", role.superuser.into()),
            ("userepl", false.into()),
            ("usebypassrls", false.into()),
            ("passwd", "********".into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_group(scan: &Scan) -> Result<Rows> {
    let all = scan.context.reader.roles()?;
    let mut rows = scan.rows();
    for group in all.iter().filter(|role| !role.login) {
        let members: Vec<u32> =
            all.iter().filter(|role| role.member_of.contains(&group.id)).map(|role| role.id.oid()).collect();
        rows.push([
            ("groname", group.name.as_str().into()),
            ("grosysid", group.id.oid().into()),
            ("grolist", members.into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_auth_members(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for role in roles(scan, "member", "")? {
        for group in &role.member_of {
            rows.push([
                ("roleid", group.oid().into()),
                ("member", role.id.oid().into()),
                ("grantor", tarn_catalog::SUPERUSER.oid().into()),
                ("admin_option", false.into()),
            ])?;
        }
    }
    Ok(rows)
}

pub fn pg_shdescription(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for role in roles(scan, "objoid", "")? {
        let Some(comment) = role.comment else { continue };
        rows.push([
            ("objoid", role.id.oid().into()),
            ("classoid", PG_AUTHID.into()),
            ("description", comment.into()),
        ])?;
    }
    Ok(rows)
}

/// The memberships of the asking role and of the roles it is a member of.
pub fn applicable_roles(scan: &Scan) -> Result<Rows> {
    let names = scan.context.role_names()?;
    let name = |role: &RoleId| Value::from(names.get(role).cloned());
    let mut rows = scan.rows();
    for role in roles(scan, "", "")? {
        if !scan.context.principal.roles.contains(&role.id) {
            continue;
        }
        for group in &role.member_of {
            let grantee = ("grantee", name(&role.id));
            rows.push([grantee, ("role_name", name(group)), ("is_grantable", "NO".into())])?;
        }
    }
    Ok(rows)
}

pub fn enabled_roles(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for role in roles(scan, "", "role_name")? {
        if scan.context.principal.roles.contains(&role.id) {
            rows.push([("role_name", role.name.into())])?;
        }
    }
    Ok(rows)
}

pub fn system_roles(scan: &Scan) -> Result<Rows> {
    let names = scan.context.role_names()?;
    let mut rows = scan.rows();
    for role in roles(scan, "", "role_name")? {
        let groups: Vec<String> =
            role.member_of.iter().filter_map(|group| names.get(group).cloned()).collect();
        rows.push([
            ("role_name", role.name.into()),
            ("superuser", role.superuser.into()),
            ("login", role.login.into()),
            ("create_role", role.create_role.into()),
            ("create_schema", role.create_schema.into()),
            ("password", role.verifier.is_some().into()),
            ("member_of", groups.into()),
            ("comment", role.comment.into()),
        ])?;
    }
    Ok(rows)
}
