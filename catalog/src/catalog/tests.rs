//! Opening: a damaged log is refused, a folder belongs to one process, ids and commits outlive a restart.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::change::Change;
use crate::env::SeededEnv;
use crate::id::{LAKE, PUBLIC_NAMESPACE, PUBLIC_ROLE, SUPERUSER};
use crate::object::{Namespace, Securable};
use crate::storage::StorageOptions;
use crate::store::{Batch, Head, Write};

const WAREHOUSE: &str = "memory:///warehouse";

fn storage() -> Result<Arc<Storage>> {
    Storage::new(StorageOptions { warehouse: WAREHOUSE.into(), ..StorageOptions::default() })
}

fn open(data_dir: &Path) -> Result<Arc<Catalog>> {
    let data_dir = data_dir.to_owned();
    let env = Arc::new(SeededEnv::new(1));
    Catalog::open(Options { data_dir, storage: storage()?, warehouse: WAREHOUSE.into(), env })
}

/// Opens again what was just closed: the thread that wrote the last commit may hold it for a moment longer.
fn reopen(data_dir: &Path) -> Result<Arc<Catalog>> {
    let mut opened = open(data_dir);
    for _ in 0..1000 {
        match &opened {
            Err(error) if error.kind == ErrorKind::InUse => std::thread::sleep(Duration::from_millis(1)),
            _ => break,
        }
        opened = open(data_dir);
    }
    opened
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

/// A transaction that creates a schema.
fn creation(catalog: &Catalog, name: &str) -> Result<(u64, Transaction)> {
    let mut transaction = catalog.begin(SUPERUSER);
    let id = transaction.new_namespace_id()?;
    transaction.push(Change::CreateNamespace(Namespace {
        id,
        catalog: LAKE,
        name: name.into(),
        owner: SUPERUSER,
        comment: None,
        properties: Default::default(),
        created_at_ms: 0,
    }));
    Ok((id.0, transaction))
}

#[test]
fn a_new_catalog_has_what_everybody_expects() -> Result<()> {
    let catalog = Catalog::in_memory(storage()?, WAREHOUSE.into(), Arc::new(SeededEnv::new(1)))?;
    let reader = catalog.reader();
    assert_eq!(reader.sequence(), CommitSequence(1));
    assert_eq!(reader.database("lake")?.map(|database| database.id), Some(LAKE));
    assert_eq!(reader.namespace(LAKE, "public")?.map(|namespace| namespace.id), Some(PUBLIC_NAMESPACE));
    let tarn = reader.role("tarn")?.and_then(|role| reader.principal(role.id).ok().flatten());
    assert!(tarn.is_some_and(|tarn| tarn.superuser && tarn.role == SUPERUSER));
    let grants = reader.grants_on(Securable::Namespace(PUBLIC_NAMESPACE))?;
    assert_eq!(grants.iter().map(|grant| grant.to).collect::<Vec<_>>(), [PUBLIC_ROLE]);
    Ok(())
}

#[test]
fn a_folder_belongs_to_one_process() -> Result<()> {
    let folder = folder();
    let first = open(folder.path())?;
    let second = open(folder.path());
    assert_eq!(kind(second), Some(ErrorKind::InUse));
    drop(first);
    open(folder.path())?;
    Ok(())
}

#[test]
fn an_unusable_folder_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").expect("the folder can be written to");
    let error = open(&file).expect_err("a file is not a folder");
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("file/catalog"), "{error}");
}

