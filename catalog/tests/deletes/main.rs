//! Row-level deletes from the outside: what a commit writes, what is read of it, and which writes of two that began
//! together may both happen.

mod conflicts;
mod damaged;
mod random;
mod world;

use iceberg::TableUpdate;
use iceberg::spec::{DataContentType, DataFileFormat, FormatVersion, Operation as SnapshotOperation};
use roaring::RoaringTreemap;
use tarn_catalog::iceberg::{LiveFile, Operation, Rewrite};
use world::{World, delta};

fn operation(world: &World) -> SnapshotOperation {
    world.table.metadata.current_snapshot().expect("a snapshot").summary().operation.clone()
}

/// The only delete file of a table.
async fn only_delete(world: &World) -> LiveFile {
    let files = world.files().await;
    let [live] = files.deletes.files() else { panic!("{} delete files", files.deletes.files().len()) };
    live.clone()
}

#[tokio::test]
async fn version_3_writes_one_deletion_vector_per_data_file() {
    let mut world = World::new(FormatVersion::V3, 1).await;
    world.append(&[(10, "eu"), (20, "us")]).await;
    let paths = world.paths().await;
    world.delete(&[(&paths[&10], &[1, 3]), (&paths[&20], &[0])]).await;
    assert_eq!(operation(&world), SnapshotOperation::Delete);
    let rows = world.rows().await;
    assert_eq!(rows[&paths[&10]].len(), 8);
    assert!(!rows[&paths[&10]].contains(&3) && !rows[&paths[&20]].contains(&0));
    let files = world.files().await;
    let places: Vec<_> = files
        .deletes
        .files()
        .iter()
        .map(|live| (live.file.file_path().to_string(), live.file.content_offset()))
        .collect();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0].0, places[1].0, "one Puffin file per commit");
    assert_ne!(places[0].1, places[1].1);

    world.delete(&[(&paths[&10], &[4])]).await;
    assert_eq!(world.files().await.deletes.files().len(), 2, "the vector takes the place of the one before");
    assert_eq!(world.rows().await[&paths[&10]], [0, 2, 5, 6, 7, 8, 9].into());
    for (name, expected) in [
        ("total-delete-files", 2),
        ("total-position-deletes", 4),
        ("total-records", 30),
        ("added-dvs", 1),
        ("removed-dvs", 1),
        ("added-position-deletes", 3),
        ("removed-position-deletes", 2),
        ("added-delete-files", 1),
        ("removed-delete-files", 1),
    ] {
        assert_eq!(world.figure(name), expected, "{name}");
    }
    assert_eq!(world.table.pointer.row_count, 26);
}

