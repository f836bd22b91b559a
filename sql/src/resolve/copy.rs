//! `COPY`. The rows that a client sends stand under a name of their own for the condition on them; a table that is
//! copied out is the query that reads it.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, SelectItem, SetExpr, TableFactor, TableWithJoins,
};
use tarn_catalog::object::RelationKind;

use super::Action;
use super::change::{factor, named_factor, quoted, rows_reference, select};
use super::names::{Named, Scope};
use super::query::{ResolvedQuery, resolve_query, resolve_with};
use super::target::{TableTarget, table_target};
use crate::copy::CopyOptions;
use crate::error::{Error, Result};
use crate::files::ReadFunction;
use crate::parse::parse_query;
use crate::sqlstate::SqlState;
use crate::statement::{CopyFrom, CopySource, FromFile, Name, Statement};

/// A `COPY FROM`, its names found.
#[derive(Debug)]
pub(crate) struct CopyInto {
    pub target: TableTarget,
    /// Empty for all columns.
    pub columns: Vec<String>,
    /// The rows that go into the table, of those that come.
    pub filter: Option<ResolvedQuery>,
    pub options: CopyOptions,
    /// The file that the data is in; None when the client sends it.
    pub location: Option<String>,
}

pub(super) async fn resolve_copy_from(copy: CopyFrom, scope: &Scope) -> Result<Action> {
    refuse_view(&copy.table, scope, "to", "Copy into the tables that the view reads.")?;
    let target = table_target(&copy.table, scope).await?;
    let location = match copy.file {
        Some(FromFile { location, read_as: Some(function) }) => {
            return load(target, copy.columns, function, &location, copy.filter, scope).await;
        }
        Some(FromFile { location, read_as: None }) => Some(location),
        None => None,
    };
    let filter = match copy.filter {
        Some(condition) => {
            let alias = quoted(&target.found.relation.name);
            let rows = TableWithJoins { relation: factor(&rows_reference(), &alias), joins: Vec::new() };
            let query = select(None, vec![wildcard()], vec![rows], Some(condition))?;
            Some(resolve_with(query, scope, &[rows_reference()]).await?)
        }
        None => None,
    };
    let into = CopyInto { target, columns: copy.columns, filter, options: copy.options, location };
    Ok(Action::CopyFrom(Box::new(into)))
}

/// Rows of a file whose columns have names: each column of the table gets the file's of the same name.
async fn load(
    target: TableTarget,
    mut columns: Vec<String>,
    function: ReadFunction,
    location: &str,
    filter: Option<Expr>,
    scope: &Scope,
) -> Result<Action> {
    if columns.is_empty() {
        let fields = target.version.metadata.current_schema().as_struct().fields();
        columns = fields.iter().map(|field| field.name.clone()).collect();
    }
    let list: Vec<String> = columns.iter().map(|column| quoted(column).to_string()).collect();
    let text = format!(
        "SELECT {} FROM {}('{}') AS {}",
        list.join(", "),
        function.name(),
        location.replace('\'', "''"),
        quoted(&target.found.relation.name)
    );
    let mut query = parse_query(&text)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection = filter;
    }
    let source = resolve_query(query, scope, 0).await?;
    Ok(Action::Load { target, columns, source })
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
