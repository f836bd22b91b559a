//! `MERGE`: source and target joined as the clauses need it, for each row the first clause that fits, and then the
//! values that this clause gives it.
//!
//! ```text
//! join -> which clause (none: the row is left alone) -> new values -> common form
//! ```

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, and, col, lit, when};

use super::check::guarded;
use super::items::{Items, plan_items, with_item_types};
use super::keys::seek;
use super::layout::{ChangeKind, ChangePlan, RowAction, column, finish, front};
use super::rows::{change_tables, others, wanted};
use super::values::{Columns, default_literal};
use crate::error::{Error, Result};
use crate::plan::{Context, engine_error};
use crate::resolve::{ACTION_NAME, ArmDeed, Assigned, Change, Deed, MergeArm, Place, SOURCE_MARK};
use crate::sqlstate::SqlState;
use crate::statement::MergeWhen;
use crate::table::hidden;

/// The column that says which clause a row falls under.
const CLAUSE: &str = "merge:clause";

/// What a clause's expressions are about, planned.
struct Planned {
    joined: Items,
    source: Items,
    target: Items,
}

impl Planned {
    fn of(&self, when: MergeWhen) -> &Items {
        match when {
            MergeWhen::Matched => &self.joined,
            MergeWhen::NotMatchedByTarget => &self.source,
            MergeWhen::NotMatchedBySource => &self.target,
        }
    }
}

pub(super) async fn plan_merge(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    let Deed::Merge { joined, source, target, arms } = &change.deed else {
        return Err(Error::internal("no MERGE"));
    };
    let columns = Columns::new(&change.target)?;
    let mut types = types.to_vec();
    for (when, query) in [
        (MergeWhen::Matched, joined),
        (MergeWhen::NotMatchedByTarget, source),
        (MergeWhen::NotMatchedBySource, target),
    ] {
        for arm in arms.iter().filter(|arm| arm.when == when) {
            let assigned = assignments(arm, &columns)?;
            let places = columns.places(&assigned, &change.target)?;
            types = with_item_types(&query.query, &wanted(&assigned, &places, &columns), &types);
        }
    }
    let tables = change_tables(joined, &change.target, context).await?;
    let returning = change.returning;
    let mut planned = Planned {
        joined: plan_items("MERGE", &joined.query, returning, context, &tables, &types)?,
        source: plan_items("MERGE", &source.query, 0, context, &tables, &types)?,
        target: plan_items("MERGE", &target.query, 0, context, &tables, &types)?,
    };
    let sought = seek(&mut planned.joined.input, &change, &columns, &context.state);
    let alias = change.alias.value.as_str();
    let chosen = choose(arms, &planned, alias).map_err(engine_error)?;
    let rows = new_rows(&change, arms, &planned, &columns, chosen, context)?;
    let front = front(Some(alias), col(quoted(KIND)));
    let writes = arms.iter().any(|arm| !matches!(arm.deed, ArmDeed::Nothing | ArmDeed::Delete));
    let written = writes.then(|| (alias, columns.scanned()));
    let (mut input, returning) = finish(rows, front, written, &planned.joined)?;
    if writes {
        input = guarded(input, &change.target, &columns, context).await?;
    }
    let kind = ChangeKind::Merge;
    Ok(ChangePlan {
        target: change.target,
        kind,
        input,
        reads_target: true,
        writes,
        returning,
        read: sought.read,
        keys: sought.keys,
    })
}

/// The column that says what happens to a row.
const KIND: &str = "merge:kind";

fn quoted(name: &str) -> datafusion::common::Column {
    datafusion::common::Column::from_name(name)
}

