//! Statements that change rows. What each has to say, conditions, new values and what is returned, becomes the list
//! of a `SELECT` over the tables that it may be said about; the planner never sees the statement itself (trap T1).
//! The table that is changed stands in these queries under a name of its own, so that a subquery about the same
//! table reads it like any other.
//!
//! ```text
//! UPDATE t SET a = b + 1 FROM s WHERE p RETURNING c
//!   SELECT b + 1 AS "value:0", c FROM pg_change.target AS t, s WHERE p
//! ```

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SetExpr, TableAlias, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut, With,
};
use tarn_catalog::access::Privilege;

use super::names::Scope;
use super::query::{ResolvedQuery, resolve_with};
use super::target::{TableTarget, table_target};
use crate::error::{Error, Result};
use crate::parse::{fold, parse_query};
use crate::statement::{
    Assignment, ChangeTarget, Conflict, ConflictAction, Delete, Insert, Merge, MergeAction, MergeClause,
    MergeWhen, NewValue, Update,
};

/// The schema of the stand-ins; no user's schema can have the name.
const CHANGE: &str = "pg_change";
/// The column that is NULL in a joined row without a row of the source.
pub(crate) const SOURCE_MARK: &str = "merge:source";
/// What `merge_action()` reads.
pub(crate) const ACTION_NAME: &str = "merge:action";

/// The table that is changed, with the place of each row.
pub(crate) fn target_reference() -> TableReference {
    TableReference::partial(CHANGE, "target")
}

/// The rows that an `INSERT` brings.
pub(crate) fn rows_reference() -> TableReference {
    TableReference::partial(CHANGE, "rows")
}

/// A statement that changes rows, its names found.
#[derive(Debug)]
pub(crate) struct Change {
    pub target: TableTarget,
    /// What the statement calls its target.
    pub alias: Ident,
    pub deed: Deed,
    /// How many items are returned; they are the last of the query's list.
    pub returning: usize,
    /// Whether the target's old values matter to the statement, so that it takes the right to read them.
    reads: bool,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum Deed {
    Delete {
        query: ResolvedQuery,
    },
    Update {
        query: ResolvedQuery,
        assignments: Vec<Assigned>,
    },
    Merge {
        /// Over source and target: the clauses for rows that match, and what is returned.
        joined: ResolvedQuery,
        /// Over the source alone, and over the target alone: the clauses for rows that do not match.
        source: ResolvedQuery,
        target: ResolvedQuery,
        arms: Vec<MergeArm>,
    },
    Insert {
        columns: Vec<String>,
        source: Option<ResolvedQuery>,
        /// Over the target: what is returned.
        returned: ResolvedQuery,
        conflict: Option<OnConflict>,
    },
    /// `INSERT OVERWRITE … PARTITION`: the rows that the query finds go, and those that come have these values.
    Overwrite {
        columns: Vec<String>,
        source: Option<ResolvedQuery>,
        query: ResolvedQuery,
        values: Vec<Assigned>,
    },
}

/// A column and where its new value is.
#[derive(Debug, Clone)]
pub(crate) struct Assigned {
    pub column: String,
    pub value: Place,
}

/// Where a new value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Default,
    /// An item of the query that goes with the statement or clause.
    Item(usize),
}

/// One clause of a `MERGE`.
#[derive(Debug)]
pub(crate) struct MergeArm {
    pub when: MergeWhen,
    pub condition: Option<usize>,
    pub deed: ArmDeed,
}

/// What a clause of a `MERGE` does.
#[derive(Debug)]
pub(crate) enum ArmDeed {
    Nothing,
    Delete,
    Update(Vec<Assigned>),
    /// Every column from the source's column of its name.
    UpdateAll,
    Insert(Vec<Assigned>),
    /// Values in the table's order.
    InsertValues(Vec<Place>),
    InsertAll,
}

/// What an `INSERT` does about a row whose key is there already.
#[derive(Debug)]
pub(crate) struct OnConflict {
    pub key: Vec<String>,
    /// Over the target and the rows that come: what to do.
    pub query: ResolvedQuery,
    /// None for `DO NOTHING`.
    pub update: Option<ConflictUpdate>,
}

