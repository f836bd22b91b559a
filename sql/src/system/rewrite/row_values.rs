//! Rows as values. Comparisons of rows are spelled out column by column, because NULLs in them make the answer unknown;
//! `(a, b) OVERLAPS (c, d)` is a call; and a relation's name as the argument of a function that makes JSON of rows is all
//! of its columns, where the FROM clause says what they are.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem,
    SetExpr, TableAlias, TableFactor, UnaryOperator, VisitMut, VisitorMut,
};

use super::build;
use crate::parse::fold;

/// Rewrites one expression.
pub fn rewrite(expr: &mut Expr) {
    let rewritten = match expr {
        Expr::BinaryOp { left, op, right } => match (elements(left), elements(right)) {
            (Some(left), Some(right)) if left.len() == right.len() && !left.is_empty() => {
                compare(&left, op, &right)
            }
            _ => None,
        },
        Expr::IsNull(inner) => each(inner, |element| Expr::IsNull(Box::new(element))),
        Expr::IsNotNull(inner) => each(inner, |element| Expr::IsNotNull(Box::new(element))),
        Expr::InList { expr: inner, list, negated } => among(inner, list, *negated),
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = Expr::Nested(Box::new(rewritten));
    }
}

/// The columns of a row that is written out.
fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(elements) => Some(elements.clone()),
        Expr::Nested(inner) if matches!(inner.as_ref(), Expr::Tuple(_)) => elements(inner),
        Expr::Function(function)
            if build::builtin_name(&function.name)
                .is_some_and(|name| name.value.eq_ignore_ascii_case("row")) =>
        {
            let FunctionArguments::List(list) = &function.args else { return None };
            let plain = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            };
            list.args.iter().map(plain).collect()
        }
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn joined(parts: impl Iterator<Item = Expr>, op: &BinaryOperator) -> Option<Expr> {
    parts.reduce(|left, right| binary(left, op.clone(), right))
}

fn compare(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or, Overlaps};
    let pairs = || left.iter().cloned().zip(right.iter().cloned());
    match op {
        Eq => joined(pairs().map(|(left, right)| binary(left, Eq, right)), &And),
        NotEq => joined(pairs().map(|(left, right)| binary(left, NotEq, right)), &Or),
        Lt | LtEq | Gt | GtEq => {
            let strict = if matches!(op, Lt | LtEq) { Lt } else { Gt };
            // The first columns that differ decide.
            let mut whole: Option<Expr> = None;
            for (place, (left, right)) in pairs().enumerate().collect::<Vec<_>>().into_iter().rev() {
                whole = Some(match whole {
                    None if place + 1 == pairs().len() => binary(left, op.clone(), right),
                    None => return None,
                    Some(rest) => {
                        let same = binary(left.clone(), Eq, right.clone());
                        let rest = Expr::Nested(Box::new(binary(same, And, Expr::Nested(Box::new(rest)))));
                        binary(binary(left, strict.clone(), right), Or, rest)
                    }
                });
            }
            whole
        }
        Overlaps if left.len() == 2 => {
            let mut arguments = Vec::new();
            for row in [left, right] {
                let end = match &row[1] {
                    length @ Expr::Interval(_) => {
                        binary(row[0].clone(), BinaryOperator::Plus, length.clone())
                    }
                    end => end.clone(),
                };
                arguments.extend([row[0].clone(), end]);
            }
            Some(build::call("overlaps", arguments))
        }
        _ => None,
    }
}

fn each(inner: &Expr, test: impl Fn(Expr) -> Expr) -> Option<Expr> {
    joined(elements(inner)?.into_iter().map(test), &BinaryOperator::And)
}

fn among(inner: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let row = elements(inner)?;
    let tests = list.iter().map(|other| {
        let other = elements(other).filter(|other| other.len() == row.len())?;
        Some(Expr::Nested(Box::new(compare(&row, &BinaryOperator::Eq, &other)?)))
    });
    let any = joined(tests.collect::<Option<Vec<_>>>()?.into_iter(), &BinaryOperator::Or)?;
    Some(match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(any))) },
        false => any,
    })
}

/// What is called with a row's columns in turn with their names.
pub const ROW: &str = "json_row";

const ROW_FUNCTIONS: [&str; 5] = ["row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg"];

/// Replaces relations that are given as rows to functions of JSON.
pub fn rewrite_projection(select: &mut Select) {
    let factors = select.from.iter().flat_map(|table| {
        std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
    });
    let relations: Vec<(Ident, Vec<Ident>)> = factors.filter_map(columns).collect();
    if relations.is_empty() {
        return;
    }
    let _: ControlFlow<()> = select.projection.visit(&mut WholeRows(relations));
}

struct WholeRows(Vec<(Ident, Vec<Ident>)>);

impl VisitorMut for WholeRows {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = build::builtin_name(&function.name).map(|name| name.value.to_ascii_lowercase());
        if !name.is_some_and(|name| ROW_FUNCTIONS.contains(&name.as_str())) {
            return ControlFlow::Continue(());
        }
        let FunctionArguments::List(list) = &mut function.args else { return ControlFlow::Continue(()) };
        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.first_mut()
            && let Expr::Identifier(relation) = &*argument
            && let Some((_, columns)) = self.0.iter().find(|(name, _)| fold(name) == fold(relation))
        {
            let named = columns.iter().flat_map(|column| {
                let value = Expr::CompoundIdentifier(vec![relation.clone(), column.clone()]);
                [build::string(&fold(column)), value]
            });
            *argument = build::call(ROW, named.collect());
        }
        ControlFlow::Continue(())
    }
}

/// The columns of a relation, where they can be read from the FROM clause.
pub fn columns(factor: &TableFactor) -> Option<(Ident, Vec<Ident>)> {
    let TableFactor::Derived { subquery, alias: Some(TableAlias { name, columns, .. }), .. } = factor else {
        return None;
    };
    if !columns.is_empty() {
        return Some((name.clone(), columns.iter().map(|column| column.name.clone()).collect()));
    }
    let SetExpr::Select(select) = subquery.body.as_ref() else { return None };
    let column = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().cloned(),
        _ => None,
    };
    Some((name.clone(), select.projection.iter().map(column).collect::<Option<Vec<_>>>()?))
}
