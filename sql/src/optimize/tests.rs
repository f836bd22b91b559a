//! Whatever order is chosen, the rows are the same: random queries over small tables whose statistics are made up, so
//! that orders differ wildly, answer alike with and without the rule. And a few plans are looked at.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ColumnStatistics, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;

use super::{logical_rules, order_joins, physical_rules, tell_rows};
use crate::plan::StatementPlanner;

/// A table that claims any number of rows.
#[derive(Debug)]
struct Claiming {
    table: MemTable,
    statistics: Option<Statistics>,
}

#[async_trait]
impl TableProvider for Claiming {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        self.statistics.clone()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(state, projection, filters, limit).await
    }
}

/// A small source of numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

fn claims(rows: usize, distinct: &[usize]) -> Statistics {
    let column = |distinct: &usize| ColumnStatistics {
        distinct_count: Precision::Inexact(*distinct),
        ..ColumnStatistics::new_unknown()
    };
    Statistics {
        num_rows: Precision::Inexact(rows),
        total_byte_size: Precision::Absent,
        column_statistics: distinct.iter().map(column).collect(),
    }
}

/// Columns `{name}a`, `b`, `c` of few numbers and, some of them, NULLs, and `s` of text. How many NULLs there are is no claim.
fn table(numbers: &mut Numbers, rows: usize, mut claimed: Option<Statistics>) -> Arc<Claiming> {
    let mut column = || -> ArrayRef {
        let nulls = numbers.below(2);
        let value = |_| (numbers.below(8) >= nulls).then(|| i64::try_from(numbers.below(4)).unwrap_or(0));
        Arc::new((0..rows).map(value).collect::<Int64Array>())
    };
    let (a, b, c) = (column(), column(), column());
    let s: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}"))));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("a", a, true),
        ("b", b, true),
        ("c", c, true),
        ("s", s, true),
    ])
    .expect("columns of one length");
    for (known, column) in
        claimed.iter_mut().flat_map(|claimed| &mut claimed.column_statistics).zip(batch.columns())
    {
        known.null_count = Precision::Exact(column.null_count());
    }
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("one schema");
    Arc::new(Claiming { table, statistics: claimed })
}

fn context(tables: Vec<(String, Arc<Claiming>)>) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_query_planner(Arc::new(StatementPlanner))
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(physical_rules());
    let context = SessionContext::new_with_state(state.build());
    for (name, table) in tables {
        context.register_table(name, table).expect("a new name");
    }
    context
}

async fn optimized(context: &SessionContext, sql: &str) -> LogicalPlan {
    let state = context.state();
    let plan = state.create_logical_plan(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    state.optimize(&plan).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn rows(context: &SessionContext, plan: &LogicalPlan) -> Vec<String> {
    let state = context.state();
    let physical = state.query_planner().create_physical_plan(plan, &state).await;
    let physical = physical.unwrap_or_else(|error| panic!("{}: {error}", plan.display_indent()));
    let batches = collect(physical, context.task_ctx()).await.expect("it runs");
    let mut rows = Vec::new();
    for batch in batches {
        let options = FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("a plain type"))
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
            );
        }
    }
    rows.sort();
    rows
}

/// A join of some tables with conditions of all kinds among them.
fn query(numbers: &mut Numbers) -> String {
    let count = 3 + numbers.below(3);
    let column = |numbers: &mut Numbers| ["a", "b", "c"][usize::try_from(numbers.below(3)).unwrap_or(0)];
    let mut from = "t0".to_owned();
    let mut conditions = vec!["t0.a >= 0".to_owned()];
    for table in 1..count {
        let (earlier, own, other) = (numbers.below(table), column(numbers), column(numbers));
        let equal = format!("t{table}.{own} = t{earlier}.{other}");
        match numbers.below(6) {
            0 => from += &format!(" LEFT JOIN t{table} ON {equal}"),
            1 => from += &format!(" JOIN t{table} ON {equal} AND t{table}.c <> t{earlier}.b"),
            2 => from += &format!(" JOIN t{table} ON t{table}.{own} + 1 = t{earlier}.{other}"),
            3 => from += &format!(" JOIN (SELECT DISTINCT a, b, c, s FROM t{table}) t{table} ON {equal}"),
            _ => from += &format!(" JOIN t{table} ON {equal}"),
        }
    }
    for _ in 0..numbers.below(4) {
        let (table, own, other) = (numbers.below(count), column(numbers), column(numbers));
        let (second, inner) = (numbers.below(count), numbers.below(6));
        conditions.push(match numbers.below(8) {
            0 => format!("t{table}.{own} IN (SELECT {other} FROM t{inner} WHERE c > 0)"),
            1 => format!(
                "EXISTS (SELECT 1 FROM t{inner} i WHERE i.{other} = t{table}.{own} AND i.b <> t{table}.c)"
            ),
            2 => {
                format!("NOT EXISTS (SELECT 1 FROM t{inner} i WHERE i.{other} = t{table}.{own} AND i.a > 1)")
            }
            3 => format!("t{table}.{own} NOT IN (SELECT {other} FROM t{inner} WHERE c > 2)"),
            4 => format!("t{table}.{own} = t{second}.{other}"),
            5 => format!("(t{table}.{own} > t{second}.{other} OR t{table}.b = 1)"),
            6 => format!("t{table}.b <= (SELECT max(b) FROM t{inner} i WHERE i.{other} = t{table}.{own})"),
            _ => format!(
                "t{table}.{own} > (SELECT avg(x.{other}) FROM t{inner} x
                 JOIN t0 y ON x.a = y.b JOIN t1 z ON y.a = z.b)"
            ),
        });
    }
    let shown: Vec<String> = (0..count).map(|table| format!("t{table}.s")).collect();
    let condition = conditions.join(" AND ");
    if numbers.below(3) == 0 {
        return format!("SELECT t0.a, count(*), max(t1.s) FROM {from} WHERE {condition} GROUP BY t0.a");
    }
    format!("SELECT {} FROM {from} WHERE {condition}", shown.join(", "))
}

