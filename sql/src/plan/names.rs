//! What the columns of a result are called. PostgreSQL names a function's column after the function and most other
//! expressions `?column?`; it also lets two columns have one name, which the planner does not, so a second column
//! of a name gets an inner name here and its own name back when the result is shown.
//! (PostgreSQL: `FigureColname` in parse_target.c.)

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use crate::parse::fold;

/// PostgreSQL's name for a column that has none.
const UNNAMED: &str = "?column?";

/// The names of a query's columns, as far as its text tells them.
pub(crate) struct Shown {
    /// None stands for the columns of a wildcard.
    items: Vec<Option<String>>,
}

impl Shown {
    /// One name per column; those of wildcards are taken from the plan.
    pub fn expand(&self, schema: &Schema) -> Vec<String> {
        let total = schema.fields().len();
        let own = |place: usize| schema.field(place).name().clone();
        let wildcards = self.items.iter().filter(|item| item.is_none()).count();
        let known = self.items.len() - wildcards;
        if wildcards == 0 && known != total {
            return (0..total).map(own).collect();
        }
        let leading = self.items.iter().take_while(|item| item.is_some()).count();
        let trailing = self.items.iter().rev().take_while(|item| item.is_some()).count();
        let name = |place: usize| {
            let from_start = self.items.get(place).filter(|_| place < leading);
            let from_end =
                (total - place <= trailing).then(|| &self.items[self.items.len() - (total - place)]);
            from_start.or(from_end).cloned().flatten().unwrap_or_else(|| own(place))
        };
        (0..total).map(name).collect()
    }
}

/// Gives every unnamed column of the query and its subqueries its name, and tells the names to show.
pub(crate) fn name_outputs(query: &mut Query) -> Shown {
    let items = match leftmost(&mut query.body) {
        Some(select) => name_items(select, true),
        None => Vec::new(),
    };
    let _: ControlFlow<()> = query.visit(&mut Subqueries);
    Shown { items }
}

struct Subqueries;

impl VisitorMut for Subqueries {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_items(select, false);
        ControlFlow::Continue(())
    }
}

/// The select that names the columns of a body.
fn leftmost(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => leftmost(&mut query.body),
        SetExpr::SetOperation { left, .. } => leftmost(left),
        _ => None,
    }
}

fn name_items(select: &mut Select, outermost: bool) -> Vec<Option<String>> {
    let mut used = HashSet::new();
    let mut shown = Vec::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        let name = match item {
            SelectItem::UnnamedExpr(expression) => figure(expression),
            SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
            _ => {
                shown.push(None);
                continue;
            }
        };
        let name = name.unwrap_or_else(|| UNNAMED.to_owned());
        let first = used.insert(name.clone());
        let inner = if first { name.clone() } else { format!("{name}:{place}") };
        // In a subquery a second column of a name keeps what the planner calls it.
        if first || outermost {
            give_name(item, &inner, first);
        }
        shown.push(Some(name));
    }
    shown
}

/// A plain column already has its name, unless another column took it.
fn give_name(item: &mut SelectItem, name: &str, first: bool) {
    let alias = Ident::with_quote('"', name);
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) if first => {}
        SelectItem::UnnamedExpr(expression) => {
            let expr = std::mem::replace(expression, Expr::Identifier(Ident::new("taken")));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        SelectItem::ExprWithAlias { alias: given, .. } if !first => *given = alias,
        _ => {}
    }
}

fn figure(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(name) => Some(fold(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        Expr::Function(function) => function_name(function),
        Expr::Cast { expr, data_type, .. } => {
            figure(expr).or_else(|| Some(cast_name(&data_type.to_string().to_lowercase())))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Case { else_result, .. } => {
            let named = else_result.as_ref().and_then(|result| match result.as_ref() {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => figure(result),
                _ => None,
            });
            named.or_else(|| Some("case".to_owned()))
        }
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Tuple(_) => Some("row".to_owned()),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::AtTimeZone { .. } => Some("timezone".to_owned()),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expression) => figure(expression),
                SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
                _ => None,
            },
            _ => None,
        },
        Expr::TypedString(typed) => Some(cast_name(&typed.data_type.to_string().to_lowercase())),
        Expr::CompoundFieldAccess { root, access_chain } => {
            use datafusion::sql::sqlparser::ast::AccessExpr;
            match access_chain.last() {
                Some(AccessExpr::Dot(name)) => figure(name),
                _ => figure(root),
            }
        }
        _ => None,
    }
}

fn function_name(function: &Function) -> Option<String> {
    function.name.0.last()?.as_ident().map(fold)
}

/// PostgreSQL's inner names of the types that are commonly cast to.
fn cast_name(written: &str) -> String {
    let bare = written.split('(').next().unwrap_or(written).trim();
    match bare {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "double precision" | "double" | "float" => "float8",
        "real" => "float4",
        "boolean" => "bool",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::name_outputs;
    use crate::parse::parse_query;

    fn check(sql: &str, planned: &[&str], expect: &[&str]) {
        let mut query = parse_query(sql).unwrap();
        let fields: Vec<Field> =
            planned.iter().map(|name| Field::new(*name, DataType::Int32, true)).collect();
        assert_eq!(name_outputs(&mut query).expand(&Schema::new(fields)), expect, "{sql}");
    }

    #[test]
    fn columns_are_named_as_in_postgresql() {
        check(
            "SELECT count(*), 1, a.b, c AS \"D\" FROM a",
            &["w", "x", "y", "z"],
            &["count", "?column?", "b", "D"],
        );
        check(
            "SELECT '1'::int, CAST(x AS text), CASE WHEN y THEN 1 END",
            &["a", "b", "c"],
            &["int4", "x", "case"],
        );
        check("SELECT a, a, count(*), count(b) FROM t", &["1", "2", "3", "4"], &["a", "a", "count", "count"]);
        check("SELECT 1 AS x UNION SELECT 2 AS y", &["x"], &["x"]);
    }

    #[test]
    fn wildcards_take_the_names_of_the_plan() {
        check("SELECT 1, *, 2 FROM t", &["i", "p", "q", "j"], &["?column?", "p", "q", "?column?"]);
        check("SELECT * FROM t", &["p", "q"], &["p", "q"]);
    }
}
