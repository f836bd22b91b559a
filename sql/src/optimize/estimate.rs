//! How many rows a plan gives and what its columns hold, guessed from the statistics of its tables. A guess only ever
//! decides an order. What it does not know it says: a plan over a table without statistics has no estimate.
//! Next: `selectivity.rs`, which does it for predicates.

use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, JoinType, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{Aggregate, FetchType, Filter, Join, TableScan};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use super::graph::JoinGraph;
use super::join_order::is_tree_node;
use super::search::Problem;
use super::selectivity::narrow;

/// Of the rows of an outer join at least this part is taken to match nothing.
const UNMATCHED_LEAST: f64 = 0.1;

/// What is known of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// How many different values it has.
    pub distinct: f64,
    /// How many it had before any filter. A join matches by this: rows that a filter took away match nothing.
    pub origin: f64,
    /// It was worked out by the query, an aggregate for example, so that no range of it is known.
    pub computed: bool,
    pub lowest: Option<f64>,
    pub highest: Option<f64>,
    /// The part of its values that are NULL.
    pub nulls: f64,
}

/// What is known of a plan's rows; the columns are in the order of its schema.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    pub rows: f64,
    /// Rows before any filter.
    pub before: f64,
    pub columns: Vec<Facts>,
}

impl Facts {
    fn unknown(rows: f64) -> Facts {
        Facts { distinct: rows, origin: rows, computed: false, lowest: None, highest: None, nulls: 0.0 }
    }
}

impl Estimate {
    fn unknown(rows: f64, columns: usize) -> Estimate {
        Estimate { rows, before: rows, columns: vec![Facts::unknown(rows); columns] }
    }

    /// How many different values a column has.
    pub fn distinct(&self, schema: &DFSchema, column: &Column) -> f64 {
        self.facts(schema, column).map_or(self.rows, |facts| facts.distinct).max(1.0)
    }

    /// How many different values a column had before any filter.
    pub fn origin(&self, schema: &DFSchema, column: &Column) -> f64 {
        self.facts(schema, column).map_or(self.rows, |facts| facts.origin).max(1.0)
    }

    pub fn expression_distinct(&self, schema: &DFSchema, expression: &Expr) -> f64 {
        let columns = expression.column_refs();
        let product: f64 = columns.iter().map(|column| self.distinct(schema, column)).product();
        product.min(self.rows).max(1.0)
    }

    /// As before any filter, if it is a column.
    fn expression_origin(&self, schema: &DFSchema, expression: &Expr) -> f64 {
        match expression.try_as_col() {
            Some(column) => self.origin(schema, column),
            None => self.expression_distinct(schema, expression),
        }
    }

    pub fn facts(&self, schema: &DFSchema, column: &Column) -> Option<Facts> {
        self.columns.get(schema.maybe_index_of_column(column)?).copied()
    }

    /// With at least this part of every column NULL, and never quite none.
    fn unmatched(mut self, part: f64) -> Estimate {
        for column in &mut self.columns {
            column.nulls = column.nulls.max(part).max(UNMATCHED_LEAST);
        }
        self
    }

    fn limited(mut self, rows: f64) -> Estimate {
        self.rows = self.rows.min(rows).max(1.0);
        for column in &mut self.columns {
            column.distinct = column.distinct.min(self.rows);
        }
        self
    }
}

/// None when a table below has no statistics.
pub(super) fn estimate(plan: &LogicalPlan) -> Option<Estimate> {
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::TableScan(scan) => table(scan),
        LogicalPlan::Filter(filter) => filtered(filter),
        LogicalPlan::Projection(projection) => {
            let below = estimate(&projection.input)?;
            let schema = projection.input.schema();
            let columns = projection.expr.iter().map(|expression| computed(expression, &below, schema));
            Some(Estimate { columns: columns.collect(), ..below.clone() })
        }
        LogicalPlan::SubqueryAlias(alias) => estimate(&alias.input),
        LogicalPlan::Sort(sort) => {
            let below = estimate(&sort.input)?;
            Some(match sort.fetch {
                Some(fetch) => below.limited(fetch as f64),
                None => below,
            })
        }
        LogicalPlan::Limit(limit) => {
            let below = estimate(&limit.input)?;
            Some(match limit.get_fetch_type() {
                Ok(FetchType::Literal(Some(fetch))) => below.limited(fetch as f64),
                _ => below,
            })
        }
        LogicalPlan::Repartition(repartition) => estimate(&repartition.input),
        LogicalPlan::Aggregate(aggregate) => grouped(aggregate, width),
        LogicalPlan::Distinct(distinct) => {
            let input = match distinct {
                Distinct::All(input) => input,
                Distinct::On(on) => &on.input,
            };
            let below = estimate(input)?;
            let rows = combinations(below.columns.iter().map(|facts| facts.distinct), below.rows);
            Some(below.limited(rows))
        }
        LogicalPlan::Window(window) => {
            let mut below = estimate(&window.input)?;
            below.columns.resize(width, Facts::unknown(below.rows));
            Some(below)
        }
        LogicalPlan::Union(union) => {
            let parts = union.inputs.iter().map(|input| estimate(input)).collect::<Option<Vec<_>>>()?;
            Some(united(parts, width))
        }
        LogicalPlan::Join(join) => tree(plan).or_else(|| joined(join)),
        LogicalPlan::EmptyRelation(_) => Some(Estimate::unknown(1.0, width)),
        LogicalPlan::Values(values) => Some(Estimate::unknown(values.values.len() as f64, width)),
        // A step that only looks at its rows.
        LogicalPlan::Extension(step) => match step.node.inputs().as_slice() {
            [input] if input.schema() == step.node.schema() => estimate(input),
            _ => None,
        },
        _ => None,
    }
}