#[tokio::test]
async fn every_order_gives_the_same_rows() {
    let mut changed = 0;
    for seed in 1..=150 {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut tables = Vec::new();
        for table_number in 0..6 {
            let claimed = 10usize.pow(u32::try_from(numbers.below(7)).unwrap_or(0));
            let distinct = [claimed, claimed.div_ceil(10), 3, claimed];
            let table = table(&mut numbers, 9, Some(claims(claimed, &distinct)));
            tables.push((format!("t{table_number}"), table));
        }
        let context = context(tables);
        let sql = query(&mut numbers);
        let plan = optimized(&context, &sql).await;
        let reordered =
            order_joins(plan.clone()).unwrap_or_else(|error| panic!("seed {seed}: {sql}: {error}"));
        if reordered == plan {
            continue;
        }
        changed += 1;
        assert_eq!(plan.schema(), reordered.schema(), "seed {seed}: {sql}");
        let (expect, got) = (rows(&context, &plan).await, rows(&context, &reordered).await);
        assert_eq!(
            expect,
            got,
            "seed {seed}: {sql}\n{}\n{}",
            plan.display_indent(),
            reordered.display_indent()
        );
        let told = tell_rows(reordered.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(expect, rows(&context, &told).await, "seed {seed}: {sql}");
        // What was ordered once can be ordered again.
        let again = order_joins(reordered.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(expect, rows(&context, &again).await, "seed {seed}: {sql}");
    }
    assert!(changed > 60, "only {changed} of 150 queries were given another order");
}

/// Tables with the proportions of TPC-H.
fn orders_and_lines() -> SessionContext {
    let mut numbers = Numbers(7);
    let mut named = |name: &str, rows: usize, distinct: &[usize]| {
        (name.to_owned(), table(&mut numbers, 5, Some(claims(rows, distinct))))
    };
    context(vec![
        named("customer", 150_000, &[150_000, 25, 5, 150_000]),
        named("orders", 1_500_000, &[1_500_000, 100_000, 3, 1_500_000]),
        named("lines", 6_000_000, &[1_500_000, 200_000, 10_000, 6_000_000]),
    ])
}

/// The tables of a plan from the innermost join outwards, and the semi joins between them.
fn order(plan: &LogicalPlan) -> String {
    plan.display_indent().to_string()
}

#[tokio::test]
async fn a_semi_join_of_few_rows_goes_below_the_large_join() {
    let context = orders_and_lines();
    let sql = "SELECT c.s, o.s, sum(l.b) FROM customer c, orders o, lines l
               WHERE o.a IN (SELECT a FROM lines GROUP BY a HAVING sum(b) > 300) AND c.a = o.b AND o.a = l.a
               GROUP BY c.s, o.s";
    let plan = order_joins(optimized(&context, sql).await).expect("an order");
    let text = order(&plan);
    let (semi, lines) = (text.find("Semi Join"), text.rfind("TableScan: l"));
    let inner = text.find("Inner Join");
    assert!(inner < semi && semi.is_some() && lines.is_some(), "{text}");
}

#[tokio::test]
async fn an_aggregate_makes_only_the_groups_that_a_filtered_table_asks_for() {
    let context = orders_and_lines();
    let sql = "SELECT sum(l.c) FROM customer k, lines l
               WHERE k.a = l.b AND k.b = 3 AND l.c < (SELECT avg(i.c) FROM lines i WHERE i.b = k.a)";
    let plan = order_joins(optimized(&context, sql).await).expect("an order");
    let text = order(&plan);
    let (aggregate, keys) = (text.find("groupBy=[[i.b]]"), text.find("SubqueryAlias: ?keys"));
    assert!(aggregate.is_some() && aggregate < keys, "{text}");
    let again = order(&order_joins(plan.clone()).expect("an order"));
    assert_eq!(again.matches("SubqueryAlias: ?keys").count(), 1, "{again}");

    let all = "SELECT sum(l.c) FROM customer k, lines l
               WHERE k.a = l.b AND l.c < (SELECT avg(i.c) FROM lines i WHERE i.b = k.a)";
    let text = order(&order_joins(optimized(&context, all).await).expect("an order"));
    assert!(!text.contains("?keys"), "{text}");
}

#[tokio::test]
async fn joins_in_scalar_subqueries_are_put_in_order() {
    let context = orders_and_lines();
    let sql = "SELECT count(*) FROM orders WHERE c > (SELECT max(l.c) FROM lines l, orders o, customer c
               WHERE l.a = o.a AND o.b = c.a AND c.b = 3)";
    let plan = optimized(&context, sql).await;
    assert_ne!(order_joins(plan.clone()).expect("an order"), plan);
}

#[tokio::test]
async fn the_smaller_side_is_built_also_above_an_aggregate() {
    let context = orders_and_lines();
    // What the engine knows here are the five rows that each table really has.
    let sql = "SELECT c.s, g.n FROM (SELECT b, count(*) n FROM orders GROUP BY b) g, customer c
               WHERE g.b = c.a AND c.b = 3";
    let plan = order_joins(optimized(&context, sql).await).and_then(tell_rows).expect("an order");
    let state = context.state();
    let physical = state.query_planner().create_physical_plan(&plan, &state).await.expect("a plan");
    let text = displayable(physical.as_ref()).indent(false).to_string();
    assert!(!text.contains("KnownExec"), "{text}");
    let mut join = None;
    physical
        .apply(|node| {
            join =
                join.take().or_else(|| node.downcast_ref::<HashJoinExec>().map(|join| join.left().clone()));
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("the closure has no errors");
    let built = displayable(join.expect("a hash join").as_ref()).indent(false).to_string();
    assert!(!built.contains("Aggregate"), "{built}\nof\n{text}");
}

#[tokio::test]
async fn without_statistics_the_order_of_the_text_stays() {
    let mut numbers = Numbers(3);
    let tables = (0..3).map(|number| {
        let claimed = (number != 1).then(|| claims(10, &[10, 10, 10, 10]));
        (format!("t{number}"), table(&mut numbers, 5, claimed))
    });
    let context = context(tables.collect());
    let plan = optimized(&context, "SELECT t0.s FROM t0, t1, t2 WHERE t0.a = t1.a AND t1.b = t2.b").await;
    assert_eq!(order_joins(plan.clone()).expect("no change"), plan);
}

/// `NOT IN` is a plain anti join where both sides are known to have no NULL, and only there.
#[tokio::test]
async fn not_in_without_nulls_is_an_anti_join() {
    let table = |nulls: bool| {
        let value = |row: i64| (!nulls || row > 0).then_some(row);
        let a: ArrayRef = Arc::new((0..4).map(value).collect::<Int64Array>());
        let known = ColumnStatistics {
            null_count: Precision::Exact(a.null_count()),
            ..ColumnStatistics::new_unknown()
        };
        let batch = RecordBatch::try_from_iter_with_nullable([("a", a, true)]).expect("one column");
        let statistics = Statistics {
            num_rows: Precision::Exact(4),
            total_byte_size: Precision::Absent,
            column_statistics: vec![known],
        };
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("one schema");
        Arc::new(Claiming { table, statistics: Some(statistics) })
    };
    let context = context(vec![("full".to_owned(), table(false)), ("gaps".to_owned(), table(true))]);
    let check = async |sql: &str, expect: bool| {
        let plan = order_joins(optimized(&context, sql).await).expect("it can be ordered");
        let mut plain = true;
        plan.apply(|plan| {
            plain &= !matches!(plan, LogicalPlan::Join(join) if join.null_aware);
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("a walk");
        assert_eq!(plain, expect, "{sql}");
    };
    check("SELECT a FROM full WHERE a NOT IN (SELECT a FROM full WHERE a > 2)", true).await;
    check("SELECT a FROM full WHERE a NOT IN (SELECT x FROM (SELECT a AS x FROM full) y)", true).await;
    check("SELECT a FROM full WHERE a NOT IN (SELECT max(a) FROM full GROUP BY a)", false).await;
    check("SELECT a FROM full WHERE a NOT IN (SELECT a FROM full GROUP BY a)", true).await;
    check("SELECT a FROM full WHERE a NOT IN (SELECT a FROM gaps)", false).await;
    check("SELECT a FROM gaps WHERE a NOT IN (SELECT a FROM full)", false).await;
    check(
        "SELECT a FROM full WHERE a NOT IN (SELECT g.a FROM full f LEFT JOIN full g ON f.a = g.a + 1)",
        false,
    )
    .await;
}
