//! Lengths and constraints of a table that is there, and what becomes of them when its columns change: under another name
//! a column keeps what is said of it, and with a column goes every constraint that it is part of, as in PostgreSQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};
use iceberg::spec::NestedFieldRef;
use tarn_catalog::iceberg::{ConstraintKind, identifying};

use super::super::Context;
use super::super::constraint::{Declaring, shown_name};
use super::columns::{identify, set_not_null};
use super::evolution::{Evolution, Proof};
use super::reference::require_all;
use crate::error::{Error, Result};
use crate::parse::{fold, parse_condition};
use crate::sqlstate::SqlState;
use crate::statement::{ColumnDefinition, Constraint, ConstraintRule, Path, TypeName};
use crate::types::Characters;

pub(super) fn add(evolution: &mut Evolution, constraint: Constraint, context: &Context) -> Result<()> {
    let key = match &constraint.rule {
        ConstraintRule::PrimaryKey(columns) => columns.clone(),
        _ => Vec::new(),
    };
    let proven = match &constraint.rule {
        ConstraintRule::Check { condition, .. } if constraint.enforced != Some(false) => {
            constraint.validated.then(|| condition.as_ref().clone())
        }
        _ => None,
    };
    let name = Declaring {
        table: &evolution.table,
        schema: &evolution.schema,
        declared: &mut evolution.declared,
        objects: &mut evolution.objects,
        notices: &mut evolution.notices,
    }
    .add(constraint, context)?;
    for column in key {
        set_not_null(evolution, &vec![column], true)?;
    }
    if let Some(condition) = proven {
        prove(evolution, condition, &name)?;
    }
    let key = evolution.declared.primary_key().map(|key| key.kind.columns().to_vec());
    match key.and_then(|columns| identifying(&evolution.schema, &columns)) {
        Some(identifiers) => identify(evolution, identifiers.into_iter().collect()),
        None => Ok(()),
    }
}

/// No row that is there may have the condition false.
fn prove(evolution: &mut Evolution, condition: ast::Expr, name: &str) -> Result<()> {
    let constraint = evolution.declared.constraints.iter().find(|constraint| constraint.name == name);
    let columns = constraint.map(|constraint| constraint.kind.columns().to_vec()).unwrap_or_default();
    let before = evolution.version.metadata.current_schema();
    let is_old = |id: &i32| match (before.field_by_id(*id), evolution.schema.field_by_id(*id)) {
        (Some(before), Some(after)) => before.name == after.name,
        _ => false,
    };
    let is_null =
        |id: &i32| evolution.schema.field_by_id(*id).is_some_and(|field| field.initial_default.is_none());
    if !columns.iter().all(is_old) {
        // A column that this very statement adds is NULL in every row that is there.
        let added = |id: &i32| before.field_by_id(*id).is_none();
        if columns.len() == 1 && columns.iter().all(|id| added(id) && is_null(id)) {
            return Ok(());
        }
        return Err(Error::unsupported("a CHECK on a column that the same statement adds or renames")
            .with_hint("Add the constraint in a statement of its own."));
    }
    let message =
        format!("check constraint \"{name}\" of relation \"{}\" is violated by some row", evolution.table);
    let never = ast::Expr::UnaryOp {
        op: ast::UnaryOperator::Not,
        expr: Box::new(ast::Expr::Nested(Box::new(condition))),
    };
    evolution.proofs.push(Proof { never, violated: Error::new(SqlState::CHECK_VIOLATION, message) });
    require_all(evolution)
}

pub(super) fn remove(evolution: &mut Evolution, name: &str, if_exists: bool) -> Result<()> {
    let table = evolution.table.clone();
    let at =
        evolution.declared.constraints.iter().position(|constraint| shown_name(constraint, &table) == name);
    let Some(at) = at else {
        let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
        if !if_exists {
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        evolution.notices.push(format!("{message}, skipping"));
        return Ok(());
    };
    let removed = evolution.declared.constraints.remove(at);
    match removed.kind {
        ConstraintKind::PrimaryKey { .. } => identify(evolution, Vec::new()),
        _ => Ok(()),
    }
}

/// What a new column says of itself.
pub(super) fn of_new_column(
    evolution: &mut Evolution,
    path: &Path,
    column: &ColumnDefinition,
    constraints: Vec<Constraint>,
    context: &Context,
) -> Result<()> {
    if path.len() > 1 && !constraints.is_empty() {
        return Err(Error::unsupported("a constraint on a field of a struct"));
    }
    if let (Some(id), TypeName::Characters(characters)) = (id_of(evolution, path), &column.data_type) {
        evolution.declared.types.insert(id, characters.to_string());
    }
    for constraint in constraints {
        let has_rows = evolution.metadata.snapshots().next().is_some();
        if has_rows && matches!(constraint.rule, ConstraintRule::PrimaryKey(_)) && column.default.is_none() {
            let message = format!(
                "column \"{}\" of relation \"{}\" contains null values",
                column.name, evolution.table
            );
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
                .with_detail("Rows that are there already would have no value for it."));
        }
        add(evolution, constraint, context)?;
    }
    Ok(())
}

