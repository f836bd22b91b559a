//! `DELETE`, `UPDATE` and `MERGE`, clause by clause. An assignment of a row becomes one assignment per column here.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, Query, SelectItem, SetExpr, TableWithJoins, WildcardAdditionalOptions, With,
};
use datafusion::sql::sqlparser::keywords::RESERVED_FOR_TABLE_ALIAS;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Cursor;
use super::allow::check_clauses;
use super::cursor::fold;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{
    Assignment, ChangeTarget, Delete, Merge, MergeAction, MergeClause, MergeWhen, NewValue, Statement, Update,
};

pub(super) fn delete(cursor: &mut Cursor, with: Option<With>) -> Result<Statement> {
    cursor.expect("DELETE FROM")?;
    let target = target(cursor)?;
    let using = if cursor.eat("USING") { tables(cursor)? } else { Vec::new() };
    let selection = selection(cursor)?;
    Ok(Statement::Delete(Delete { with, target, using, selection, returning: returning(cursor)? }))
}

pub(super) fn update(cursor: &mut Cursor, with: Option<With>) -> Result<Statement> {
    cursor.expect("UPDATE")?;
    let target = target(cursor)?;
    cursor.expect("SET")?;
    let assignments = assignments(cursor)?;
    let from = if cursor.eat("FROM") { tables(cursor)? } else { Vec::new() };
    let selection = selection(cursor)?;
    Ok(Statement::Update(Update {
        with,
        target,
        assignments,
        from,
        selection,
        returning: returning(cursor)?,
    }))
}

pub(super) fn merge(cursor: &mut Cursor, with: Option<With>) -> Result<Statement> {
    cursor.expect("MERGE INTO")?;
    let target = target(cursor)?;
    cursor.expect("USING")?;
    let _ = cursor.eat("ONLY");
    let source = cursor.with(|parser| parser.parse_table_factor())?;
    check_clauses(&source)?;
    cursor.expect("ON")?;
    let on = expression(cursor)?;
    let mut clauses: Vec<MergeClause> = Vec::new();
    while cursor.peek_is("WHEN") {
        let position = cursor.position();
        let clause = merge_clause(cursor)?;
        let hidden = |before: &MergeClause| before.when == clause.when && before.condition.is_none();
        if clauses.iter().any(hidden) {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
        }
        clauses.push(clause);
    }
    if clauses.is_empty() {
        return Err(cursor.expected("WHEN"));
    }
    Ok(Statement::Merge(Merge { with, target, source, on, clauses, returning: returning(cursor)? }))
}

/// `[ONLY] name [*] [[AS] alias]`. No table has children, so the marks for them say nothing.
fn target(cursor: &mut Cursor) -> Result<ChangeTarget> {
    let _ = cursor.peek_is("ONLY") && cursor.eat("ONLY");
    let name = cursor.name()?;
    let _ = cursor.eat("*");
    let free =
        matches!(cursor.peek(), Token::Word(word) if !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword));
    let named = cursor.eat("AS") || free;
    let alias = if named { Some(cursor.identifier()?) } else { None };
    Ok(ChangeTarget { name, alias })
}

fn tables(cursor: &mut Cursor) -> Result<Vec<TableWithJoins>> {
    let tables = cursor.comma_separated(|cursor| cursor.with(|parser| parser.parse_table_and_joins()))?;
    check_clauses(&tables)?;
    Ok(tables)
}

fn selection(cursor: &mut Cursor) -> Result<Option<Expr>> {
    if !cursor.eat("WHERE") {
        return Ok(None);
    }
    if cursor.peek_is("CURRENT") && cursor.peek_nth(1) == "OF" {
        return Err(Error::unsupported("WHERE CURRENT OF").with_position(cursor.position()));
    }
    expression(cursor).map(Some)
}

/// An expression with every clause searched for what nobody consumes.
pub(super) fn expression(cursor: &mut Cursor) -> Result<Expr> {
    let expression = cursor.with(|parser| parser.parse_expr())?;
    check_clauses(&expression)?;
    Ok(expression)
}

/// `RETURNING` and its items; none without it.
pub(super) fn returning(cursor: &mut Cursor) -> Result<Vec<SelectItem>> {
    if !cursor.eat("RETURNING") {
        return Ok(Vec::new());
    }
    let position = cursor.position();
    let items = cursor.comma_separated(|cursor| cursor.with(|parser| parser.parse_select_item()))?;
    check_clauses(&items)?;
    let plain = |options: &WildcardAdditionalOptions| *options == WildcardAdditionalOptions::default();
    for item in &items {
        let known = match item {
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => true,
            SelectItem::Wildcard(options) => plain(options),
            SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
                plain(options)
            }
            SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => false,
        };
        if !known {
            return Err(Error::unsupported(format!("RETURNING {item}")).with_position(position));
        }
    }
    Ok(items)
}

/// The list after `SET`.
pub(super) fn assignments(cursor: &mut Cursor) -> Result<Vec<Assignment>> {
    let mut assignments = Vec::new();
    loop {
        if cursor.eat("(") {
            row_assignment(cursor, &mut assignments)?;
        } else {
            let column = assigned_column(cursor)?;
            cursor.expect("=")?;
            assignments.push(Assignment { column, value: new_value(cursor)? });
        }
        if !cursor.eat(",") {
            return Ok(assignments);
        }
    }
}

fn assigned_column(cursor: &mut Cursor) -> Result<Ident> {
    let column = cursor.identifier()?;
    if cursor.peek_is(".") || cursor.peek_is("[") {
        return Err(Error::unsupported("assigning a part of a column")
            .with_hint("Assign the whole column; in SET its name stands without the table's.")
            .with_position(cursor.position()));
    }
    Ok(column)
}

