//! Columns of a data file as the table has them today: widened, with their struct fields found by id at every depth,
//! and with the initial default or NULL where the file is older than the column. `naming.rs` has given the file's
//! columns their names of today before. It must never read a file. Next: `source.rs`, which hands it to the reader.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::naming::FILE_KEY;
use crate::error::Error;
use crate::sqlstate::SqlState;

type EngineResult<T> = datafusion::common::Result<T>;

/// The initial defaults of a table.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    /// Those of columns, by name.
    pub columns: HashMap<String, ScalarValue>,
    /// Those of all fields, nested ones too, by id.
    pub fields: HashMap<i32, ScalarValue>,
}

/// Adapts expressions over the table's columns to the columns of each file.
#[derive(Debug)]
pub(crate) struct Evolution {
    pub defaults: Arc<Defaults>,
}

impl PhysicalExprAdapterFactory for Evolution {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        Ok(Arc::new(FileEvolution { table, file, defaults: Arc::clone(&self.defaults) }))
    }
}

#[derive(Debug)]
struct FileEvolution {
    table: SchemaRef,
    file: SchemaRef,
    defaults: Arc<Defaults>,
}

impl PhysicalExprAdapter for FileEvolution {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let adapted = |expression: Arc<dyn PhysicalExpr>| match expression.downcast_ref::<Column>() {
            Some(column) => self.column(column).map(Transformed::yes),
            None => Ok(Transformed::no(expression)),
        };
        expression.transform(adapted).data()
    }
}

impl FileEvolution {
    fn column(&self, column: &Column) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let wanted = self.table.field_with_name(column.name())?;
        let Ok(place) = self.file.index_of(column.name()) else {
            return self.missing(wanted);
        };
        let found = self.file.field(place);
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(found.name(), place));
        if found.data_type() == wanted.data_type() {
            return Ok(column);
        }
        if !readable(found.data_type(), wanted.data_type()) {
            return Err(of_file(misfit(wanted, found), &self.file));
        }
        if wanted.data_type().is_nested() {
            let target = Arc::new(wanted.clone());
            return Ok(Arc::new(Evolved { column, target, defaults: Arc::clone(&self.defaults) }));
        }
        Ok(Arc::new(CastExpr::new(column, wanted.data_type().clone(), None)))
    }

    /// A column that is younger than the file.
    fn missing(&self, wanted: &Field) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let default = match self.defaults.columns.get(wanted.name()) {
            Some(default) => default.cast_to(wanted.data_type())?,
            None if wanted.is_nullable() => ScalarValue::try_new_null(wanted.data_type())?,
            None => {
                let text = format!("a data file lacks the required column \"{}\"", wanted.name());
                return Err(of_file(Error::new(SqlState::DATA_CORRUPTED, text), &self.file));
            }
        };
        Ok(Arc::new(Literal::new(default)))
    }
}

fn misfit(wanted: &Field, found: &Field) -> Error {
    let text = format!(
        "a data file has column \"{}\" as {}, which cannot be read as {}",
        wanted.name(),
        found.data_type(),
        wanted.data_type()
    );
    Error::new(SqlState::DATA_CORRUPTED, text)
        .with_hint("The file may be another table's. Restore it, or roll the table back.")
}

fn of_file(error: Error, file: &Schema) -> DataFusionError {
    let error = match file.metadata().get(FILE_KEY) {
        Some(url) => error.with_detail(format!("The data file is {url}.")),
        None => error,
    };
    DataFusionError::External(Box::new(error))
}

pub(super) fn id_of(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

/// Whether values of a file's type can be the table's: the same, widened since, or the same in another encoding. What
/// structs have in common is read by id, so that a struct that shares nothing is all defaults.
pub(crate) fn readable(found: &DataType, wanted: &DataType) -> bool {
    use DataType as T;
    match (found, wanted) {
        (found, wanted) if found == wanted => true,
        (T::Int8 | T::Int16 | T::UInt8 | T::UInt16, T::Int32) => true,
        (T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::UInt32, T::Int64) => true,
        (T::Float16, T::Float32) | (T::Float16 | T::Float32, T::Float64) => true,
        (T::Decimal128(from, scale), T::Decimal128(to, wanted)) => scale == wanted && from <= to,
        (T::Decimal32(..) | T::Decimal64(..), T::Decimal128(..)) => true,
        (T::Date32, T::Timestamp(_, None)) => true,
        (T::Timestamp(_, from), T::Timestamp(_, to)) => from.is_none() || to.is_some(),
        (T::Time32(_) | T::Time64(_), T::Time64(_)) => true,
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::Utf8View) => true,
        (T::Binary | T::LargeBinary | T::BinaryView, T::Binary | T::BinaryView) => true,
        (T::Struct(from), T::Struct(to)) => readable_fields(from, to),
        (T::List(from) | T::LargeList(from), T::List(to)) => readable(from.data_type(), to.data_type()),
        (T::Map(from, _), T::Map(to, _)) => match (from.data_type(), to.data_type()) {
            (T::Struct(from), T::Struct(to)) if from.len() == 2 && to.len() == 2 => {
                from.iter().zip(to).all(|(from, to)| readable(from.data_type(), to.data_type()))
            }
            _ => false,
        },
        _ => false,
    }
}

