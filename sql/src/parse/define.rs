//! `CREATE`, `DROP`, `ALTER` and `COMMENT` of schemas, tables, views and roles (roles: `grant.rs`).

use datafusion::sql::sqlparser::tokenizer::Token;
use iceberg::spec::Transform;

use super::{Cursor, alter, call, constraint, crawler, grant, query, reference, types, upkeep};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{
    AlterAction, AlterRelation, AlterSchema, ColumnDefinition, Comment, CommentTarget, Constraint,
    CreateSchema, CreateTable, CreateView, Drop, DropSchema, Name, PartitionTerm, PolicyOn, ReferenceKind,
    RelationWord, Statement, TableAction, TableQuery,
};

pub(super) fn create(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("CREATE")?;
    let or_replace = cursor.eat("OR REPLACE");
    let position = cursor.position();
    let temporary = temporary(cursor);
    match cursor.word()?.as_str() {
        "TABLE" if temporary => create_table(cursor, or_replace, true),
        "VIEW" if temporary => create_view(cursor, or_replace, true),
        other if temporary => {
            Err(Error::unsupported(format!("CREATE TEMPORARY {other}")).with_position(position))
        }
        "SCHEMA" if !or_replace => create_schema(cursor),
        "CRAWLER" if !or_replace => crawler::create_crawler(cursor),
        "TABLE" => create_table(cursor, or_replace, false),
        "VIEW" => create_view(cursor, or_replace, false),
        "ROLE" if !or_replace => grant::create_role(cursor, false),
        "USER" if !or_replace => grant::create_role(cursor, true),
        "BRANCH" => reference::create_in_table(cursor, ReferenceKind::Branch, or_replace),
        "TAG" => reference::create_in_table(cursor, ReferenceKind::Tag, or_replace),
        other => Err(Error::unsupported(format!("CREATE {other}")).with_position(position)),
    }
}

/// A temporary table keeps its rows when a transaction commits.
fn on_commit(cursor: &mut Cursor) -> Result<()> {
    let position = cursor.position();
    if cursor.eat("PRESERVE ROWS") {
        return Ok(());
    }
    let what = cursor.peek_word();
    Err(Error::unsupported(format!("ON COMMIT {what} of a temporary table"))
        .with_hint("Drop the table when it is no longer needed; it goes with the session.")
        .with_position(position))
}

/// `[GLOBAL | LOCAL] TEMPORARY`; the words before it mean nothing, as in PostgreSQL.
fn temporary(cursor: &mut Cursor) -> bool {
    ["TEMP", "TEMPORARY", "LOCAL TEMP", "LOCAL TEMPORARY", "GLOBAL TEMP", "GLOBAL TEMPORARY"]
        .into_iter()
        .any(|words| cursor.eat(words))
}

fn create_schema(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let name = schema_name(cursor)?;
    let owner = if cursor.eat("AUTHORIZATION") { Some(cursor.folded()?) } else { None };
    Ok(Statement::CreateSchema(CreateSchema { name, if_not_exists, owner }))
}

/// A schema's name has at most a catalog before it.
pub(super) fn schema_name(cursor: &mut Cursor) -> Result<Name> {
    let position = cursor.position();
    let name = cursor.name()?;
    if name.catalog.is_some() {
        let message = format!("improper schema name (too many parts): {name}");
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
    }
    Ok(Name { catalog: name.schema, schema: None, name: name.name })
}

fn create_table(cursor: &mut Cursor, or_replace: bool, temporary: bool) -> Result<Statement> {
    let position = cursor.position();
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    if or_replace && if_not_exists {
        let message = "OR REPLACE and IF NOT EXISTS cannot be used together";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
    }
    let name = cursor.name()?;
    let Columns { columns, names, constraints } =
        if cursor.eat("(") { columns(cursor)? } else { Columns::default() };
    let mut table = CreateTable {
        name,
        temporary,
        or_replace,
        if_not_exists,
        columns,
        constraints,
        partitioning: Vec::new(),
        order: Vec::new(),
        properties: Vec::new(),
        comment: None,
        query: None,
    };
    loop {
        if cursor.eat("COMMENT") {
            table.comment = Some(cursor.string()?);
        } else if cursor.eat("PARTITIONED BY") {
            cursor.expect("(")?;
            table.partitioning = cursor.comma_separated(partition_term)?;
            cursor.expect(")")?;
        } else if cursor.eat("WRITE ORDERED BY") || cursor.eat("SORTED BY") {
            table.order = alter::sort_terms(cursor)?;
        } else if temporary && cursor.eat("ON COMMIT") {
            on_commit(cursor)?;
        } else if cursor.eat("USING ICEBERG") {
            // Spark's word for what every table is.
        } else if !cursor.peek_is("WITH") || !cursor.eat("WITH (") {
            break;
        } else {
            options(cursor, &mut table)?;
            cursor.expect(")")?;
        }
    }
    if cursor.eat("AS") {
        if !table.columns.is_empty() {
            let message = "a table created from a query takes its types from the query";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .with_hint("Give the column names alone, or cast in the query."));
        }
        table.query = Some(table_query(cursor, names)?);
    } else if table.columns.is_empty() {
        let message = "a table needs at least one column, or AS and a query";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(cursor.position()));
    }
    Ok(Statement::CreateTable(table))
}

