//! Changing one field somewhere in a schema, ids and all else untouched. Paths go through structs by field name and
//! through lists and maps by `element` and `value`; a map's `key` never changes.

use std::sync::Arc;

use iceberg::spec::{ListType, MapType, NestedField, NestedFieldRef, Schema, StructType, Type};

use super::evolution::{Evolution, refused};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// What can go wrong on the way to a field.
enum Lost {
    /// There is nothing of that name.
    Nowhere,
    /// It is a map's key, or part of one.
    InKey,
    Because(Box<Error>),
}

impl Evolution {
    /// Changes the field at a path.
    pub fn change_field(
        &mut self,
        path: &[String],
        change: impl FnOnce(NestedField) -> Result<NestedField>,
    ) -> Result<()> {
        let mut change = Some(change);
        let changed = descend(&root(&self.schema), path, &mut |field| match change.take() {
            Some(change) => change(field.clone()),
            None => Err(Error::internal("one path leads to two fields")),
        });
        self.adopt(changed, path)
    }

    /// Changes the fields of the struct at a path; the empty path is the table itself.
    pub fn change_level(
        &mut self,
        path: &[String],
        change: impl FnOnce(Vec<NestedFieldRef>) -> Result<Vec<NestedFieldRef>>,
    ) -> Result<()> {
        self.change_field(path, |field| match field.field_type.as_ref() {
            Type::Struct(fields) => {
                let fields = change(fields.fields().to_vec())?;
                let field_type = Box::new(Type::Struct(StructType::new(fields)));
                Ok(NestedField { field_type, ..field })
            }
            other => {
                let message = format!("column \"{}\" is not a struct", path.join("."));
                let error = Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .with_detail(format!("Its type is {other}."));
                Err(match other {
                    Type::List(_) => {
                        error.with_hint(format!("Its elements are \"{}.element\".", path.join(".")))
                    }
                    Type::Map(_) => error.with_hint(format!("Its values are \"{}.value\".", path.join("."))),
                    _ => error,
                })
            }
        })
    }

    fn adopt(&mut self, changed: Result<NestedField, Lost>, path: &[String]) -> Result<()> {
        let changed = changed.map_err(|lost| match lost {
            Lost::Nowhere => self.no_column(&path.to_vec()),
            Lost::InKey => {
                let message =
                    format!("\"{}\" is in the key of a map, which cannot be changed", path.join("."));
                Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                    .with_hint("Make another table of it with CREATE TABLE … AS SELECT ….")
            }
            Lost::Because(error) => *error,
        })?;
        let Type::Struct(fields) = *changed.field_type else {
            return Err(Error::internal("a table is not a struct any more"));
        };
        self.schema = Schema::builder()
            .with_schema_id(self.schema.schema_id())
            .with_fields(fields.fields().iter().cloned())
            .with_identifier_field_ids(self.schema.identifier_field_ids())
            .build()
            .map_err(refused)?;
        Ok(())
    }
}

/// The table as one field.
fn root(schema: &Schema) -> NestedField {
    NestedField::required(0, "", Type::Struct(schema.as_struct().clone()))
}

fn descend(
    field: &NestedField,
    path: &[String],
    change: &mut dyn FnMut(&NestedField) -> Result<NestedField>,
) -> Result<NestedField, Lost> {
    let Some((step, rest)) = path.split_first() else {
        return change(field).map_err(|error| Lost::Because(Box::new(error)));
    };
    let mut deeper = |inner: &NestedFieldRef| descend(inner, rest, change).map(Arc::new);
    let field_type = match (field.field_type.as_ref(), step.as_str()) {
        (Type::Struct(fields), name) => {
            let mut fields = fields.fields().to_vec();
            let found = fields.iter_mut().find(|inner| inner.name == name).ok_or(Lost::Nowhere)?;
            *found = deeper(found)?;
            Type::Struct(StructType::new(fields))
        }
        (Type::List(list), "element") => Type::List(ListType::new(deeper(&list.element_field)?)),
        // Entries of maps that are there would be found no more (specification, "Schema Evolution").
        (Type::Map(_), "key") => return Err(Lost::InKey),
        (Type::Map(map), "value") => {
            Type::Map(MapType::new(Arc::clone(&map.key_field), deeper(&map.value_field)?))
        }
        _ => return Err(Lost::Nowhere),
    };
    Ok(NestedField { field_type: Box::new(field_type), ..field.clone() })
}
