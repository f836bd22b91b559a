//! Upkeep of tables as far as it needs the catalog's store: metadata that changes alone, files that are deleted once
//! nobody can read them, orphans, and the record of what was done. It must never make a writer fail: everything here
//! either follows the table's newest version or gives way. Next: `../iceberg/upkeep/mod.rs`.

use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::spec::MAIN_BRANCH;
use iceberg::{TableRequirement, TableUpdate};

use super::Catalog;
use crate::change::Change;
use crate::commit::{Answer, Discard, UpkeepChange, UpkeepRecord, Work, WriteIntent};
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::upkeep::{
    Orphan, Orphans, find_orphans, old_metadata_files, statistics_files, unreached,
};
use crate::iceberg::{Operation, TableWrite, Target};
use crate::id::{CommitSequence, RelationId, WriteId};
use crate::object::TablePointer;
use crate::reader::{Reader, TableVersion};
use crate::store::{Space, keys, values};
use crate::transaction::Transaction;

/// Rows read at a time.
const DISCARDS_PER_ROUND: usize = 64;

/// A change of a table's metadata alone.
#[derive(Debug)]
pub struct MetadataChange {
    pub relation: RelationId,
    /// The table as messages call it.
    pub name: String,
    pub base: Arc<TableVersion>,
    pub requirements: Vec<TableRequirement>,
    pub updates: Vec<TableUpdate>,
    /// The write that made files for it, if one did.
    pub write: Option<WriteId>,
}

/// What became of files that were waiting for their deletion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    pub files: usize,
    /// Discards that somebody may still read.
    pub waiting: usize,
}

impl Catalog {
    /// Commits a change of a table's metadata, with what the transaction has besides.
    pub async fn change_metadata(
        &self,
        mut transaction: Transaction,
        change: MetadataChange,
    ) -> Result<CommitSequence> {
        let write = match change.write {
            Some(write) => write,
            None => self.begin_write(change.base.metadata.location()).await?,
        };
        transaction.write_table(TableWrite {
            relation: change.relation,
            name: change.name,
            target: Target::Existing { base: change.base },
            write,
            branch: MAIN_BRANCH.to_owned(),
            operation: Operation::Update { requirements: change.requirements, updates: change.updates },
            added: Vec::new(),
        });
        let committed = self.commit(transaction).await;
        if committed.as_ref().is_err_and(|error| error.kind != ErrorKind::OutcomeUnknown) {
            self.abandon_write(write, &[]).await;
        }
        committed
    }

    /// A new discard for a table, to be committed with the change that ends the files' use.
    pub fn to_discard(
        &self,
        table: &TableVersion,
        manifest_lists: Vec<String>,
        files: Vec<String>,
    ) -> Change {
        let discard = Discard {
            id: self.parts.env.uuid(),
            relation: table.relation,
            table: table.pointer.uuid,
            location: table.pointer.location.clone(),
            manifest_lists,
            files,
            purge: false,
            after: CommitSequence::default(),
        };
        Change::Discard { relation: table.relation, discard }
    }

    /// The discard of all files of a table, to be committed with the change that drops it.
    ///
    /// # Errors
    ///
    /// When the folder is not in the warehouse, where tables are the only thing that there is.
    pub fn to_purge(&self, relation: RelationId, pointer: &TablePointer) -> Result<Change> {
        self.parts.storage.guard().own(&pointer.location).map_err(|_| {
            let text = format!("the files in \"{}\" lie outside the warehouse", pointer.location);
            Error::new(ErrorKind::Unsupported, text)
                .with_hint("Drop the table without purging it, and delete the files yourself.")
        })?;
        let discard = Discard {
            id: self.parts.env.uuid(),
            relation,
            table: pointer.uuid,
            location: pointer.location.clone(),
            manifest_lists: Vec::new(),
            files: Vec::new(),
            purge: true,
            after: CommitSequence::default(),
        };
        Ok(Change::Discard { relation, discard })
    }

    /// Forgets the answers given before a time, milliseconds since the Unix epoch.
    pub async fn forget_answers(&self, before_ms: i64) -> Result<usize> {
        let store = &self.parts.store;
        let (mut old, mut after): (Vec<uuid::Uuid>, Option<Vec<u8>>) = (Vec::new(), None);
        loop {
            let at = CommitSequence(0);
            let rows = store.scan(Space::Upkeep, keys::ANSWERS, after.as_deref(), DISCARDS_PER_ROUND, at)?;
            for (_, row) in &rows {
                let answer: Answer = values::decode(&row.value)?;
                if answer.answered_at_ms < before_ms {
                    old.push(answer.key);
                }
            }
            match rows.last() {
                Some((key, _)) if rows.len() == DISCARDS_PER_ROUND => after = Some(key.clone()),
                _ => break,
            }
        }
        let forgotten = old.len();
        if forgotten > 0 {
            self.upkeep(UpkeepChange::ForgetAnswers(old)).await?;
        }
        Ok(forgotten)
    }

    /// The files that wait for their deletion, oldest first.
    pub fn discards(&self) -> Result<Vec<Discard>> {
        let (store, mut discards) = (&self.parts.store, Vec::new());
        let mut after: Option<Vec<u8>> = None;
        loop {
            let at = CommitSequence(0);
            let rows = store.scan(Space::Upkeep, keys::DISCARDS, after.as_deref(), DISCARDS_PER_ROUND, at)?;
            for (_, row) in &rows {
                discards.push(values::decode(&row.value)?);
            }
            match rows.last() {
                Some((key, _)) if rows.len() == DISCARDS_PER_ROUND => after = Some(key.clone()),
                _ => return Ok(discards),
            }
        }
    }

