//! Tables and their files through the catalog: what is committed is there with all its files, what is not leaves none,
//! whether the statement failed, lost a race, or its process died.

mod block;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::{
    DataFile, FormatVersion, NestedField, PrimitiveType, Schema, Struct, TableMetadata, Type,
    UnboundPartitionSpec,
};
use tarn_catalog::env::SeededEnv;
use tarn_catalog::iceberg::{
    FileFacts, NewTable, Operation, TableWrite, Target, data_file_location, default_location, describe_file,
    live_files, new_table,
};
use tarn_catalog::object::{Relation, RelationKind};
use tarn_catalog::storage::{Storage, StorageOptions};
use tarn_catalog::{
    Catalog, Change, CommitSequence, ErrorKind, Options, PUBLIC_NAMESPACE, RelationId, Result, SUPERUSER,
    Transaction, WriteId,
};

/// A data folder that a catalog may be opened in again and again.
struct World {
    folder: tempfile::TempDir,
    seed: u64,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().expect("a temporary folder can be made"), seed: 0 }
    }

    /// The thread that wrote the last commit may hold the old catalog for a moment after it answered.
    fn open(&mut self) -> Result<Arc<Catalog>> {
        self.seed += 1;
        let warehouse = format!("file://{}/warehouse", self.folder.path().display());
        for _ in 0..1000 {
            let options = StorageOptions { warehouse: warehouse.clone(), ..StorageOptions::default() };
            let opened = Catalog::open(Options {
                data_dir: self.folder.path().to_owned(),
                storage: Storage::new(options)?,
                warehouse: warehouse.clone(),
                env: Arc::new(SeededEnv::new(self.seed)),
            });
            match opened {
                Err(error) if error.kind == ErrorKind::InUse => std::thread::sleep(Duration::from_millis(1)),
                opened => return opened,
            }
        }
        panic!("the folder stayed in use");
    }

    /// The files in the warehouse, as paths.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut open = vec![self.folder.path().join("warehouse")];
        while let Some(folder) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                if entry.path().is_dir() { open.push(entry.path()) } else { files.extend([entry.path()]) }
            }
        }
        files
    }

    /// Checks that the warehouse holds what the tables' current and earlier versions lead to, and nothing else.
    async fn check_no_orphans(&self, catalog: &Catalog) -> Result<()> {
        let mut reachable = BTreeSet::new();
        for relation in catalog.reader().relations(PUBLIC_NAMESPACE)? {
            let table = catalog.reader().table(relation.id).await?;
            let logged = table.metadata.metadata_log().iter().map(|entry| entry.metadata_file.clone());
            reachable.extend(logged.chain([table.pointer.metadata_location.clone()]));
            for snapshot in table.metadata.snapshots() {
                reachable.insert(snapshot.manifest_list().to_owned());
                let list = snapshot.manifest_list().strip_prefix("file://").expect("a local file");
                let bytes = std::fs::read(list).expect("the list can be read");
                let manifests = iceberg::spec::ManifestList::parse_with_version(&bytes, FormatVersion::V2)?;
                reachable.extend(manifests.entries().iter().map(|manifest| manifest.manifest_path.clone()));
                let live = live_files(catalog.storage(), &table.metadata, snapshot.snapshot_id()).await?;
                reachable.extend(live.iter().map(|live| live.file.file_path().to_owned()));
            }
        }
        let found = self.files().iter().map(|path| format!("file://{}", path.display())).collect();
        assert_eq!(reachable, found);
        Ok(())
    }
}

fn staged(catalog: &Catalog, name: &str) -> Result<TableMetadata> {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let uuid = catalog.env().uuid();
    let new = NewTable {
        schema: Schema::builder().with_fields([field.into()]).build()?,
        partition: UnboundPartitionSpec::builder().build(),
        order: Vec::new(),
        properties: HashMap::new(),
        location: default_location(catalog.warehouse(), "public", name, uuid),
        format_version: FormatVersion::V2,
    };
    new_table(new, uuid, catalog.env().now_ms())
}

