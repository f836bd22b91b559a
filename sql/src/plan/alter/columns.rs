//! Columns. Field ids are never used twice, and a change must leave every old file readable (specification, "Schema
//! Evolution"): names may change freely, types only widen.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use iceberg::spec::{Literal, NestedField, NestedFieldRef, PrimitiveLiteral, PrimitiveType, Type};

use super::super::{Context, schema};
use super::constraint;
use super::default::{check_defaults, default_literal};
use super::evolution::{Evolution, refused};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{AddColumn, Path, Place, TypeName};

pub(super) fn add(evolution: &mut Evolution, add: AddColumn, context: &Context) -> Result<()> {
    let AddColumn { parent, column, constraints, if_not_exists, place } = add;
    tarn_catalog::name::check_identifier(&column.name)?;
    let path: Path = parent.iter().cloned().chain([column.name.clone()]).collect();
    if evolution.schema.field_by_name(&path.join(".")).is_some() {
        let message =
            format!("column \"{}\" of relation \"{}\" already exists", path.join("."), evolution.table);
        if !if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        evolution.notices.push(format!("{message}, skipping"));
        return Ok(());
    }
    check_defaults(std::slice::from_ref(&column), evolution.is_v3())?;
    let first = evolution.last_column_id + 1;
    let value = |value: &ast::Expr, data_type: &Type| default_literal(value, data_type, context);
    let (mut fields, last) = schema::fields_from(std::slice::from_ref(&column), first, &value)?;
    let field = fields.pop().ok_or_else(|| Error::internal("a new column is missing"))?;
    check_precision(&field, evolution)?;
    let has_rows = evolution.metadata.snapshots().next().is_some();
    if field.required && field.initial_default.is_none() && has_rows {
        let message =
            format!("column \"{}\" of relation \"{}\" contains null values", path.join("."), evolution.table);
        return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
            .with_detail("Rows that are there already would have no value for it.")
            .with_hint("Give it a DEFAULT, or leave out NOT NULL."));
    }
    evolution.change_level(&parent, |mut fields| {
        fields.push(field);
        match place {
            Some(place) => placed(fields, &column.name, &place),
            None => Ok(fields),
        }
    })?;
    evolution.last_column_id = last;
    constraint::of_new_column(evolution, &path, &column, constraints, context)
}

/// Nanoseconds came with format version 3.
fn check_precision(field: &NestedField, evolution: &Evolution) -> Result<()> {
    let nanoseconds = |data_type: &Type| {
        matches!(data_type, Type::Primitive(PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs))
    };
    if evolution.is_v3() || !any(&field.field_type, &nanoseconds) {
        return Ok(());
    }
    let message = format!("column \"{}\" has nanoseconds, which format version 3 brought", field.name);
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Use ALTER TABLE … SET (format_version = 3), or timestamp(6)."))
}

fn any(data_type: &Type, is: &dyn Fn(&Type) -> bool) -> bool {
    is(data_type)
        || match data_type {
            Type::Primitive(_) => false,
            Type::Struct(fields) => fields.fields().iter().any(|field| any(&field.field_type, is)),
            Type::List(list) => any(&list.element_field.field_type, is),
            Type::Map(map) => any(&map.key_field.field_type, is) || any(&map.value_field.field_type, is),
        }
}

/// The fields with one of them in another place.
fn placed(mut fields: Vec<NestedFieldRef>, name: &str, place: &Place) -> Result<Vec<NestedFieldRef>> {
    let missing = |name: &str| {
        Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist at that place"))
    };
    let from = fields.iter().position(|field| field.name == name).ok_or_else(|| missing(name))?;
    let field = fields.remove(from);
    let place_of =
        |other: &str| fields.iter().position(|field| field.name == other).ok_or_else(|| missing(other));
    let to = match place {
        Place::First => 0,
        Place::After(other) => place_of(other)? + 1,
        Place::Before(other) => place_of(other)?,
    };
    fields.insert(to, field);
    Ok(fields)
}

pub(super) fn place(evolution: &mut Evolution, path: &Path, place: &Place) -> Result<()> {
    let (name, parent) = split(path)?;
    exists(evolution, path)?;
    evolution.change_level(parent, |fields| placed(fields, name, place))
}