    /// Deletes the files that nobody can be reading any more. What cannot be deleted is logged and waits.
    pub async fn reap(&self) -> Result<Reaped> {
        let oldest = self.oldest_reader();
        let mut reaped = Reaped::default();
        for discard in self.discards()? {
            if discard.after > oldest {
                reaped.waiting += 1;
                continue;
            }
            match self.reap_one(&discard).await {
                Ok(files) => reaped.files += files,
                Err(error) => {
                    tracing::warn!(%error, table = discard.location, "expired files stay for now");
                    reaped.waiting += 1;
                }
            }
        }
        Ok(reaped)
    }

    async fn reap_one(&self, discard: &Discard) -> Result<usize> {
        let reader = self.reader();
        if discard.purge {
            let deleted = self.purge(&reader, discard).await?;
            self.upkeep(UpkeepChange::Discarded(discard.clone())).await?;
            return Ok(deleted);
        }
        let here = reader
            .pointer(discard.relation)?
            .is_some_and(|pointer| pointer.uuid == discard.table && pointer.location == discard.location);
        let mut deleted = 0;
        // The files of a table that left the catalog are not ours any more.
        if here {
            let table = reader.table(discard.relation).await?;
            let storage = &self.parts.storage;
            let unreached = unreached(storage, &table.metadata, &discard.manifest_lists).await?;
            let named = statistics_files(&table.metadata);
            let logged = table.metadata.metadata_log().iter().map(|entry| &entry.metadata_file);
            let in_use: std::collections::HashSet<&String> =
                logged.chain([&table.pointer.metadata_location]).chain(&named).collect();
            let others = discard.files.iter().filter(|url| !in_use.contains(url));
            for url in unreached.files.iter().map(|(_, url)| url).chain(others) {
                storage.delete(&storage.guard().table_file(&discard.location, url)?).await?;
                deleted += 1;
            }
        }
        self.upkeep(UpkeepChange::Discarded(discard.clone())).await?;
        Ok(deleted)
    }

    /// Deletes all that is in the folder of a dropped table, if no table has it now.
    async fn purge(&self, reader: &Reader, discard: &Discard) -> Result<usize> {
        if reader.table_at(&discard.location, Some(discard.table))?.is_some() {
            return Ok(0);
        }
        let storage = &self.parts.storage;
        let folder = storage.guard().own(&discard.location)?;
        let files: Vec<_> = storage.list(&folder).map_ok(|(file, _)| file).try_collect().await?;
        for file in &files {
            storage.delete(file).await?;
        }
        Ok(files.len())
    }

    /// Metadata files from before the table's log of them.
    pub async fn old_metadata(&self, table: &TableVersion) -> Result<Vec<String>> {
        let storage = &self.parts.storage;
        let folder = storage.guard().table_folder(&format!("{}/metadata", table.pointer.location))?;
        let files: Vec<String> =
            storage.list(&folder).map_ok(|(file, _)| file.to_string()).try_collect().await?;
        Ok(old_metadata_files(&table.metadata, &table.pointer.metadata_location, &files))
    }

    /// Files below a table's folder, older than `cutoff_ms`, that nothing leads to. Those of open writes and those that
    /// wait for their deletion are not among them.
    pub async fn orphans(&self, relation: RelationId, cutoff_ms: i64) -> Result<Orphans> {
        // Before the table is read: a write that ends in between is in the table then, and one that begins is too young.
        let marks =
            self.open_writes()?.into_iter().map(|intent| intent.write.to_string()).collect::<Vec<_>>();
        let expired: Vec<String> = self
            .discards()?
            .into_iter()
            .filter(|discard| discard.relation == relation)
            .flat_map(|discard| discard.manifest_lists)
            .collect();
        let table = self.reader().table(relation).await?;
        find_orphans(&self.parts.storage, &table, cutoff_ms, &marks, &expired).await
    }

    /// Deletes orphans; gives the number of files and bytes that are gone.
    pub async fn delete_orphans(&self, table: &TableVersion, orphans: &[Orphan]) -> Result<(u64, u64)> {
        let storage = &self.parts.storage;
        let (mut files, mut bytes) = (0, 0);
        for orphan in orphans {
            storage.delete(&storage.guard().table_file(&table.pointer.location, &orphan.url)?).await?;
            files += 1;
            bytes += orphan.bytes;
        }
        Ok((files, bytes))
    }

    fn open_writes(&self) -> Result<Vec<WriteIntent>> {
        super::read_intents(self.parts.store.as_ref())
    }

    pub async fn set_upkeep_record(&self, relation: RelationId, record: UpkeepRecord) -> Result<()> {
        self.upkeep(UpkeepChange::Record(relation, record)).await
    }

    pub async fn forget_upkeep_record(&self, relation: RelationId) -> Result<()> {
        self.upkeep(UpkeepChange::Forget(relation)).await
    }

    async fn upkeep(&self, change: UpkeepChange) -> Result<()> {
        self.parts.committer.submit(Work::Upkeep(change), Vec::new()).await?;
        Ok(())
    }
}
