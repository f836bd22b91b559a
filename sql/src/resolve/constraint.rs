//! What constraints name beyond their own table: the tables that foreign keys lead to, and what is called in the
//! condition of a CHECK, which becomes a query over the row that is checked.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, TableWithJoins, Visit, Visitor};
use tarn_catalog::object::Namespace;

use super::change::{factor, quoted, rows_reference, select};
use super::names::Scope;
use super::query::{ResolvedQuery, resolve_with};
use super::target::{TableTarget, table_of};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Constraint, ConstraintRule, Name, TableAction};

/// The objects of the constraints of one statement, in the order in which they are written.
#[derive(Debug, Default)]
pub(crate) struct ConstraintObjects {
    /// One for each foreign key; None for the table itself.
    pub tables: VecDeque<Option<TableTarget>>,
    /// One for each CHECK: its condition as the only column of a query.
    pub conditions: VecDeque<ResolvedQuery>,
}

/// The constraints of the actions of an `ALTER TABLE`.
pub(super) fn of_actions(actions: &[TableAction]) -> impl Iterator<Item = &Constraint> {
    actions.iter().flat_map(|action| match action {
        TableAction::AddConstraint(constraint) => std::slice::from_ref(constraint),
        TableAction::AddColumn(add) => add.constraints.as_slice(),
        _ => &[],
    })
}

/// Finds what the constraints of a table name, which may not be there yet.
pub(super) async fn constraint_objects<'a>(
    constraints: impl Iterator<Item = &'a Constraint>,
    namespace: &Namespace,
    table: &str,
    scope: &Scope,
) -> Result<ConstraintObjects> {
    let mut objects = ConstraintObjects::default();
    for constraint in constraints {
        match &constraint.rule {
            ConstraintRule::ForeignKey(key) => {
                objects.tables.push_back(referenced(&key.table, namespace, table, scope).await?);
            }
            ConstraintRule::Check { condition, .. } => {
                refuse_subquery(condition)?;
                objects
                    .conditions
                    .push_back(resolve_condition(condition.as_ref().clone(), table, scope).await?);
            }
            ConstraintRule::PrimaryKey(_) | ConstraintRule::Unique(_) => {}
        }
    }
    Ok(objects)
}

/// The table that a foreign key leads to; None for the one that has it.
async fn referenced(
    name: &Name,
    namespace: &Namespace,
    table: &str,
    scope: &Scope,
) -> Result<Option<TableTarget>> {
    if name.name == table && name.schema.as_ref().is_none_or(|schema| *schema == namespace.name) {
        return Ok(None);
    }
    table_of(scope.relation(name)?, scope).await.map(Some)
}

/// A condition on one row, which stands under the name of its table.
pub(crate) async fn resolve_condition(condition: Expr, table: &str, scope: &Scope) -> Result<ResolvedQuery> {
    let rows = TableWithJoins { relation: factor(&rows_reference(), &quoted(table)), joins: Vec::new() };
    let item = SelectItem::ExprWithAlias { expr: condition, alias: Ident::with_quote('"', "condition") };
    resolve_with(select(None, vec![item], vec![rows], None)?, scope, &[rows_reference()]).await
}

fn refuse_subquery(condition: &Expr) -> Result<()> {
    struct Subqueries;
    impl Visitor for Subqueries {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    match condition.visit(&mut Subqueries) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            let message = "cannot use subquery in check constraint";
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}