#[tokio::test]
async fn ids_are_never_issued_twice() -> Result<()> {
    let folder = folder();
    let mut seen = BTreeSet::new();
    for round in 0..4 {
        let catalog = reopen(folder.path())?;
        for number in 0..3 {
            let (id, transaction) = creation(&catalog, &format!("s{round}_{number}"))?;
            catalog.commit(transaction).await?;
            assert!(seen.insert(id), "{id} was issued twice");
        }
        // Dropping the newest object does not free its id.
        let newest = catalog.reader().namespace(LAKE, &format!("s{round}_2"))?.expect("it was just created");
        let mut transaction = catalog.begin(SUPERUSER);
        transaction.push(Change::DropNamespace(newest));
        catalog.commit(transaction).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_of_many_at_once_all_count() -> Result<()> {
    const TASKS: usize = 64;
    const COMMITS: usize = 20;
    let folder = folder();
    let catalog = open(folder.path())?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let mut sequences = Vec::new();
                for number in 0..COMMITS {
                    let (_, transaction) = creation(&catalog, &format!("s{task}_{number}"))?;
                    let sequence = catalog.commit(transaction).await?;
                    // Who was answered reads what it wrote.
                    assert!(catalog.reader().namespace(LAKE, &format!("s{task}_{number}"))?.is_some());
                    sequences.push(sequence);
                }
                // All tasks want this name; one gets it.
                let (_, transaction) = creation(&catalog, "the_one")?;
                let won = catalog.commit(transaction).await.is_ok();
                Ok::<_, Error>((sequences, won))
            })
        })
        .collect();
    let mut sequences = BTreeSet::new();
    let mut winners = 0;
    for task in tasks {
        let (own, won) = task.await.expect("no task panics")?;
        assert!(own.is_sorted(), "a task's commits come in its order");
        sequences.extend(own);
        winners += usize::from(won);
    }
    assert_eq!(winners, 1);
    assert_eq!(sequences.len(), TASKS * COMMITS, "no two commits share a sequence");
    let head = catalog.reader().sequence();
    drop(catalog);
    let catalog = reopen(folder.path())?;
    assert_eq!(catalog.reader().sequence(), head);
    assert_eq!(catalog.reader().namespaces(LAKE)?.len(), TASKS * COMMITS + 2);
    Ok(())
}

/// A store that does not answer as it should.
#[derive(Debug)]
struct Unwell {
    inner: Memory,
    illness: Mutex<Option<Illness>>,
}

#[derive(Debug, Clone, Copy)]
enum Illness {
    /// Writes, and says that it may not have.
    Unknown,
    /// Refuses.
    Refuses,
    /// A bug.
    Panics,
}

