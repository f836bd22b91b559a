//! `DISTINCT ON (keys)` as the rows that are numbered 1 within their keys. The planner has it, but plans its order with the
//! names of the list alone, so that it takes little more than columns there.
//!
//! ```text
//! SELECT DISTINCT ON (k) a, b FROM t ORDER BY k, o   is   SELECT a, b FROM (SELECT a, b, k, o, row_number() OVER
//!                                                         (PARTITION BY k ORDER BY k, o) FROM t) WHERE it is 1 ORDER BY k, o
//! ```

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, Function, Ident, ObjectName, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, Value, WildcardAdditionalOptions, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::normalize::call;

const NUMBER: &str = "pg_number";
const ORDER: &str = "pg_order";

/// Rewrites the outermost SELECT of a query, if it is distinct on something.
pub(super) fn first_rows(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Some(Distinct::On(mut keys)) =
        select.distinct.take_if(|distinct| matches!(distinct, Distinct::On(_)))
    else {
        return;
    };
    keys.iter_mut().for_each(|key| replace_by_item(key, &select.projection));
    let mut orders = match query.order_by.as_mut().map(|order| &mut order.kind) {
        Some(OrderByKind::Expressions(orders)) => std::mem::take(orders),
        _ => Vec::new(),
    };
    orders.iter_mut().for_each(|order| replace_by_item(&mut order.expr, &select.projection));
    let Some((mut outer, inner)) = template() else { return };
    let mut numbered = select.as_ref().clone();
    numbered.projection.push(named(number(keys, orders.clone()), NUMBER.to_owned()));
    let columns = (0..orders.len()).map(|place| format!("{ORDER}_{place}"));
    for (column, order) in columns.zip(&mut orders) {
        let ordered = std::mem::replace(&mut order.expr, Expr::Identifier(Ident::new(&column)));
        numbered.projection.push(named(ordered, column));
    }
    let hidden = orders.iter().filter_map(|order| match &order.expr {
        Expr::Identifier(column) => Some(ObjectName::from(vec![column.clone()])),
        _ => None,
    });
    let hidden = hidden.chain([ObjectName::from(vec![Ident::new(NUMBER)])]).collect();
    outer.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions {
        opt_exclude: Some(ExcludeSelectItem::Multiple(hidden)),
        ..WildcardAdditionalOptions::default()
    })];
    let mut inner = inner;
    inner.body = Box::new(SetExpr::Select(Box::new(numbered)));
    if let Some(TableFactor::Derived { subquery, .. }) = outer.from.first_mut().map(|from| &mut from.relation)
    {
        *subquery = inner;
    }
    *query.body = SetExpr::Select(outer);
    match query.order_by.as_mut().map(|order| &mut order.kind) {
        Some(OrderByKind::Expressions(place)) if !orders.is_empty() => *place = orders,
        _ => query.order_by = None,
    }
}

/// The query around, and an empty one inside of it.
fn template() -> Option<(Box<Select>, Box<Query>)> {
    let text = format!("SELECT * FROM (SELECT 1) AS pg_rows WHERE {NUMBER} = 1");
    let query = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?.parse_query().ok()?;
    let SetExpr::Select(outer) = *query.body else { return None };
    let inner = match &outer.from.first()?.relation {
        TableFactor::Derived { subquery, .. } => subquery.clone(),
        _ => return None,
    };
    Some((outer, inner))
}

fn named(expr: Expr, name: String) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::new(name) }
}

/// The number of a row within its keys.
fn number(keys: Vec<Expr>, orders: Vec<OrderByExpr>) -> Expr {
    let window = WindowSpec { window_name: None, partition_by: keys, order_by: orders, window_frame: None };
    match call("row_number", Vec::new()) {
        Expr::Function(function) => {
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), ..function })
        }
        other => other,
    }
}

/// The place or the name of a selected item stands for the item itself.
fn replace_by_item(expression: &mut Expr, items: &[SelectItem]) {
    let place = match &*expression {
        Expr::Value(value) => match &value.value {
            Value::Number(place, _) => place.parse::<usize>().ok().and_then(|place| place.checked_sub(1)),
            _ => None,
        },
        Expr::Identifier(name) => items.iter().position(
            |item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value),
        ),
        _ => None,
    };
    if let Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) =
        place.and_then(|place| items.get(place))
    {
        *expression = expr.clone();
    }
}