fn readable_fields(from: &Fields, to: &Fields) -> bool {
    let of_id = |wanted: &FieldRef| from.iter().find(|found| id_of(found) == id_of(wanted));
    to.iter().all(|to| of_id(to).is_none_or(|from| readable(from.data_type(), to.data_type())))
}

/// A nested column of a file, brought to the table's type.
#[derive(Debug)]
struct Evolved {
    column: Arc<dyn PhysicalExpr>,
    target: FieldRef,
    defaults: Arc<Defaults>,
}

impl PartialEq for Evolved {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && self.target == other.target
    }
}

impl Eq for Evolved {}

impl Hash for Evolved {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.target.hash(state);
    }
}

impl fmt::Display for Evolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evolved({})", self.column)
    }
}

impl PhysicalExpr for Evolved {
    fn data_type(&self, _: &Schema) -> EngineResult<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn nullable(&self, _: &Schema) -> EngineResult<bool> {
        Ok(self.target.is_nullable())
    }

    fn return_field(&self, _: &Schema) -> EngineResult<FieldRef> {
        Ok(Arc::clone(&self.target))
    }

    fn evaluate(&self, batch: &RecordBatch) -> EngineResult<ColumnarValue> {
        let values = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(evolve(&values, self.target.data_type(), &self.defaults.fields)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let [column] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a column has one child".to_owned()))?;
        let (target, defaults) = (Arc::clone(&self.target), Arc::clone(&self.defaults));
        Ok(Arc::new(Evolved { column, target, defaults }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(f)
    }
}

/// The values as another, [`readable`] type. Nothing is copied but what is widened or made up.
pub(crate) fn evolve(
    values: &ArrayRef,
    wanted: &DataType,
    defaults: &HashMap<i32, ScalarValue>,
) -> EngineResult<ArrayRef> {
    if values.data_type() == wanted {
        return Ok(Arc::clone(values));
    }
    match (values.data_type(), wanted) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            Ok(Arc::new(evolve_struct(values.as_struct(), fields, defaults)?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = values.as_list::<i32>();
            let elements = evolve(list.values(), element.data_type(), defaults)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, elements, nulls)?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = values.as_map();
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(DataFusionError::Internal("a map has no entries".to_owned()));
            };
            let sides = [map.keys(), map.values()].into_iter().zip(fields);
            let sides = sides
                .map(|(side, field)| evolve(side, field.data_type(), defaults))
                .collect::<EngineResult<_>>()?;
            let inner = StructArray::try_new(fields.clone(), sides, None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, inner, nulls, *sorted)?))
        }
        _ => {
            let exactly = CastOptions { safe: false, ..CastOptions::default() };
            Ok(cast_with_options(values, wanted, &exactly)?)
        }
    }
}

fn evolve_struct(
    values: &StructArray,
    wanted: &Fields,
    defaults: &HashMap<i32, ScalarValue>,
) -> EngineResult<StructArray> {
    let mut columns = Vec::with_capacity(wanted.len());
    for field in wanted {
        let id = id_of(field);
        let found = values.fields().iter().position(|found| id.is_some() && id_of(found) == id);
        columns.push(match (found, id.and_then(|id| defaults.get(&id))) {
            (Some(place), _) => evolve(&child(values, place)?, field.data_type(), defaults)?,
            (None, Some(default)) => made_up(default, field.data_type(), values)?,
            (None, None) => new_null_array(field.data_type(), values.len()),
        });
    }
    let nulls = values.nulls().cloned();
    Ok(StructArray::try_new_with_length(wanted.clone(), columns, nulls, values.len())?)
}

/// A field of some structs. One that is never NULL has any value where there is no struct.
fn child(structs: &StructArray, place: usize) -> EngineResult<ArrayRef> {
    let child = structs.column(place);
    match structs.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) if child.null_count() == 0 => Ok(nullif(child, &missing(nulls))?),
        _ => Ok(Arc::clone(child)),
    }
}

/// A default for each of some structs, and NULL where there is no struct: who asks for the field alone does not look at
/// the struct around it.
pub(super) fn made_up(
    default: &ScalarValue,
    wanted: &DataType,
    structs: &StructArray,
) -> EngineResult<ArrayRef> {
    let all = default.cast_to(wanted)?.to_array_of_size(structs.len())?;
    match structs.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => Ok(nullif(&all, &missing(nulls))?),
        None => Ok(all),
    }
}

fn missing(nulls: &NullBuffer) -> BooleanArray {
    BooleanArray::new(!nulls.inner(), None)
}
