//! From names to objects: every name of a statement is looked up once, at one catalog version, and what comes out
//! says what the statement will touch. Nothing is allowed yet: rights belong to objects, so they are checked after
//! this, in `../authorize.rs`. It must never read data or change anything.

mod change;
mod changelog;
mod changes;
mod constraint;
mod copy;
mod names;
mod policy;
mod procedure;
mod query;
mod reading;
mod reads;
mod rows;
mod show;
mod target;

use tarn_catalog::LAKE;
use tarn_catalog::object::{MaintenancePolicy, Namespace, Relation, Role};

pub(crate) use change::{
    ACTION_NAME, ArmDeed, Assigned, Change, Deed, MergeArm, OnConflict, Place, SOURCE_MARK, is_wildcard,
    rows_reference, target_reference,
};
pub(crate) use changes::ChangesReading;
pub(crate) use constraint::{ConstraintObjects, resolve_condition};
pub(crate) use copy::CopyInto;
pub(crate) use names::{DATABASE, Found, Scope, nearest};
pub(crate) use policy::PolicyObject;
pub(crate) use query::{ResolvedQuery, ResolvedRelation, resolve_query};
pub(crate) use reading::{At, state_of_suffix};
pub(crate) use reads::{tables_read, tables_read_by};
pub(crate) use target::TableTarget;

use crate::copy::CopyOptions;
use crate::error::{Error, Result};
use crate::notify::Intended;
use crate::procedure::ProcedureCall;
use crate::sqlstate::SqlState;
use crate::statement::{
    self, AlterAction, CommentTarget, CreateRole, CreateSchema, CreateTable, CreateView, GrantPrivileges,
    GrantTarget, Insert, Name, Overwrite, RoleOptions, Statement, TableAction,
};

/// A statement whose names have become objects. Only [`resolve`] makes one.
#[derive(Debug)]
pub(crate) struct Resolved {
    action: Action,
    notices: Vec<String>,
}

impl Resolved {
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The action and what the user should be told; for `authorize.rs` alone to hand on.
    pub fn into_parts(self) -> (Action, Vec<String>) {
        (self.action, self.notices)
    }
}

/// What a statement will do, one variant per kind.
#[derive(Debug)]
pub(crate) enum Action {
    Query(ResolvedQuery),
    Explain {
        analyze: bool,
        verbose: bool,
        action: Box<Action>,
    },
    Insert {
        target: TableTarget,
        columns: Vec<String>,
        /// None for one row of defaults.
        source: Option<ResolvedQuery>,
        /// Replaces the partitions that get rows, or all of an unpartitioned table.
        overwrite: bool,
    },
    Change(Box<Change>),
    CopyFrom(Box<CopyInto>),
    CopyTo {
        /// What is copied.
        action: Box<Action>,
        options: CopyOptions,
        file: Option<statement::ToFile>,
    },
    /// A `COPY FROM` a file whose columns have names and types.
    Load {
        target: TableTarget,
        columns: Vec<String>,
        source: ResolvedQuery,
    },
    Truncate(Vec<TableTarget>),
    CreateTable {
        namespace: Namespace,
        existing: Option<TableTarget>,
        table: Box<CreateTable>,
        objects: ConstraintObjects,
        query: Option<ResolvedQuery>,
    },
    CreateView {
        namespace: Namespace,
        existing: Option<Found>,
        view: Box<CreateView>,
        search_path: Vec<String>,
        query: ResolvedQuery,
    },
    CreateSchema(CreateSchema),
    Drop(Vec<Found>),
    DropSchema {
        namespaces: Vec<Namespace>,
        contents: Vec<Found>,
    },
    AlterRelation {
        found: Found,
        change: RelationChange,
    },
    AlterTable {
        target: TableTarget,
        actions: Vec<TableAction>,
        objects: ConstraintObjects,
    },
    AlterSchema {
        namespace: Namespace,
        change: SchemaChange,
    },
    CommentSchema {
        namespace: Namespace,
        text: Option<String>,
    },
    CommentRelation {
        found: Found,
        text: Option<String>,
    },
    CommentColumn {
        found: Found,
        column: String,
        text: Option<String>,
    },
    CommentRole {
        role: Role,
        text: Option<String>,
    },
    CreateRole {
        create: CreateRole,
        member_of: Vec<Role>,
    },
    AlterRole {
        role: Role,
        rename_to: Option<String>,
        options: RoleOptions,
    },
    DropRole(Vec<Role>),
    GrantPrivileges {
        objects: Vec<Object>,
        roles: Vec<Option<Role>>,
        grant: GrantPrivileges,
    },
    GrantMembership {
        revoke: bool,
        granted: Vec<Role>,
        members: Vec<Role>,
    },
    Procedure(Box<ProcedureCall>),
    SetPolicy {
        on: PolicyObject,
        before: Option<MaintenancePolicy>,
        after: Option<MaintenancePolicy>,
    },
    Describe(ResolvedRelation),
    Set(statement::Set),
    Show(statement::Show),
    Transaction(statement::Transaction),
    Discard(statement::Discard),
    Declare {
        declare: statement::Declare,
        query: ResolvedQuery,
    },
    Fetch(statement::Fetch),
    Close(Option<String>),
    Prepare(statement::Prepare),
    Execute(statement::Execute),
    Deallocate(String),
    Intended(Intended),
    /// `IF EXISTS` or `IF NOT EXISTS` left nothing to do.
    Nothing {
        tag: &'static str,
    },
}

