//! The common form of every plan that changes rows, and which statement's file makes it.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DataFusionError, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};

use super::items::Items;
use super::{insert, merge, overwrite, rows};
use crate::error::Result;
use crate::plan::seen::SeenKeys;
use crate::plan::{Context, Described, engine_error, query};
use crate::resolve::{Change, Deed, TableTarget};
use crate::table::hidden;

/// What happens to one row of the plan; the number is in its action column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowAction {
    Delete = 0,
    Update = 1,
    Insert = 2,
    /// A second row with the key of another one, which `ON CONFLICT DO UPDATE` refuses.
    Repeated = 3,
}

impl RowAction {
    pub fn from_number(number: i32) -> Option<RowAction> {
        let all = [RowAction::Delete, RowAction::Update, RowAction::Insert, RowAction::Repeated];
        all.into_iter().find(|action| *action as i32 == number)
    }

    pub fn literal(self) -> Expr {
        Expr::Literal(ScalarValue::Int32(Some(self as i32)), None)
    }

    /// What `merge_action()` says.
    pub fn word(self) -> &'static str {
        match self {
            RowAction::Delete => "DELETE",
            RowAction::Update => "UPDATE",
            RowAction::Insert | RowAction::Repeated => "INSERT",
        }
    }
}

/// Which statement it is: its tag, and which table properties govern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Delete,
    Update,
    Merge,
    /// With `ON CONFLICT` or `RETURNING`.
    Insert,
    /// `INSERT OVERWRITE … PARTITION`: rows go that nobody counts.
    Overwrite,
}

impl ChangeKind {
    /// The statement's own word.
    pub fn word(self) -> &'static str {
        match self {
            ChangeKind::Delete => "DELETE",
            ChangeKind::Update => "UPDATE",
            ChangeKind::Merge => "MERGE",
            ChangeKind::Insert | ChangeKind::Overwrite => "INSERT",
        }
    }
}

/// A statement that changes rows, ready to run.
pub(crate) struct ChangePlan {
    pub target: TableTarget,
    pub kind: ChangeKind,
    pub input: LogicalPlan,
    /// Whether rows of the target are looked at.
    pub reads_target: bool,
    /// Whether rows come, so that the table's columns are there.
    pub writes: bool,
    /// What is returned, under the names it is shown with.
    pub returning: Option<SchemaRef>,
    /// What every row that the statement looks at satisfies, over the target's columns, as far as it can be told.
    pub read: Vec<Expr>,
    /// The keys that these rows have, once the plan has run.
    pub keys: Option<Arc<SeenKeys>>,
}

/// The columns in front of every plan.
pub(crate) const FRONT: usize = 4;

impl ChangePlan {
    pub fn bind(self, parameters: &[ArrayRef]) -> Result<ChangePlan> {
        let value = |array: &ArrayRef| ScalarValue::try_from_array(array, 0).map_err(engine_error);
        let values = parameters.iter().map(value).collect::<Result<Vec<_>>>()?;
        let read = self.read.into_iter().filter_map(|condition| with_values(condition, &values)).collect();
        Ok(ChangePlan { input: query::bind(self.input, parameters)?, read, ..self })
    }

    pub fn describe(self, given: &[Option<DataType>]) -> Result<Described> {
        let parameters = query::parameter_types(&self.input, given)?;
        Ok(Described { parameters, columns: self.returning })
    }
}

/// A condition with the values of its parameters; none when a value is missing.
fn with_values(condition: Expr, values: &[ScalarValue]) -> Option<Expr> {
    let bound = condition.transform(|expression| {
        let Expr::Placeholder(parameter) = &expression else { return Ok(Transformed::no(expression)) };
        let number = parameter.id.trim_start_matches('$').parse::<usize>().ok();
        match number.and_then(|number| values.get(number.checked_sub(1)?)) {
            Some(value) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
            None => Err(DataFusionError::Plan(format!("{} has no value", parameter.id))),
        }
    });
    bound.data().ok()
}

/// Plans a statement that changes rows.
pub(in crate::plan) async fn plan_change(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    match change.deed {
        Deed::Delete { .. } => rows::plan_delete(change, context, types).await,
        Deed::Update { .. } => rows::plan_update(change, context, types).await,
        Deed::Merge { .. } => merge::plan_merge(change, context, types).await,
        Deed::Insert { .. } => insert::plan_insert(change, context, types).await,
        Deed::Overwrite { .. } => overwrite::plan_overwrite(change, context, types).await,
    }
}

/// A column under its qualifier.
pub(super) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

/// The front columns of a plan: where the row is, none for one that comes, and what happens to it.
pub(super) fn front(place: Option<&str>, action: Expr) -> [Expr; FRONT] {
    let null = |data_type| {
        let null = ScalarValue::try_new_null(&data_type).unwrap_or(ScalarValue::Null);
        Expr::Literal(null, None)
    };
    let place_of = |name, data_type: DataType| match place {
        Some(alias) => cast(column(alias, name), data_type),
        None => null(data_type),
    };
    [
        place_of(hidden::FILE, DataType::Utf8View).alias("change:file"),
        place_of(hidden::POS, DataType::Int64).alias("change:position"),
        place_of(hidden::ROW_ID, DataType::Int64).alias("change:row_id"),
        cast(action, DataType::Int32).alias("change:action"),
    ]
}

/// The whole plan over `rows`, in which the target's columns are what they will be.
pub(super) fn finish(
    rows: LogicalPlan,
    front: [Expr; FRONT],
    columns: Option<(&str, &Schema)>,
    returned: &Items,
) -> Result<(LogicalPlan, Option<SchemaRef>)> {
    let mut list: Vec<Expr> = front.into();
    if let Some((alias, schema)) = columns {
        let named =
            |(place, field): (usize, &FieldRef)| column(alias, field.name()).alias(format!("change:{place}"));
        list.extend(schema.fields().iter().enumerate().map(named));
    }
    let first = list.len();
    for (place, item) in returned.returning.iter().enumerate() {
        list.push(item.clone().unalias().alias(format!("return:{place}")));
    }
    let plan = LogicalPlanBuilder::from(rows).project(list).and_then(LogicalPlanBuilder::build);
    let plan = plan.map_err(engine_error)?;
    let fields = plan.schema().fields().iter().skip(first).map(Arc::clone).collect::<Vec<FieldRef>>();
    let schema = Schema::new(fields.iter().map(|field| nullable(field)).collect::<Vec<_>>());
    let shown = (!returned.names.is_empty()).then(|| query::renamed(&schema, &returned.names));
    Ok((plan, shown))
}

fn nullable(field: &Field) -> Field {
    field.clone().with_nullable(true)
}
