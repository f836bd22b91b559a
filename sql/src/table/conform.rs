//! Brings the rows of a query into the schema of a table: casts every value, nested ones too, and refuses what does
//! not fit instead of changing it. It must never know a file or a partition. Next: `partition.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;

use super::evolve::{id_of, made_up};
use crate::error::{Error, Result};
use crate::plan::engine_error;
use crate::sqlstate::SqlState;

/// A value that does not fit is an error, never NULL.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// What fields get that a value leaves out, by field id; the others get NULL.
pub(crate) type WriteDefaults = BTreeMap<i32, ScalarValue>;

/// The values of a query as a column of the type takes them. `path` names the column in errors.
pub(crate) fn conform_column(
    array: &ArrayRef,
    target: &DataType,
    path: &str,
    defaults: &WriteDefaults,
) -> Result<ArrayRef> {
    Target { defaults }.values(array, target, path)
}

/// The rows of `batch` in the schema of a table; columns are matched by position.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        let (given, wanted) = (batch.num_columns(), schema.fields().len());
        return Err(Error::internal(format!("a write of {given} columns into a table of {wanted}")));
    }
    let target = Target { defaults: &WriteDefaults::new() };
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        columns.push(target.field(column, field, field.name())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::internal(format!("conformed rows do not fit the table: {error}")))
}

fn null_violation(path: &str) -> Error {
    let message = format!("null value in column \"{path}\" violates not-null constraint");
    Error::new(SqlState::NOT_NULL_VIOLATION, message)
}

/// What values are brought to.
struct Target<'a> {
    defaults: &'a WriteDefaults,
}

impl Target<'_> {
    /// The values of `array` as `field` wants them, checked for NULL. `path` names the field in errors.
    fn field(&self, array: &ArrayRef, field: &Field, path: &str) -> Result<ArrayRef> {
        let conformed = self.values(array, field.data_type(), path)?;
        if !field.is_nullable() && conformed.null_count() > 0 {
            return Err(null_violation(path));
        }
        Ok(conformed)
    }

    fn values(&self, array: &ArrayRef, target: &DataType, path: &str) -> Result<ArrayRef> {
        if let DataType::Dictionary(_, values) = array.data_type() {
            let values = cast(array, values, path)?;
            return self.values(&values, target, path);
        }
        match (array.data_type(), target) {
            (DataType::Null, _) => Ok(new_null_array(target, array.len())),
            (DataType::Struct(_), DataType::Struct(fields)) => self.structs(array.as_struct(), fields, path),
            (DataType::List(_), DataType::List(element)) => self.lists(array.as_list::<i32>(), element, path),
            (
                DataType::LargeList(element)
                | DataType::FixedSizeList(element, _)
                | DataType::ListView(element)
                | DataType::LargeListView(element),
                DataType::List(_),
            ) => self.values(&cast(array, &DataType::List(Arc::clone(element)), path)?, target, path),
            (DataType::Map(_, _), DataType::Map(entries, _)) => self.maps(array.as_map(), entries, path),
            (from, to) if from == to => Ok(Arc::clone(array)),
            _ => cast(array, target, path),
        }
    }

    /// Fields are matched by name when every name of the source is one of the target's, otherwise by position, so that
    /// `ROW(1, 'a')` fits a struct of two fields.
    fn structs(&self, source: &StructArray, fields: &Fields, path: &str) -> Result<ArrayRef> {
        let names = source.column_names();
        let by_name = names.iter().all(|name| fields.find(name).is_some());
        if !by_name && names.len() != fields.len() {
            let message = format!("column \"{path}\" has fields that the value's struct does not match");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                .with_detail(format!("The value has the fields {}.", names.join(", "))));
        }
        let mut children = Vec::with_capacity(fields.len());
        for (position, field) in fields.iter().enumerate() {
            let child = if by_name {
                source.column_by_name(field.name()).cloned()
            } else {
                source.columns().get(position).cloned()
            };
            let child = match child {
                Some(child) => child,
                None => self.left_out(field, source)?,
            };
            let child_path = format!("{path}.{}", field.name());
            let conformed = self.values(&child, field.data_type(), &child_path)?;
            if !field.is_nullable() && has_unmasked_null(&conformed, source) {
                return Err(null_violation(&child_path));
            }
            children.push(conformed);
        }
        let conformed = StructArray::try_new(fields.clone(), children, source.nulls().cloned());
        conformed.map(|array| Arc::new(array) as ArrayRef).map_err(|error| mismatch(path, &error))
    }

    /// A field that the value does not have.
    fn left_out(&self, field: &Field, source: &StructArray) -> Result<ArrayRef> {
        match id_of(field).and_then(|id| self.defaults.get(&id)) {
            Some(default) => made_up(default, field.data_type(), source).map_err(engine_error),
            None => Ok(new_null_array(field.data_type(), source.len())),
        }
    }

    fn lists(&self, source: &ListArray, element: &FieldRef, path: &str) -> Result<ArrayRef> {
        let values = self.field(source.values(), element, &format!("{path}.element"))?;
        let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
        let conformed = ListArray::try_new(Arc::clone(element), offsets, values, nulls);
        conformed.map(|array| Arc::new(array) as ArrayRef).map_err(|error| mismatch(path, &error))
    }

    fn maps(&self, source: &MapArray, entries: &FieldRef, path: &str) -> Result<ArrayRef> {
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(Error::internal(format!("map column \"{path}\" has no entries")));
        };
        let [key, value] = fields.as_ref() else {
            return Err(Error::internal(format!("map column \"{path}\" has no key and value")));
        };
        let keys = self.field(source.keys(), key, &format!("{path}.key"))?;
        let values = self.field(source.values(), value, &format!("{path}.value"))?;
        let conformed = StructArray::try_new(fields.clone(), vec![keys, values], None).and_then(|pairs| {
            let (offsets, nulls) = (source.offsets().clone(), source.nulls().cloned());
            MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, false)
        });
        conformed.map(|array| Arc::new(array) as ArrayRef).map_err(|error| mismatch(path, &error))
    }
}

