//! Counts and bounds of a data file's columns, collected from the batches that are written into it.
//!
//! Readers of every engine skip files by these bounds, so a bound that is too tight loses rows. They are taken from the
//! values themselves, all of them, and never put together from the statistics of row groups, some of which may be
//! missing (trap T3). Where a bound cannot be stated for certain it is left out.
//!
//! Iceberg keeps no bounds for what is inside lists and maps, and neither counts there are of use; both are left out.
mod bounds;
mod mode;
mod truncate;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use iceberg::spec::{Datum, NestedField, PrimitiveType, Schema, Type};

use self::bounds::{Value, bounds_of};
pub use self::mode::Mode;
use crate::error::{Error, Result};

/// What is known of one column of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnMetrics {
    /// Values, nulls included.
    pub value_count: u64,
    pub null_count: u64,
    /// Only of float and double columns.
    pub nan_count: Option<u64>,
    /// Not above any value that is neither null nor NaN.
    pub lower: Option<Datum>,
    /// Not below any value that is neither null nor NaN.
    pub upper: Option<Datum>,
}

impl ColumnMetrics {
    /// What is known of two parts of a column together. A bound that one part lacks although it has values is lacking.
    pub fn merge(self, other: ColumnMetrics) -> ColumnMetrics {
        let (one, two) = (self.has_values(), other.has_values());
        let bound = |one_bound: Option<Datum>, two_bound: Option<Datum>, wanted: Ordering| match (one, two) {
            (false, _) => two_bound,
            (_, false) => one_bound,
            _ => match (one_bound, two_bound) {
                (Some(one), Some(two)) => {
                    one.partial_cmp(&two).map(|order| if order == wanted { one } else { two })
                }
                _ => None,
            },
        };
        ColumnMetrics {
            value_count: self.value_count + other.value_count,
            null_count: self.null_count + other.null_count,
            nan_count: self.nan_count.zip(other.nan_count).map(|(one, two)| one + two),
            lower: bound(self.lower, other.lower, Ordering::Less),
            upper: bound(self.upper, other.upper, Ordering::Greater),
        }
    }

    fn has_values(&self) -> bool {
        self.value_count > self.null_count + self.nan_count.unwrap_or(0)
    }
}

/// Watches the batches that go into one file.
#[derive(Debug)]
pub struct Collector {
    columns: Vec<Column>,
}

#[derive(Debug)]
enum Column {
    Leaf(Leaf),
    Struct(Vec<Column>),
    /// Lists, maps and what is in them.
    Opaque,
}

#[derive(Debug)]
struct Leaf {
    field: i32,
    kind: PrimitiveType,
    mode: Mode,
    values: u64,
    nulls: u64,
    nans: u64,
    lower: Option<Value>,
    upper: Option<Value>,
    /// Some values could not be looked at, so there are no bounds.
    unknown: bool,
}

impl Collector {
    /// For a table without `write.metadata.metrics.*` properties.
    pub fn new(schema: &Schema) -> Collector {
        Collector::with_properties(schema, &HashMap::new())
    }

    /// As the table's properties ask.
    pub fn with_properties(schema: &Schema, properties: &HashMap<String, String>) -> Collector {
        let mut modes = mode::Modes::new(properties);
        let fields = schema.as_struct().fields();
        Collector { columns: fields.iter().map(|field| Column::new(field, "", &mut modes)).collect() }
    }

    /// Looks at a batch. Its columns are those of the table's schema, in that order and of their types.
    pub fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal(format!(
                "a batch has {} columns and its table {}",
                batch.num_columns(),
                self.columns.len()
            )));
        }
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.observe(array, None)?;
        }
        Ok(())
    }

    /// The metrics of all that was observed, by field id.
    pub fn finish(self) -> Result<HashMap<i32, ColumnMetrics>> {
        let mut metrics = HashMap::new();
        for column in self.columns {
            column.finish(&mut metrics)?;
        }
        Ok(metrics)
    }
}

