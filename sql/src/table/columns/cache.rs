//! What stays in memory: column chunks that are asked for again and again. A chunk is kept from its second use on, and
//! pushes out only chunks that are used less, so that a scan of more than fits leaves what is there alone. It must never
//! know a file.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayData, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use super::packed::{Packed, pack};

/// What the cache's memory is called in the pool.
pub(super) const CONSUMER: &str = "ColumnCache";
/// A chunk is kept when it is used for this time.
const USES_TO_STAY: u8 = 2;
/// A chunk of which only a small part is wanted each time is kept when it is used for this time.
const USES_OF_PARTS: u8 = 8;
/// Chunks whose uses are counted, at most.
const COUNTED_MAX: usize = 1 << 17;
/// Counts are halved after so many uses per chunk that is counted, so that what was hot once does not stay for ever.
const USES_PER_AGE: usize = 16;
/// Chunks that are looked at for one that is used less than a new one.
const VICTIMS_MAX: usize = 16;
/// No chunk may take more than this part of the cache.
const LARGEST_PART: usize = 8;

/// The values of one column in one row group of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey {
    /// The file's URL and what names its columns are read under.
    pub file: Arc<str>,
    pub group: usize,
    /// The column's field id.
    pub column: i32,
    /// What its values are read as: a hash of its type, which `ALTER TABLE` can change.
    pub shape: u64,
}

/// The values of a chunk in batches of equal length, the last one apart.
#[derive(Debug)]
pub(crate) struct Chunk {
    batches: Vec<Packed>,
    bytes: usize,
}

impl Chunk {
    pub fn new(batches: Vec<ArrayRef>) -> Chunk {
        let batches = pack(batches.into_iter().map(compact).collect());
        let mut seen = HashSet::new();
        let arrays = batches.iter().flat_map(Packed::arrays);
        let bytes = arrays.map(|array| own_bytes(&array.to_data(), &mut seen)).sum();
        Chunk { batches, bytes }
    }

    /// The values of one batch; None beyond the last.
    pub fn batch(&self, number: usize) -> Option<Result<ArrayRef, ArrowError>> {
        self.batches.get(number).map(Packed::unpack)
    }
}

/// Short texts lie in the views themselves; the page that they were decoded from need not stay.
fn compact(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Utf8View if values.as_string_view().total_buffer_bytes_used() == 0 => {
            Arc::new(values.as_string_view().gc())
        }
        DataType::BinaryView if values.as_binary_view().total_buffer_bytes_used() == 0 => {
            Arc::new(values.as_binary_view().gc())
        }
        _ => values,
    }
}

/// The bytes that an array keeps in memory and that were not `seen` before: batches share dictionaries.
fn own_bytes(values: &ArrayData, seen: &mut HashSet<usize>) -> usize {
    let mut own = |buffer: &Buffer| match seen.insert(buffer.data_ptr().as_ptr() as usize) {
        true => buffer.capacity(),
        false => 0,
    };
    let mut bytes: usize = values.buffers().iter().map(&mut own).sum();
    bytes += values.nulls().map_or(0, |nulls| own(nulls.buffer()));
    bytes += size_of::<ArrayData>();
    bytes + values.child_data().iter().map(|child| own_bytes(child, seen)).sum::<usize>()
}

/// What the cache holds and how it is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColumnFigures {
    pub chunks: usize,
    pub bytes: usize,
    pub bytes_max: usize,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}

/// Decoded column chunks, bounded by the bytes that they take. Their memory is counted in the pool of the operators.
pub struct ColumnCache {
    bytes_max: usize,
    hasher: RandomState,
    state: Mutex<State>,
    memory: OnceLock<MemoryReservation>,
}

#[derive(Default)]
struct State {
    chunks: HashMap<ChunkKey, Arc<Chunk>>,
    /// The keys of all chunks; the next candidate to go is in front.
    ring: VecDeque<ChunkKey>,
    /// How often chunks were used lately, those that are not kept included, by the hash of their key.
    uses: HashMap<u64, u8>,
    uses_since_halved: usize,
    figures: ColumnFigures,
}

/// What the cache knows of a chunk.
#[derive(Debug)]
pub(crate) struct Known {
    pub chunk: Option<Arc<Chunk>>,
    /// Whether it is used often enough to be kept.
    pub hot: bool,
    /// Whether it is even if each use is of a small part.
    pub hot_in_parts: bool,
}

impl ColumnCache {
    /// A cache of at most so many bytes; with 0 it keeps nothing.
    pub fn new(bytes_max: usize) -> Arc<ColumnCache> {
        let state =
            State { figures: ColumnFigures { bytes_max, ..ColumnFigures::default() }, ..State::default() };
        Arc::new(ColumnCache {
            bytes_max,
            hasher: RandomState::new(),
            state: Mutex::new(state),
            memory: OnceLock::new(),
        })
    }