/// The id of a whole column; only these have lengths and constraints.
fn id_of(evolution: &Evolution, path: &Path) -> Option<i32> {
    let [name] = path.as_slice() else { return None };
    let fields = evolution.schema.as_struct().fields();
    fields.iter().find(|field: &&NestedFieldRef| field.name == *name).map(|field| field.id)
}

/// The primary key goes; what identifies rows is said otherwise.
pub(super) fn forget_key(evolution: &mut Evolution) {
    let is_key = |kind: &ConstraintKind| matches!(kind, ConstraintKind::PrimaryKey { .. });
    evolution.declared.constraints.retain(|constraint| !is_key(&constraint.kind));
}

/// Takes along what is said of columns that go.
pub(super) fn drop_column(evolution: &mut Evolution, ids: &[i32]) -> Result<()> {
    evolution.declared.types.retain(|id, _| !ids.contains(id));
    let mut key = false;
    evolution.declared.constraints.retain(|constraint| {
        let about = constraint.kind.columns().iter().any(|id| ids.contains(id))
            || matches!(&constraint.kind, ConstraintKind::ForeignKey { table: None, references, .. }
                if references.iter().any(|id| ids.contains(id)));
        // Identifier fields without a name are not PostgreSQL's: who set them says when they go.
        let goes = about && !constraint.name.is_empty();
        key |= goes && matches!(constraint.kind, ConstraintKind::PrimaryKey { .. });
        !goes
    });
    if key { identify(evolution, Vec::new()) } else { Ok(()) }
}

/// Conditions name columns, so they follow a new name.
pub(super) fn rename_column(evolution: &mut Evolution, path: &Path, to: &str) -> Result<()> {
    let id = match path.as_slice() {
        [_] => id_of(evolution, &vec![to.to_owned()]),
        [column, ..] => id_of(evolution, &vec![column.clone()]),
        [] => None,
    };
    let table = evolution.table.clone();
    for constraint in &mut evolution.declared.constraints {
        let ConstraintKind::Check { columns, expression, .. } = &mut constraint.kind else { continue };
        if !id.is_some_and(|id| columns.contains(&id)) {
            continue;
        }
        let [from] = path.as_slice() else {
            let message =
                format!("renaming a field of a struct that constraint \"{}\" names", constraint.name);
            return Err(Error::unsupported(message).with_hint("Drop the constraint first."));
        };
        let mut condition = parse_condition(expression)?;
        let _: ControlFlow<()> = condition.visit(&mut Renamer { table: &table, from, to });
        *expression = condition.to_string();
    }
    Ok(())
}

struct Renamer<'a> {
    table: &'a str,
    from: &'a str,
    to: &'a str,
}

impl VisitorMut for Renamer<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut ast::Expr) -> ControlFlow<()> {
        let column = match expression {
            ast::Expr::Identifier(name) => Some(name),
            // `table.column`, or a column and a field of it.
            ast::Expr::CompoundIdentifier(parts) => {
                let qualified = parts.first().is_some_and(|part| fold(part) == self.table);
                parts.get_mut(usize::from(qualified))
            }
            _ => None,
        };
        if let Some(name) = column.filter(|name| fold(name) == self.from) {
            *name = ast::Ident::with_quote('"', self.to);
        }
        ControlFlow::Continue(())
    }
}

/// A primary key's columns are never NULL.
pub(super) fn check_not_in_key(evolution: &Evolution, id: i32, path: &Path) -> Result<()> {
    let key = evolution.declared.primary_key();
    if !key.is_some_and(|key| !key.name.is_empty() && key.kind.columns().contains(&id)) {
        return Ok(());
    }
    let message = format!("column \"{}\" is in a primary key", path.join("."));
    Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).with_hint("Drop the constraint first."))
}

/// Another length. Rows that are there must fit.
pub(super) fn set_length(evolution: &mut Evolution, path: &Path, data_type: &TypeName) -> Result<()> {
    let Some(id) = id_of(evolution, path) else { return Ok(()) };
    let TypeName::Characters(characters) = data_type else {
        evolution.declared.types.remove(&id);
        return Ok(());
    };
    let before = evolution.declared.types.insert(id, characters.to_string());
    let before = before.and_then(|before| Characters::read(&before));
    let Some(length) = characters.length else { return Ok(()) };
    let fits = before.is_some_and(|before| {
        before.fixed == characters.fixed && before.length.is_some_and(|before| before <= length)
    });
    let is_old = evolution.version.metadata.current_schema().field_by_id(id).map(|field| field.name.clone());
    let Some(column) = is_old.filter(|_| !fits) else { return Ok(()) };
    let quoted = tarn_catalog::name::quote(&column);
    let never = parse_condition(&format!("char_length({quoted}) > {length}"))?;
    let message = format!("value too long for type {}", characters.sql_name());
    let violated = Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message)
        .with_detail(format!("A row that is there has a longer value in column \"{column}\"."));
    evolution.proofs.push(Proof { never, violated });
    require_all(evolution)
}
