//! Leaves out the files that cannot hold a row a query wants, before any of them is opened: DataFusion evaluates the
//! predicate once over arrays with one entry per file. A partition is turned into a range of its source column
//! (`bounds.rs`), so the predicate needs no projection and every file may have a partition spec of its own.
//! It must never read a file. Next: `scan.rs`, which calls it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::datatypes::{Int32Type, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use iceberg::spec::{
    DataFile, Literal, PartitionSpec, PartitionSpecRef, PrimitiveLiteral, Struct, Transform,
};
use iceberg::transform::create_transform_function;
use tarn_catalog::iceberg::LiveFile;

use super::bounds::{BoundColumn, ValueRange};

/// One data file and the partition spec it was written under.
#[derive(Debug, Clone)]
pub(crate) struct SpecifiedFile {
    pub live: LiveFile,
    pub spec: PartitionSpecRef,
}

impl SpecifiedFile {
    pub fn file(&self) -> &DataFile {
        &self.live.file
    }
}

/// For each file, whether it may hold a row for which `predicate` is true. A predicate that cannot be turned into
/// one over ranges leaves every file in.
pub(crate) fn may_match(
    predicate: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    columns: &HashMap<String, BoundColumn>,
    files: &[SpecifiedFile],
) -> Vec<bool> {
    let all = || vec![true; files.len()];
    let Ok(pruning) = PruningPredicate::try_new(Arc::clone(predicate), Arc::clone(schema)) else {
        return all();
    };
    if pruning.always_true() {
        return all();
    }
    match pruning.prune(&FileStatistics { columns, files }) {
        Ok(kept) => kept,
        Err(error) => {
            tracing::debug!(%error, "files could not be pruned");
            all()
        }
    }
}

/// The files as DataFusion's pruning sees them: one container each.
struct FileStatistics<'a> {
    columns: &'a HashMap<String, BoundColumn>,
    files: &'a [SpecifiedFile],
}

impl FileStatistics<'_> {
    fn ranges(&self, column: &BoundColumn) -> Vec<ValueRange> {
        self.files.iter().map(|file| column.range(file.file(), &file.spec)).collect()
    }

    /// One end of each file's range as an array; nothing when no file has it.
    fn ends(&self, column: &Column, end: impl Fn(ValueRange) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let column = self.columns.get(column.name())?;
        let ends: Vec<Option<ScalarValue>> = self.ranges(column).into_iter().map(end).collect();
        if ends.iter().all(Option::is_none) {
            return None;
        }
        let unknown = ScalarValue::try_new_null(&column.arrow).ok()?;
        ScalarValue::iter_to_array(ends.into_iter().map(|end| end.unwrap_or_else(|| unknown.clone()))).ok()
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.upper)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let column = self.columns.get(column.name())?;
        let nulls = |file: &SpecifiedFile| file.file().null_value_counts().get(&column.id).copied();
        Some(Arc::new(self.files.iter().map(nulls).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = |file: &SpecifiedFile| Some(file.file().record_count());
        Some(Arc::new(self.files.iter().map(rows).collect::<UInt64Array>()))
    }

    /// For long IN lists, which have no range worth looking at, and for bucket partitions, which have no order.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let column = self.columns.get(column.name())?;
        let wanted = WantedValues::new(column, values)?;
        let mut buckets = HashMap::new();
        let contained = |file: &SpecifiedFile| wanted.contained(column, file, &mut buckets);
        Some(self.files.iter().map(contained).collect())
    }
}

/// The values that a predicate compares a column with, in order.
pub(super) struct WantedValues {
    sorted: Vec<ScalarValue>,
}

/// The buckets that some wanted value falls into, by the number of buckets; `None` when they cannot be computed.
pub(super) type Buckets = HashMap<u32, Option<HashSet<i32>>>;

impl WantedValues {
    pub fn new(column: &BoundColumn, values: &HashSet<ScalarValue>) -> Option<WantedValues> {
        let comparable = |value: &ScalarValue| value.data_type() == column.arrow && !value.is_null();
        if !values.iter().all(comparable) {
            return None;
        }
        let mut sorted: Vec<ScalarValue> = values.iter().cloned().collect();
        sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        Some(WantedValues { sorted })
    }

    fn contained(&self, column: &BoundColumn, file: &SpecifiedFile, buckets: &mut Buckets) -> Option<bool> {
        let (partition, nulls) = (file.file().partition(), file.file().null_value_counts());
        if !self.any_in_bucket(column, partition, &file.spec, buckets) {
            return Some(false);
        }
        self.contained_in(&column.range(file.file(), &file.spec), nulls.get(&column.id).copied())
    }

    /// False when the range has none of the values, true when it has nothing else, `None` when neither is known.
    pub fn contained_in(&self, range: &ValueRange, nulls: Option<u64>) -> Option<bool> {
        if !self.any_within(range) {
            return Some(false);
        }
        let only = range.lower.is_some() && range.lower == range.upper;
        // A range of one value may be a truncated text, which stands for longer ones too.
        let exact = !matches!(range.lower, Some(ScalarValue::Utf8(_) | ScalarValue::Utf8View(_)))
            && !matches!(range.lower, Some(ScalarValue::Binary(_) | ScalarValue::BinaryView(_)));
        (only && exact && nulls == Some(0)).then_some(true)
    }

    pub fn any_within(&self, range: &ValueRange) -> bool {
        let first = match &range.lower {
            Some(lower) => self.sorted.partition_point(|value| value < lower),
            None => 0,
        };
        match (self.sorted.get(first), &range.upper) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(value), Some(upper)) => value <= upper,
        }
    }

    /// Whether a partition may hold one of the values, as far as its buckets tell.
    pub fn any_in_bucket(
        &self,
        column: &BoundColumn,
        partition: &Struct,
        spec: &PartitionSpec,
        buckets: &mut Buckets,
    ) -> bool {
        let fields = spec.fields().iter().zip(partition.iter());
        for (field, value) in fields.filter(|(field, _)| field.source_id == column.id) {
            let Transform::Bucket(count) = field.transform else {
                continue;
            };
            let Some(wanted) = self.buckets(count, buckets) else {
                continue;
            };
            match value {
                Some(Literal::Primitive(PrimitiveLiteral::Int(bucket))) if !wanted.contains(bucket) => {
                    return false;
                }
                // The bucket of NULL holds no value at all.
                None => return false,
                _ => {}
            }
        }
        true
    }

    /// The buckets that the values fall into; nothing when they cannot be computed.
    pub fn buckets<'b>(&self, count: u32, known: &'b mut Buckets) -> Option<&'b HashSet<i32>> {
        known.entry(count).or_insert_with(|| self.hashed(count)).as_ref()
    }

    fn hashed(&self, count: u32) -> Option<HashSet<i32>> {
        let function = create_transform_function(&Transform::Bucket(count)).ok()?;
        let values = ScalarValue::iter_to_array(self.sorted.iter().cloned()).ok()?;
        let buckets = function.transform(values).ok()?;
        let buckets = buckets.as_primitive_opt::<Int32Type>()?;
        (buckets.null_count() == 0).then(|| buckets.values().iter().copied().collect())
    }
}