/// Whether a field is NULL in a row whose struct is not.
fn has_unmasked_null(child: &ArrayRef, parent: &StructArray) -> bool {
    match (child.logical_nulls(), parent.nulls()) {
        (None, _) => false,
        (Some(child), None) => child.null_count() > 0,
        (Some(child), Some(parent)) => {
            parent.iter().zip(child.iter()).any(|(parent, child)| parent && !child)
        }
    }
}

fn mismatch(path: &str, error: &ArrowError) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, format!("column \"{path}\" cannot take these values"))
        .with_detail(error.to_string())
}

fn cast(array: &ArrayRef, target: &DataType, path: &str) -> Result<ArrayRef> {
    cast_with_options(array, target, &STRICT)
        .map_err(|error| cast_error(array.data_type(), target, path, &error))
}

/// The SQLSTATE says what is wrong with the value, as in PostgreSQL; Arrow's text goes to the detail.
fn cast_error(from: &DataType, target: &DataType, path: &str, error: &ArrowError) -> Error {
    let possible = arrow::compute::can_cast_types(from, target);
    let sqlstate = match target {
        _ if !possible => SqlState::DATATYPE_MISMATCH,
        _ if from.is_string() => SqlState::INVALID_TEXT_REPRESENTATION,
        target if target.is_temporal() => SqlState::DATETIME_FIELD_OVERFLOW,
        target if target.is_numeric() => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        _ => SqlState::DATA_EXCEPTION,
    };
    let message = if possible {
        format!("a value does not fit column \"{path}\" of type {target}")
    } else {
        format!("column \"{path}\" is of type {target} but the value is of type {from}")
    };
    Error::new(sqlstate, message).with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal128Array, DictionaryArray, Int32Array, Int64Array, LargeListArray, StringArray,
        TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::{Int32Type, Schema, TimeUnit};

    use super::*;

    fn one(array: ArrayRef, target: Field) -> Result<ArrayRef> {
        let source = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(source), vec![array]).expect("batch");
        conform(&batch, &Arc::new(Schema::new(vec![target]))).map(|batch| Arc::clone(batch.column(0)))
    }

    fn refused(array: ArrayRef, target: DataType) -> SqlState {
        one(array, Field::new("a", target, true)).expect_err("does not fit").sqlstate
    }

    #[test]
    fn values_that_do_not_fit_are_errors() {
        let big: ArrayRef = Arc::new(Int64Array::from(vec![1, i64::MAX]));
        assert_eq!(refused(big, DataType::Int32), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
        let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX / 10]));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(refused(far, micros), SqlState::DATETIME_FIELD_OVERFLOW);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["twelve"]));
        assert_eq!(refused(text, DataType::Int32), SqlState::INVALID_TEXT_REPRESENTATION);
        let digits: ArrayRef =
            Arc::new(Decimal128Array::from(vec![123_456]).with_precision_and_scale(10, 2).expect("decimal"));
        assert_eq!(refused(digits, DataType::Decimal128(4, 2)), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    }

    #[test]
    fn wider_types_are_taken() {
        let ints: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let array = one(ints, Field::new("a", DataType::Decimal128(20, 0), true)).expect("fits");
        assert_eq!(array.as_primitive::<arrow::datatypes::Decimal128Type>().value(0), i128::from(u64::MAX));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_234_567]));
        let micros = Field::new("a", DataType::Timestamp(TimeUnit::Microsecond, None), true);
        let array = one(nanos, micros).expect("fits");
        assert_eq!(array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 1_234);
        let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
        let array = one(Arc::new(words), Field::new("a", DataType::Utf8, true)).expect("fits");
        assert_eq!(array.as_string::<i32>().value(2), "a");
    }

    #[test]
    fn a_null_where_none_may_be_names_the_column() {
        let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let error = one(ints, Field::new("a", DataType::Int32, false)).expect_err("null");
        assert_eq!(error.sqlstate, SqlState::NOT_NULL_VIOLATION);
        assert_eq!(error.message, "null value in column \"a\" violates not-null constraint");
    }

    #[test]
    fn structs_match_by_name_or_by_position() {
        let source = |first: &str, second: &str| -> ArrayRef {
            Arc::new(StructArray::from(vec![
                (
                    Arc::new(Field::new(first, DataType::Int64, true)),
                    Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
                ),
                (
                    Arc::new(Field::new(second, DataType::Int64, true)),
                    Arc::new(Int64Array::from(vec![3, 4])) as ArrayRef,
                ),
            ]))
        };
        let fields = Fields::from(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Int32, true),
        ]);
        let target = || Field::new("s", DataType::Struct(fields.clone()), true);
        let first = |array: ArrayRef| array.as_struct().column(0).as_primitive::<Int32Type>().value(0);
        assert_eq!(first(one(source("b", "a"), target()).expect("by name")), 3);
        assert_eq!(first(one(source("c0", "c1"), target()).expect("by position")), 1);
        let array =
            one(source("a", "b"), Field::new("s", DataType::Struct(vec![fields[0].clone()].into()), true));
        assert_eq!(array.expect_err("one field too many").sqlstate, SqlState::DATATYPE_MISMATCH);
    }

    #[test]
    fn nested_values_are_cast_and_checked() {
        let lists: LargeListArray =
            LargeListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
        let lists: ArrayRef = Arc::new(lists);
        let element = |nullable| Arc::new(Field::new("element", DataType::Int64, nullable));
        let array =
            one(Arc::clone(&lists), Field::new("l", DataType::List(element(true)), true)).expect("fits");
        assert_eq!((array.len(), array.null_count()), (2, 1));
        let error =
            one(lists, Field::new("l", DataType::List(element(false)), true)).expect_err("null element");
        assert_eq!(error.message, "null value in column \"l.element\" violates not-null constraint");
    }
}
