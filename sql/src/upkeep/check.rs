//! `check_table`: one row for each thing that is wrong with a table, none when all is well.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_catalog::iceberg::upkeep::{CheckOptions, Problem, check_table};

use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;

pub(super) fn problem_schema() -> SchemaRef {
    let column = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![column("severity"), column("problem"), column("about"), column("detail")]))
}

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let options = CheckOptions { deep: call.arguments.boolean("deep").unwrap_or(false) };
    let table = Arc::clone(&call.table()?.version);
    let storage = context.catalog().storage();
    let look = async { Ok(check_table(storage, &table, options).await?) };
    let problems: Vec<Problem> = context.stop.or(look).await?;
    let column = |text: fn(&Problem) -> &str| -> ArrayRef {
        Arc::new(problems.iter().map(|problem| Some(text(problem))).collect::<StringArray>())
    };
    let columns = vec![
        column(|problem| problem.severity.name()),
        column(|problem| problem.problem),
        column(|problem| &problem.about),
        column(|problem| &problem.detail),
    ];
    let batch = RecordBatch::try_new(problem_schema(), columns);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, call.tag))
}
