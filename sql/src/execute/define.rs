//! Schemas, views and what can be said about relations: each statement is one commit of a few changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::object::{MaintenancePolicy, Namespace, Relation, RelationKind};
use tarn_catalog::{Change, LAKE};

use super::{commit, update_table};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, ViewPlan};
use crate::resolve::{Found, PolicyObject, RelationChange, SchemaChange, TableTarget};
use crate::sqlstate::SqlState;
use crate::statement::CreateSchema;
use crate::temporary::check_not_temporary;

/// Commits the changes as one and answers with the tag.
async fn change(changes: impl IntoIterator<Item = Change>, tag: &str, context: &Context) -> Result<Outcome> {
    let mut transaction = context.begin();
    changes.into_iter().for_each(|change| transaction.push(change));
    if !transaction.is_empty() {
        commit(transaction, context).await?;
    }
    Ok(Outcome::done(tag))
}

pub(super) async fn create_schema(create: CreateSchema, context: &Context) -> Result<Outcome> {
    tarn_catalog::name::check_namespace_name(&create.name.name)?;
    check_not_temporary(&create.name.name)?;
    let owner = match &create.owner {
        Some(owner) => context.scope.role(owner)?.id,
        None => context.scope.principal.role,
    };
    let transaction = context.begin();
    let namespace = Namespace {
        id: transaction.new_namespace_id()?,
        catalog: LAKE,
        name: create.name.name,
        owner,
        comment: None,
        properties: BTreeMap::new(),
        created_at_ms: context.catalog().env().now_ms(),
    };
    change([Change::CreateNamespace(namespace)], "CREATE SCHEMA", context).await
}

pub(super) async fn create_view(plan: ViewPlan, context: &Context) -> Result<Outcome> {
    let kind = RelationKind::View(plan.view);
    let made = match plan.replaced {
        Some(found) => {
            let before = found.relation;
            Change::UpdateRelation { after: Relation { kind, ..before.clone() }, before }
        }
        None => {
            let transaction = context.begin();
            Change::CreateRelation(Relation {
                id: transaction.new_relation_id()?,
                namespace: plan.relation.namespace.id,
                name: plan.relation.name,
                owner: context.scope.principal.role,
                comment: plan.relation.comment,
                created_at_ms: context.catalog().env().now_ms(),
                kind,
            })
        }
    };
    change([made], "CREATE VIEW", context).await
}

pub(super) async fn drop_relations(relations: Vec<Found>, context: &Context) -> Result<Outcome> {
    let view = relations.first().is_some_and(|found| matches!(found.relation.kind, RelationKind::View(_)));
    let tag = if view { "DROP VIEW" } else { "DROP TABLE" };
    change(relations.into_iter().map(|found| Change::DropRelation(found.relation)), tag, context).await
}

pub(super) async fn drop_schemas(
    namespaces: Vec<Namespace>,
    contents: Vec<Found>,
    context: &Context,
) -> Result<Outcome> {
    let contents = contents.into_iter().map(|found| Change::DropRelation(found.relation));
    let changes = contents.chain(namespaces.into_iter().map(Change::DropNamespace));
    change(changes, "DROP SCHEMA", context).await
}

pub(super) async fn alter_relation(found: Found, how: RelationChange, context: &Context) -> Result<Outcome> {
    let before = found.relation;
    let tag = if matches!(before.kind, RelationKind::View(_)) { "ALTER VIEW" } else { "ALTER TABLE" };
    let mut after = before.clone();
    match how {
        RelationChange::Rename(name) => {
            tarn_catalog::name::check_identifier(&name)?;
            after.name = name;
        }
        RelationChange::Move(namespace) => after.namespace = namespace.id,
        RelationChange::Owner(role) => after.owner = role.id,
    }
    change([Change::UpdateRelation { before, after }], tag, context).await
}

