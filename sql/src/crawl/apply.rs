//! A plan into the catalog: all its changes in one commit together with the record of the run, or the record alone. It
//! must never decide what changes. Next: `stored.rs` for what is done with records.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::access::Principal;
use tarn_catalog::crawler::{CrawlChange, CrawlRun, RunState};
use tarn_catalog::object::{Namespace, Relation, RelationKind};
use tarn_catalog::{Catalog, Change, LAKE, NamespaceId, Transaction};

use super::inference::evidence_text;
use super::plan::{Proposal, Proposed};
use super::report::ddl;
use super::request::CrawlRequest;
use crate::error::{Error, Result};

/// What the record of a run needs to know of it.
pub struct Recorded<'a> {
    pub request: &'a CrawlRequest,
    pub principal: &'a Principal,
    pub started_at_ms: i64,
    /// The schema, if it is there already.
    pub namespace: Option<NamespaceId>,
}

/// Commits the plan's changes and the record of the run, and gives its number. The transaction must rest on the version
/// that the plan was made from, so that a change by somebody else in between is a conflict.
pub async fn apply(
    mut transaction: Transaction,
    proposals: &[Proposal],
    recorded: &Recorded<'_>,
    catalog: &Arc<Catalog>,
) -> Result<u64> {
    let mut run = planned(&transaction, proposals, recorded, catalog)?;
    push_changes(&mut transaction, &mut run, recorded.namespace, recorded.principal, catalog)?;
    let number = run.number;
    transaction.push(Change::SetCrawlRun { before: None, after: run });
    catalog.commit(transaction).await?;
    Ok(number)
}

/// Keeps the plan for later, and gives its number.
pub async fn record(
    mut transaction: Transaction,
    proposals: &[Proposal],
    recorded: &Recorded<'_>,
    catalog: &Arc<Catalog>,
) -> Result<u64> {
    let run = planned(&transaction, proposals, recorded, catalog)?;
    let number = run.number;
    transaction.push(Change::SetCrawlRun { before: None, after: run });
    catalog.commit(transaction).await?;
    Ok(number)
}

fn planned(
    transaction: &Transaction,
    proposals: &[Proposal],
    recorded: &Recorded<'_>,
    catalog: &Arc<Catalog>,
) -> Result<CrawlRun> {
    let last = transaction.reader().crawl_runs()?.last().map_or(0, |run| run.number);
    let request = recorded.request;
    let changes = proposals.iter().filter_map(|proposal| change_of(proposal).transpose());
    Ok(CrawlRun {
        number: last + 1,
        crawler: request.crawler.clone(),
        locations: request.locations.clone(),
        schema: request.schema.clone(),
        role: recorded.principal.role,
        state: RunState::Planned,
        started_at_ms: recorded.started_at_ms,
        finished_at_ms: catalog.env().now_ms(),
        created_schema: None,
        changes: changes.collect::<Result<Vec<_>>>()?,
    })
}

/// A change as the record of the run keeps it.
fn change_of(proposal: &Proposal) -> Result<Option<CrawlChange>> {
    let (Some(change), Some(table)) = (&proposal.change, &proposal.table) else { return Ok(None) };
    let (action, before, definition, comment) = match change {
        Proposed::Create { name: _, table } => ("create", None, Some(table.clone()), None),
        Proposed::Update { before, after } => {
            ("update", Some(before.as_ref().clone()), Some(after.clone()), before.comment.clone())
        }
        Proposed::Deprecate { before, comment } => {
            ("deprecate", Some(before.as_ref().clone()), proposal.definition.clone(), Some(comment.clone()))
        }
        Proposed::Drop { before } => ("drop", Some(before.as_ref().clone()), None, None),
    };
    Ok(Some(CrawlChange {
        action: action.to_owned(),
        name: table.name.clone(),
        before,
        definition,
        comment,
        after: None,
        ddl: ddl(proposal)?.unwrap_or_default(),
        reason: proposal.reason.clone().unwrap_or_else(|| "its files were found".to_owned()),
        evidence: evidence_text(&proposal.inference),
        confidence: proposal.confidence,
    }))
}

/// Adds the changes of a run to a transaction, and what they make to the record.
pub fn push_changes(
    transaction: &mut Transaction,
    run: &mut CrawlRun,
    namespace: Option<NamespaceId>,
    principal: &Principal,
    catalog: &Arc<Catalog>,
) -> Result<()> {
    let now = catalog.env().now_ms();
    let namespace = match namespace {
        Some(namespace) => namespace,
        None => {
            let id = transaction.new_namespace_id()?;
            let (name, owner) = (run.schema.clone(), principal.role);
            let properties = BTreeMap::new();
            let created =
                Namespace { id, catalog: LAKE, name, owner, comment: None, properties, created_at_ms: now };
            transaction.push(Change::CreateNamespace(created.clone()));
            run.created_schema = Some(created);
            id
        }
    };
    for change in &mut run.changes {
        let kind = change.definition.clone().map(RelationKind::External);
        match (&change.before, kind) {
            (None, Some(kind)) => {
                let created = Relation {
                    id: transaction.new_relation_id()?,
                    namespace,
                    name: change.name.clone(),
                    owner: principal.role,
                    comment: None,
                    created_at_ms: now,
                    kind,
                };
                transaction.push(Change::CreateRelation(created.clone()));
                change.after = Some(created);
            }
            (Some(before), Some(kind)) => {
                let after = Relation { kind, comment: change.comment.clone(), ..before.clone() };
                transaction.push(Change::UpdateRelation { before: before.clone(), after: after.clone() });
                change.after = Some(after);
            }
            (Some(before), None) => transaction.push(Change::DropRelation(before.clone())),
            (None, None) => return Err(Error::internal("a change of a crawl has no table")),
        }
    }
    run.state = RunState::Applied;
    Ok(())
}
