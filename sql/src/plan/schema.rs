//! From column definitions to an Iceberg schema and partition spec. Field ids are given in the order that the
//! specification's own writers use: all columns of a level first, then what is nested in them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use iceberg::spec::{
    ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Transform,
    Type, UnboundPartitionSpec,
};

use crate::error::{Error, Result};
use crate::resolve::nearest;
use crate::sqlstate::SqlState;
use crate::statement::{ColumnDefinition, PartitionTerm, TypeName};

/// The schema of the columns, with ids from 1.
pub(super) fn schema(columns: &[ColumnDefinition], default: DefaultOf<'_>) -> Result<Schema> {
    let (fields, _) = fields_from(columns, 1, default)?;
    Schema::builder().with_fields(fields).build().map_err(|error| tarn_catalog::Error::from(error).into())
}

/// The value of a DEFAULT for a column of a type; None for NULL.
pub(super) type DefaultOf<'a> = &'a dyn Fn(&ast::Expr, &Type) -> Result<Option<Literal>>;

/// The fields of the columns, with ids from `first`, and the last id given.
pub(super) fn fields_from(
    columns: &[ColumnDefinition],
    first: i32,
    default: DefaultOf<'_>,
) -> Result<(Vec<NestedFieldRef>, i32)> {
    let mut ids = Ids { next: first, default };
    let fields = ids.fields(columns)?;
    Ok((fields, ids.next - 1))
}

struct Ids<'a> {
    next: i32,
    default: DefaultOf<'a>,
}

impl Ids<'_> {
    fn fields(&mut self, columns: &[ColumnDefinition]) -> Result<Vec<NestedFieldRef>> {
        let mut seen = HashSet::new();
        for column in columns {
            tarn_catalog::name::check_identifier(&column.name)?;
            if !seen.insert(&column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
        }
        let first = self.next;
        self.next += i32::try_from(columns.len()).unwrap_or(i32::MAX);
        let mut fields = Vec::new();
        for (id, column) in (first..).zip(columns) {
            let data_type = self.data_type(&column.data_type)?;
            let mut field = NestedField::new(id, &column.name, data_type, column.not_null);
            field.doc = column.comment.clone();
            if let Some(default) = &column.default {
                field.write_default = (self.default)(default, &field.field_type)?;
                field.initial_default.clone_from(&field.write_default);
            }
            fields.push(Arc::new(field));
        }
        Ok(fields)
    }

    fn data_type(&mut self, name: &TypeName) -> Result<Type> {
        Ok(match name {
            TypeName::Primitive(primitive) => Type::Primitive(primitive.clone()),
            TypeName::Characters(_) => Type::Primitive(PrimitiveType::String),
            TypeName::Struct(fields) => Type::Struct(StructType::new(self.fields(fields)?)),
            TypeName::List(element) => {
                let id = self.take();
                let element = NestedField::list_element(id, self.data_type(element)?, false);
                Type::List(ListType::new(Arc::new(element)))
            }
            TypeName::Map(key, value) => {
                let (key_id, value_id) = (self.take(), self.take());
                let key = NestedField::map_key_element(key_id, self.data_type(key)?);
                let value = NestedField::map_value_element(value_id, self.data_type(value)?, false);
                Type::Map(MapType::new(Arc::new(key), Arc::new(value)))
            }
        })
    }

    fn take(&mut self) -> i32 {
        self.next += 1;
        self.next - 1
    }
}

/// The partition spec of the terms over a schema.
pub(super) fn partition_spec(terms: &[PartitionTerm], schema: &Schema) -> Result<UnboundPartitionSpec> {
    let mut builder = UnboundPartitionSpec::builder();
    let mut names = HashSet::new();
    for term in terms {
        let Some(field) = schema.as_struct().fields().iter().find(|field| field.name == term.column) else {
            let message = format!("column \"{}\" of PARTITIONED BY does not exist", term.column);
            let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
            let known = schema.as_struct().fields().iter().map(|field| field.name.as_str());
            return Err(match nearest(&term.column, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            });
        };
        if term.transform.result_type(&field.field_type).is_err() {
            let message = format!("cannot partition column \"{}\" by {}", term.column, term.transform);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_detail(format!("Its type is {}.", field.field_type)));
        }
        let name = partition_name(term);
        if !names.insert(name.clone()) {
            let message = format!("PARTITIONED BY has {name} more than once");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        builder =
            builder.add_partition_field(field.id, name, term.transform).map_err(tarn_catalog::Error::from)?;
    }
    Ok(builder.build())
}

/// The names that Iceberg's Java library gives, as far as Avro allows them: manifests have a field of this name.
fn partition_name(term: &PartitionTerm) -> String {
    let column = avro_name(&term.column);
    match term.transform {
        Transform::Identity => column,
        Transform::Bucket(_) => format!("{column}_bucket"),
        Transform::Truncate(_) => format!("{column}_trunc"),
        Transform::Year => format!("{column}_year"),
        Transform::Month => format!("{column}_month"),
        Transform::Day => format!("{column}_day"),
        Transform::Hour => format!("{column}_hour"),
        Transform::Void | Transform::Unknown => format!("{column}_null"),
    }
}

/// A name of letters, digits and underscores that does not begin with a digit (Avro 1.11, "Names"); any other
/// character is written as `_x` and its code point, as Iceberg's Java library does.
fn avro_name(name: &str) -> String {
    let mut safe = String::new();
    for (place, character) in name.chars().enumerate() {
        match character {
            'a'..='z' | 'A'..='Z' | '_' => safe.push(character),
            '0'..='9' if place > 0 => safe.push(character),
            '0'..='9' => safe.extend(['_', character]),
            other => safe.push_str(&format!("_x{:X}", u32::from(other))),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::avro_name;

    #[test]
    fn partition_names_are_names_to_avro() {
        let check = |name: &str, expect: &str| assert_eq!(avro_name(name), expect);
        check("sale_day2", "sale_day2");
        check("sale day", "sale_x20day");
        check("1st", "_1st");
        check("a.b", "a_x2Eb");
        check("\u{e9}", "_xE9");
    }
}