/// Gives each joined row the number of the clause that it falls under, and drops the rows that have none.
fn choose(arms: &[MergeArm], planned: &Planned, alias: &str) -> datafusion::common::Result<LogicalPlan> {
    let input = &planned.joined.input;
    let mark = input.schema().iter().find(|(_, field)| field.name() == SOURCE_MARK);
    let in_source = match mark {
        Some(mark) => Expr::Column(mark.into()).is_not_null(),
        None => lit(true),
    };
    let in_target = column(alias, hidden::FILE).is_not_null();
    let mut clause = None;
    for (number, arm) in (0i32..).zip(arms) {
        let kind = match arm.when {
            MergeWhen::Matched => and(in_target.clone(), in_source.clone()),
            MergeWhen::NotMatchedByTarget => in_target.clone().is_not_true(),
            MergeWhen::NotMatchedBySource => in_source.clone().is_not_true(),
        };
        let condition = arm.condition.and_then(|item| planned.of(arm.when).values.get(item).cloned());
        let fits = match condition {
            Some(condition) => and(kind, condition),
            None => kind,
        };
        let number = match arm.deed {
            ArmDeed::Nothing => ScalarValue::Int32(None),
            _ => ScalarValue::Int32(Some(number)),
        };
        let number = Expr::Literal(number, None);
        clause = Some(match clause {
            None => when(fits, number),
            Some(before) => {
                let mut before: datafusion::logical_expr::conditional_expressions::CaseBuilder = before;
                before.when(fits, number)
            }
        });
    }
    let clause = match clause {
        Some(mut clause) => clause.otherwise(Expr::Literal(ScalarValue::Int32(None), None))?,
        None => Expr::Literal(ScalarValue::Int32(None), None),
    };
    let mut list: Vec<Expr> =
        input.schema().iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect();
    list.push(clause.alias(CLAUSE));
    LogicalPlanBuilder::from(input.clone())
        .project(list)?
        .filter(Expr::Column(quoted(CLAUSE)).is_not_null())?
        .build()
}

/// The chosen rows with the target's columns as they will be; a row that goes keeps its own.
fn new_rows(
    change: &Change,
    arms: &[MergeArm],
    planned: &Planned,
    columns: &Columns,
    chosen: LogicalPlan,
    context: &Context,
) -> Result<LogicalPlan> {
    let alias = change.alias.value.as_str();
    let mut values = Vec::with_capacity(arms.len());
    for arm in arms {
        values.push(arm_values(change, arm, planned, columns, &chosen, context)?);
    }
    let mut list: Vec<Expr> =
        [hidden::FILE, hidden::POS, hidden::ROW_ID].map(|name| column(alias, name)).into();
    let actions = arms.iter().map(|arm| action(arm).map(RowAction::literal));
    list.push(by_clause(actions, Expr::Literal(ScalarValue::Int32(None), None))?.alias(KIND));
    for (place, field) in columns.scanned.fields().iter().enumerate() {
        let new = values.iter().map(|values| values.get(place).cloned().flatten());
        let value = by_clause(new, column(alias, field.name()))?;
        list.push(value.alias_qualified(Some(alias), field.name()));
    }
    if change.returning > 0 {
        let words = arms.iter().map(|arm| action(arm).map(|action| lit(action.word())));
        let word = by_clause(words, lit(ScalarValue::Utf8(None)))?;
        for other in others(&planned.joined.input, alias) {
            list.push(match &other {
                Expr::Column(column) if column.name == ACTION_NAME => {
                    word.clone().alias_qualified(column.relation.clone(), ACTION_NAME)
                }
                _ => other,
            });
        }
    }
    LogicalPlanBuilder::from(chosen).project(list).and_then(LogicalPlanBuilder::build).map_err(engine_error)
}

/// The value that the clause of a row gives, `otherwise` where it gives none.
fn by_clause(values: impl Iterator<Item = Option<Expr>>, otherwise: Expr) -> Result<Expr> {
    let clause = || Box::new(Expr::Column(quoted(CLAUSE)));
    let numbered = (0i32..).zip(values).filter_map(|(number, value)| Some((number, value?)));
    let cases: Vec<(Box<Expr>, Box<Expr>)> =
        numbered.map(|(number, value)| (Box::new(lit(number)), Box::new(value))).collect();
    if cases.is_empty() {
        return Ok(otherwise);
    }
    let otherwise = Some(Box::new(otherwise));
    Ok(Expr::Case(datafusion::logical_expr::Case::new(Some(clause()), cases, otherwise)))
}

