//! Subqueries that stand for a value. PostgreSQL runs them once per row; the engine turns them into joins, for which
//! it wants an aggregate inside and only equalities with the outside. So:
//!
//! ```text
//! ARRAY(SELECT e FROM … ORDER BY o)       list_or_empty((SELECT array_agg(e ORDER BY o) FROM …))
//! ARRAY(SELECT x FROM unnest(l) AS u(x))  list_or_empty(l)
//! (SELECT e FROM …)                       single_row((SELECT single_value(e) FROM …))
//! (SELECT e FROM … ORDER BY o LIMIT 1)    (SELECT first_value(e ORDER BY o) FROM …)
//! (SELECT e FROM pg_catalog.pg_sequence)  NULL, as there are no sequences
//! … WHERE outer.flag AND i.k = outer.k    CASE WHEN outer.flag THEN (… WHERE i.k = outer.k) END
//! … WHERE i.k = o.k AND o.k <> i.x        … WHERE i.k = o.k AND i.k <> i.x
//! ```
//!
//! `single_row` gives an error for a second row, as PostgreSQL does.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, Join, JoinOperator, LimitClause, OrderBy, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};

use super::{build, tables};
use crate::functions::{FIRST_OF_ROWS, LIST_OF_ROWS, LIST_OR_EMPTY, SINGLE_ROW, SINGLE_VALUE};
use crate::system::rows::EMPTY;

pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) if is_array(function) => {
            let FunctionArguments::Subquery(query) = &mut function.args else { return };
            if let Some(rewritten) = array_of(query) {
                *expr = rewritten;
            }
        }
        Expr::Exists { subquery, negated }
            if is_ungrouped(subquery) && plain_select(subquery).is_some_and(selects_nothing) =>
        {
            *expr = build::value(Value::Boolean(*negated));
        }
        Expr::Subquery(query) => {
            if let Some(rewritten) = value_of(query) {
                *expr = rewritten;
            }
        }
        _ => {}
    }
}

fn is_array(function: &Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("array"))
        && matches!(function.args, FunctionArguments::Subquery(_))
}

/// What PostgreSQL calls a column that is such a subquery: `array`, or what the subquery's column is called.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Function(function) if is_array(function) => Some(Ident::with_quote('"', "array")),
        Expr::Subquery(query) => match &plain_select(query)?.projection[..] {
            [SelectItem::ExprWithAlias { alias, .. }] => Some(alias.clone()),
            [SelectItem::UnnamedExpr(Expr::Identifier(name))] => Some(name.clone()),
            [SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts))] => parts.last().cloned(),
            _ => None,
        },
        _ => None,
    }
}

/// The list in `SELECT x FROM unnest(list) AS u(x)`, when nothing else is done to it.
fn unnested_list(query: &Query) -> Option<Expr> {
    let select = plain_select(query)?;
    let plain = is_rows(query) && select.selection.is_none() && query.order_by.is_none();
    let [TableWithJoins { relation, joins }] = &select.from[..] else { return None };
    let mut relation = relation.clone();
    tables::rewrite(&mut relation);
    let TableFactor::UNNEST { alias: Some(alias), array_exprs, .. } = relation else { return None };
    let column = alias.columns.first().map_or(&alias.name, |column| &column.name);
    let selected = match &select.projection[..] {
        [SelectItem::UnnamedExpr(Expr::Identifier(name))] => name,
        [SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts))] => parts.last()?,
        _ => return None,
    };
    let whole = plain && joins.is_empty() && array_exprs.len() == 1 && selected.value == column.value;
    whole.then(|| array_exprs[0].clone())
}

fn array_of(query: &mut Query) -> Option<Expr> {
    if let Some(list) = unnested_list(query) {
        return Some(build::call(LIST_OR_EMPTY, vec![list]));
    }
    if !is_rows(query) || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let order_by = take_order(query)?;
    let select = select_mut(query)?;
    replace_column(select, |column| build::call_ordered(LIST_OF_ROWS, vec![column], order_by))?;
    let hoisted = correlate_by_equality(select);
    Some(build::call(LIST_OR_EMPTY, vec![guarded(hoisted, build::subquery(query.clone()))]))
}

/// Whether a query reads one of the catalogs that are always empty, so that it gives no row. Only joins that need a
/// row on both sides may be in its FROM clause.
fn reads_nothing(query: &Query) -> bool {
    is_rows(query) && plain_select(query).is_some_and(selects_nothing)
}

