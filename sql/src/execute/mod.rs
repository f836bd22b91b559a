//! Doing it: queries give their rows as a stream, writes put files and then commit, definitions commit at once.
//! A commit that has begun is always waited for. Next: `query.rs`, `write.rs`, `define.rs`.

mod call;
mod define;
mod query;
mod rights;
mod roles;
mod session;
mod show;
mod update;
mod write;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tarn_catalog::Transaction;

use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::plan::{Context, Plan, PlanKind};
use crate::resolve::Action;
use crate::session::Session;
use crate::sqlstate::SqlState;

pub(crate) use update::{add_files, update_table};

/// Runs a plan.
pub(crate) async fn execute(plan: Plan, context: &Context, session: &mut Session) -> Result<Outcome> {
    plan.notices.into_iter().for_each(|text| session.notify(Notice::plain(text)));
    match plan.kind {
        PlanKind::Query(plan) => context.stop.or(query::run(plan, context)).await,
        PlanKind::Explain { analyze, verbose, header, plan } => {
            context.stop.or(query::explain(plan, header, analyze, verbose, context)).await
        }
        PlanKind::Insert(plan) => {
            refuse_in_transaction(session, "INSERT")?;
            write::insert(*plan, context).await
        }
        PlanKind::CreateTable(plan) => {
            refuse_in_transaction(session, "CREATE TABLE")?;
            write::create_table(*plan, context).await
        }
        PlanKind::CreateView(plan) => {
            refuse_in_transaction(session, "CREATE VIEW")?;
            define::create_view(*plan, context).await
        }
        PlanKind::Direct(action) => direct(action, context, session).await,
    }
}

async fn direct(action: Action, context: &Context, session: &mut Session) -> Result<Outcome> {
    if let Some(statement) = changes_catalog(&action) {
        refuse_in_transaction(session, statement)?;
    }
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
        Action::Crawl { location, schema } => call::crawl(location, schema, context).await,
        Action::Procedure(call) => (call.procedure.run)(*call, context).await,
        Action::Describe(relation) => show::describe(&relation, context).await,
        Action::Set(set) => session::set(&set, session),
        Action::Show(what) => session::show(&what, session),
        Action::Transaction(transaction) => Ok(session::transaction(&transaction, session)),
        Action::Discard(discard) => Ok(session::discard(&discard, session)),
        Action::Nothing { tag } => Ok(Outcome::done(tag)),
        // These have plans of their own.
        Action::Query(_)
        | Action::Explain { .. }
        | Action::Insert { .. }
        | Action::CreateTable { .. }
        | Action::CreateView { .. } => Err(Error::internal("a planned statement came unplanned")),
    }
}

/// The columns of what is shown without a query; None for statements without rows.
pub(crate) fn result_columns(action: &Action) -> Option<SchemaRef> {
    match action {
        Action::Explain { .. } => Some(query::explain_schema()),
        Action::Crawl { .. } => Some(crate::crawl::report_schema()),
        Action::Procedure(call) => Some((call.procedure.columns)()),
        Action::Describe(_) => Some(show::describe_schema()),
        Action::Show(what) => Some(session::show_schema(what)),
        _ => None,
    }
}

/// The statement's name if it changes the catalog.
fn changes_catalog(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::Truncate(_) => "TRUNCATE",
        Action::CreateSchema(_) => "CREATE SCHEMA",
        Action::Drop(_) | Action::DropSchema { .. } | Action::DropRole(_) => "DROP",
        Action::AlterRelation { .. } | Action::AlterSchema { .. } | Action::AlterRole { .. } => "ALTER",
        Action::CommentSchema { .. }
        | Action::CommentRelation { .. }
        | Action::CommentColumn { .. }
        | Action::CommentRole { .. } => "COMMENT",
        Action::CreateRole { .. } => "CREATE ROLE",
        Action::GrantPrivileges { .. } | Action::GrantMembership { .. } => "GRANT",
        Action::Crawl { .. } => "CALL system.crawl",
        Action::Procedure(call) => call.procedure.name,
        _ => return None,
    })
}

/// A transaction reads one version; writing in it needs its own staged versions, which are not there yet, and a
/// write that could not be rolled back must not look as if it could.
fn refuse_in_transaction(session: &Session, statement: &str) -> Result<()> {
    if !session.in_transaction() {
        return Ok(());
    }
    Err(Error::unsupported(format!("{statement} inside a transaction block"))
        .with_detail("Transactions read one version of the catalog; each write commits by itself.")
        .with_hint("Run it outside BEGIN … COMMIT."))
}

/// Commits and waits for the answer, even if nobody waits for us any more: the commit runs as a task of its own.
async fn commit(transaction: Transaction, context: &Context) -> Result<()> {
    let catalog = Arc::clone(context.catalog());
    let task = tokio::spawn(async move { catalog.commit(transaction).await });
    match task.await {
        Ok(answer) => Ok(answer.map(drop)?),
        Err(error) => {
            Err(Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, "the commit's outcome is unknown")
                .with_detail(error.to_string())
                .with_hint("Look whether it happened before trying again."))
        }
    }
}
