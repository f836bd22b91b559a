//! A table's metadata on its way through the actions of one `ALTER TABLE`.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use iceberg::spec::{FormatVersion, Schema, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use tarn_catalog::TableVersion;
use tarn_catalog::iceberg::{DECLARED_PROPERTIES, Declared};

use super::super::Context;
use super::{columns, constraint, partition, properties, reference};
use crate::error::{Error, Result};
use crate::resolve::{ConstraintObjects, TableTarget};
use crate::sqlstate::SqlState;
use crate::statement::{Path, TableAction};

/// An `ALTER TABLE`, ready to be committed.
pub(crate) struct AlterPlan {
    pub target: TableTarget,
    pub requirements: Vec<TableRequirement>,
    pub updates: Vec<TableUpdate>,
    /// The ids of columns, and of fields of structs, that must be shown to hold no NULL before this is committed.
    pub without_null: Vec<i32>,
    /// What must be shown to be true of no row.
    pub proofs: Vec<Proof>,
    pub notices: Vec<String>,
}

/// What no row may be, and what to say when one is.
pub(crate) struct Proof {
    /// Over the columns as the statement finds them.
    pub never: ast::Expr,
    pub violated: Error,
}

/// Plans all actions, as one change.
pub(crate) fn plan_alter(
    target: TableTarget,
    actions: Vec<TableAction>,
    objects: ConstraintObjects,
    context: &Context,
) -> Result<AlterPlan> {
    let mut evolution = Evolution::of(&target, objects);
    for action in actions {
        evolution.act(action, context)?;
    }
    evolution.settle_schema()?;
    evolution.settle_declared()?;
    let Evolution { requirements, updates, without_null, proofs, notices, .. } = evolution;
    Ok(AlterPlan { target, requirements, updates, without_null, proofs, notices })
}

/// The metadata as the actions so far have made it.
pub(super) struct Evolution {
    pub table: String,
    /// As the statement found it.
    pub version: Arc<TableVersion>,
    pub metadata: TableMetadata,
    /// Columns as they shall be; they become part of the metadata when something else needs them, so that several
    /// actions on columns make one new schema.
    pub schema: Schema,
    /// The highest field id that was ever given out.
    pub last_column_id: i32,
    pub updates: Vec<TableUpdate>,
    pub requirements: Vec<TableRequirement>,
    pub without_null: Vec<i32>,
    pub proofs: Vec<Proof>,
    pub notices: Vec<String>,
    /// Lengths and constraints as they shall be.
    pub declared: Declared,
    /// What the constraints that are added name.
    pub objects: ConstraintObjects,
}

impl Evolution {
    fn of(target: &TableTarget, objects: ConstraintObjects) -> Evolution {
        let metadata = target.version.metadata.as_ref().clone();
        Evolution {
            table: target.found.relation.name.clone(),
            version: Arc::clone(&target.version),
            schema: metadata.current_schema().as_ref().clone(),
            last_column_id: metadata.last_column_id(),
            updates: Vec::new(),
            requirements: vec![TableRequirement::UuidMatch { uuid: metadata.uuid() }],
            without_null: Vec::new(),
            proofs: Vec::new(),
            notices: Vec::new(),
            declared: Declared::of(&metadata),
            objects,
            metadata,
        }
    }

    fn act(&mut self, action: TableAction, context: &Context) -> Result<()> {
        match action {
            TableAction::AddColumn(add) => columns::add(self, add, context)?,
            TableAction::DropColumn { path, if_exists } => columns::drop_column(self, &path, if_exists)?,
            TableAction::RenameColumn { path, to } => columns::rename(self, &path, &to)?,
            TableAction::PlaceColumn { path, place } => columns::place(self, &path, &place)?,
            TableAction::SetType { path, data_type } => columns::set_type(self, &path, &data_type)?,
            TableAction::SetNotNull { path, not_null } => columns::set_not_null(self, &path, not_null)?,
            TableAction::SetDefault { path, value } => {
                columns::set_default(self, &path, value.as_ref(), context)?;
            }
            TableAction::SetComment { path, text } => columns::set_comment(self, &path, text)?,
            TableAction::AddConstraint(constraint) => constraint::add(self, constraint, context)?,
            TableAction::DropConstraint { name, if_exists } => constraint::remove(self, &name, if_exists)?,
            TableAction::SetIdentifierFields(paths) => columns::set_identifier(self, &paths)?,
            TableAction::DropIdentifierFields(paths) => columns::drop_identifier(self, &paths)?,
            TableAction::AddPartitionField { term, name } => partition::add(self, &term, name)?,
            TableAction::DropPartitionField(field) => partition::drop_field(self, &field)?,
            TableAction::ReplacePartitionField { old, term, name } => {
                partition::replace(self, &old, &term, name)?;
            }
            TableAction::SetPartitioning(terms) => partition::set(self, &terms)?,
            TableAction::SetOrder { terms, distribution } => {
                partition::set_order(self, terms.as_deref(), distribution)?;
            }
            TableAction::SetProperties(given) => properties::set(self, given)?,
            TableAction::UnsetProperties { names, if_exists } => properties::unset(self, names, if_exists)?,
            TableAction::Reference(action) => reference::plan(self, action, context)?,
        }
        Ok(())
    }

