//! An order of joins as a plan again. Every equality and predicate of the graph is in the result exactly where its
//! columns first meet, and columns that nothing above needs are dropped on the way. The smaller side goes left, where
//! the hash table is built.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchemaRef, JoinConstraint, JoinType, NullEquality, Result, plan_err};
use datafusion::logical_expr::logical_plan::{Filter, Join};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::graph::{Attached, JoinGraph, MemberSet, Tree};
use super::search::Problem;

/// The plan of `tree`, with the columns of `schema`.
pub(super) fn build(
    graph: &JoinGraph,
    problem: &Problem,
    tree: &Tree,
    schema: &DFSchemaRef,
) -> Result<LogicalPlan> {
    let mut builder = Builder { graph, problem, used: vec![false; graph.predicates.len()], schema };
    let built = builder.part(tree)?;
    if let Some(left_out) = builder.used.iter().position(|used| !used) {
        return plan_err!("condition {} was lost", graph.predicates[left_out].expression);
    }
    if built.plan.schema() == schema {
        return Ok(built.plan);
    }
    let projection = Projection::new_from_schema(Arc::new(built.plan), Arc::clone(schema));
    Ok(LogicalPlan::Projection(projection))
}

struct Builder<'a> {
    graph: &'a JoinGraph,
    problem: &'a Problem,
    /// The predicates that are in the plan.
    used: Vec<bool>,
    /// What the whole tree must give.
    schema: &'a DFSchemaRef,
}

struct Part {
    plan: LogicalPlan,
    set: MemberSet,
    rows: f64,
}