/// What becomes of a relation.
#[derive(Debug)]
pub(crate) enum RelationChange {
    Rename(String),
    Move(Namespace),
    Owner(Role),
}

/// What becomes of a schema.
#[derive(Debug)]
pub(crate) enum SchemaChange {
    Rename(String),
    Owner(Role),
}

/// An object that rights are granted on.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    Schema(Namespace),
    Relation(Found),
}

/// Looks up every name of a statement.
///
/// # Errors
///
/// The SQLSTATE of the missing object's kind, with a suggestion where one is near; 42P07 and its kin where
/// something is there already.
pub(crate) async fn resolve(statement: Statement, scope: &Scope) -> Result<Resolved> {
    let mut notices = Vec::new();
    let action = action(statement, scope, &mut notices).await?;
    Ok(Resolved { action, notices })
}

async fn action(statement: Statement, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    Ok(match statement {
        Statement::Query(query) => Action::Query(resolve_query(query, scope, 0).await?),
        Statement::Explain(explain) => Action::Explain {
            analyze: explain.analyze,
            verbose: explain.verbose,
            action: Box::new(Box::pin(action(*explain.statement, scope, notices)).await?),
        },
        Statement::Insert(insert) => resolve_insert(insert, scope).await?,
        Statement::Delete(delete) => Action::Change(Box::new(change::resolve_delete(delete, scope).await?)),
        Statement::Update(update) => Action::Change(Box::new(change::resolve_update(update, scope).await?)),
        Statement::Merge(merge) => Action::Change(Box::new(change::resolve_merge(merge, scope).await?)),
        Statement::CopyFrom(copy) => copy::resolve_copy_from(copy, scope).await?,
        Statement::CopyTo(copy) => {
            let copied = copy::copied(copy.source, scope)?;
            let copied = Box::pin(action(copied, scope, notices)).await?;
            Action::CopyTo { action: Box::new(copied), options: copy.options, file: copy.file }
        }
        Statement::Truncate(names) => {
            let mut targets = Vec::new();
            for name in &names {
                targets.push(target::table_target(name, scope).await?);
            }
            Action::Truncate(targets)
        }
        Statement::CreateTable(table) => create_table(table, scope, notices).await?,
        Statement::CreateView(view) => create_view(view, scope).await?,
        Statement::CreateSchema(create) => create_schema(create, scope, notices)?,
        Statement::Drop(drop) => drop_relations(&drop, scope, notices)?,
        Statement::DropSchema(drop) => drop_schema(&drop, scope, notices)?,
        Statement::AlterRelation(alter) => alter_relation(alter, scope, notices)?,
        Statement::AlterTable(alter) => alter_table(alter, scope, notices).await?,
        Statement::AlterSchema(alter) => alter_schema(alter, scope)?,
        Statement::Comment(comment) => resolve_comment(comment, scope)?,
        Statement::CreateRole(create) => create_role(create, scope, notices)?,
        Statement::AlterRole(alter) => Action::AlterRole {
            role: scope.role(&alter.name)?,
            rename_to: alter.rename_to,
            options: alter.options,
        },
        Statement::DropRole(drop) => drop_roles(&drop, scope, notices)?,
        Statement::GrantPrivileges(grant) => grant_privileges(grant, scope)?,
        Statement::GrantMembership(grant) => Action::GrantMembership {
            revoke: grant.revoke,
            granted: grant.granted.iter().map(|name| scope.role(name)).collect::<Result<_>>()?,
            members: grant.members.iter().map(|name| scope.role(name)).collect::<Result<_>>()?,
        },
        Statement::Call(call) => procedure::resolve_call(call, scope).await?,
        Statement::SetPolicy(set) => policy::resolve_policy(set, scope)?,
        Statement::TableProcedure(execute) => procedure::resolve_execute(execute, scope, notices).await?,
        Statement::Describe(name) => describe(&name, scope).await?,
        Statement::ShowObjects(objects) => show::show_objects(objects, scope).await?,
        Statement::Set(set) => Action::Set(set),
        Statement::Show(show) => Action::Show(show),
        Statement::Transaction(transaction) => Action::Transaction(transaction),
        Statement::Discard(discard) => Action::Discard(discard),
        Statement::Declare(declare) => {
            let query = resolve_query(declare.query.clone(), scope, 0).await?;
            Action::Declare { declare, query }
        }
        Statement::Fetch(fetch) => Action::Fetch(fetch),
        Statement::Close(name) => Action::Close(name),
        // What they name is resolved and authorized as a statement of its own.
        Statement::Prepare(prepare) => Action::Prepare(prepare),
        Statement::Execute(execute) => Action::Execute(execute),
        Statement::Deallocate(name) => Action::Deallocate(name),
        Statement::Intended(intended) => Action::Intended(intended),
    })
}

