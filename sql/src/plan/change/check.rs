//! CHECK constraints: each row that comes into a table passes a function that looks at what the conditions say of it. It
//! gives back what it is given, so that the engine cannot leave it out, and fails with the first row that a condition is
//! false for; a condition that is NULL holds, as in PostgreSQL. Next: `../constraint.rs` for how they are declared.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Int32Type, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result as EngineResult};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use tarn_catalog::iceberg::{ConstraintKind, Declared};

use super::items::plan_items;
use super::layout::{FRONT, RowAction};
use super::values::Columns;
use crate::error::{Error, Result};
use crate::parse::parse_condition;
use crate::plan::{Context, engine_error};
use crate::resolve::{ResolvedQuery, TableTarget, resolve_condition, rows_reference};
use crate::sqlstate::SqlState;
use crate::table::scan_schema;

/// The enforced CHECK constraints of a table.
pub(in crate::plan) struct Checks {
    relation: String,
    names: Vec<String>,
    /// Over the table's columns.
    conditions: Vec<Expr>,
}

impl Checks {
    /// None for a table without any.
    pub async fn of(target: &TableTarget, context: &Context) -> Result<Option<Checks>> {
        let metadata = &target.version.metadata;
        let relation = target.found.relation.name.clone();
        let mut checks = Checks { relation, names: Vec::new(), conditions: Vec::new() };
        for constraint in Declared::of(metadata).constraints {
            let ConstraintKind::Check { expression, enforced: true, .. } = constraint.kind else { continue };
            let condition = parse_condition(&expression)?;
            let query = resolve_condition(condition, &checks.relation, &context.scope).await?;
            let columns = scan_schema(metadata.current_schema())?;
            checks.conditions.push(plan_condition(&query, &columns, context)?);
            checks.names.push(constraint.name);
        }
        Ok((!checks.names.is_empty()).then_some(checks))
    }

    /// Rows whose columns are the table's.
    pub fn of_rows(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut list = columns.clone();
        if let Some(first) = list.first_mut() {
            let name = names.first().cloned().unwrap_or_default();
            *first = self.call(first.clone(), &names, &columns, false)?.alias(name);
        }
        LogicalPlanBuilder::from(rows).project(list).and_then(LogicalPlanBuilder::build).map_err(engine_error)
    }

    /// The rows of a change, whose columns after the first few are the table's, as `names` has them.
    pub(super) fn of_change(&self, rows: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
        let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        let own = columns.get(FRONT..FRONT + names.len());
        let own = own.ok_or_else(|| Error::internal("a change lacks columns of its table"))?.to_vec();
        let mut list = columns;
        if let Some(action) = list.get_mut(FRONT - 1) {
            *action = self.call(action.clone(), names, &own, true)?.alias("change:action");
        }
        LogicalPlanBuilder::from(rows).project(list).and_then(LogicalPlanBuilder::build).map_err(engine_error)
    }

    fn call(&self, value: Expr, names: &[String], columns: &[Expr], by_action: bool) -> Result<Expr> {
        let places: HashMap<&str, &Expr> = names.iter().map(String::as_str).zip(columns).collect();
        let mut arguments = vec![value];
        for condition in &self.conditions {
            let over = condition.clone().transform(|expression| match &expression {
                Expr::Column(column) => match places.get(column.name.as_str()) {
                    Some(place) => Ok(Transformed::yes((*place).clone())),
                    None => Err(DataFusionError::Internal(format!("a CHECK of no column {}", column.name))),
                },
                _ => Ok(Transformed::no(expression)),
            });
            arguments.push(cast(over.data().map_err(engine_error)?, DataType::Boolean));
        }
        arguments.extend(columns.iter().cloned());
        let function = RowCheck {
            relation: self.relation.clone(),
            names: self.names.clone(),
            by_action,
            signature: Signature::any(arguments.len(), Volatility::Volatile),
        };
        let function = Arc::new(ScalarUDF::new_from_impl(function));
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
    }
}

