//! What a statement read, as a question to data files that others add meanwhile: may one of them hold a row that the
//! statement would have looked at? Asked inside the commit, of descriptions alone; it must never read a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use iceberg::spec::TableMetadata;
use tarn_catalog::iceberg::{AnyFile, FileFilter, LiveFile};

use super::bounds::BoundColumn;
use super::prune::{SpecifiedFile, may_match};
use super::scan::{IcebergTable, without_views};

/// Files in which every one of some conditions may be true for a row.
#[derive(Debug)]
struct Conditions {
    schema: SchemaRef,
    columns: HashMap<String, BoundColumn>,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
}

impl IcebergTable {
    /// The files in which a row may satisfy all of `conditions`, which are about this table's columns alone.
    pub fn file_filter(&self, state: &dyn Session, conditions: &[Expr]) -> Arc<dyn FileFilter> {
        let (schema, columns) = self.pruning();
        let Ok(names) = DFSchema::try_from(Arc::clone(schema)) else { return Arc::new(AnyFile) };
        let plain = |condition: &Expr| {
            let condition = without_views(unqualified(condition.clone())?)?;
            state.create_physical_expr(condition, &names)
        };
        let conditions: Vec<_> = conditions.iter().filter_map(|condition| plain(condition).ok()).collect();
        if conditions.is_empty() {
            return Arc::new(AnyFile);
        }
        Arc::new(Conditions { schema: Arc::clone(schema), columns: columns.clone(), conditions })
    }
}

fn unqualified(condition: Expr) -> datafusion::common::Result<Expr> {
    let plain = |expression: Expr| match expression {
        Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
        other => Transformed::no(other),
    };
    condition.transform(|expression| Ok(plain(expression))).data()
}

impl FileFilter for Conditions {
    fn may_match(&self, metadata: &TableMetadata, files: &[LiveFile]) -> Vec<bool> {
        let specified = |live: &LiveFile| {
            let spec = metadata.partition_spec_by_id(live.spec_id)?;
            Some(SpecifiedFile { live: live.clone(), spec: Arc::clone(spec) })
        };
        let Some(files) = files.iter().map(specified).collect::<Option<Vec<_>>>() else {
            return vec![true; files.len()];
        };
        let mut matching = vec![true; files.len()];
        for condition in &self.conditions {
            let answers = may_match(condition, &self.schema, &self.columns, &files);
            matching.iter_mut().zip(answers).for_each(|(all, answer)| *all = *all && answer);
        }
        matching
    }
}
