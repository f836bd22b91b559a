//! What a serializable transaction has read must still be so when it commits, or it would have had to see other rows: two
//! transactions that each read what the other writes cannot both succeed. It must never look at what a transaction
//! wrote; that is checked where the write is made.

use crate::error::{Error, ErrorKind, Result};
use crate::reader::{Reader, TableVersion};
use crate::transaction::{Reading, Transaction};

use iceberg::spec::{Operation, TableMetadata};

/// Compares what was read with the catalog as it is now. To be called under the latches of the tables.
pub async fn check(transaction: &Transaction, now: &Reader) -> Result<()> {
    for (relation, reading) in &transaction.reads {
        let read = transaction.reader();
        let Some(before) = read.pointer(*relation)? else { continue };
        let name = read.relation_by_id(*relation)?.map(|relation| relation.name).unwrap_or_default();
        match now.pointer(*relation)? {
            Some(after) if after == before => {}
            Some(_) if *reading == Reading::Current => {
                let (before, after) = (read.table(*relation).await?, now.table(*relation).await?);
                if has_other_rows(&before, &after) {
                    return Err(conflict(&name));
                }
            }
            Some(_) | None => return Err(conflict(&name)),
        }
    }
    Ok(())
}

fn has_other_rows(before: &TableVersion, after: &TableVersion) -> bool {
    let (before, after) = (&before.metadata, &after.metadata);
    before.uuid() != after.uuid()
        || before.current_schema_id() != after.current_schema_id()
        || !only_rewritten(before, after)
}

/// Whether every snapshot of the main branch since holds the same rows in other files.
fn only_rewritten(before: &TableMetadata, after: &TableMetadata) -> bool {
    let mut at = after.current_snapshot_id();
    while at != before.current_snapshot_id() {
        let Some(snapshot) = at.and_then(|id| after.snapshot_by_id(id)) else { return false };
        if snapshot.summary().operation != Operation::Replace {
            return false;
        }
        at = snapshot.parent_snapshot_id();
    }
    true
}

fn conflict(table: &str) -> Error {
    let message = "could not serialize access due to read/write dependencies among transactions";
    Error::new(ErrorKind::Conflict, message)
        .with_detail(format!("Another transaction has changed table \"{table}\" since this one read it."))
        .with_hint("The transaction might succeed if retried.")
}