impl Column {
    fn new(field: &NestedField, above: &str, modes: &mut mode::Modes<'_>) -> Column {
        let name = if above.is_empty() { field.name.clone() } else { format!("{above}.{}", field.name) };
        match field.field_type.as_ref() {
            Type::Primitive(kind) => Column::Leaf(Leaf {
                field: field.id,
                kind: kind.clone(),
                mode: modes.next(&name),
                values: 0,
                nulls: 0,
                nans: 0,
                lower: None,
                upper: None,
                unknown: false,
            }),
            Type::Struct(inner) => {
                Column::Struct(inner.fields().iter().map(|field| Column::new(field, &name, modes)).collect())
            }
            Type::List(_) | Type::Map(_) => Column::Opaque,
        }
    }

    /// `outer` has the nulls of the structs around this column; a value inside a null struct is null.
    fn observe(&mut self, array: &ArrayRef, outer: Option<&NullBuffer>) -> Result<()> {
        match self {
            Column::Opaque => Ok(()),
            Column::Leaf(leaf) => leaf.observe(array, outer),
            Column::Struct(columns) => {
                let Some(parts) = array.as_struct_opt().filter(|parts| parts.num_columns() == columns.len())
                else {
                    return Err(Error::internal(format!("a struct column arrives as {}", array.data_type())));
                };
                let nulls = NullBuffer::union(outer, parts.nulls());
                for (column, part) in columns.iter_mut().zip(parts.columns()) {
                    column.observe(part, nulls.as_ref())?;
                }
                Ok(())
            }
        }
    }

    fn finish(self, metrics: &mut HashMap<i32, ColumnMetrics>) -> Result<()> {
        match self {
            Column::Opaque => {}
            Column::Leaf(leaf) if leaf.mode == Mode::None => {}
            Column::Leaf(leaf) => {
                metrics.insert(leaf.field, leaf.finish()?);
            }
            Column::Struct(columns) => {
                for column in columns {
                    column.finish(metrics)?;
                }
            }
        }
        Ok(())
    }
}

impl Leaf {
    fn observe(&mut self, array: &ArrayRef, outer: Option<&NullBuffer>) -> Result<()> {
        if self.mode == Mode::None {
            return Ok(());
        }
        let array = with_nulls(array, outer)?;
        self.values += array.len() as u64;
        self.nulls += array.logical_null_count() as u64;
        let Some(part) = bounds_of(&array, &self.kind, self.mode.kept()) else {
            self.unknown = true;
            return Ok(());
        };
        self.nans += part.nans;
        self.lower = Value::pick(self.lower.take(), part.lower, Ordering::Less);
        self.upper = Value::pick(self.upper.take(), part.upper, Ordering::Greater);
        Ok(())
    }

    fn finish(self) -> Result<ColumnMetrics> {
        let floating = matches!(self.kind, PrimitiveType::Float | PrimitiveType::Double);
        let (lower, upper) = if self.unknown || self.mode == Mode::Counts {
            (None, None)
        } else {
            let lower = self.lower.map(|value| value.into_lower(&self.kind)).transpose()?;
            (lower, self.upper.map(|value| value.into_upper(&self.kind)).transpose()?.flatten())
        };
        Ok(ColumnMetrics {
            value_count: self.values,
            null_count: self.nulls,
            nan_count: (floating && !self.unknown).then_some(self.nans),
            lower,
            upper,
        })
    }
}

/// The array with the nulls of the structs around it.
fn with_nulls(array: &ArrayRef, outer: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(outer) = outer.filter(|outer| outer.null_count() > 0) else { return Ok(Arc::clone(array)) };
    let absent = BooleanArray::new(!outer.inner(), None);
    arrow::compute::nullif(array, &absent)
        .map_err(|source| Error::internal("the nulls of a struct cannot be applied").with_source(source))
}

#[cfg(test)]
mod tests;
