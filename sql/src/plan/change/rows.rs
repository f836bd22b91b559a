//! `DELETE` and `UPDATE`: the rows that their condition finds, each with its place.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::check::guarded;
use super::items::{Items, Tables, plan_items, with_item_types};
use super::keys::seek_filtered;
use super::layout::{ChangeKind, ChangePlan, RowAction, column, finish, front};
use super::values::Columns;
use crate::error::{Error, Result};
use crate::plan::{Context, engine_error, query};
use crate::resolve::{Assigned, Change, Deed, Place, ResolvedQuery, TableTarget, target_reference};
use crate::table::hidden;

pub(super) async fn plan_delete(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    let Deed::Delete { query } = &change.deed else { return Err(Error::internal("no DELETE")) };
    let tables = change_tables(query, &change.target, context).await?;
    let mut items = plan_items("DELETE", &query.query, change.returning, context, &tables, types)?;
    let columns = Columns::new(&change.target)?;
    let sought = seek_filtered(&mut items.input, &change, &columns, &context.state);
    let alias = change.alias.value.as_str();
    let front = front(Some(alias), RowAction::Delete.literal());
    let (input, returning) = finish(items.input.clone(), front, None, &items)?;
    let kind = ChangeKind::Delete;
    Ok(ChangePlan {
        target: change.target,
        kind,
        input,
        reads_target: true,
        writes: false,
        returning,
        read: sought.read,
        keys: sought.keys,
    })
}

pub(super) async fn plan_update(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    let Deed::Update { query, assignments } = &change.deed else { return Err(Error::internal("no UPDATE")) };
    let tables = change_tables(query, &change.target, context).await?;
    let columns = Columns::new(&change.target)?;
    let places = columns.places(assignments, &change.target)?;
    let types = with_item_types(&query.query, &wanted(assignments, &places, &columns), types);
    let mut items = plan_items("UPDATE", &query.query, change.returning, context, &tables, &types)?;
    let sought = seek_filtered(&mut items.input, &change, &columns, &context.state);
    let mut values = Vec::with_capacity(places.len());
    for (assigned, place) in assignments.iter().zip(&places) {
        let (list, input) = (&items.values, &items.input);
        let value = columns.value(*place, assigned.value, list, input, &change.target, &context.state)?;
        values.push((*place, value));
    }
    let alias = change.alias.value.as_str();
    let rows = with_new_values(&items, alias, &columns, &values)?;
    let front = front(Some(alias), RowAction::Update.literal());
    let (input, returning) = finish(rows, front, Some((alias, columns.scanned())), &items)?;
    let input = guarded(input, &change.target, &columns, context).await?;
    let kind = ChangeKind::Update;
    Ok(ChangePlan {
        target: change.target,
        kind,
        input,
        reads_target: true,
        writes: true,
        returning,
        read: sought.read,
        keys: sought.keys,
    })
}

/// Which items of the list become which columns.
pub(super) fn wanted<'a>(
    assignments: &[Assigned],
    places: &[usize],
    columns: &'a Columns,
) -> Vec<(usize, &'a FieldRef)> {
    let pairs = assignments.iter().zip(places);
    let item = |(assigned, place): (&Assigned, &usize)| match assigned.value {
        Place::Default => None,
        Place::Item(item) => Some((item, columns.written.fields().get(*place)?)),
    };
    pairs.filter_map(item).collect()
}

/// The tables of a query of the statement, the one that is changed with the place of each row.
pub(super) async fn change_tables(
    query: &ResolvedQuery,
    target: &TableTarget,
    context: &Context,
) -> Result<Tables> {
    let mut tables = query::tables(query, context, &context.scope.principal).await?;
    tables.insert(target_reference(), query::changed_table(target, context)?);
    Ok(tables)
}

/// The same rows with the target's columns as they will be; the other columns stay for what is returned.
fn with_new_values(
    items: &Items,
    alias: &str,
    columns: &Columns,
    values: &[(usize, Expr)],
) -> Result<LogicalPlan> {
    let input = &items.input;
    let mut list: Vec<Expr> =
        [hidden::FILE, hidden::POS, hidden::ROW_ID].map(|name| column(alias, name)).into();
    for (place, field) in columns.scanned.fields().iter().enumerate() {
        let new = values.iter().find(|(assigned, _)| *assigned == place).map(|(_, value)| value.clone());
        list.push(match new {
            Some(value) => value.alias_qualified(Some(alias), field.name()),
            None => column(alias, field.name()),
        });
    }
    if !items.returning.is_empty() {
        list.extend(others(input, alias));
    }
    LogicalPlanBuilder::from(input.clone())
        .project(list)
        .and_then(LogicalPlanBuilder::build)
        .map_err(engine_error)
}

/// The columns of the plan that are not the target's.
pub(super) fn others(input: &LogicalPlan, alias: &str) -> Vec<Expr> {
    let foreign = input.schema().iter().filter(|(qualifier, _)| {
        !qualifier.is_some_and(|qualifier| qualifier.table() == alias && qualifier.schema().is_none())
    });
    foreign.map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect()
}
