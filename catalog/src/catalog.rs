//! The catalog of a process: opens its store, hands out readers and transactions, commits, and keeps account of the
//! files that writes leave behind. It must never know what a statement is. Next: `reader.rs`, `transaction.rs`.

mod bootstrap;
mod upkeep;

pub use upkeep::{MetadataChange, Reaped};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::block::{Block, Savepoint, Staging};
use crate::commit::{self, Committer, Folds, IntentChange, Latches, Parts, Turn, Turns, WriteIntent};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CommitSequence, RelationId, RoleId, WriteId};
use crate::reader::Reader;
use crate::storage::{Checked, Storage};
use crate::store::{self, Memory, Rocks, Space, Store, keys, values};
use crate::transaction::{Ids, Transaction};

/// Where the catalog is and what it works with.
#[derive(Debug)]
pub struct Options {
    /// The folder of everything; the catalog's own store is in `catalog` below it.
    pub data_dir: PathBuf,
    pub storage: Arc<Storage>,
    /// URL of the folder for new tables, without a trailing slash.
    pub warehouse: String,
    pub env: Arc<dyn Env>,
}

/// What exists, who may, which version.
#[derive(Debug)]
pub struct Catalog {
    parts: Parts,
    warehouse: String,
    ids: Arc<Ids>,
    /// Intents found when the store was opened: their process is gone, and their commit did not happen.
    leftover: Mutex<Vec<WriteIntent>>,
}

/// The file that says that a folder has had its first commit, so that a store that is empty has lost what it held.
const MARK: &str = "catalog.made";

fn emptied(data_dir: &Path) -> Error {
    let message = format!("the catalog in {} is damaged: it holds no commit any more", data_dir.display());
    Error::new(ErrorKind::Corrupt, message)
        .with_detail("A catalog was made here before, and its files have been cut off or removed.")
        .with_hint("Restore the folder from a backup, or start with another, empty --data-dir.")
}

impl Catalog {
    /// Opens the catalog in a data folder, or makes a new one. Reads the whole commit log to check it.
    pub fn open(options: Options) -> Result<Arc<Catalog>> {
        let store = Arc::new(Rocks::open(&options.data_dir.join("catalog"))?);
        let mark = options.data_dir.join(MARK);
        if store.head().sequence == CommitSequence(0) && mark.exists() {
            return Err(emptied(&options.data_dir));
        }
        let catalog = Catalog::with_store(store, options.storage, options.warehouse, options.env)?;
        std::fs::write(&mark, "This folder holds a catalog of Tarn.\n").map_err(|source| {
            Error::new(ErrorKind::Storage, format!("cannot write {}", mark.display())).with_source(source)
        })?;
        Ok(catalog)
    }

    /// A catalog that is gone when it is dropped.
    pub fn in_memory(storage: Arc<Storage>, warehouse: String, env: Arc<dyn Env>) -> Result<Arc<Catalog>> {
        Catalog::with_store(Arc::new(Memory::new()), storage, warehouse, env)
    }

    fn with_store(
        store: Arc<dyn Store>,
        storage: Arc<Storage>,
        warehouse: String,
        env: Arc<dyn Env>,
    ) -> Result<Arc<Catalog>> {
        store::verify(store.as_ref())?;
        let ids = Arc::new(Ids::starting_at(store.head().next_id));
        let committer = Committer::new(store.clone(), env.clone(), ids.clone());
        if store.head().sequence == CommitSequence(0) {
            committer.submit_alone(bootstrap::first_commit(env.now_ms()))?;
        }
        let leftover = Mutex::new(read_intents(store.as_ref())?);
        let parts = Parts {
            store,
            storage,
            env,
            latches: Latches::default(),
            turns: Turns::default(),
            folds: Folds::default(),
            committer,
            pins: Arc::default(),
            held: Arc::default(),
        };
        Ok(Arc::new(Catalog { parts, warehouse, ids, leftover }))
    }

    /// The catalog as it is now.
    pub fn reader(&self) -> Reader {
        self.parts.reader()
    }

    /// The catalog as it was after a commit; as it is now if there was no such commit yet.
    pub fn reader_at(&self, sequence: CommitSequence) -> Reader {
        self.parts.reader_at(sequence)
    }

