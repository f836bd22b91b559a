//! The values of a transform over a column of a table, which partitions are told apart by and orders sort by. It must
//! never know what they are for. Next: `partition.rs` and `arrange.rs`, the two that ask.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, new_empty_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use iceberg::spec::{StructType, Transform, Type};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};

use super::schema::arrow_type;
use crate::error::{Error, Result};

/// A transform over one column.
#[derive(Debug)]
pub(crate) struct TransformedColumn {
    /// The source column, from the top of the schema down.
    path: Vec<usize>,
    transform: Transform,
    function: BoxedTransformFunction,
    data_type: DataType,
}

impl TransformedColumn {
    /// Nothing when the table has no such column.
    pub fn try_new(
        fields: &StructType,
        source_id: i32,
        transform: Transform,
    ) -> Result<Option<TransformedColumn>> {
        let Some((path, source)) = source_path(fields, source_id) else { return Ok(None) };
        let function = create_transform_function(&transform).map_err(tarn_catalog::Error::from)?;
        let data_type = arrow_type(&source)?;
        let mut column = TransformedColumn { path, transform, function, data_type };
        let empty = column.apply(new_empty_array(&column.data_type))?;
        column.data_type = empty.data_type().clone();
        Ok(Some(column))
    }

    pub fn transform(&self) -> Transform {
        self.transform
    }

    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The place of the column whose values these are, unchanged, if it is one of the table's own.
    pub fn as_is(&self) -> Option<usize> {
        match (self.transform, self.path.as_slice()) {
            (Transform::Identity, [place]) => Some(*place),
            _ => None,
        }
    }

    /// The values for the rows of a batch in the table's schema.
    pub fn calculate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let missing = || Error::internal("a transform has no source values");
        let (first, nested) = self.path.split_first().ok_or_else(missing)?;
        let mut column = Arc::clone(batch.columns().get(*first).ok_or_else(missing)?);
        for position in nested {
            let parent = column.as_struct_opt().ok_or_else(missing)?;
            let child = parent.columns().get(*position).ok_or_else(missing)?;
            column = mask(child, parent.nulls())?;
        }
        self.apply(column)
    }

    fn apply(&self, source: ArrayRef) -> Result<ArrayRef> {
        match (&self.transform, source.data_type()) {
            // The Iceberg crate's own subtraction overflows next to the smallest number; Java's wraps, and so does
            // this, so that every engine finds the row in the same partition.
            (Transform::Truncate(width), DataType::Int32) => {
                let width =
                    i32::try_from(*width).map_err(|_| Error::internal("truncate width is too large"))?;
                let truncate = |value: i32| value.wrapping_sub(value.rem_euclid(width));
                Ok(Arc::new(source.as_primitive::<Int32Type>().unary::<_, Int32Type>(truncate))
                    as Arc<Int32Array>)
            }
            (Transform::Truncate(width), DataType::Int64) => {
                let width = i64::from(*width);
                let truncate = |value: i64| value.wrapping_sub(value.rem_euclid(width));
                Ok(Arc::new(source.as_primitive::<Int64Type>().unary::<_, Int64Type>(truncate))
                    as Arc<Int64Array>)
            }
            _ => Ok(self.function.transform(source).map_err(tarn_catalog::Error::from)?),
        }
    }
}

/// The child's values, NULL where its parent is.
fn mask(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(parent) = parent else {
        return Ok(Arc::clone(child));
    };
    let hidden = BooleanArray::new(!parent.inner(), None);
    nullif(child, &hidden).map_err(|error| Error::internal(error.to_string()))
}

/// Where the field with this id is, and its type; only structs are descended into, as the specification says.
fn source_path(fields: &StructType, id: i32) -> Option<(Vec<usize>, Type)> {
    for (position, field) in fields.fields().iter().enumerate() {
        if field.id == id {
            return Some((vec![position], field.field_type.as_ref().clone()));
        }
        if let Type::Struct(nested) = field.field_type.as_ref()
            && let Some((mut path, data_type)) = source_path(nested, id)
        {
            path.insert(0, position);
            return Some((path, data_type));
        }
    }
    None
}
