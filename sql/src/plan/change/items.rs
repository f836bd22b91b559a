//! The expressions of a statement, planned as the list of a `SELECT` and taken out of its plan again, together with
//! the plan of the tables below it: what they read is decided by the planner, what is done with them is not.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource};
use datafusion::sql::sqlparser::ast::{
    self, Ident, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Value,
};

use crate::error::{Error, Result};
use crate::parse::fold;
use crate::plan::{Context, query};
use crate::resolve::{ACTION_NAME, SOURCE_MARK, is_wildcard};
use crate::sqlstate::SqlState;
use crate::table::hidden;

/// A statement's expressions over its tables.
pub(super) struct Items {
    /// Conditions and new values, in the order of the query's list.
    pub values: Vec<Expr>,
    pub returning: Vec<Expr>,
    /// What each returned column is called.
    pub names: Vec<String>,
    /// The rows of the tables, filtered.
    pub input: LogicalPlan,
}

/// The tables that a query's names stand for.
pub(super) type Tables = HashMap<TableReference, Arc<dyn TableSource>>;

/// Plans the query whose last `returning` items are returned.
pub(super) fn plan_items(
    statement: &'static str,
    query: &Query,
    returning: usize,
    context: &Context,
    tables: &Tables,
    types: &[Option<DataType>],
) -> Result<Items> {
    let mut query = query.clone();
    let (total, wildcards) = match query.body.as_ref() {
        SetExpr::Select(select) => (select.projection.len(), select.projection.iter().any(is_wildcard)),
        _ => return Err(Error::internal("a change was not written as a SELECT")),
    };
    let first = total - returning;
    if wildcards {
        let schema = input_schema(&query, context, tables, types)?;
        expand(&mut query, first, &schema)?;
    }
    let mut planner = query::planner_context(types);
    let planned = query::plan_with(&query, context, tables.clone(), &mut planner)?;
    let LogicalPlan::Projection(projection) = planned.logical else {
        return Err(not_allowed(statement, "set-returning functions"));
    };
    match projection.input.as_ref() {
        LogicalPlan::Aggregate(_) => return Err(not_allowed(statement, "aggregate functions")),
        LogicalPlan::Window(_) => return Err(not_allowed(statement, "window functions")),
        LogicalPlan::Unnest(_) => return Err(not_allowed(statement, "set-returning functions")),
        _ => {}
    }
    let mut values: Vec<Expr> = projection.expr.into_iter().map(Expr::unalias).collect();
    let returning = values.split_off(first);
    let names = planned.names.into_iter().skip(first).collect();
    Ok(Items { values, returning, names, input: Arc::unwrap_or_clone(projection.input) })
}

fn not_allowed(statement: &str, what: &str) -> Error {
    let sqlstate = match what {
        "aggregate functions" => SqlState::GROUPING_ERROR,
        "window functions" => SqlState::WINDOWING_ERROR,
        _ => SqlState::FEATURE_NOT_SUPPORTED,
    };
    Error::new(sqlstate, format!("{what} are not allowed in {statement}"))
}

/// The columns that the query's list may name.
fn input_schema(
    query: &Query,
    context: &Context,
    tables: &Tables,
    types: &[Option<DataType>],
) -> Result<DFSchema> {
    let mut bare = query.clone();
    if let SetExpr::Select(select) = bare.body.as_mut() {
        let expr = ast::Expr::Value(Value::Null.into());
        select.projection = vec![SelectItem::ExprWithAlias { expr, alias: Ident::new("nothing") }];
    }
    let mut planner = query::planner_context(types);
    let planned = query::plan_with(&bare, context, tables.clone(), &mut planner)?;
    match planned.logical {
        LogicalPlan::Projection(projection) => Ok(projection.input.schema().as_ref().clone()),
        _ => Err(Error::internal("a list of one NULL is no projection")),
    }
}

/// Writes the columns of every `*` out.
fn expand(query: &mut Query, first: usize, schema: &DFSchema) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    let mut items = Vec::new();
    for (place, item) in std::mem::take(&mut select.projection).into_iter().enumerate() {
        if place < first || !is_wildcard(&item) {
            items.push(item);
            continue;
        }
        let of = match &item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                name.0.last().and_then(|part| part.as_ident()).map(fold)
            }
            _ => None,
        };
        let before = items.len();
        for (qualifier, field) in schema.iter() {
            let wanted = of.as_deref().is_none_or(|of| qualifier.is_some_and(|name| name.table() == of));
            if wanted && !is_hidden(field) {
                items.push(named(qualifier, field));
            }
        }
        if let (Some(of), true) = (of, items.len() == before) {
            let message = format!("missing FROM-clause entry for table \"{of}\"");
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        }
    }
    select.projection = items;
    Ok(())
}

fn is_hidden(field: &FieldRef) -> bool {
    let name = field.name().as_str();
    hidden::NAMES.contains(&name) || [SOURCE_MARK, ACTION_NAME].contains(&name)
}

fn named(qualifier: Option<&TableReference>, field: &FieldRef) -> SelectItem {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let name = quoted(field.name());
    let mut parts: Vec<Ident> = Vec::new();
    if let Some(qualifier) = qualifier {
        let schema = qualifier.schema().into_iter();
        parts.extend(qualifier.catalog().into_iter().chain(schema).map(quoted));
        parts.push(quoted(qualifier.table()));
    }
    parts.push(name.clone());
    SelectItem::ExprWithAlias { expr: ast::Expr::CompoundIdentifier(parts), alias: name }
}

/// The parameter that an item of the query's list consists of has the type of the column that it becomes.
pub(super) fn with_item_types(
    query: &Query,
    wanted: &[(usize, &FieldRef)],
    given: &[Option<DataType>],
) -> Vec<Option<DataType>> {
    let mut types = given.to_vec();
    let SetExpr::Select(select) = query.body.as_ref() else { return types };
    for (place, field) in wanted {
        let Some(SelectItem::ExprWithAlias { expr: ast::Expr::Value(value), .. }) =
            select.projection.get(*place)
        else {
            continue;
        };
        let Value::Placeholder(name) = &value.value else { continue };
        let number =
            name.trim_start_matches('$').parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let Some(number) = number else { continue };
        if types.len() <= number {
            types.resize(number + 1, None);
        }
        types[number].get_or_insert_with(|| field.data_type().clone());
    }
    types
}

/// The parts of the condition under which a plan keeps its rows that are about one relation alone.
pub(super) fn about_filtered(alias: &str, input: &LogicalPlan) -> Vec<Expr> {
    let LogicalPlan::Filter(filter) = input else { return Vec::new() };
    about(alias, datafusion::logical_expr::utils::split_conjunction(&filter.predicate))
}

/// The conditions that say something about the columns of one relation alone.
pub(super) fn about<'a>(alias: &str, conditions: impl IntoIterator<Item = &'a Expr>) -> Vec<Expr> {
    let own = |expression: &&Expr| {
        let columns = expression.column_refs();
        !has_subquery(expression)
            && !expression.is_volatile()
            && !columns.is_empty()
            && columns.iter().all(|column| is_about(alias, column))
    };
    conditions.into_iter().filter(own).cloned().collect()
}

/// Whether a column is one of a relation's.
pub(super) fn is_about(alias: &str, column: &Column) -> bool {
    column.relation.as_ref().is_some_and(|relation| relation.table() == alias)
}

/// True also when it cannot be told.
pub(super) fn has_subquery(expression: &Expr) -> bool {
    let subquery = expression.exists(|inner| {
        Ok(matches!(
            inner,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        ))
    });
    subquery.unwrap_or(true)
}