/// Puts a file where the write's data belongs.
async fn put_data(
    catalog: &Catalog,
    metadata: &TableMetadata,
    write: WriteId,
    number: usize,
) -> Result<DataFile> {
    let location = data_file_location(metadata, write, number);
    let file = catalog.storage().guard().table_file(metadata.location(), &location)?;
    catalog.storage().put(&file, bytes::Bytes::from_static(b"rows")).await?;
    let facts = FileFacts {
        location,
        bytes: 4,
        rows: 1,
        partition: Struct::empty(),
        metrics: HashMap::new(),
        column_bytes: HashMap::new(),
        split_offsets: Vec::new(),
        sort_order_id: None,
    };
    describe_file(metadata, facts)
}

/// A transaction that creates a table with one file in it, as CTAS does.
async fn creation(catalog: &Catalog, name: &str) -> Result<(RelationId, WriteId, Transaction)> {
    let metadata = staged(catalog, name)?;
    let write = catalog.begin_write(metadata.location()).await?;
    let added = vec![put_data(catalog, &metadata, write, 0).await?];
    let mut transaction = catalog.begin(SUPERUSER);
    let relation = transaction.new_relation_id()?;
    transaction.push(Change::CreateRelation(Relation {
        id: relation,
        namespace: PUBLIC_NAMESPACE,
        name: name.into(),
        owner: SUPERUSER,
        comment: None,
        created_at_ms: 0,
        kind: RelationKind::Table,
    }));
    let target = Target::New(Box::new(metadata));
    let operation = Operation::Append;
    transaction.write_table(TableWrite {
        relation,
        name: name.into(),
        target,
        write,
        branch: "main".into(),
        operation,
        added,
    });
    Ok((relation, write, transaction))
}

/// One more file for a table.
async fn append(catalog: &Catalog, relation: RelationId) -> Result<TableWrite> {
    let base = catalog.reader().table(relation).await?;
    let write = catalog.begin_write(base.metadata.location()).await?;
    let added = vec![put_data(catalog, &base.metadata, write, 0).await?];
    let target = Target::Existing { base };
    Ok(TableWrite {
        relation,
        name: "t".into(),
        target,
        write,
        branch: "main".into(),
        operation: Operation::Append,
        added,
    })
}

async fn created(catalog: &Catalog, name: &str) -> Result<RelationId> {
    let (relation, _, transaction) = creation(catalog, name).await?;
    catalog.commit(transaction).await?;
    Ok(relation)
}

async fn rows(catalog: &Catalog, relation: RelationId) -> Result<u64> {
    Ok(catalog.reader().table(relation).await?.pointer.row_count)
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

#[tokio::test]
async fn a_committed_write_stays() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let (relation, write, transaction) = creation(&catalog, "t").await?;
    catalog.commit(transaction).await?;
    // One call too many does no harm.
    catalog.abandon_write(write, &[]).await;
    assert_eq!(rows(&catalog, relation).await?, 1);
    world.check_no_orphans(&catalog).await?;
    drop(catalog);
    let catalog = world.open()?;
    assert_eq!(catalog.sweep().await?, 0);
    assert_eq!(rows(&catalog, relation).await?, 1);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn the_end_of_a_write_may_be_said_twice() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let (_, write, mut transaction) = creation(&catalog, "t").await?;
    transaction.push(Change::FinishWrite(write));
    catalog.commit(transaction).await?;
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn an_abandoned_write_leaves_nothing_and_cannot_be_committed() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let (_, write, transaction) = creation(&catalog, "t").await?;
    assert_eq!(world.files().len(), 1);
    catalog.abandon_write(write, &[]).await;
    assert_eq!(world.files(), BTreeSet::new());
    assert_eq!(kind(catalog.commit(transaction).await), Some(ErrorKind::Conflict));
    assert_eq!(world.files(), BTreeSet::new());
    assert_eq!(catalog.reader().relations(PUBLIC_NAMESPACE)?, []);
    Ok(())
}

