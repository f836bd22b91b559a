//! Two writes that began together: which may both happen. One test per rule of `validate.rs`.

use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, NestedField, PrimitiveType, TableMetadata, Type};
use tarn_catalog::iceberg::{
    AnyFile, FileFilter, LiveFile, Operation, ReadSet, Rewrite, RowDelta, TableWrite,
};
use tarn_catalog::{Error, ErrorKind};

use crate::world::{World, delta};

const BOTH: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];

/// A table of three files, of 10, 20 and 30 rows.
async fn world(version: FormatVersion) -> World {
    let mut world = World::new(version, 9).await;
    world.append(&[(10, "eu"), (20, "us"), (30, "asia")]).await;
    world
}

async fn refused(world: &World, write: &TableWrite) -> Error {
    let error = world.produce(write).await.expect_err("it conflicts");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error:?}");
    error
}

fn serializable(deleted: &[(&str, &[u64])], filter: impl FileFilter + 'static) -> Operation {
    let Operation::RowDelta(delta) = delta(deleted, &[]) else { unreachable!("it is a row delta") };
    Operation::RowDelta(RowDelta { read: Some(ReadSet(Arc::new(filter))), ..delta })
}

#[tokio::test]
async fn other_rows_of_one_file_merge_and_the_same_rows_conflict() {
    for version in BOTH {
        let mut world = world(version).await;
        let path = world.paths().await[&10].clone();
        let base = world.table.clone();
        world.commit(&world.write(&base, delta(&[(&path, &[1, 2])], &[]))).await;
        let other = world.write(&base, delta(&[(&path, &[3])], &[]));
        let same = world.write(&base, delta(&[(&path, &[2, 4])], &[]));
        world.commit(&other).await;
        refused(&world, &same).await;
        assert_eq!(world.rows().await[&path], [0, 4, 5, 6, 7, 8, 9].into());
    }
}

#[tokio::test]
async fn a_file_that_goes_as_a_whole_must_not_have_lost_rows() {
    for version in BOTH {
        let mut world = world(version).await;
        let paths = world.paths().await;
        let base = world.table.clone();
        let copied = world.adding(world.write(&base, delta(&[], &[&paths[&10]])), &[(9, "eu")]);
        let elsewhere = world.adding(world.write(&base, delta(&[], &[&paths[&20]])), &[(19, "us")]);
        world.delete(&[(&paths[&10], &[1])]).await;
        refused(&world, &copied).await;
        world.commit(&elsewhere).await;
        let gone = world.write(&base, delta(&[(&paths[&20], &[5])], &[]));
        refused(&world, &gone).await;
        refused(&world, &elsewhere).await;
    }
}

#[tokio::test]
async fn appends_never_conflict_with_row_level_changes() {
    let mut world = world(FormatVersion::V3).await;
    let path = world.paths().await[&10].clone();
    let base = world.table.clone();
    let append = world.adding(world.write(&base, Operation::Append), &[(40, "eu")]);
    let deleting = world.write(&base, delta(&[(&path, &[0])], &[]));
    world.append(&[(50, "eu")]).await;
    world.commit(&deleting).await;
    world.commit(&append).await;
    assert_eq!(world.rows().await.values().map(|rows| rows.len()).sum::<usize>(), 59 + 40 + 50);
}

