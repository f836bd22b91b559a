//! How upkeep commits: changes of metadata that follow the table's newest version, waited for even if nobody waits for
//! the statement any more; and what is deleted afterwards, as soon as nobody can be reading it.

use std::sync::Arc;

use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::{Catalog, Change, CommitSequence, ErrorKind, MetadataChange, Transaction, WriteId};

use crate::error::Result;
use crate::execute::waited;
use crate::plan::Context;
use crate::resolve::TableTarget;

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
    waited(task).await
}

/// Commits files that `write` made, and gives them up when the commit certainly did not happen.
pub(crate) async fn commit_files(
    mut transaction: Transaction,
    write: WriteId,
    context: &Context,
) -> Result<()> {
    transaction.push(Change::FinishWrite(write));
    let catalog = Arc::clone(context.catalog());
    let task = tokio::spawn(async move {
        let committed = catalog.commit(transaction).await;
        if committed.as_ref().is_err_and(|error| error.kind != ErrorKind::OutcomeUnknown) {
            catalog.abandon_write(write, &[]).await;
        }
        committed
    });
    waited(task).await.map(drop)
}

/// Deletes what `commit` left behind once no statement, transaction or result reads a version from before it. This very
/// statement is one of the readers, so the files go after it has ended.
pub(crate) fn reap_after(commit: CommitSequence, catalog: &Arc<Catalog>) {
    let catalog = Arc::clone(catalog);
    tokio::spawn(async move {
        catalog.when_unread(commit).await;
        if let Err(error) = catalog.reap().await {
            tracing::warn!(%error, "what has expired cannot be listed");
        }
    });
}