/// A SELECT without rows computes nothing, so that subqueries in its list need not be planned.
pub fn rewrite_projection(select: &mut Select) {
    if !selects_nothing(select)
        || !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
    {
        return;
    }
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        match expr {
            Expr::Subquery(_) => *expr = build::value(Value::Null),
            Expr::Function(function) if is_unnest_of_subquery(function) => {
                let list = build::cast(build::value(Value::Null), texts());
                *expr = build::call("unnest", vec![list]);
            }
            _ => {}
        }
    }
}

fn texts() -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None))
}

fn is_unnest_of_subquery(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let subquery = |argument: &FunctionArg| {
        matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(_))))
    };
    let name = build::builtin_name(&function.name);
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("unnest")) && list.args.iter().any(subquery)
}

fn selects_nothing(select: &Select) -> bool {
    let inner = |join: &Join| {
        matches!(
            join.join_operator,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
        )
    };
    let factors = |from: &TableWithJoins| {
        let joined = from.joins.iter().map(|join| join.relation.clone());
        std::iter::once(from.relation.clone()).chain(joined).collect::<Vec<_>>()
    };
    let outer = select.from.iter().flat_map(|from| &from.joins).any(|join| !inner(join));
    !outer && select.from.iter().flat_map(factors).any(|factor| is_always_empty(&factor))
}

fn is_always_empty(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else { return false };
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    matches!(parts[..], [schema, table] if schema.value == "pg_catalog" && EMPTY.contains(&table.value.as_str()))
}

fn value_of(query: &mut Query) -> Option<Expr> {
    if reads_nothing(query) {
        return Some(build::value(Value::Null));
    }
    if !is_rows(query) {
        return None;
    }
    let first = match (&query.limit_clause, &query.fetch) {
        (None, None) => false,
        (Some(limit), None) if is_one(limit) => true,
        _ => return None,
    };
    let order_by = take_order(query)?;
    if first {
        query.limit_clause = None;
    }
    let select = select_mut(query)?;
    let aggregate = if first { FIRST_OF_ROWS } else { SINGLE_VALUE };
    // Without a limit there may be one row at most, which needs no order.
    let order_by = if first { order_by } else { Vec::new() };
    replace_column(select, |column| build::call_ordered(aggregate, vec![column], order_by))?;
    let hoisted = correlate_by_equality(select);
    let value = guarded(hoisted, build::subquery(query.clone()));
    Some(if first { value } else { build::call(SINGLE_ROW, vec![value]) })
}

fn guarded(condition: Option<Expr>, value: Expr) -> Expr {
    match condition {
        Some(condition) => build::when(condition, value),
        None => value,
    }
}

/// Whether the query gives rows of a FROM clause as they are: one column, not grouped, distinct or aggregated.
fn is_rows(query: &Query) -> bool {
    let column = match plain_select(query).map(|select| &select.projection[..]) {
        Some([SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }]) => column,
        _ => return false,
    };
    is_ungrouped(query)
        && plain_select(query).is_some_and(|select| select.distinct.is_none())
        && !has_aggregate(column)
}

/// Whether there is one row for each row of the FROM clause that the WHERE clause lets through, duplicates aside.
pub fn is_ungrouped(query: &Query) -> bool {
    let Some(select) = plain_select(query) else { return false };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, modifiers)
        if by.is_empty() && modifiers.is_empty());
    let aggregated = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } => {
            has_aggregate(column)
        }
        _ => false,
    });
    let plain = select.having.is_none() && select.qualify.is_none() && !select.from.is_empty();
    query.with.is_none() && ungrouped && plain && !aggregated
}

fn plain_select(query: &Query) -> Option<&Select> {
    if let SetExpr::Select(select) = query.body.as_ref() { Some(select) } else { None }
}

fn select_mut(query: &mut Query) -> Option<&mut Select> {
    if let SetExpr::Select(select) = query.body.as_mut() { Some(select) } else { None }
}

static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = datafusion::functions_aggregate::all_default_aggregate_functions();
    let names = functions.iter().flat_map(|function| {
        std::iter::once(function.name().to_string()).chain(function.aliases().iter().cloned())
    });
    names.chain([SINGLE_VALUE.to_string()]).collect()
});

/// Whether an aggregate or window function is called in the expression, not counting subqueries in it.
fn has_aggregate(expr: &Expr) -> bool {
    struct Calls {
        depth: usize,
    }
    impl Visitor for Calls {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            let name = function.name.0.last().and_then(|part| part.as_ident());
            let known = name.is_some_and(|name| AGGREGATES.contains(&name.value.to_lowercase()));
            match self.depth == 0 && (known || function.over.is_some()) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Calls { depth: 0 }).is_break()
}

fn is_one(limit: &LimitClause) -> bool {
    let LimitClause::LimitOffset { limit: Some(Expr::Value(value)), offset: None, limit_by } = limit else {
        return false;
    };
    limit_by.is_empty() && matches!(&value.value, Value::Number(number, _) if number == "1")
}

