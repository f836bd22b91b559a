//! Brings rows to the files of their partitions. Rows wait in memory until a partition has enough of them or memory
//! runs short, and only so many files are open at a time, so any number of partitions can be written in bounded
//! memory; the price of too many is more and smaller files. It must never know where rows come from.
//! Next: `writer.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::execution::memory_pool::MemoryReservation;
use iceberg::spec::{DataFile, Struct};

use super::data_file::{DataFileWriter, FileTarget};
use super::partition::PartitionKey;
use crate::error::{Error, Result};

/// Files that one writer has open at a time.
const OPEN_FILES_MAX: usize = 64;
/// Bytes of a partition's waiting rows that are worth encoding.
const WAITING_BYTES_WORTH: usize = 4 << 20;
/// Bytes of all rows that wait in one writer.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes taken in before the memory pool is told again.
const ACCOUNT_BYTES: usize = 1 << 20;

/// Rows of one partition on their way to a file.
pub(crate) struct Routed {
    pub key: PartitionKey,
    pub value: Struct,
    /// Folder below the table's data folder; empty for an unpartitioned table.
    pub folder: String,
    pub rows: RecordBatch,
}

/// One of the writers of a statement.
pub(crate) struct FanoutWriter {
    target: Arc<FileTarget>,
    number: usize,
    memory: MemoryReservation,
    partitions: HashMap<PartitionKey, Partition>,
    waiting_bytes: usize,
    unaccounted_bytes: usize,
    open_files: usize,
    files_begun: usize,
    finished: Vec<DataFile>,
}

struct Partition {
    value: Struct,
    folder: String,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    file: Option<DataFileWriter>,
}

impl FanoutWriter {
    pub fn new(target: Arc<FileTarget>, number: usize, memory: MemoryReservation) -> FanoutWriter {
        FanoutWriter {
            target,
            number,
            memory,
            partitions: HashMap::new(),
            waiting_bytes: 0,
            unaccounted_bytes: 0,
            open_files: 0,
            files_begun: 0,
            finished: Vec::new(),
        }
    }

    /// Takes rows in the table's schema.
    pub async fn write(&mut self, routed: Routed) -> Result<()> {
        let Routed { key, value, folder, rows } = routed;
        let unpartitioned = folder.is_empty();
        let new = || Partition { value, folder, waiting: Vec::new(), waiting_bytes: 0, file: None };
        let partition = self.partitions.entry(key.clone()).or_insert_with(new);
        let bytes = rows.get_array_memory_size();
        partition.waiting.push(rows);
        partition.waiting_bytes += bytes;
        self.waiting_bytes += bytes;
        if unpartitioned || partition.waiting_bytes >= WAITING_BYTES_WORTH {
            self.encode_waiting(&key).await?;
        }
        while self.waiting_bytes > WAITING_BYTES_MAX {
            let Some(key) = self.most_waiting() else { break };
            self.encode_waiting(&key).await?;
        }
        self.unaccounted_bytes += bytes;
        if self.unaccounted_bytes < ACCOUNT_BYTES {
            return Ok(());
        }
        self.unaccounted_bytes = 0;
        self.account().await
    }

    /// Ends every file and describes them all.
    pub async fn finish(&mut self) -> Result<Vec<DataFile>> {
        let keys: Vec<PartitionKey> = self.partitions.keys().cloned().collect();
        for key in keys {
            self.encode_waiting(&key).await?;
            self.close(&key).await?;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Gives up the files that are open.
    pub async fn abort(self) {
        for partition in self.partitions.into_values() {
            if let Some(file) = partition.file {
                file.abort().await;
            }
        }
    }

    fn most_waiting(&self) -> Option<PartitionKey> {
        let waiting = self.partitions.iter().filter(|(_, partition)| !partition.waiting.is_empty());
        waiting.max_by_key(|(_, partition)| partition.waiting_bytes).map(|(key, _)| key.clone())
    }

    /// Hands a partition's waiting rows to its file, and begins one where there is none.
    async fn encode_waiting(&mut self, key: &PartitionKey) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut partition.waiting);
        self.waiting_bytes -= std::mem::take(&mut partition.waiting_bytes);
        if waiting.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        if partition.file.is_none() {
            self.begin(key).await?;
        }
        let Some(file) = self.partitions.get_mut(key).and_then(|partition| partition.file.as_mut()) else {
            return Err(Error::internal("a partition has no file"));
        };
        match waiting.as_slice() {
            [batch] => file.write(batch).await?,
            batches => {
                let joined = concat_batches(&self.target.schema, batches);
                file.write(&joined.map_err(|error| Error::internal(error.to_string()))?).await?;
            }
        }
        if file.bytes() >= self.target.properties.target_file_bytes {
            self.close(key).await?;
        }
        Ok(())
    }

    /// Begins a partition's next file, after closing the biggest when too many are open: it is the least small.
    async fn begin(&mut self, key: &PartitionKey) -> Result<()> {
        if self.open_files >= OPEN_FILES_MAX
            && let Some(biggest) = self.biggest_open()
        {
            self.close(&biggest).await?;
        }
        let (number, writer, write) = (self.files_begun, self.number, self.target.write);
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let slash = if partition.folder.is_empty() { "" } else { "/" };
        let name = format!("{}{slash}{number:05}-{writer}-{write}.parquet", partition.folder);
        partition.file = Some(DataFileWriter::begin(&self.target, &name, partition.value.clone())?);
        self.files_begun += 1;
        self.open_files += 1;
        Ok(())
    }

    fn biggest_open(&self) -> Option<PartitionKey> {
        let size = |partition: &Partition| partition.file.as_ref().map(DataFileWriter::bytes);
        let open = self.partitions.iter().filter_map(|(key, partition)| Some((size(partition)?, key)));
        open.max_by_key(|(bytes, _)| *bytes).map(|(_, key)| key.clone())
    }

    async fn close(&mut self, key: &PartitionKey) -> Result<()> {
        if let Some(file) = self.partitions.get_mut(key).and_then(|partition| partition.file.take()) {
            self.open_files -= 1;
            self.finished.push(file.finish().await?);
        }
        Ok(())
    }

    /// Tells the memory pool what is held. When the pool has no more, everything that can be written out is; what is
    /// left then is small, and taking it is better than failing a statement that has come this far.
    async fn account(&mut self) -> Result<()> {
        if self.memory.try_resize(self.held()).is_ok() {
            return Ok(());
        }
        while let Some(key) = self.most_waiting() {
            self.encode_waiting(&key).await?;
        }
        for partition in self.partitions.values_mut() {
            if let Some(file) = &mut partition.file {
                file.finish_group().await?;
            }
        }
        self.memory.resize(self.held());
        Ok(())
    }

    fn held(&self) -> usize {
        let files = self.partitions.values().filter_map(|partition| partition.file.as_ref());
        self.waiting_bytes + files.map(DataFileWriter::buffered).sum::<usize>()
    }
}