    /// From now on what is kept is counted in `pool`, and what `pool` does not have is not kept.
    pub fn count_in(&self, pool: &Arc<dyn MemoryPool>) {
        // Only a second call would find it taken, and the first pool stays then.
        let _ = self.memory.set(MemoryConsumer::new(CONSUMER).register(pool));
    }

    pub(crate) fn is_off(&self) -> bool {
        self.bytes_max == 0
    }

    /// Memory for chunks that are being collected, from the same pool.
    pub(crate) fn collecting(&self) -> Option<MemoryReservation> {
        self.memory.get().map(MemoryReservation::new_empty)
    }

    /// Counts a use of a chunk and gives it, if it is there.
    pub(crate) fn use_chunk(&self, key: &ChunkKey) -> Known {
        let hash = self.hasher.hash_one(key);
        let mut state = self.state.lock();
        let uses = state.count(hash);
        let chunk = state.chunks.get(key).cloned();
        match chunk {
            Some(_) => state.figures.hits += 1,
            None => state.figures.misses += 1,
        }
        Known { chunk, hot: uses >= USES_TO_STAY, hot_in_parts: uses >= USES_OF_PARTS }
    }

    /// Keeps a chunk if there is room, or if something that is used less makes room.
    pub(crate) fn keep(&self, key: ChunkKey, chunk: Chunk) {
        let bytes = chunk.bytes;
        if bytes > self.bytes_max / LARGEST_PART || !self.make_room(&key, bytes) {
            return;
        }
        if self.memory.get().is_some_and(|memory| memory.try_grow(bytes).is_err()) {
            return;
        }
        let mut state = self.state.lock();
        if state.chunks.contains_key(&key) {
            // Another scan was faster.
            drop(state);
            self.shrink(bytes);
            return;
        }
        state.chunks.insert(key.clone(), Arc::new(chunk));
        state.ring.push_back(key);
        state.figures.bytes += bytes;
        state.figures.chunks += 1;
    }

    /// Whether there is room for so many bytes, after chunks that are used less than `key` have gone.
    fn make_room(&self, key: &ChunkKey, bytes: usize) -> bool {
        let mut freed = 0;
        let mut state = self.state.lock();
        let mine = state.uses(self.hasher.hash_one(key));
        let fits = loop {
            if state.figures.bytes + bytes <= self.bytes_max {
                break true;
            }
            let Some(victim) = state.less_used_than(mine, &self.hasher) else { break false };
            freed += state.evict(&victim);
        };
        drop(state);
        self.shrink(freed);
        fits
    }

    /// Gives at least so many bytes back to the pool, if it has them. Says how many.
    pub(super) fn give_back(&self, bytes: usize) -> usize {
        let mut freed = 0;
        let mut state = self.state.lock();
        while freed < bytes {
            let Some(key) = state.ring.pop_front() else { break };
            freed += state.evict(&key);
        }
        drop(state);
        self.shrink(freed);
        freed
    }

    fn shrink(&self, bytes: usize) {
        if let Some(memory) = self.memory.get() {
            memory.shrink(bytes);
        }
    }

    pub fn figures(&self) -> ColumnFigures {
        self.state.lock().figures
    }
}

impl State {
    fn uses(&self, hash: u64) -> u8 {
        self.uses.get(&hash).copied().unwrap_or_default()
    }

    fn count(&mut self, hash: u64) -> u8 {
        self.uses_since_halved += 1;
        if self.uses.len() >= COUNTED_MAX || self.uses_since_halved > USES_PER_AGE * self.uses.len().max(1024)
        {
            self.uses_since_halved = 0;
            self.uses.retain(|_, uses| {
                *uses /= 2;
                *uses > 0
            });
        }
        let uses = self.uses.entry(hash).or_default();
        *uses = uses.saturating_add(1);
        *uses
    }

    /// One of the next candidates to go that is used less often, if there is any.
    fn less_used_than(&mut self, uses: u8, hasher: &RandomState) -> Option<ChunkKey> {
        for _ in 0..VICTIMS_MAX.min(self.ring.len()) {
            let key = self.ring.pop_front()?;
            if self.uses(hasher.hash_one(&key)) < uses {
                return Some(key);
            }
            self.ring.push_back(key);
        }
        None
    }

    /// Drops a chunk that is no longer in the ring; gives its bytes.
    fn evict(&mut self, key: &ChunkKey) -> usize {
        let Some(chunk) = self.chunks.remove(key) else { return 0 };
        self.figures.bytes -= chunk.bytes;
        self.figures.chunks -= 1;
        self.figures.evictions += 1;
        chunk.bytes
    }
}

impl std::fmt::Debug for ColumnCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ColumnCache({:?})", self.figures())
    }
}
