//! Thousands of random operations on three catalogs: one in memory, one on disk, and one that is nothing but maps and
//! rules written down a second time. All three must always give the same answers: to commits of transactions that
//! overlap, to reads at every old version, and after the one on disk was closed and opened.

mod blocks;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tarn_catalog::access::{Privilege, Privileges};
use tarn_catalog::env::SeededEnv;
use tarn_catalog::object::{Grant, Namespace, Relation, RelationKind, Role, Securable, TablePointer, View};
use tarn_catalog::storage::{Storage, StorageOptions};
use tarn_catalog::{
    Catalog, Change, CommitSequence, ErrorKind, LAKE, Options, PUBLIC_ROLE, RelationId, Result, RoleId,
    SUPERUSER, Transaction,
};
use world::World;

const OPERATIONS: usize = 3000;
/// Transactions open at the same time.
const OPEN_MAX: usize = 4;
/// Few names, so that they meet; some that sort and compare awkwardly.
const NAMES: [&str; 6] = ["a", "A", "ab", "b", "größe", "a b\"c"];

const WAREHOUSE: &str = "memory:///warehouse";

fn storage() -> Result<Arc<Storage>> {
    Storage::new(StorageOptions { warehouse: WAREHOUSE.into(), ..StorageOptions::default() })
}

/// The thread that wrote the last commit may hold the old catalog for a moment after it answered.
fn open(data_dir: &Path) -> Result<Arc<Catalog>> {
    for _ in 0..1000 {
        let opened = Catalog::open(Options {
            data_dir: data_dir.to_owned(),
            storage: storage()?,
            warehouse: WAREHOUSE.into(),
            env: Arc::new(SeededEnv::new(7)),
        });
        match opened {
            Err(error) if error.kind == ErrorKind::InUse => std::thread::sleep(Duration::from_millis(1)),
            opened => return opened,
        }
    }
    panic!("the folder stayed in use");
}

/// A transaction on both catalogs, with what it would see if it saw its own changes.
struct Open {
    memory: Transaction,
    disk: Transaction,
    view: World,
    /// A change did not fit what the transaction itself sees. It stays in, for the commit to judge, and is the last.
    ended: bool,
}

impl Open {
    /// Most changes that do not fit are not made, so that transactions live long enough to meet others.
    fn push(&mut self, changes: Vec<Change>, even_unfit: bool) {
        let mut view = self.view.clone();
        let unfit = changes.iter().any(|change| view.apply(change).is_err());
        if self.ended || (unfit && !even_unfit) {
            return;
        }
        self.view = view;
        self.ended = unfit;
        for change in changes {
            self.memory.push(change.clone());
            self.disk.push(change);
        }
    }
}

struct Run {
    random: StdRng,
    memory: Arc<Catalog>,
    disk: Arc<Catalog>,
    folder: tempfile::TempDir,
    /// The world after each commit; 0 is the empty catalog.
    history: Vec<World>,
    open: Vec<Open>,
    committed_ids: BTreeSet<u64>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    committed: usize,
    conflicts: usize,
    refused: usize,
    reopened: usize,
}

