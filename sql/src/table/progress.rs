//! How far a write has come, for a progress line. Counters only ever rise; reading them never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one write; clones share them.
#[derive(Debug, Clone, Default)]
pub struct WriteProgress {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    rows: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
}

impl WriteProgress {
    /// Rows taken from the query.
    pub fn rows(&self) -> u64 {
        self.counters.rows.load(Ordering::Relaxed)
    }

    /// Bytes handed to the object store.
    pub fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
    }

    /// Files finished.
    pub fn files(&self) -> u64 {
        self.counters.files.load(Ordering::Relaxed)
    }

    pub(crate) fn add_rows(&self, rows: usize) {
        self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_file(&self) {
        self.counters.files.fetch_add(1, Ordering::Relaxed);
    }
}
