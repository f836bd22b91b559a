//! Which rows of its target a `MERGE` or an `ON CONFLICT` is about: those that satisfy what its condition says of the
//! target alone, and that have a key of the source. Somebody who adds other rows meanwhile does not disturb it.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, LogicalPlan, Operator, try_cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::items::{about, has_subquery, is_about};
use super::values::Columns;
use crate::plan::seen::{SeenKeys, watched};
use crate::resolve::{Change, tables_read_by};

/// What is known of the rows that a statement looks for.
#[derive(Default)]
pub(super) struct Sought {
    /// What each of them satisfies.
    pub read: Vec<Expr>,
    /// The keys that they have, once the statement has run.
    pub keys: Option<Arc<SeenKeys>>,
}

/// Looks at the keys of a join's source, on its left, that keeps no row of the target that has no match. A source that
/// reads the target itself depends on all of it.
pub(super) fn seek(
    joined: &mut LogicalPlan,
    change: &Change,
    columns: &Columns,
    state: &SessionState,
) -> Sought {
    let LogicalPlan::Join(join) = &*joined else { return Sought::default() };
    let keeps_target = !matches!(join.join_type, JoinType::Inner | JoinType::Left);
    let target = change.target.found.relation.id;
    let reads_itself = tables_read_by(change).iter().any(|(relation, _)| *relation == target);
    if keeps_target || reads_itself || join.null_equality != NullEquality::NullEqualsNothing {
        return Sought::default();
    }
    let alias = change.alias.value.as_str();
    let equal = |(left, right): &(Expr, Expr)| left.clone().eq(right.clone());
    let mut conditions: Vec<Expr> = join.on.iter().map(equal).collect();
    conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned());
    let read = about(alias, &conditions);
    let side = Side { alias, source: join.left.schema(), joined: &join.schema, written: &columns.written };
    let found: Vec<(String, Expr)> =
        conditions.iter().filter_map(|condition| side.key(condition, state)).collect();
    if found.is_empty() {
        return Sought { read, keys: None };
    }
    let (names, keys): (Vec<String>, Vec<Expr>) = found.into_iter().unzip();
    let seen = Arc::new(SeenKeys::of(names));
    let mut join = join.clone();
    join.left = Arc::new(watched(join.left.as_ref().clone(), keys, Arc::clone(&seen)));
    *joined = LogicalPlan::Join(join);
    Sought { read, keys: Some(seen) }
}

/// What a condition may be about.
struct Side<'a> {
    alias: &'a str,
    source: &'a DFSchema,
    joined: &'a DFSchema,
    written: &'a SchemaRef,
}

impl Side<'_> {
    /// The column of the target that a condition compares with the source, and what it must be equal to, in its type.
    fn key(&self, condition: &Expr, state: &SessionState) -> Option<(String, Expr)> {
        if !matches!(condition, Expr::BinaryExpr(BinaryExpr { op: Operator::Eq, .. })) {
            return None;
        }
        let simplify = SimplifyContext::builder().with_config_options(Arc::clone(state.config_options()));
        let coerced = ExprSimplifier::new(simplify.build()).coerce(condition.clone(), self.joined).ok()?;
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = coerced else { return None };
        let sides = [(&left, &right), (&right, &left)];
        sides.into_iter().find_map(|(target, source)| {
            let name = self.column(target)?;
            let data_type = self.written.field_with_name(&name).ok()?.data_type().clone();
            self.is_of_source(source).then(|| (name, try_cast(source.as_ref().clone(), data_type)))
        })
    }

    /// The column of the target that an expression is.
    fn column(&self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::Column(column) if is_about(self.alias, column) => {
                self.written.field_with_name(&column.name).is_ok().then(|| column.name.clone())
            }
            Expr::Cast(Cast { expr, field }) => {
                let name = self.column(expr)?;
                let from = self.written.field_with_name(&name).ok()?.data_type();
                widens(from, field.data_type()).then_some(name)
            }
            _ => None,
        }
    }

    fn is_of_source(&self, expression: &Expr) -> bool {
        let columns = expression.column_refs();
        !expression.is_volatile()
            && !has_subquery(expression)
            && !columns.is_empty()
            && columns.iter().all(|column| self.source.maybe_index_of_column(column).is_some())
    }
}

/// Whether a type has every value of another, and equal ones where those are equal: what is none of the narrower type is
/// then equal to no row.
fn widens(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Int32, DataType::Int64) => true,
        (DataType::Utf8, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => true,
        (DataType::Decimal128(digits, scale), DataType::Decimal128(more, finer)) => {
            let whole = |digits: &u8, scale: &i8| i16::from(*digits) - i16::from(*scale);
            finer >= scale && whole(more, finer) >= whole(digits, scale)
        }
        _ => false,
    }
}
