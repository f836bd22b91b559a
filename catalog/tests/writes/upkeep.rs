//! What expires is deleted when nobody can be reading it any more, whatever happens in between; orphans are found, and
//! nothing else is taken for one.

use iceberg::TableUpdate;
use tarn_catalog::iceberg::references;
use tarn_catalog::iceberg::upkeep::{CheckOptions, ExpireOptions, Severity, check_table, expiry};
use tarn_catalog::{MetadataChange, Reaped};

use super::*;

/// A table whose first two snapshots lead to files that the third has replaced.
async fn with_history(catalog: &Catalog) -> Result<RelationId> {
    let relation = created(catalog, "t").await?;
    for operation in [Operation::Append, Operation::OverwriteAll] {
        let write = TableWrite { operation, ..append(catalog, relation).await? };
        let mut transaction = catalog.begin(SUPERUSER);
        transaction.write_table(write);
        catalog.commit(transaction).await?;
    }
    Ok(relation)
}

/// Expires every snapshot but the newest.
async fn expire(catalog: &Catalog, relation: RelationId) -> Result<CommitSequence> {
    let base = catalog.reader().table(relation).await?;
    let options = ExpireOptions { max_age_ms: Some(0), ..ExpireOptions::default() };
    let goes = expiry(&base.metadata, &references(&base.metadata)?, &options, i64::MAX)?;
    assert_eq!(goes.snapshots.len(), 2);
    let snapshots = goes.snapshots.iter().filter_map(|id| base.metadata.snapshot_by_id(*id));
    let lists = snapshots.map(|snapshot| snapshot.manifest_list().to_owned()).collect();
    let mut transaction = catalog.begin(SUPERUSER);
    transaction.push(catalog.to_discard(&base, lists, Vec::new()));
    let updates = vec![TableUpdate::RemoveSnapshots { snapshot_ids: goes.snapshots }];
    let change =
        MetadataChange { relation, name: "t".into(), base, requirements: Vec::new(), updates, write: None };
    catalog.change_metadata(transaction, change).await
}

#[tokio::test]
async fn expired_files_wait_for_their_last_reader() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = with_history(&catalog).await?;
    let reader = catalog.reader();
    let before = world.files();
    let commit = expire(&catalog, relation).await?;
    assert_eq!(catalog.reap().await?, Reaped { files: 0, waiting: 1 });
    assert!(world.files().is_superset(&before), "somebody still reads");
    drop(reader);
    catalog.when_unread(commit).await;
    // Two data files, two manifests of their own and two lists at least.
    let reaped = catalog.reap().await?;
    assert!(reaped.files >= 6 && reaped.waiting == 0, "{reaped:?}");
    assert_eq!(catalog.discards()?, []);
    assert_eq!(rows(&catalog, relation).await?, 1);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn a_crash_before_or_amid_the_deletion_loses_nothing() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = with_history(&catalog).await?;
    let list = {
        let table = catalog.reader().table(relation).await?;
        let oldest = table.metadata.snapshots().min_by_key(|snapshot| snapshot.sequence_number());
        oldest.expect("there are snapshots").manifest_list().to_owned()
    };
    expire(&catalog, relation).await?;
    drop(catalog);
    // The process had deleted some of it: what leads to files goes last, and nothing stops at what is gone.
    let data = world.files().into_iter().find(|path| path.extension().is_some_and(|end| end == "parquet"));
    let live = {
        let catalog = world.open()?;
        let table = catalog.reader().table(relation).await?;
        let snapshot = table.metadata.current_snapshot_id().expect("a snapshot");
        let live = live_files(catalog.storage(), &table.metadata, snapshot).await?;
        live[0].file.file_path().to_owned()
    };
    let gone = data.filter(|path| format!("file://{}", path.display()) != live);
    gone.iter().for_each(|path| std::fs::remove_file(path).expect("the file can be deleted"));
    std::fs::remove_file(list.trim_start_matches("file://")).expect("the list can be deleted");

    let catalog = world.open()?;
    let reaped = catalog.reap().await?;
    assert!(reaped.files > 0 && reaped.waiting == 0, "{reaped:?}");
    assert_eq!(catalog.reap().await?, Reaped::default());
    assert!(world.files().contains(Path::new(live.trim_start_matches("file://"))));
    let table = catalog.reader().table(relation).await?;
    let problems = check_table(catalog.storage(), &table, CheckOptions::default()).await?;
    // The data of this test is no Parquet, and nothing else is wrong.
    assert!(problems.iter().all(|problem| problem.problem == "footer"), "{problems:?}");
    Ok(())
}