/// The new values of a row that is there already, and when it gets them.
#[derive(Debug)]
pub(crate) struct ConflictUpdate {
    pub assignments: Vec<Assigned>,
    pub condition: Option<usize>,
}

impl Change {
    /// The statement's own word.
    pub fn word(&self) -> &'static str {
        match self.deed {
            Deed::Delete { .. } => "DELETE",
            Deed::Update { .. } => "UPDATE",
            Deed::Merge { .. } => "MERGE",
            Deed::Insert { .. } | Deed::Overwrite { .. } => "INSERT",
        }
    }

    /// The rights on the target that the statement takes.
    pub fn privileges(&self) -> Vec<Privilege> {
        let mut privileges = match &self.deed {
            Deed::Delete { .. } => vec![Privilege::Delete],
            Deed::Update { .. } => vec![Privilege::Update],
            Deed::Overwrite { .. } => vec![Privilege::Insert, Privilege::Delete],
            Deed::Insert { conflict, .. } => match conflict {
                Some(OnConflict { update: Some(_), .. }) => vec![Privilege::Insert, Privilege::Update],
                _ => vec![Privilege::Insert],
            },
            Deed::Merge { arms, .. } => arms.iter().filter_map(MergeArm::privilege).collect(),
        };
        if self.reads {
            privileges.push(Privilege::Select);
        }
        privileges
    }

    /// The queries whose relations the statement reads.
    pub fn queries(&self) -> Vec<&ResolvedQuery> {
        match &self.deed {
            Deed::Delete { query } | Deed::Update { query, .. } => vec![query],
            Deed::Merge { joined, source, target, .. } => vec![joined, source, target],
            Deed::Insert { source, returned, conflict, .. } => {
                let conflict = conflict.iter().map(|conflict| &conflict.query);
                source.iter().chain(conflict).chain([returned]).collect()
            }
            Deed::Overwrite { source, query, .. } => source.iter().chain([query]).collect(),
        }
    }
}

impl MergeArm {
    fn privilege(&self) -> Option<Privilege> {
        match self.deed {
            ArmDeed::Nothing => None,
            ArmDeed::Delete => Some(Privilege::Delete),
            ArmDeed::Update(_) | ArmDeed::UpdateAll => Some(Privilege::Update),
            ArmDeed::Insert(_) | ArmDeed::InsertValues(_) | ArmDeed::InsertAll => Some(Privilege::Insert),
        }
    }
}

/// The expressions of a statement on their way into the list of a `SELECT`.
#[derive(Default)]
struct Items(Vec<SelectItem>);

impl Items {
    fn push(&mut self, expr: Expr) -> usize {
        let place = self.0.len();
        self.0.push(SelectItem::ExprWithAlias { expr, alias: quoted(&format!("value:{place}")) });
        place
    }

    fn value(&mut self, value: NewValue) -> Place {
        match value {
            NewValue::Default => Place::Default,
            NewValue::Expression(expr) => Place::Item(self.push(expr)),
        }
    }

    fn assigned(&mut self, assignments: Vec<Assignment>) -> Vec<Assigned> {
        let assigned = |assignment: Assignment| Assigned {
            column: fold(&assignment.column),
            value: self.value(assignment.value),
        };
        assignments.into_iter().map(assigned).collect()
    }
}

pub(super) async fn resolve_delete(delete: Delete, scope: &Scope) -> Result<Change> {
    let (target, alias) = target_of(&delete.target, scope).await?;
    let reads = reads_target(&target, &alias, &delete.selection)
        || returns_target(&target, &alias, &delete.returning)
        || reads_target(&target, &alias, &delete.using);
    let returning = delete.returning.len();
    let from = from_target(&alias, delete.using);
    let query = select(delete.with, delete.returning, from, delete.selection)?;
    let query = resolve_with(query, scope, &[target_reference()]).await?;
    Ok(Change { target, alias, deed: Deed::Delete { query }, returning, reads })
}

