//! Statements that write a table: files first, then one commit that makes them part of it. What was written is
//! taken back when anything fails before the commit; what a crash leaves is swept away at the next start.

use std::sync::Arc;

use iceberg::spec::{MAIN_BRANCH, TableMetadata};
use tarn_catalog::iceberg::{
    NewTable, Operation, TableWrite, Target, default_location, new_table, replace_table,
};
use tarn_catalog::object::{Relation, RelationKind, TablePointer};
use tarn_catalog::{Change, RelationId, Transaction, WriteId};

use super::{commit, query};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, InsertPlan, TablePlan, sort_fields};
use crate::resolve::TableTarget;
use crate::table::{RowOrder, WriteProgress, write_files};

/// Rows for a table that is there.
pub(super) async fn insert(plan: InsertPlan, context: &Context) -> Result<Outcome> {
    let rows = insert_rows(plan, context).await?;
    Ok(Outcome::done(format!("INSERT 0 {rows}")))
}

/// The same, and how many rows they were.
pub(super) async fn insert_rows(plan: InsertPlan, context: &Context) -> Result<u64> {
    let InsertPlan { target, input, overwrite } = plan;
    let partitioned = !target.version.metadata.default_partition_spec().is_unpartitioned();
    let operation = match (overwrite, partitioned) {
        (false, _) => Operation::Append,
        (true, true) => Operation::OverwritePartitions,
        (true, false) => Operation::OverwriteAll,
    };
    let metadata = Arc::clone(&target.version.metadata);
    let write = Write::begin(metadata.location(), context).await?;
    let physical = match context.stop.or(query::physical_plan(&input, context)).await {
        Ok(physical) => physical,
        Err(error) => return Err(write.abandon(error, context).await),
    };
    let progress = WriteProgress::default();
    let storage = Arc::clone(context.catalog().storage());
    let (task, order) = (context.state.task_ctx(), RowOrder::Declared);
    let files = write_files(&metadata, write.id, physical, task, storage, &progress, order);
    let added = match context.stop.or(files).await {
        Ok(added) => added,
        Err(error) => return Err(write.abandon(error, context).await),
    };
    let rows: u64 = added.iter().map(|file| file.record_count()).sum();
    if added.is_empty() && matches!(operation, Operation::Append) {
        write.forget(context).await;
        return Ok(0);
    }
    let (name, branch) = (target.found.qualified(), target.branch.clone());
    let mut transaction = context.begin();
    let target_version = Target::Existing { base: Arc::clone(&target.version) };
    let relation = target.found.relation.id;
    transaction.write_table(TableWrite {
        relation,
        name,
        target: target_version,
        write: write.id,
        branch,
        operation,
        added,
    });
    write.commit(transaction, context).await?;
    Ok(rows)
}

/// Empties tables, all in one commit.
pub(super) async fn truncate(targets: Vec<TableTarget>, context: &Context) -> Result<Outcome> {
    let mut transaction = context.begin();
    let mut writes = Vec::new();
    for target in targets {
        let write = Write::begin(target.version.metadata.location(), context).await?;
        transaction.write_table(TableWrite {
            relation: target.found.relation.id,
            name: target.found.qualified(),
            target: Target::Existing { base: target.version },
            write: write.id,
            branch: target.branch,
            operation: Operation::Truncate,
            added: Vec::new(),
        });
        transaction.push(Change::FinishWrite(write.id));
        writes.push(write);
    }
    match commit(transaction, context).await {
        Ok(()) => Ok(Outcome::done("TRUNCATE TABLE")),
        Err(error) => {
            for write in writes {
                write.after_commit_error(&error, context).await;
            }
            Err(error)
        }
    }
}

