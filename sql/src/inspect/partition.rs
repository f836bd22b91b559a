//! Partition values of files of all specs as one struct: a field is in it once, by its id, however many specs have it.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::ScalarValue;
use iceberg::spec::{Literal, PrimitiveType, Struct, TableMetadata, Transform, Type};
use tarn_catalog::iceberg::field_of;

use crate::error::{Error, Result};
use crate::table::{arrow_type, scalar_of};
use crate::types::uuid_marks;

/// The struct's fields; none for a table that was never partitioned.
#[derive(Debug, Clone)]
pub struct PartitionColumn {
    fields: Vec<PartitionField>,
}

#[derive(Debug, Clone)]
struct PartitionField {
    id: i32,
    primitive: PrimitiveType,
    arrow: FieldRef,
}

impl PartitionColumn {
    pub fn of(metadata: &TableMetadata) -> Result<PartitionColumn> {
        let mut specs: Vec<_> = metadata.partition_specs_iter().collect();
        specs.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
        let mut fields: Vec<PartitionField> = Vec::new();
        for field in specs.into_iter().flat_map(|spec| spec.fields()) {
            let known = fields.iter().any(|known| known.id == field.field_id);
            if known || field.transform == Transform::Void {
                continue;
            }
            let source = field_of(metadata, metadata.current_schema(), field.source_id);
            let Some(source) = source else { continue };
            let Ok(Type::Primitive(primitive)) = field.transform.result_type(&source.field_type) else {
                continue;
            };
            let taken = fields.iter().any(|known| known.arrow.name() == &field.name);
            let name = if taken { format!("{}_{}", field.name, field.field_id) } else { field.name.clone() };
            let mut arrow = Field::new(name, arrow_type(&Type::Primitive(primitive.clone()))?, true);
            if primitive == PrimitiveType::Uuid {
                arrow = arrow.with_metadata(uuid_marks());
            }
            fields.push(PartitionField { id: field.field_id, primitive, arrow: Arc::new(arrow) });
        }
        fields.sort_by_key(|field| field.id);
        Ok(PartitionColumn { fields })
    }

    /// The column, if there is one.
    pub fn field(&self) -> Option<FieldRef> {
        (!self.fields.is_empty()).then(|| Arc::new(Field::new("partition", self.data_type(), true)))
    }

    fn data_type(&self) -> DataType {
        DataType::Struct(self.fields.iter().map(|field| Arc::clone(&field.arrow)).collect::<Fields>())
    }

    /// One value per file: its spec and its partition values.
    pub fn array(&self, values: &[(i32, &Struct)], metadata: &TableMetadata) -> Result<Option<ArrayRef>> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        let mut arrays = Vec::new();
        for field in &self.fields {
            let scalars =
                values.iter().map(|(spec_id, partition)| field.value(*spec_id, partition, metadata));
            let scalars = scalars.collect::<Result<Vec<_>>>()?;
            let array = if scalars.is_empty() {
                arrow::array::new_empty_array(field.arrow.data_type())
            } else {
                ScalarValue::iter_to_array(scalars).map_err(|error| Error::internal(error.to_string()))?
            };
            arrays.push(array);
        }
        let fields = self.fields.iter().map(|field| Arc::clone(&field.arrow)).collect();
        let array = StructArray::try_new(fields, arrays, None);
        Ok(Some(Arc::new(array.map_err(|error| Error::internal(error.to_string()))?)))
    }
}

impl PartitionField {
    fn value(&self, spec_id: i32, partition: &Struct, metadata: &TableMetadata) -> Result<ScalarValue> {
        let null = || {
            ScalarValue::try_from(self.arrow.data_type()).map_err(|error| Error::internal(error.to_string()))
        };
        let spec = metadata.partition_spec_by_id(spec_id);
        let place = spec.and_then(|spec| spec.fields().iter().position(|field| field.field_id == self.id));
        let literal = place.and_then(|place| partition.fields().get(place).cloned().flatten());
        match literal {
            Some(Literal::Primitive(value)) => scalar_of(&value, &self.primitive).map_or_else(null, Ok),
            _ => null(),
        }
    }
}