    /// The oldest version that a statement, an open transaction or a result on its way to a client still reads; the
    /// newest if nobody reads. A file that no version from this one on leads to is needed by nobody.
    pub fn oldest_reader(&self) -> CommitSequence {
        self.parts.pins.oldest(|| self.parts.store.head().sequence)
    }

    /// Waits until nobody reads a version older than `sequence`. To be called after the commit that made files
    /// unreachable, with its sequence, before they are deleted.
    pub async fn when_unread(&self, sequence: CommitSequence) {
        self.parts.pins.when_unread(sequence).await;
    }

    /// Begins a transaction on the catalog as it is now.
    pub fn begin(&self, principal: RoleId) -> Transaction {
        Transaction::new(principal, self.reader(), self.ids.clone())
    }

    /// Begins a transaction on the version that was read to make it.
    pub fn begin_at(&self, reader: Reader, principal: RoleId) -> Transaction {
        Transaction::new(principal, reader, self.ids.clone())
    }

    /// Makes a transaction's changes, all or none of them, and returns when they would survive a loss of power.
    ///
    /// An error of kind `OutcomeUnknown` says that it may have happened; every other error says that it did not. If
    /// the caller stops waiting, it may or may not happen.
    pub async fn commit(&self, transaction: Transaction) -> Result<CommitSequence> {
        if transaction.is_empty() {
            return Ok(transaction.reader().sequence());
        }
        let unused = commit::unused(&transaction);
        let _passes = match transaction.in_turn {
            true => Vec::new(),
            false => self.parts.turns.pass(&commit::tables(&transaction)).await,
        };
        let sequence = commit::commit(&self.parts, transaction).await?;
        for write in unused {
            self.abandon_write(write, &[]).await;
        }
        Ok(sequence)
    }

    /// Waits for the turn of a table: as long as it is held, only a transaction that says [`Transaction::in_turn`] commits
    /// to the table. To be taken before anything is read that the commit rests on.
    pub async fn take_turn(&self, relation: RelationId) -> Turn {
        self.parts.turns.take(relation).await
    }

    /// Whether an open transaction has changed rows of this data file, so that they must stay where they are.
    pub fn is_held(&self, data_file: &str) -> bool {
        self.parts.held.contains(data_file)
    }

    /// Begins a transaction of several statements on the catalog as it is now.
    pub fn begin_block(&self, principal: RoleId) -> Block {
        Block::new(self.begin(principal))
    }

    /// Makes what a statement did part of a block, for the statements after it to see. An error says that it does not
    /// fit what the block sees; the block is then as it was.
    pub async fn stage(&self, block: &mut Block, statement: Transaction) -> Result<()> {
        commit::stage(&self.parts, block, statement).await
    }

    /// Makes everything that the statements of a block did, all or none of it; errors as of [`Catalog::commit`]. Either
    /// way the block leaves no file that is not part of a table.
    pub async fn commit_block(&self, block: Block) -> Result<CommitSequence> {
        // The files stay held until the answer is there.
        let Block { made, rows: _, staging, holds: _holds } = block;
        let writes = made.write_ids();
        let answer = self.commit(made).await;
        self.discard(staging).await;
        if answer.as_ref().is_err_and(|error| error.kind != ErrorKind::OutcomeUnknown) {
            self.abandon_all(writes).await;
        }
        answer
    }

    /// Forgets a block and deletes its files.
    pub async fn roll_back(&self, block: Block) {
        let writes = block.made.write_ids();
        self.discard(block.staging).await;
        self.abandon_all(writes).await;
    }

    /// Takes a block back to a point, and deletes the files written since.
    pub async fn roll_back_to(&self, block: &mut Block, savepoint: &Savepoint) {
        let forgotten = block.back_to(savepoint);
        self.abandon_all(forgotten).await;
    }

    async fn abandon_all(&self, writes: impl IntoIterator<Item = WriteId>) {
        for write in writes {
            self.abandon_write(write, &[]).await;
        }
    }

    /// Deletes the manifests of staged versions. All of them are known, so nothing is listed.
    async fn discard(&self, staging: BTreeMap<String, Staging>) {
        for (location, Staging { write, files }) in staging {
            if let Err(error) = self.try_discard(&location, write, &files).await {
                tracing::warn!(%error, %write, "the staged files of a transaction stay until the next start");
            }
        }
    }

