//! One value of a system table or of a small catalog function, and rows of them as Arrow columns.
//! Row builders name the columns they set; the rest take the declaration's default.
//! It must never know which table it serves.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, ListArray,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::declared::Declared;
use crate::error::{Error, Result};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// Any integer, an OID, or microseconds since the Unix epoch.
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_string())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

/// Rows of one declared table.
#[derive(Debug)]
pub struct Rows {
    declared: &'static Declared,
    /// What a row holds where the builder says nothing.
    defaults: Vec<Value>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    pub fn new(declared: &'static Declared) -> Rows {
        let defaults = declared.arrow.fields().iter().map(default_value).collect();
        Rows { declared, defaults, rows: Vec::new() }
    }

    /// Adds a row that has these values in the named columns.
    pub fn push<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, Value)>) -> Result<()> {
        let mut row = self.defaults.clone();
        for (name, value) in values {
            let column = self.declared.columns.iter().position(|column| column.name == name);
            let column = column
                .ok_or_else(|| Error::internal(format!("{} has no column {name}", self.declared.name)))?;
            row[column] = value;
        }
        self.rows.push(row);
        Ok(())
    }

    /// The rows as columns; `projection` counts the declared columns from 0.
    pub fn into_batch(self, projection: &[usize]) -> Result<RecordBatch> {
        let schema = self.declared.arrow.project(projection).map_err(arrow_error)?;
        let columns = projection
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| to_array(field, &mut self.rows.iter().map(|row| &row[*column])))
            .collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(Arc::new(schema), columns, &options).map_err(arrow_error)
    }
}

fn arrow_error(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a system table does not keep to its declaration: {error}"))
}

fn default_value(field: &FieldRef) -> Value {
    if field.is_nullable() {
        return Value::Null;
    }
    match field.data_type() {
        DataType::Boolean => Value::Bool(false),
        DataType::Float32 | DataType::Float64 => Value::Float(0.0),
        DataType::Utf8 => Value::Text(String::new()),
        DataType::List(_) => Value::List(Vec::new()),
        _ => Value::Int(0),
    }
}

/// Values as an array of the field's type. A value of another kind is a bug of the row builder and becomes NULL,
/// which a NOT NULL column then refuses.
pub fn to_array(field: &FieldRef, values: &mut dyn Iterator<Item = &Value>) -> Result<ArrayRef> {
    Ok(match field.data_type() {
        DataType::Boolean => Arc::new(values.map(as_bool).collect::<BooleanArray>()),
        DataType::Int16 => Arc::new(values.map(as_int).collect::<Int16Array>()),
        DataType::Int32 => Arc::new(values.map(as_int).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(values.map(as_int).collect::<Int64Array>()),
        #[allow(clippy::cast_possible_truncation)] // reltuples is an estimate
        DataType::Float32 => {
            Arc::new(values.map(|value| as_float(value).map(|f| f as f32)).collect::<Float32Array>())
        }
        DataType::Float64 => Arc::new(values.map(as_float).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(values.map(as_text).collect::<StringArray>()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let array = values.map(as_int).collect::<TimestampMicrosecondArray>();
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::List(item) => list_array(item, values)?,
        DataType::Null => new_null_array(&DataType::Null, values.count()),
        other => return Err(Error::internal(format!("no system table has columns of {other}"))),
    })
}

fn list_array(item: &FieldRef, values: &mut dyn Iterator<Item = &Value>) -> Result<ArrayRef> {
    let mut lengths = Vec::new();
    let mut valid = Vec::new();
    let mut elements = Vec::new();
    for value in values {
        let list = if let Value::List(list) = value { Some(list) } else { None };
        valid.push(list.is_some());
        lengths.push(list.map_or(0, Vec::len));
        elements.extend(list.into_iter().flatten());
    }
    let elements = to_array(item, &mut elements.into_iter())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let array = ListArray::try_new(item.clone(), offsets, elements, Some(NullBuffer::from(valid)));
    Ok(Arc::new(array.map_err(arrow_error)?))
}

fn as_bool(value: &Value) -> Option<bool> {
    if let Value::Bool(value) = value { Some(*value) } else { None }
}

fn as_int<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    if let Value::Int(value) = value { T::try_from(*value).ok() } else { None }
}

fn as_float(value: &Value) -> Option<f64> {
    if let Value::Float(value) = value { Some(*value) } else { None }
}

fn as_text(value: &Value) -> Option<&str> {
    if let Value::Text(value) = value { Some(value) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::declared::table;

    #[test]
    fn unset_columns_take_the_declared_default() {
        let mut rows = Rows::new(table("pg_catalog", "pg_namespace").expect("declared"));
        rows.push([("oid", 11_u32.into()), ("nspname", "a".into())]).expect("its columns");
        let batch = rows.into_batch(&[0, 1, 2, 3]).expect("fits");
        assert_eq!(format!("{:?}", batch.column(2)), "PrimitiveArray<Int64>\n[\n  0,\n]");
        assert_eq!(batch.column(3).null_count(), 1);
    }

    #[test]
    fn a_wrong_column_name_or_kind_is_an_error() {
        let declared = table("pg_catalog", "pg_namespace").expect("declared");
        assert!(Rows::new(declared).push([("nspnam", "a".into())]).is_err());
        let mut rows = Rows::new(declared);
        rows.push([("oid", "eleven".into())]).expect("the name is right");
        assert!(rows.into_batch(&[0]).is_err());
    }
}
