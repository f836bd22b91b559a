//! Partition fields and sort order. Files keep the partitioning they were written with; a new one is for new files.

use iceberg::spec::{SortField, SortOrder, Transform, UnboundPartitionField, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use std::collections::HashMap;

use super::super::schema;
use super::evolution::Evolution;
use crate::error::{Error, Result};
use crate::resolve::nearest;
use crate::sqlstate::SqlState;
use crate::statement::{PartitionField, PartitionTerm, SortTerm};

pub(super) fn add(evolution: &mut Evolution, term: &PartitionTerm, name: Option<String>) -> Result<()> {
    let mut fields = fields(evolution)?;
    push(&mut fields, evolution, term, name)?;
    adopt(evolution, fields)
}

pub(super) fn drop_field(evolution: &mut Evolution, field: &PartitionField) -> Result<()> {
    let mut fields = fields(evolution)?;
    let at = find(&fields, evolution, field)?;
    fields.remove(at);
    adopt(evolution, fields)
}

pub(super) fn replace(
    evolution: &mut Evolution,
    old: &PartitionField,
    term: &PartitionTerm,
    name: Option<String>,
) -> Result<()> {
    let mut fields = fields(evolution)?;
    let at = find(&fields, evolution, old)?;
    fields.remove(at);
    push(&mut fields, evolution, term, name)?;
    if let Some(last) = fields.pop() {
        fields.insert(at, last);
    }
    adopt(evolution, fields)
}

pub(super) fn set(evolution: &mut Evolution, terms: &[PartitionTerm]) -> Result<()> {
    let mut fields = Vec::new();
    for term in terms {
        push(&mut fields, evolution, term, None)?;
    }
    adopt(evolution, fields)
}

fn fields(evolution: &mut Evolution) -> Result<Vec<UnboundPartitionField>> {
    evolution.settle_schema()?;
    let spec = evolution.metadata.default_partition_spec().as_ref().clone().into_unbound();
    Ok(spec.fields().to_vec())
}

/// Adds a field under its name; the same name for something else gets a number, because old specs keep theirs.
fn push(
    fields: &mut Vec<UnboundPartitionField>,
    evolution: &mut Evolution,
    term: &PartitionTerm,
    name: Option<String>,
) -> Result<()> {
    evolution.settle_schema()?;
    let metadata = &evolution.metadata;
    let spec = schema::partition_spec(std::slice::from_ref(term), metadata.current_schema())?;
    let mut field =
        spec.fields().first().cloned().ok_or_else(|| Error::internal("a partition term became no field"))?;
    let same = |other: &UnboundPartitionField| {
        other.source_id == field.source_id && other.transform == field.transform
    };
    if fields.iter().any(same) {
        let message = format!("the table is partitioned by {} already", field.name);
        return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
    }
    // An equal field of an earlier spec keeps its id and, unless another is asked for, its name.
    let earlier = metadata
        .partition_specs_iter()
        .flat_map(|spec| spec.fields())
        .filter(|old| old.source_id == field.source_id && old.transform == field.transform);
    if let Some(old) = earlier.max_by_key(|old| old.field_id) {
        field.field_id = Some(old.field_id);
        field.name.clone_from(&old.name);
    }
    if let Some(name) = name {
        tarn_catalog::name::check_identifier(&name)?;
        field.name = name;
    }
    if fields.iter().any(|other| other.name == field.name) {
        let message = format!("there is a partition field \"{}\" already", field.name);
        return Err(
            Error::new(SqlState::DUPLICATE_OBJECT, message).with_hint("Give it another name with AS.")
        );
    }
    fields.push(field);
    Ok(())
}

fn find(fields: &[UnboundPartitionField], evolution: &Evolution, wanted: &PartitionField) -> Result<usize> {
    let schema = evolution.metadata.current_schema();
    let is_term = |field: &UnboundPartitionField, term: &PartitionTerm| {
        field.transform == term.transform
            && schema.name_by_field_id(field.source_id) == Some(term.column.as_str())
    };
    let found = match wanted {
        PartitionField::Name(name) => {
            let identity = PartitionTerm { column: name.clone(), transform: Transform::Identity };
            fields
                .iter()
                .position(|field| field.name == *name)
                .or_else(|| fields.iter().position(|field| is_term(field, &identity)))
        }
        PartitionField::Term(term) => fields.iter().position(|field| is_term(field, term)),
    };
    found.ok_or_else(|| {
        let what = match wanted {
            PartitionField::Name(name) => name.clone(),
            PartitionField::Term(term) => format!("{}({})", term.transform, term.column),
        };
        let message = format!("table \"{}\" has no partition field \"{what}\"", evolution.table);
        let error = Error::new(SqlState::UNDEFINED_OBJECT, message);
        match nearest(&what, fields.iter().map(|field| field.name.as_str())) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None if fields.is_empty() => error.with_hint("It is not partitioned."),
            None => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                error.with_hint(format!("It is partitioned by: {}.", names.join(", ")))
            }
        }
    })
}

