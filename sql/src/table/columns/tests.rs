//! The cache by itself: what stays, what goes, and what its memory does to the pool.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
use std::sync::Arc;

use super::cache::{Chunk, ChunkKey, ColumnCache};
use super::pool::YieldingPool;

const ROWS: usize = 1000;

fn key(group: usize) -> ChunkKey {
    ChunkKey { file: Arc::from("file"), group, column: 1, shape: 0 }
}

/// Somewhat more than 8,000 bytes.
fn chunk() -> Chunk {
    Chunk::new(vec![Arc::new(Int64Array::from(vec![i64::MAX; ROWS])) as ArrayRef])
}

/// Uses a chunk as a scan does: gives whether it was there.
fn scan(cache: &ColumnCache, group: usize) -> bool {
    let known = cache.use_chunk(&key(group));
    let there = known.chunk.is_some();
    if !there && known.hot {
        cache.keep(key(group), chunk());
    }
    there
}

fn pooled(bytes_max: usize, pool_bytes: usize) -> (Arc<ColumnCache>, Arc<dyn MemoryPool>) {
    let cache = ColumnCache::new(bytes_max);
    let pool: Arc<dyn MemoryPool> =
        Arc::new(YieldingPool::new(Arc::new(GreedyMemoryPool::new(pool_bytes)), &cache));
    cache.count_in(&pool);
    (cache, pool)
}

#[test]
fn a_chunk_stays_from_its_second_use_on() {
    let cache = ColumnCache::new(1 << 20);
    assert!(!scan(&cache, 0), "nothing is there at first");
    assert!(!scan(&cache, 0), "one use is not enough to be kept");
    assert!(scan(&cache, 0), "two are");
    let figures = cache.figures();
    assert_eq!((figures.chunks, figures.hits, figures.misses), (1, 1, 2));
}

#[test]
fn a_scan_of_more_than_fits_leaves_what_is_there_alone() {
    let cache = ColumnCache::new(100_000);
    let mut hits = 0;
    for round in 0..10 {
        hits = (0..30).filter(|group| scan(&cache, *group)).count();
        assert!(cache.figures().bytes <= 100_000, "round {round}: {:?}", cache.figures());
    }
    assert!(hits >= 10, "what fits is found again and again: {hits} of 30");
    assert_eq!(cache.figures().evictions, 0, "chunks of equal use do not push each other out");
}

#[test]
fn what_is_used_more_pushes_out_what_is_used_less() {
    let cache = ColumnCache::new(100_000);
    for group in (0..12).chain(0..12) {
        scan(&cache, group);
    }
    for _ in 0..5 {
        scan(&cache, 100);
    }
    assert!(scan(&cache, 100), "a hot chunk gets in");
    assert!(cache.figures().evictions >= 1);
}

#[test]
fn operators_get_the_memory_of_the_cache() {
    let (cache, pool) = pooled(1 << 20, 100_000);
    for group in (0..10).chain(0..10) {
        scan(&cache, group);
    }
    let kept = cache.figures().bytes;
    assert!(kept > 80_000 && pool.reserved() == kept, "{kept} of {}", pool.reserved());
    let operator = MemoryConsumer::new("operator").register(&pool);
    operator.try_grow(60_000).expect("the cache makes room");
    assert!(cache.figures().bytes <= 40_000, "{:?}", cache.figures());
    assert_eq!(pool.reserved(), 60_000 + cache.figures().bytes);
    operator.try_grow(60_000).expect_err("more than there is");
    assert_eq!(pool.reserved(), 60_000 + cache.figures().bytes, "what was refused is not counted");
    // The cache takes nothing that an operator has.
    for group in (20..30).chain(20..30) {
        scan(&cache, group);
    }
    assert_eq!(operator.size(), 60_000);
    assert!(pool.reserved() <= 100_000);
}

#[test]
fn shared_pages_are_counted_once_and_pages_of_short_texts_not_kept() {
    let long =
        StringViewArray::from_iter_values((0..100).map(|number| format!("a long text, number {number}")));
    let alone = Chunk::new(vec![Arc::new(long.clone())]);
    let halves = Chunk::new(vec![Arc::new(long.slice(0, 50)), Arc::new(long.slice(50, 50))]);
    let texts = cache_bytes(&alone);
    assert!(cache_bytes(&halves) < texts + texts / 4, "{} and {texts}", cache_bytes(&halves));
    let short = long.slice(0, 0);
    let kept = Chunk::new(vec![Arc::new(short)]);
    let kept = batches(&kept).pop().expect("one batch");
    assert!(kept.as_string_view().data_buffers().is_empty(), "no page stays for nothing");
    assert_eq!(kept.len(), 0);
}

/// What a cache counts for a chunk.
fn cache_bytes(chunk: &Chunk) -> usize {
    let cache = ColumnCache::new(1 << 30);
    cache.keep(key(0), Chunk::new(batches(chunk)));
    cache.figures().bytes
}

fn batches(chunk: &Chunk) -> Vec<ArrayRef> {
    (0..).map_while(|number| chunk.batch(number)).map(|batch| batch.expect("it was packed")).collect()
}
