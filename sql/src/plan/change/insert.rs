//! `INSERT` with `ON CONFLICT` or `RETURNING`. There are no unique indexes: a conflict is a row of the table with the
//! same values in the columns that the statement names, found by a join.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, and, cast, lit, or, when,
};

use super::check::guarded;
use super::items::{Items, Tables, plan_items, with_item_types};
use super::keys::{Sought, seek};
use super::layout::{ChangeKind, ChangePlan, RowAction, column, finish, front};
use super::rows::{change_tables, wanted};
use super::values::Columns;
use crate::error::{Error, Result};
use crate::plan::write::{self, places};
use crate::plan::{Context, engine_error};
use crate::resolve::{
    Change, Deed, OnConflict, ResolvedQuery, TableTarget, rows_reference, target_reference,
};
use crate::table::hidden;

/// What the rows that come are called.
const EXCLUDED: &str = "excluded";
/// Counts the rows of one key.
const RANK: &str = "conflict:rank";
/// The column that says what happens to a row.
const KIND: &str = "conflict:kind";

pub(super) async fn plan_insert(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    let Deed::Insert { columns: names, source, returned, conflict } = &change.deed else {
        return Err(Error::internal("no INSERT"));
    };
    let columns = Columns::new(&change.target)?;
    let mut types = types.to_vec();
    if let Some(OnConflict { query, update: Some(update), .. }) = conflict {
        let places = columns.places(&update.assignments, &change.target)?;
        types = with_item_types(&query.query, &wanted(&update.assignments, &places, &columns), &types);
    }
    let tables = change_tables(returned, &change.target, context).await?;
    let items = plan_items("INSERT", &returned.query, change.returning, context, &tables, &types)?;
    let come = write::plan_rows(&change.target, names, source.as_ref(), context, &types).await?;
    let alias = change.alias.value.as_str();
    let scanned = columns.scanned();
    let (rows, front, sought) = match conflict {
        None => {
            let rows = qualified(come, alias, &columns).map_err(engine_error)?;
            (rows, front(None, RowAction::Insert.literal()), Sought::default())
        }
        Some(conflict) => {
            let tables = insert_tables(&conflict.query, &change.target, &columns, context).await?;
            let items = plan_items("INSERT", &conflict.query.query, 0, context, &tables, &types)?;
            let (rows, sought) = conflicts(&change, conflict, come, &items, &columns, &tables, context)?;
            (rows, front(Some(alias), Expr::Column(Column::from_name(KIND))), sought)
        }
    };
    let (input, returning) = finish(rows, front, Some((alias, scanned)), &items)?;
    let input = guarded(input, &change.target, &columns, context).await?;
    let (kind, reads_target) = (ChangeKind::Insert, conflict.is_some());
    let Sought { read, keys } = sought;
    Ok(ChangePlan { target: change.target, kind, input, reads_target, writes: true, returning, read, keys })
}

/// The tables of the query; the rows that come are only named in it.
async fn insert_tables(
    query: &ResolvedQuery,
    target: &TableTarget,
    columns: &Columns,
    context: &Context,
) -> Result<Tables> {
    let mut tables = change_tables(query, target, context).await?;
    let rows = EmptyTable::new(Arc::clone(&columns.scanned));
    tables.insert(rows_reference(), provider_as_source(Arc::new(rows)));
    Ok(tables)
}

/// The rows that come as columns of a relation, in the types of a scan.
pub(super) fn qualified(
    rows: LogicalPlan,
    relation: &str,
    columns: &Columns,
) -> datafusion::common::Result<LogicalPlan> {
    let from = rows.schema().columns();
    let named = from.into_iter().zip(columns.scanned.fields()).map(|(column, field)| {
        cast(Expr::Column(column), field.data_type().clone()).alias_qualified(Some(relation), field.name())
    });
    let list: Vec<Expr> = named.collect();
    LogicalPlanBuilder::from(rows).project(list)?.build()
}