fn action(arm: &MergeArm) -> Option<RowAction> {
    match arm.deed {
        ArmDeed::Nothing => None,
        ArmDeed::Delete => Some(RowAction::Delete),
        ArmDeed::Update(_) | ArmDeed::UpdateAll => Some(RowAction::Update),
        ArmDeed::Insert(_) | ArmDeed::InsertValues(_) | ArmDeed::InsertAll => Some(RowAction::Insert),
    }
}

/// One value per column of the table; none where the row keeps its own.
fn arm_values(
    change: &Change,
    arm: &MergeArm,
    planned: &Planned,
    columns: &Columns,
    rows: &LogicalPlan,
    context: &Context,
) -> Result<Vec<Option<Expr>>> {
    let count = columns.written.fields().len();
    let mut values = vec![None; count];
    match &arm.deed {
        ArmDeed::Nothing | ArmDeed::Delete => return Ok(values),
        ArmDeed::UpdateAll | ArmDeed::InsertAll => {
            for (place, value) in values.iter_mut().enumerate() {
                let source = source_column(&planned.source, columns.written.field(place).name())?;
                *value = Some(columns.assigned(place, source, rows, &context.state)?);
            }
            return Ok(values);
        }
        ArmDeed::Insert(_) | ArmDeed::InsertValues(_) => {
            for (place, value) in values.iter_mut().enumerate() {
                let default = default_literal(&change.target.version.metadata, place)?;
                *value = Some(columns.assigned(place, default, rows, &context.state)?);
            }
        }
        ArmDeed::Update(_) => {}
    }
    let assigned = assignments(arm, columns)?;
    let places = columns.places(&assigned, &change.target)?;
    let items = &planned.of(arm.when).values;
    for (assigned, place) in assigned.iter().zip(places) {
        let value = columns.value(place, assigned.value, items, rows, &change.target, &context.state)?;
        if let Some(slot) = values.get_mut(place) {
            *slot = Some(value);
        }
    }
    Ok(values)
}

/// What a clause assigns by name; a list of values without names goes to the columns in their order.
fn assignments(arm: &MergeArm, columns: &Columns) -> Result<Vec<Assigned>> {
    match &arm.deed {
        ArmDeed::Update(assigned) | ArmDeed::Insert(assigned) => Ok(assigned.clone()),
        ArmDeed::InsertValues(values) => {
            let fields = columns.written.fields();
            if values.len() > fields.len() {
                let message = "INSERT has more expressions than target columns";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_detail(format!(
                    "There are {} expressions and {} columns.",
                    values.len(),
                    fields.len()
                )));
            }
            let named = |(field, value): (&arrow::datatypes::FieldRef, &Place)| Assigned {
                column: field.name().clone(),
                value: *value,
            };
            Ok(fields.iter().zip(values).map(named).collect())
        }
        ArmDeed::Nothing | ArmDeed::Delete | ArmDeed::UpdateAll | ArmDeed::InsertAll => Ok(Vec::new()),
    }
}

/// The source's column of a name, for `UPDATE *` and `INSERT *`.
fn source_column(source: &Items, name: &str) -> Result<Expr> {
    let found = source.input.schema().iter().find(|(_, field)| field.name() == name);
    let column = found.ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_COLUMN, format!("the source has no column \"{name}\""))
            .with_detail("UPDATE * and INSERT * take every column of the table from the source, by name.")
            .with_hint("Give the source's columns the names of the table's, or list the columns.")
    })?;
    Ok(Expr::Column(column.into()))
}
