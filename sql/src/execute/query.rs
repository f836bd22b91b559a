//! Queries: the plan is optimised and its rows are streamed as they are made.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::optimize::{order_joins, tell_rows};
use crate::outcome::{Outcome, Rows};
use crate::plan::{Context, QueryPlan, engine_error};
use crate::sqlstate::SqlState;
use crate::table::load_statistics;
use crate::types;

/// Starts a query; its rows come as they are read.
pub(super) async fn run(plan: QueryPlan, context: &Context) -> Result<Outcome> {
    let shown = plan.schema();
    let physical = physical_plan(&plan.logical, context).await?;
    let rows = stream(physical, context.state.task_ctx())?;
    let schema = Arc::clone(&shown);
    let rows = rows.map(move |batch| batch.and_then(|batch| relabel(&batch, &schema))).boxed();
    Ok(Outcome::Rows { schema: shown, rows, tag: "SELECT" })
}

/// The operators that a logical plan is run with.
pub(crate) async fn physical_plan(plan: &LogicalPlan, context: &Context) -> Result<Arc<dyn ExecutionPlan>> {
    let mut optimized = context.state.optimize(plan).map_err(engine_error)?;
    if context.reorder_joins {
        load_statistics(&optimized).await.map_err(engine_error)?;
        optimized = order_joins(optimized).and_then(tell_rows).map_err(engine_error)?;
    }
    context.state.query_planner().create_physical_plan(&optimized, &context.state).await.map_err(engine_error)
}

fn stream(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> Result<Rows> {
    let stream = execute_stream(plan, task).map_err(engine_error)?;
    Ok(stream.map_err(engine_error).boxed())
}

/// The same columns under the names they are shown with. What was announced is what is sent: a column that the
/// operators made of another type, which clients would read wrongly, is an error.
pub(super) fn relabel(batch: &RecordBatch, shown: &SchemaRef) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns = batch.columns().to_vec();
    for (field, column) in shown.fields().iter().zip(&mut columns) {
        if *column.data_type() == DataType::UInt64 && *field.data_type() == DataType::Int64 {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            *column = cast_with_options(column, &DataType::Int64, &options)
                .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))?;
        }
        let made = field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true);
        let (announced, sent) = (types::pg_type(field), types::pg_type(&made));
        if announced.oid != sent.oid {
            let (announced, sent) = (types::sql_name(field), types::sql_name(&made));
            let message = format!(
                "UNION types {announced} and {sent} cannot be matched in column \"{}\"",
                field.name()
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint("Cast one to the other."));
        }
        fields.push(Arc::new(made));
    }
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// PostgreSQL's one column of plan lines.
pub(super) fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]))
}

/// The plan as lines of text; with `analyze` it is run, its rows are thrown away, and its figures are shown.
pub(super) async fn explain(
    plan: LogicalPlan,
    header: Option<String>,
    analyze: bool,
    verbose: bool,
    context: &Context,
) -> Result<Outcome> {
    let started = std::time::Instant::now();
    let physical = physical_plan(&plan, context).await?;
    let planned = started.elapsed();
    let text = if analyze {
        let mut rows = stream(Arc::clone(&physical), context.state.task_ctx())?;
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows();
        }
        let display = DisplayableExecutionPlan::with_metrics(physical.as_ref()).indent(verbose).to_string();
        let (planning, running) =
            (planned.as_secs_f64() * 1e3, (started.elapsed() - planned).as_secs_f64() * 1e3);
        format!("{display}Rows: {count}\nPlanning Time: {planning:.3} ms\nExecution Time: {running:.3} ms\n")
    } else {
        let logical = if verbose { format!("{}\n", plan.display_indent()) } else { String::new() };
        format!("{logical}{}", DisplayableExecutionPlan::new(physical.as_ref()).indent(verbose))
    };
    let lines: StringArray = header.as_deref().into_iter().chain(text.lines()).map(Some).collect();
    let batch = RecordBatch::try_new(explain_schema(), vec![Arc::new(lines)]);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, "EXPLAIN"))
}
