//! Splits rows by the partition they belong to: computes the transforms of a partition spec over whole columns and
//! groups equal values. It must never write. Next: `writer.rs`, which calls it; `bounds.rs` goes the other way,
//! from a partition to the values that can be in it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, UInt32Array, new_empty_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{nullif, take, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use iceberg::arrow::arrow_primitive_to_literal;
use iceberg::spec::{Literal, PartitionSpec, SchemaRef, Struct, StructType, Transform, Type};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};

use super::schema::arrow_type;
use crate::error::{Error, Result};

/// The longest a value may be in a folder's name, bytes. Names carry no meaning, so a longer one is cut.
const FOLDER_VALUE_BYTES_MAX: usize = 64;

/// Identifies a partition within one write: the values in Arrow's row format, equal exactly when they are.
pub(crate) type PartitionKey = Box<[u8]>;

/// Rows of one partition.
pub(crate) struct PartitionRows {
    pub key: PartitionKey,
    /// The partition's values, in the order of the spec's fields.
    pub value: Struct,
    pub rows: RecordBatch,
}

/// Splits batches in the schema of a table by a partition spec.
pub(crate) struct PartitionSplitter {
    fields: Vec<PartitionColumn>,
    converter: RowConverter,
}

/// One field of the spec.
struct PartitionColumn {
    name: String,
    /// The source column, from the top of the schema down.
    path: Vec<usize>,
    transform: Transform,
    function: BoxedTransformFunction,
    result: Type,
}

impl PartitionSplitter {
    pub fn try_new(spec: &PartitionSpec, schema: &SchemaRef) -> Result<PartitionSplitter> {
        let results = spec.partition_type(schema).map_err(tarn_catalog::Error::from)?;
        let mut fields = Vec::with_capacity(spec.fields().len());
        let mut sort_fields = Vec::with_capacity(spec.fields().len());
        for (field, result) in spec.fields().iter().zip(results.fields()) {
            let (path, source) = source_path(schema.as_struct(), field.source_id).ok_or_else(|| {
                Error::internal(format!("partition field \"{}\" has no source column", field.name))
            })?;
            let column = PartitionColumn {
                name: field.name.clone(),
                path,
                transform: field.transform,
                function: create_transform_function(&field.transform).map_err(tarn_catalog::Error::from)?,
                result: result.field_type.as_ref().clone(),
            };
            let empty = column.apply(new_empty_array(&arrow_type(&source)?))?;
            sort_fields.push(SortField::new(empty.data_type().clone()));
            fields.push(column);
        }
        let converter = RowConverter::new(sort_fields).map_err(|error| Error::internal(error.to_string()))?;
        Ok(PartitionSplitter { fields, converter })
    }

    /// The rows of `batch` by partition, partitions in the order they first appear, rows in the order they came.
    pub fn split(&self, batch: &RecordBatch) -> Result<Vec<PartitionRows>> {
        let internal =
            |error: arrow::error::ArrowError| Error::internal(format!("cannot split rows: {error}"));
        let columns = self.fields.iter().map(|field| field.calculate(batch)).collect::<Result<Vec<_>>>()?;
        let rows = self.converter.convert_columns(&columns).map_err(internal)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut group_of: HashMap<&[u8], usize> = HashMap::new();
        for (position, row) in (0u32..).zip(rows.iter()) {
            let group = *group_of.entry(row.data()).or_insert(groups.len());
            match groups.get_mut(group) {
                Some(positions) => positions.push(position),
                None => groups.push(vec![position]),
            }
        }
        let firsts: UInt32Array = groups.iter().filter_map(|positions| positions.first().copied()).collect();
        let values = self.values(&columns, &firsts)?;
        let mut split = Vec::with_capacity(groups.len());
        for (positions, value) in groups.into_iter().zip(values) {
            let key =
                positions.first().map(|first| rows.row(*first as usize).data().into()).unwrap_or_default();
            let whole = positions.len() == batch.num_rows();
            let rows = match whole {
                true => batch.clone(),
                false => take_record_batch(batch, &UInt32Array::from(positions)).map_err(internal)?,
            };
            split.push(PartitionRows { key, value, rows });
        }
        Ok(split)
    }

    /// The partition values of the rows at `positions`.
    fn values(&self, columns: &[ArrayRef], positions: &UInt32Array) -> Result<Vec<Struct>> {
        let mut literals = Vec::with_capacity(columns.len());
        for (field, column) in self.fields.iter().zip(columns) {
            let picked = take(column, positions, None).map_err(|error| Error::internal(error.to_string()))?;
            literals
                .push(arrow_primitive_to_literal(&picked, &field.result).map_err(tarn_catalog::Error::from)?);
        }
        let row = |position: usize| -> Struct {
            literals
                .iter()
                .map(|column: &Vec<Option<Literal>>| column.get(position).cloned().flatten())
                .collect()
        };
        Ok((0..positions.len()).map(row).collect())
    }

    /// The folder of a partition below the table's data folder. Engines read the values from manifests, never from
    /// here, so characters that some reader would decode or reject are replaced, and nothing is lost by it.
    pub fn folder(&self, value: &Struct) -> String {
        let part = |(field, literal): (&PartitionColumn, Option<&Literal>)| {
            let text = field.transform.to_human_string(&field.result, literal);
            format!("{}={}", folder_name(&field.name), folder_name(&text))
        };
        self.fields.iter().zip(value.iter()).map(part).collect::<Vec<_>>().join("/")
    }
}

fn folder_name(text: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => character,
        _ => '_',
    };
    text.chars().map(plain).take(FOLDER_VALUE_BYTES_MAX).collect()
}

impl PartitionColumn {
    fn calculate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let missing = || Error::internal(format!("partition field \"{}\" has no source values", self.name));
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