impl Scope {
    /// The schema that a schema name of one or two parts stands for.
    fn target_schema(&self, name: &Name) -> Result<Namespace> {
        names::check_catalog(name.catalog.as_deref())?;
        self.namespace(&name.name)
    }
}

async fn resolve_insert(mut insert: Insert, scope: &Scope) -> Result<Action> {
    if let Some(Overwrite::Rows(partition)) = insert.overwrite.take_if(|of| matches!(of, Overwrite::Rows(_)))
    {
        return Ok(Action::Change(Box::new(change::resolve_overwrite(insert, partition, scope).await?)));
    }
    if insert.conflict.is_some() || !insert.returning.is_empty() {
        return Ok(Action::Change(Box::new(change::resolve_insert(insert, scope).await?)));
    }
    let target = target::table_target(&insert.target.name, scope).await?;
    let columns = insert.columns.iter().map(crate::parse::fold).collect();
    let source = match insert.source {
        Some(source) => Some(resolve_query(source, scope, 0).await?),
        None => None,
    };
    Ok(Action::Insert { target, columns, source, overwrite: insert.overwrite.is_some() })
}

async fn create_table(mut table: CreateTable, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    let namespace = match table.temporary {
        true => scope.temporary_namespace(&table.name)?,
        false => scope.target_namespace(&table.name)?,
    };
    let existing = scope.reader.relation(namespace.id, &table.name.name)?;
    let mut replaced = None;
    if let Some(relation) = existing {
        if table.if_not_exists {
            notices.push(format!("relation \"{}\" already exists, skipping", table.name.name));
            return Ok(Action::Nothing { tag: "CREATE TABLE" });
        }
        if !table.or_replace {
            return Err(already_exists(&relation));
        }
        let found = Found { namespace: namespace.clone(), relation };
        replaced = Some(target::table_of(found, scope).await?);
    }
    let query = match table.query.as_mut() {
        Some(query) => Some(resolve_query(query.query.clone(), scope, 0).await?),
        None => None,
    };
    let constraints = table.constraints.iter();
    let objects = constraint::constraint_objects(constraints, &namespace, &table.name.name, scope).await?;
    Ok(Action::CreateTable { namespace, existing: replaced, table: Box::new(table), objects, query })
}

fn already_exists(relation: &Relation) -> Error {
    Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{}\" already exists", relation.name))
        .with_hint("Drop it first, or use CREATE OR REPLACE or IF NOT EXISTS.")
}

async fn create_view(view: CreateView, scope: &Scope) -> Result<Action> {
    let namespace = match view.temporary {
        true => scope.temporary_namespace(&view.name)?,
        false => scope.target_namespace(&view.name)?,
    };
    let existing = match scope.reader.relation(namespace.id, &view.name.name)? {
        Some(relation) if !view.or_replace => return Err(already_exists(&relation)),
        Some(relation) => {
            let found = Found { namespace: namespace.clone(), relation };
            names::check_kind(statement::RelationWord::View, &found)?;
            Some(found)
        }
        None => None,
    };
    let query = resolve_query(view.query.clone(), scope, 0).await?;
    let mut search_path = scope.path_names();
    if view.temporary {
        search_path.splice(0..0, scope.temporary.clone());
    } else if query.reads_temporary() {
        return Err(
            Error::unsupported("a lasting view of a temporary table").with_hint("Use CREATE TEMPORARY VIEW.")
        );
    }
    Ok(Action::CreateView { namespace, existing, view: Box::new(view), search_path, query })
}