#[derive(Debug)]
struct Region(&'static str);

impl FileFilter for Region {
    fn may_match(&self, _metadata: &TableMetadata, files: &[LiveFile]) -> Vec<bool> {
        let region = |live: &LiveFile| format!("{:?}", live.file.partition()).contains(self.0);
        files.iter().map(region).collect()
    }
}

#[tokio::test]
async fn a_serializable_write_conflicts_with_rows_that_it_would_have_read() {
    let mut world = world(FormatVersion::V3).await;
    let path = world.paths().await[&10].clone();
    let base = world.table.clone();
    let everything = world.write(&base, serializable(&[(&path, &[0])], AnyFile));
    let of_asia = world.write(&base, serializable(&[(&path, &[0])], Region("asia")));
    let of_us = world.write(&base, serializable(&[(&path, &[1])], Region("us")));
    world.delete(&[(&path, &[9])]).await;
    assert!(world.produce(&everything).await.is_ok(), "nothing was added");
    world.append(&[(40, "asia")]).await;
    refused(&world, &everything).await;
    refused(&world, &of_asia).await;
    world.commit(&of_us).await;
}

/// Rows that came and were compacted since the statement read were added all the same; compaction alone adds none.
#[tokio::test]
async fn compaction_hides_no_added_rows_and_adds_none() {
    let mut world = world(FormatVersion::V3).await;
    let paths = world.paths().await;
    let base = world.table.clone();
    let reader = world.write(&base, serializable(&[(&paths[&30], &[0])], AnyFile));
    let compact = |removed: Vec<String>| Operation::Rewrite(Rewrite { removed, ..Rewrite::default() });
    let write = world.write(&world.table, compact(vec![paths[&10].clone()]));
    world.commit(&world.adding(write, &[(11, "eu")])).await;
    assert!(world.produce(&reader).await.is_ok(), "compaction changes no row");
    world.append(&[(40, "eu")]).await;
    let write = world.write(&world.table, compact(vec![world.paths().await[&40].clone()]));
    world.commit(&world.adding(write, &[(41, "eu")])).await;
    refused(&world, &reader).await;
}

#[tokio::test]
async fn compaction_conflicts_with_newer_deletes_of_its_input_only() {
    for version in BOTH {
        let mut world = world(version).await;
        let paths = world.paths().await;
        let base = world.table.clone();
        let compact =
            |path: &String| Operation::Rewrite(Rewrite { removed: vec![path.clone()], ..Rewrite::default() });
        let touched = world.adding(world.write(&base, compact(&paths[&10])), &[(10, "eu")]);
        let untouched = world.adding(world.write(&base, compact(&paths[&20])), &[(20, "us")]);
        world.delete(&[(&paths[&10], &[1])]).await;
        refused(&world, &touched).await;
        world.commit(&untouched).await;
    }
}

#[tokio::test]
async fn overwriting_conflicts_with_changes_where_it_overwrites() {
    for version in BOTH {
        let mut world = world(version).await;
        let paths = world.paths().await;
        let base = world.table.clone();
        let eu = world.adding(world.write(&base, Operation::OverwritePartitions), &[(1, "eu")]);
        let us = world.adding(world.write(&base, Operation::OverwritePartitions), &[(2, "us")]);
        let all = world.adding(world.write(&base, Operation::OverwriteAll), &[(3, "us")]);
        world.delete(&[(&paths[&10], &[1])]).await;
        refused(&world, &eu).await;
        refused(&world, &all).await;
        world.commit(&us).await;
        let truncate = world.write(&base, Operation::Truncate);
        world.commit(&truncate).await;
    }
}

#[tokio::test]
async fn a_rollback_conflicts_with_everything_but_appends() {
    let mut world = world(FormatVersion::V3).await;
    let path = world.paths().await[&10].clone();
    let first = world.table.metadata.clone();
    let reference = iceberg::spec::SnapshotReference::new(
        first.current_snapshot_id().expect("a snapshot"),
        iceberg::spec::SnapshotRetention::branch(None, None, None),
    );
    world.delete(&[(&path, &[1])]).await;
    let base = world.table.clone();
    let back = TableUpdate::SetSnapshotRef { ref_name: "main".to_string(), reference };
    let back = Operation::Update { requirements: Vec::new(), updates: vec![back] };
    world.commit(&world.write(&base, back)).await;
    let error = refused(&world, &world.write(&base, delta(&[(&path, &[2])], &[]))).await;
    assert_eq!(
        error.detail.as_deref(),
        Some("Rows that were deleted when this statement read them are back.")
    );
    refused(&world, &world.adding(world.write(&base, Operation::OverwriteAll), &[(1, "eu")])).await;
    world.commit(&world.adding(world.write(&base, Operation::Append), &[(40, "eu")])).await;
    assert_eq!(world.rows().await[&path].len(), 10);
}

/// Expiry takes away the snapshots between what was read and the head; what is live still tells.
#[tokio::test]
async fn expired_snapshots_make_no_writer_fail() {
    let mut world = world(FormatVersion::V3).await;
    let path = world.paths().await[&10].clone();
    let base = world.table.clone();
    let deleting = world.write(&base, serializable(&[(&path, &[2])], Region("asia")));
    let same = world.write(&base, delta(&[(&path, &[1])], &[]));
    world.delete(&[(&path, &[1])]).await;
    world.append(&[(40, "eu")]).await;
    world.append(&[(50, "us")]).await;
    let head = world.table.metadata.current_snapshot_id();
    let old = world.table.metadata.snapshots().map(|snapshot| snapshot.snapshot_id());
    let snapshot_ids: Vec<i64> = old.filter(|id| Some(*id) != head).collect();
    assert_eq!(snapshot_ids.len(), 3);
    let expire = vec![TableUpdate::RemoveSnapshots { snapshot_ids }];
    let expire = Operation::Update { requirements: Vec::new(), updates: expire };
    world.commit(&world.write(&world.table, expire)).await;
    refused(&world, &same).await;
    world.commit(&deleting).await;
    assert_eq!(world.rows().await[&path].len(), 8);
}

#[tokio::test]
async fn columns_that_were_added_or_renamed_do_not_conflict_with_an_append() {
    let mut world = world(FormatVersion::V2).await;
    let base = world.table.clone();
    let append = world.adding(world.write(&base, Operation::Append), &[(40, "eu")]);
    let alter = |fields: Vec<NestedField>| {
        let fields = fields.into_iter().map(Into::into);
        let schema = iceberg::spec::Schema::builder().with_fields(fields).build().expect("a schema");
        let updates =
            vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }];
        Operation::Update { requirements: Vec::new(), updates }
    };
    let long = || Type::Primitive(PrimitiveType::Long);
    let text = || Type::Primitive(PrimitiveType::String);
    let id = || NestedField::required(1, "id", long());
    let renamed = alter(vec![
        NestedField::optional(3, "price", long()),
        id(),
        NestedField::optional(2, "place", text()),
    ]);
    world.commit(&world.write(&world.table, renamed)).await;
    world.commit(&append).await;
    assert_eq!(world.files().await.data.len(), 4);

    let required = alter(vec![id(), NestedField::required(2, "place", text())]);
    let before = world.table.clone();
    world.commit(&world.write(&before, required)).await;
    let error = refused(&world, &world_append(&world, &base)).await;
    assert_eq!(error.detail.as_deref(), Some("Column \"place\" must not be null now."));
    world.table = before;
    let dropped = alter(vec![NestedField::optional(2, "place", text())]);
    world.commit(&world.write(&world.table, dropped)).await;
    refused(&world, &world_append(&world, &base)).await;
}

fn world_append(world: &World, base: &Arc<tarn_catalog::TableVersion>) -> TableWrite {
    world.adding(world.write(base, Operation::Append), &[(60, "eu")])
}

#[tokio::test]
async fn files_keep_the_partitioning_they_were_written_for() {
    let mut world = world(FormatVersion::V3).await;
    let path = world.paths().await[&10].clone();
    let base = world.table.clone();
    let append = world.adding(world.write(&base, Operation::Append), &[(40, "eu")]);
    let spec = iceberg::spec::UnboundPartitionSpec::builder().build();
    let updates = vec![TableUpdate::AddSpec { spec }, TableUpdate::SetDefaultSpec { spec_id: -1 }];
    let update = Operation::Update { requirements: Vec::new(), updates };
    world.commit(&world.write(&base, update)).await;
    world.commit(&append).await;
    world.delete(&[(&path, &[1])]).await;
    let files = world.files().await;
    assert!(files.data.iter().all(|live| live.spec_id == 0), "all are of the old spec");
    assert!(files.deletes.files().iter().all(|live| live.spec_id == 0));
    let partitions = world.adding(world.write(&base, Operation::OverwritePartitions), &[(1, "eu")]);
    refused(&world, &partitions).await;
}
