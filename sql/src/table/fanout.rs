//! Brings rows in any order to the files of their partitions. Rows wait in memory until a partition has enough of them
//! or memory runs short. Only so many partitions have files at a time; the rows of all others are put aside until the
//! query ends, so any number of partitions is written in bounded memory. It must never know where rows come from.
//! Next: `overflow.rs`, where rows are put aside, and `writer.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;
use iceberg::spec::{DataFile, Struct};

use super::clustered::ClusteredWriter;
use super::data_file::{DataFileWriter, FileNames};
use super::keys::Keys;
use super::overflow::Overflow;
use super::partition::{PartitionKey, PartitionRows};
use crate::error::{Error, Result};

/// Partitions that one writer has files of at a time.
const PARTITIONS_MAX: usize = 64;
/// Bytes of a partition's waiting rows that are worth encoding.
const WAITING_BYTES_WORTH: usize = 4 << 20;
/// Bytes of all rows that wait in one writer.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes taken in before the memory pool is told again.
const ACCOUNT_BYTES: usize = 1 << 20;

/// One of the writers of a statement.
pub(crate) struct FanoutWriter {
    keys: Arc<Keys>,
    names: FileNames,
    context: Arc<TaskContext>,
    memory: MemoryReservation,
    partitions: HashMap<PartitionKey, Partition>,
    waiting_bytes: usize,
    unaccounted_bytes: usize,
    overflow: Option<Overflow>,
    finished: Vec<DataFile>,
}

struct Partition {
    value: Struct,
    /// Below the table's data folder; none for an unpartitioned table.
    folder: Option<String>,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    file: Option<DataFileWriter>,
}

impl FanoutWriter {
    pub fn new(
        keys: Arc<Keys>,
        names: FileNames,
        memory: MemoryReservation,
        context: Arc<TaskContext>,
    ) -> FanoutWriter {
        FanoutWriter {
            keys,
            names,
            context,
            memory,
            partitions: HashMap::new(),
            waiting_bytes: 0,
            unaccounted_bytes: 0,
            overflow: None,
            finished: Vec::new(),
        }
    }

    /// Takes keyed rows.
    pub async fn write(&mut self, keyed: &RecordBatch) -> Result<()> {
        if keyed.num_rows() == 0 {
            return Ok(());
        }
        let keys = Arc::clone(&self.keys);
        let Some(splitter) = &keys.splitter else {
            return self.put(PartitionKey::default(), keys.remove(keyed)?).await;
        };
        let mut aside: Vec<u32> = Vec::new();
        for PartitionRows { key, value, positions } in splitter.split(keys.partition(keyed))? {
            if !self.partitions.contains_key(&key) {
                if self.partitions.len() >= PARTITIONS_MAX {
                    aside.extend(positions);
                    continue;
                }
                let folder = Some(splitter.folder(&value));
                self.partitions.insert(key.clone(), Partition::new(value, folder));
            }
            self.put(key, keys.remove(&rows_at(keyed, positions)?)?).await?;
        }
        if aside.is_empty() {
            return Ok(());
        }
        aside.sort_unstable();
        let overflow = match &mut self.overflow {
            Some(overflow) => overflow,
            None => self.overflow.insert(Overflow::start(&keys, Arc::clone(&self.context))?),
        };
        overflow.push(&rows_at(keyed, aside)?).await
    }

    /// Takes rows of one partition.
    async fn put(&mut self, key: PartitionKey, rows: RecordBatch) -> Result<()> {
        let unpartitioned = self.keys.splitter.is_none();
        let new = || Partition::new(Struct::empty(), None);
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

    /// What was put aside, if anything was; the files that are there must be finished first.
    pub fn aside(&mut self) -> Option<Overflow> {
        self.overflow.take()
    }

    /// A writer that goes on after these files, with rows that come partition after partition.
    pub fn clustered(&mut self, finished: Vec<DataFile>) -> ClusteredWriter {
        self.memory.free();
        ClusteredWriter::new(Arc::clone(&self.keys), self.names.clone(), self.memory.take(), finished)
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
        if waiting.is_empty() {
            return Ok(());
        }
        let file = match &mut partition.file {
            Some(file) => file,
            None => {
                let file = self.names.begin(partition.folder.as_deref(), partition.value.clone())?;
                partition.file.insert(file)
            }
        };
        match waiting.as_slice() {
            [batch] => file.write(batch).await?,
            batches => {
                let joined = concat_batches(&self.keys.table, batches);
                file.write(&joined.map_err(|error| Error::internal(error.to_string()))?).await?;
            }
        }
        if file.bytes() >= self.names.target_file_bytes() {
            self.close(key).await?;
        }
        Ok(())
    }

    async fn close(&mut self, key: &PartitionKey) -> Result<()> {
        if let Some(file) = self.partitions.get_mut(key).and_then(|partition| partition.file.take()) {
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

impl Partition {
    fn new(value: Struct, folder: Option<String>) -> Partition {
        Partition { value, folder, waiting: Vec::new(), waiting_bytes: 0, file: None }
    }
}

/// The rows at rising positions.
fn rows_at(batch: &RecordBatch, positions: Vec<u32>) -> Result<RecordBatch> {
    if positions.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    take_record_batch(batch, &UInt32Array::from(positions))
        .map_err(|error| Error::internal(format!("cannot split rows: {error}")))
}