impl Store for Unwell {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn get(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<store::Versioned>> {
        self.inner.get(space, key, at)
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: CommitSequence,
    ) -> Result<Vec<store::Row>> {
        self.inner.scan(space, prefix, after, limit, at)
    }

    fn apply(&self, batch: Batch) -> Result<()> {
        match *self.illness.lock() {
            None => self.inner.apply(batch),
            Some(Illness::Unknown) => Err(Error::new(ErrorKind::OutcomeUnknown, "who knows")),
            Some(Illness::Refuses) => Err(Error::new(ErrorKind::Storage, "no more writes")),
            Some(Illness::Panics) => panic!("this panic is part of the test"),
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_not_taken_for_one_that_refuses() -> Result<()> {
    let store = Arc::new(Unwell { inner: Memory::new(), illness: Mutex::new(None) });
    let env = Arc::new(SeededEnv::new(1));
    let catalog = Catalog::with_store(store.clone(), storage()?, WAREHOUSE.into(), env)?;
    let cases = [
        (Illness::Unknown, ErrorKind::OutcomeUnknown),
        (Illness::Panics, ErrorKind::OutcomeUnknown),
        (Illness::Refuses, ErrorKind::Storage),
    ];
    for (illness, expect) in cases {
        *store.illness.lock() = Some(illness);
        let (_, one) = creation(&catalog, "one")?;
        let (_, two) = creation(&catalog, "two")?;
        // Refused whatever the store does, because it never gets that far.
        let (_, public) = creation(&catalog, "public")?;
        let (one, two, public) =
            tokio::join!(catalog.commit(one), catalog.commit(two), catalog.commit(public));
        assert_eq!((kind(one), kind(two)), (Some(expect), Some(expect)), "{illness:?}");
        if !matches!(illness, Illness::Panics) {
            assert_eq!(kind(public), Some(ErrorKind::AlreadyExists(crate::ObjectKind::Namespace)));
        }
        *store.illness.lock() = None;
        let (_, transaction) = creation(&catalog, &format!("after_{illness:?}"))?;
        catalog.commit(transaction).await?;
    }
    assert!(catalog.reader().namespace(LAKE, "one")?.is_none());
    Ok(())
}

/// What somebody, or a failing disk, may do to the log.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Nothing,
    FlipByte(usize),
    Remove,
    Swap,
    HeadBehind,
    HeadAhead,
    OtherHash,
}

fn harm(store: &dyn Store, damage: Damage) -> Result<()> {
    let head = store.head();
    let at = |sequence: u64| -> Result<bytes::Bytes> {
        let row = store.get(Space::Log, &keys::log(CommitSequence(sequence)), head.sequence)?;
        Ok(row.expect("the commit is in the log").value)
    };
    let write = |sequence: u64, value: Option<Vec<u8>>| Write {
        space: Space::Log,
        key: keys::log(CommitSequence(sequence)),
        value: value.map(bytes::Bytes::from),
        sequence: CommitSequence(0),
    };
    let (head, writes) = match damage {
        Damage::Nothing => (head, vec![]),
        Damage::FlipByte(place) => {
            let mut value = at(2)?.to_vec();
            let place = place % value.len();
            value[place] ^= 1;
            (head, vec![write(2, Some(value))])
        }
        Damage::Remove => (head, vec![write(2, None)]),
        Damage::Swap => (head, vec![write(2, Some(at(3)?.to_vec())), write(3, Some(at(2)?.to_vec()))]),
        Damage::HeadBehind => (Head { sequence: CommitSequence(head.sequence.0 - 1), ..head }, vec![]),
        Damage::HeadAhead => (Head { sequence: CommitSequence(head.sequence.0 + 1), ..head }, vec![]),
        Damage::OtherHash => (Head { hash: [3; 32], ..head }, vec![]),
    };
    store.apply(Batch { head, writes })
}

#[tokio::test]
async fn a_damaged_log_is_refused() -> Result<()> {
    let places = [0, 31, 32, 63, 64, 80, 120, 150].map(Damage::FlipByte);
    let others = [Damage::Remove, Damage::Swap, Damage::HeadBehind, Damage::HeadAhead, Damage::OtherHash];
    for damage in places.into_iter().chain(others).chain([Damage::Nothing]) {
        let folder = folder();
        let catalog = open(folder.path())?;
        for name in ["one", "two", "three"] {
            let (_, transaction) = creation(&catalog, name)?;
            catalog.commit(transaction).await?;
        }
        harm(catalog.parts.store.as_ref(), damage)?;
        drop(catalog);
        let expect = if matches!(damage, Damage::Nothing) { None } else { Some(ErrorKind::Corrupt) };
        assert_eq!(kind(reopen(folder.path())), expect, "{damage:?}");
    }
    Ok(())
}

/// The write-ahead log on disk, the only file that a small catalog's commits are in.
fn wal(data_dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(data_dir.join("catalog")).expect("the folder can be listed");
    let logs = files.filter_map(|file| Some(file.ok()?.path()));
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max_by_key(|path| path.metadata().map_or(0, |metadata| metadata.len())).expect("there is a log")
}

#[tokio::test]
async fn damage_amid_confirmed_commits_is_refused_and_a_torn_end_is_not() -> Result<()> {
    let folder = folder();
    let catalog = open(folder.path())?;
    for name in ["one", "two", "three"] {
        let (_, transaction) = creation(&catalog, name)?;
        catalog.commit(transaction).await?;
    }
    drop(catalog);
    drop(reopen(folder.path())?);
    let catalog = reopen(folder.path())?;
    for name in ["four", "five", "six"] {
        let (_, transaction) = creation(&catalog, name)?;
        catalog.commit(transaction).await?;
    }
    drop(catalog);
    let path = wal(folder.path());
    let whole = std::fs::read(&path).expect("the log can be read");

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&path, &flipped).expect("the log can be written");
    assert_eq!(kind(reopen(folder.path())), Some(ErrorKind::Corrupt));

    // Half a record at the end: a commit that nobody was told of.
    std::fs::write(&path, &whole[..whole.len() - 20]).expect("the log can be written");
    let catalog = reopen(folder.path())?;
    assert_eq!(catalog.reader().sequence(), CommitSequence(6));
    assert!(catalog.reader().namespace(LAKE, "five")?.is_some());
    assert!(catalog.reader().namespace(LAKE, "six")?.is_none());
    Ok(())
}
