//! Transactions of several statements and their files: what a block commits is there with all its files, and whatever is
//! taken back, by a rollback, a savepoint, a conflict or the death of the process, leaves none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{World, append, created, creation, kind, put_data, rows};
use tarn_catalog::iceberg::{Operation, RowDelta, TableWrite, Target};
use tarn_catalog::{Block, Catalog, Change, ErrorKind, Reading, RelationId, Result, SUPERUSER, Transaction};

/// A statement of the block: it reads what the block sees.
fn statement(catalog: &Catalog, block: &Block) -> Transaction {
    catalog.begin_at(block.reader(), SUPERUSER)
}

/// Writes one more file to a table, as the block sees it.
async fn write(
    catalog: &Catalog,
    block: &mut Block,
    relation: RelationId,
    operation: Operation,
) -> Result<()> {
    let base = block.reader().table(relation).await?;
    let write = catalog.begin_write(base.metadata.location()).await?;
    let added = match operation {
        Operation::Truncate => Vec::new(),
        _ => vec![put_data(catalog, &base.metadata, write, 0).await?],
    };
    let mut made = statement(catalog, block);
    let (target, name, branch) = (Target::Existing { base }, "t".into(), "main".into());
    made.write_table(TableWrite { relation, name, target, write, branch, operation, added });
    made.push(Change::FinishWrite(write));
    catalog.stage(block, made).await
}

/// What `CREATE TABLE AS` does, in a block.
async fn create(catalog: &Catalog, block: &mut Block, name: &str) -> Result<RelationId> {
    let (relation, _, made) = creation(catalog, name).await?;
    catalog.stage(block, made).await?;
    Ok(relation)
}

async fn drop_table(catalog: &Catalog, block: &mut Block, relation: RelationId) -> Result<()> {
    let mut made = statement(catalog, block);
    let found = block.reader().relation_by_id(relation)?.expect("the block has it");
    made.push(Change::DropRelation(found));
    catalog.stage(block, made).await
}

async fn rows_seen(block: &Block, relation: RelationId) -> Result<u64> {
    Ok(block.reader().table(relation).await?.pointer.row_count)
}

#[tokio::test]
async fn a_block_sees_itself_and_is_seen_when_it_commits() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let old = created(&catalog, "old").await?;
    let mut block = catalog.begin_block(SUPERUSER);
    write(&catalog, &mut block, old, Operation::Append).await?;
    write(&catalog, &mut block, old, Operation::Append).await?;
    let new = create(&catalog, &mut block, "new").await?;
    write(&catalog, &mut block, new, Operation::Append).await?;
    assert_eq!((rows_seen(&block, old).await?, rows_seen(&block, new).await?), (3, 2));
    assert_eq!(rows(&catalog, old).await?, 1);
    assert_eq!(catalog.reader().relation_by_id(new)?, None);
    let before = catalog.reader().sequence();
    let sequence = catalog.commit_block(block).await?;
    assert_eq!(sequence.0, before.0 + 1, "one commit");
    assert_eq!((rows(&catalog, old).await?, rows(&catalog, new).await?), (3, 2));
    world.check_no_orphans(&catalog).await?;
    drop(catalog);
    let catalog = world.open()?;
    assert_eq!(catalog.sweep().await?, 0);
    assert_eq!((rows(&catalog, old).await?, rows(&catalog, new).await?), (3, 2));
    Ok(())
}

#[tokio::test]
async fn what_is_rolled_back_leaves_nothing() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let old = created(&catalog, "old").await?;
    let files = world.files();
    let mut block = catalog.begin_block(SUPERUSER);
    write(&catalog, &mut block, old, Operation::Append).await?;
    let new = create(&catalog, &mut block, "new").await?;
    write(&catalog, &mut block, new, Operation::OverwriteAll).await?;
    write(&catalog, &mut block, old, Operation::Truncate).await?;
    assert_eq!((rows_seen(&block, old).await?, rows_seen(&block, new).await?), (0, 1));
    catalog.roll_back(block).await;
    assert_eq!(world.files(), files);
    assert_eq!(rows(&catalog, old).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_savepoint_takes_back_the_files_since() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let table = created(&catalog, "t").await?;
    let mut block = catalog.begin_block(SUPERUSER);
    write(&catalog, &mut block, table, Operation::Append).await?;
    let savepoint = block.savepoint();
    for _ in 0..2 {
        // The second round stages a version of the same number as the first, with other content.
        let new = create(&catalog, &mut block, "new").await?;
        write(&catalog, &mut block, table, Operation::OverwriteAll).await?;
        assert_eq!((rows_seen(&block, table).await?, rows_seen(&block, new).await?), (1, 1));
        catalog.roll_back_to(&mut block, &savepoint).await;
        assert_eq!(rows_seen(&block, table).await?, 2);
        assert_eq!(block.reader().relation_by_id(new)?, None);
    }
    write(&catalog, &mut block, table, Operation::Append).await?;
    catalog.commit_block(block).await?;
    assert_eq!(rows(&catalog, table).await?, 3);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn a_table_that_a_block_makes_and_drops_leaves_nothing() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let mut block = catalog.begin_block(SUPERUSER);
    let first = create(&catalog, &mut block, "t").await?;
    write(&catalog, &mut block, first, Operation::Append).await?;
    drop_table(&catalog, &mut block, first).await?;
    let second = create(&catalog, &mut block, "t").await?;
    catalog.commit_block(block).await?;
    assert_eq!(catalog.reader().relation_by_id(first)?, None);
    assert_eq!(rows(&catalog, second).await?, 1);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn what_a_dead_process_staged_is_swept() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let table = created(&catalog, "t").await?;
    let files = world.files();
    let mut block = catalog.begin_block(SUPERUSER);
    write(&catalog, &mut block, table, Operation::Append).await?;
    write(&catalog, &mut block, table, Operation::OverwriteAll).await?;
    create(&catalog, &mut block, "new").await?;
    assert!(world.files().len() > files.len() + 3, "there are data files and manifests");
    drop((block, catalog));
    let catalog = world.open()?;
    catalog.sweep().await?;
    assert_eq!(world.files(), files);
    Ok(())
}

