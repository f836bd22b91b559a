//! Aggregates in terms of those that the engine has. JSON is put together as text; what is computed WITHIN GROUP is
//! computed of the list of all values in order; and DISTINCT gives its values in order, as sorting them does in
//! PostgreSQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderBy, OrderByExpr, OrderByKind,
    OrderByOptions, Select, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::{build, row_values};
use crate::functions::{lists, to_json};
use crate::parse::fold;

/// Rewrites one call.
pub fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = &mut *expr else { return };
    let Some(name) = build::builtin_name(&function.name).map(|name| name.value.to_ascii_lowercase()) else {
        return;
    };
    let rewritten = match name.as_str() {
        "json_agg" => elements(function, to_json::LIST),
        "jsonb_agg" => elements(function, to_json::LIST_B),
        "json_object_agg" => members(function, to_json::OBJECT),
        "jsonb_object_agg" => members(function, to_json::OBJECT_B),
        "mode" => within_group(function, lists::MODE, None),
        "percentile_disc" => within_group(function, lists::PERCENTILE_DISC, None),
        "percentile_cont" if takes_list(function) => {
            within_group(function, lists::PERCENTILE_CONT, Some(DataType::DoublePrecision))
        }
        "string_agg" | "array_agg" => {
            order_distinct(function);
            None
        }
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = rewritten;
    }
}

/// What PostgreSQL calls a column that is such a call.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    const NAMES: [&str; 7] = [
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
        "mode",
        "percentile_disc",
        "percentile_cont",
    ];
    let Expr::Function(function) = expr else { return None };
    let lower = build::builtin_name(&function.name)?.value.to_ascii_lowercase();
    NAMES.contains(&lower.as_str()).then(|| Ident::with_quote('"', lower))
}

fn plain(argument: &FunctionArg) -> Option<Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.args.iter().map(plain).collect()
}

/// The texts of all rows, one after the other, in the order and with the filter of the call.
fn texts(function: &Function, text: Expr) -> Option<Expr> {
    let mut function = function.clone();
    function.name = ObjectName::from(vec![Ident::new("string_agg")]);
    let FunctionArguments::List(list) = &mut function.args else { return None };
    let unnamed = |argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument));
    list.args = vec![unnamed(text), unnamed(build::string(", "))];
    Some(Expr::Function(function))
}

fn elements(function: &Function, whole: &str) -> Option<Expr> {
    let [value] = &arguments(function)?[..] else { return None };
    let element = match value {
        // A relation's rows stand on lines of their own.
        Expr::Function(row) if is_row(row) => build::call(to_json::ROW_ELEMENT, arguments(row)?),
        value => build::call(to_json::ELEMENT, vec![value.clone()]),
    };
    Some(build::call(whole, vec![texts(function, element)?]))
}

fn is_row(function: &Function) -> bool {
    build::builtin_name(&function.name).is_some_and(|name| name.value == row_values::ROW)
}

fn members(function: &Function, whole: &str) -> Option<Expr> {
    let given = arguments(function)?;
    if given.len() != 2 {
        return None;
    }
    Some(build::call(whole, vec![texts(function, build::call(to_json::MEMBER, given))?]))
}

fn takes_list(function: &Function) -> bool {
    let is_list = |argument: &Expr| match argument {
        Expr::Array(_) => true,
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Array(_)),
        _ => false,
    };
    arguments(function).is_some_and(|arguments| arguments.first().is_some_and(is_list))
}

/// `mode() WITHIN GROUP (ORDER BY x)` of the list of all x in that order.
fn within_group(function: &Function, name: &str, data_type: Option<DataType>) -> Option<Expr> {
    let [order] = &function.within_group[..] else { return None };
    let value = match data_type {
        Some(data_type) => build::cast(order.expr.clone(), data_type),
        None => order.expr.clone(),
    };
    let mut list = function.clone();
    list.name = ObjectName::from(vec![Ident::new("array_agg")]);
    list.within_group = Vec::new();
    list.args = FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
        clauses: vec![FunctionArgumentClause::OrderBy(vec![order.clone()])],
    });
    let arguments = std::iter::once(Expr::Function(list)).chain(arguments(function)?);
    Some(build::call(name, arguments.collect()))
}

/// `SELECT json_agg(x) FROM (SELECT … ORDER BY n) AS q`: the engine forgets the order of a subquery, so what depends on it
/// is told.
pub fn order_inputs(select: &mut Select) {
    let [TableWithJoins { relation, joins }] = &select.from[..] else { return };
    let TableFactor::Derived { subquery, .. } = relation else { return };
    let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = &subquery.order_by else { return };
    let Some((alias, columns)) = row_values::columns(relation).filter(|_| joins.is_empty()) else { return };
    let outer = orders.iter().map(|order| {
        let Expr::Identifier(name) = &order.expr else { return None };
        let column = columns.iter().find(|column| fold(column) == fold(name))?;
        let expr = Expr::CompoundIdentifier(vec![alias.clone(), column.clone()]);
        Some(OrderByExpr { expr, ..order.clone() })
    });
    let Some(orders) = outer.collect::<Option<Vec<_>>>() else { return };
    let _: ControlFlow<()> = select.projection.visit(&mut Ordered(orders));
}

struct Ordered(Vec<OrderByExpr>);

impl VisitorMut for Ordered {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        const ORDERED: [&str; 5] = ["json_agg", "jsonb_agg", "json_object_agg", "string_agg", "array_agg"];
        if let Expr::Function(function) = expr
            && function.over.is_none()
            && build::builtin_name(&function.name)
                .is_some_and(|name| ORDERED.contains(&name.value.to_ascii_lowercase().as_str()))
            && let FunctionArguments::List(list) = &mut function.args
            && list.duplicate_treatment.is_none()
            && list.clauses.is_empty()
        {
            list.clauses.push(FunctionArgumentClause::OrderBy(self.0.clone()));
        }
        ControlFlow::Continue(())
    }
}

fn order_distinct(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) || ordered {
        return;
    }
    let Some(value) = list.args.first().and_then(plain) else { return };
    let options = OrderByOptions { asc: None, nulls_first: None };
    let order = OrderByExpr { expr: value, options, with_fill: None };
    list.clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
}