pub(super) fn drop_column(evolution: &mut Evolution, path: &Path, if_exists: bool) -> Result<()> {
    let Some(field) = evolution.schema.field_by_name(&path.join(".")).cloned() else {
        let error = evolution.no_column(path);
        if !if_exists {
            return Err(error);
        }
        evolution.notices.push(format!("{}, skipping", error.message));
        return Ok(());
    };
    constraint::drop_column(evolution, &ids_of(&field))?;
    check_unused(evolution, &field, path)?;
    let (name, parent) = split(path)?;
    let full = path.join(".");
    evolution.change_level(parent, |mut fields| {
        let at = fields.iter().position(|field| field.name == *name);
        let message = format!("\"{full}\" is no field of a struct");
        fields.remove(at.ok_or_else(|| Error::new(SqlState::INVALID_COLUMN_REFERENCE, message))?);
        if fields.is_empty() {
            let message = format!("column \"{full}\" is the only one, and there must be one");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        Ok(fields)
    })?;
    super::properties::drop_column(evolution, &path.join("."))
}

/// What partitioning, order and identity rest on stays. An older partitioning knows its columns from older schemas.
fn check_unused(evolution: &Evolution, field: &NestedField, path: &Path) -> Result<()> {
    let ids = ids_of(field);
    let used = |what: &str, hint: String| {
        let message = format!("cannot drop column \"{}\": {what}", path.join("."));
        Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).with_hint(hint))
    };
    let metadata = &evolution.metadata;
    let source = |spec: &iceberg::spec::PartitionSpec| {
        spec.fields().iter().find(|field| ids.contains(&field.source_id)).map(|field| field.name.clone())
    };
    if let Some(name) = source(metadata.default_partition_spec()) {
        let hint = format!("First ALTER TABLE … DROP PARTITION FIELD {name}.");
        return used("the table is partitioned by it", hint);
    }
    if metadata.default_sort_order().fields.iter().any(|field| ids.contains(&field.source_id)) {
        return used("the table is ordered by it", "First ALTER TABLE … WRITE UNORDERED.".to_owned());
    }
    if evolution.schema.identifier_field_ids().any(|id| ids.contains(&id)) {
        let hint = "First ALTER TABLE … DROP IDENTIFIER FIELDS.".to_owned();
        return used("it is an identifier field", hint);
    }
    Ok(())
}

/// The ids of a field and of all that is nested in it.
fn ids_of(field: &NestedField) -> Vec<i32> {
    let mut ids = vec![field.id];
    match field.field_type.as_ref() {
        Type::Primitive(_) => {}
        Type::Struct(fields) => ids.extend(fields.fields().iter().flat_map(|field| ids_of(field))),
        Type::List(list) => ids.extend(ids_of(&list.element_field)),
        Type::Map(map) => ids.extend(ids_of(&map.key_field).into_iter().chain(ids_of(&map.value_field))),
    }
    ids
}