fn create_schema(create: CreateSchema, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    names::check_catalog(create.name.catalog.as_deref())?;
    if scope.reader.namespace(LAKE, &create.name.name)?.is_some() {
        let message = format!("schema \"{}\" already exists", create.name.name);
        if !create.if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_SCHEMA, message));
        }
        notices.push(format!("{message}, skipping"));
        return Ok(Action::Nothing { tag: "CREATE SCHEMA" });
    }
    Ok(Action::CreateSchema(create))
}

fn drop_relations(drop: &statement::Drop, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    let mut found = Vec::new();
    for name in &drop.names {
        match scope.relation_of_kind(drop.word, name) {
            Ok(relation) => {
                notices.extend(files_stay(&relation, scope)?);
                found.push(relation);
            }
            Err(error) if drop.if_exists && is_missing(&error) => {
                notices.push(format!("{} \"{name}\" does not exist, skipping", drop.word));
            }
            Err(error) if error.sqlstate == SqlState::UNDEFINED_TABLE => {
                let message = format!("{} \"{name}\" does not exist", drop.word);
                return Err(Error { message, ..error });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Action::Drop(found))
}

/// What to say of a table that cannot be read when it is dropped: nobody else may know of its files.
fn files_stay(found: &Found, scope: &Scope) -> Result<Option<String>> {
    let Some(reason) = scope.reader.unsupported(found.relation.id)? else { return Ok(None) };
    let files = match scope.reader.pointer(found.relation.id)? {
        Some(pointer) => format!("all files in {} stay", pointer.location),
        None => "its files stay".to_owned(),
    };
    let name = &found.relation.name;
    Ok(Some(format!("table \"{name}\" cannot be read ({reason}): it leaves the catalog, and {files}")))
}

fn is_missing(error: &Error) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_OBJECT]
        .contains(&error.sqlstate)
}

fn drop_schema(drop: &statement::DropSchema, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    let (mut namespaces, mut contents) = (Vec::new(), Vec::new());
    for name in &drop.names {
        match scope.target_schema(name) {
            Ok(namespace) => namespaces.push(namespace),
            Err(error) if drop.if_exists && is_missing(&error) => {
                notices.push(format!("schema \"{name}\" does not exist, skipping"));
            }
            Err(error) => return Err(error),
        }
    }
    for namespace in &namespaces {
        let relations = scope.reader.relations(namespace.id)?;
        if !drop.cascade && !relations.is_empty() {
            let message = format!("cannot drop schema {} because other objects depend on it", namespace.name);
            let names: Vec<&str> = relations.iter().take(5).map(|relation| relation.name.as_str()).collect();
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .with_detail(format!("It holds {} relations: {}.", relations.len(), names.join(", ")))
                .with_hint("Use DROP … CASCADE to drop them too."));
        }
        for relation in relations {
            let found = Found { namespace: namespace.clone(), relation };
            notices.extend(files_stay(&found, scope)?);
            contents.push(found);
        }
    }
    Ok(Action::DropSchema { namespaces, contents })
}

fn alter_relation(
    alter: statement::AlterRelation,
    scope: &Scope,
    notices: &mut Vec<String>,
) -> Result<Action> {
    // As in PostgreSQL, ALTER TABLE does for views, too.
    let found = match alter.word {
        statement::RelationWord::Table => scope.relation(&alter.name),
        word @ statement::RelationWord::View => scope.relation_of_kind(word, &alter.name),
    };
    let found = match found {
        Err(error) if alter.if_exists && is_missing(&error) => {
            notices.push(format!("relation \"{}\" does not exist, skipping", alter.name));
            return Ok(Action::Nothing { tag: "ALTER TABLE" });
        }
        found => found?,
    };
    let change = match alter.action {
        AlterAction::RenameTo(name) if name.schema.is_none() => RelationChange::Rename(name.name),
        AlterAction::RenameTo(name) => {
            let message = format!("new name {name} must not name a schema");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .with_hint("Use ALTER TABLE … SET SCHEMA to move a table."));
        }
        AlterAction::SetSchema(schema) => RelationChange::Move(scope.namespace(&schema)?),
        AlterAction::OwnerTo(role) => RelationChange::Owner(scope.role(&role)?),
    };
    let (namespace, name) = match &change {
        RelationChange::Rename(name) => (found.namespace.id, name.clone()),
        RelationChange::Move(namespace) => (namespace.id, found.relation.name.clone()),
        RelationChange::Owner(_) => return Ok(Action::AlterRelation { found, change }),
    };
    match scope.reader.relation(namespace, &name)? {
        Some(relation) => Err(Error { hint: None, ..already_exists(&relation) }),
        None => Ok(Action::AlterRelation { found, change }),
    }
}