fn table(scan: &TableScan) -> Option<Estimate> {
    let provider = source_as_provider(&scan.source).ok()?;
    let statistics = TableProvider::statistics(provider.as_ref())?;
    let rows = *statistics.num_rows.get_value()? as f64;
    let known = |position: usize| statistics.column_statistics.get(position).map(|known| facts(known, rows));
    let positions: Vec<usize> = match &scan.projection {
        Some(projection) => projection.clone(),
        None => (0..scan.source.schema().fields().len()).collect(),
    };
    let columns = positions.into_iter().map(|at| known(at).unwrap_or(Facts::unknown(rows))).collect();
    let below = Estimate { rows: rows.max(1.0), before: rows.max(1.0), columns };
    let narrowed = narrow(below, &scan.projected_schema, scan.filters.iter());
    Some(match scan.fetch {
        Some(fetch) => narrowed.limited(fetch as f64),
        None => narrowed,
    })
}

fn facts(known: &ColumnStatistics, rows: f64) -> Facts {
    let nulls = known.null_count.get_value().map_or(0.0, |nulls| *nulls as f64 / rows.max(1.0)).min(1.0);
    let number = |value: &Precision<ScalarValue>| value.get_value().and_then(as_number);
    let distinct = known.distinct_count.get_value().map_or(rows, |distinct| *distinct as f64);
    let (lowest, highest) = (number(&known.min_value), number(&known.max_value));
    Facts { distinct, origin: distinct, computed: false, lowest, highest, nulls }
}

/// Where a value lies among the others of its type.
pub(super) fn as_number(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Boolean(Some(value)) => Some(f64::from(u8::from(*value))),
        ScalarValue::Int8(Some(value)) => Some(f64::from(*value)),
        ScalarValue::Int16(Some(value)) => Some(f64::from(*value)),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => Some(f64::from(*value)),
        ScalarValue::Int64(Some(value))
        | ScalarValue::Time64Microsecond(Some(value))
        | ScalarValue::TimestampMicrosecond(Some(value), _) => Some(*value as f64),
        ScalarValue::TimestampNanosecond(Some(value), _) => Some(*value as f64 / 1e3),
        ScalarValue::Float32(Some(value)) => Some(f64::from(*value)),
        ScalarValue::Float64(Some(value)) => Some(*value),
        ScalarValue::Decimal128(Some(value), _, scale) => Some(*value as f64 / 10f64.powi((*scale).into())),
        _ => None,
    }
}

/// A filter that is a copy of one the scan below already has counts once.
fn filtered(filter: &Filter) -> Option<Estimate> {
    let below = estimate(&filter.input)?;
    let counted: &[Expr] = match filter.input.as_ref() {
        LogicalPlan::TableScan(scan) => &scan.filters,
        _ => &[],
    };
    let conjuncts = split_conjunction(&filter.predicate).into_iter().filter(|part| !counted.contains(part));
    Some(narrow(below, filter.input.schema(), conjuncts))
}

fn computed(expression: &Expr, below: &Estimate, schema: &DFSchema) -> Facts {
    match expression {
        Expr::Column(column) => below.facts(schema, column).unwrap_or(Facts::unknown(below.rows)),
        Expr::Alias(alias) => computed(&alias.expr, below, schema),
        Expr::Literal(..) => Facts { distinct: 1.0, origin: 1.0, ..Facts::unknown(below.rows) },
        other => Facts { distinct: below.expression_distinct(schema, other), ..Facts::unknown(below.rows) },
    }
}