/// The options of `WITH`, of which two are clauses in other words.
fn options(cursor: &mut Cursor, table: &mut CreateTable) -> Result<()> {
    for action in alter::properties(cursor)? {
        match action {
            TableAction::SetPartitioning(terms) => table.partitioning = terms,
            TableAction::SetOrder { terms, distribution: _ } => table.order = terms.unwrap_or_default(),
            TableAction::SetProperties(plain) => table.properties.extend(plain),
            _ => return Err(cursor.expected("an option")),
        }
    }
    Ok(())
}

fn table_query(cursor: &mut Cursor, column_names: Vec<String>) -> Result<TableQuery> {
    let query = query(cursor)?;
    let without = cursor.eat("WITH NO DATA");
    let _ = cursor.eat("WITH DATA");
    Ok(TableQuery { query, column_names, with_data: !without })
}

/// The list in parentheses.
#[derive(Default)]
struct Columns {
    columns: Vec<ColumnDefinition>,
    /// Names alone, when a query follows.
    names: Vec<String>,
    constraints: Vec<Constraint>,
}

fn columns(cursor: &mut Cursor) -> Result<Columns> {
    let mut read = Columns::default();
    if matches!(cursor.peek_nth(1).as_str(), "," | ")") {
        read.names = cursor.comma_separated(Cursor::folded)?;
        cursor.expect(")")?;
        if !matches!(cursor.peek_word().as_str(), "AS" | "WITH" | "PARTITIONED" | "COMMENT" | "USING") {
            return Err(cursor.expected("a type for each column, or AS and a query"));
        }
        return Ok(read);
    }
    cursor.comma_separated(|cursor| column_or_constraint(cursor, &mut read))?;
    cursor.expect(")")?;
    Ok(read)
}

fn column_or_constraint(cursor: &mut Cursor, read: &mut Columns) -> Result<()> {
    if constraint::at_table_constraint(cursor) {
        read.constraints.push(constraint::table_constraint(cursor)?);
        return Ok(());
    }
    let position = cursor.position();
    if let Some(word) = ["LIKE", "EXCLUDE"].into_iter().find(|word| cursor.peek_is(word)) {
        return Err(Error::unsupported(format!("table constraint {word}")).with_position(position));
    }
    let name = cursor.folded()?;
    let data_type = types::column_type(cursor)?;
    let mut column = ColumnDefinition { name, data_type, not_null: false, comment: None, default: None };
    column_clauses(cursor, &mut column, &mut read.constraints)?;
    let position = cursor.position();
    if matches!(cursor.peek_word().as_str(), "," | ")") {
        read.columns.push(column);
        return Ok(());
    }
    Err(Error::unsupported(format!("column clause {}", cursor.peek_word())).with_position(position))
}

/// `NOT NULL`, `DEFAULT …`, `COMMENT '…'` and constraints, as many as there are.
pub(super) fn column_clauses(
    cursor: &mut Cursor,
    column: &mut ColumnDefinition,
    constraints: &mut Vec<Constraint>,
) -> Result<()> {
    loop {
        if cursor.peek_is("CONSTRAINT") && matches!(cursor.peek_nth(2).as_str(), "NOT" | "NULL") {
            // A name for NOT NULL is kept nowhere, in PostgreSQL 15 neither.
            cursor.next();
            cursor.folded()?;
        }
        if cursor.eat("NOT NULL") {
            column.not_null = true;
        } else if cursor.eat("NULL") {
            column.not_null = false;
        } else if cursor.eat("COMMENT") {
            column.comment = Some(cursor.string()?);
        } else if cursor.eat("DEFAULT") {
            // Not a whole expression: NOT NULL may follow.
            let precedence = cursor.dialect_precedence();
            column.default = Some(cursor.with(|parser| parser.parse_subexpr(precedence))?);
        } else if let Some(read) = constraint::column_constraint(cursor, &column.name)? {
            constraints.push(read);
        } else {
            return Ok(());
        }
    }
}

