//! How upkeep commits: changes of metadata that follow the table's newest version, waited for even if nobody waits for
//! the statement any more; and what is deleted afterwards, as soon as nobody can be reading it.

use std::sync::Arc;

use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::{Catalog, Change, CommitSequence, MetadataChange, WriteId};

use crate::error::{Error, Result};
use crate::plan::Context;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;

/// Commits updates of a table's metadata together with other changes. The table must still be the same one, and
/// otherwise may have moved on.
pub(crate) async fn commit_metadata(
    target: &TableTarget,
    updates: Vec<TableUpdate>,
    others: Vec<Change>,
    write: Option<WriteId>,
    context: &Context,
) -> Result<CommitSequence> {
    let catalog = Arc::clone(context.catalog());
    let mut transaction = catalog.begin_at(context.scope.reader.clone(), context.scope.principal.role);
    others.into_iter().for_each(|change| transaction.push(change));
    let change = MetadataChange {
        relation: target.found.relation.id,
        name: target.found.qualified(),
        base: Arc::clone(&target.version),
        requirements: vec![TableRequirement::UuidMatch { uuid: target.version.metadata.uuid() }],
        updates,
        write,
    };
    let task = tokio::spawn(async move { catalog.change_metadata(transaction, change).await });
    match task.await {
        Ok(answer) => Ok(answer?),
        Err(error) => {
            Err(Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, "the commit's outcome is unknown")
                .with_detail(error.to_string())
                .with_hint("Look whether it happened before trying again."))
        }
    }
}

/// Deletes what `commit` left behind once no statement, transaction or result reads a version from before it. This very
/// statement is one of the readers, so the files go after it has ended.
pub(crate) fn reap_after(commit: CommitSequence, catalog: &Arc<Catalog>) {
    let catalog = Arc::clone(catalog);
    tokio::spawn(async move {
        catalog.when_unread(commit).await;
        if let Err(error) = catalog.reap().await {
            tracing::warn!(%error, "expired files stay for now");
        }
    });
}