pub(super) async fn resolve_update(update: Update, scope: &Scope) -> Result<Change> {
    let (target, alias) = target_of(&update.target, scope).await?;
    let mut items = Items::default();
    let assignments = items.assigned(update.assignments);
    let returning = update.returning.len();
    items.0.extend(update.returning);
    let reads = returns_target(&target, &alias, &items.0)
        || reads_target(&target, &alias, &update.selection)
        || reads_target(&target, &alias, &update.from);
    let query = select(update.with, items.0, from_target(&alias, update.from), update.selection)?;
    let query = resolve_with(query, scope, &[target_reference()]).await?;
    Ok(Change { target, alias, deed: Deed::Update { query, assignments }, returning, reads })
}

pub(super) async fn resolve_merge(merge: Merge, scope: &Scope) -> Result<Change> {
    let (target, alias) = target_of(&merge.target, scope).await?;
    let (mut joined, mut source, mut only) = (Items::default(), Items::default(), Items::default());
    let join = join_of(&merge.clauses);
    let mut arms = Vec::new();
    for clause in merge.clauses {
        let items = match clause.when {
            MergeWhen::Matched => &mut joined,
            MergeWhen::NotMatchedByTarget => &mut source,
            MergeWhen::NotMatchedBySource => &mut only,
        };
        arms.push(arm(clause, items));
    }
    let returning = merge.returning.len();
    joined.0.extend(merge.returning.into_iter().map(name_action));
    let marked = marked_source(merge.source)?;
    let with = merge.with;
    let relation = target_factor(&alias);
    let join = Join { relation, global: false, join_operator: join(JoinConstraint::On(merge.on)) };
    let both = TableWithJoins { relation: marked.clone(), joins: vec![join] };
    let alone = |relation| vec![TableWithJoins { relation, joins: Vec::new() }];
    let given = [target_reference()];
    let joined = resolve_with(select(with.clone(), joined.0, vec![both], None)?, scope, &given).await?;
    let source = resolve_with(select(with.clone(), source.0, alone(marked), None)?, scope, &given).await?;
    let only = select(with, only.0, alone(target_factor(&alias)), None)?;
    let only = resolve_with(only, scope, &given).await?;
    let deed = Deed::Merge { joined, source, target: only, arms };
    Ok(Change { target, alias, deed, returning, reads: true })
}

fn arm(clause: MergeClause, items: &mut Items) -> MergeArm {
    let condition = clause.condition.map(|condition| items.push(condition));
    let deed = match clause.action {
        MergeAction::Nothing => ArmDeed::Nothing,
        MergeAction::Delete => ArmDeed::Delete,
        MergeAction::Update(assignments) => ArmDeed::Update(items.assigned(assignments)),
        MergeAction::UpdateAll => ArmDeed::UpdateAll,
        MergeAction::Insert(assignments) => ArmDeed::Insert(items.assigned(assignments)),
        MergeAction::InsertValues(values) => {
            ArmDeed::InsertValues(values.into_iter().map(|value| items.value(value)).collect())
        }
        MergeAction::InsertAll => ArmDeed::InsertAll,
    };
    MergeArm { when: clause.when, condition, deed }
}

/// The join that keeps the rows without a match that some clause is about. The source stands on the left, where a
/// hash join builds its table, so that the target is read with what is known of the source.
fn join_of(clauses: &[MergeClause]) -> fn(JoinConstraint) -> JoinOperator {
    let about = |when| clauses.iter().any(|clause| clause.when == when);
    match (about(MergeWhen::NotMatchedByTarget), about(MergeWhen::NotMatchedBySource)) {
        (false, false) => JoinOperator::Inner,
        (true, false) => JoinOperator::LeftOuter,
        (false, true) => JoinOperator::RightOuter,
        (true, true) => JoinOperator::FullOuter,
    }
}

