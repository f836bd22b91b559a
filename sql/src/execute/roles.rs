//! Roles: each statement is one commit. Passwords become SCRAM verifiers here and are not kept.

use tarn_catalog::object::Role;
use tarn_catalog::{Change, scram};

use super::commit;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::sqlstate::SqlState;
use crate::statement::{CreateRole, PasswordChange, RoleOptions};

pub(super) async fn create(create: CreateRole, member_of: &[Role], context: &Context) -> Result<Outcome> {
    tarn_catalog::name::check_role_name(&create.name)?;
    let mut transaction = context.begin();
    let mut role = Role {
        id: transaction.new_role_id()?,
        name: create.name,
        superuser: false,
        login: false,
        create_role: false,
        create_schema: false,
        verifier: None,
        member_of: member_of.iter().map(|role| role.id).collect(),
        comment: None,
    };
    apply(&create.options, &mut role, context)?;
    transaction.push(Change::CreateRole(role));
    commit(transaction, context).await?;
    Ok(Outcome::done("CREATE ROLE"))
}

pub(super) async fn alter(
    before: Role,
    rename_to: Option<String>,
    options: RoleOptions,
    context: &Context,
) -> Result<Outcome> {
    let mut after = before.clone();
    if let Some(name) = rename_to {
        tarn_catalog::name::check_role_name(&name)?;
        after.name = name;
    }
    apply(&options, &mut after, context)?;
    update(before, after, "ALTER ROLE", context).await
}

pub(super) async fn comment(before: Role, text: Option<String>, context: &Context) -> Result<Outcome> {
    let after = Role { comment: text, ..before.clone() };
    update(before, after, "COMMENT", context).await
}

async fn update(before: Role, after: Role, tag: &str, context: &Context) -> Result<Outcome> {
    let mut transaction = context.begin();
    transaction.push(Change::UpdateRole { before, after });
    commit(transaction, context).await?;
    Ok(Outcome::done(tag))
}

fn apply(options: &RoleOptions, role: &mut Role, context: &Context) -> Result<()> {
    role.login = options.login.unwrap_or(role.login);
    role.superuser = options.superuser.unwrap_or(role.superuser);
    role.create_role = options.create_role.unwrap_or(role.create_role);
    role.create_schema = options.create_schema.unwrap_or(role.create_schema);
    match &options.password {
        Some(PasswordChange::Set(password)) => {
            role.verifier = Some(scram::verifier(password, context.catalog().env().as_ref())?);
        }
        Some(PasswordChange::Remove) => role.verifier = None,
        None => {}
    }
    Ok(())
}

pub(super) async fn drop_roles(roles: Vec<Role>, context: &Context) -> Result<Outcome> {
    let mut transaction = context.begin();
    for role in roles {
        if role.id == context.scope.principal.role {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
        }
        transaction.push(Change::DropRole(role));
    }
    if !transaction.is_empty() {
        commit(transaction, context).await?;
    }
    Ok(Outcome::done("DROP ROLE"))
}
