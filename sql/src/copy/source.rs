//! The rows that a client sends as a table that can be read once: the leaf below the plan of a `COPY FROM`. The channel
//! holds few batches, so that the writer sets the pace of the socket. If it closes before the end was told, the rows
//! are not all there, and reading them is an error: nothing is ever committed of a copy that broke off.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::plan::engine_error;
use crate::sqlstate::SqlState;

/// Batches that may wait for the writer.
const BATCHES_MAX: usize = 2;

/// What comes in.
#[derive(Debug)]
pub(crate) enum Incoming {
    Rows(RecordBatch),
    /// These were all.
    End,
}

/// A table of rows that are still to come, and where they come in.
pub(crate) fn copy_source(schema: &SchemaRef) -> Result<(mpsc::Sender<Incoming>, Arc<dyn TableProvider>)> {
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let receiver = parking_lot::Mutex::new(Some(receiver));
    let rows = Arc::new(Sent { schema: Arc::clone(schema), receiver });
    let table = StreamingTable::try_new(Arc::clone(schema), vec![rows]).map_err(engine_error)?;
    Ok((sender, Arc::new(table)))
}

#[derive(Debug)]
struct Sent {
    schema: SchemaRef,
    receiver: parking_lot::Mutex<Option<mpsc::Receiver<Incoming>>>,
}

impl PartitionStream for Sent {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let receiver = self.receiver.lock().take();
        let rows = futures::stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Incoming::Rows(batch)) => Some((Ok(batch), Some(receiver))),
                Some(Incoming::End) => None,
                None => Some((Err(broken_off()), None)),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

fn broken_off() -> DataFusionError {
    let error = Error::new(SqlState::QUERY_CANCELED, "COPY from stdin broke off before its end");
    DataFusionError::External(Box::new(error))
}