/// The rows of a change with the checks of its table.
pub(super) async fn guarded(
    rows: LogicalPlan,
    target: &TableTarget,
    columns: &Columns,
    context: &Context,
) -> Result<LogicalPlan> {
    let Some(checks) = Checks::of(target, context).await? else { return Ok(rows) };
    let names: Vec<String> = columns.scanned.fields().iter().map(|field| field.name().clone()).collect();
    checks.of_change(rows, &names)
}

/// The condition of a CHECK over the columns of its table.
///
/// # Errors
///
/// 42804 when it is no condition, and whatever else is wrong with it.
pub(in crate::plan) fn plan_condition(
    condition: &ResolvedQuery,
    columns: &SchemaRef,
    context: &Context,
) -> Result<Expr> {
    let rows = provider_as_source(Arc::new(EmptyTable::new(Arc::clone(columns))));
    let tables = HashMap::from([(rows_reference(), rows)]);
    let mut items = plan_items("check constraints", &condition.query, 0, context, &tables, &[])?;
    let planned = items.values.pop().ok_or_else(|| Error::internal("a CHECK without a condition"))?;
    match planned.get_type(items.input.schema()).map_err(engine_error)? {
        DataType::Boolean | DataType::Null => Ok(planned),
        other => {
            let field = arrow::datatypes::Field::new("condition", other, true);
            let message = format!(
                "argument of CHECK must be type boolean, not type {}",
                crate::types::sql_name(&field)
            );
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
        }
    }
}

/// Its arguments are what it gives back, one condition for each name, and the columns of the row.
#[derive(Debug)]
struct RowCheck {
    relation: String,
    names: Vec<String>,
    /// The value is a row's action, and rows that go are not looked at.
    by_action: bool,
    signature: Signature,
}

impl PartialEq for RowCheck {
    fn eq(&self, other: &RowCheck) -> bool {
        self.relation == other.relation && self.names == other.names && self.by_action == other.by_action
    }
}

impl Eq for RowCheck {}

impl Hash for RowCheck {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.relation, &self.names, self.by_action).hash(state);
    }
}

impl ScalarUDFImpl for RowCheck {
    fn name(&self) -> &str {
        "check_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> EngineResult<FieldRef> {
        args.arg_fields
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Internal("check_row has no argument".to_owned()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let value = &arrays[0];
        let (conditions, columns) = arrays[1..].split_at(self.names.len());
        for (name, condition) in self.names.iter().zip(conditions) {
            let condition = condition.as_boolean();
            if condition.null_count() == 0 && condition.false_count() == 0 {
                continue;
            }
            let fails = |row: &usize| {
                condition.is_valid(*row) && !condition.value(*row) && self.comes(value.as_ref(), *row)
            };
            if let Some(row) = (0..condition.len()).find(fails) {
                return Err(DataFusionError::External(Box::new(self.violated(name, columns, row)?)));
            }
        }
        Ok(ColumnarValue::Array(Arc::clone(value)))
    }
}

impl RowCheck {
    fn comes(&self, value: &dyn Array, row: usize) -> bool {
        if !self.by_action {
            return true;
        }
        let action = value.as_primitive_opt::<Int32Type>().and_then(|actions| {
            actions.is_valid(row).then(|| RowAction::from_number(actions.value(row))).flatten()
        });
        matches!(action, Some(RowAction::Update | RowAction::Insert))
    }

    fn violated(&self, name: &str, columns: &[ArrayRef], row: usize) -> EngineResult<Error> {
        let message =
            format!("new row for relation \"{}\" violates check constraint \"{name}\"", self.relation);
        let options = FormatOptions::default().with_null("null");
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            let text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string();
            values.push(shortened(text));
        }
        Ok(Error::new(SqlState::CHECK_VIOLATION, message)
            .with_detail(format!("Failing row contains ({}).", values.join(", "))))
    }
}

/// As much of a value as PostgreSQL shows.
fn shortened(text: String) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