impl Run {
    fn new(seed: u64) -> Result<Run> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let memory = Catalog::in_memory(storage()?, WAREHOUSE.into(), Arc::new(SeededEnv::new(7)))?;
        let disk = open(folder.path())?;
        let first = World::read(&memory.reader())?;
        Ok(Run {
            random: StdRng::seed_from_u64(seed),
            memory,
            disk,
            folder,
            history: vec![World::default(), first],
            open: Vec::new(),
            committed_ids: BTreeSet::new(),
            counts: Counts::default(),
        })
    }

    fn head(&self) -> &World {
        self.history.last().expect("there is a first commit")
    }

    async fn step(&mut self) -> Result<()> {
        match self.random.random_range(0..1000) {
            0..3 => self.reopen()?,
            3..250 if self.open.len() < OPEN_MAX => self.begin(),
            250..350 => self.compare_some_version()?,
            350..550 => self.commit().await?,
            _ => self.change()?,
        }
        Ok(())
    }

    fn begin(&mut self) {
        let (memory, disk) = (self.memory.begin(SUPERUSER), self.disk.begin(SUPERUSER));
        assert_eq!(memory.reader().sequence(), disk.reader().sequence());
        self.open.push(Open { memory, disk, view: self.head().clone(), ended: false });
    }

    /// Open transactions end without a commit, as they do when a process dies.
    fn reopen(&mut self) -> Result<()> {
        self.open.clear();
        let memory = self.memory.clone();
        self.disk = memory;
        self.disk = open(self.folder.path())?;
        self.counts.reopened += 1;
        self.compare(self.history.len() - 1)
    }

    async fn commit(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let chosen = self.random.random_range(0..self.open.len());
        let transaction = self.open.swap_remove(chosen);
        let changes = transaction.memory.changes().to_vec();
        let mut world = self.head().clone();
        let expect =
            changes.iter().try_for_each(|change| world.apply(change)).and_then(|()| world.check(&changes));
        let memory = self.memory.commit(transaction.memory).await.map_err(|error| error.kind);
        let disk = self.disk.commit(transaction.disk).await;
        let (text, disk) = (format!("{disk:?}"), disk.map_err(|error| error.kind));
        assert_eq!(memory, disk, "{text} {changes:#?}");
        assert_eq!(disk.map(|_| ()), expect, "{text} {changes:#?}");
        match expect {
            Ok(()) if !changes.is_empty() => {
                self.note_ids(&changes);
                self.history.push(world);
                self.counts.committed += 1;
            }
            Ok(()) => {}
            Err(ErrorKind::Conflict) => self.counts.conflicts += 1,
            Err(_) => self.counts.refused += 1,
        }
        assert_eq!(self.disk.reader().sequence().0 as usize, self.history.len() - 1);
        Ok(())
    }

    /// An id that once was in a row is never issued again.
    fn note_ids(&mut self, changes: &[Change]) {
        for change in changes {
            let id = match change {
                Change::CreateNamespace(namespace) => namespace.id.0,
                Change::CreateRelation(relation) => relation.id.0,
                Change::CreateRole(role) => role.id.0,
                _ => continue,
            };
            assert!(self.committed_ids.insert(id), "{id} was issued twice");
        }
    }

    fn compare_some_version(&mut self) -> Result<()> {
        let version = self.random.random_range(0..self.history.len());
        self.compare(version)
    }

    fn compare(&self, version: usize) -> Result<()> {
        let at = CommitSequence(version as u64);
        for catalog in [&self.memory, &self.disk] {
            let read = World::read(&catalog.reader_at(at))?;
            assert_eq!(read, self.history[version], "at version {version}");
        }
        Ok(())
    }

    /// Adds a random change to a random open transaction.
    fn change(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let chosen = self.random.random_range(0..self.open.len());
        let open = &mut self.open[chosen];
        let changes = random_changes(&mut self.random, open)?;
        open.push(changes, self.random.random_bool(0.1));
        Ok(())
    }
}

fn name(random: &mut StdRng) -> String {
    (*NAMES.choose(random).expect("the list is not empty")).to_owned()
}

fn pick<T: Clone>(random: &mut StdRng, from: impl IntoIterator<Item = T>) -> Option<T> {
    from.into_iter().collect::<Vec<_>>().choose(random).cloned()
}

/// Ids come from the catalog on disk, because only its counter is ever set back.
fn random_changes(random: &mut StdRng, open: &Open) -> Result<Vec<Change>> {
    let kind = random.random_range(0..12);
    let role = pick(random, open.view.roles.values().cloned());
    let namespace = pick(random, open.view.namespaces.values().cloned());
    let relation = pick(random, open.view.relations.values().cloned());
    let owner = role.as_ref().map_or(SUPERUSER, |role| role.id);
    let change = match kind {
        0 => vec![Change::CreateNamespace(Namespace {
            id: open.disk.new_namespace_id()?,
            catalog: LAKE,
            name: name(random),
            owner,
            comment: None,
            properties: Default::default(),
            created_at_ms: 1,
        })],
        1 => namespace.into_iter().map(Change::DropNamespace).collect(),
        2 => namespace.map_or(Vec::new(), |before| {
            let after = Namespace { name: name(random), owner, ..before.clone() };
            vec![Change::UpdateNamespace { before, after }]
        }),
        3..6 => match namespace {
            Some(namespace) => create_relation(random, open.disk.new_relation_id()?, &namespace, owner),
            None => Vec::new(),
        },
        6 => relation.into_iter().map(Change::DropRelation).collect(),
        7 => relation.map_or(Vec::new(), |before| {
            let namespace = namespace.map_or(before.namespace, |namespace| namespace.id);
            let comment = random.random_bool(0.5).then(|| name(random));
            let after = Relation { name: name(random), namespace, owner, comment, ..before.clone() };
            vec![Change::UpdateRelation { before, after }]
        }),
        8 => relation.and_then(|relation| move_pointer(random, &open.view, &relation)).into_iter().collect(),
        9 => random_role_change(random, open)?,
        _ => random_grant(random, open, namespace, relation).into_iter().collect(),
    };
    Ok(change)
}