async fn alter_table(
    alter: statement::AlterTable,
    scope: &Scope,
    notices: &mut Vec<String>,
) -> Result<Action> {
    let found = match scope.relation_of_kind(statement::RelationWord::Table, &alter.name) {
        Err(error) if alter.if_exists && is_missing(&error) => {
            notices.push(format!("relation \"{}\" does not exist, skipping", alter.name));
            return Ok(Action::Nothing { tag: "ALTER TABLE" });
        }
        found => found?,
    };
    let constraints = constraint::of_actions(&alter.actions);
    let (namespace, table) = (&found.namespace, &found.relation.name);
    let objects = constraint::constraint_objects(constraints, namespace, table, scope).await?;
    Ok(Action::AlterTable { target: target::table_of(found, scope).await?, actions: alter.actions, objects })
}

fn alter_schema(alter: statement::AlterSchema, scope: &Scope) -> Result<Action> {
    let namespace = scope.target_schema(&alter.name)?;
    let change = match alter.action {
        AlterAction::RenameTo(name) => SchemaChange::Rename(name.name),
        AlterAction::OwnerTo(role) => SchemaChange::Owner(scope.role(&role)?),
        AlterAction::SetSchema(_) => return Err(Error::unsupported("ALTER SCHEMA … SET SCHEMA")),
    };
    Ok(Action::AlterSchema { namespace, change })
}

fn resolve_comment(comment: statement::Comment, scope: &Scope) -> Result<Action> {
    let text = comment.text;
    Ok(match comment.target {
        CommentTarget::Schema(name) => Action::CommentSchema { namespace: scope.target_schema(&name)?, text },
        CommentTarget::Relation(word, name) => {
            Action::CommentRelation { found: scope.relation_of_kind(word, &name)?, text }
        }
        CommentTarget::Column(name, column) => {
            Action::CommentColumn { found: scope.relation(&name)?, column, text }
        }
        CommentTarget::Role(name) => Action::CommentRole { role: scope.role(&name)?, text },
    })
}

fn create_role(create: CreateRole, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    if scope.reader.role(&create.name)?.is_some() {
        let message = format!("role \"{}\" already exists", create.name);
        if !create.if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        notices.push(format!("{message}, skipping"));
        return Ok(Action::Nothing { tag: "CREATE ROLE" });
    }
    let member_of = create.member_of.iter().map(|name| scope.role(name)).collect::<Result<_>>()?;
    Ok(Action::CreateRole { create, member_of })
}

fn drop_roles(drop: &statement::DropRole, scope: &Scope, notices: &mut Vec<String>) -> Result<Action> {
    let mut roles = Vec::new();
    for name in &drop.names {
        match scope.role(name) {
            Ok(role) => roles.push(role),
            Err(error) if drop.if_exists && is_missing(&error) => {
                notices.push(format!("role \"{name}\" does not exist, skipping"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Action::DropRole(roles))
}

fn grant_privileges(grant: GrantPrivileges, scope: &Scope) -> Result<Action> {
    let mut objects = Vec::new();
    match &grant.on {
        GrantTarget::Relations(names) => {
            for name in names {
                objects.push(Object::Relation(scope.relation(name)?));
            }
        }
        GrantTarget::Schemas(names) => {
            for name in names {
                objects.push(Object::Schema(scope.target_schema(name)?));
            }
        }
        GrantTarget::AllTablesIn(names) => {
            for name in names {
                let namespace = scope.target_schema(name)?;
                for relation in scope.reader.relations(namespace.id)? {
                    objects.push(Object::Relation(Found { namespace: namespace.clone(), relation }));
                }
            }
        }
    }
    let role = |name: &Option<String>| name.as_deref().map(|name| scope.role(name)).transpose();
    let roles = grant.roles.iter().map(role).collect::<Result<_>>()?;
    Ok(Action::GrantPrivileges { objects, roles, grant })
}

async fn describe(name: &Name, scope: &Scope) -> Result<Action> {
    Ok(Action::Describe(reading::read(reading::look_up(name, scope)?, scope, 0).await?))
}
