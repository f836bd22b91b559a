//! PostgreSQL's spellings that the planner has under another name: `FETCH FIRST`, `^`, the column list of a recursive
//! query, an ordering by an expression of a `SELECT DISTINCT`, and texts that are conditions (`truth.rs`). And where the parser has taken too much: after `IS
//! DISTINCT FROM` it reads on through AND and OR. It changes how a query is written, never what it means.

use std::ops::ControlFlow;

use super::distinct::first_rows;
use super::{expanded, truth};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, LimitClause, ObjectName, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};

/// Rewrites a query and everything in it.
pub(super) fn normalize(query: &mut Query) {
    let _: ControlFlow<()> = query.visit(&mut Normalizer);
}

struct Normalizer;

impl VisitorMut for Normalizer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        fetch_as_limit(query);
        name_recursion(query);
        order_of_distinct(query);
        first_rows(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        truth::conditions(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        expanded::apart(factor);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        truth::operands(expression);
        if let Expr::Function(function) = expression {
            order_by_constants(function);
        }
        if matches!(expression, Expr::BinaryOp { op: BinaryOperator::PGExp, .. }) {
            power(expression);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if reads_on(expression) {
            let taken = std::mem::replace(expression, Expr::Identifier(Ident::new("taken")));
            *expression = by_precedence(flattened(taken));
        }
        ControlFlow::Continue(())
    }
}

fn is_logic(expression: &Expr) -> bool {
    matches!(expression, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

/// Whether at the end of the expression, outside of parentheses, a comparison has read on through AND or OR.
fn reads_on(expression: &Expr) -> bool {
    match expression {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
            is_logic(right) || reads_on(right)
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => reads_on(expr),
        Expr::BinaryOp { right, .. } if is_logic(expression) => reads_on(right),
        _ => false,
    }
}

/// Operands, and what stands between them; as they were written, without what the parser has made of them.
struct Flat {
    first: Expr,
    rest: Vec<(BinaryOperator, Expr)>,
}

fn flattened(expression: Expr) -> Flat {
    let alone = |first: Expr| Flat { first, rest: Vec::new() };
    match expression {
        Expr::IsDistinctFrom(left, right) => {
            let Flat { first, rest } = flattened(*right);
            Flat { first: Expr::IsDistinctFrom(left, Box::new(first)), rest }
        }
        Expr::IsNotDistinctFrom(left, right) => {
            let Flat { first, rest } = flattened(*right);
            Flat { first: Expr::IsNotDistinctFrom(left, Box::new(first)), rest }
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } if reads_on(&expr) => {
            let Flat { first, rest } = flattened(*expr);
            Flat { first: Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(first) }, rest }
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let Flat { first, mut rest } = flattened(*left);
            let right = flattened(*right);
            rest.push((op, right.first));
            rest.extend(right.rest);
            Flat { first, rest }
        }
        other => alone(other),
    }
}

/// AND binds its operands before OR does.
fn by_precedence(flat: Flat) -> Expr {
    let join = |left, op, right| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    let mut terms = vec![flat.first];
    for (op, operand) in flat.rest {
        match (op, terms.pop()) {
            (BinaryOperator::And, Some(before)) => terms.push(join(before, BinaryOperator::And, operand)),
            (_, Some(before)) => terms.extend([before, operand]),
            (_, None) => terms.push(operand),
        }
    }
    let whole = terms.into_iter().reduce(|left, right| join(left, BinaryOperator::Or, right));
    whole.unwrap_or_else(|| Expr::Value(Value::Null.into()))
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn fetch_as_limit(query: &mut Query) {
    let Some(fetch) = query.fetch.take() else { return };
    let one = || Expr::Value(Value::Number("1".to_owned(), false).into());
    let limit = Some(fetch.quantity.unwrap_or_else(one));
    let offset = match query.limit_clause.take() {
        Some(LimitClause::LimitOffset { offset, .. }) => offset,
        _ => None,
    };
    query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
}

/// `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL …)`: the recursive term sees the columns under the names of the list,
/// so they are given to the first term.
fn name_recursion(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return };
    for cte in &mut with.cte_tables {
        let Some(first) = first_select(&mut cte.query.body) else { continue };
        for (item, column) in first.projection.iter_mut().zip(&cte.alias.columns) {
            let alias = column.name.clone();
            match item {
                SelectItem::UnnamedExpr(expression) => {
                    let expr = std::mem::replace(expression, Expr::Identifier(Ident::new("taken")));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::ExprWithAlias { alias: given, .. } => *given = alias,
                _ => break,
            }
        }
    }
}

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// An expression that is ordered by and selected is the selected column; the planner looks for it by name.
fn order_of_distinct(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let is_plain = matches!(select.distinct, Some(Distinct::Distinct));
    let Some(order_by) = query.order_by.as_mut().filter(|_| is_plain) else { return };
    let OrderByKind::Expressions(orders) = &mut order_by.kind else { return };
    for order in orders {
        if matches!(order.expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) {
            continue;
        }
        let selected = select.projection.iter().position(|item| match item {
            SelectItem::UnnamedExpr(expression) => *expression == order.expr,
            SelectItem::ExprWithAlias { expr, .. } => *expr == order.expr,
            _ => false,
        });
        if let Some(place) = selected {
            order.expr = Expr::Value(Value::Number((place + 1).to_string(), false).into());
        }
    }
}

/// A number that orders what an aggregate takes is no column's place; in parentheses the planner sees that.
fn order_by_constants(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for clause in &mut list.clauses {
        let FunctionArgumentClause::OrderBy(orders) = clause else { continue };
        for order in orders.iter_mut().filter(|order| matches!(order.expr, Expr::Value(_))) {
            let number = std::mem::replace(&mut order.expr, Expr::Identifier(Ident::new("taken")));
            order.expr = Expr::Nested(Box::new(number));
        }
    }
}

/// `a ^ b` is `power(a, b)`.
fn power(expression: &mut Expr) {
    let taken = std::mem::replace(expression, Expr::Identifier(Ident::new("taken")));
    if let Expr::BinaryOp { left, right, .. } = taken {
        *expression = call("power", vec![*left, *right]);
    }
}

/// A call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |expression| FunctionArg::Unnamed(FunctionArgExpr::Expr(expression));
    let args = FunctionArgumentList {
        duplicate_treatment: None,
        args: arguments.into_iter().map(argument).collect(),
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(args),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
