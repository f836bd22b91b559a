//! `system.table_changes('schema.t', from, to)` in a query: the table is found here, and the call gets a name of its own,
//! because which snapshots it means may have to be computed.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, TableAlias, TableFactor, Value, VisitMut,
    VisitorMut,
};
use tarn_catalog::TableVersion;

use super::names::{Found, Scope};
use super::reading::table;
use crate::error::{Error, Result};
use crate::parse::{fold, fold_name, parse_name};
use crate::sqlstate::SqlState;
use crate::statement::Name;

/// The function's name, in the schema system.
const FUNCTION: &str = "table_changes";

/// The schema of the names that stand for its calls; no user's schema can have it.
const CHANGES: &str = "pg_changes";

/// What a call asks for.
#[derive(Debug, Clone)]
pub(crate) struct ChangesReading {
    pub found: Found,
    pub version: Arc<TableVersion>,
    /// After this one; NULL for all from the beginning.
    pub from: Expr,
    /// Up to and with this one; None for the newest.
    pub to: Option<Expr>,
}

/// A call that has been taken out of a query.
pub(super) struct ChangesCall {
    pub reference: TableReference,
    table: Name,
    from: Expr,
    to: Option<Expr>,
}

impl ChangesCall {
    pub async fn resolve(self, scope: &Scope) -> Result<ChangesReading> {
        let (found, version) = table(scope.find(&self.table)?, scope).await?;
        Ok(ChangesReading { found, version, from: self.from, to: self.to })
    }
}

/// Gives every call of the function a name of its own.
pub(super) fn take_calls(query: &mut Query) -> Result<Vec<ChangesCall>> {
    let mut taker = Taker { taken: Vec::new() };
    match query.visit(&mut taker) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(taker.taken),
    }
}

struct Taker {
    taken: Vec<ChangesCall>,
}

impl VisitorMut for Taker {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match self.take(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Taker {
    fn take(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, args, alias, .. } = factor else { return Ok(()) };
        let Some(arguments) = args else { return Ok(()) };
        let is_ours = fold_name(name).is_ok_and(|name| {
            name.name == FUNCTION && name.schema.as_deref().unwrap_or("system") == "system"
        });
        if !is_ours {
            return Ok(());
        }
        let stand_in = format!("{FUNCTION}_{}", self.taken.len() + 1);
        let reference = TableReference::partial(CHANGES, stand_in.clone());
        self.taken.push(call(reference, &arguments.args)?);
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::new(FUNCTION),
            columns: Vec::new(),
            at: None,
        });
        *name = ObjectName::from(vec![Ident::new(CHANGES), Ident::new(stand_in)]);
        *args = None;
        Ok(())
    }
}

/// The arguments by place, or by the names that Trino and Spark have for them.
fn call(reference: TableReference, arguments: &[FunctionArg]) -> Result<ChangesCall> {
    let mut values: [Option<Expr>; 3] = [None, None, None];
    for (at, argument) in arguments.iter().enumerate() {
        let (name, value) = match argument {
            FunctionArg::Unnamed(value) => (None, value),
            FunctionArg::Named { name, arg, .. }
            | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => (Some(fold(name)), arg),
            FunctionArg::ExprNamed { name, .. } => return Err(wrong(format!("has no argument \"{name}\""))),
        };
        let place = match name.as_deref() {
            None => at,
            Some("table" | "table_name") => 0,
            Some("from" | "start_snapshot_id" | "from_snapshot" | "from_timestamp") => 1,
            Some("to" | "end_snapshot_id" | "to_snapshot" | "to_timestamp") => 2,
            Some(other) => return Err(wrong(format!("has no argument \"{other}\""))),
        };
        let FunctionArgExpr::Expr(value) = value else { return Err(wrong("does not take *".to_owned())) };
        match values.get_mut(place) {
            Some(slot @ None) => *slot = Some(value.clone()),
            Some(Some(_)) => return Err(wrong("has an argument twice".to_owned())),
            None => return Err(wrong("takes three arguments".to_owned())),
        }
    }
    let [table, from, to] = values;
    let text = match table {
        Some(Expr::Value(value)) => match value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    };
    match (text, from) {
        (Some(text), Some(from)) => Ok(ChangesCall { reference, table: parse_name(&text)?, from, to }),
        _ => Err(wrong("needs the name of a table as a text, and where to begin".to_owned())),
    }
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("system.{FUNCTION} {message}"))
        .with_hint("Write system.table_changes('schema.table', from, to), with snapshots or times; NULL is the beginning.")
}
