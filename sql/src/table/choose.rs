//! Chooses the data files that a query reads from the manifests of a snapshot, of which there may be very many: first
//! whole manifests by what the manifest list says about their partitions, then files by vectors of their bounds and
//! partitions, one evaluation of the predicate per manifest. A bound is decoded only for the columns of the predicate,
//! and only what is left becomes a description. Next: `scan.rs`, which calls it, and `bounds.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, UInt64Array};
use arrow::array::{Date32Array, Int32Array, Int64Array, Time64MicrosecondArray};
use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::{
    Datum, ManifestFile, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema, Struct, TableMetadata,
    Transform,
};
use tarn_catalog::iceberg::{ColumnarManifest, LiveFile, Values, columnar, partition_type};
use tarn_catalog::storage::Storage;

use super::bounds::{BoundColumn, ValueRange};
use super::prune::{Buckets, WantedValues};
use crate::error::Result;

/// Manifests of one table that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// What a query wants to know of a table's files.
pub(super) struct Choice<'a> {
    pub storage: &'a Storage,
    pub metadata: &'a TableMetadata,
    /// The columns of the state that is read.
    pub columns: &'a Schema,
    pub bounded: &'a HashMap<String, BoundColumn>,
    pub predicates: Vec<PruningPredicate>,
    /// The only files that are read.
    pub only: Option<&'a HashSet<String>>,
    /// Files that are not.
    pub except: &'a HashSet<String>,
    /// The columns whose figures the descriptions have.
    pub described: Vec<i32>,
}

/// The predicates of a query that say something about ranges of values.
pub(super) fn pruning(predicates: Vec<Arc<dyn PhysicalExpr>>, schema: &SchemaRef) -> Vec<PruningPredicate> {
    let pruning = |predicate| PruningPredicate::try_new(predicate, Arc::clone(schema)).ok();
    let says = |predicate: &PruningPredicate| !predicate.always_true();
    predicates.into_iter().filter_map(pruning).filter(says).collect()
}

impl Choice<'_> {
    /// The files of these manifests in which every predicate may be true for some row, in their order.
    pub async fn files(&self, manifests: Vec<ManifestFile>) -> Result<Vec<LiveFile>> {
        let kept = self.kept(&Summaries::new(self, &manifests), manifests.len());
        let manifests = manifests.into_iter().zip(kept).filter(|(_, kept)| *kept);
        // Collected first: a closure that lives across the wait would keep the compiler from seeing that this is `Send`.
        let reads: Vec<_> = manifests
            .map(|(manifest, _)| async move { columnar(self.storage, self.metadata, &manifest).await })
            .collect();
        let manifests: Vec<Arc<ColumnarManifest>> =
            stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        let mut files = Vec::new();
        for manifest in manifests {
            let statistics = FileColumns::new(self, &manifest);
            let kept = self.kept(&statistics, manifest.len());
            for number in (0..manifest.len()).filter(|number| kept[*number]) {
                let path = manifest.path(number);
                if self.only.is_none_or(|only| only.contains(path)) && !self.except.contains(path) {
                    files.push(manifest.file(number, &self.described)?);
                }
            }
        }
        Ok(files)
    }

    /// For each container, whether every predicate may be true in it. One that cannot be evaluated leaves all in.
    fn kept(&self, statistics: &impl PruningStatistics, count: usize) -> Vec<bool> {
        let mut kept = vec![true; count];
        for predicate in &self.predicates {
            match predicate.prune(statistics) {
                Ok(more) => kept.iter_mut().zip(more).for_each(|(kept, more)| *kept &= more),
                Err(error) => tracing::debug!(%error, "files could not be pruned"),
            }
        }
        kept
    }

    fn spec(&self, id: i32) -> Option<&PartitionSpec> {
        self.metadata.partition_spec_by_id(id).map(AsRef::as_ref)
    }
}

/// Manifests as DataFusion's pruning sees them: one container each.
struct Summaries<'a> {
    choice: &'a Choice<'a>,
    manifests: &'a [ManifestFile],
}

