//! Transactions of several statements against the model: after every statement the block must read as if its changes had
//! been made, after a rollback to a savepoint as they were then, and its commit must come to the same as one transaction
//! with all of its changes, whatever others have committed in the meantime.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tarn_catalog::env::SeededEnv;
use tarn_catalog::{Block, Catalog, Change, ErrorKind, Result, SUPERUSER, Savepoint};

use super::world::World;
use super::{Open, WAREHOUSE, random_changes, storage};

const BLOCKS: usize = 300;

/// A block, and what it should be.
struct Staged {
    block: Block,
    view: World,
    changes: Vec<Change>,
}

/// What a block should go back to.
type Point = (Savepoint, World, usize);

#[derive(Debug, Default)]
struct Counts {
    committed: usize,
    conflicts: usize,
    refused: usize,
    back: usize,
}

fn some_changes(random: &mut StdRng, catalog: &Catalog, view: &World) -> Result<Vec<Change>> {
    let (memory, disk) = (catalog.begin(SUPERUSER), catalog.begin(SUPERUSER));
    random_changes(random, &Open { memory, disk, view: view.clone(), ended: false })
}

/// One statement of a block; most that do not fit are left out, so that blocks grow.
async fn statement(
    random: &mut StdRng,
    catalog: &Catalog,
    staged: &mut Staged,
    counts: &mut Counts,
) -> Result<()> {
    let changes = some_changes(random, catalog, &staged.view)?;
    let mut view = staged.view.clone();
    let expect = changes.iter().try_for_each(|change| view.apply(change)).and_then(|()| view.check(&changes));
    let mut made = catalog.begin_at(staged.block.reader(), SUPERUSER);
    changes.iter().cloned().for_each(|change| made.push(change));
    let answer = catalog.stage(&mut staged.block, made).await;
    assert_eq!(answer.map_err(|error| error.kind), expect, "{changes:#?}");
    match expect {
        Ok(()) => {
            staged.view = view;
            staged.changes.extend(changes);
        }
        Err(_) => counts.refused += 1,
    }
    assert_eq!(World::read(&staged.block.reader())?, staged.view);
    Ok(())
}

async fn one_block(random: &mut StdRng, catalog: &Catalog, counts: &mut Counts) -> Result<()> {
    let block = catalog.begin_block(SUPERUSER);
    let view = World::read(block.base())?;
    let mut staged = Staged { block, view, changes: Vec::new() };
    let mut points: Vec<Point> = Vec::new();
    for _ in 0..random.random_range(1..12) {
        match random.random_range(0..10) {
            0 => points.push((staged.block.savepoint(), staged.view.clone(), staged.changes.len())),
            1 if !points.is_empty() => {
                points.truncate(random.random_range(1..=points.len()));
                let (savepoint, view, count) = points.last().expect("one is left");
                catalog.roll_back_to(&mut staged.block, savepoint).await;
                staged.view = view.clone();
                staged.changes.truncate(*count);
                assert_eq!(World::read(&staged.block.reader())?, staged.view);
                counts.back += 1;
            }
            2..4 => {
                let head = World::read(&catalog.reader())?;
                let mut other = catalog.begin(SUPERUSER);
                let changes = some_changes(random, catalog, &head)?;
                changes.into_iter().for_each(|change| other.push(change));
                // Whether it fits is another test's business.
                let _ = catalog.commit(other).await;
                assert_eq!(World::read(&staged.block.reader())?, staged.view, "others are not seen");
            }
            _ => statement(random, catalog, &mut staged, counts).await?,
        }
    }
    let mut world = World::read(&catalog.reader())?;
    let changes = staged.changes;
    let expect =
        changes.iter().try_for_each(|change| world.apply(change)).and_then(|()| world.check(&changes));
    let before = World::read(&catalog.reader())?;
    let answer = catalog.commit_block(staged.block).await;
    assert_eq!(answer.map(|_| ()).map_err(|error| error.kind), expect, "{changes:#?}");
    let after = World::read(&catalog.reader())?;
    match expect {
        Ok(()) => assert_eq!(after, world),
        Err(_) => assert_eq!(after, before),
    }
    match expect {
        Ok(()) => counts.committed += usize::from(!changes.is_empty()),
        Err(ErrorKind::Conflict) => counts.conflicts += 1,
        Err(_) => {}
    }
    Ok(())
}

#[tokio::test]
async fn statements_staged_one_by_one_come_to_the_same_as_all_at_once() -> Result<()> {
    for seed in [21, 22] {
        let mut random = StdRng::seed_from_u64(seed);
        let env = Arc::new(SeededEnv::new(7));
        let catalog = Catalog::in_memory(storage()?, WAREHOUSE.into(), env)?;
        let mut counts = Counts::default();
        for _ in 0..BLOCKS {
            one_block(&mut random, &catalog, &mut counts).await?;
        }
        // A run that never met one of these would prove less than it says.
        assert!(counts.committed > 100 && counts.conflicts > 0, "seed {seed}: {counts:?}");
        assert!(counts.refused > 20 && counts.back > 20, "seed {seed}: {counts:?}");
    }
    Ok(())
}
