//! Writes rows that come partition after partition: one file is open at a time, whatever the number of partitions. Where
//! the rows are in the table's order, a file ends between two values of the order's first term if it can, so that the
//! bounds of successive files do not overlap and readers may take them one after the other. It must never sort.
//! Next: `data_file.rs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, Scalar};
use arrow::compute::kernels::cmp::not_distinct;
use datafusion::execution::memory_pool::MemoryReservation;
use iceberg::spec::{DataFile, Struct};

use super::data_file::{DataFileWriter, FileNames};
use super::keys::Keys;
use super::partition::{PartitionKey, PartitionRows};
use crate::error::{Error, Result};

/// Writes the files of one writer.
pub(crate) struct ClusteredWriter {
    keys: Arc<Keys>,
    names: FileNames,
    memory: MemoryReservation,
    open: Option<OpenFile>,
    finished: Vec<DataFile>,
}

struct OpenFile {
    key: PartitionKey,
    file: DataFileWriter,
    /// The value of the order's first term in its last row.
    last: Option<ArrayRef>,
}

impl ClusteredWriter {
    /// Goes on after files that are finished.
    pub fn new(
        keys: Arc<Keys>,
        names: FileNames,
        memory: MemoryReservation,
        finished: Vec<DataFile>,
    ) -> ClusteredWriter {
        ClusteredWriter { keys, names, memory, open: None, finished }
    }

    /// Takes keyed rows, those of a partition after each other.
    pub async fn write(&mut self, keyed: &RecordBatch) -> Result<()> {
        if keyed.num_rows() == 0 {
            return Ok(());
        }
        let keys = Arc::clone(&self.keys);
        let Some(splitter) = &keys.splitter else {
            return self.write_part(Box::default(), &Struct::empty(), keyed.clone()).await;
        };
        for PartitionRows { key, value, positions } in splitter.split(keys.partition(keyed))? {
            let first = positions.first().map_or(0, |first| *first as usize);
            if positions.last().is_none_or(|last| *last as usize != first + positions.len() - 1) {
                return Err(Error::internal("the rows of a partition do not come together"));
            }
            self.write_part(key, &value, keyed.slice(first, positions.len())).await?;
        }
        Ok(())
    }

    /// Writes rows of one partition.
    async fn write_part(&mut self, key: PartitionKey, value: &Struct, mut rows: RecordBatch) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.key != key) {
            self.close().await?;
        }
        if let Some(open) = &self.open {
            let target = self.names.target_file_bytes();
            let bytes = open.file.bytes();
            // Rows of one value stay together, but not at any price.
            if bytes >= target + target / 2 {
                self.close().await?;
            } else if bytes >= target {
                let same = self.same_as_last(open, &rows)?;
                self.append(&rows.slice(0, same)).await?;
                rows = rows.slice(same, rows.num_rows() - same);
                if rows.num_rows() == 0 {
                    return Ok(());
                }
                self.close().await?;
            }
        }
        if self.open.is_none() {
            let folder = self.keys.splitter.as_ref().map(|splitter| splitter.folder(value));
            let file = self.names.begin(folder.as_deref(), value.clone())?;
            self.open = Some(OpenFile { key, file, last: None });
        }
        self.append(&rows).await
    }

    /// How many of the first rows have the value that the file's last row has.
    fn same_as_last(&self, open: &OpenFile, rows: &RecordBatch) -> Result<usize> {
        let (Some(last), Some(next)) = (&open.last, self.keys.leading(rows)) else { return Ok(0) };
        let same = not_distinct(next, &Scalar::new(Arc::clone(last)));
        let same = same.map_err(|error| Error::internal(format!("an order cannot be compared: {error}")))?;
        Ok(same.values().iter().take_while(|same| *same).count())
    }

    async fn append(&mut self, rows: &RecordBatch) -> Result<()> {
        let (Some(open), true) = (&mut self.open, rows.num_rows() > 0) else { return Ok(()) };
        open.file.write(&self.keys.remove(rows)?).await?;
        open.last = self.keys.leading(rows).map(|values| values.slice(rows.num_rows() - 1, 1));
        if self.memory.try_resize(open.file.buffered()).is_err() {
            open.file.finish_group().await?;
            self.memory.resize(open.file.buffered());
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.finished.push(open.file.finish().await?);
        }
        Ok(())
    }

    /// Ends the last file and describes them all.
    pub async fn finish(&mut self) -> Result<Vec<DataFile>> {
        self.close().await?;
        Ok(std::mem::take(&mut self.finished))
    }

    /// Gives up the file that is open.
    pub async fn abort(self) {
        if let Some(open) = self.open {
            open.file.abort().await;
        }
    }
}