impl<'a> Summaries<'a> {
    fn new(choice: &'a Choice<'a>, manifests: &'a [ManifestFile]) -> Summaries<'a> {
        Summaries { choice, manifests }
    }

    /// The first and last partition values that a manifest has of each field of a column.
    fn ends_of(
        &self,
        manifest: &ManifestFile,
        column: &BoundColumn,
    ) -> Vec<(Transform, Option<Datum>, Option<Datum>)> {
        let (Some(spec), Some(summaries)) =
            (self.choice.spec(manifest.partition_spec_id), &manifest.partitions)
        else {
            return Vec::new();
        };
        let Ok(types) = partition_type(self.choice.metadata, self.choice.columns, spec) else {
            return Vec::new();
        };
        let fields = spec.fields().iter().zip(types.fields()).zip(summaries);
        let own = fields.filter(|((field, _), _)| field.source_id == column.id);
        own.filter_map(|((field, typed), summary)| {
            let data_type = typed.field_type.as_primitive_type()?;
            let datum = |bytes: Option<&Vec<u8>>| Datum::try_from_bytes(bytes?, data_type.clone()).ok();
            let (first, last) = (summary.lower_bound.as_deref(), summary.upper_bound.as_deref());
            Some((field.transform, datum(first), datum(last)))
        })
        .collect()
    }

    fn range(&self, manifest: &ManifestFile, column: &BoundColumn) -> ValueRange {
        let mut range = ValueRange::default();
        for (transform, first, last) in self.ends_of(manifest, column) {
            // Truncation wraps around at the least numbers, whose partition then is the last one and has no range.
            let part = |datum: Option<Datum>| column.partition_range(transform, datum?.literal());
            if let (Some(first), Some(last)) = (part(first), part(last)) {
                range = range.intersect(ValueRange { lower: first.lower, upper: last.upper });
            }
        }
        range
    }

    fn ends(&self, column: &Column, end: fn(ValueRange) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let column = self.choice.bounded.get(column.name())?;
        let ends = self.manifests.iter().map(|manifest| end(self.range(manifest, column)));
        scalars(column, ends.collect())
    }
}

impl PruningStatistics for Summaries<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.lower)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, |range| range.upper)
    }

    fn num_containers(&self) -> usize {
        self.manifests.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    /// False for a manifest all of whose buckets lie beside those that the values fall into.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let column = self.choice.bounded.get(column.name())?;
        let wanted = WantedValues::new(column, values)?;
        let mut buckets = Buckets::new();
        let contained = |manifest: &ManifestFile| {
            if !wanted.any_within(&self.range(manifest, column)) {
                return Some(false);
            }
            for (transform, first, last) in self.ends_of(manifest, column) {
                let (Transform::Bucket(count), Some(first), Some(last)) = (transform, first, last) else {
                    continue;
                };
                let (PrimitiveLiteral::Int(first), PrimitiveLiteral::Int(last)) =
                    (first.literal(), last.literal())
                else {
                    continue;
                };
                let hit = wanted.buckets(count, &mut buckets);
                if hit.is_some_and(|hit| !hit.iter().any(|bucket| (first..=last).contains(&bucket))) {
                    return Some(false);
                }
            }
            None
        };
        Some(self.manifests.iter().map(contained).collect())
    }
}

/// The files of one manifest as DataFusion's pruning sees them: one container each.
struct FileColumns<'a> {
    choice: &'a Choice<'a>,
    manifest: &'a ColumnarManifest,
}