/// The rows that come, joined with those that have their key, and what happens to each.
fn conflicts(
    change: &Change,
    conflict: &OnConflict,
    come: LogicalPlan,
    items: &Items,
    columns: &Columns,
    tables: &Tables,
    context: &Context,
) -> Result<(LogicalPlan, Sought)> {
    let alias = change.alias.value.as_str();
    let key = places(&conflict.key, &columns.written, &change.target.found.relation.name)?;
    let key: Vec<&str> = key.iter().map(|place| columns.written.field(*place).name().as_str()).collect();
    let target = tables.get(&target_reference()).cloned();
    let target = target.ok_or_else(|| Error::internal("the target of an INSERT is missing"))?;
    let joined = qualified(come, EXCLUDED, columns).and_then(|rows| ranked(rows, &key)).and_then(|rows| {
        let side = |relation| key.iter().map(|name| Column::new(Some(relation), *name)).collect::<Vec<_>>();
        let target = LogicalPlanBuilder::scan(target_reference(), target, None)?.alias(alias)?.build()?;
        let on = (side(EXCLUDED), side(alias));
        LogicalPlanBuilder::from(rows).join(target, JoinType::Left, on, None)?.build()
    });
    let mut joined = joined.map_err(engine_error)?;
    let sought = seek(&mut joined, change, columns, &context.state);
    let condition = conflict.update.as_ref().and_then(|update| update.condition);
    let condition = condition.and_then(|item| items.values.get(item).cloned());
    let kind = what_happens(conflict, &key, condition, alias).map_err(engine_error)?;
    let mut list: Vec<Expr> =
        [hidden::FILE, hidden::POS, hidden::ROW_ID].map(|name| column(alias, name)).into();
    list.push(kind.alias(KIND));
    list.extend(new_values(change, conflict, items, columns, &joined, context)?);
    let kept = Expr::Column(Column::from_name(KIND)).is_not_null();
    let rows = LogicalPlanBuilder::from(joined).project(list).and_then(|rows| rows.filter(kept)?.build());
    Ok((rows.map_err(engine_error)?, sought))
}

/// Counts the rows that come with one key.
fn ranked(rows: LogicalPlan, key: &[&str]) -> datafusion::common::Result<LogicalPlan> {
    let key = key.iter().map(|name| column(EXCLUDED, name)).collect();
    let rank = row_number().partition_by(key).build()?;
    let mut list: Vec<Expr> =
        rows.schema().iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect();
    list.push(Expr::Column(Column::from_name(rank.schema_name().to_string())).alias(RANK));
    LogicalPlanBuilder::from(rows).window([rank])?.project(list)?.build()
}

/// A row without a match is inserted, the first of its key alone. NULL is equal to nothing, so it never conflicts.
fn what_happens(
    conflict: &OnConflict,
    key: &[&str],
    condition: Option<Expr>,
    alias: &str,
) -> datafusion::common::Result<Expr> {
    let nothing = || Expr::Literal(ScalarValue::Int32(None), None);
    let matched = column(alias, hidden::FILE).is_not_null();
    let first = Expr::Column(Column::from_name(RANK)).eq(lit(1u64));
    let alone = key.iter().fold(first, |first, name| or(first, column(EXCLUDED, name).is_null()));
    let Some(_) = &conflict.update else {
        return when(matched, nothing()).when(alone, RowAction::Insert.literal()).otherwise(nothing());
    };
    let wanted = match condition {
        Some(condition) => and(matched.clone(), condition),
        None => matched.clone(),
    };
    when(wanted, RowAction::Update.literal())
        .when(matched, nothing())
        .when(alone, RowAction::Insert.literal())
        .otherwise(RowAction::Repeated.literal())
}

fn new_values(
    change: &Change,
    conflict: &OnConflict,
    items: &Items,
    columns: &Columns,
    joined: &LogicalPlan,
    context: &Context,
) -> Result<Vec<Expr>> {
    let alias = change.alias.value.as_str();
    let assignments = conflict.update.as_ref().map_or(&[][..], |update| &update.assignments);
    let assigned = columns.places(assignments, &change.target)?;
    let matched = column(alias, hidden::FILE).is_not_null();
    let mut values = Vec::new();
    for (place, field) in columns.scanned.fields().iter().enumerate() {
        let new = assigned.iter().zip(assignments).find(|(assigned, _)| **assigned == place);
        let updated = match new {
            Some((_, new)) => {
                columns.value(place, new.value, &items.values, joined, &change.target, &context.state)?
            }
            None => column(alias, field.name()),
        };
        let value = when(matched.clone(), updated).otherwise(column(EXCLUDED, field.name()));
        values.push(value.map_err(engine_error)?.alias_qualified(Some(alias), field.name()));
    }
    Ok(values)
}
