//! A system table as the engine sees it: rows are built when the plan runs, for the columns and keys the query asks
//! for. Keys come from the query's filters and, at run time, from a hash join that already knows its other side
//! (`pg_attribute` joined to one row of `pg_class` reads one table's columns, not everybody's).

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::context::SystemContext;
use super::declared::Declared;
use super::exec::SystemTableExec;
use super::keys::{Keys, is_key};
use super::rows::Scan;

/// One system table, for one statement.
#[derive(Debug)]
pub struct SystemTable {
    declared: &'static Declared,
    context: Arc<SystemContext>,
}

impl SystemTable {
    pub fn new(declared: &'static Declared, context: Arc<SystemContext>) -> SystemTable {
        SystemTable { declared, context }
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.declared.arrow.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// Inexact, because a builder may return more than the keys admit.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_key(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.declared.columns.len()).collect();
        let scan = Scan {
            context: self.context.clone(),
            declared: self.declared,
            keys: Keys::from_filters(filters),
            projection: projection.cloned().unwrap_or_else(all),
        };
        Ok(Arc::new(SystemTableExec::try_new(scan)?))
    }
}
