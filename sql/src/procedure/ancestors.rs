//! `ancestors_of`: the snapshots that a snapshot, or the branch of the table, came from. It changes nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use futures::FutureExt;

use super::arguments::{Kind, Parameter};
use super::registry::{On, Procedure, ProcedureCall, Right};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::sqlstate::SqlState;

pub(super) const PROCEDURES: &[Procedure] = &[Procedure {
    name: "ancestors_of",
    aliases: &[],
    on: On::Table,
    filter: false,
    parameters: &[Parameter::optional("snapshot_id", Kind::Integer)],
    right: Right::Owner,
    in_transaction: true,
    columns,
    run: |call, context| async move { run(&call, context) }.boxed(),
}];

/// Spark's columns.
fn columns() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    Arc::new(Schema::new(vec![
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("timestamp", time, false),
    ]))
}

/// From the snapshot back to the first that is still there.
fn run(call: &ProcedureCall, _: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let metadata = &target.version.metadata;
    let asked = call.arguments.integer("snapshot_id");
    if let Some(id) = asked.filter(|id| metadata.snapshot_by_id(*id).is_none()) {
        let message = format!("there is no snapshot {id}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("It may have expired; the table named with $snapshots lists those that there are."));
    }
    let head = match asked {
        Some(id) => Some(id),
        None => target.state()?.snapshot_id,
    };
    let snapshot = |id: Option<i64>| metadata.snapshot_by_id(id?);
    let line = std::iter::successors(snapshot(head), |last| snapshot(last.parent_snapshot_id()));
    let (ids, times): (Vec<i64>, Vec<i64>) =
        line.map(|snapshot| (snapshot.snapshot_id(), snapshot.timestamp_ms() * 1000)).unzip();
    let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), Arc::new(times)];
    let batch = RecordBatch::try_new(columns(), arrays);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, call.tag))
}