pub(super) fn rename(evolution: &mut Evolution, path: &Path, to: &str) -> Result<()> {
    tarn_catalog::name::check_identifier(to)?;
    exists(evolution, path)?;
    let (name, parent) = split(path)?;
    let table = evolution.table.clone();
    evolution.change_level(parent, |mut fields| {
        if name != to && fields.iter().any(|field| field.name == to) {
            let message = format!("column \"{to}\" of relation \"{table}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => Arc::make_mut(field).name = to.to_owned(),
            None => {
                let message = format!("\"{name}\" is part of a list or map and has no name of its own");
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
        }
        Ok(fields)
    })?;
    constraint::rename_column(evolution, path, to)?;
    let renamed: Path = parent.iter().cloned().chain([to.to_owned()]).collect();
    super::properties::rename_column(evolution, &path.join("."), &renamed.join("."))
}

pub(super) fn set_type(evolution: &mut Evolution, path: &Path, data_type: &TypeName) -> Result<()> {
    exists(evolution, path)?;
    let full = path.join(".");
    let text = TypeName::Primitive(PrimitiveType::String);
    let plain = if matches!(data_type, TypeName::Characters(_)) { &text } else { data_type };
    evolution.change_field(path, |field| {
        let (from, to) = (field.field_type.as_ref().clone(), plain);
        let (Type::Primitive(from), TypeName::Primitive(to)) = (&from, to) else {
            return Err(Error::unsupported("changing the type of a nested column")
                .with_hint("Change its fields: ADD COLUMN a.b, DROP COLUMN a.b, ALTER COLUMN a.b TYPE …."));
        };
        if from == to {
            return Ok(field);
        }
        if !widens(from, to) {
            let message = format!("column \"{full}\" cannot be changed from {from} to {to}");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                .with_detail(
                    "Files are not rewritten, so a type may only widen: integer to bigint, real to double \
                     precision, numeric(p,s) to more digits before the point.",
                )
                .with_hint("Make another table of it with CREATE TABLE … AS SELECT … CAST(…)."));
        }
        let field_type = Box::new(Type::Primitive(to.clone()));
        let initial_default = field.initial_default.map(widened);
        let write_default = field.write_default.map(widened);
        Ok(NestedField { field_type, initial_default, write_default, ..field })
    })?;
    constraint::set_length(evolution, path, data_type)
}

/// A default in the type that its column has been widened to.
fn widened(default: Literal) -> Literal {
    match default {
        Literal::Primitive(PrimitiveLiteral::Int(value)) => Literal::long(i64::from(value)),
        Literal::Primitive(PrimitiveLiteral::Float(value)) => Literal::double(f64::from(value.0)),
        other => other,
    }
}

/// The widenings of the specification whose old values and bounds keep their meaning.
fn widens(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    match (from, to) {
        (PrimitiveType::Int, PrimitiveType::Long) | (PrimitiveType::Float, PrimitiveType::Double) => true,
        (
            PrimitiveType::Decimal { precision: from, scale: old },
            PrimitiveType::Decimal { precision: to, scale: new },
        ) => old == new && to >= from,
        _ => false,
    }
}

pub(super) fn set_not_null(evolution: &mut Evolution, path: &Path, not_null: bool) -> Result<()> {
    let id = exists(evolution, path)?.id;
    if not_null && !evolution.in_structs(path) {
        return Err(Error::unsupported("SET NOT NULL inside a list or map").with_hint(
            "Only columns and the fields of structs can be shown to hold no NULL in the rows that are there.",
        ));
    }
    if !not_null {
        constraint::check_not_in_key(evolution, id, path)?;
    }
    let identifiers: Vec<i32> = evolution.schema.identifier_field_ids().collect();
    let mut changed = false;
    evolution.change_field(path, |field| {
        if !not_null && identifiers.contains(&field.id) {
            let message = format!("column \"{}\" is an identifier field, which is never NULL", field.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_hint("First ALTER TABLE … DROP IDENTIFIER FIELDS."));
        }
        changed = field.required != not_null;
        Ok(NestedField { required: not_null, ..field })
    })?;
    if changed && not_null {
        evolution.without_null.push(id);
        super::reference::require_all(evolution)?;
    }
    Ok(())
}

/// Rows that are there keep the value they had; new ones get the new one.
pub(super) fn set_default(
    evolution: &mut Evolution,
    path: &Path,
    value: Option<&ast::Expr>,
    context: &Context,
) -> Result<()> {
    exists(evolution, path)?;
    if value.is_some() && !evolution.is_v3() {
        return Err(super::default::needs_v3(&path.join(".")));
    }
    evolution.change_field(path, |field| {
        let write_default = match value {
            Some(value) => default_literal(value, &field.field_type, context)?,
            None => None,
        };
        Ok(NestedField { write_default, ..field })
    })
}

pub(super) fn set_comment(evolution: &mut Evolution, path: &Path, text: Option<String>) -> Result<()> {
    exists(evolution, path)?;
    evolution.change_field(path, |field| Ok(NestedField { doc: text, ..field }))
}

/// The columns that tell a row from others (specification, "Identifier Field IDs"). Nobody enforces it.
pub(super) fn set_identifier(evolution: &mut Evolution, paths: &[Path]) -> Result<()> {
    let mut ids = Vec::new();
    for path in paths {
        let field = exists(evolution, path)?;
        let plain = matches!(field.field_type.as_ref(), Type::Primitive(primitive)
            if !matches!(primitive, PrimitiveType::Float | PrimitiveType::Double));
        if !plain {
            let message = format!("column \"{}\" cannot identify rows", path.join("."));
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_detail(format!("Its type is {}.", field.field_type)));
        }
        if !field.required {
            let message = format!("column \"{}\" may be NULL, so it cannot identify rows", path.join("."));
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_hint(format!("First ALTER COLUMN {} SET NOT NULL.", path.join("."))));
        }
        ids.push(field.id);
    }
    constraint::forget_key(evolution);
    identify(evolution, ids)
}

pub(super) fn drop_identifier(evolution: &mut Evolution, paths: &[Path]) -> Result<()> {
    let mut ids: Vec<i32> = evolution.schema.identifier_field_ids().collect();
    for path in paths {
        let field = exists(evolution, path)?;
        let Some(at) = ids.iter().position(|id| *id == field.id) else {
            let message = format!("column \"{}\" is no identifier field", path.join("."));
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        };
        ids.remove(at);
    }
    constraint::forget_key(evolution);
    identify(evolution, ids)
}

pub(super) fn identify(evolution: &mut Evolution, ids: Vec<i32>) -> Result<()> {
    evolution.schema = iceberg::spec::Schema::builder()
        .with_schema_id(evolution.schema.schema_id())
        .with_fields(evolution.schema.as_struct().fields().iter().cloned())
        .with_identifier_field_ids(ids)
        .build()
        .map_err(refused)?;
    Ok(())
}

fn exists(evolution: &Evolution, path: &Path) -> Result<NestedFieldRef> {
    let found = evolution.schema.field_by_name(&path.join(".")).cloned();
    found.ok_or_else(|| evolution.no_column(path))
}

/// The last step of a path and those before it.
fn split(path: &Path) -> Result<(&String, &[String])> {
    path.split_last().ok_or_else(|| Error::internal("a column without a name"))
}