/// The bytes on disk against the specification, without our own decoder.
#[tokio::test]
async fn a_deletion_vector_has_the_layout_of_the_specification() {
    let mut world = World::new(FormatVersion::V3, 2).await;
    world.append(&[(10, "eu")]).await;
    let path = world.paths().await[&10].clone();
    world.delete(&[(&path, &[1, 3])]).await;
    let live = only_delete(&world).await;
    let file = &live.file;
    assert_eq!(file.content_type(), DataContentType::PositionDeletes);
    assert_eq!(file.file_format(), DataFileFormat::Puffin);
    assert_eq!(file.referenced_data_file().as_deref(), Some(path.as_str()));
    assert_eq!(file.record_count(), 2);
    let bytes = world.storage.get(&world.checked(file.file_path())).await.expect("the file");
    assert_eq!(bytes.len() as u64, file.file_size_in_bytes());
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PFA1"[..], &b"PFA1"[..]));
    let offset = file.content_offset().expect("an offset") as usize;
    let size = file.content_size_in_bytes().expect("a size") as usize;
    let blob = &bytes[offset..offset + size];
    let (length, rest) = blob.split_at(4);
    let (content, checksum) = rest.split_at(rest.len() - 4);
    assert_eq!(u32::from_be_bytes(length.try_into().expect("4 bytes")) as usize, content.len());
    assert_eq!(u32::from_be_bytes(checksum.try_into().expect("4 bytes")), crc32fast::hash(content));
    assert_eq!(content[..4], [0xD1, 0xD3, 0x39, 0x64]);
    let rows = RoaringTreemap::deserialize_from(&content[4..]).expect("the bitmaps");
    assert_eq!(rows.iter().collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test]
async fn version_2_keeps_one_position_delete_file_per_data_file() {
    let mut world = World::new(FormatVersion::V2, 3).await;
    world.append(&[(10, "eu"), (20, "us")]).await;
    let paths = world.paths().await;
    world.delete(&[(&paths[&10], &[7])]).await;
    world.delete(&[(&paths[&10], &[2])]).await;
    let live = only_delete(&world).await;
    assert_eq!(live.file.file_format(), DataFileFormat::Parquet);
    assert_eq!(
        live.file.partition(),
        world
            .files()
            .await
            .data
            .iter()
            .find(|data| data.file.record_count() == 10)
            .expect("it")
            .file
            .partition()
    );
    assert_eq!(
        live.file.lower_bounds(),
        &std::collections::HashMap::from([
            (i32::MAX - 101, iceberg::spec::Datum::string(&paths[&10])),
            (i32::MAX - 102, iceberg::spec::Datum::long(2)),
        ])
    );
    assert_eq!(world.rows().await[&paths[&10]], [0, 1, 3, 4, 5, 6, 8, 9].into());
    assert_eq!((world.figure("total-delete-files"), world.figure("total-position-deletes")), (1, 2));
    assert_eq!(world.figure("added-position-delete-files"), 1);
    assert_eq!(world.figure("added-dvs"), 0);
}

#[tokio::test]
async fn a_file_of_which_no_row_is_left_goes_with_its_deletes() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let mut world = World::new(version, 4).await;
        world.append(&[(3, "eu"), (5, "us")]).await;
        let paths = world.paths().await;
        world.delete(&[(&paths[&3], &[0]), (&paths[&5], &[0])]).await;
        world.delete(&[(&paths[&3], &[1, 2])]).await;
        assert_eq!(world.paths().await.into_keys().collect::<Vec<_>>(), [5]);
        assert_eq!(only_delete(&world).await.file.referenced_data_file().as_ref(), Some(&paths[&5]));
        assert_eq!(world.figure("total-records"), 5);
        let replaced = world.write(&world.table, delta(&[], &[&paths[&5]]));
        let replaced = world.adding(replaced, &[(4, "us")]);
        world.commit(&replaced).await;
        assert_eq!(operation(&world), SnapshotOperation::Overwrite);
        assert!(world.files().await.deletes.is_empty());
        assert_eq!((world.figure("total-delete-files"), world.figure("total-records")), (0, 4));
    }
}

#[tokio::test]
async fn overwriting_and_truncating_take_the_deletes_along() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let mut world = World::new(version, 5).await;
        world.append(&[(3, "eu"), (5, "us")]).await;
        let paths = world.paths().await;
        world.delete(&[(&paths[&3], &[0]), (&paths[&5], &[0])]).await;
        let write = world.write(&world.table, Operation::OverwritePartitions);
        world.commit(&world.adding(write, &[(7, "eu")])).await;
        assert_eq!(only_delete(&world).await.file.referenced_data_file().as_ref(), Some(&paths[&5]));
        assert_eq!(world.rows().await.values().map(|rows| rows.len()).sum::<usize>(), 7 + 4);
        let truncate = world.write(&world.table, Operation::Truncate);
        world.commit(&truncate).await;
        assert!(world.files().await.deletes.is_empty() && world.files().await.data.is_empty());
        assert_eq!((world.figure("total-delete-files"), world.figure("total-position-deletes")), (0, 0));
        assert_eq!(world.figure("total-files-size"), 0);
    }
}