/// Two blocks write the same tables; the first commit wins, and what the second may still do depends on what it did.
async fn race(second: &[Operation], expect: Option<ErrorKind>, rows_after: u64) -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let table = created(&catalog, "t").await?;
    let mut block = catalog.begin_block(SUPERUSER);
    let mut first = catalog.begin_block(SUPERUSER);
    for operation in second {
        write(&catalog, &mut block, table, operation.clone()).await?;
    }
    write(&catalog, &mut first, table, Operation::Append).await?;
    catalog.commit_block(first).await?;
    assert_eq!(kind(catalog.commit_block(block).await), expect, "{second:?}");
    assert_eq!(rows(&catalog, table).await?, rows_after, "{second:?}");
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn only_what_others_changed_is_a_conflict() -> Result<()> {
    use Operation::{Append, OverwriteAll, Truncate};
    let conflict = Some(ErrorKind::Conflict);
    race(&[Append], None, 3).await?;
    race(&[Append, Append, Append], None, 5).await?;
    race(&[OverwriteAll], conflict, 2).await?;
    race(&[Append, OverwriteAll], conflict, 2).await?;
    race(&[OverwriteAll, Append], conflict, 2).await?;
    race(&[Truncate, Append], None, 1).await
}

#[tokio::test]
async fn a_transaction_is_no_conflict_with_itself() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let table = created(&catalog, "t").await?;
    let mut block = catalog.begin_block(SUPERUSER);
    for operation in [Operation::Append, Operation::OverwriteAll, Operation::Append, Operation::OverwriteAll]
    {
        write(&catalog, &mut block, table, operation).await?;
    }
    // A file that the block itself has added goes again.
    let base = block.reader().table(table).await?;
    let snapshot = base.pointer.snapshot_id.expect("it has rows");
    let live = tarn_catalog::iceberg::live_files(catalog.storage(), &base.metadata, snapshot).await?;
    let removed = live.iter().map(|live| live.file.file_path().to_owned()).collect();
    let delta = RowDelta { removed, ..RowDelta::default() };
    write(&catalog, &mut block, table, Operation::RowDelta(delta)).await?;
    catalog.commit_block(block).await?;
    assert_eq!(rows(&catalog, table).await?, 1);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn what_was_read_must_still_be_so() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    let (read, written) = (created(&catalog, "read").await?, created(&catalog, "written").await?);
    for (others_write, expect) in [(written, None), (read, Some(ErrorKind::Conflict))] {
        let mut block = catalog.begin_block(SUPERUSER);
        block.assume_rows_unchanged(read, Reading::Current);
        write(&catalog, &mut block, written, Operation::Append).await?;
        let mut other = catalog.begin(SUPERUSER);
        other.write_table(append(&catalog, others_write).await?);
        catalog.commit(other).await?;
        assert_eq!(kind(catalog.commit_block(block).await), expect);
    }
    // Who only read is never refused.
    let mut block = catalog.begin_block(SUPERUSER);
    block.assume_rows_unchanged(read, Reading::Current);
    let mut other = catalog.begin(SUPERUSER);
    other.write_table(append(&catalog, read).await?);
    catalog.commit(other).await?;
    catalog.commit_block(block).await?;
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn a_statement_that_does_not_fit_leaves_the_block_as_it_was() -> Result<()> {
    let mut world = World::new();
    let catalog = world.open()?;
    created(&catalog, "t").await?;
    let mut block = catalog.begin_block(SUPERUSER);
    let new = create(&catalog, &mut block, "new").await?;
    for name in ["t", "new"] {
        let (_, id, made) = creation(&catalog, name).await?;
        let exists = Some(ErrorKind::AlreadyExists(tarn_catalog::ObjectKind::Relation));
        assert_eq!(kind(catalog.stage(&mut block, made).await), exists);
        catalog.abandon_write(id, &[]).await;
    }
    catalog.commit_block(block).await?;
    assert_eq!(rows(&catalog, new).await?, 1);
    world.check_no_orphans(&catalog).await
}

#[tokio::test]
async fn readers_keep_their_version_from_being_cleaned_away() -> Result<()> {
    let mut world = World::new();
    let catalog: Arc<Catalog> = world.open()?;
    let table = created(&catalog, "t").await?;
    let block = catalog.begin_block(SUPERUSER);
    let of_statement = block.reader();
    let mut other = catalog.begin(SUPERUSER);
    other.write_table(append(&catalog, table).await?);
    let sequence = catalog.commit(other).await?;
    assert!(catalog.oldest_reader() < sequence);
    catalog.roll_back(block).await;
    assert!(catalog.oldest_reader() < sequence, "a result of the block may still be read");
    drop(of_statement);
    catalog.when_unread(sequence).await;
    assert_eq!(catalog.oldest_reader(), sequence);
    assert_eq!(BTreeSet::from([rows(&catalog, table).await?]), BTreeSet::from([2]));
    Ok(())
}