fn create_relation(random: &mut StdRng, id: RelationId, namespace: &Namespace, owner: RoleId) -> Vec<Change> {
    let is_table = random.random_bool(0.6);
    let view = View { sql: "SELECT 1".into(), search_path: Vec::new(), columns: Vec::new(), iceberg: None };
    let relation = Relation {
        id,
        namespace: namespace.id,
        name: name(random),
        owner,
        comment: None,
        created_at_ms: 1,
        kind: if is_table { RelationKind::Table } else { RelationKind::View(view) },
    };
    let first = pointer(random, id);
    let mut changes = vec![Change::CreateRelation(relation)];
    // Once in a while the metadata is forgotten, which the commit must refuse.
    if is_table && random.random_bool(0.95) {
        let metadata_json = bytes::Bytes::from_static(b"a copy");
        changes.push(Change::MovePointer { relation: id, before: None, after: first, metadata_json });
    }
    changes
}

fn pointer(random: &mut StdRng, relation: RelationId) -> TablePointer {
    let location = format!("{WAREHOUSE}/{relation}");
    TablePointer {
        metadata_location: format!("{location}/metadata/{}.metadata.json", random.random::<u64>()),
        location,
        uuid: uuid::Uuid::from_u128(u128::from(relation.0)),
        format_version: 2,
        snapshot_id: random.random_bool(0.5).then(|| random.random()),
        row_count: random.random(),
        bytes: random.random(),
        unsupported: None,
        constrained: random.random(),
    }
}

fn move_pointer(random: &mut StdRng, view: &World, relation: &Relation) -> Option<Change> {
    let before = Some(view.pointers.get(&relation.id)?.clone());
    let after = pointer(random, relation.id);
    let metadata_json = bytes::Bytes::from_static(b"a copy");
    Some(Change::MovePointer { relation: relation.id, before, after, metadata_json })
}

fn random_role_change(random: &mut StdRng, open: &Open) -> Result<Vec<Change>> {
    let others: Vec<Role> = open.view.roles.values().cloned().collect();
    let member_of = pick(random, others.iter().map(|role| role.id)).into_iter().collect();
    Ok(match (random.random_range(0..3), pick(random, others)) {
        (0, _) => vec![Change::CreateRole(Role {
            id: open.disk.new_role_id()?,
            name: name(random),
            superuser: false,
            login: true,
            create_role: random.random(),
            create_schema: random.random(),
            verifier: None,
            member_of,
            comment: None,
        })],
        (1, Some(before)) => {
            let after =
                Role { name: name(random), create_role: random.random(), member_of, ..before.clone() };
            vec![Change::UpdateRole { before, after }]
        }
        (_, role) => role.into_iter().map(Change::DropRole).collect(),
    })
}

fn random_grant(
    random: &mut StdRng,
    open: &Open,
    namespace: Option<Namespace>,
    relation: Option<Relation>,
) -> Option<Change> {
    let on = match (namespace, relation) {
        (_, Some(relation)) if random.random_bool(0.7) => Securable::Relation(relation.id),
        (namespace, _) => Securable::Namespace(namespace?.id),
    };
    let to = pick(random, open.view.roles.keys().copied().chain([PUBLIC_ROLE]))?;
    let privileges = Privileges::all_on(on).iter().filter(|_| random.random_bool(0.6));
    let privileges = Privileges::of(privileges.collect::<Vec<Privilege>>());
    let grantable = if random.random_bool(0.3) { privileges } else { Privileges::NONE };
    let before = open.view.grants.get(&(on, to)).cloned();
    Some(Change::SetGrant { before, after: Grant { on, to, privileges, grantable } })
}

#[tokio::test]
async fn three_catalogs_agree() -> Result<()> {
    for seed in [11, 12, 13] {
        let mut run = Run::new(seed)?;
        for _ in 0..OPERATIONS {
            run.step().await?;
        }
        for version in 0..run.history.len() {
            run.compare(version)?;
        }
        compare_logs(&run)?;
        let counts = &run.counts;
        // A run that never met one of these would prove less than it says.
        assert!(counts.committed > 100 && counts.conflicts > 5, "seed {seed}: {counts:?}");
        assert!(counts.refused > 20 && counts.reopened > 2, "seed {seed}: {counts:?}");
    }
    Ok(())
}

fn compare_logs(run: &Run) -> Result<()> {
    let read = |catalog: &Catalog| catalog.reader().log(CommitSequence(0), usize::MAX);
    let (memory, disk) = (read(&run.memory)?, read(&run.disk)?);
    assert_eq!(memory.len(), run.history.len() - 1);
    for (memory, disk) in memory.iter().zip(&disk) {
        assert_eq!((memory.sequence, memory.principal), (disk.sequence, disk.principal));
        assert_eq!(memory.changes, disk.changes);
    }
    Ok(())
}
