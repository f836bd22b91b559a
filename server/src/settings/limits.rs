//! Section `[limits]`: how much of the machine the server may use, and for how long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::{Layers, Result};
use super::storage::absolute;
use super::value::{self, Size};
use super::{Error, memory};

/// What the server may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory that running statements share, bytes; beyond it they spill to disk. A share (`60%`) is of what the
    /// machine or the container has. Default `60%`.
    pub memory_bytes: usize,
    /// Of that memory, what decoded columns of tables may take as long as no statement wants it, bytes; at most half.
    /// A share is of what the machine or the container has; `0` keeps none. Default `25%`.
    pub column_cache_bytes: usize,
    /// Folder that statements spill to. Default `spill` in the data folder.
    pub spill_dir: PathBuf,
    /// Client connections at a time. Default 100.
    pub connections: usize,
    /// How long a statement may run unless its session says otherwise (`SET statement_timeout`). Default: no limit,
    /// written `0`.
    pub statement_timeout: Option<Duration>,
    /// How long running statements may go on after the server is told to stop. Default `30s`.
    pub shutdown_grace: Duration,
}

/// The share of memory that is ours when nobody says: the rest is for the catalog's caches, file buffers and peaks.
const DEFAULT_MEMORY: Size = Size::Percent(60);

/// The share that decoded columns may have of it, of the machine's memory.
const DEFAULT_COLUMN_CACHE: Size = Size::Percent(25);

/// No statement of any use fits into less.
const MEMORY_MIN_BYTES: usize = 16 << 20;

impl Limits {
    pub fn from_layers(layers: &Layers, data_dir: &Path) -> Result<Limits> {
        let spill_dir = match layers.get("limits.spill_dir", value::text)? {
            Some(text) => absolute(Path::new(&text))?,
            None => data_dir.join("spill"),
        };
        let memory_bytes = memory_bytes(layers.get("limits.memory", value::size)?.unwrap_or(DEFAULT_MEMORY))?;
        let column_cache = layers.get("limits.column_cache", column_cache)?.unwrap_or(DEFAULT_COLUMN_CACHE);
        let timeout = layers.get("limits.statement_timeout", value::duration)?;
        Ok(Limits {
            memory_bytes,
            column_cache_bytes: bytes_of(column_cache).min(memory_bytes / 2),
            spill_dir,
            connections: layers.get("limits.connections", connections)?.unwrap_or(100),
            statement_timeout: timeout.filter(|timeout| !timeout.is_zero()),
            shutdown_grace: layers
                .get("limits.shutdown_grace", value::duration)?
                .unwrap_or(Duration::from_secs(30)),
        })
    }
}

fn memory_bytes(size: Size) -> Result<usize> {
    let bytes = bytes_of(size);
    if bytes < MEMORY_MIN_BYTES {
        return Err(Error::new(format!("limits.memory comes to {bytes} bytes: give at least 16MiB")));
    }
    Ok(bytes)
}

fn bytes_of(size: Size) -> usize {
    match size {
        Size::Bytes(bytes) => bytes,
        Size::Percent(percent) => memory::total_bytes() / 100 * percent,
    }
}

fn column_cache(text: &str) -> Result<Size, String> {
    if text.trim() == "0" { Ok(Size::Bytes(0)) } else { value::size(text) }
}

fn connections(text: &str) -> Result<usize, String> {
    match value::positive(text) {
        Ok(number) if number <= 10_000 => Ok(number),
        _ => Err("give a whole number from 1 to 10000".to_owned()),
    }
}
