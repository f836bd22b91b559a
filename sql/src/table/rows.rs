//! Leaves out row groups and pages of a file whose rows are counted. The Parquet reader does this for other scans; a
//! reader that left rows out by itself would make the positions wrong. Next: `access.rs` for the plan.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::datasource::physical_plan::parquet::{
    PagePruningAccessPlanFilter, ParquetAccessPlan, RowGroupAccessPlanFilter,
    apply_file_schema_type_coercions,
};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprSimplifier, conjunction, split_conjunction};
use datafusion::physical_expr_adapter::{PhysicalExprAdapterFactory, replace_columns_with_literals};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::footer::TableFile;

type EngineResult<T> = datafusion::common::Result<T>;

/// A predicate over the table's columns, and what it takes to ask a file about it.
pub(crate) struct RowPruning {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    adapters: Arc<dyn PhysicalExprAdapterFactory>,
    partition: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl RowPruning {
    /// Nothing, when the predicate is about hidden columns alone. `schema` is what the Parquet reader knows.
    pub fn new(
        predicate: &Arc<dyn PhysicalExpr>,
        schema: SchemaRef,
        adapters: Arc<dyn PhysicalExprAdapterFactory>,
        partition: usize,
        metrics: ExecutionPlanMetricsSet,
    ) -> Option<RowPruning> {
        let stored = |part: &&Arc<dyn PhysicalExpr>| {
            collect_columns(part).iter().all(|column| schema.index_of(column.name()).is_ok())
        };
        let parts: Vec<_> = split_conjunction(predicate).into_iter().filter(stored).cloned().collect();
        if parts.is_empty() {
            return None;
        }
        Some(RowPruning { predicate: conjunction(parts), schema, adapters, partition, metrics })
    }

    /// The plan without the row groups and pages in which the predicate is true for no row.
    pub fn prune(
        &self,
        plan: ParquetAccessPlan,
        footer: &ParquetMetaData,
        file: &PartitionedFile,
        about: &TableFile,
    ) -> EngineResult<ParquetAccessPlan> {
        let file_metadata = footer.file_metadata();
        let parquet = file_metadata.schema_descr();
        let mut schema = parquet_to_arrow_schema(parquet, file_metadata.key_value_metadata())?;
        if let Some(coerced) = apply_file_schema_type_coercions(&self.schema, &schema) {
            schema = coerced;
        }
        let schema: SchemaRef = Arc::new(schema);
        let constants = about.constants.iter();
        let constants = constants.map(|(place, value)| (self.schema.field(*place).name().as_str(), value));
        let predicate = replace_columns_with_literals(Arc::clone(&self.predicate), &constants.collect())?;
        let adapter = self.adapters.create(Arc::clone(&self.schema), Arc::clone(&schema))?;
        let predicate = PhysicalExprSimplifier::new(&schema).simplify(adapter.rewrite(predicate)?)?;
        let name = file.object_meta.location.as_ref();
        let metrics = ParquetFileMetrics::new(self.partition, name, &self.metrics);
        let mut groups = RowGroupAccessPlanFilter::new(plan);
        if let Ok(pruning) = PruningPredicate::try_new(Arc::clone(&predicate), Arc::clone(&schema)) {
            groups.prune_by_statistics(&schema, parquet, footer.row_groups(), &pruning, &metrics);
        }
        let plan = groups.build();
        let pages = PagePruningAccessPlanFilter::new(&predicate, Arc::clone(&schema));
        if pages.filter_number() == 0 || footer.column_index().is_none() || footer.offset_index().is_none() {
            return Ok(plan);
        }
        Ok(pages.prune_plan_with_page_index(plan, &schema, parquet, footer, &metrics))
    }
}

/// The plan without the row groups that another part of the scan reads: a part reads those that start in its range.
pub(crate) fn within_range(
    plan: ParquetAccessPlan,
    groups: &[RowGroupMetaData],
    range: Option<&FileRange>,
) -> ParquetAccessPlan {
    let Some(range) = range else { return plan };
    let mut plan = RowGroupAccessPlanFilter::new(plan);
    plan.prune_by_range(groups, range);
    plan.build()
}