/// The source with a column that tells whether a joined row has one.
fn marked_source(source: TableFactor) -> Result<TableFactor> {
    let name = match &source {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => alias.name.clone(),
        TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
            name.0.last().and_then(|part| part.as_ident()).cloned().unwrap_or_else(|| Ident::new("source"))
        }
        _ => Ident::with_quote('"', "source:unnamed"),
    };
    let mark = SelectItem::ExprWithAlias {
        expr: Expr::Value(Value::Boolean(true).into()),
        alias: quoted(SOURCE_MARK),
    };
    // Replaced before anything is returned; here so that the name is known.
    let action = SelectItem::ExprWithAlias {
        expr: Expr::Value(Value::SingleQuotedString(String::new()).into()),
        alias: quoted(ACTION_NAME),
    };
    let from = vec![TableWithJoins { relation: source, joins: Vec::new() }];
    let list = vec![SelectItem::Wildcard(Default::default()), mark, action];
    let subquery = select(None, list, from, None)?;
    Ok(TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None }),
        sample: None,
    })
}

/// `merge_action()` is a column of the rows that are returned.
fn name_action(mut item: SelectItem) -> SelectItem {
    struct Calls;
    impl VisitorMut for Calls {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if is_merge_action(expr) {
                *expr = Expr::Identifier(quoted(ACTION_NAME));
            }
            ControlFlow::Continue(())
        }
    }
    if let SelectItem::UnnamedExpr(expr) = &item
        && is_merge_action(expr)
    {
        return SelectItem::ExprWithAlias {
            expr: Expr::Identifier(quoted(ACTION_NAME)),
            alias: quoted("merge_action"),
        };
    }
    let _: ControlFlow<()> = VisitMut::visit(&mut item, &mut Calls);
    item
}

fn is_merge_action(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| fold(name) == "merge_action")
}

/// An `INSERT` with `ON CONFLICT` or `RETURNING`.
pub(super) async fn resolve_insert(insert: Insert, scope: &Scope) -> Result<Change> {
    let (target, alias) = target_of(&insert.target, scope).await?;
    let reads = insert.conflict.is_some() || returns_target(&target, &alias, &insert.returning);
    let conflict = match insert.conflict {
        Some(conflict) => Some(resolve_conflict(conflict, &alias, scope).await?),
        None => None,
    };
    let returning = insert.returning.len();
    let returned = select(None, insert.returning, from_target(&alias, Vec::new()), None)?;
    let returned = resolve_with(returned, scope, &[target_reference()]).await?;
    let source = match insert.source {
        Some(source) => Some(resolve_with(source, scope, &[]).await?),
        None => None,
    };
    let columns = insert.columns.iter().map(fold).collect();
    let deed = Deed::Insert { columns, source, returned, conflict };
    Ok(Change { target, alias, deed, returning, reads })
}

async fn resolve_conflict(conflict: Conflict, alias: &Ident, scope: &Scope) -> Result<OnConflict> {
    let mut items = Items::default();
    let update = match conflict.action {
        ConflictAction::Nothing => None,
        ConflictAction::Update { assignments, selection } => Some(ConflictUpdate {
            assignments: items.assigned(assignments),
            condition: selection.map(|condition| items.push(condition)),
        }),
    };
    let excluded = factor(&rows_reference(), &quoted("excluded"));
    let from = from_target(alias, vec![TableWithJoins { relation: excluded, joins: Vec::new() }]);
    let query = select(None, items.0, from, None)?;
    let query = resolve_with(query, scope, &[target_reference(), rows_reference()]).await?;
    Ok(OnConflict { key: conflict.key.iter().map(fold).collect(), query, update })
}