/// `(a, b) = (1, 2)`, `(a, b) = ROW (1, 2)` or `(a, b) = (SELECT …)`.
fn row_assignment(cursor: &mut Cursor, assignments: &mut Vec<Assignment>) -> Result<()> {
    let columns = cursor.comma_separated(assigned_column)?;
    cursor.expect(")")?;
    cursor.expect("=")?;
    let position = cursor.position();
    let _ = cursor.eat("ROW");
    let subquery = matches!(cursor.peek_nth(1).as_str(), "SELECT" | "WITH" | "VALUES");
    cursor.expect("(")?;
    let values = if subquery {
        let query = super::query(cursor)?;
        let parts = (0..columns.len()).map(|place| column_of(&query, place, columns.len()));
        let parts = parts.collect::<Result<Vec<_>>>().map_err(|error| error.with_position(position))?;
        parts.into_iter().map(NewValue::Expression).collect()
    } else {
        cursor.comma_separated(new_value)?
    };
    cursor.expect(")")?;
    if values.len() != columns.len() {
        return Err(wrong_count().with_position(position));
    }
    let pairs = columns.into_iter().zip(values);
    assignments.extend(pairs.map(|(column, value)| Assignment { column, value }));
    Ok(())
}

fn wrong_count() -> Error {
    Error::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values")
}

/// The same subquery with one of its columns.
fn column_of(query: &Query, place: usize, count: usize) -> Result<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::unsupported("assigning a row from anything but a plain SELECT"));
    };
    let plain =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if !select.projection.iter().all(plain) || select.distinct.is_some() {
        return Err(Error::unsupported("assigning a row from a SELECT with * or DISTINCT")
            .with_hint("List the columns."));
    }
    if select.projection.len() != count {
        return Err(wrong_count());
    }
    select.projection = vec![select.projection.swap_remove(place)];
    Ok(Expr::Subquery(Box::new(query)))
}

/// An expression or `DEFAULT`.
pub(super) fn new_value(cursor: &mut Cursor) -> Result<NewValue> {
    if cursor.peek_is("DEFAULT") {
        cursor.expect("DEFAULT")?;
        return Ok(NewValue::Default);
    }
    expression(cursor).map(NewValue::Expression)
}

fn merge_clause(cursor: &mut Cursor) -> Result<MergeClause> {
    cursor.expect("WHEN")?;
    let when = if cursor.eat("MATCHED") {
        MergeWhen::Matched
    } else {
        cursor.expect("NOT MATCHED")?;
        if cursor.eat("BY SOURCE") {
            MergeWhen::NotMatchedBySource
        } else {
            let _ = cursor.eat("BY TARGET");
            MergeWhen::NotMatchedByTarget
        }
    };
    let condition = if cursor.eat("AND") { Some(expression(cursor)?) } else { None };
    cursor.expect("THEN")?;
    let action = match (cursor.peek_word().as_str(), when) {
        ("DO", _) => {
            cursor.expect("DO NOTHING")?;
            MergeAction::Nothing
        }
        ("INSERT", MergeWhen::NotMatchedByTarget) => merge_insert(cursor)?,
        ("DELETE", MergeWhen::Matched | MergeWhen::NotMatchedBySource) => {
            cursor.expect("DELETE")?;
            MergeAction::Delete
        }
        ("UPDATE", MergeWhen::Matched | MergeWhen::NotMatchedBySource) => {
            cursor.expect("UPDATE")?;
            if when == MergeWhen::Matched && (cursor.eat("*") || cursor.eat("SET *")) {
                MergeAction::UpdateAll
            } else {
                cursor.expect("SET")?;
                MergeAction::Update(assignments(cursor)?)
            }
        }
        (_, MergeWhen::NotMatchedByTarget) => return Err(cursor.expected("INSERT or DO NOTHING")),
        _ => return Err(cursor.expected("UPDATE, DELETE or DO NOTHING")),
    };
    Ok(MergeClause { when, condition, action })
}

fn merge_insert(cursor: &mut Cursor) -> Result<MergeAction> {
    cursor.expect("INSERT")?;
    if cursor.eat("*") {
        return Ok(MergeAction::InsertAll);
    }
    let mut columns = Vec::new();
    if cursor.eat("(") {
        columns = cursor.comma_separated(Cursor::identifier)?;
        cursor.expect(")")?;
    }
    if cursor.peek_is("OVERRIDING") {
        return Err(Error::unsupported("INSERT … OVERRIDING").with_position(cursor.position()));
    }
    if cursor.eat("DEFAULT VALUES") {
        return Ok(MergeAction::InsertValues(Vec::new()));
    }
    cursor.expect("VALUES")?;
    let position = cursor.position();
    cursor.expect("(")?;
    let values = cursor.comma_separated(new_value)?;
    cursor.expect(")")?;
    if columns.is_empty() {
        return Ok(MergeAction::InsertValues(values));
    }
    if columns.len() != values.len() {
        let word = if columns.len() > values.len() {
            "INSERT has more target columns than expressions"
        } else {
            "INSERT has more expressions than target columns"
        };
        return Err(Error::new(SqlState::SYNTAX_ERROR, word).with_position(position));
    }
    let pairs = columns.into_iter().zip(values);
    Ok(MergeAction::Insert(pairs.map(|(column, value)| Assignment { column, value }).collect()))
}

/// Whether an expression is the bare word `DEFAULT`, which stands for a column's default in a list of values.
pub(crate) fn is_default(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(name) if name.quote_style.is_none() && fold(name) == "default")
}
