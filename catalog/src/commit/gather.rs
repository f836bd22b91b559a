//! The part of a commit that waits for the object store: each table write becomes manifests, a manifest list and a
//! metadata file on top of the table's current version, and from then on is a plain pointer move.
//! It must never write to the catalog's own store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::TableMetadata;

use super::Parts;
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::{Basis, Others, TableWrite, Target, produce, replace_table};
use crate::id::{RelationId, WriteId};
use crate::object::TablePointer;
use crate::reader::{Reader, TableVersion};
use crate::storage::Storage;
use crate::store::values;
use crate::transaction::{Planned, Transaction};

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
pub struct Table {
    /// In the catalog now.
    pub before: Option<TablePointer>,
    /// The version that the transaction's first write to it read, and the one in the catalog now: what lies between is
    /// the work of others. None when there can be none.
    pub read: Option<(Arc<TableVersion>, Arc<TableMetadata>)>,
    pub pointer: TablePointer,
    pub metadata: Arc<TableMetadata>,
    pub json: Bytes,
}

impl Table {
    /// As it is before the first write.
    pub fn at(version: &TableVersion) -> Table {
        Table {
            before: Some(version.pointer.clone()),
            read: None,
            pointer: version.pointer.clone(),
            metadata: version.metadata.clone(),
            json: Bytes::new(),
        }
    }
}

/// The tables whose pointers the transaction moves or must not see moved.
pub fn tables(transaction: &Transaction) -> BTreeSet<RelationId> {
    let moved = transaction.changes.iter().filter_map(|change| match change {
        Change::MovePointer { relation, .. } => Some(*relation),
        _ => None,
    });
    let read = transaction.reads.keys().copied();
    transaction.table_writes().map(|write| write.relation).chain(moved).chain(read).collect()
}

/// The tables that do not outlive the transaction: what it writes to them is written for nobody.
pub fn dropped(transaction: &Transaction) -> BTreeSet<RelationId> {
    let dropped = transaction.changes.iter().filter_map(|change| match change {
        Change::DropRelation(relation) => Some(relation.id),
        _ => None,
    });
    dropped.collect()
}

/// The writes whose files no table takes, because the transaction drops it again.
pub fn unused(transaction: &Transaction) -> BTreeSet<WriteId> {
    let dropped = dropped(transaction);
    let of = |gone: bool| {
        let writes = transaction.table_writes();
        let writes = writes.filter(move |write| dropped.contains(&write.relation) == gone);
        writes.map(|write| write.write).collect::<BTreeSet<_>>()
    };
    let used = of.clone()(false);
    of(true).into_iter().filter(|write| !used.contains(write)).collect()
}

/// Writes the files of all table writes; gives the changes that make them part of the catalog.
pub async fn produce_writes(
    parts: &Parts,
    reader: &Reader,
    transaction: &Transaction,
    produced: &mut Produced,
) -> Result<Vec<Change>> {
    let dropped = dropped(transaction);
    let mut tables: BTreeMap<RelationId, Table> = BTreeMap::new();
    let mut writes = BTreeSet::new();
    for planned in &transaction.writes {
        let write = &planned.write;
        if dropped.contains(&write.relation) {
            continue;
        }
        // Several writes to one table in one transaction build on each other.
        let table = match tables.remove(&write.relation) {
            None => produce_first(parts, reader, planned, produced).await?,
            Some(earlier) => produce_next(parts, planned, earlier, produced).await?,
        };
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

/// The first write to a table builds on the catalog's version of it.
async fn produce_first(
    parts: &Parts,
    reader: &Reader,
    planned: &Planned,
    produced: &mut Produced,
) -> Result<Table> {
    let write = &planned.write;
    let current = match reader.pointer(write.relation)? {
        Some(_) => Some(reader.table(write.relation).await?),
        None => None,
    };
    let head = current.as_ref().map(|version| (version.metadata.as_ref(), &version.pointer));
    let basis = Basis { snapshot_id: planned.snapshot_id, ..Basis::head(head) };
    let made = produce_one(parts, write, basis, produced).await?;
    let read = match (&write.target, &current) {
        (Target::Existing { base }, Some(version)) => Some((base.clone(), version.metadata.clone())),
        _ => None,
    };
    let before = current.map(|version| version.pointer.clone());
    Ok(Table { before, read, metadata: made.metadata.into(), json: made.json, pointer: made.pointer })
}

/// Later ones build on what the one before made.
async fn produce_next(
    parts: &Parts,
    planned: &Planned,
    earlier: Table,
    produced: &mut Produced,
) -> Result<Table> {
    let write = rebased(&planned.write, &earlier)?;
    let others = match &earlier.read {
        Some((base, head)) => Others::Between { base: &base.metadata, head },
        None => Others::Nowhere,
    };
    let head = Some((earlier.metadata.as_ref(), &earlier.pointer));
    let basis = Basis { head, others, snapshot_id: planned.snapshot_id, staged: false };
    let made = produce_one(parts, &write, basis, produced).await?;
    let Table { before, read, .. } = earlier;
    Ok(Table { before, read, metadata: made.metadata.into(), json: made.json, pointer: made.pointer })
}

/// A replacement rests on the very version that it replaces, and in a transaction that version is made again by the
/// commit: so is the replacement. It sees nothing of what others did in the meantime, so there must be nothing.
fn rebased(write: &TableWrite, earlier: &Table) -> Result<TableWrite> {
    let Target::Replace { definition, .. } = &write.target else { return Ok(write.clone()) };
    if earlier.read.as_ref().is_some_and(|(read, _)| Some(&read.pointer) != earlier.before.as_ref()) {
        let text = format!("table {} was changed by another transaction", write.name);
        return Err(Error::new(ErrorKind::Conflict, text).with_hint("Run the transaction again."));
    }
    let Some(new) = definition else {
        let text = format!("this change of table {} after others in one transaction", write.name);
        return Err(
            Error::new(ErrorKind::Unsupported, text).with_hint("Make it in a transaction of its own.")
        );
    };
    let staged = Box::new(replace_table(&earlier.metadata, new.as_ref().clone())?);
    let target = Target::Replace { staged, definition: definition.clone(), base: earlier.pointer.clone() };
    Ok(TableWrite { target, ..write.clone() })
}

async fn produce_one(
    parts: &Parts,
    write: &TableWrite,
    basis: Basis<'_>,
    produced: &mut Produced,
) -> Result<crate::iceberg::Produced> {
    let made = produce(&parts.storage, parts.env.as_ref(), write, basis).await?;
    let location = &made.pointer.location;
    produced.files.extend(made.files.iter().map(|url| (location.clone(), url.clone())));
    Ok(made)
}