/// A new table, empty or filled by its query: it is there with all its rows, or not at all.
pub(super) async fn create_table(plan: TablePlan, context: &Context) -> Result<Outcome> {
    let catalog = context.catalog();
    let mut transaction = context.begin();
    let (relation, metadata, target) = stage(&plan, &transaction, context)?;
    let write = Write::begin(metadata.location(), context).await?;
    let mut added = Vec::new();
    if let Some(input) = &plan.input {
        let files = async {
            let physical = query::physical_plan(input, context).await?;
            let (storage, progress) = (Arc::clone(catalog.storage()), WriteProgress::default());
            let (task, order) = (context.state.task_ctx(), RowOrder::Declared);
            write_files(&metadata, write.id, physical, task, storage, &progress, order).await
        };
        match context.stop.or(files).await {
            Ok(files) => added = files,
            Err(error) => return Err(write.abandon(error, context).await),
        }
    }
    let rows: u64 = added.iter().map(|file| file.record_count()).sum();
    let operation = if added.is_empty() { Operation::CreateEmpty } else { Operation::Append };
    let name = crate::statement::Name {
        catalog: None,
        schema: Some(plan.relation.namespace.name.clone()),
        name: plan.relation.name.clone(),
    };
    match &plan.replaced {
        None => transaction.push(Change::CreateRelation(new_relation(relation, &plan, context))),
        Some(replaced) if replaced.found.relation.comment != plan.relation.comment => {
            let before = replaced.found.relation.clone();
            let after = Relation { comment: plan.relation.comment.clone(), ..before.clone() };
            transaction.push(Change::UpdateRelation { before, after });
        }
        Some(_) => {}
    }
    let name = name.to_string();
    transaction.write_table(TableWrite {
        relation,
        name,
        target,
        write: write.id,
        branch: MAIN_BRANCH.to_owned(),
        operation,
        added,
    });
    write.commit(transaction, context).await?;
    Ok(Outcome::done(if plan.from_query { format!("SELECT {rows}") } else { "CREATE TABLE".to_owned() }))
}

fn new_relation(id: RelationId, plan: &TablePlan, context: &Context) -> Relation {
    Relation {
        id,
        namespace: plan.relation.namespace.id,
        name: plan.relation.name.clone(),
        owner: context.scope.principal.role,
        comment: plan.relation.comment.clone(),
        created_at_ms: context.catalog().env().now_ms(),
        kind: RelationKind::Table,
    }
}

/// The first metadata of a new table, or the next of a replaced one; neither is written yet.
fn stage(
    plan: &TablePlan,
    transaction: &Transaction,
    context: &Context,
) -> Result<(RelationId, TableMetadata, Target)> {
    let catalog = context.catalog();
    let uuid = catalog.env().uuid();
    let mut new = NewTable {
        schema: plan.schema.clone(),
        partition: plan.partition.clone(),
        order: sort_fields(&plan.order, &plan.schema)?,
        properties: plan.properties.clone(),
        location: String::new(),
        format_version: plan.format_version,
    };
    if let Some(replaced) = &plan.replaced {
        let base: &TablePointer = &replaced.version.pointer;
        new.location = base.location.clone();
        let definition = Some(Box::new(new.clone()));
        let staged = replace_table(&replaced.version.metadata, new)?;
        let target = Target::Replace { staged: Box::new(staged.clone()), definition, base: base.clone() };
        return Ok((replaced.found.relation.id, staged, target));
    }
    new.location = match &plan.location {
        Some(location) => {
            let guard = catalog.storage().guard();
            guard
                .table_location(&context.scope.principal, location)?
                .to_string()
                .trim_end_matches('/')
                .to_owned()
        }
        None => {
            default_location(catalog.warehouse(), &plan.relation.namespace.name, &plan.relation.name, uuid)
        }
    };
    let staged = new_table(new, uuid, catalog.env().now_ms())?;
    Ok((transaction.new_relation_id()?, staged.clone(), Target::New(Box::new(staged))))
}

/// A write that has begun: files with its id are nobody's until the commit that finishes it.
pub(super) struct Write {
    pub id: WriteId,
}

impl Write {
    pub async fn begin(location: &str, context: &Context) -> Result<Write> {
        Ok(Write { id: context.catalog().begin_write(location).await? })
    }

    /// Commits the transaction together with the end of this write.
    pub async fn commit(self, mut transaction: Transaction, context: &Context) -> Result<()> {
        transaction.push(Change::FinishWrite(self.id));
        let answer = commit(transaction, context).await;
        if let Err(error) = &answer {
            self.after_commit_error(error, context).await;
        }
        answer
    }

    /// Files are taken back only when the commit certainly did not happen.
    async fn after_commit_error(self, error: &Error, context: &Context) {
        if error.sqlstate != crate::sqlstate::SqlState::STATEMENT_COMPLETION_UNKNOWN {
            self.forget(context).await;
        }
    }

    pub async fn abandon(self, error: Error, context: &Context) -> Error {
        self.forget(context).await;
        error
    }

    pub async fn forget(self, context: &Context) {
        context.catalog().abandon_write(self.id, &[]).await;
    }
}