impl Builder<'_> {
    fn part(&mut self, tree: &Tree) -> Result<Part> {
        match tree {
            Tree::Relation(number) => self.relation(*number),
            Tree::Attached(_) => plan_err!("a semi join has no left side"),
            Tree::Join(left, right) => {
                let left = self.part(left)?;
                let set = left.set;
                let plan = match right.as_ref() {
                    Tree::Attached(number) => self.semi_join(left, *number)?,
                    right => {
                        let right = self.part(right)?;
                        self.inner_join(left, right)?
                    }
                };
                let set = set | members(right, self.graph);
                let rows = self.problem.rows_of(set);
                Ok(Part { plan: self.without_unneeded(plan, set)?, set, rows })
            }
        }
    }

    /// A relation, filtered by the conditions that name nothing else.
    fn relation(&mut self, number: usize) -> Result<Part> {
        let set = 1 << number;
        let mut conditions = Vec::new();
        for class in &self.graph.classes {
            let mut own =
                class.iter().filter(|(owner, _)| *owner == number).map(|(_, column)| column.clone());
            if let Some(first) = own.next() {
                conditions.extend(own.map(|other| Expr::Column(first.clone()).eq(Expr::Column(other))));
            }
        }
        for (at, predicate) in self.graph.predicates.iter().enumerate() {
            // A condition that names no relation at all goes to the first.
            if predicate.relations == set || (predicate.relations == 0 && number == 0) {
                self.used[at] = true;
                conditions.push(predicate.expression.clone());
            }
        }
        let relation = &self.graph.relations[number];
        let plan = relation.plan.clone();
        let plan = match conjunction(conditions) {
            Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?),
            None => plan,
        };
        Ok(Part { plan, set, rows: relation.estimate.rows })
    }

    fn inner_join(&mut self, left: Part, right: Part) -> Result<LogicalPlan> {
        let (left, right) = if left.rows <= right.rows { (left, right) } else { (right, left) };
        let mut on = Vec::new();
        for class in &self.graph.classes {
            let within = |set: MemberSet| class.iter().find(|(owner, _)| set & (1 << owner) != 0);
            if let (Some((_, own)), Some((_, other))) = (within(left.set), within(right.set)) {
                on.push((Expr::Column(own.clone()), Expr::Column(other.clone())));
            }
        }
        let both = left.set | right.set;
        let mut filters = Vec::new();
        for (at, predicate) in self.graph.predicates.iter().enumerate() {
            if self.used[at] || predicate.relations & !both != 0 {
                continue;
            }
            self.used[at] = true;
            match &predicate.sides {
                Some([(a, a_set), (b, b_set)]) if a_set & !left.set == 0 && b_set & !right.set == 0 => {
                    on.push((a.clone(), b.clone()));
                }
                Some([(a, a_set), (b, b_set)]) if a_set & !right.set == 0 && b_set & !left.set == 0 => {
                    on.push((b.clone(), a.clone()));
                }
                _ => filters.push(predicate.expression.clone()),
            }
        }
        let filter = conjunction(filters);
        join(left.plan, right.plan, on, filter, JoinType::Inner)
    }

    fn semi_join(&self, left: Part, number: usize) -> Result<LogicalPlan> {
        let attached = &self.graph.attached[number];
        let Attached { anti, estimate, .. } = attached;
        let stand_in = |expression: Expr| self.within(expression, left.set, attached);
        let on = attached.on.iter().map(|(outer, inner)| Ok((stand_in(outer.clone())?, inner.clone())));
        let on = on.collect::<Result<Vec<_>>>()?;
        let filter = attached.filter.clone().map(stand_in).transpose()?;
        let other = attached.plan.clone();
        if estimate.rows < left.rows {
            let on = on.into_iter().map(|(outer, inner)| (inner, outer)).collect();
            let kind = if *anti { JoinType::RightAnti } else { JoinType::RightSemi };
            return join(other, left.plan, on, filter, kind);
        }
        let kind = if *anti { JoinType::LeftAnti } else { JoinType::LeftSemi };
        join(left.plan, other, on, filter, kind)
    }

    /// The same expression over columns of the relations in `set`, which equal those it names.
    fn within(&self, expression: Expr, set: MemberSet, attached: &Attached) -> Result<Expr> {
        let replaced = expression.transform(|expression| match &expression {
            Expr::Column(column) if !attached.plan.schema().has_column(column) => {
                match self.graph.stand_in(column, set) {
                    Some(same) if same == *column => Ok(Transformed::no(expression)),
                    Some(same) => Ok(Transformed::yes(Expr::Column(same))),
                    None => plan_err!("{column} is not there yet"),
                }
            }
            _ => Ok(Transformed::no(expression)),
        });
        replaced.data()
    }

    /// Without the columns that neither the result nor a condition still to come names.
    fn without_unneeded(&self, plan: LogicalPlan, set: MemberSet) -> Result<LogicalPlan> {
        let needed = self.needed_above(set);
        let columns = plan.schema().columns();
        let kept: Vec<Expr> =
            columns.iter().filter(|column| needed.contains(*column)).cloned().map(Expr::Column).collect();
        if kept.len() == columns.len() || kept.is_empty() {
            return Ok(plan);
        }
        Ok(LogicalPlan::Projection(Projection::try_new(kept, Arc::new(plan))?))
    }

    fn needed_above(&self, set: MemberSet) -> HashSet<Column> {
        let graph = self.graph;
        let mut needed: HashSet<Column> = self.schema.columns().into_iter().collect();
        for class in &graph.classes {
            if class.iter().any(|(owner, _)| set & (1 << owner) == 0) {
                // The first is the one that `inner_join` picks.
                let own = class.iter().find(|(owner, _)| set & (1 << owner) != 0);
                needed.extend(own.map(|(_, column)| column.clone()));
            }
        }
        for (predicate, used) in graph.predicates.iter().zip(&self.used) {
            if !used {
                needed.extend(predicate.expression.column_refs().into_iter().cloned());
            }
        }
        for (number, attached) in graph.attached.iter().enumerate() {
            if set & graph.attached_bit(number) != 0 {
                continue;
            }
            let outer = attached.on.iter().flat_map(|(outer, _)| outer.column_refs());
            for column in outer.chain(attached.filter.iter().flat_map(Expr::column_refs)) {
                needed.extend(graph.stand_in(column, set));
            }
        }
        needed
    }
}

fn members(tree: &Tree, graph: &JoinGraph) -> MemberSet {
    match tree {
        Tree::Relation(number) => 1 << number,
        Tree::Attached(number) => graph.attached_bit(*number),
        Tree::Join(left, right) => members(left, graph) | members(right, graph),
    }
}

fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    join_type: JoinType,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    let (constraint, nulls) = (JoinConstraint::On, NullEquality::NullEqualsNothing);
    Join::try_new(left, right, on, filter, join_type, constraint, nulls, false).map(LogicalPlan::Join)
}
