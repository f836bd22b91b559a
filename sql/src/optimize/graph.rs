//! A join tree taken apart. Inner joins become relations with equalities and predicates among them, which hold in
//! any order. A semi or anti join keeps some rows of its one side by looking at the other; it may be made anywhere
//! above the columns it looks at, so its other side is *attached* to the relations. It must never know a cost.
//! Next: `search.rs`.

use std::collections::HashMap;
use std::fmt;

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::estimate::{Estimate, estimate};
use super::join_order::{is_tree_node, reaches_join};

/// Members of a graph as bits: relations first, attached ones after them.
pub(super) type MemberSet = u64;

/// A graph with more members stays in its order.
const MEMBERS_MAX: usize = 40;

/// Which members are joined with which.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Relation(usize),
    Attached(usize),
    Join(Box<Tree>, Box<Tree>),
}

#[derive(Debug)]
pub(super) struct Relation {
    pub plan: LogicalPlan,
    pub estimate: Estimate,
}

/// The other side of a semi or anti join.
#[derive(Debug)]
pub(super) struct Attached {
    pub plan: LogicalPlan,
    pub estimate: Estimate,
    pub anti: bool,
    /// Equalities of an expression over the relations and one over this plan.
    pub on: Vec<(Expr, Expr)>,
    pub filter: Option<Expr>,
    /// The relations whose columns it looks at; any of these sets will do.
    pub needs: Vec<MemberSet>,
}

/// A condition that is not an equality of two columns of one type.
#[derive(Debug)]
pub(super) struct Predicate {
    pub expression: Expr,
    pub relations: MemberSet,
    /// The two sides when it is an equality of expressions over different relations.
    pub sides: Option<[(Expr, MemberSet); 2]>,
}

#[derive(Debug)]
pub(super) struct JoinGraph {
    pub relations: Vec<Relation>,
    pub attached: Vec<Attached>,
    /// Columns that equal each other, with their relations.
    pub classes: Vec<Vec<(usize, Column)>>,
    pub predicates: Vec<Predicate>,
    /// The order it was found in.
    pub tree: Tree,
    owner: HashMap<Column, usize>,
}

impl JoinGraph {
    /// The graph of a tree; None when a relation has no statistics or something in it is not understood.
    pub fn of(plan: &LogicalPlan) -> Option<JoinGraph> {
        let mut parts = Parts::default();
        let tree = parts.flatten(plan);
        if parts.relations.len() + parts.attached.len() > MEMBERS_MAX {
            return None;
        }
        let relation = |plan: &LogicalPlan| Some(Relation { estimate: estimate(plan)?, plan: plan.clone() });
        let relations = parts.relations.into_iter().map(relation).collect::<Option<Vec<_>>>()?;
        let mut owner = HashMap::new();
        for (number, relation) in relations.iter().enumerate() {
            for column in relation.plan.schema().columns() {
                if owner.insert(column, number).is_some() {
                    return None;
                }
            }
        }
        let (classes, predicates) = (Vec::new(), Vec::new());
        let mut graph = JoinGraph { relations, attached: Vec::new(), classes, predicates, tree, owner };
        for condition in parts.conditions {
            graph.add(condition)?;
        }
        for attached in parts.attached {
            graph.attach(attached)?;
        }
        Some(graph)
    }

    pub fn members(&self) -> usize {
        self.relations.len() + self.attached.len()
    }

    /// The bit of an attached member.
    pub fn attached_bit(&self, number: usize) -> MemberSet {
        1 << (self.relations.len() + number)
    }

    pub fn owner(&self, column: &Column) -> Option<usize> {
        self.owner.get(column).copied()
    }

    /// The relations that an expression names; None when a column is nobody's.
    pub fn relations_of(&self, expression: &Expr) -> Option<MemberSet> {
        let mut set = 0;
        for column in expression.column_refs() {
            set |= 1 << self.owner(column)?;
        }
        Some(set)
    }

    fn add(&mut self, condition: Expr) -> Option<()> {
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = &condition {
            if let (Expr::Column(left), Expr::Column(right)) = (left.as_ref(), right.as_ref())
                && self.is_class_pair(left, right)?
            {
                self.equate(left.clone(), right.clone())?;
                return Some(());
            }
            let sides = [self.relations_of(left)?, self.relations_of(right)?];
            if sides[0] != 0 && sides[1] != 0 && sides[0] & sides[1] == 0 {
                let relations = sides[0] | sides[1];
                let sides = [(left.as_ref().clone(), sides[0]), (right.as_ref().clone(), sides[1])];
                self.predicates.push(Predicate { expression: condition, relations, sides: Some(sides) });
                return Some(());
            }
        }
        let relations = self.relations_of(&condition)?;
        self.predicates.push(Predicate { expression: condition, relations, sides: None });
        Some(())
    }

