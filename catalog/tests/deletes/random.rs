//! Random programs of appends, row-level changes, overwrites and compaction against a model that is a map of rows. Every
//! other write rests on an older version than the head, so that merging and conflicts are met too.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{FormatVersion, Operation as SnapshotOperation};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use roaring::RoaringTreemap;
use tarn_catalog::iceberg::{Operation, Rewrite, RowDelta, TableWrite};
use tarn_catalog::{ErrorKind, TableVersion};

use crate::world::{Rows, World};

const REGIONS: [&str; 3] = ["eu", "us", "asia"];
const STEPS: usize = 60;

#[tokio::test]
async fn random_programs_agree_with_a_model() {
    for seed in 0..6 {
        for version in [FormatVersion::V2, FormatVersion::V3] {
            run(seed, version).await;
        }
    }
}

async fn run(seed: u64, version: FormatVersion) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(version, seed).await;
    let mut model = Rows::new();
    let mut bases: Vec<(Arc<TableVersion>, Rows)> = Vec::new();
    let mut committed = 0;
    for step in 0..STEPS {
        bases.push((world.table.clone(), model.clone()));
        let oldest = bases.len().saturating_sub(3);
        let (base, seen) = bases[oldest..].choose(&mut random).expect("a version").clone();
        let (write, after) = choose(&mut random, &world, &base, &seen, &model);
        let result = world.try_commit(&write).await;
        match (result, after) {
            (Ok(()), Some(after)) => {
                model = after;
                committed += 1;
            }
            (Err(error), None) => assert_eq!(error.kind, ErrorKind::Conflict, "{error:?}"),
            (Ok(()), None) => panic!("seed {seed} step {step}: {:?} did not conflict", write.operation),
            (Err(error), Some(_)) => panic!("seed {seed} step {step}: {:?}: {error:?}", write.operation),
        }
        check(&world, &model, &format!("seed {seed} step {step} of {version}: {:?}", write.operation)).await;
    }
    assert!(committed > STEPS / 3, "{committed} of {STEPS} steps succeeded");
}

/// The table has the model's rows, and its summary the right totals.
async fn check(world: &World, model: &Rows, context: &str) {
    assert_eq!(&world.rows().await, model, "{context}");
    if world.table.metadata.current_snapshot().is_none() {
        return;
    }
    let files = world.files().await;
    let records: u64 = files.data.iter().map(|live| live.file.record_count()).sum();
    let deletes: u64 = files.deletes.files().iter().map(|live| live.file.record_count()).sum();
    assert_eq!(world.figure("total-records"), records, "{context}");
    assert_eq!(world.figure("total-data-files"), files.data.len() as u64, "{context}");
    assert_eq!(world.figure("total-delete-files"), files.deletes.files().len() as u64, "{context}");
    assert_eq!(world.figure("total-position-deletes"), deletes, "{context}");
    let live: usize = model.values().map(|rows| rows.len()).sum();
    assert_eq!(records - deletes, live as u64, "{context}: no row is named twice");
}

/// A write that rests on `seen`, and the rows after it on top of `now`, or none when it must conflict.
fn choose(
    random: &mut StdRng,
    world: &World,
    base: &Arc<TableVersion>,
    seen: &Rows,
    now: &Rows,
) -> (TableWrite, Option<Rows>) {
    let write = |operation| world.write(base, operation);
    let files: Vec<(u64, &str)> = (0..random.random_range(1..3))
        .map(|_| (random.random_range(1..40), *REGIONS.choose(random).expect("a region")))
        .collect();
    match random.random_range(0..20) {
        0..6 => {
            let write = world.adding(write(Operation::Append), &files);
            let after = with(now.clone(), &write);
            (write, Some(after))
        }
        6 => (write(Operation::Truncate), Some(Rows::new())),
        7 => {
            let write = world.adding(write(Operation::OverwriteAll), &files);
            let newer = world
                .table
                .metadata
                .snapshots()
                .filter(|snapshot| snapshot.sequence_number() > base.metadata.last_sequence_number());
            let same =
                newer.into_iter().all(|snapshot| snapshot.summary().operation == SnapshotOperation::Replace);
            let after = same.then(|| with(Rows::new(), &write));
            (write, after)
        }
        8..10 => compaction(random, world, base, seen, now),
        _ => row_delta(random, world, base, seen, now, &files),
    }
}

fn row_delta(
    random: &mut StdRng,
    world: &World,
    base: &Arc<TableVersion>,
    seen: &Rows,
    now: &Rows,
    files: &[(u64, &str)],
) -> (TableWrite, Option<Rows>) {
    let mut delta = RowDelta::default();
    let mut after = Some(now.clone());
    for (path, rows) in seen {
        let leave = |after: &mut Option<Rows>, mine: &dyn Fn(u64) -> bool, whole: bool| {
            let live = now.get(path);
            let lost = |row: &u64| mine(*row) && live.is_none_or(|live| !live.contains(row));
            if live.is_none() || rows.iter().any(lost) {
                *after = None;
            }
            if let Some(after) = after {
                let left = after.get_mut(path);
                if let Some(left) = left {
                    left.retain(|row| !mine(*row));
                    if whole || left.is_empty() {
                        after.remove(path);
                    }
                }
            }
        };
        match random.random_range(0..5) {
            0 => {
                delta.removed.push(path.clone());
                leave(&mut after, &|_| true, true);
            }
            1 | 2 if !rows.is_empty() => {
                let mine: RoaringTreemap = rows.iter().copied().filter(|_| random.random_bool(0.3)).collect();
                if !mine.is_empty() {
                    leave(&mut after, &|row| mine.contains(row), false);
                    delta.deleted.insert(path.clone(), mine);
                }
            }
            _ => {}
        }
    }
    let write = world.write(base, Operation::RowDelta(delta));
    let write = if random.random_bool(0.5) { world.adding(write, files) } else { write };
    let after = after.map(|after| with(after, &write));
    (write, after)
}

/// Rewrites some files without their deleted rows.
fn compaction(
    random: &mut StdRng,
    world: &World,
    base: &Arc<TableVersion>,
    seen: &Rows,
    now: &Rows,
) -> (TableWrite, Option<Rows>) {
    let removed: Vec<String> = seen.keys().filter(|_| random.random_bool(0.4)).cloned().collect();
    let rows: u64 = removed.iter().map(|path| seen[path].len() as u64).sum();
    let unchanged = removed.iter().all(|path| now.get(path) == Some(&seen[path]));
    let rewrite = Rewrite { removed: removed.clone(), ..Rewrite::default() };
    let write = world.write(base, Operation::Rewrite(rewrite));
    let write = if rows > 0 { world.adding(write, &[(rows, "eu")]) } else { write };
    let mut after: BTreeMap<_, _> = now.clone();
    removed.iter().for_each(|path| drop(after.remove(path)));
    let after = unchanged.then(|| with(after, &write));
    (write, after)
}

fn with(mut rows: Rows, write: &TableWrite) -> Rows {
    let added =
        write.added.iter().map(|file| (file.file_path().to_string(), (0..file.record_count()).collect()));
    rows.extend(added);
    rows
}
