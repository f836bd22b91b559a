//! Rows of a channel as a plan: what one task hands over, the engine's operators take in.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use tokio::sync::mpsc;

use crate::error::Result;
use crate::plan::engine_error;

/// A plan of one partition, which can be read once, and where its rows come in; at most `batches_max` of them wait.
pub(crate) fn incoming(
    schema: &SchemaRef,
    batches_max: usize,
) -> Result<(mpsc::Sender<RecordBatch>, Arc<dyn ExecutionPlan>)> {
    let (rows, receiver) = mpsc::channel(batches_max);
    let receiver = parking_lot::Mutex::new(Some(receiver));
    let stream = Arc::new(Incoming { schema: Arc::clone(schema), receiver });
    let plan = StreamingTableExec::try_new(Arc::clone(schema), vec![stream], None, Vec::new(), false, None);
    Ok((rows, Arc::new(plan.map_err(engine_error)?)))
}

#[derive(Debug)]
struct Incoming {
    schema: SchemaRef,
    receiver: parking_lot::Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl PartitionStream for Incoming {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let receiver = self.receiver.lock().take();
        let rows = futures::stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            let batch = receiver.recv().await?;
            Some((Ok(batch), Some(receiver)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
