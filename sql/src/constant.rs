//! Queries whose answer never changes in a session: no table, and nothing but values and functions that depend on nothing
//! else. `SELECT 1`, which pools send before each use of a connection, is the one that matters. The first answer is kept
//! under the statement's text until a setting changes.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::Result;
use crate::outcome::Outcome;

/// Answers that one session keeps.
const ANSWERS_MAX: usize = 16;
/// The longest text whose answer is kept, and the largest answer.
const BYTES_MAX: usize = 1024;

/// The answers of one session.
#[derive(Debug, Default)]
pub(crate) struct Constants(HashMap<String, (SchemaRef, RecordBatch)>);

impl Constants {
    pub fn answer(&self, text: &str) -> Option<Outcome> {
        let (schema, batch) = self.0.get(text)?;
        let rows = stream::iter([Ok(batch.clone())]).boxed();
        Some(Outcome::Rows { schema: schema.clone(), rows, tag: "SELECT" })
    }

    /// Keeps the answer of a constant query if it is small, and gives it on.
    pub async fn keep(&mut self, text: &str, outcome: Outcome) -> Result<Outcome> {
        let Outcome::Rows { schema, rows, tag } = outcome else { return Ok(outcome) };
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        if let [batch] = batches.as_slice()
            && batch.get_array_memory_size() <= BYTES_MAX
            && text.len() <= BYTES_MAX
            && self.0.len() < ANSWERS_MAX
        {
            self.0.insert(text.to_owned(), (schema.clone(), batch.clone()));
        }
        Ok(Outcome::Rows { schema, rows: stream::iter(batches.into_iter().map(Ok)).boxed(), tag })
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether a plan gives at most one row, the same one whenever it is run.
pub(crate) fn is_constant(plan: &LogicalPlan) -> bool {
    let mut constant = true;
    let looked = plan.apply(|step| {
        let is_row = match step {
            LogicalPlan::Projection(_) => true,
            LogicalPlan::EmptyRelation(row) => row.produce_one_row,
            _ => false,
        };
        constant &= is_row && expressions_are_constant(step)?;
        Ok(if constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    looked.is_ok() && constant
}

fn expressions_are_constant(step: &LogicalPlan) -> EngineResult<bool> {
    let mut constant = true;
    step.apply_expressions(|expression| {
        expression.apply(|part| {
            constant &= match part {
                Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                Expr::Literal(..)
                | Expr::Alias(_)
                | Expr::Cast(_)
                | Expr::Negative(_)
                | Expr::BinaryExpr(_)
                | Expr::Column(_) => true,
                _ => false,
            };
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(constant)
}
