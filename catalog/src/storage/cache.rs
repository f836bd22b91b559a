//! A cache of decoded immutable files, bounded by the bytes its entries really take (trap T10).
//!
//! Iceberg never changes a metadata file once it is written, so entries are never stale and the key is the file's URL
//! with whatever else its decoded form depends on. It must never hold a file that can change.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

type Value = Arc<dyn Any + Send + Sync>;

/// How the keys of each kind of entry begin, and what the kind is called; the last stands for all others.
const KINDS: [(&str, &str); 7] = [
    ("footer of ", "footers"),
    ("manifest list of ", "manifest_lists"),
    ("manifest of ", "manifests"),
    ("position deletes of ", "deletes"),
    ("deletion vector of ", "deletion_vectors"),
    ("equality deletes of ", "equality_deletes"),
    ("", "other"),
];

/// What a cache holds and how it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFigures {
    /// By kind of entry.
    pub bytes: [(&'static str, usize); 7],
    pub bytes_max: usize,
    pub hits: u64,
    pub misses: u64,
}

/// A least-recently-used cache whose weight is bytes.
pub struct DecodedCache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bytes: usize,
    hits: u64,
    misses: u64,
    /// Rises with every use, so that the smallest is the least recently used.
    clock: u64,
    entries: HashMap<String, Entry>,
    by_use: BTreeMap<u64, String>,
}

struct Entry {
    value: Value,
    bytes: usize,
    used: u64,
}

impl DecodedCache {
    pub fn new(bytes_max: usize) -> DecodedCache {
        DecodedCache { bytes_max, state: Mutex::default() }
    }

    /// The entry of this key, if it is there and is a `T`.
    pub fn get<T: Any + Send + Sync>(&self, key: &str) -> Option<Arc<T>> {
        let mut state = self.state.lock();
        state.clock += 1;
        let now = state.clock;
        if !state.entries.contains_key(key) {
            state.misses += 1;
            return None;
        }
        state.hits += 1;
        let entry = state.entries.get_mut(key)?;
        let before = std::mem::replace(&mut entry.used, now);
        let value = entry.value.clone();
        let name = state.by_use.remove(&before)?;
        state.by_use.insert(now, name);
        value.downcast::<T>().ok()
    }

    /// Keeps `value`, which takes `bytes`, and drops the least recently used entries that no longer fit.
    /// A value larger than a quarter of the cache is not kept: it would push out everything else.
    pub fn insert<T: Any + Send + Sync>(&self, key: String, value: Arc<T>, bytes: usize) {
        let bytes = bytes + 2 * key.len() + size_of::<Entry>();
        if bytes > self.bytes_max / 4 {
            return;
        }
        let mut state = self.state.lock();
        state.remove(&key);
        state.clock += 1;
        let used = state.clock;
        state.bytes += bytes;
        state.by_use.insert(used, key.clone());
        state.entries.insert(key, Entry { value, bytes, used });
        while state.bytes > self.bytes_max {
            let Some((_, oldest)) = state.by_use.first_key_value() else { break };
            let oldest = oldest.clone();
            state.remove(&oldest);
        }
    }

    /// Bytes that the entries take.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// What the cache holds and how it is used.
    pub fn figures(&self) -> CacheFigures {
        let state = self.state.lock();
        let mut bytes = KINDS.map(|(_, kind)| (kind, 0));
        for (key, entry) in &state.entries {
            let kind = KINDS.iter().position(|(prefix, _)| key.starts_with(prefix));
            bytes[kind.unwrap_or(KINDS.len() - 1)].1 += entry.bytes;
        }
        CacheFigures { bytes, bytes_max: self.bytes_max, hits: state.hits, misses: state.misses }
    }
}

impl State {
    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

impl std::fmt::Debug for DecodedCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        write!(
            f,
            "DecodedCache({} entries, {} of {} bytes)",
            state.entries.len(),
            state.bytes,
            self.bytes_max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let cache = DecodedCache::new(10_000);
        for name in ["a", "b", "c", "d"] {
            cache.insert(name.to_string(), Arc::new(name.to_string()), 2_300);
        }
        assert!(cache.get::<String>("a").is_some());
        cache.insert("e".to_string(), Arc::new("e".to_string()), 2_300);
        assert!(cache.get::<String>("a").is_some(), "a was used after b");
        assert!(cache.get::<String>("b").is_none());
        assert!(cache.bytes() <= 10_000);
    }

    #[test]
    fn the_weight_counts_every_byte_and_a_giant_is_not_kept() {
        let cache = DecodedCache::new(10_000);
        cache.insert("giant".to_string(), Arc::new(0u8), 2_501);
        assert!(cache.get::<u8>("giant").is_none());
        for number in 0..1_000 {
            cache.insert(format!("{number}"), Arc::new(number), 100);
        }
        assert!(cache.bytes() <= 10_000 && cache.bytes() > 8_000, "{}", cache.bytes());
    }

    #[test]
    fn figures_tell_kinds_apart() {
        let cache = DecodedCache::new(100_000);
        cache.insert("footer of x under 0".to_string(), Arc::new(1u8), 1000);
        cache.insert("manifest of y".to_string(), Arc::new(1u8), 2000);
        cache.insert("s3://bucket/metadata.json".to_string(), Arc::new(1u8), 3000);
        assert!(cache.get::<u8>("manifest of y").is_some());
        assert!(cache.get::<u8>("manifest of z").is_none());
        let figures = cache.figures();
        let of =
            |kind: &str| figures.bytes.iter().find(|(name, _)| *name == kind).map_or(0, |(_, bytes)| *bytes);
        assert!((1000..1500).contains(&of("footers")), "{figures:?}");
        assert!((2000..2500).contains(&of("manifests")), "{figures:?}");
        assert!((3000..3500).contains(&of("other")), "{figures:?}");
        assert_eq!(figures.bytes.iter().map(|(_, bytes)| bytes).sum::<usize>(), cache.bytes());
        assert_eq!((figures.hits, figures.misses), (1, 1));
    }

    #[test]
    fn an_entry_of_another_type_is_not_returned() {
        let cache = DecodedCache::new(10_000);
        cache.insert("a".to_string(), Arc::new(1u32), 4);
        assert!(cache.get::<u64>("a").is_none());
        assert_eq!(cache.get::<u32>("a").as_deref(), Some(&1));
    }
}
