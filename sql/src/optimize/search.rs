//! The cheapest order of a join graph, over numbers alone. Up to a limit every order is tried, cheapest parts first
//! (dynamic programming over sets of members); beyond it the pair that leaves the fewest rows is joined next. Joins
//! without a condition are made only when nothing else is left. Next: `build.rs`.

use datafusion::common::Column;

use super::graph::{JoinGraph, MemberSet, Tree};
use super::selectivity::unknown_condition;

/// With more members the next best pair is taken instead of trying every order.
const EVERY_ORDER_MAX: usize = 10;
/// Hash tables of more rows are built in parts, for which both sides are shuffled first.
const BUILT_WHOLE_ROWS: f64 = 128.0 * 1024.0;
/// Putting a row into a hash table costs this many times looking one up.
const BUILD: f64 = 2.0;
const SHUFFLE: f64 = 0.5;
/// Comparing a pair of rows costs this part of looking one up.
const COMPARE: f64 = 0.1;

/// A range is much narrower than another that is so many times as wide.
const MUCH_NARROWER: f64 = 2.0;

/// A graph as numbers.
#[derive(Debug)]
pub(super) struct Problem {
    /// Rows of each relation.
    rows: Vec<f64>,
    /// Rows of each relation before any filter.
    before: Vec<f64>,
    /// For each class of equal columns, its relations and how many values each column has.
    classes: Vec<Vec<(usize, f64)>>,
    predicates: Vec<Condition>,
    attached: Vec<AttachedNumbers>,
}

#[derive(Debug)]
struct Condition {
    relations: MemberSet,
    sides: Option<[MemberSet; 2]>,
    selectivity: f64,
}

#[derive(Debug)]
struct AttachedNumbers {
    needs: Vec<MemberSet>,
    rows: f64,
    /// The part of the rows that are kept.
    kept: f64,
    hashed: bool,
}

/// An order and what it costs.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub tree: Tree,
    pub cost: f64,
    pub rows: f64,
    set: MemberSet,
}

impl Problem {
    pub fn of(graph: &JoinGraph) -> Problem {
        let met = Met::of(graph);
        let rows =
            graph.relations.iter().zip(&met.parts).map(|(relation, part)| relation.estimate.rows * part);
        let rows = rows.map(|rows| rows.max(1.0)).collect();
        let distinct = |owner: usize, column: &Column| {
            let relation = &graph.relations[owner];
            relation.estimate.origin(relation.plan.schema(), column)
        };
        let predicates = graph.predicates.iter().map(|predicate| Condition {
            relations: predicate.relations,
            sides: predicate.sides.as_ref().map(|sides| [sides[0].1, sides[1].1]),
            selectivity: unknown_condition(&predicate.expression),
        });
        let attached = graph.attached.iter().map(|attached| {
            let mut kept: f64 = 1.0;
            for (outer, inner) in &attached.on {
                let (schema, estimate) = (attached.plan.schema(), &attached.estimate);
                let all = inner.try_as_col().map_or(1.0, |column| estimate.origin(schema, column));
                let inner = estimate.expression_distinct(schema, inner);
                let outer = match outer.try_as_col().and_then(|column| Some((graph.owner(column)?, column))) {
                    Some((owner, column)) => distinct(owner, column),
                    None => inner,
                };
                kept = kept.min((inner / outer.max(all).max(1.0)).min(1.0));
            }
            if attached.filter.is_some() {
                kept *= 0.7;
            }
            let kept = if attached.anti { (1.0 - kept).max(0.1) } else { kept };
            let needs = attached.needs.clone();
            AttachedNumbers { needs, rows: attached.estimate.rows, kept, hashed: !attached.on.is_empty() }
        });
        let (predicates, attached) = (predicates.collect(), attached.collect());
        let before =
            graph.relations.iter().zip(&met.parts).map(|(relation, part)| relation.estimate.before * part);
        Problem { rows, before: before.collect(), classes: met.classes, predicates, attached }
    }

    fn members(&self) -> usize {
        self.rows.len() + self.attached.len()
    }

    fn relations_mask(&self) -> MemberSet {
        (1 << self.rows.len()) - 1
    }

    fn attached_of(&self, set: MemberSet) -> Option<&AttachedNumbers> {
        (set & self.relations_mask() == 0 && set.count_ones() == 1)
            .then(|| self.attached.get(set.trailing_zeros() as usize - self.rows.len()))
            .flatten()
    }