    /// Adds updates and applies them to the copy.
    pub fn push(&mut self, updates: Vec<TableUpdate>) -> Result<()> {
        let mut builder = self.metadata.clone().into_builder(None);
        for update in &updates {
            builder = update.clone().apply(builder).map_err(refused)?;
        }
        self.metadata = builder.build().map_err(refused)?.metadata;
        self.updates.extend(updates);
        Ok(())
    }

    /// Adds a requirement, once.
    pub fn require(&mut self, requirement: TableRequirement) {
        if !self.requirements.contains(&requirement) {
            self.requirements.push(requirement);
        }
    }

    /// Makes the changed columns part of the metadata.
    pub fn settle_schema(&mut self) -> Result<()> {
        let before = Arc::clone(self.metadata.current_schema());
        if before.as_struct() == self.schema.as_struct()
            && before.identifier_field_ids().eq(self.schema.identifier_field_ids())
        {
            return Ok(());
        }
        self.require_schema();
        let added = TableUpdate::AddSchema { schema: self.schema.clone() };
        self.push(vec![added, TableUpdate::SetCurrentSchema { schema_id: -1 }])
    }

    /// Makes lengths and constraints part of the metadata.
    fn settle_declared(&mut self) -> Result<()> {
        // Identifier fields that have no name are in the schema, and nowhere else.
        self.declared.constraints.retain(|constraint| !constraint.name.is_empty());
        let wanted = self.declared.properties();
        let there = self.metadata.properties();
        let removals = DECLARED_PROPERTIES.iter().filter(|name| there.contains_key(**name));
        let removals = removals.filter(|name| !wanted.contains_key(**name)).map(|name| (*name).to_owned());
        let removals: Vec<String> = removals.collect();
        let updates = wanted.into_iter().filter(|(name, value)| there.get(name) != Some(value));
        let updates: HashMap<String, String> = updates.collect();
        if !removals.is_empty() {
            self.push(vec![TableUpdate::RemoveProperties { removals }])?;
        }
        if !updates.is_empty() {
            self.push(vec![TableUpdate::SetProperties { updates }])?;
        }
        Ok(())
    }

    /// What a change of columns rests on: the columns and the highest id, as they were when the statement began.
    fn require_schema(&mut self) {
        if self.requirements.iter().any(|r| matches!(r, TableRequirement::CurrentSchemaIdMatch { .. })) {
            return;
        }
        self.requirements.push(TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: self.metadata.current_schema_id(),
        });
        self.requirements.push(TableRequirement::LastAssignedFieldIdMatch {
            last_assigned_field_id: self.metadata.last_column_id(),
        });
    }

    /// Whether a path goes through structs alone.
    pub fn in_structs(&self, path: &Path) -> bool {
        (1..path.len()).all(|length| {
            let around = self.schema.field_by_name(&path[..length].join("."));
            around.is_some_and(|field| field.field_type.is_struct())
        })
    }

    pub fn is_v3(&self) -> bool {
        self.metadata.format_version() >= FormatVersion::V3
    }

    pub fn no_column(&self, path: &Path) -> Error {
        let name = path.join(".");
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.table);
        let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
        let known = self.schema.field_id_to_name_map().values().map(String::as_str);
        match crate::resolve::nearest(&name, known) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        }
    }
}

/// What the metadata builder has against an update is about what the user asked for.
pub(super) fn refused(error: iceberg::Error) -> Error {
    let mut message = error.message().trim_end_matches('.').to_owned();
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
}
