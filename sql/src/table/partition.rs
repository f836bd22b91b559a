//! Splits rows by the partition they belong to: the values of a partition spec over whole columns, and which rows have
//! equal ones. It must never write. Next: `fanout.rs` and `clustered.rs`, which call it; `bounds.rs` goes the other
//! way, from a partition to the values that can be in it.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use iceberg::arrow::arrow_primitive_to_literal;
use iceberg::spec::{Literal, PartitionSpec, SchemaRef, Struct, Type};

use super::transform::TransformedColumn;
use crate::error::{Error, Result};

/// The longest a value may be in a folder's name, bytes. Names carry no meaning, so a longer one is cut.
const FOLDER_VALUE_BYTES_MAX: usize = 64;

/// Identifies a partition within one write: the values in Arrow's row format, equal exactly when they are.
pub(crate) type PartitionKey = Box<[u8]>;

/// Which rows of a batch belong to one partition.
pub(crate) struct PartitionRows {
    pub key: PartitionKey,
    /// The partition's values, in the order of the spec's fields.
    pub value: Struct,
    /// Rising.
    pub positions: Vec<u32>,
}

/// Splits batches in the schema of a table by a partition spec.
pub(crate) struct PartitionSplitter {
    fields: Vec<PartitionColumn>,
    converter: RowConverter,
}

/// One field of the spec.
struct PartitionColumn {
    name: String,
    values: TransformedColumn,
    result: Type,
}

impl PartitionSplitter {
    pub fn try_new(spec: &PartitionSpec, schema: &SchemaRef) -> Result<PartitionSplitter> {
        let results = spec.partition_type(schema).map_err(tarn_catalog::Error::from)?;
        let mut fields = Vec::with_capacity(spec.fields().len());
        for (field, result) in spec.fields().iter().zip(results.fields()) {
            let values = TransformedColumn::try_new(schema.as_struct(), field.source_id, field.transform)?;
            let values = values.ok_or_else(|| {
                Error::internal(format!("partition field \"{}\" has no source column", field.name))
            })?;
            let (name, result) = (field.name.clone(), result.field_type.as_ref().clone());
            fields.push(PartitionColumn { name, values, result });
        }
        let sort_fields = fields.iter().map(|field| SortField::new(field.values.data_type().clone()));
        let converter = RowConverter::new(sort_fields.collect()).map_err(broken)?;
        Ok(PartitionSplitter { fields, converter })
    }

    /// The types of the partition values.
    pub fn types(&self) -> impl Iterator<Item = &DataType> {
        self.fields.iter().map(|field| field.values.data_type())
    }

    /// The partition values of every row, one column for each field of the spec.
    pub fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.fields.iter().map(|field| field.values.calculate(batch)).collect()
    }

    /// The rows with these partition values by partition, partitions in the order they first appear.
    pub fn split(&self, columns: &[ArrayRef]) -> Result<Vec<PartitionRows>> {
        let rows = self.converter.convert_columns(columns).map_err(broken)?;
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
        let values = self.values(columns, &firsts)?;
        let part = |(positions, value): (Vec<u32>, Struct)| {
            let first = positions.first().map(|first| rows.row(*first as usize).data().into());
            PartitionRows { key: first.unwrap_or_default(), value, positions }
        };
        Ok(groups.into_iter().zip(values).map(part).collect())
    }

    /// The partition values of the rows at `positions`.
    fn values(&self, columns: &[ArrayRef], positions: &UInt32Array) -> Result<Vec<Struct>> {
        let mut literals = Vec::with_capacity(columns.len());
        for (field, column) in self.fields.iter().zip(columns) {
            let picked = take(column, positions, None).map_err(broken)?;
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
            let text = field.values.transform().to_human_string(&field.result, literal);
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

fn broken(error: ArrowError) -> Error {
    Error::internal(format!("cannot split rows: {error}"))
}