pub(super) async fn alter_schema(before: Namespace, how: SchemaChange, context: &Context) -> Result<Outcome> {
    let mut after = before.clone();
    match how {
        SchemaChange::Rename(name) => {
            tarn_catalog::name::check_namespace_name(&name)?;
            check_not_temporary(&name)?;
            after.name = name;
        }
        SchemaChange::Owner(role) => after.owner = role.id,
    }
    change([Change::UpdateNamespace { before, after }], "ALTER SCHEMA", context).await
}

pub(super) async fn set_policy(
    on: &PolicyObject,
    before: Option<MaintenancePolicy>,
    after: Option<MaintenancePolicy>,
    context: &Context,
) -> Result<Outcome> {
    change([Change::SetPolicy { on: on.target(), before, after }], on.tag(), context).await
}

pub(super) async fn comment_schema(
    before: Namespace,
    text: Option<String>,
    context: &Context,
) -> Result<Outcome> {
    let after = Namespace { comment: text, ..before.clone() };
    change([Change::UpdateNamespace { before, after }], "COMMENT", context).await
}

pub(super) async fn comment_relation(
    found: Found,
    text: Option<String>,
    context: &Context,
) -> Result<Outcome> {
    let before = found.relation;
    let after = Relation { comment: text, ..before.clone() };
    change([Change::UpdateRelation { before, after }], "COMMENT", context).await
}

/// A table's column comments are part of its Iceberg schema, so that other engines see them too.
pub(super) async fn comment_column(
    found: Found,
    column: &str,
    text: Option<String>,
    context: &Context,
) -> Result<Outcome> {
    let before = found.relation.clone();
    let missing = || {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", found.relation.name);
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    };
    let mut after = before.clone();
    match &mut after.kind {
        RelationKind::Table => return comment_table_column(&found, column, text, context).await,
        RelationKind::View(view) => {
            let named = view.columns.iter_mut().find(|named| named.name == column);
            named.ok_or_else(missing)?.comment = text;
        }
        RelationKind::External(external) => {
            external.schema = with_doc(&external.schema, column, text)?.ok_or_else(missing)?;
        }
    }
    change([Change::UpdateRelation { before, after }], "COMMENT", context).await
}

async fn comment_table_column(
    found: &Found,
    column: &str,
    text: Option<String>,
    context: &Context,
) -> Result<Outcome> {
    let base = context.scope.reader.table(found.relation.id).await?;
    let Some(schema) = with_doc(base.metadata.current_schema(), column, text)? else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", found.relation.name);
        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
    };
    let requirement =
        TableRequirement::CurrentSchemaIdMatch { current_schema_id: base.metadata.current_schema_id() };
    let updates = vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }];
    let branch = iceberg::spec::MAIN_BRANCH.to_owned();
    let target = TableTarget { found: found.clone(), version: base, branch };
    update_table(&target, vec![requirement], updates, context).await?;
    Ok(Outcome::done("COMMENT"))
}

/// The same schema with another comment on one column; None when there is no such column.
fn with_doc(
    schema: &iceberg::spec::Schema,
    column: &str,
    text: Option<String>,
) -> Result<Option<iceberg::spec::Schema>> {
    if schema.as_struct().field_by_name(column).is_none() {
        return Ok(None);
    }
    let field = |field: &iceberg::spec::NestedFieldRef| {
        let mut field = field.as_ref().clone();
        if field.name == column {
            field.doc.clone_from(&text);
        }
        Arc::new(field)
    };
    let fields: Vec<_> = schema.as_struct().fields().iter().map(field).collect();
    let built = iceberg::spec::Schema::builder()
        .with_schema_id(schema.schema_id())
        .with_fields(fields)
        .with_identifier_field_ids(schema.identifier_field_ids())
        .with_alias(Default::default())
        .build();
    Ok(Some(built.map_err(tarn_catalog::Error::from)?))
}

/// Comments and such by column name, for what is shown.
pub(super) fn docs(schema: &iceberg::spec::Schema) -> HashMap<String, String> {
    let doc = |field: &iceberg::spec::NestedFieldRef| Some((field.name.clone(), field.doc.clone()?));
    schema.as_struct().fields().iter().filter_map(doc).collect()
}