impl<'a> FileColumns<'a> {
    fn new(choice: &'a Choice<'a>, manifest: &'a ColumnarManifest) -> FileColumns<'a> {
        FileColumns { choice, manifest }
    }

    /// The values of a column in each of the manifest's partitions; nothing when no field of the spec tells.
    fn partition_ranges(&self, column: &BoundColumn) -> Option<Vec<ValueRange>> {
        let spec = self.choice.spec(self.manifest.spec_id())?;
        spec.fields().iter().any(|field| field.source_id == column.id).then(|| {
            let range = |partition: &Struct| column.ranges_of_partition(partition, spec);
            self.manifest.partitions().iter().map(range).collect()
        })
    }

    fn ends(&self, column: &Column, lower: bool) -> Option<ArrayRef> {
        let column = self.choice.bounded.get(column.name())?;
        let pick = |range: ValueRange| if lower { range.lower } else { range.upper };
        let partitions: Option<Vec<Option<ScalarValue>>> =
            self.partition_ranges(column).map(|ranges| ranges.into_iter().map(pick).collect());
        let known = self.manifest.column(column.id);
        if known.is_none() && partitions.is_none() {
            return None;
        }
        let values = known.map(|known| if lower { &known.lower } else { &known.upper });
        if let Some(array) = self.whole_numbers(column, values, partitions.as_deref(), lower) {
            return Some(array);
        }
        let end = |file: usize| {
            let own = self.bound(column, file, lower);
            let of_partition =
                partitions.as_ref().and_then(|ends| ends[self.manifest.partition_of(file)].clone());
            let (own, of_partition) = (one_sided(own, lower), one_sided(of_partition, lower));
            pick(own.intersect(of_partition))
        };
        scalars(column, (0..self.manifest.len()).map(end).collect())
    }

    /// The file's own bound of a column.
    fn bound(&self, column: &BoundColumn, file: usize, lower: bool) -> Option<ScalarValue> {
        let known = self.manifest.column(column.id)?;
        let floating = matches!(column.iceberg, PrimitiveType::Float | PrimitiveType::Double);
        if floating && known.nans.get(file) != Some(0) {
            return None;
        }
        let datum = if lower { known.lower.datum(file) } else { known.upper.datum(file) };
        column.bound(datum?.literal(), lower)
    }

    /// The same for types that are numbers without a fraction, which need no value of its own for each file.
    fn whole_numbers(
        &self,
        column: &BoundColumn,
        values: Option<&Values>,
        partitions: Option<&[Option<ScalarValue>]>,
        lower: bool,
    ) -> Option<ArrayRef> {
        let decode = decoder(column, values)?;
        let partitions: Option<Vec<Option<i128>>> =
            partitions.map(|ends| ends.iter().map(|end| whole_number(end.as_ref()?)).collect());
        let end = |file: usize| {
            let own = values.and_then(|values| decode(values.bytes(file)?));
            let of_partition = partitions.as_ref().and_then(|ends| ends[self.manifest.partition_of(file)]);
            match (own, of_partition) {
                (Some(own), Some(part)) => Some(if lower { own.max(part) } else { own.min(part) }),
                (own, part) => own.or(part),
            }
        };
        array_of(&column.arrow, (0..self.manifest.len()).map(end))
    }
}

impl PruningStatistics for FileColumns<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, true)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, false)
    }

    fn num_containers(&self) -> usize {
        self.manifest.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let known = self.manifest.column(self.choice.bounded.get(column.name())?.id)?;
        Some(Arc::new((0..self.manifest.len()).map(|file| known.nulls.get(file)).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = (0..self.manifest.len()).map(|file| Some(self.manifest.rows(file)));
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    /// For long IN lists, which have no range worth looking at, and for bucket partitions, which have no order.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let column = self.choice.bounded.get(column.name())?;
        let spec = self.choice.spec(self.manifest.spec_id())?;
        let wanted = WantedValues::new(column, values)?;
        let mut buckets = Buckets::new();
        let in_bucket: Vec<bool> = self
            .manifest
            .partitions()
            .iter()
            .map(|partition| wanted.any_in_bucket(column, partition, spec, &mut buckets))
            .collect();
        let partitions = self.partition_ranges(column);
        let contained = |file: usize| {
            let partition = self.manifest.partition_of(file);
            if !in_bucket[partition] {
                return Some(false);
            }
            let own = |lower: bool| self.bound(column, file, lower);
            let mut range = ValueRange { lower: own(true), upper: own(false) };
            if let Some(partitions) = &partitions {
                range = range.intersect(partitions[partition].clone());
            }
            let nulls = self.manifest.column(column.id).and_then(|known| known.nulls.get(file));
            wanted.contained_in(&range, nulls)
        };
        Some((0..self.manifest.len()).map(contained).collect())
    }
}

fn one_sided(end: Option<ScalarValue>, lower: bool) -> ValueRange {
    if lower { ValueRange { lower: end, upper: None } } else { ValueRange { lower: None, upper: end } }
}

/// Ends as an array; nothing when none is known.
fn scalars(column: &BoundColumn, ends: Vec<Option<ScalarValue>>) -> Option<ArrayRef> {
    if ends.iter().all(Option::is_none) {
        return None;
    }
    let unknown = ScalarValue::try_new_null(&column.arrow).ok()?;
    ScalarValue::iter_to_array(ends.into_iter().map(|end| end.unwrap_or_else(|| unknown.clone()))).ok()
}

/// Reads a bound's bytes as a number.
type Decoder = fn(&[u8]) -> Option<i128>;

/// How a bound's bytes become a number of the column's unit; nothing for other types, or when the values were written
/// with a type that needs more than being read wider.
fn decoder(column: &BoundColumn, values: Option<&Values>) -> Option<Decoder> {
    use PrimitiveType as Type;
    fn four(bytes: &[u8]) -> Option<i128> {
        Some(i32::from_le_bytes(bytes.try_into().ok()?).into())
    }
    fn eight(bytes: &[u8]) -> Option<i128> {
        Some(i64::from_le_bytes(bytes.try_into().ok()?).into())
    }
    fn big_endian(bytes: &[u8]) -> Option<i128> {
        let negative = bytes.first()? & 0x80 != 0;
        let mut wide = if negative { [0xff; 16] } else { [0; 16] };
        wide.get_mut(16usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        Some(i128::from_be_bytes(wide))
    }
    let written = values.and_then(Values::data_type).unwrap_or(&column.iceberg);
    match (&column.iceberg, written) {
        (Type::Int | Type::Long, Type::Int) | (Type::Date, Type::Date) => Some(four),
        (Type::Long, Type::Long) | (Type::Time, Type::Time) => Some(eight),
        (own @ (Type::Timestamp | Type::Timestamptz | Type::TimestampNs | Type::TimestamptzNs), written)
            if own == written =>
        {
            Some(eight)
        }
        (Type::Decimal { scale, .. }, Type::Decimal { scale: written, .. }) if scale == written => {
            Some(big_endian)
        }
        _ => None,
    }
}

fn whole_number(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => (*value).into(),
        ScalarValue::Int64(Some(value))
        | ScalarValue::Time64Microsecond(Some(value))
        | ScalarValue::TimestampMicrosecond(Some(value), _)
        | ScalarValue::TimestampNanosecond(Some(value), _) => (*value).into(),
        ScalarValue::Decimal128(Some(value), _, _) => *value,
        _ => return None,
    })
}

/// Numbers as an array of the column's type; one that does not fit is not known.
fn array_of(data_type: &DataType, numbers: impl Iterator<Item = Option<i128>>) -> Option<ArrayRef> {
    let four = |number: Option<i128>| number.and_then(|number| i32::try_from(number).ok());
    let eight = |number: Option<i128>| number.and_then(|number| i64::try_from(number).ok());
    Some(match data_type {
        DataType::Int32 => Arc::new(numbers.map(four).collect::<Int32Array>()),
        DataType::Date32 => Arc::new(numbers.map(four).collect::<Date32Array>()),
        DataType::Int64 => Arc::new(numbers.map(eight).collect::<Int64Array>()),
        DataType::Time64(TimeUnit::Microsecond) => {
            Arc::new(numbers.map(eight).collect::<Time64MicrosecondArray>())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let array = numbers.map(eight).collect::<TimestampMicrosecondArray>();
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let array = numbers.map(eight).collect::<TimestampNanosecondArray>();
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let array = numbers.collect::<Decimal128Array>();
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        _ => return None,
    })
}
