//! Rewrites what PostgreSQL understands and the query engine does not plan, from syntax tree to syntax tree, before
//! names are resolved. Every rule keeps the meaning that the query has in PostgreSQL; none looks at the catalog.
//!
//! ```text
//! idioms.rs      whole fragments that clients send, about kinds of objects that do not exist here
//! casts.rs       x::regclass, x::oid, x::"char", pg_catalog.int4, json, uuid, varchar(n), timestamp
//! operators.rs   OPERATOR(pg_catalog.~), COLLATE, pg_catalog.f(x), current_schema
//! calls.rs       functions under another name or in another shape, EXISTS as a value
//! aggregates.rs  json_agg, mode() and percentiles WITHIN GROUP, DISTINCT in order
//! spellings.rs   AT TIME ZONE, EXTRACT, SIMILAR TO, intervals, and functions whose arguments have names
//! row_values.rs  comparisons of rows, OVERLAPS, a relation as one value
//! subqueries.rs  ARRAY(SELECT …), scalar subqueries that are not aggregates
//! tables.rs      unnest and other functions in the FROM clause
//! ```

mod aggregates;
mod build;
mod calls;
mod casts;
mod idioms;
mod operators;
mod row_values;
mod spellings;
mod subqueries;
mod tables;

pub use casts::array_elements;
pub use tables::gives_rows;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, TableFactor, VisitMut, VisitorMut,
};

/// Rewrites a query and everything in it.
pub fn rewrite(query: &mut Query) {
    let mut rewriter = Rewriter { idioms: idioms::may_apply(query), sets: HashSet::new() };
    let _: ControlFlow<()> = query.visit(&mut rewriter);
    if let SetExpr::Select(select) = query.body.as_mut() {
        casts::show_names(select);
        casts::type_numbers(select);
    }
}

struct Rewriter {
    /// Whether the query asks the system catalogs at all; looking for idioms costs a comparison per expression.
    idioms: bool,
    /// Where the subqueries are that stand for a set: `x > ALL (SELECT …)`. A node stays where it is while its parent
    /// is being visited, so the address tells it when its turn comes.
    sets: HashSet<usize>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        keep_names(select);
        tables::name_wildcards(select);
        tables::name_values(select);
        subqueries::rewrite_projection(select);
        aggregates::order_inputs(select);
        row_values::rewrite_projection(select);
        calls::rewrite_projection(select);
        ControlFlow::Continue(())
    }

    /// By now the FROM clause is in the engine's spelling.
    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        tables::spell_fields(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.idioms {
            idioms::rewrite(expr);
        }
        spellings::rewrite(expr);
        row_values::rewrite(expr);
        operators::rewrite(expr);
        aggregates::rewrite(expr);
        calls::rewrite(expr);
        if let Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } = expr {
            self.sets.insert(address(right));
        } else if !self.sets.remove(&address(expr)) {
            subqueries::rewrite(expr);
        }
        ControlFlow::Continue(())
    }

    /// Casts are rewritten from the inside out: `x::regclass::text` is the name, `x::regclass::oid` the number.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        casts::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        tables::rewrite(factor);
        ControlFlow::Continue(())
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

/// A column without an alias is called after what it was before rewriting: `c.oid::regclass` after `oid`.
fn keep_names(select: &mut Select) {
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let alias = casts::output_name(expr)
            .or_else(|| subqueries::output_name(expr))
            .or_else(|| spellings::output_name(expr))
            .or_else(|| aggregates::output_name(expr))
            .or_else(|| calls::output_name(expr))
            .or_else(|| operators::output_name(expr));
        if let Some(alias) = alias {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

#[cfg(test)]
mod tests;