/// `column`, `day(column)`, `bucket(16, column)`, `truncate(column, 4)`: number and column in either order.
pub(super) fn partition_term(cursor: &mut Cursor) -> Result<PartitionTerm> {
    let position = cursor.position();
    let first = cursor.identifier()?;
    if !cursor.eat("(") {
        return Ok(PartitionTerm { column: super::fold(&first), transform: Transform::Identity });
    }
    let (mut column, mut number) = (None, None);
    loop {
        match cursor.peek() {
            Token::Number(..) => number = Some(cursor.unsigned()?),
            _ => column = Some(cursor.folded()?),
        }
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(")")?;
    let wrong =
        |message: String| Error::new(SqlState::INVALID_TABLE_DEFINITION, message).with_position(position);
    let name = first.value.to_lowercase();
    let column = column.ok_or_else(|| wrong(format!("partition transform {name} needs a column")))?;
    let width = || {
        let width = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        width.ok_or_else(|| wrong(format!("partition transform {name} needs a positive number")))
    };
    let transform = match name.as_str() {
        "identity" => Transform::Identity,
        "year" | "years" => Transform::Year,
        "month" | "months" => Transform::Month,
        "day" | "days" | "date" => Transform::Day,
        "hour" | "hours" => Transform::Hour,
        "bucket" => Transform::Bucket(width()?),
        "truncate" => Transform::Truncate(width()?),
        _ => {
            return Err(wrong(format!("partition transform \"{name}\" does not exist")).with_hint(
                "Use identity, year, month, day, hour, bucket(n, column) or truncate(n, column).",
            ));
        }
    };
    Ok(PartitionTerm { column, transform })
}

/// `name = value`; the name may have dots, as Iceberg's properties do, or be quoted.
pub(super) fn property(cursor: &mut Cursor) -> Result<(String, String)> {
    let mut name = property_word(cursor)?;
    while cursor.eat(".") {
        name = format!("{name}.{}", property_word(cursor)?);
    }
    cursor.expect("=")?;
    let value = match cursor.next().token {
        Token::SingleQuotedString(text) => text,
        Token::Number(text, _) => text,
        Token::Word(word) => word.value,
        other => {
            return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
                .with_detail(format!("Expected a value for the table option {name}.")));
        }
    };
    Ok((name, value))
}

fn property_word(cursor: &mut Cursor) -> Result<String> {
    match cursor.next().token {
        Token::Word(word) => Ok(word.value),
        Token::SingleQuotedString(text) => Ok(text),
        other => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
            .with_detail("Expected the name of a table option.")),
    }
}

fn create_view(cursor: &mut Cursor, or_replace: bool, temporary: bool) -> Result<Statement> {
    let name = cursor.name()?;
    let mut columns = Vec::new();
    if cursor.eat("(") {
        columns = cursor.comma_separated(Cursor::folded)?;
        cursor.expect(")")?;
    }
    cursor.expect("AS")?;
    let start = cursor.offset();
    let query = query(cursor)?;
    let text = cursor.text_from(start).to_owned();
    Ok(Statement::CreateView(CreateView { name, temporary, or_replace, columns, query, text }))
}

pub(super) fn drop(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("DROP")?;
    let position = cursor.position();
    let word = match cursor.word()?.as_str() {
        "SCHEMA" => return drop_schema(cursor),
        "ROLE" | "USER" => return grant::drop_role(cursor),
        "CRAWLER" => return crawler::drop_crawler(cursor),
        "BRANCH" => return reference::drop_in_table(cursor, ReferenceKind::Branch),
        "TAG" => return reference::drop_in_table(cursor, ReferenceKind::Tag),
        "TABLE" => RelationWord::Table,
        "VIEW" => RelationWord::View,
        other => return Err(Error::unsupported(format!("DROP {other}")).with_position(position)),
    };
    let if_exists = cursor.eat("IF EXISTS");
    let names = cursor.names()?;
    let _ = cursor.eat("RESTRICT");
    if cursor.eat("CASCADE") || cursor.eat("PURGE") {
        // Views are kept by text and files are purged by the drop itself, so there is nothing more to take along.
    }
    Ok(Statement::Drop(Drop { word, names, if_exists }))
}

