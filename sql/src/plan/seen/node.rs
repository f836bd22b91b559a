//! The step that looks at rows as they come by and changes nothing about them. Nothing is pushed through it, so that it
//! sees every row, whatever the steps after it make of them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::SeenKeysExec;
use super::values::SeenKeys;

/// The same rows; their values of `keys` are remembered in `seen`, which has a column for each.
pub(crate) fn watched(input: LogicalPlan, keys: Vec<Expr>, seen: Arc<SeenKeys>) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(Watched { input, keys, seen: Shared(seen) }) })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Watched {
    input: LogicalPlan,
    keys: Vec<Expr>,
    seen: Shared,
}

/// Two steps are the same only if they remember in the same place.
#[derive(Debug, Clone)]
struct Shared(Arc<SeenKeys>);

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Watched) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Watched {
    fn name(&self) -> &str {
        "SeenKeys"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.keys.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "SeenKeys: {}", keys.join(", "))
    }

    fn with_exprs_and_inputs(&self, keys: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Watched> {
        let input = inputs.into_iter().next();
        let input =
            input.ok_or_else(|| datafusion::common::internal_datafusion_err!("no rows to look at"))?;
        Ok(Watched { input, keys, seen: self.seen.clone() })
    }

    /// The columns of the keys are asked for beside these.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// Makes the step an operator.
pub(crate) struct SeenKeysPlanner;

#[async_trait]
impl ExtensionPlanner for SeenKeysPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        state: &SessionState,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(watched), [logical], [input]) =
            (node.as_any().downcast_ref::<Watched>(), logical_inputs, physical_inputs)
        else {
            return Ok(None);
        };
        let physical = |key| planner.create_physical_expr(key, logical.schema(), state);
        let keys = watched.keys.iter().map(physical).collect::<Result<Vec<_>>>()?;
        let exec = SeenKeysExec::new(Arc::clone(input), keys, Arc::clone(&watched.seen.0));
        Ok(Some(Arc::new(exec)))
    }
}
