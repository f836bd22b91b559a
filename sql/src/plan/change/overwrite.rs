//! `INSERT OVERWRITE t PARTITION (k = v)`: the rows with these values go, whatever the table is partitioned by, and
//! the rows that come have them.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::check::guarded;
use super::insert::qualified;
use super::items::{Items, about_filtered, plan_items, with_item_types};
use super::layout::{ChangeKind, ChangePlan, RowAction, finish, front};
use super::rows::{change_tables, wanted};
use super::values::Columns;
use crate::error::{Error, Result};
use crate::plan::write::plan_rows;
use crate::plan::{Context, engine_error};
use crate::resolve::{Assigned, Change, Deed, ResolvedQuery};
use crate::sqlstate::SqlState;

pub(super) async fn plan_overwrite(
    change: Change,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<ChangePlan> {
    let Deed::Overwrite { columns: names, source, query, values } = &change.deed else {
        return Err(Error::internal("no INSERT OVERWRITE"));
    };
    let columns = Columns::new(&change.target)?;
    let places = columns.places(values, &change.target)?;
    let types = with_item_types(&query.query, &wanted(values, &places, &columns), types);
    let tables = change_tables(query, &change.target, context).await?;
    let items = plan_items("INSERT", &query.query, 0, context, &tables, &types)?;
    let alias = change.alias.value.as_str();
    let written = Some((alias, columns.scanned()));
    let read = about_filtered(alias, &items.input);
    let front_of_old = front(Some(alias), RowAction::Delete.literal());
    let (go, _) = finish(items.input.clone(), front_of_old, written, &items)?;
    let come = Coming { change: &change, names, source: source.as_ref(), values, places: &places };
    let come = come.plan(&items, &columns, context, &types).await?;
    let (come, _) = finish(come, front(None, RowAction::Insert.literal()), written, &items)?;
    let come = guarded(come, &change.target, &columns, context).await?;
    let input = LogicalPlanBuilder::from(go).union(come).and_then(LogicalPlanBuilder::build);
    let input = input.map_err(engine_error)?;
    let (kind, returning) = (ChangeKind::Overwrite, None);
    Ok(ChangePlan {
        target: change.target,
        kind,
        input,
        reads_target: true,
        writes: true,
        returning,
        read,
        keys: None,
    })
}

/// The rows that come: the query has the columns that the partition does not say.
struct Coming<'a> {
    change: &'a Change,
    names: &'a [String],
    source: Option<&'a ResolvedQuery>,
    values: &'a [Assigned],
    places: &'a [usize],
}

impl Coming<'_> {
    async fn plan(
        &self,
        items: &Items,
        columns: &Columns,
        context: &Context,
        types: &[Option<DataType>],
    ) -> Result<LogicalPlan> {
        let target = &self.change.target;
        let rows = plan_rows(target, &self.names(columns)?, self.source, context, types).await?;
        let mut list: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        for (value, place) in self.values.iter().zip(self.places) {
            let constant =
                columns.value(*place, value.value, &items.values, &rows, target, &context.state)?;
            if !constant.column_refs().is_empty() {
                let message = format!("the partition value of column \"{}\" is not a constant", value.column);
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            if let Some(slot) = list.get_mut(*place) {
                *slot = constant.alias(value.column.clone());
            }
        }
        let rows = LogicalPlanBuilder::from(rows).project(list).and_then(LogicalPlanBuilder::build);
        let alias = self.change.alias.value.as_str();
        rows.and_then(|rows| qualified(rows, alias, columns)).map_err(engine_error)
    }

    /// The columns that the query fills.
    fn names(&self, columns: &Columns) -> Result<Vec<String>> {
        let said = |name: &String| self.values.iter().any(|value| value.column == *name);
        if let Some(twice) = self.names.iter().find(|name| said(name)) {
            let message = format!("column \"{twice}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message)
                .with_hint("PARTITION says its value already."));
        }
        if !self.names.is_empty() {
            return Ok(self.names.to_vec());
        }
        let all = columns.written.fields().iter().map(|field| field.name().clone());
        Ok(all.filter(|name| !said(name)).collect())
    }
}
