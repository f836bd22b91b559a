//! A subquery for every value of its domain at once: the same steps over rows that also have the values which the row
//! around would have given. The columns of each step stay what they were, and those of the domain follow them. Next:
//! `domain.rs`, which makes the domain and joins what comes of it.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullEquality, Result, ScalarValue};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, FetchType, JoinType, Limit, LogicalPlan, LogicalPlanBuilder,
    SkipType, SortExpr, lit, when,
};

use super::domain::{ANSWER, replaced};

/// A domain.
pub(super) struct Spread {
    /// Its rows.
    pub domain: LogicalPlan,
    /// The columns of the row around, and the domain's that stand for them.
    pub values: Vec<(Column, Column)>,
}

/// The columns of a step, the domain's aside.
fn own(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// Whether a plan depends on the row around.
fn depends(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|step| {
        let mut depends = step.contains_outer_reference();
        step.apply_expressions(|expression| {
            depends |= super::domain::has_subquery(expression) && subqueries_depend(expression)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(depends)
    })
}

fn subqueries_depend(expression: &Expr) -> Result<bool> {
    expression.exists(|inner| {
        Ok(match inner {
            Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            Expr::Exists(exists) => !exists.subquery.outer_ref_columns.is_empty(),
            Expr::InSubquery(membership) => !membership.subquery.outer_ref_columns.is_empty(),
            _ => false,
        })
    })
}

impl Spread {
    /// The domain's columns.
    pub fn columns(&self) -> Vec<Expr> {
        self.values.iter().map(|(_, value)| Expr::Column(value.clone())).collect()
    }

    /// The values for which there are rows.
    pub fn found(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let distinct = LogicalPlanBuilder::from(rows).project(self.columns())?.distinct()?;
        let list = self.columns().into_iter().chain([lit(true).alias(ANSWER)]);
        distinct.project(list)?.build()
    }

    /// The rows that the plan gives for each value; none where a step cannot be taken for all values at once.
    pub fn plan(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        if !depends(plan)? {
            let rows = LogicalPlanBuilder::from(plan.clone()).cross_join(self.domain.clone())?;
            return rows.project(own(plan.schema()).into_iter().chain(self.columns()))?.build().map(Some);
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let Some(input) = self.plan(&projection.input)? else { return Ok(None) };
                self.list(&projection.expr, plan.schema(), input)
            }
            LogicalPlan::Filter(filter) => {
                let Some(input) = self.plan(&filter.input)? else { return Ok(None) };
                let Some(predicate) = replaced(&filter.predicate, &self.values)? else { return Ok(None) };
                LogicalPlanBuilder::from(input).filter(predicate)?.build().map(Some)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(input) = self.plan(&alias.input)? else { return Ok(None) };
                self.list(&own(alias.input.schema()), plan.schema(), input)
            }
            // What is in FROM and depends on the row around.
            LogicalPlan::Subquery(lateral) => self.plan(&lateral.subquery),
            LogicalPlan::Unnest(unnest) => {
                let Some(input) = self.plan(&unnest.input)? else { return Ok(None) };
                let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
                let input = LogicalPlanBuilder::from(input).unnest_columns_with_options(columns, options)?;
                self.list(&own(plan.schema()), plan.schema(), input.build()?)
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.plan(&sort.input),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(input) = self.plan(input)? else { return Ok(None) };
                LogicalPlanBuilder::from(input).distinct()?.build().map(Some)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Join(join) => {
                let (left, right) = (depends(&join.left)?, depends(&join.right)?);
                let sides = match (join.join_type, left, right) {
                    (JoinType::Inner, false, true) => {
                        self.plan(&join.right)?.map(|right| [join.left.as_ref().clone(), right])
                    }
                    (JoinType::Inner | JoinType::Left, _, false) => {
                        self.plan(&join.left)?.map(|left| [left, join.right.as_ref().clone()])
                    }
                    _ => None,
                };
                let Some(sides) = sides else { return Ok(None) };
                let Some(expressions) = self.all(&plan.expressions())? else { return Ok(None) };
                let joined = plan.with_new_exprs(expressions, sides.into())?;
                self.list(&own(plan.schema()), plan.schema(), joined)
            }
            _ => Ok(None),
        }
    }

    fn all(&self, expressions: &[Expr]) -> Result<Option<Vec<Expr>>> {
        expressions.iter().map(|expression| replaced(expression, &self.values)).collect()
    }

    /// A list of expressions under the names that they had, and the domain's columns.
    fn list(&self, list: &[Expr], names: &DFSchema, input: LogicalPlan) -> Result<Option<LogicalPlan>> {
        let Some(list) = self.all(list)? else { return Ok(None) };
        let named =
            list.into_iter().zip(names.iter()).map(|(expression, (qualifier, field))| match &expression {
                Expr::Column(column) if *column == Column::from((qualifier, field)) => expression,
                _ => expression.unalias().alias_qualified(qualifier.cloned(), field.name()),
            });
        let list: Vec<Expr> = named.chain(self.columns()).collect();
        LogicalPlanBuilder::from(input).project(list)?.build().map(Some)
    }

    /// Grouped by the domain too. An aggregate without groups gives a row even where there is none to aggregate.
    fn aggregate(&self, aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
        if aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let Some(input) = self.plan(&aggregate.input)? else { return Ok(None) };
        let Some(groups) = self.all(&aggregate.group_expr)? else { return Ok(None) };
        let Some(values) = self.all(&aggregate.aggr_expr)? else { return Ok(None) };
        let (count, domain) = (groups.len(), self.values.len());
        let groups = groups.into_iter().chain(self.columns()).collect();
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, values)?);
        let columns = own(grouped.schema());
        let old = columns.iter().take(count).chain(columns.iter().skip(count + domain)).cloned();
        let old: Vec<Expr> = old.collect();
        if count > 0 {
            return self.list(&old, &aggregate.schema, grouped);
        }
        self.with_empty_groups(aggregate, &old, grouped)
    }

    /// What aggregates without groups give for the values of the domain that have no rows.
    fn with_empty_groups(
        &self,
        aggregate: &Aggregate,
        values: &[Expr],
        grouped: LogicalPlan,
    ) -> Result<Option<LogicalPlan>> {
        const GROUPS: &str = "pg_groups";
        let value_name = |place: usize| format!("value{place}");
        let key_name = |place: usize| format!("key{place}");
        let keys = self.columns().into_iter().enumerate().map(|(place, key)| key.alias(key_name(place)));
        let named = values.iter().cloned().enumerate().map(|(place, value)| value.alias(value_name(place)));
        let list: Vec<Expr> = keys.chain(named).chain([lit(true).alias(ANSWER)]).collect();
        let groups = LogicalPlanBuilder::from(grouped).project(list)?.alias(GROUPS)?.build()?;
        let of_groups = |name: String| Column::new(Some(GROUPS), name);
        let ours: Vec<Column> = self.values.iter().map(|(_, value)| value.clone()).collect();
        let theirs: Vec<Column> = (0..ours.len()).map(|place| of_groups(key_name(place))).collect();
        let joined = LogicalPlanBuilder::from(self.domain.clone())
            .join_detailed(groups, JoinType::Left, (ours, theirs), None, NullEquality::NullEqualsNull)?
            .build()?;
        let mut list = Vec::with_capacity(values.len());
        for (place, value) in aggregate.aggr_expr.iter().enumerate() {
            let Some(empty) = of_nothing(value, aggregate.schema.field(place).data_type())? else {
                return Ok(None);
            };
            let there = Expr::Column(of_groups(ANSWER.to_owned())).is_not_null();
            let value = Expr::Column(of_groups(value_name(place)));
            list.push(when(there, value).otherwise(lit(empty))?);
        }
        self.list(&list, &aggregate.schema, joined)
    }

    /// Counted for each value of the domain.
    fn limit(&self, limit: &Limit) -> Result<Option<LogicalPlan>> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        self.limited(&limit.input, skip, fetch)
    }

    /// Lists keep the order of what they are computed from, so the limit goes below them.
    fn limited(&self, plan: &LogicalPlan, skip: usize, fetch: Option<usize>) -> Result<Option<LogicalPlan>> {
        if let LogicalPlan::Projection(projection) = plan {
            let Some(input) = self.limited(&projection.input, skip, fetch)? else { return Ok(None) };
            return self.list(&projection.expr, plan.schema(), input);
        }
        let (order, input) = match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.expr.as_slice(), sort.input.as_ref()),
            other => (&[][..], other),
        };
        let Some(rows) = self.plan(input)? else { return Ok(None) };
        let mut terms = Vec::with_capacity(order.len());
        for SortExpr { expr, asc, nulls_first } in order {
            let Some(expr) = replaced(expr, &self.values)? else { return Ok(None) };
            terms.push(SortExpr { expr, asc: *asc, nulls_first: *nulls_first });
        }
        let number = row_number().partition_by(self.columns()).order_by(terms).build()?;
        let numbered = LogicalPlanBuilder::from(rows).window([number])?.build()?;
        let last = numbered.schema().fields().len().saturating_sub(1);
        let number = Expr::Column(Column::from(numbered.schema().qualified_field(last)));
        let count = |rows: usize| lit(ScalarValue::UInt64(u64::try_from(rows).ok()));
        let mut within = number.clone().gt(count(skip));
        if let Some(fetch) = fetch {
            within = within.and(number.lt_eq(count(skip.saturating_add(fetch))));
        }
        let kept = LogicalPlanBuilder::from(numbered).filter(within)?.build()?;
        self.list(&own(input.schema()), plan.schema(), kept)
    }
}

/// What an aggregate gives for no rows.
fn of_nothing(
    aggregate: &Expr,
    data_type: &datafusion::arrow::datatypes::DataType,
) -> Result<Option<ScalarValue>> {
    match aggregate {
        Expr::Alias(alias) => of_nothing(&alias.expr, data_type),
        Expr::AggregateFunction(call) => call.func.default_value(data_type).map(Some),
        _ => Ok(None),
    }
}
