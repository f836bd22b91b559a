//! What a statement read, as a question to data files that others add meanwhile: may one of them hold a row that the
//! statement would have looked at? Asked inside the commit, of descriptions alone; it must never read a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use iceberg::spec::TableMetadata;
use tarn_catalog::iceberg::{AnyFile, FileFilter, LiveFile};

use super::bounds::{BoundColumn, ValueRange};
use super::prune::{Buckets, SpecifiedFile, WantedValues, may_match};
use super::scan::{IcebergTable, without_views};
use crate::plan::{Seen, SeenColumn};

/// Files in which every one of some conditions may be true for a row that has a key of each kind.
#[derive(Debug)]
struct Conditions {
    schema: SchemaRef,
    columns: HashMap<String, BoundColumn>,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    keys: Vec<Key>,
}

/// A column that has one of some values.
struct Key {
    column: BoundColumn,
    values: KeyValues,
}

enum KeyValues {
    Some(WantedValues),
    Between(ValueRange),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("column", &self.column).finish_non_exhaustive()
    }
}

impl Key {
    /// None for a column without bounds, and for values that cannot be compared with them.
    fn new(key: SeenColumn, columns: &HashMap<String, BoundColumn>) -> Option<Key> {
        let column = columns.get(&key.name)?.clone();
        let values = match key.seen {
            Seen::Values(values) => KeyValues::Some(WantedValues::new(&column, &values)?),
            Seen::Range(lowest, highest) => {
                let comparable = [&lowest, &highest].iter().all(|end| end.data_type() == column.arrow);
                comparable.then_some(())?;
                KeyValues::Between(ValueRange { lower: Some(lowest), upper: Some(highest) })
            }
        };
        Some(Key { column, values })
    }

    fn may_be_in(&self, file: &SpecifiedFile, buckets: &mut Buckets) -> bool {
        let range = self.column.range(file.file(), &file.spec);
        match &self.values {
            KeyValues::Some(wanted) => {
                wanted.any_in_bucket(&self.column, file.file().partition(), &file.spec, buckets)
                    && wanted.any_within(&range)
            }
            KeyValues::Between(between) => {
                let ordered = |low: &Option<ScalarValue>, high: &Option<ScalarValue>| match (low, high) {
                    (Some(low), Some(high)) => low <= high,
                    _ => true,
                };
                ordered(&range.lower, &between.upper) && ordered(&between.lower, &range.upper)
            }
        }
    }
}

impl IcebergTable {
    /// The files in which a row may satisfy all of `conditions`, which are about this table's columns alone, and have in
    /// each column of `keys` a value that was seen.
    pub(crate) fn file_filter(
        &self,
        state: &dyn Session,
        conditions: &[Expr],
        keys: Vec<SeenColumn>,
    ) -> Arc<dyn FileFilter> {
        let (schema, columns) = self.pruning();
        let Ok(names) = DFSchema::try_from(Arc::clone(schema)) else { return Arc::new(AnyFile) };
        let plain = |condition: &Expr| {
            let condition = without_views(unqualified(condition.clone())?)?;
            state.create_physical_expr(condition, &names)
        };
        let conditions: Vec<_> = conditions.iter().filter_map(|condition| plain(condition).ok()).collect();
        let keys: Vec<Key> = keys.into_iter().filter_map(|key| Key::new(key, columns)).collect();
        if conditions.is_empty() && keys.is_empty() {
            return Arc::new(AnyFile);
        }
        Arc::new(Conditions { schema: Arc::clone(schema), columns: columns.clone(), conditions, keys })
    }
}

/// The same condition over columns without the name of their table.
pub(super) fn unqualified(condition: Expr) -> datafusion::common::Result<Expr> {
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
        for key in &self.keys {
            let mut buckets = Buckets::new();
            let answers = files.iter().map(|file| key.may_be_in(file, &mut buckets));
            matching.iter_mut().zip(answers).for_each(|(all, answer)| *all = *all && answer);
        }
        matching
    }
}