/// Takes the ORDER BY off the query; `ORDER BY 1` becomes the column itself. None for an order that cannot move.
fn take_order(query: &mut Query) -> Option<Vec<OrderByExpr>> {
    let column = match &plain_select(query)?.projection[..] {
        [SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }] => column.clone(),
        _ => return None,
    };
    let mut order_by = match query.order_by.clone() {
        None => return Some(Vec::new()),
        Some(OrderBy { kind: OrderByKind::Expressions(order_by), interpolate: None }) => order_by,
        Some(_) => return None,
    };
    for item in &mut order_by {
        if matches!(&item.expr, Expr::Value(value) if matches!(&value.value, Value::Number(place, _) if place == "1"))
        {
            item.expr = column.clone();
        }
    }
    query.order_by = None;
    Some(order_by)
}

fn replace_column(select: &mut Select, replace: impl FnOnce(Expr) -> Expr) -> Option<()> {
    let (SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) =
        select.projection.first_mut()?
    else {
        return None;
    };
    *column = replace(column.clone());
    Some(())
}

/// Leaves only equalities between inside and outside in the WHERE clause, as far as qualified names tell which is
/// which. Gives back the conditions that are about the outside alone.
fn correlate_by_equality(select: &mut Select) -> Option<Expr> {
    let inside: HashSet<String> = select.from.iter().flat_map(aliases).collect();
    let conjuncts = split(select.selection.take()?);
    let (outer, mut inner): (Vec<Expr>, Vec<Expr>) =
        conjuncts.into_iter().partition(|conjunct| is_outside(conjunct, &inside));
    let equal: Vec<(Expr, Expr)> = inner.iter().filter_map(|conjunct| equality(conjunct, &inside)).collect();
    for conjunct in inner.iter_mut().filter(|conjunct| equality(conjunct, &inside).is_none()) {
        let _: ControlFlow<()> = conjunct.visit(&mut Replace(&equal));
    }
    select.selection = join(inner);
    join(outer)
}

/// The names that columns of these tables can be qualified with.
fn aliases(from: &TableWithJoins) -> Vec<String> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    factors.filter_map(factor_alias).map(|name| name.value.clone()).collect()
}

fn factor_alias(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { alias: Some(TableAlias { name, .. }), .. }
        | TableFactor::Derived { alias: Some(TableAlias { name, .. }), .. }
        | TableFactor::Function { alias: Some(TableAlias { name, .. }), .. }
        | TableFactor::UNNEST { alias: Some(TableAlias { name, .. }), .. } => Some(name),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident(),
        _ => None,
    }
}

fn split(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut conjuncts = split(*left);
            conjuncts.extend(split(*right));
            conjuncts
        }
        other => vec![other],
    }
}

fn join(conjuncts: Vec<Expr>) -> Option<Expr> {
    conjuncts.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// Whether every column in the expression is qualified by something that is not inside, and there is one.
fn is_outside(expr: &Expr, inside: &HashSet<String>) -> bool {
    struct Columns<'a> {
        inside: &'a HashSet<String>,
        found: bool,
    }
    impl Visitor for Columns<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) => ControlFlow::Break(()),
                Expr::CompoundIdentifier(parts)
                    if qualifier(parts).is_none_or(|name| self.inside.contains(name)) =>
                {
                    ControlFlow::Break(())
                }
                Expr::CompoundIdentifier(_) => {
                    self.found = true;
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let mut columns = Columns { inside, found: false };
    expr.visit(&mut columns).is_continue() && columns.found
}

fn qualifier(parts: &[Ident]) -> Option<&String> {
    let [.., qualifier, _] = parts else { return None };
    Some(&qualifier.value)
}

/// `inner = outer` or the other way round, as (outer, inner).
fn equality(expr: &Expr, inside: &HashSet<String>) -> Option<(Expr, Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return None };
    let inner = |expr: &Expr| {
        matches!(expr, Expr::CompoundIdentifier(parts)
            if qualifier(parts).is_some_and(|name| inside.contains(name)))
    };
    let outer = |expr: &Expr| matches!(expr, Expr::CompoundIdentifier(_)) && is_outside(expr, inside);
    if outer(left) && inner(right) {
        return Some((left.as_ref().clone(), right.as_ref().clone()));
    }
    (inner(left) && outer(right)).then(|| (right.as_ref().clone(), left.as_ref().clone()))
}

/// Replaces an outer column by the inner one it equals.
struct Replace<'a>(&'a [(Expr, Expr)]);

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((_, inner)) = self.0.iter().find(|(outer, _)| outer == expr) {
            *expr = inner.clone();
        }
        ControlFlow::Continue(())
    }
}