    /// Rows of the members of `set` joined, in whatever order.
    pub fn rows_of(&self, set: MemberSet) -> f64 {
        let within = |relation: &usize| set & (1 << relation) != 0;
        let mut rows: f64 = (0..self.rows.len()).filter(within).map(|relation| self.rows[relation]).product();
        for predicate in &self.predicates {
            let joins = predicate.relations.count_ones() > 1;
            if joins && predicate.relations & !set == 0 {
                rows *= predicate.selectivity;
            }
        }
        rows *= self.equalities(set);
        for (number, attached) in self.attached.iter().enumerate() {
            if set & (1 << (self.rows.len() + number)) != 0 {
                rows *= attached.kept;
            }
        }
        rows.max(1.0)
    }

    /// The part of all combinations that the equalities within `set` leave. Each pair of relations is one edge, most
    /// selective first; an equality that follows from those before it counts no more. A key of several columns has
    /// no more values than its relation has rows.
    fn equalities(&self, set: MemberSet) -> f64 {
        let mut edges: Vec<(f64, usize, usize, Vec<usize>)> = Vec::new();
        let members: Vec<usize> = (0..self.rows.len()).filter(|number| set & (1 << number) != 0).collect();
        for (position, left) in members.iter().enumerate() {
            for right in &members[position + 1..] {
                let shared: Vec<usize> =
                    (0..self.classes.len()).filter(|class| self.shares(*class, *left, *right)).collect();
                if !shared.is_empty() {
                    edges.push((self.values(&shared, *left, *right), *left, *right, shared));
                }
            }
        }
        edges.sort_by(|a, b| b.0.total_cmp(&a.0));
        // For each class, which group of already equal members a relation belongs to.
        let mut groups: Vec<Vec<usize>> = vec![(0..self.rows.len()).collect(); self.classes.len()];
        let mut part = 1.0;
        for (_, left, right, shared) in edges {
            let new: Vec<usize> =
                shared.into_iter().filter(|class| groups[*class][left] != groups[*class][right]).collect();
            if new.is_empty() {
                continue;
            }
            part /= self.values(&new, left, right).max(1.0);
            for class in new {
                let (from, to) = (groups[class][right], groups[class][left]);
                groups[class].iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
        part
    }

    fn shares(&self, class: usize, left: usize, right: usize) -> bool {
        let has = |relation: usize| self.classes[class].iter().any(|(owner, _)| *owner == relation);
        has(left) && has(right)
    }

    fn values(&self, classes: &[usize], left: usize, right: usize) -> f64 {
        let of = |relation: usize| {
            let distinct = |class: &usize| {
                let own = self.classes[*class].iter().find(|(owner, _)| *owner == relation);
                own.map_or(1.0, |(_, distinct)| *distinct)
            };
            let product: f64 = classes.iter().map(distinct).product();
            // Each column may have lost rows to a filter and is still matched as if it had not.
            if classes.len() > 1 { product.min(self.before[relation].max(1.0)) } else { product }
        };
        of(left).max(of(right))
    }

    /// Whether two sets can be joined by a condition, and whether by hashing.
    fn joined(&self, left: MemberSet, right: MemberSet) -> Option<bool> {
        if let Some(attached) = self.attached_of(right) {
            return attached.needs.iter().any(|needed| needed & !left == 0).then_some(attached.hashed);
        }
        if self.attached_of(left).is_some() {
            return None;
        }
        let in_both = |class: &Vec<(usize, f64)>| {
            class.iter().any(|(owner, _)| left & (1 << owner) != 0)
                && class.iter().any(|(owner, _)| right & (1 << owner) != 0)
        };
        if self.classes.iter().any(in_both) {
            return Some(true);
        }
        let mut loops = None;
        for predicate in &self.predicates {
            let reaches = predicate.relations & !(left | right) == 0
                && predicate.relations & left != 0
                && predicate.relations & right != 0;
            let splits = predicate.sides.is_some_and(|[a, b]| {
                (a & !left == 0 && b & !right == 0) || (a & !right == 0 && b & !left == 0)
            });
            match (reaches, splits) {
                (true, true) => return Some(true),
                (true, false) => loops = Some(false),
                _ => {}
            }
        }
        loops
    }

    /// How two parts are joined, by hashing or in loops; None when no condition joins them and `cross` is not allowed.
    fn way(&self, left: MemberSet, right: MemberSet, cross: bool) -> Option<bool> {
        let crossed = cross && self.attached_of(left).is_none() && self.attached_of(right).is_none();
        self.joined(left, right).or(crossed.then_some(false))
    }

    fn join(&self, left: &Found, right: &Found, cross: bool) -> Option<Found> {
        let hashed = self.way(left.set, right.set, cross)?;
        let rows = self.rows_of(left.set | right.set);
        Some(together(
            left,
            right,
            rows,
            left.cost + right.cost + join_cost(left.rows, right.rows, rows, hashed),
        ))
    }

    fn member(&self, number: usize) -> Found {
        let set = 1 << number;
        let relation = self.rows.len();
        if number < relation {
            Found { tree: Tree::Relation(number), cost: 0.0, rows: self.rows[number], set }
        } else {
            let attached = number - relation;
            Found { tree: Tree::Attached(attached), cost: 0.0, rows: self.attached[attached].rows, set }
        }
    }

    /// What the joins of a tree cost.
    pub fn cost(&self, tree: &Tree) -> Option<f64> {
        self.found(tree).map(|found| found.cost)
    }

    /// A given tree with its figures.
    pub fn found(&self, tree: &Tree) -> Option<Found> {
        match tree {
            Tree::Relation(number) => Some(self.member(*number)),
            Tree::Attached(number) => Some(self.member(self.rows.len() + number)),
            Tree::Join(left, right) => {
                let (left, right) = (self.found(left)?, self.found(right)?);
                self.join(&left, &right, true).or_else(|| self.unconditional(&left, &right))
            }
        }
    }

    /// A semi join without a condition keeps all rows or none.
    fn unconditional(&self, left: &Found, right: &Found) -> Option<Found> {
        self.attached_of(right.set)?;
        Some(together(left, right, self.rows_of(left.set | right.set), left.cost + left.rows))
    }
}

/// What of each relation the others can meet at all. A calendar of two centuries is joined with the sales of five years:
/// where another column's range is much narrower, the rest of the relation might as well not be there. If a filter has
/// left fewer values than that range has, they are taken to lie within: who asks for one year means one of the five.
struct Met {
    /// For each class of equal columns, its relations and how many values each column has.
    classes: Vec<Vec<(usize, f64)>>,
    /// The part of each relation's rows that can be met.
    parts: Vec<f64>,
}

impl Met {
    fn of(graph: &JoinGraph) -> Met {
        let mut parts = vec![1.0f64; graph.relations.len()];
        let mut classes: Vec<Vec<(usize, f64, bool)>> = Vec::new();
        for class in &graph.classes {
            let mut values = Vec::new();
            for (owner, column) in class {
                let relation = &graph.relations[*owner];
                let origin = relation.estimate.origin(relation.plan.schema(), column);
                let within = values_within(graph, class, *owner, column);
                let left = relation.estimate.distinct(relation.plan.schema(), column);
                if let Some(within) = within.filter(|within| left > *within) {
                    parts[*owner] = parts[*owner].min(within / origin);
                }
                values.push((*owner, within.unwrap_or(origin), within.is_some()));
            }
            classes.push(values);
        }
        // Of the other columns as many values go as rows: weeks and months go with their days.
        let shrunk = |(owner, values, within): (usize, f64, bool)| {
            (owner, if within { values } else { (values * parts[owner]).max(1.0) })
        };
        let classes = classes.into_iter().map(|class| class.into_iter().map(shrunk).collect()).collect();
        Met { classes, parts }
    }
}

/// How many values of a column the others of its class can meet, if their range is much narrower.
fn values_within(graph: &JoinGraph, class: &[(usize, Column)], owner: usize, column: &Column) -> Option<f64> {
    let facts = |owner: usize, column: &Column| {
        let relation = &graph.relations[owner];
        let facts = relation.estimate.facts(relation.plan.schema(), column)?;
        Some((facts.lowest?, facts.highest?, facts))
    };
    let (lowest, highest, own) = facts(owner, column)?;
    let narrower = class.iter().filter_map(|(other, column)| {
        let (from, to, facts) = facts(*other, column)?;
        let within = from >= lowest && to <= highest && (to - from) * MUCH_NARROWER <= highest - lowest;
        (*other != owner && within).then_some(facts.origin)
    });
    Some(narrower.min_by(f64::total_cmp)?.clamp(1.0, own.origin.max(1.0)))
}

fn together(left: &Found, right: &Found, rows: f64, cost: f64) -> Found {
    let tree = Tree::Join(Box::new(left.tree.clone()), Box::new(right.tree.clone()));
    Found { tree, cost, rows, set: left.set | right.set }
}

/// What a join costs: the smaller side is built, the other one looked up.
fn join_cost(left: f64, right: f64, rows: f64, hashed: bool) -> f64 {
    let (small, large) = if left < right { (left, right) } else { (right, left) };
    if !hashed {
        return small * large * COMPARE + large + rows;
    }
    let shuffle = if small > BUILT_WHOLE_ROWS { SHUFFLE * (small + large) } else { 0.0 };
    BUILD * small + large + rows + shuffle
}

/// The cheapest order of all members.
pub(super) fn cheapest(problem: &Problem) -> Option<Found> {
    if problem.members() > EVERY_ORDER_MAX {
        return next_best(problem);
    }
    every_order(problem, false).or_else(|| every_order(problem, true))
}

fn every_order(problem: &Problem, cross: bool) -> Option<Found> {
    let all: MemberSet = (1 << problem.members()) - 1;
    let mut best: Vec<Option<Found>> = vec![None; usize::try_from(all).ok()? + 1];
    for number in 0..problem.members() {
        best[1 << number] = Some(problem.member(number));
    }
    for set in 1..=all {
        if set.count_ones() < 2 {
            continue;
        }
        best[index(set)] = best_split(problem, &best, set, cross);
    }
    best.pop().flatten()
}

/// The cheapest way to join two parts of `set`, each in its own cheapest order.
fn best_split(problem: &Problem, best: &[Option<Found>], set: MemberSet, cross: bool) -> Option<Found> {
    let mut rows = None;
    let mut chosen: Option<(f64, MemberSet)> = None;
    // Every split once: the left part has the lowest member, which is a relation wherever there is one.
    let lowest = set & set.wrapping_neg();
    let rest = set & !lowest;
    let mut others = rest;
    while others != 0 {
        let parts = (&best[index(set & !others)], &best[index(others)]);
        if let (Some(left), Some(right)) = parts
            && let Some(hashed) = problem.way(left.set, right.set, cross)
        {
            let rows = *rows.get_or_insert_with(|| problem.rows_of(set));
            let cost = left.cost + right.cost + join_cost(left.rows, right.rows, rows, hashed);
            if chosen.is_none_or(|(least, _)| cost < least) {
                chosen = Some((cost, others));
            }
        }
        others = (others - 1) & rest;
    }
    let (cost, others) = chosen?;
    let (left, right) = (best[index(set & !others)].as_ref()?, best[index(others)].as_ref()?);
    Some(together(left, right, rows?, cost))
}

fn index(set: MemberSet) -> usize {
    usize::try_from(set).unwrap_or(usize::MAX)
}

/// Joins the pair that leaves the fewest rows, again and again.
fn next_best(problem: &Problem) -> Option<Found> {
    let mut parts: Vec<Found> = (0..problem.members()).map(|number| problem.member(number)).collect();
    while parts.len() > 1 {
        let pair = best_pair(problem, &parts, false).or_else(|| best_pair(problem, &parts, true));
        let (left, right, joined) = pair?;
        parts.swap_remove(left.max(right));
        parts.swap_remove(left.min(right));
        parts.push(joined);
    }
    parts.pop()
}

fn best_pair(problem: &Problem, parts: &[Found], cross: bool) -> Option<(usize, usize, Found)> {
    let mut best: Option<(f64, usize, usize, Found)> = None;
    for left in 0..parts.len() {
        for right in 0..parts.len() {
            if left == right {
                continue;
            }
            let Some(found) = problem.join(&parts[left], &parts[right], cross) else { continue };
            let measure = found.rows + join_cost(parts[left].rows, parts[right].rows, found.rows, true) * 0.5;
            if best.as_ref().is_none_or(|(least, ..)| measure < *least) {
                best = Some((measure, left, right, found));
            }
        }
    }
    best.map(|(_, left, right, found)| (left, right, found))
}