/// A table of version 2 with position deletes is upgraded: its first deletion vector takes them over.
#[tokio::test]
async fn deletes_survive_the_upgrade_to_version_3() {
    let mut world = World::new(FormatVersion::V2, 6).await;
    world.append(&[(10, "eu"), (20, "us")]).await;
    let paths = world.paths().await;
    world.delete(&[(&paths[&10], &[1]), (&paths[&20], &[1])]).await;
    let updates = vec![TableUpdate::UpgradeFormatVersion { format_version: FormatVersion::V3 }];
    let upgrade = world.write(&world.table, Operation::Update { requirements: Vec::new(), updates });
    world.commit(&upgrade).await;
    let before = world.rows().await;
    assert_eq!(before[&paths[&10]].len(), 9);
    world.delete(&[(&paths[&10], &[2])]).await;
    assert_eq!(world.rows().await[&paths[&10]], [0, 3, 4, 5, 6, 7, 8, 9].into());
    assert_eq!(world.rows().await[&paths[&20]], before[&paths[&20]]);
    let formats: Vec<_> =
        world.files().await.deletes.files().iter().map(|live| live.file.file_format()).collect();
    assert_eq!(formats.len(), 2, "{formats:?}");
    let merge = Rewrite { merged_deletes: vec![paths[&20].clone()], ..Rewrite::default() };
    let merge = world.write(&world.table, Operation::Rewrite(merge));
    world.commit(&merge).await;
    assert_eq!(operation(&world), SnapshotOperation::Replace);
    assert!(
        world
            .files()
            .await
            .deletes
            .files()
            .iter()
            .all(|live| live.file.file_format() == DataFileFormat::Puffin)
    );
    assert_eq!(world.rows().await[&paths[&20]], before[&paths[&20]]);
    assert!(world.files().await.data.iter().all(|live| live.first_row_id.is_some()));
}

#[tokio::test]
async fn compaction_keeps_the_rows_and_their_sequence_number() {
    let mut world = World::new(FormatVersion::V3, 7).await;
    world.append(&[(3, "eu"), (5, "eu")]).await;
    let paths = world.paths().await;
    world.delete(&[(&paths[&3], &[0])]).await;
    let removed = vec![paths[&3].clone(), paths[&5].clone()];
    let rewrite = Rewrite { removed, data_sequence_number: Some(1), ..Rewrite::default() };
    let write = world.write(&world.table, Operation::Rewrite(rewrite));
    world.commit(&world.adding(write, &[(7, "eu")])).await;
    let files = world.files().await;
    assert!(files.deletes.is_empty());
    let [file] = files.data.as_slice() else { panic!("{} files", files.data.len()) };
    assert_eq!((file.sequence_number, file.file_sequence_number), (1, 3));
    assert_eq!((world.figure("total-records"), world.figure("total-delete-files")), (7, 0));
}

#[tokio::test]
async fn a_branch_has_its_own_rows() {
    use iceberg::spec::{SnapshotReference, SnapshotRetention};
    let mut world = World::new(FormatVersion::V3, 8).await;
    world.append(&[(10, "eu")]).await;
    let path = world.paths().await[&10].clone();
    let snapshot_id = world.table.metadata.current_snapshot_id().expect("a snapshot");
    let retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    };
    let reference = SnapshotReference { snapshot_id, retention };
    let tag = SnapshotReference { snapshot_id, retention: SnapshotRetention::Tag { max_ref_age_ms: None } };
    let updates = [("b", reference), ("t", tag)]
        .map(|(name, reference)| TableUpdate::SetSnapshotRef { ref_name: name.to_string(), reference });
    let update = Operation::Update { requirements: Vec::new(), updates: updates.to_vec() };
    world.commit(&world.write(&world.table, update)).await;
    let mut write = world.write(&world.table, delta(&[(&path, &[0])], &[]));
    for (branch, message) in [("none", "does not exist"), ("t", "is a tag")] {
        write.branch = branch.to_string();
        let refused = world.produce(&write).await.expect_err("it is no branch");
        assert!(refused.message.contains(message), "{}", refused.message);
    }
    write.branch = "b".to_string();
    let write = world.adding(write, &[(4, "us")]);
    world.commit(&write).await;
    let metadata = world.table.metadata.clone();
    assert_eq!(metadata.current_snapshot_id(), Some(snapshot_id), "main stays where it is");
    assert_eq!(world.rows().await[&path].len(), 10);
    let branch = metadata.snapshot_for_ref("b").expect("the branch").clone();
    assert_eq!(branch.parent_snapshot_id(), Some(snapshot_id));
    let files = tarn_catalog::iceberg::snapshot_files(&world.storage, &metadata, branch.snapshot_id()).await;
    let files = files.expect("its files");
    assert_eq!((files.data.len(), files.deletes.files().len()), (2, 1));
    world.append(&[(5, "asia")]).await;
    let metadata = &world.table.metadata;
    assert_eq!(metadata.current_snapshot().and_then(|main| main.parent_snapshot_id()), Some(snapshot_id));
    assert_eq!(world.figure("total-records"), 15, "main's totals are those of main");
}
