//! `COPY`. The rows that a client sends stand under a name of their own for the condition on them; a table that is
//! copied out is the query that reads it.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, SelectItem, TableFactor, TableWithJoins};
use tarn_catalog::object::RelationKind;

use super::change::{factor, named_factor, quoted, rows_reference, select};
use super::names::{Named, Scope};
use super::query::{ResolvedQuery, resolve_with};
use super::target::{TableTarget, table_target};
use crate::copy::CopyOptions;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{CopyFrom, CopySource, Name, Statement};

/// A `COPY FROM`, its names found.
#[derive(Debug)]
pub(crate) struct CopyInto {
    pub target: TableTarget,
    /// Empty for all columns.
    pub columns: Vec<String>,
    /// The rows that go into the table, of those that come.
    pub filter: Option<ResolvedQuery>,
    pub options: CopyOptions,
}

pub(super) async fn resolve_copy_from(copy: CopyFrom, scope: &Scope) -> Result<CopyInto> {
    refuse_view(&copy.table, scope, "to", "Copy into the tables that the view reads.")?;
    let target = table_target(&copy.table, scope).await?;
    let filter = match copy.filter {
        Some(condition) => {
            let alias = quoted(&target.found.relation.name);
            let rows = TableWithJoins { relation: factor(&rows_reference(), &alias), joins: Vec::new() };
            let query = select(None, vec![wildcard()], vec![rows], Some(condition))?;
            Some(resolve_with(query, scope, &[rows_reference()]).await?)
        }
        None => None,
    };
    Ok(CopyInto { target, columns: copy.columns, filter, options: copy.options })
}

/// The statement whose rows are copied out.
pub(super) fn copied(source: CopySource, scope: &Scope) -> Result<Statement> {
    let (table, columns) = match source {
        CopySource::Statement(statement) => return Ok(*statement),
        CopySource::Table { table, columns } => (table, columns),
    };
    refuse_view(&table, scope, "from", "Try the COPY (SELECT ...) TO variant.")?;
    let mut items: Vec<SelectItem> = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        if columns[..place].contains(column) {
            let message = format!("column \"{column}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        items
            .push(SelectItem::UnnamedExpr(datafusion::sql::sqlparser::ast::Expr::Identifier(quoted(column))));
    }
    if items.is_empty() {
        items.push(wildcard());
    }
    let from = vec![TableWithJoins { relation: whole(&table), joins: Vec::new() }];
    Ok(Statement::Query(select(None, items, from, None)?))
}

fn wildcard() -> SelectItem {
    SelectItem::Wildcard(Default::default())
}

fn whole(table: &Name) -> TableFactor {
    let parts = [&table.catalog, &table.schema].into_iter().flatten().chain([&table.name]);
    let parts: Vec<Ident> = parts.map(|part| quoted(part)).collect();
    named_factor(ObjectName::from(parts), None)
}

/// A view has no rows of its own.
fn refuse_view(name: &Name, scope: &Scope, direction: &str, hint: &str) -> Result<()> {
    if let Ok(Named::Relation(found)) = scope.find(name)
        && matches!(found.relation.kind, RelationKind::View(_))
    {
        let message = format!("cannot copy {direction} view \"{}\"", found.relation.name);
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint));
    }
    Ok(())
}