/// An `INSERT OVERWRITE` that says which rows it replaces.
pub(super) async fn resolve_overwrite(
    insert: Insert,
    partition: Vec<Assignment>,
    scope: &Scope,
) -> Result<Change> {
    let (target, alias) = target_of(&insert.target, scope).await?;
    let mut items = Items::default();
    let equal = |assignment: &Assignment| {
        let column = Expr::CompoundIdentifier(vec![alias.clone(), assignment.column.clone()]);
        match &assignment.value {
            NewValue::Expression(Expr::Value(value)) if value.value == Value::Null => {
                Ok(Expr::IsNull(Box::new(column)))
            }
            NewValue::Expression(value) => Ok(Expr::BinaryOp {
                left: Box::new(column),
                op: BinaryOperator::Eq,
                right: Box::new(value.clone()),
            }),
            NewValue::Default => Err(Error::unsupported("PARTITION (… = DEFAULT)")),
        }
    };
    let mut selection = None;
    for assignment in &partition {
        let equal = equal(assignment)?;
        selection = Some(match selection {
            None => equal,
            Some(before) => {
                Expr::BinaryOp { left: Box::new(before), op: BinaryOperator::And, right: Box::new(equal) }
            }
        });
    }
    let values = items.assigned(partition);
    let query = select(None, items.0, from_target(&alias, Vec::new()), selection)?;
    let query = resolve_with(query, scope, &[target_reference()]).await?;
    let source = match insert.source {
        Some(source) => Some(resolve_with(source, scope, &[]).await?),
        None => None,
    };
    let columns = insert.columns.iter().map(fold).collect();
    let deed = Deed::Overwrite { columns, source, query, values };
    Ok(Change { target, alias, deed, returning: 0, reads: false })
}

async fn target_of(target: &ChangeTarget, scope: &Scope) -> Result<(TableTarget, Ident)> {
    let found = table_target(&target.name, scope).await?;
    let alias = target.alias.as_ref().map_or_else(|| found.found.relation.name.clone(), fold);
    Ok((found, quoted(&alias)))
}

pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

pub(super) fn factor(reference: &TableReference, alias: &Ident) -> TableFactor {
    let schema = reference.schema().unwrap_or_default();
    let name = ObjectName::from(vec![quoted(schema), quoted(reference.table())]);
    named_factor(
        name,
        Some(TableAlias { explicit: true, name: alias.clone(), columns: Vec::new(), at: None }),
    )
}

/// A table in a FROM clause, with nothing else said of it.
pub(super) fn named_factor(name: ObjectName, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn target_factor(alias: &Ident) -> TableFactor {
    factor(&target_reference(), alias)
}

fn from_target(alias: &Ident, others: Vec<TableWithJoins>) -> Vec<TableWithJoins> {
    let target = TableWithJoins { relation: target_factor(alias), joins: Vec::new() };
    std::iter::once(target).chain(others).collect()
}

/// `[WITH …] SELECT items FROM from [WHERE selection]`. A list without items is not SQL, so it gets one.
pub(super) fn select(
    with: Option<With>,
    mut items: Vec<SelectItem>,
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Result<Box<Query>> {
    let mut query = parse_query("SELECT 1 AS \"value:none\"")?;
    query.with = with;
    if let SetExpr::Select(select) = query.body.as_mut() {
        if items.is_empty() {
            items.append(&mut select.projection);
        }
        let select: &mut Select = select;
        select.projection = items;
        select.from = from;
        select.selection = selection;
    }
    Ok(query)
}

/// Whether something may name a column of the target: under its alias, as `*`, or as a plain name that a column has.
fn reads_target(target: &TableTarget, alias: &Ident, node: &impl Visit) -> bool {
    struct Names<'a> {
        target: &'a TableTarget,
        alias: String,
    }
    impl Names<'_> {
        fn answer(read: bool) -> ControlFlow<()> {
            if read { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn has(&self, name: &Ident) -> bool {
            let schema = self.target.version.metadata.current_schema();
            let name = fold(name);
            name.starts_with('_') || schema.field_by_name(&name).is_some()
        }
    }
    impl Visitor for Names<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            Names::answer(match expr {
                Expr::Identifier(name) => self.has(name) || fold(name) == self.alias,
                Expr::CompoundIdentifier(parts) => {
                    parts.iter().any(|part| fold(part) == self.alias || self.has(part))
                }
                _ => false,
            })
        }
    }
    let mut names = Names { target, alias: fold(alias) };
    node.visit(&mut names).is_break()
}

/// The same of a list of items, of which some may stand for all columns.
fn returns_target(target: &TableTarget, alias: &Ident, items: &Vec<SelectItem>) -> bool {
    items.iter().any(is_wildcard) || reads_target(target, alias, items)
}

/// Whether an item stands for all columns.
pub(crate) fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}