/// How many combinations of so many values each there are among some rows.
fn combinations(distinct: impl Iterator<Item = f64>, rows: f64) -> f64 {
    distinct.product::<f64>().min(rows).max(1.0)
}

fn grouped(aggregate: &Aggregate, width: usize) -> Option<Estimate> {
    let below = estimate(&aggregate.input)?;
    let schema = aggregate.input.schema();
    let keys: Vec<Facts> =
        aggregate.group_expr.iter().map(|expression| computed(expression, &below, schema)).collect();
    let rows = combinations(keys.iter().map(|facts| facts.distinct), below.rows);
    // Grouping sets have columns of their own; what they hold is not worked out.
    let keys = if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
        Vec::new()
    } else {
        keys
    };
    let mut columns = keys;
    columns.resize(width, Facts { computed: true, ..Facts::unknown(rows) });
    Some(Estimate { rows, before: rows, columns }.limited(rows))
}

fn united(parts: Vec<Estimate>, width: usize) -> Estimate {
    let rows = parts.iter().map(|part| part.rows).sum();
    let mut columns = vec![Facts { distinct: 0.0, ..Facts::unknown(rows) }; width];
    for part in &parts {
        for (column, own) in columns.iter_mut().zip(&part.columns) {
            column.distinct = (column.distinct + own.distinct).min(rows);
            column.origin = column.distinct;
        }
    }
    Estimate { rows, before: rows, columns }
}

/// A tree of joins that can be moved gives so many rows in whatever order.
fn tree(plan: &LogicalPlan) -> Option<Estimate> {
    // An outer join would be the only relation of its own graph.
    let graph = is_tree_node(plan).then(|| JoinGraph::of(plan)).flatten()?;
    let rows = Problem::of(&graph).rows_of((1 << graph.members()) - 1);
    let column = |column: &Column| {
        let relation = &graph.relations[graph.owner(column)?];
        relation.estimate.facts(relation.plan.schema(), column)
    };
    let columns = plan.schema().columns();
    let columns = columns.iter().map(|name| column(name).unwrap_or(Facts::unknown(rows))).collect();
    Some(Estimate { rows: f64::INFINITY, before: rows, columns }.limited(rows))
}

/// A join on its own, outside of a graph: an outer one, or one over which nothing may move.
fn joined(join: &Join) -> Option<Estimate> {
    let (left, right) = (estimate(&join.left)?, estimate(&join.right)?);
    let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
    let (mut left_values, mut right_values) = (1.0, 1.0);
    for (own, other) in &join.on {
        left_values *= left.expression_origin(left_schema, own);
        right_values *= right.expression_origin(right_schema, other);
    }
    let values = f64::max(left_values.min(left.rows), right_values.min(right.rows)).max(1.0);
    let mut matched = (left.rows * right.rows / values).max(1.0);
    if let Some(filter) = &join.filter {
        matched *= split_conjunction(filter)
            .iter()
            .map(|part| super::selectivity::unknown_condition(part))
            .product::<f64>();
    }
    let kept = |own: f64, other: f64| (other / own.max(1.0)).min(1.0);
    let rows = match join.join_type {
        JoinType::Inner => matched,
        JoinType::Left => matched.max(left.rows),
        JoinType::Right => matched.max(right.rows),
        JoinType::Full => matched.max(left.rows).max(right.rows),
        JoinType::LeftSemi => left.rows * kept(left_values, right_values),
        JoinType::RightSemi => right.rows * kept(right_values, left_values),
        JoinType::LeftAnti => left.rows * (1.0 - kept(left_values, right_values)).max(0.1),
        JoinType::RightAnti => right.rows * (1.0 - kept(right_values, left_values)).max(0.1),
        JoinType::LeftMark => left.rows,
        JoinType::RightMark => right.rows,
    };
    // Where nothing matches, the other side's columns are NULL.
    let (left, right) = match join.join_type {
        JoinType::Left => (left, right.unmatched(1.0 - matched / rows)),
        JoinType::Right => (left.unmatched(1.0 - matched / rows), right),
        JoinType::Full => (left.unmatched(1.0 - matched / rows), right.unmatched(1.0 - matched / rows)),
        _ => (left, right),
    };
    let mut columns = match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.columns,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.columns,
        _ => left.columns.into_iter().chain(right.columns).collect(),
    };
    columns.resize(join.schema.fields().len(), Facts { distinct: 2.0, ..Facts::unknown(rows) });
    Some(Estimate { rows: f64::INFINITY, before: rows, columns }.limited(rows))
}