#[tokio::test]
async fn a_refused_commit_takes_back_its_metadata_and_can_be_given_up() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    created(&catalog, "t").await?;
    let before = world.files();
    let (_, write, transaction) = creation(&catalog, "t").await?;
    assert_eq!(
        kind(catalog.commit(transaction).await),
        Some(ErrorKind::AlreadyExists(tarn_catalog::ObjectKind::Relation))
    );
    assert_eq!(world.files().difference(&before).count(), 1, "only the data file is left");
    catalog.abandon_write(write, &[]).await;
    assert_eq!(world.files(), before);
    Ok(())
}

#[tokio::test]
async fn what_a_dead_process_wrote_is_swept() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = created(&catalog, "t").await?;
    // One write to a new table and one to an old one are under way, with files that only their names give away.
    let (_, orphan, _) = creation(&catalog, "never").await?;
    append(&catalog, relation).await?;
    drop(catalog);

    let catalog = world.open()?;
    // A write of the new process is none of the sweep's business.
    let (current, _, transaction) = creation(&catalog, "now").await?;
    assert_eq!(catalog.sweep().await?, 2);
    catalog.commit(transaction).await?;
    assert_eq!((rows(&catalog, relation).await?, rows(&catalog, current).await?), (1, 1));
    world.check_no_orphans(&catalog).await?;
    assert!(!folder_of(&world, orphan));
    drop(catalog);
    assert_eq!(world.open()?.sweep().await?, 0);
    Ok(())
}

/// Whether any file or folder is left whose name has to do with the write's table.
fn folder_of(world: &World, write: WriteId) -> bool {
    let tables =
        std::fs::read_dir(world.folder.path().join("warehouse/public")).expect("the schema has a folder");
    let names: Vec<String> =
        tables.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.iter().any(|name| name.contains("never") || name.contains(&write.to_string()))
}

#[tokio::test]
async fn several_tables_change_together_or_not_at_all() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let (one, two) = (created(&catalog, "one").await?, created(&catalog, "two").await?);
    let mut transaction = catalog.begin(SUPERUSER);
    // Twice the same table: the second write builds on the first.
    for relation in [one, two, one] {
        transaction.write_table(append(&catalog, relation).await?);
    }
    let sequence = catalog.commit(transaction).await?;
    assert_eq!((rows(&catalog, one).await?, rows(&catalog, two).await?), (3, 2));
    let before = catalog.reader_at(CommitSequence(sequence.0 - 1));
    assert_eq!(before.table(one).await?.pointer.row_count, 1);

    let mut transaction = catalog.begin(SUPERUSER);
    let writes = [append(&catalog, one).await?, append(&catalog, two).await?];
    let ids = writes.each_ref().map(|write| write.write);
    writes.into_iter().for_each(|write| transaction.write_table(write));
    let dropped = catalog.reader().relation_by_id(two)?.expect("it is there");
    let mut drop_two = catalog.begin(SUPERUSER);
    drop_two.push(Change::DropRelation(dropped));
    catalog.commit(drop_two).await?;
    assert_eq!(kind(catalog.commit(transaction).await), Some(ErrorKind::Conflict));
    assert_eq!(rows(&catalog, one).await?, 3);
    for id in ids {
        catalog.abandon_write(id, &[]).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_of_many_at_once_all_land() -> Result<()> {
    const WRITERS: u64 = 8;
    const APPENDS: u64 = 5;
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = created(&catalog, "t").await?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                for _ in 0..APPENDS {
                    let mut transaction = catalog.begin(SUPERUSER);
                    transaction.write_table(append(&catalog, relation).await?);
                    catalog.commit(transaction).await?;
                }
                Ok::<_, tarn_catalog::Error>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no writer panics")?;
    }
    let table = catalog.reader().table(relation).await?;
    assert_eq!(table.pointer.row_count, 1 + WRITERS * APPENDS);
    // Those that waited for each other share one.
    assert!(table.metadata.snapshots().count() as u64 <= 1 + WRITERS * APPENDS);
    let live =
        live_files(catalog.storage(), &table.metadata, table.pointer.snapshot_id.expect("it has rows"))
            .await?;
    assert_eq!(live.len() as u64, 1 + WRITERS * APPENDS);
    Ok(())
}

