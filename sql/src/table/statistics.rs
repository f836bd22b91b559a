//! What the optimizer is told about a file. It answers COUNT, MIN and MAX from figures that are called exact, and
//! the Parquet reader replaces a column by a constant on their word (trap T4), so a figure is exact only when it is
//! a promise; everything else is an estimate or absent. It must never read a file. Next: `scan.rs`.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use iceberg::spec::{DataFile, PrimitiveType};
use tarn_catalog::iceberg::FileDeletes;

use super::bounds::{BoundColumn, ValueRange};

/// The statistics of one file over the whole table schema. Columns that are not in `wanted` stay unknown, so that a
/// wide table costs what a query reads of it. Of a file with deletes nothing is exact but, where it is known, the
/// number of rows that are left (trap T4).
pub(crate) fn file_statistics(
    file: &DataFile,
    schema: &SchemaRef,
    wanted: &[WantedColumn],
    rows: LiveRows,
) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    let all = usize::try_from(file.record_count()).unwrap_or(usize::MAX);
    for column in wanted {
        if let Some(slot) = statistics.column_statistics.get_mut(column.position) {
            *slot = column.statistics(file, schema, all);
        }
    }
    let left = |rows: u64| Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
    match rows {
        LiveRows::All => statistics.num_rows = Precision::Exact(all),
        LiveRows::Exactly(rows) => {
            statistics = statistics.to_inexact();
            statistics.num_rows = left(rows);
        }
        LiveRows::AtMost => {
            statistics.num_rows = Precision::Inexact(all);
            statistics = statistics.to_inexact();
        }
    }
    statistics
}

/// How many rows of a file are live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveRows {
    All,
    /// A deletion vector counts its rows.
    Exactly(u64),
    /// Position-delete files may name a row twice, and what equality deletes hit is not known.
    AtMost,
}

impl LiveRows {
    pub fn of(file: &DataFile, deletes: &FileDeletes) -> LiveRows {
        let Some(positions) = &deletes.positions else {
            return if deletes.equality.is_empty() { LiveRows::All } else { LiveRows::AtMost };
        };
        match positions.vector() {
            Some(vector) if deletes.equality.is_empty() => {
                LiveRows::Exactly(file.record_count().saturating_sub(vector.file.record_count()))
            }
            _ => LiveRows::AtMost,
        }
    }

    /// As many rows are there for sure.
    pub fn at_least(self, file: &DataFile) -> u64 {
        match self {
            LiveRows::All => file.record_count(),
            LiveRows::Exactly(rows) => rows,
            LiveRows::AtMost => 0,
        }
    }
}

/// A column that a query reads.
pub(crate) struct WantedColumn {
    /// Where it is in the table's schema.
    pub position: usize,
    pub id: i32,
    /// What its bounds mean; nested columns have none.
    pub bounds: Option<BoundColumn>,
}

impl WantedColumn {
    fn statistics(&self, file: &DataFile, schema: &Schema, rows: usize) -> ColumnStatistics {
        let mut statistics = ColumnStatistics::new_unknown();
        statistics.byte_size = self.byte_size(file, schema, rows);
        let Some(bounds) = &self.bounds else {
            return statistics;
        };
        if let Some(nulls) =
            file.null_value_counts().get(&self.id).and_then(|nulls| usize::try_from(*nulls).ok())
        {
            statistics.null_count = Precision::Exact(nulls);
        }
        let ValueRange { lower, upper } = bounds.bounds(file);
        statistics.min_value = promise(&bounds.iceberg, lower);
        statistics.max_value = promise(&bounds.iceberg, upper);
        statistics
    }

    /// Only an estimate for what has no fixed width: the size on disk is the one figure a manifest has.
    fn byte_size(&self, file: &DataFile, schema: &Schema, rows: usize) -> Precision<usize> {
        let width = schema.fields().get(self.position).and_then(|field| field.data_type().primitive_width());
        match (width, file.column_sizes().get(&self.id)) {
            (Some(width), _) => Precision::Exact(width.saturating_mul(rows)),
            (None, Some(size)) => usize::try_from(*size).map(Precision::Inexact).unwrap_or(Precision::Absent),
            (None, None) => Precision::Absent,
        }
    }
}

/// How much a bound may be trusted: text and bytes are truncated by most writers, and a bound of zero does not say
/// which of the two floating zeros is in the file.
fn promise(data_type: &PrimitiveType, bound: Option<ScalarValue>) -> Precision<ScalarValue> {
    let bound = match bound {
        // DataFusion counts the values between two bounds in 64 bits, which all of them together overflow.
        None
        | Some(ScalarValue::Int64(Some(i64::MIN)))
        | Some(ScalarValue::TimestampMicrosecond(Some(i64::MIN), _))
        | Some(ScalarValue::TimestampNanosecond(Some(i64::MIN), _)) => return Precision::Absent,
        Some(bound) => bound,
    };
    match data_type {
        PrimitiveType::String | PrimitiveType::Binary | PrimitiveType::Fixed(_) | PrimitiveType::Uuid => {
            Precision::Inexact(bound)
        }
        PrimitiveType::Float | PrimitiveType::Double => match bound {
            ScalarValue::Float32(Some(0.0)) | ScalarValue::Float64(Some(0.0)) => Precision::Inexact(bound),
            _ => Precision::Exact(bound),
        },
        PrimitiveType::Boolean
        | PrimitiveType::Int
        | PrimitiveType::Long
        | PrimitiveType::Decimal { .. }
        | PrimitiveType::Date
        | PrimitiveType::Time
        | PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => Precision::Exact(bound),
    }
}