    async fn try_discard(&self, location: &str, write: WriteId, files: &[String]) -> Result<()> {
        for url in files {
            let file = self.parts.storage.guard().table_file(location, url)?;
            self.parts.storage.delete(&file).await?;
        }
        self.parts.change_intent(IntentChange::Remove(write)).await
    }

    pub fn storage(&self) -> &Arc<Storage> {
        &self.parts.storage
    }

    pub fn env(&self) -> &Arc<dyn Env> {
        &self.parts.env
    }

    /// URL of the folder for new tables, without a trailing slash.
    pub fn warehouse(&self) -> &str {
        &self.warehouse
    }

    /// To be called before the first file of a write: from now on, whatever happens, files below `location` whose names
    /// contain the returned id are either committed or deleted.
    pub async fn begin_write(&self, location: &str) -> Result<WriteId> {
        self.parts.begin_write(location).await
    }

    /// To be called when a write did not lead to a commit: deletes `files` and every other file of the write. If the
    /// commit did happen, or may still have, nothing is deleted, so calling this once too often does no harm. What
    /// cannot be deleted now is deleted by the next [`Catalog::sweep`].
    pub async fn abandon_write(&self, write: WriteId, files: &[String]) {
        if let Err(error) = self.try_abandon(write, files).await {
            tracing::warn!(%error, %write, "the files of a failed write stay until the next start");
        }
    }

    /// Deletes the files of writes that were under way when the process before this one ended, and returns how many.
    /// To be called once, at start.
    pub async fn sweep(&self) -> Result<usize> {
        let leftover = std::mem::take(&mut *self.leftover.lock());
        if leftover.is_empty() {
            return Ok(0);
        }
        let pointers = self.reader().pointers()?;
        let mut deleted = 0;
        for intent in leftover {
            let id = intent.write.to_string();
            if let Some(pointer) = pointers.iter().find(|pointer| pointer.metadata_location.contains(&id)) {
                tracing::error!(
                    write = id,
                    table = pointer.location,
                    "a committed write is still marked as open"
                );
                continue;
            }
            match self.clean(&intent, &[]).await {
                Ok(files) => deleted += files,
                Err(error) => {
                    tracing::warn!(%error, write = id, "the files of an unfinished write stay for now")
                }
            }
        }
        Ok(deleted)
    }

    async fn try_abandon(&self, write: WriteId, files: &[String]) -> Result<()> {
        match self.parts.change_intent(IntentChange::Abandon(write)).await {
            // The write is finished, and its files are in use or gone.
            Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
            other => other?,
        }
        let Some(row) = self.parts.store.get(Space::Intent, &keys::intent(write), CommitSequence(0))? else {
            return Ok(());
        };
        self.clean(&values::decode(&row.value)?, files).await?;
        Ok(())
    }

    /// Deletes the files that are known, then those that a listing finds, then the intent.
    async fn clean(&self, intent: &WriteIntent, files: &[String]) -> Result<usize> {
        let storage = &self.parts.storage;
        for url in files {
            storage.delete(&storage.guard().table_file(&intent.location, url)?).await?;
        }
        let folder = self.folder(&intent.location)?;
        let found = storage.delete_marked(&folder, &intent.write.to_string()).await?;
        self.parts.change_intent(IntentChange::Remove(intent.write)).await?;
        Ok(files.len() + found)
    }

    /// A table's folder: in the warehouse, or where its `LOCATION` put it.
    fn folder(&self, location: &str) -> Result<Checked> {
        let guard = self.parts.storage.guard();
        guard.own(location).or_else(|_| guard.external_location(location))
    }
}

fn read_intents(store: &dyn Store) -> Result<Vec<WriteIntent>> {
    let rows = store.scan(Space::Intent, b"", None, usize::MAX, CommitSequence(0))?;
    rows.iter()
        .map(|(_, row)| values::decode(&row.value))
        .collect::<Result<Vec<_>>>()
        .map_err(|error| Error { hint: Some("Restore the data folder from a backup.".into()), ..error })
}

#[cfg(test)]
mod tests;
