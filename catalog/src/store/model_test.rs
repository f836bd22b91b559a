//! The stores must give the same answer to every question, whatever was written: random batches, reads at old versions,
//! scans that start anywhere, reopening of the one on disk, and rows laid over a store instead of written to it.

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{Batch, GENESIS, Head, Memory, Overlay, Rocks, Space, Store, Write};
use crate::error::Result;
use crate::id::CommitSequence;

const OPERATIONS: usize = 4000;

/// Keys of one length per space, as `keys.rs` promises, made of few and awkward bytes so that they meet often.
fn key(random: &mut StdRng) -> Vec<u8> {
    (0..3).map(|_| *[0u8, 1, 0x7f, 0xff].choose(random).expect("the list is not empty")).collect()
}

fn prefix(random: &mut StdRng) -> Vec<u8> {
    let length = random.random_range(0..=3);
    key(random)[..length].to_vec()
}

fn batch(random: &mut StdRng, head: Head) -> Batch {
    let commits = random.random_range(0..4);
    let mut writes: Vec<Write> = Vec::new();
    for commit in 1..=commits {
        for _ in 0..random.random_range(1..5) {
            let write = Write {
                space: *Space::ALL[1..].choose(random).expect("the list is not empty"),
                key: key(random),
                value: random
                    .random_bool(0.7)
                    .then(|| Bytes::from(vec![random.random(); random.random_range(0..6)])),
                sequence: CommitSequence(head.sequence.0 + commit),
            };
            writes.retain(|other| {
                (other.space, &other.key, other.sequence) != (write.space, &write.key, write.sequence)
            });
            writes.push(write);
        }
    }
    let sequence = CommitSequence(head.sequence.0 + commits);
    Batch { head: Head { sequence, hash: GENESIS, next_id: head.next_id + commits }, writes }
}

fn compare_reads(random: &mut StdRng, memory: &Memory, rocks: &Rocks) -> Result<()> {
    let space = *Space::ALL[1..].choose(random).expect("the list is not empty");
    let at = CommitSequence(random.random_range(0..=memory.head().sequence.0));
    let key = key(random);
    assert_eq!(memory.get(space, &key, at)?, rocks.get(space, &key, at)?, "{space:?} {key:?} at {at}");
    let prefix = prefix(random);
    let after = random.random_bool(0.5).then_some(key);
    let limit = random.random_range(0..20);
    assert_eq!(
        memory.scan(space, &prefix, after.as_deref(), limit, at)?,
        rocks.scan(space, &prefix, after.as_deref(), limit, at)?,
        "{space:?} {prefix:?} after {after:?} limit {limit} at {at}"
    );
    Ok(())
}

#[test]
fn both_stores_agree() -> Result<()> {
    for seed in [1, 2, 3] {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let memory = Memory::new();
        let mut rocks = Rocks::open(folder.path())?;
        for operation in 0..OPERATIONS {
            match random.random_range(0..100) {
                0 if operation % 8 == 0 => {
                    drop(rocks);
                    rocks = Rocks::open(folder.path())?;
                }
                0..10 => {
                    let batch = batch(&mut random, memory.head());
                    memory.apply(batch.clone())?;
                    rocks.apply(batch)?;
                }
                _ => compare_reads(&mut random, &memory, &rocks)?,
            }
            assert_eq!(memory.head(), rocks.head());
        }
        assert!(memory.head().sequence.0 > 100, "the run must have written something");
    }
    Ok(())
}

/// Rows laid over a store read as if they had been written to it with the next commit.
#[test]
fn rows_over_a_store_read_as_if_they_were_in_it() -> Result<()> {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let (below, whole) = (Arc::new(Memory::new()), Memory::new());
        for _ in 0..20 {
            let batch = batch(&mut random, whole.head());
            below.apply(batch.clone())?;
            whole.apply(batch)?;
        }
        let at = whole.head().sequence;
        let mut overlay = Overlay::new(below);
        let next = CommitSequence(at.0 + 1);
        for _ in 0..30 {
            let mut writes = batch(&mut random, whole.head()).writes;
            // Those spaces keep no version, and only a versioned row tells which commit it is of.
            writes.retain(|write| write.space.is_versioned());
            writes.iter_mut().for_each(|write| write.sequence = next);
            let laid = writes.iter().map(|write| ((write.space, write.key.clone()), write.value.clone()));
            overlay.lay(laid.collect(), next);
            whole.apply(Batch { head: whole.head(), writes })?;
            for _ in 0..40 {
                let space = *Space::ALL[1..].choose(&mut random).expect("the list is not empty");
                let (key, prefix) = (key(&mut random), prefix(&mut random));
                assert_eq!(overlay.get(space, &key, at)?, whole.get(space, &key, next)?, "{space:?} {key:?}");
                let after = random.random_bool(0.5).then_some(key);
                let limit = random.random_range(0..20);
                assert_eq!(
                    overlay.scan(space, &prefix, after.as_deref(), limit, at)?,
                    whole.scan(space, &prefix, after.as_deref(), limit, next)?,
                    "{space:?} {prefix:?} after {after:?} limit {limit}"
                );
            }
        }
    }
    Ok(())
}
