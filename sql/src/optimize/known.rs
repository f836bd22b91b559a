//! What is known of the two sides of a join, on its way to the engine's rule that picks the side to build and whether
//! to build it whole. The physical operators forget it: after a filter, a join or an aggregate they have figures of
//! their own, cruder ones or none, and the rule would turn our joins around. So the sides are wrapped with their
//! estimate in the logical plan, the wrapper becomes an operator that tells it, and is taken off after the rule.
//! It must never be part of a plan that runs.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchemaRef, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::logical_plan::{Extension, Join};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::estimate::estimate;
use super::semi::WholeSemiJoins;

/// The engine's rule for which the estimates are meant.
const READER: &str = "join_selection";

/// The same plan, with what is known of the sides of its joins.
pub(crate) fn tell_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let told = plan.transform_up_with_subqueries(|plan| {
        let LogicalPlan::Join(join) = plan else { return Ok(Transformed::no(plan)) };
        let (Some(left), Some(right)) = (rows(&join.left), rows(&join.right)) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let known = |rows, input: Arc<LogicalPlan>| {
            let node = Arc::new(Known { rows, input: Arc::unwrap_or_clone(input) });
            Arc::new(LogicalPlan::Extension(Extension { node }))
        };
        let (left, right) = (known(left, join.left), known(right, join.right));
        Ok(Transformed::yes(LogicalPlan::Join(Join { left, right, ..join })))
    });
    told.data()
}

fn rows(plan: &LogicalPlan) -> Option<u64> {
    estimate(plan).map(|estimate| estimate.rows.max(1.0) as u64)
}

/// A side of a join and about how many rows it gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub(super) struct Known {
    pub rows: u64,
    pub input: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for Known {
    fn name(&self) -> &'static str {
        "Known"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Known: about {} rows", self.rows)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Known { rows: self.rows, input }),
            Err(inputs) => internal_err!("one input instead of {}", inputs.len()),
        }
    }
}

/// Makes the wrapper an operator.
pub(crate) struct KnownPlanner;

#[async_trait]
impl ExtensionPlanner for KnownPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &SessionState,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let known = node.as_any().downcast_ref::<Known>().zip(inputs.first());
        Ok(known.map(|(known, input)| {
            let rows = usize::try_from(known.rows).unwrap_or(usize::MAX);
            Arc::new(KnownExec { rows, input: Arc::clone(input) }) as Arc<dyn ExecutionPlan>
        }))
    }
}

/// The engine's rules with ours after the one that reads the estimates.
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let reader = rules.iter().position(|rule| rule.name() == READER);
    let next = reader.map_or(0, |reader| reader + 1);
    rules.insert(next, Arc::new(ForgetRows));
    rules.insert(next + 1, Arc::new(WholeSemiJoins));
    rules
}

#[derive(Debug)]
struct KnownExec {
    rows: usize,
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for KnownExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "KnownExec: rows={}", self.rows)
    }
}

impl ExecutionPlan for KnownExec {
    fn name(&self) -> &'static str {
        "KnownExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(KnownExec { rows: self.rows, input })),
            Err(children) => internal_err!("one input instead of {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let below = self.input.partition_statistics(partition)?;
        if partition.is_some() {
            return Ok(below);
        }
        // Without a size in bytes the rule goes by rows.
        let (num_rows, total_byte_size) = (Precision::Inexact(self.rows), Precision::Absent);
        Ok(Arc::new(Statistics { num_rows, total_byte_size, ..Arc::unwrap_or_clone(below) }))
    }
}

/// Takes the wrappers off.
#[derive(Debug)]
struct ForgetRows;

impl PhysicalOptimizerRule for ForgetRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            Ok(match plan.downcast_ref::<KnownExec>() {
                Some(known) => Transformed::yes(Arc::clone(&known.input)),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "forget_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