#[tokio::test]
async fn old_versions_stay_readable_when_their_copies_are_gone() -> Result<()> {
    const VERSIONS: u64 = 12;
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = created(&catalog, "t").await?;
    let first = catalog.reader();
    let mut readers = vec![first];
    for _ in 1..VERSIONS {
        let mut transaction = catalog.begin(SUPERUSER);
        transaction.write_table(append(&catalog, relation).await?);
        catalog.commit(transaction).await?;
        readers.push(catalog.reader());
    }
    let sequences: Vec<CommitSequence> = readers.iter().map(|reader| reader.sequence()).collect();
    drop((catalog, readers));
    // A new process remembers nothing: the newest versions come from the catalog, the others from their files.
    let catalog = world.open()?;
    for (number, sequence) in sequences.into_iter().enumerate() {
        let table = catalog.reader_at(sequence).table(relation).await?;
        assert_eq!(table.pointer.row_count, number as u64 + 1);
        assert_eq!(table.metadata.snapshots().count(), number + 1);
    }
    // Without its file, a version whose copy was kept is still there, and an old one is not.
    for path in world.files().iter().filter(|path| is_metadata(path)) {
        std::fs::remove_file(path).expect("the file can be removed");
    }
    drop(catalog);
    let catalog = world.open()?;
    assert_eq!(catalog.reader().table(relation).await?.pointer.row_count, VERSIONS);
    let oldest = catalog.reader_at(CommitSequence(2)).table(relation).await;
    assert_eq!(kind(oldest), Some(ErrorKind::NotFound(tarn_catalog::ObjectKind::File)));
    Ok(())
}

fn is_metadata(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".metadata.json")
}

/// Appends that wait for each other become one snapshot, and one that cannot be made takes no other with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_wait_are_folded_and_only_the_guilty_one_fails() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = created(&catalog, "t").await?;
    let mut transactions = Vec::new();
    for _ in 0..40 {
        let write = append(&catalog, relation).await?;
        let mut transaction = catalog.begin(SUPERUSER);
        transaction.write_table(write);
        transactions.push(transaction);
    }
    let given_up = transactions[20].table_writes().next().expect("a write").write;
    catalog.abandon_write(given_up, &[]).await;
    let commits = transactions.into_iter().map(|transaction| {
        let catalog = catalog.clone();
        tokio::spawn(async move { catalog.commit(transaction).await })
    });
    let mut failed = Vec::new();
    for commit in commits.collect::<Vec<_>>() {
        failed.extend(kind(commit.await.expect("the task ends")));
    }
    assert_eq!(failed, [ErrorKind::Conflict]);
    assert_eq!(rows(&catalog, relation).await?, 1 + 39);
    world.check_no_orphans(&catalog).await?;

    let mut commits = Vec::new();
    for _ in 0..40 {
        let write = append(&catalog, relation).await?;
        let mut transaction = catalog.begin(SUPERUSER);
        transaction.write_table(write);
        let catalog = catalog.clone();
        commits.push(async move { catalog.commit(transaction).await });
    }
    let before = catalog.reader().table(relation).await?.metadata.snapshots().len();
    for committed in futures::future::join_all(commits).await {
        committed?;
    }
    assert_eq!(rows(&catalog, relation).await?, 1 + 39 + 40);
    let snapshots = catalog.reader().table(relation).await?.metadata.snapshots().len() - before;
    assert!(snapshots <= 2, "{snapshots} snapshots for 40 appends at once");
    world.check_no_orphans(&catalog).await
}