fn drop_schema(cursor: &mut Cursor) -> Result<Statement> {
    let if_exists = cursor.eat("IF EXISTS");
    let names = cursor.comma_separated(schema_name)?;
    let cascade = cursor.eat("CASCADE");
    let _ = cursor.eat("RESTRICT");
    Ok(Statement::DropSchema(DropSchema { names, if_exists, cascade }))
}

pub(super) fn alter(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("ALTER")?;
    let position = cursor.position();
    let word = match cursor.word()?.as_str() {
        "CRAWLER" => return crawler::alter_crawler(cursor),
        "SCHEMA" => {
            let name = schema_name(cursor)?;
            if upkeep::at_policy(cursor) {
                return upkeep::policy(cursor, PolicyOn::Schema(name));
            }
            let action = alter_action(cursor, "ALTER SCHEMA")?;
            return Ok(Statement::AlterSchema(AlterSchema { name, action }));
        }
        "ROLE" | "USER" => return grant::alter_role(cursor),
        "BRANCH" => return reference::alter_branch(cursor),
        "DATABASE" => {
            let name = cursor.folded()?;
            return upkeep::policy(cursor, PolicyOn::Database(name));
        }
        "TABLE" => RelationWord::Table,
        "VIEW" => RelationWord::View,
        other => return Err(Error::unsupported(format!("ALTER {other}")).with_position(position)),
    };
    let if_exists = cursor.eat("IF EXISTS");
    let name = cursor.name()?;
    if word == RelationWord::Table && upkeep::at_policy(cursor) {
        return upkeep::policy(cursor, PolicyOn::Table(name));
    }
    if word == RelationWord::Table && cursor.peek_is("EXECUTE") {
        return call::execute(cursor, name, if_exists);
    }
    let of_relation = match cursor.peek_word().as_str() {
        "RENAME" => cursor.peek_nth(1) == "TO",
        "SET" => cursor.peek_nth(1) == "SCHEMA",
        word => word == "OWNER",
    };
    if word == RelationWord::Table && !of_relation {
        return alter::alter_table(cursor, name, if_exists);
    }
    let action = alter_action(cursor, &format!("ALTER {word}").to_uppercase())?;
    Ok(Statement::AlterRelation(AlterRelation { word, name, if_exists, action }))
}

fn alter_action(cursor: &mut Cursor, statement: &str) -> Result<AlterAction> {
    if cursor.eat("RENAME TO") {
        Ok(AlterAction::RenameTo(cursor.name()?))
    } else if cursor.eat("OWNER TO") {
        Ok(AlterAction::OwnerTo(cursor.folded()?))
    } else if statement != "ALTER SCHEMA" && cursor.eat("SET SCHEMA") {
        Ok(AlterAction::SetSchema(cursor.folded()?))
    } else {
        let clause = [cursor.peek_word(), cursor.peek_nth(1)].join(" ");
        Err(Error::unsupported(format!("{statement} … {}", clause.trim())).with_position(cursor.position()))
    }
}

pub(super) fn comment(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("COMMENT ON")?;
    let position = cursor.position();
    let target = match cursor.word()?.as_str() {
        "SCHEMA" => CommentTarget::Schema(schema_name(cursor)?),
        "TABLE" => CommentTarget::Relation(RelationWord::Table, cursor.name()?),
        "VIEW" => CommentTarget::Relation(RelationWord::View, cursor.name()?),
        "COLUMN" => comment_column(cursor)?,
        "ROLE" => CommentTarget::Role(cursor.folded()?),
        other => return Err(Error::unsupported(format!("COMMENT ON {other}")).with_position(position)),
    };
    cursor.expect("IS")?;
    let text = if cursor.eat("NULL") { None } else { Some(cursor.string()?) };
    Ok(Statement::Comment(Comment { target, text: text.filter(|text| !text.is_empty()) }))
}

/// The last part of the name is the column.
fn comment_column(cursor: &mut Cursor) -> Result<CommentTarget> {
    let mut parts = vec![cursor.folded()?];
    while cursor.eat(".") {
        parts.push(cursor.folded()?);
    }
    let column = parts.pop().unwrap_or_default();
    match parts.pop() {
        Some(name) => {
            let (schema, catalog) = (parts.pop(), parts.pop());
            Ok(CommentTarget::Column(Name { catalog, schema, name }, column))
        }
        None => Err(Error::new(SqlState::SYNTAX_ERROR, "column name must be qualified with a table")),
    }
}
