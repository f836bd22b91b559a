//! A plan into the catalog: all its changes in one commit, or none. It must never decide what changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::access::Principal;
use tarn_catalog::object::{Namespace, Relation, RelationKind};
use tarn_catalog::{Catalog, Change, CommitSequence, LAKE, NamespaceId, Transaction};

use super::plan::{Proposal, Proposed};
use crate::error::Result;

/// Commits the plan's changes; none when there are no changes. The transaction must rest on the version that the plan
/// was made from, so that a change by somebody else in between is a conflict.
pub async fn apply(
    mut transaction: Transaction,
    namespace: Option<NamespaceId>,
    schema: &str,
    proposals: &[Proposal],
    principal: &Principal,
    catalog: &Arc<Catalog>,
) -> Result<Option<CommitSequence>> {
    let changes: Vec<&Proposed> = proposals.iter().filter_map(|proposal| proposal.change.as_ref()).collect();
    if changes.is_empty() {
        return Ok(None);
    }
    let now = catalog.env().now_ms();
    let namespace = match namespace {
        Some(namespace) => namespace,
        None => {
            let id = transaction.new_namespace_id()?;
            let (name, owner) = (schema.to_owned(), principal.role);
            let properties = BTreeMap::new();
            let created =
                Namespace { id, catalog: LAKE, name, owner, comment: None, properties, created_at_ms: now };
            transaction.push(Change::CreateNamespace(created));
            id
        }
    };
    for change in changes {
        let change = match change {
            Proposed::Create { name, table } => Change::CreateRelation(Relation {
                id: transaction.new_relation_id()?,
                namespace,
                name: name.clone(),
                owner: principal.role,
                comment: None,
                created_at_ms: now,
                kind: RelationKind::External(table.clone()),
            }),
            Proposed::Update { before, after } => {
                let kind = RelationKind::External(after.clone());
                let after = Relation { kind, ..before.as_ref().clone() };
                Change::UpdateRelation { before: before.as_ref().clone(), after }
            }
        };
        transaction.push(change);
    }
    Ok(Some(catalog.commit(transaction).await?))
}
