//! Spark's `CALL system.create_changelog_view(…)`: a view over `system.table_changes`, with Spark's words for the kinds of
//! changes. It stays until it is dropped, and one without an end goes on to show what is newest. Next: `changes.rs`.

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::names::Scope;
use super::reading;
use crate::error::{Error, Result};
use crate::parse::{fold_name, parse, parse_name};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue, CreateView, Name, Statement};

pub(super) const PROCEDURE: &str = "create_changelog_view";

/// What the call says.
#[derive(Default)]
struct Changelog {
    table: Option<String>,
    view: Option<String>,
    /// Expressions, as `system.table_changes` takes them.
    from: Option<String>,
    to: Option<String>,
    identifiers: Vec<String>,
    compute_updates: Option<bool>,
}

/// The statement that makes the view.
pub(super) async fn changelog_view(arguments: Vec<Argument>, scope: &Scope) -> Result<CreateView> {
    let mut changelog = Changelog::default();
    for (place, argument) in arguments.into_iter().enumerate() {
        changelog.take(place, argument)?;
    }
    let table = changelog.table.as_deref().ok_or_else(|| wrong("needs the argument \"table\""))?;
    let name = parse_name(table)?;
    let (_, version) = reading::table(scope.find(&name)?, scope).await?;
    let schema = version.metadata.current_schema();
    let columns: Vec<&str> = schema.as_struct().fields().iter().map(|field| field.name.as_str()).collect();
    let unknown = changelog.identifiers.iter().find(|column| !columns.contains(&column.as_str()));
    if let Some(column) = unknown {
        let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
    }
    let view = match &changelog.view {
        Some(view) => parse_name(view)?,
        None => Name { name: format!("{}_changes", name.name), ..name.clone() },
    };
    let text = changelog.text(&view, &name, &columns)?;
    match parse(&text)?.pop().map(|parsed| parsed.statement) {
        Some(Statement::CreateView(view)) => Ok(view),
        _ => Err(Error::internal("a changelog is no view")),
    }
}

impl Changelog {
    fn take(&mut self, place: usize, argument: Argument) -> Result<()> {
        const ORDER: [&str; 6] =
            ["table", "changelog_view", "options", "compute_updates", "identifier_columns", "net_changes"];
        let name = argument.name.as_deref().or(ORDER.get(place).copied()).unwrap_or_default();
        match (name, argument.value) {
            (_, ArgumentValue::Null) | ("net_changes", ArgumentValue::Boolean(false)) => {}
            ("table", ArgumentValue::Text(text)) => self.table = Some(text),
            ("changelog_view", ArgumentValue::Text(text)) => self.view = Some(text),
            ("compute_updates", ArgumentValue::Boolean(compute)) => self.compute_updates = Some(compute),
            ("identifier_columns", ArgumentValue::Expression(list)) => self.identifiers = texts(&list)?,
            ("options", ArgumentValue::Expression(map)) => self.options(&texts(&map)?)?,
            ("net_changes", ArgumentValue::Boolean(true)) => {
                return Err(Error::unsupported("net_changes of a changelog view")
                    .with_hint("Every change is a row; GROUP BY what identifies a row to sum them up."));
            }
            (name, _) => return Err(wrong(&format!("does not take \"{name}\" so"))),
        }
        Ok(())
    }

    /// Pairs of a name and a value.
    fn options(&mut self, pairs: &[String]) -> Result<()> {
        for pair in pairs.chunks(2) {
            let [name, value] = pair else { return Err(wrong("has an option without a value")) };
            let number: i64 =
                value.parse().map_err(|_| wrong(&format!("has \"{name}\" that is no number")))?;
            let moment = || format!("arrow_cast({number}, 'Timestamp(Millisecond, Some(\"UTC\"))')");
            match name.as_str() {
                "start-snapshot-id" => self.from = Some(number.to_string()),
                "end-snapshot-id" => self.to = Some(number.to_string()),
                "start-timestamp" => self.from = Some(moment()),
                "end-timestamp" => self.to = Some(moment()),
                _ => return Err(wrong(&format!("has no option \"{name}\""))),
            }
        }
        Ok(())
    }

    fn text(&self, view: &Name, table: &Name, columns: &[&str]) -> Result<String> {
        let computed = self.compute_updates.unwrap_or(!self.identifiers.is_empty());
        if computed && self.identifiers.is_empty() {
            return Err(wrong("cannot compute updates without identifier_columns"));
        }
        // Always in quotes: a column may be called like a keyword.
        let quoted = |names: Vec<&str>| {
            let name = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            names.into_iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let went = "_change_type IN ('delete', 'update_preimage')";
        let change = match computed {
            false => format!("CASE WHEN {went} THEN 'DELETE' ELSE 'INSERT' END"),
            true => {
                let group = quoted(self.identifiers.iter().map(String::as_str).collect());
                let any = |condition: String| {
                    format!(
                        "max(CASE WHEN {condition} THEN 1 ELSE 0 END) OVER (PARTITION BY _change_ordinal, {group}) = 1"
                    )
                };
                format!(
                    "CASE WHEN {went} THEN CASE WHEN {} THEN 'UPDATE_BEFORE' ELSE 'DELETE' END \
                     WHEN {} THEN 'UPDATE_AFTER' ELSE 'INSERT' END",
                    any(format!("NOT {went}")),
                    any(went.to_owned()),
                )
            }
        };
        let to = self.to.as_ref().map(|to| format!(", {to}")).unwrap_or_default();
        Ok(format!(
            "CREATE OR REPLACE VIEW {view} AS SELECT {}, {change} AS _change_type, _change_ordinal, \
             _commit_snapshot_id FROM system.table_changes('{}', {}{to})",
            quoted(columns.to_vec()),
            table.to_string().replace('\'', "''"),
            self.from.as_deref().unwrap_or("NULL"),
        ))
    }
}

/// The texts of `array('a', …)`, `ARRAY['a', …]` or `map('a', 'b', …)`.
fn texts(list: &Expr) -> Result<Vec<String>> {
    let items: Vec<&Expr> = match list {
        Expr::Array(array) => array.elem.iter().collect(),
        Expr::Function(call) => {
            let named = fold_name(&call.name).is_ok_and(|name| matches!(name.name.as_str(), "array" | "map"));
            let FunctionArguments::List(list) = &call.args else { return Err(not_texts()) };
            let items = list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) => Some(item),
                _ => None,
            });
            items.collect::<Option<Vec<_>>>().filter(|_| named).ok_or_else(not_texts)?
        }
        _ => return Err(not_texts()),
    };
    let text = |item: &Expr| match item {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    items.into_iter().map(text).collect::<Option<Vec<_>>>().ok_or_else(not_texts)
}

fn not_texts() -> Error {
    wrong("takes texts in array(…) and map(…)")
}

fn wrong(what: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("system.{PROCEDURE} {what}")).with_hint(
        "Write system.create_changelog_view(table => 'schema.table', changelog_view => 'name', \
         options => map('start-snapshot-id', '…', 'end-snapshot-id', '…'), identifier_columns => array('id')).",
    )
}