fn adopt(evolution: &mut Evolution, fields: Vec<UnboundPartitionField>) -> Result<()> {
    let metadata = &evolution.metadata;
    let (default_spec_id, last) = (metadata.default_partition_spec_id(), metadata.last_partition_id());
    if !evolution.requirements.iter().any(|r| matches!(r, TableRequirement::DefaultSpecIdMatch { .. })) {
        evolution.require(TableRequirement::DefaultSpecIdMatch { default_spec_id });
        evolution
            .require(TableRequirement::LastAssignedPartitionIdMatch { last_assigned_partition_id: last });
    }
    let spec = UnboundPartitionSpec::builder().add_partition_fields(fields);
    let spec = spec.map_err(super::evolution::refused)?.build();
    evolution.push(vec![TableUpdate::AddSpec { spec }, TableUpdate::SetDefaultSpec { spec_id: -1 }])
}

pub(super) fn set_order(
    evolution: &mut Evolution,
    terms: Option<&[SortTerm]>,
    distribution: Option<&str>,
) -> Result<()> {
    evolution.settle_schema()?;
    if let Some(terms) = terms {
        let metadata = &evolution.metadata;
        let default_sort_order_id = metadata.default_sort_order_id();
        let fields = sort_fields(terms, metadata.current_schema())?;
        if !evolution
            .requirements
            .iter()
            .any(|r| matches!(r, TableRequirement::DefaultSortOrderIdMatch { .. }))
        {
            evolution.require(TableRequirement::DefaultSortOrderIdMatch { default_sort_order_id });
        }
        let sort_order = SortOrder { order_id: i64::from(!fields.is_empty()), fields };
        evolution.push(vec![
            TableUpdate::AddSortOrder { sort_order },
            TableUpdate::SetDefaultSortOrder { sort_order_id: -1 },
        ])?;
    }
    if let Some(distribution) = distribution {
        let updates = HashMap::from([("write.distribution-mode".to_owned(), distribution.to_owned())]);
        evolution.push(vec![TableUpdate::SetProperties { updates }])?;
    }
    Ok(())
}

/// The terms of an order over a schema.
pub(crate) fn sort_fields(terms: &[SortTerm], schema: &iceberg::spec::Schema) -> Result<Vec<SortField>> {
    let field = |term: &SortTerm| {
        let Some(field) = schema.field_by_name(&term.column) else {
            let message = format!("column \"{}\" of ORDERED BY does not exist", term.column);
            let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
            let known = schema.as_struct().fields().iter().map(|field| field.name.as_str());
            return Err(match nearest(&term.column, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            });
        };
        if !field.field_type.is_primitive() || term.transform.result_type(&field.field_type).is_err() {
            let message = format!("cannot order column \"{}\" by {}", term.column, term.transform);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_detail(format!("Its type is {}.", field.field_type)));
        }
        Ok(SortField {
            source_id: field.id,
            transform: term.transform,
            direction: term.direction,
            null_order: term.nulls,
        })
    };
    terms.iter().map(field).collect()
}
