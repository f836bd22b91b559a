//! The plan node that reads one system table. It builds its rows when first asked for them, so that by then a hash
//! join above it has told which values it can use at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal,
};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};

use super::keys::{Key, key_between, key_of};
use super::rows::{self, Scan};

/// Reads one system table.
#[derive(Debug, Clone)]
pub struct SystemTableExec {
    scan: Arc<Scan>,
    schema: SchemaRef,
    /// Filters whose values are known only at run time.
    run_time_filters: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
}

impl SystemTableExec {
    pub fn try_new(scan: Scan) -> Result<SystemTableExec> {
        let schema = Arc::new(scan.declared.arrow.project(&scan.projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(SystemTableExec {
            scan: Arc::new(scan),
            schema,
            run_time_filters: Vec::new(),
            properties: Arc::new(properties),
        })
    }

    /// The scan with the keys that run-time filters add by now.
    pub fn scan_now(&self) -> Result<Arc<Scan>> {
        let mut keys = self.scan.keys.clone();
        for filter in &self.run_time_filters {
            let current = current_filter(filter)?;
            let conjuncts = split_conjunction(&current);
            for (column, key) in conjuncts.iter().filter_map(|conjunct| read_in_list(conjunct)) {
                keys.insert(column, key);
            }
            for (column, key) in read_bounds(&conjuncts) {
                keys.insert(column, key);
            }
        }
        Ok(Arc::new(Scan {
            context: self.scan.context.clone(),
            declared: self.scan.declared,
            keys,
            projection: self.scan.projection.clone(),
        }))
    }
}

/// What a run-time filter says now. One that was not filled in yet says `true`, which is no key.
fn current_filter(filter: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    match filter.downcast_ref::<DynamicFilterPhysicalExpr>() {
        Some(dynamic) => dynamic.current(),
        None => Ok(filter.clone()),
    }
}

fn read_in_list(expr: &Arc<dyn PhysicalExpr>) -> Option<(String, Key)> {
    let in_list = expr.downcast_ref::<InListExpr>().filter(|in_list| !in_list.negated())?;
    let column = in_list.expr().downcast_ref::<Column>()?;
    let literal = |value: &Arc<dyn PhysicalExpr>| Some(value.downcast_ref::<Literal>()?.value().clone());
    let values = in_list.list().iter().map(literal).collect::<Option<Vec<_>>>()?;
    Some((column.name().to_string(), key_of(&values)?))
}

/// What `column >= 5 AND column <= 5` pins down: of a join by several columns the engine tells the least and the largest
/// value of each.
fn read_bounds(conjuncts: &[&Arc<dyn PhysicalExpr>]) -> Vec<(String, Key)> {
    let bounds = |wanted: Operator| {
        let bound = move |conjunct: &&Arc<dyn PhysicalExpr>| {
            let compared =
                conjunct.downcast_ref::<BinaryExpr>().filter(|compared| *compared.op() == wanted)?;
            let column = compared.left().downcast_ref::<Column>()?;
            let value = compared.right().downcast_ref::<Literal>()?.value();
            Some((column.name().to_string(), value.clone()))
        };
        conjuncts.iter().filter_map(bound).collect::<BTreeMap<String, ScalarValue>>()
    };
    let (lowest, mut highest) = (bounds(Operator::GtEq), bounds(Operator::LtEq));
    let only = |(column, low): (String, ScalarValue)| {
        let high = highest.remove(&column)?;
        Some((column, key_between(&low, &high)?))
    };
    lowest.into_iter().filter_map(only).collect()
}

fn is_dynamic(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let found = filter.exists(|expr| Ok(expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()));
    found.unwrap_or(false)
}

impl DisplayAs for SystemTableExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let declared = self.scan.declared;
        write!(f, "SystemTableExec: {}.{}", declared.schema.name, declared.name)?;
        if !self.scan.keys.is_empty() {
            write!(f, ", keys=[{}]", self.scan.keys)?;
        }
        if !self.run_time_filters.is_empty() {
            write!(f, ", run_time_filters={}", self.run_time_filters.len())?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SystemTableExec {
    fn name(&self) -> &'static str {
        "SystemTableExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let node = self.clone();
        let batch = async move {
            let scan = node.scan_now()?;
            let rows = rows::rows(&scan).await.map_err(external)?;
            rows.into_batch(&scan.projection).map_err(external)
        };
        let stream = futures::stream::once(batch);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }

    /// Estimates that put the side with keys first in a join, so that its rows become keys of the other side.
    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = match (self.scan.keys.is_exact(), self.scan.declared.name) {
            (true, _) => 10,
            (false, "pg_attribute" | "columns") => 1_000_000,
            (false, "pg_class" | "tables" | "pg_description" | "snapshots") => 100_000,
            (false, _) => 1_000,
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(rows);
        statistics.total_byte_size = Precision::Inexact(rows * 100);
        Ok(Arc::new(statistics))
    }

    /// Remembers run-time filters as sources of keys, and leaves applying them to whoever would have.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let refused = vec![PushedDown::No; result.parent_filters.len()];
        let filters = result.parent_filters.into_iter().map(|parent| parent.filter);
        let dynamic: Vec<_> = filters.filter(is_dynamic).collect();
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(refused);
        if dynamic.is_empty() || matches!(phase, FilterPushdownPhase::Pre) {
            return Ok(propagation);
        }
        let mut node = self.clone();
        node.run_time_filters.extend(dynamic);
        Ok(propagation.with_updated_node(Arc::new(node)))
    }
}

fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
