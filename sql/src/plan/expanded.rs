//! Lists that are expanded in a subquery's SELECT list: `SELECT unnest(a.list), CASE WHEN a.b THEN 1 END AS b FROM a`. The
//! planner puts the columns that are needed and the results beside each other before it expands, and does not know `b` from
//! `b` then. Where two would meet, the results get names of their own, and theirs back from the subquery's alias.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, TableAliasColumnDef, TableFactor, Visit, Visitor,
};

use crate::parse::fold;

/// The function that expands a list.
const UNNEST: &str = "unnest";

/// Gives the results of a subquery that expands a list names of their own, if one of them is that of a column beside it.
pub(super) fn apart(factor: &mut TableFactor) {
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor else { return };
    // What orders its rows may name results.
    let ordered = subquery.order_by.is_some();
    let Some(select) = select_of(subquery).filter(|_| !ordered && alias.columns.is_empty()) else { return };
    let Some(names) = select.projection.iter().map(name).collect::<Option<Vec<Ident>>>() else { return };
    if !two_meet(select, &names) {
        return;
    }
    for (place, item) in select.projection.iter_mut().enumerate() {
        let own = Ident::with_quote('"', format!("pg_item_{place}"));
        if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item {
            let expr = std::mem::replace(expr, Expr::Identifier(own.clone()));
            *item = SelectItem::ExprWithAlias { expr, alias: own };
        }
    }
    alias.columns = names.into_iter().map(|name| TableAliasColumnDef { name, data_type: None }).collect();
}

fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// What a result is called; none for a wildcard.
fn name(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().cloned(),
        _ => None,
    }
}

/// Whether a list is expanded, and a result is called like a column that another expression reads.
fn two_meet(select: &Select, names: &[Ident]) -> bool {
    let mut seen = Seen::default();
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item {
            let _: ControlFlow<()> = expr.visit(&mut seen);
        }
    }
    seen.unnests && names.iter().any(|name| seen.columns.contains(&fold(name)))
}

#[derive(Default)]
struct Seen {
    unnests: bool,
    columns: Vec<String>,
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(name) => self.columns.push(fold(name)),
            Expr::CompoundIdentifier(parts) => self.columns.extend(parts.last().map(fold)),
            Expr::Function(function) => {
                self.unnests |= function.name.to_string().eq_ignore_ascii_case(UNNEST);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
