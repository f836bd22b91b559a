//! The part of a commit that waits for the object store: each table write becomes manifests, a manifest list and a
//! metadata file on top of the table's current version, and from then on is a plain pointer move.
//! It must never write to the catalog's own store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::TableMetadata;

use super::Parts;
use crate::change::Change;
use crate::error::Result;
use crate::iceberg::{Basis, TableWrite, produce};
use crate::id::RelationId;
use crate::object::TablePointer;
use crate::reader::Reader;
use crate::storage::Storage;
use crate::store::values;
use crate::transaction::Transaction;

/// What was made on the way to a commit.
#[derive(Debug, Default)]
pub struct Produced {
    /// Table location and URL of each file written.
    files: Vec<(String, String)>,
    /// Location, content and JSON bytes of the new metadata.
    pub parsed: Vec<(String, Arc<TableMetadata>, usize)>,
}

impl Produced {
    /// Deletes the files, as well as it goes: what stays is deleted when its write is given up.
    pub async fn delete(self, storage: &Storage) {
        for (location, url) in self.files {
            let deleted = match storage.guard().table_file(&location, &url) {
                Ok(file) => storage.delete(&file).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(%error, url, "a file of a failed commit could not be deleted");
            }
        }
    }
}

/// One table on its way to a new version.
struct Table {
    /// In the catalog now.
    before: Option<TablePointer>,
    pointer: TablePointer,
    metadata: Arc<TableMetadata>,
    json: Bytes,
}

/// The tables whose pointers the transaction moves.
pub fn tables(transaction: &Transaction) -> BTreeSet<RelationId> {
    let moved = transaction.changes.iter().filter_map(|change| match change {
        Change::MovePointer { relation, .. } => Some(*relation),
        _ => None,
    });
    transaction.writes.iter().map(|write| write.relation).chain(moved).collect()
}

/// Writes the files of all table writes; gives the changes that make them part of the catalog.
pub async fn produce_writes(
    parts: &Parts,
    reader: &Reader,
    transaction: &Transaction,
    produced: &mut Produced,
) -> Result<Vec<Change>> {
    let dropped: BTreeSet<RelationId> = transaction
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::DropRelation(relation) => Some(relation.id),
            _ => None,
        })
        .collect();
    let mut tables: BTreeMap<RelationId, Table> = BTreeMap::new();
    let mut writes = BTreeSet::new();
    for write in &transaction.writes {
        if dropped.contains(&write.relation) {
            continue;
        }
        // Several writes to one table in one transaction build on each other.
        let earlier = tables.remove(&write.relation);
        let table = produce_one(parts, reader, write, earlier, produced).await?;
        tables.insert(write.relation, table);
        writes.insert(write.write);
    }
    let mut changes = Vec::with_capacity(tables.len() + writes.len());
    for (relation, table) in tables {
        let metadata_json = values::compress(&table.json)?;
        produced.parsed.push((table.pointer.metadata_location.clone(), table.metadata, table.json.len()));
        changes.push(Change::MovePointer {
            relation,
            before: table.before,
            after: table.pointer,
            metadata_json,
        });
    }
    // Whoever made the transaction may have said so already.
    let finished =
        writes.into_iter().map(Change::FinishWrite).filter(|finish| !transaction.changes.contains(finish));
    changes.extend(finished);
    Ok(changes)
}

async fn produce_one(
    parts: &Parts,
    reader: &Reader,
    write: &TableWrite,
    earlier: Option<Table>,
    produced: &mut Produced,
) -> Result<Table> {
    let (before, head) = match earlier {
        Some(table) => (table.before, Some((table.metadata, table.pointer))),
        None if reader.pointer(write.relation)?.is_some() => {
            let version = reader.table(write.relation).await?;
            (Some(version.pointer.clone()), Some((version.metadata.clone(), version.pointer.clone())))
        }
        None => (None, None),
    };
    let head = head.as_ref().map(|(metadata, pointer)| (metadata.as_ref(), pointer));
    let made = produce(&parts.storage, parts.env.as_ref(), write, Basis::head(head)).await?;
    let location = &made.pointer.location;
    produced.files.extend(made.files.into_iter().map(|url| (location.clone(), url)));
    Ok(Table { before, metadata: Arc::new(made.metadata), json: made.json, pointer: made.pointer })
}