    /// Equality is transitive only within one type, and for floating point not at all.
    fn is_class_pair(&self, left: &Column, right: &Column) -> Option<bool> {
        let (left_owner, right_owner) = (self.owner(left)?, self.owner(right)?);
        let data_type = |column: &Column, owner: usize| {
            Expr::Column(column.clone()).get_type(self.relations[owner].plan.schema().as_ref()).ok()
        };
        let (left, right) = (data_type(left, left_owner)?, data_type(right, right_owner)?);
        Some(left_owner != right_owner && left == right && !left.is_floating())
    }

    fn equate(&mut self, left: Column, right: Column) -> Option<()> {
        let class_of = |classes: &[Vec<(usize, Column)>], column: &Column| {
            classes.iter().position(|class| class.iter().any(|(_, member)| member == column))
        };
        let (left_class, right_class) = (class_of(&self.classes, &left), class_of(&self.classes, &right));
        let left = (self.owner(&left)?, left);
        let right = (self.owner(&right)?, right);
        match (left_class, right_class) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let moved = self.classes.swap_remove(a.max(b));
                self.classes[a.min(b)].extend(moved);
            }
            (Some(class), None) => self.classes[class].push(right),
            (None, Some(class)) => self.classes[class].push(left),
            (None, None) => self.classes.push(vec![left, right]),
        }
        Some(())
    }

    fn attach(&mut self, parts: AttachedParts) -> Option<()> {
        let AttachedParts { plan, anti, on, filter } = parts;
        let estimate = estimate(plan)?;
        let own = |column: &Column| plan.schema().has_column(column);
        let mut needed = 0;
        for (outer, _) in &on {
            needed |= self.relations_of(outer)?;
        }
        for column in filter.iter().flat_map(Expr::column_refs) {
            match self.owner(column) {
                Some(_) if own(column) => return None,
                Some(owner) => needed |= 1 << owner,
                None if own(column) => {}
                None => return None,
            }
        }
        let mut needs = vec![needed];
        if filter.is_none() {
            let columns: Option<Vec<&Column>> = on.iter().map(|(outer, _)| outer.try_as_col()).collect();
            let all = |relation: &usize| {
                columns.iter().flatten().all(|column| self.stand_in(column, 1 << *relation).is_some())
            };
            if columns.is_some() {
                needs.extend((0..self.relations.len()).filter(all).map(|relation| 1 << relation));
            }
        }
        self.attached.push(Attached { plan: plan.clone(), estimate, anti, on, filter, needs });
        Some(())
    }

    /// The column itself when its relation is in `set`, or one that equals it.
    pub fn stand_in(&self, column: &Column, set: MemberSet) -> Option<Column> {
        if set & (1 << self.owner(column)?) != 0 {
            return Some(column.clone());
        }
        let class = self.classes.iter().find(|class| class.iter().any(|(_, member)| member == column))?;
        class.iter().find(|(owner, _)| set & (1 << owner) != 0).map(|(_, member)| member.clone())
    }
}

/// What flattening finds.
#[derive(Default)]
struct Parts<'a> {
    relations: Vec<&'a LogicalPlan>,
    attached: Vec<AttachedParts<'a>>,
    conditions: Vec<Expr>,
}

struct AttachedParts<'a> {
    plan: &'a LogicalPlan,
    anti: bool,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
}

impl<'a> Parts<'a> {
    fn flatten(&mut self, plan: &'a LogicalPlan) -> Tree {
        if !is_tree_node(plan) || !reaches_join(plan) {
            self.relations.push(plan);
            return Tree::Relation(self.relations.len() - 1);
        }
        match plan {
            LogicalPlan::Projection(projection) => self.flatten(&projection.input),
            LogicalPlan::Filter(filter) => {
                self.conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                self.flatten(&filter.input)
            }
            LogicalPlan::Join(join) => {
                let mut on = join.on.clone();
                let (kept, other) = match join.join_type {
                    JoinType::RightSemi | JoinType::RightAnti => {
                        on = on.into_iter().map(|(left, right)| (right, left)).collect();
                        (&join.right, &join.left)
                    }
                    _ => (&join.left, &join.right),
                };
                let kept = Box::new(self.flatten(kept));
                if join.join_type == JoinType::Inner {
                    let equal = |(left, right): (Expr, Expr)| left.eq(right);
                    self.conditions.extend(on.into_iter().map(equal));
                    let filter = join.filter.iter().flat_map(split_conjunction);
                    self.conditions.extend(filter.cloned());
                    return Tree::Join(kept, Box::new(self.flatten(other)));
                }
                let anti = matches!(join.join_type, JoinType::LeftAnti | JoinType::RightAnti);
                self.attached.push(AttachedParts { plan: other, anti, on, filter: join.filter.clone() });
                Tree::Join(kept, Box::new(Tree::Attached(self.attached.len() - 1)))
            }
            // Not reached: these are all the nodes of a tree.
            other => {
                self.relations.push(other);
                Tree::Relation(self.relations.len() - 1)
            }
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Relation(number) => write!(f, "{number}"),
            Tree::Attached(number) => write!(f, "+{number}"),
            Tree::Join(left, right) => write!(f, "({left} {right})"),
        }
    }
}
