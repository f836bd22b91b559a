//! Doing it: queries give their rows as a stream, writes put files and then commit, definitions commit at once.
//! A commit that has begun is always waited for. Next: `query.rs`, `write.rs`, `define.rs`.

mod alter;
mod change;
mod copy;
mod define;
mod effect;
mod portal;
mod query;
mod rights;
mod roles;
mod session;
mod show;
mod update;
mod write;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tarn_catalog::{Block, Change, CommitSequence, RelationId, Transaction};
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::plan::{Context, Plan, PlanKind};
use crate::resolve::Action;
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::Discard;

use effect::Effect;
pub(crate) use query::physical_plan;
pub(crate) use session::set;
pub(crate) use update::{add_files, update_table};

/// The table of which a plan only changes rows, so that it can be made again on a newer version of it.
pub(crate) fn changes_rows(plan: &Plan) -> Option<RelationId> {
    match &plan.kind {
        PlanKind::Insert(insert) => Some(insert.target.found.relation.id),
        PlanKind::Change(change) => Some(change.target.found.relation.id),
        _ => None,
    }
}

/// Runs a plan.
pub(crate) async fn execute(plan: Plan, context: &mut Context, session: &mut Session) -> Result<Outcome> {
    plan.notices.into_iter().for_each(|text| session.notify(Notice::plain(text)));
    effect::check(Effect::of(&plan.kind), context, session)?;
    match plan.kind {
        PlanKind::Query(plan) => context.stop.or(query::run(plan, context)).await,
        PlanKind::Declare(declare, plan) => portal::declare(declare, plan, context, session).await,
        PlanKind::Explain { analyze, verbose, mut header, mut plan, change } => {
            let explained = async {
                if let Some(change) = change {
                    let whole = change::whole_files(&change, context).await?;
                    header = header.map(|header| whole.explained(header));
                    plan = whole.rest;
                }
                query::explain(plan, header, analyze, verbose, context).await
            };
            context.stop.or(explained).await
        }
        PlanKind::Insert(plan) => write::insert(*plan, context).await,
        PlanKind::Change(plan) => change::change(*plan, context).await,
        PlanKind::CopyFrom(plan) => copy::copy_from(*plan, context).await,
        PlanKind::Load(plan) => {
            let rows = write::insert_rows(*plan, context).await?;
            Ok(Outcome::done(format!("COPY {rows}")))
        }
        PlanKind::CopyTo { copied, options, file } => {
            let copied = match *copied {
                PlanKind::Query(plan) => context.stop.or(query::run(plan, context)).await?,
                PlanKind::Change(plan) => change::change(*plan, context).await?,
                _ => return Err(Error::internal("a statement that is copied gives no rows")),
            };
            copy::copy_to(copied, options, file, context).await
        }
        PlanKind::CreateTable(plan) => {
            plan.notices.iter().for_each(|text| session.notify(Notice::plain(text)));
            write::create_table(*plan, context).await
        }
        PlanKind::CreateView(plan) => define::create_view(*plan, context).await,
        PlanKind::AlterTable(plan) => {
            plan.notices.iter().for_each(|text| session.notify(Notice::plain(text)));
            alter::alter_table(*plan, context).await
        }
        PlanKind::Direct(action) => direct(action, context, session).await,
    }
}

