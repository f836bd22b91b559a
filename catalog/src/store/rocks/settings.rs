//! How RocksDB is set up: safe first, small second. Reasons are with each choice; it must never read or write a row.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options,
};

use crate::store::Space;

/// Blocks, indexes and filters of all column families together.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// All memtables together; reaching it writes the largest to disk.
const MEMTABLES_BYTES: usize = 16 << 20;
/// One memtable.
const MEMTABLE_BYTES: usize = 4 << 20;
/// Files kept open; opening one again costs little.
const OPEN_FILES_MAX: i32 = 256;
/// The write-ahead log is cut at this size, which bounds the time to open after a crash.
const WAL_BYTES_MAX: u64 = 64 << 20;
const MANIFEST_BYTES_MAX: usize = 4 << 20;
const LOG_FILE_BYTES_MAX: usize = 1 << 20;
const LOG_FILES_MAX: usize = 2;
/// Larger values of the space `Metadata` go to blob files, so that compaction does not copy them again and again.
const BLOB_BYTES_MIN: u64 = 4 << 10;

pub fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // An unfinished record at the very end is a write that was never confirmed, and is dropped. Damage anywhere else
    // could hide confirmed commits behind it, so opening fails; RocksDB's default would drop them without a word.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX);
    options.set_db_write_buffer_size(MEMTABLES_BYTES);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(LOG_FILE_BYTES_MAX);
    options.set_keep_log_file_num(LOG_FILES_MAX);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Every column family, with one block cache for all.
pub fn column_families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    Space::ALL
        .into_iter()
        .map(|space| ColumnFamilyDescriptor::new(space.name(), column_family(space, &cache)))
        .chain([ColumnFamilyDescriptor::new("default", Options::default())])
        .collect()
}

fn column_family(space: Space, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(6);

    let mut options = Options::default();
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    if space == Space::Metadata {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_enable_blob_gc(true);
    }
    if !space.is_versioned() {
        // Versioned rows are found by seeking to a version, which a filter of whole keys cannot help with.
        blocks.set_bloom_filter(10.0, false);
    }
    options.set_block_based_table_factory(&blocks);
    options
}