#[tokio::test]
async fn the_files_of_a_table_that_left_the_catalog_stay() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = with_history(&catalog).await?;
    expire(&catalog, relation).await?;
    let dropped = catalog.reader().relation_by_id(relation)?.expect("the table is there");
    let mut transaction = catalog.begin(SUPERUSER);
    transaction.push(Change::DropRelation(dropped));
    catalog.commit(transaction).await?;
    let before = world.files();
    assert_eq!(catalog.reap().await?, Reaped::default());
    assert_eq!(world.files(), before);
    assert_eq!(catalog.discards()?, []);
    Ok(())
}

#[tokio::test]
async fn only_files_that_nothing_leads_to_are_orphans() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = with_history(&catalog).await?;
    let table = catalog.reader().table(relation).await?;
    let location = table.metadata.location().trim_start_matches("file://").to_owned();
    let stray = PathBuf::from(format!("{location}/data/p=ü %41#?/stray.parquet"));
    std::fs::create_dir_all(stray.parent().expect("it has a folder")).expect("a folder");
    std::fs::write(&stray, "x").expect("a file");
    // A write that is under way, and what an expired snapshot leads to, are in use.
    let _under_way = append(&catalog, relation).await?;
    let reader = catalog.reader();
    expire(&catalog, relation).await?;
    let before = world.files();
    assert_eq!(catalog.orphans(relation, 0).await?.found, [], "all of them are younger than 1970");
    let orphans = catalog.orphans(relation, i64::MAX).await?;
    let urls: Vec<&str> = orphans.found.iter().map(|orphan| orphan.url.as_str()).collect();
    assert_eq!(urls, [format!("file://{}", stray.display())]);
    assert_eq!(catalog.delete_orphans(&table, &orphans.found).await?, (1, 1));
    let left: BTreeSet<PathBuf> = before.into_iter().filter(|path| *path != stray).collect();
    assert_eq!(world.files(), left);
    drop(reader);
    Ok(())
}

#[tokio::test]
async fn a_listing_that_lacks_files_of_the_table_finds_no_orphans() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let relation = with_history(&catalog).await?;
    let table = catalog.reader().table(relation).await?;
    let list = table.metadata.current_snapshot().expect("a snapshot").manifest_list().to_owned();
    let live = live_files(
        catalog.storage(),
        &table.metadata,
        table.metadata.current_snapshot_id().expect("a snapshot"),
    )
    .await?;
    std::fs::remove_file(live[0].file.file_path().trim_start_matches("file://")).expect("a file");
    assert_eq!(kind(catalog.orphans(relation, i64::MAX).await), Some(ErrorKind::Storage));
    let problems = check_table(catalog.storage(), &table, CheckOptions::default()).await?;
    let missing: Vec<_> = problems.iter().filter(|problem| problem.problem == "data file").collect();
    assert_eq!(missing.len(), 1, "{problems:?}");
    assert_eq!(missing[0].about, live[0].file.file_path());
    assert_eq!(missing[0].severity, Severity::Error);

    std::fs::write(list.trim_start_matches("file://"), "x").expect("a file");
    let problems = check_table(catalog.storage(), &table, CheckOptions::default()).await?;
    assert!(problems.iter().any(|problem| problem.problem == "manifest list" && problem.about == list));
    Ok(())
}