async fn direct(action: Action, context: &Context, session: &mut Session) -> Result<Outcome> {
    match action {
        Action::Truncate(targets) => write::truncate(targets, context).await,
        Action::CreateSchema(create) => define::create_schema(create, context).await,
        Action::Drop(relations) => define::drop_relations(relations, context).await,
        Action::DropSchema { namespaces, contents } => {
            define::drop_schemas(namespaces, contents, context).await
        }
        Action::AlterRelation { found, change } => define::alter_relation(found, change, context).await,
        Action::AlterSchema { namespace, change } => define::alter_schema(namespace, change, context).await,
        Action::CommentSchema { namespace, text } => define::comment_schema(namespace, text, context).await,
        Action::CommentRelation { found, text } => define::comment_relation(found, text, context).await,
        Action::CommentColumn { found, column, text } => {
            define::comment_column(found, &column, text, context).await
        }
        Action::CommentRole { role, text } => roles::comment(role, text, context).await,
        Action::CreateRole { create, member_of } => roles::create(create, &member_of, context).await,
        Action::AlterRole { role, rename_to, options } => {
            roles::alter(role, rename_to, options, context).await
        }
        Action::DropRole(roles) => roles::drop_roles(roles, context).await,
        Action::GrantPrivileges { objects, roles, grant } => {
            rights::privileges(objects, roles, &grant, context).await
        }
        Action::GrantMembership { revoke, granted, members } => {
            rights::membership(revoke, &granted, members, context).await
        }
        Action::SetPolicy { on, before, after } => define::set_policy(&on, before, after, context).await,
        Action::Procedure(call) => {
            let (tag, quiet) = (call.tag, call.quiet);
            let told = (call.procedure.run)(*call, context).await?;
            Ok(if quiet { Outcome::done(tag) } else { told })
        }
        Action::Describe(relation) => show::describe(&relation, context).await,
        Action::Set(set) => session::set(&set, session),
        Action::Show(what) => session::show(&what, session),
        Action::Transaction(transaction) => session::transaction(transaction, session).await,
        Action::Discard(discard) => {
            if matches!(discard, Discard::All | Discard::Temporary) {
                session.drop_temporary().await?;
            }
            Ok(session::discard(&discard, session))
        }
        Action::Fetch(fetch) => portal::fetch(&fetch, context, session).await,
        Action::Close(name) => portal::close(name.as_deref(), session),
        Action::Prepare(prepare) => portal::prepare(prepare, session).await,
        Action::Execute(execute) => session.execute_named(execute).await,
        Action::Deallocate(name) => portal::deallocate(&name, session),
        Action::Intended(intended) => session::intend(intended, session),
        Action::Nothing { tag } => Ok(Outcome::done(tag)),
        // These have plans of their own.
        Action::Query(_)
        | Action::Declare { .. }
        | Action::Explain { .. }
        | Action::Insert { .. }
        | Action::Change(_)
        | Action::CopyFrom(_)
        | Action::CopyTo { .. }
        | Action::Load { .. }
        | Action::CreateTable { .. }
        | Action::CreateView { .. }
        | Action::AlterTable { .. } => Err(Error::internal("a planned statement came unplanned")),
    }
}

/// The columns of what is shown without a query; None for statements without rows.
pub(crate) fn result_columns(action: &Action) -> Option<SchemaRef> {
    match action {
        Action::Explain { .. } => Some(query::explain_schema()),
        Action::Procedure(call) => (!call.quiet).then(|| (call.procedure.columns)()),
        Action::Describe(_) => Some(show::describe_schema()),
        Action::Show(what) => Some(session::show_schema(what)),
        _ => None,
    }
}

/// Commits changes that no statement of the user's has asked for by themselves.
pub(crate) async fn commit_changes(changes: Vec<Change>, context: &Context) -> Result<()> {
    let mut transaction = context.begin();
    changes.into_iter().for_each(|change| transaction.push(change));
    commit(transaction, context).await
}

/// Commits, or makes the transaction part of the one that the statement belongs to. A commit is waited for even if nobody
/// waits for us any more: it runs as a task of its own.
async fn commit(transaction: Transaction, context: &Context) -> Result<()> {
    let catalog = Arc::clone(context.catalog());
    if let Some(block) = &context.block {
        let mut block = block.lock().await;
        let block = block.as_mut().ok_or_else(|| Error::internal("the transaction has ended already"))?;
        return Ok(catalog.stage(block, transaction).await?);
    }
    waited(tokio::spawn(async move { catalog.commit(transaction).await })).await.map(drop)
}

/// Commits all that the statements of a block did.
pub(crate) async fn commit_block(block: Block, engine: &Engine) -> Result<()> {
    let catalog = Arc::clone(engine.catalog());
    waited(tokio::spawn(async move { catalog.commit_block(block).await })).await.map(drop)
}

/// The answer of a commit that runs as a task of its own.
pub(crate) async fn waited(
    commit: JoinHandle<tarn_catalog::Result<CommitSequence>>,
) -> Result<CommitSequence> {
    match commit.await {
        Ok(answer) => Ok(answer?),
        Err(error) => {
            Err(Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, "the commit's outcome is unknown")
                .with_detail(error.to_string())
                .with_hint("Look whether it happened before trying again."))
        }
    }
}
