//! Which rows of its target a `MERGE`, an `ON CONFLICT`, an `UPDATE … FROM` or a `DELETE … USING` is about: those that
//! satisfy what its condition says of the target alone, and that have a key of the source. Somebody who adds other rows
//! meanwhile does not disturb it.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Filter, LogicalPlan, Operator, try_cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::items::{about, about_filtered, has_subquery, is_about};
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
    if keeps_target || reads_itself(change) || join.null_equality != NullEquality::NullEqualsNothing {
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

/// The same for the filtered rows of a target that is joined with other relations, all of which it must match.
pub(super) fn seek_filtered(
    input: &mut LogicalPlan,
    change: &Change,
    columns: &Columns,
    state: &SessionState,
) -> Sought {
    let alias = change.alias.value.as_str();
    let read = about_filtered(alias, input);
    let LogicalPlan::Filter(filter) = &*input else { return Sought { read, keys: None } };
    if reads_itself(change) {
        return Sought { read, keys: None };
    }
    let conditions: Vec<Expr> = split_conjunction(&filter.predicate).into_iter().cloned().collect();
    let beside = Beside { alias, conditions, joined: filter.input.schema(), columns, state };
    let Some((joined, seen)) = beside.watch(&filter.input) else { return Sought { read, keys: None } };
    let mut filter = filter.clone();
    filter.input = Arc::new(joined);
    *input = LogicalPlan::Filter(filter);
    Sought { read, keys: Some(seen) }
}

/// Whether a statement reads its target by another name too: then it depends on all of it.
fn reads_itself(change: &Change) -> bool {
    let target = change.target.found.relation.id;
    tables_read_by(change).iter().any(|(relation, _)| *relation == target)
}

/// A target among the relations that it is joined with.
struct Beside<'a> {
    alias: &'a str,
    conditions: Vec<Expr>,
    joined: &'a DFSchema,
    columns: &'a Columns,
    state: &'a SessionState,
}

impl Beside<'_> {
    /// Looks at the keys of one of the relations beside the target.
    fn watch(&self, plan: &LogicalPlan) -> Option<(LogicalPlan, Arc<SeenKeys>)> {
        let LogicalPlan::Join(join) = plan else { return None };
        if join.join_type != JoinType::Inner || join.null_equality != NullEquality::NullEqualsNothing {
            return None;
        }
        let of_target = |side: &LogicalPlan| {
            side.schema()
                .iter()
                .any(|(qualifier, _)| qualifier.is_some_and(|name| name.table() == self.alias))
        };
        let mut join = join.clone();
        let (target, other) = match (of_target(&join.left), of_target(&join.right)) {
            (true, false) => (&mut join.left, &mut join.right),
            (false, true) => (&mut join.right, &mut join.left),
            _ => return None,
        };
        let seen = match self.keys_of(other) {
            Some((watched, seen)) => {
                *other = Arc::new(watched);
                seen
            }
            None => {
                let (watched, seen) = self.watch(target)?;
                *target = Arc::new(watched);
                seen
            }
        };
        Some((LogicalPlan::Join(join), seen))
    }

    /// The rows of a relation that can match at all, and where their keys are remembered.
    fn keys_of(&self, other: &LogicalPlan) -> Option<(LogicalPlan, Arc<SeenKeys>)> {
        let lateral =
            other.exists(|plan| Ok(matches!(plan, LogicalPlan::Subquery(_) | LogicalPlan::Unnest(_))));
        if lateral.unwrap_or(true) {
            return None;
        }
        let written = &self.columns.written;
        let side = Side { alias: self.alias, source: other.schema(), joined: self.joined, written };
        let found: Vec<(String, Expr)> =
            self.conditions.iter().filter_map(|condition| side.key(condition, self.state)).collect();
        if found.is_empty() {
            return None;
        }
        let own = self.conditions.iter().filter(|condition| side.is_of_source(condition)).cloned();
        let rows = match conjunction(own) {
            Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(other.clone())).ok()?),
            None => other.clone(),
        };
        let (names, keys): (Vec<String>, Vec<Expr>) = found.into_iter().unzip();
        let seen = Arc::new(SeenKeys::of(names));
        Some((watched(rows, keys, Arc::clone(&seen)), seen))
    }
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
