//! What is done with the record of a run: a plan is applied, to the letter or not at all, and a run is taken back. The
//! catalog decides again whether every table still is what the record says. It must never look at a file.

use std::sync::Arc;

use tarn_catalog::access::Principal;
use tarn_catalog::crawler::{CrawlRun, RunState};
use tarn_catalog::object::Relation;
use tarn_catalog::{Catalog, Change, LAKE, Transaction};

use super::apply::push_changes;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// Commits exactly the changes of a plan.
///
/// # Errors
///
/// 55000 when it was applied already, or when a table is no longer what the plan started from.
pub async fn apply_plan(number: u64, principal: &Principal, catalog: &Arc<Catalog>) -> Result<CrawlRun> {
    let mut transaction = catalog.begin(principal.role);
    let before = run_in_state(number, RunState::Planned, principal, &transaction)?;
    let reader = transaction.reader().clone();
    let namespace = reader.namespace(LAKE, &before.schema)?;
    crate::authorize::check_crawl(&before.schema, principal, &reader)?;
    for change in &before.changes {
        let now = match &namespace {
            Some(namespace) => reader.relation(namespace.id, &change.name)?,
            None => None,
        };
        if now != change.before {
            return Err(moved(&change.name, "the plan was made"));
        }
        if let Some(relation) = &now {
            check_owner(relation, principal)?;
        }
    }
    let mut after = before.clone();
    let namespace = namespace.map(|namespace| namespace.id);
    push_changes(&mut transaction, &mut after, namespace, principal, catalog)?;
    after.finished_at_ms = catalog.env().now_ms();
    transaction.push(Change::SetCrawlRun { before: Some(before), after: after.clone() });
    catalog.commit(transaction).await?;
    Ok(after)
}

/// Takes a run back: every table is again what it was before.
///
/// # Errors
///
/// 55000 when it was not applied, was taken back already, or when a table was changed since.
pub async fn undo(number: u64, principal: &Principal, catalog: &Arc<Catalog>) -> Result<CrawlRun> {
    let mut transaction = catalog.begin(principal.role);
    let before = run_in_state(number, RunState::Applied, principal, &transaction)?;
    let reader = transaction.reader().clone();
    let mut created = 0;
    for change in before.changes.iter().rev() {
        let now = match change.after.as_ref().or(change.before.as_ref()) {
            Some(relation) => reader.relation_by_id(relation.id)?,
            None => None,
        };
        if now != change.after {
            return Err(moved(&change.name, "the run"));
        }
        match (now, &change.before) {
            (Some(now), None) => {
                check_owner(&now, principal)?;
                created += 1;
                transaction.push(Change::DropRelation(now));
            }
            (Some(now), Some(old)) => {
                check_owner(&now, principal)?;
                transaction.push(Change::UpdateRelation { before: now, after: old.clone() });
            }
            (None, Some(old)) => {
                check_owner(old, principal)?;
                transaction.push(Change::CreateRelation(old.clone()));
            }
            (None, None) => {}
        }
    }
    if let Some(schema) = &before.created_schema
        && reader.namespace_by_id(schema.id)?.as_ref() == Some(schema)
        && reader.relations(schema.id)?.len() == created
    {
        transaction.push(Change::DropNamespace(schema.clone()));
    }
    let after = CrawlRun { state: RunState::Undone, ..before.clone() };
    transaction.push(Change::SetCrawlRun { before: Some(before), after: after.clone() });
    catalog.commit(transaction).await?;
    Ok(after)
}

/// The record of a run that the principal may see and that is in a state.
fn run_in_state(
    number: u64,
    state: RunState,
    principal: &Principal,
    transaction: &Transaction,
) -> Result<CrawlRun> {
    let run = transaction.reader().crawl_run(number)?.filter(|run| principal.acts_as(run.role));
    let run = run.ok_or_else(|| {
        let message = format!("run {number} of a crawl does not exist");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
            .with_hint("SELECT * FROM system.crawler_runs lists them.")
    })?;
    if run.state != state {
        let message = format!("run {number} of a crawl is {}, not {}", run.state.name(), state.name());
        return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_hint("SELECT * FROM system.crawler_runs says what has become of each."));
    }
    Ok(run)
}

fn moved(name: &str, since: &str) -> Error {
    let message = format!("table \"{name}\" was changed since {since}");
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_detail("Nothing was changed.")
        .with_hint("Crawl again with mode => 'plan' to see what would change now.")
}

fn check_owner(relation: &Relation, principal: &Principal) -> Result<()> {
    if principal.acts_as(relation.owner) {
        return Ok(());
    }
    let message = format!("must be owner of table {}", relation.name);
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}
