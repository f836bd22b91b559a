//! Roles and rights: `CREATE/ALTER/DROP ROLE`, `GRANT`, `REVOKE`.

use tarn_catalog::Secret;
use tarn_catalog::access::Privilege;

use super::{Cursor, define};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{
    AlterRole, CreateRole, DropRole, GrantMembership, GrantPrivileges, GrantTarget, PasswordChange,
    RoleOptions, Statement,
};

/// `CREATE USER` is `CREATE ROLE … LOGIN`.
pub(super) fn create_role(cursor: &mut Cursor, user: bool) -> Result<Statement> {
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = role_name(cursor)?;
    let _ = cursor.eat("WITH");
    let mut options = RoleOptions { login: user.then_some(true), ..RoleOptions::default() };
    let mut member_of = Vec::new();
    loop {
        if cursor.eat("IN ROLE") || cursor.eat("IN GROUP") {
            member_of.extend(cursor.comma_separated(role_name)?);
        } else if !role_option(cursor, &mut options)? {
            return Ok(Statement::CreateRole(CreateRole { name, if_not_exists, options, member_of }));
        }
    }
}

pub(super) fn alter_role(cursor: &mut Cursor) -> Result<Statement> {
    let name = role_name(cursor)?;
    if cursor.eat("RENAME TO") {
        let rename_to = Some(role_name(cursor)?);
        return Ok(Statement::AlterRole(AlterRole { name, rename_to, options: RoleOptions::default() }));
    }
    let _ = cursor.eat("WITH");
    let mut options = RoleOptions::default();
    while role_option(cursor, &mut options)? {}
    if options == RoleOptions::default() {
        return Err(cursor.expected("an option such as LOGIN, SUPERUSER or PASSWORD"));
    }
    Ok(Statement::AlterRole(AlterRole { name, rename_to: None, options }))
}

pub(super) fn drop_role(cursor: &mut Cursor) -> Result<Statement> {
    let if_exists = cursor.eat("IF EXISTS");
    let names = cursor.comma_separated(role_name)?;
    Ok(Statement::DropRole(DropRole { names, if_exists }))
}

fn role_option(cursor: &mut Cursor, options: &mut RoleOptions) -> Result<bool> {
    match cursor.peek_word().as_str() {
        "LOGIN" => options.login = Some(true),
        "NOLOGIN" => options.login = Some(false),
        "SUPERUSER" => options.superuser = Some(true),
        "NOSUPERUSER" => options.superuser = Some(false),
        "CREATEROLE" => options.create_role = Some(true),
        "NOCREATEROLE" => options.create_role = Some(false),
        // PostgreSQL's right to make databases is here the right to make schemas.
        "CREATESCHEMA" | "CREATEDB" => options.create_schema = Some(true),
        "NOCREATESCHEMA" | "NOCREATEDB" => options.create_schema = Some(false),
        // The default, and the only behaviour there is.
        "INHERIT" | "NOREPLICATION" | "NOBYPASSRLS" => {}
        "ENCRYPTED" | "PASSWORD" => {
            let _ = cursor.eat("ENCRYPTED");
            cursor.expect("PASSWORD")?;
            options.password = Some(if cursor.eat("NULL") {
                PasswordChange::Remove
            } else {
                PasswordChange::Set(Secret::new(cursor.string()?))
            });
            return Ok(true);
        }
        "" | ";" => return Ok(false),
        other => {
            return Err(Error::unsupported(format!("role option {other}")).with_position(cursor.position()));
        }
    }
    cursor.next();
    Ok(true)
}

fn role_name(cursor: &mut Cursor) -> Result<String> {
    let name = cursor.folded()?;
    if name == "public" {
        return Err(Error::new(SqlState::INVALID_NAME, "role name \"public\" is reserved"));
    }
    Ok(name)
}

pub(super) fn grant(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("GRANT")?;
    rights(cursor, false)
}

pub(super) fn revoke(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("REVOKE")?;
    rights(cursor, true)
}

/// Privileges are followed by ON, memberships by TO or FROM.
fn rights(cursor: &mut Cursor, revoke: bool) -> Result<Statement> {
    let grant_option_for = revoke && cursor.eat("GRANT OPTION FOR");
    let start = cursor.position();
    let all = cursor.eat("ALL");
    let _ = all && cursor.eat("PRIVILEGES");
    let words = if all { Vec::new() } else { cursor.comma_separated(Cursor::folded)? };
    let direction = if revoke { "FROM" } else { "TO" };
    if !all && cursor.eat(direction) {
        let members = cursor.comma_separated(role_name)?;
        end_of_grant(cursor)?;
        return Ok(Statement::GrantMembership(GrantMembership { revoke, granted: words, members }));
    }
    if cursor.peek_is("(") {
        return Err(Error::unsupported("a grant on columns").with_position(cursor.position()));
    }
    let privileges = words.iter().map(|word| privilege(word).map_err(|error| error.with_position(start)));
    let privileges = if all { None } else { Some(privileges.collect::<Result<Vec<_>>>()?) };
    cursor.expect("ON")?;
    let on = target(cursor)?;
    cursor.expect(direction)?;
    let roles = cursor.comma_separated(grantee)?;
    let with_option = !revoke && cursor.eat("WITH GRANT OPTION");
    end_of_grant(cursor)?;
    let grant_option = grant_option_for || with_option;
    Ok(Statement::GrantPrivileges(GrantPrivileges { revoke, privileges, on, roles, grant_option }))
}

fn end_of_grant(cursor: &mut Cursor) -> Result<()> {
    if cursor.eat("CASCADE") {
        return Err(Error::unsupported("REVOKE … CASCADE"));
    }
    let _ = cursor.eat("RESTRICT");
    Ok(())
}

fn grantee(cursor: &mut Cursor) -> Result<Option<String>> {
    let _ = (cursor.peek_is("ROLE") || cursor.peek_is("GROUP") || cursor.peek_is("USER"))
        && !matches!(cursor.peek_nth(1).as_str(), "" | ";" | ",")
        && (cursor.eat("ROLE") || cursor.eat("GROUP") || cursor.eat("USER"));
    let name = cursor.folded()?;
    Ok(Some(name).filter(|name| name != "public"))
}

fn privilege(word: &str) -> Result<Privilege> {
    Ok(match word {
        "select" => Privilege::Select,
        "insert" => Privilege::Insert,
        "update" => Privilege::Update,
        "delete" => Privilege::Delete,
        "truncate" => Privilege::Truncate,
        "usage" => Privilege::Usage,
        "create" => Privilege::Create,
        _ => {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("unrecognized privilege type \"{word}\""),
            )
            .with_hint("Use SELECT, INSERT, UPDATE, DELETE, TRUNCATE, USAGE, CREATE or ALL."));
        }
    })
}

fn target(cursor: &mut Cursor) -> Result<GrantTarget> {
    if cursor.eat("ALL TABLES IN SCHEMA") {
        return Ok(GrantTarget::AllTablesIn(cursor.comma_separated(define::schema_name)?));
    }
    if cursor.eat("SCHEMA") {
        return Ok(GrantTarget::Schemas(cursor.comma_separated(define::schema_name)?));
    }
    for word in ["DATABASE", "SEQUENCE", "FUNCTION", "LANGUAGE", "ALL"] {
        if cursor.peek_is(word) {
            return Err(Error::unsupported(format!("a grant on {word}")).with_position(cursor.position()));
        }
    }
    let _ = cursor.eat("TABLE") || cursor.eat("VIEW");
    Ok(GrantTarget::Relations(cursor.names()?))
}
