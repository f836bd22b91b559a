//! `ALTER TABLE`: PostgreSQL's actions on columns, Spark's on partition fields, order and properties, and Trino's
//! `SET PROPERTIES`. Branches and tags are in `reference.rs`.

use datafusion::sql::sqlparser::tokenizer::Token;
use iceberg::spec::{NullOrder, SortDirection};

use super::define::{column_clauses, partition_term, property};
use super::{Cursor, NESTING_MAX, constraint, reference, types};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{
    AddColumn, AlterTable, ColumnDefinition, Name, PartitionField, Path, Place, SortTerm, Statement,
    TableAction,
};

/// Everything after `ALTER TABLE t` that is not about the table's name, schema or owner.
pub(super) fn alter_table(cursor: &mut Cursor, name: Name, if_exists: bool) -> Result<Statement> {
    let mut actions = action(cursor)?;
    while cursor.eat(",") {
        actions.extend(action(cursor)?);
    }
    Ok(Statement::AlterTable(AlterTable { name, if_exists, actions }))
}

fn action(cursor: &mut Cursor) -> Result<Vec<TableAction>> {
    if let Some(action) = reference::table_action(cursor)? {
        return Ok(vec![TableAction::Reference(action)]);
    }
    let position = cursor.position();
    let (first, second) = (cursor.peek_word(), cursor.peek_nth(1));
    match first.as_str() {
        "ADD" => add(cursor),
        "DROP" => drop_action(cursor),
        "RENAME" => {
            cursor.next();
            let _ = cursor.eat("COLUMN");
            let path = path(cursor)?;
            cursor.expect("TO")?;
            Ok(vec![TableAction::RenameColumn { path, to: cursor.folded()? }])
        }
        "ALTER" | "CHANGE" => {
            cursor.next();
            let _ = cursor.eat("COLUMN");
            let path = path(cursor)?;
            alter_column(cursor, path).map(|action| vec![action])
        }
        "REPLACE" if second == "PARTITION" => {
            cursor.expect("REPLACE PARTITION FIELD")?;
            let old = partition_field(cursor)?;
            cursor.expect("WITH")?;
            let (term, name) = named_term(cursor)?;
            Ok(vec![TableAction::ReplacePartitionField { old, term, name }])
        }
        "WRITE" => write(cursor).map(|action| vec![action]),
        "SET" => set(cursor),
        "RESET" | "UNSET" => unset(cursor).map(|action| vec![action]),
        _ => {
            let clause = [first, second].join(" ");
            Err(Error::unsupported(format!("ALTER TABLE … {}", clause.trim())).with_position(position))
        }
    }
}

/// `a`, `a.b.element`.
fn path(cursor: &mut Cursor) -> Result<Path> {
    let mut path = vec![cursor.folded()?];
    while cursor.eat(".") {
        path.push(cursor.folded()?);
    }
    Ok(path)
}

fn add(cursor: &mut Cursor) -> Result<Vec<TableAction>> {
    cursor.expect("ADD")?;
    if cursor.eat("PARTITION FIELD") {
        let (term, name) = named_term(cursor)?;
        return Ok(vec![TableAction::AddPartitionField { term, name }]);
    }
    if constraint::at_table_constraint(cursor) {
        return Ok(vec![TableAction::AddConstraint(constraint::table_constraint(cursor)?)]);
    }
    let position = cursor.position();
    if cursor.peek_is("EXCLUDE") {
        return Err(Error::unsupported("ADD EXCLUDE").with_position(position));
    }
    let _ = cursor.eat("COLUMN") || cursor.eat("COLUMNS");
    if cursor.eat("(") {
        let columns = cursor.comma_separated(add_column)?;
        cursor.expect(")")?;
        return Ok(columns);
    }
    add_column(cursor).map(|action| vec![action])
}

fn add_column(cursor: &mut Cursor) -> Result<TableAction> {
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let mut parent = path(cursor)?;
    let name = parent.pop().unwrap_or_default();
    let data_type = types::column_type(cursor)?;
    let mut column = ColumnDefinition { name, data_type, not_null: false, comment: None, default: None };
    let (mut added_place, mut constraints) = (None, Vec::new());
    loop {
        column_clauses(cursor, &mut column, &mut constraints)?;
        match place(cursor)? {
            Some(found) => added_place = Some(found),
            None => break,
        }
    }
    Ok(TableAction::AddColumn(AddColumn { parent, column, constraints, if_not_exists, place: added_place }))
}

/// `FIRST`, `AFTER column`, `BEFORE column`.
fn place(cursor: &mut Cursor) -> Result<Option<Place>> {
    Ok(if cursor.eat("FIRST") {
        Some(Place::First)
    } else if cursor.eat("AFTER") {
        Some(Place::After(cursor.folded()?))
    } else if cursor.eat("BEFORE") {
        Some(Place::Before(cursor.folded()?))
    } else {
        None
    })
}

fn drop_action(cursor: &mut Cursor) -> Result<Vec<TableAction>> {
    cursor.expect("DROP")?;
    if cursor.eat("PARTITION FIELD") {
        return Ok(vec![TableAction::DropPartitionField(partition_field(cursor)?)]);
    }
    if cursor.eat("IDENTIFIER FIELDS") {
        return Ok(vec![TableAction::DropIdentifierFields(cursor.comma_separated(path)?)]);
    }
    if cursor.eat("PRIMARY KEY") {
        return Ok(vec![TableAction::SetIdentifierFields(Vec::new())]);
    }
    if cursor.eat("CONSTRAINT") {
        let if_exists = cursor.eat("IF EXISTS");
        let name = cursor.folded()?;
        // What references a key is not taken along: nothing rests on it, for neither is enforced.
        let _ = cursor.eat("RESTRICT") || cursor.eat("CASCADE");
        return Ok(vec![TableAction::DropConstraint { name, if_exists }]);
    }
    let _ = cursor.eat("COLUMN") || cursor.eat("COLUMNS");
    let if_exists = cursor.eat("IF EXISTS");
    let paths = if cursor.eat("(") {
        let paths = cursor.comma_separated(path)?;
        cursor.expect(")")?;
        paths
    } else {
        vec![path(cursor)?]
    };
    // Views keep the text of their query, so there is nothing that depends on a column.
    let _ = cursor.eat("RESTRICT") || cursor.eat("CASCADE");
    Ok(paths.into_iter().map(|path| TableAction::DropColumn { path, if_exists }).collect())
}

fn alter_column(cursor: &mut Cursor, path: Path) -> Result<TableAction> {
    if cursor.eat("SET DATA TYPE") || cursor.eat("TYPE") {
        let data_type = types::column_type(cursor)?;
        if cursor.peek_is("USING") || cursor.peek_is("COLLATE") {
            let clause = format!("ALTER COLUMN … TYPE … {}", cursor.peek_word());
            return Err(Error::unsupported(clause)
                .with_hint("Write the converted rows into another table with CREATE TABLE … AS.")
                .with_position(cursor.position()));
        }
        return Ok(TableAction::SetType { path, data_type });
    }
    if cursor.eat("SET NOT NULL") {
        return Ok(TableAction::SetNotNull { path, not_null: true });
    }
    if cursor.eat("DROP NOT NULL") {
        return Ok(TableAction::SetNotNull { path, not_null: false });
    }
    if cursor.eat("SET DEFAULT") {
        let value = cursor.with(|parser| parser.parse_expr())?;
        return Ok(TableAction::SetDefault { path, value: Some(value) });
    }
    if cursor.eat("DROP DEFAULT") {
        return Ok(TableAction::SetDefault { path, value: None });
    }
    if cursor.eat("COMMENT") {
        let text = if cursor.eat("NULL") { None } else { Some(cursor.string()?) };
        return Ok(TableAction::SetComment { path, text: text.filter(|text| !text.is_empty()) });
    }
    if let Some(place) = place(cursor)? {
        return Ok(TableAction::PlaceColumn { path, place });
    }
    let clause = [cursor.peek_word(), cursor.peek_nth(1)].join(" ");
    Err(Error::unsupported(format!("ALTER COLUMN … {}", clause.trim())).with_position(cursor.position()))
}

/// A partition field that is there: `name`, or `day(column)`.
fn partition_field(cursor: &mut Cursor) -> Result<PartitionField> {
    if cursor.peek_nth(1) == "(" {
        return partition_term(cursor).map(PartitionField::Term);
    }
    cursor.folded().map(PartitionField::Name)
}

/// `day(column) [AS name]`.
fn named_term(cursor: &mut Cursor) -> Result<(crate::statement::PartitionTerm, Option<String>)> {
    let term = partition_term(cursor)?;
    let name = if cursor.eat("AS") { Some(cursor.folded()?) } else { None };
    Ok((term, name))
}

/// `WRITE [LOCALLY] ORDERED BY …`, `WRITE UNORDERED`, `WRITE DISTRIBUTED BY PARTITION [LOCALLY ORDERED BY …]`.
fn write(cursor: &mut Cursor) -> Result<TableAction> {
    cursor.expect("WRITE")?;
    if cursor.eat("UNORDERED") {
        return Ok(TableAction::SetOrder { terms: Some(Vec::new()), distribution: Some("none") });
    }
    let distributed = cursor.eat("DISTRIBUTED BY PARTITION");
    let locally = cursor.eat("LOCALLY");
    if !distributed || locally || cursor.peek_is("ORDERED") {
        cursor.expect("ORDERED BY")?;
        let terms = sort_terms(cursor)?;
        let distribution = match (distributed, locally) {
            (true, _) => "hash",
            (false, true) => "none",
            (false, false) => "range",
        };
        return Ok(TableAction::SetOrder { terms: Some(terms), distribution: Some(distribution) });
    }
    Ok(TableAction::SetOrder { terms: None, distribution: Some("hash") })
}

/// `a DESC NULLS LAST, bucket(4, b)`, with or without parentheses around it all.
pub(super) fn sort_terms(cursor: &mut Cursor) -> Result<Vec<SortTerm>> {
    if cursor.eat("(") {
        let terms = cursor.comma_separated(sort_term)?;
        cursor.expect(")")?;
        return Ok(terms);
    }
    cursor.comma_separated(sort_term)
}

/// Without a word about them, NULLs stand where PostgreSQL's `ORDER BY` puts them.
fn sort_term(cursor: &mut Cursor) -> Result<SortTerm> {
    let term = partition_term(cursor)?;
    let direction = if cursor.eat("DESC") {
        SortDirection::Descending
    } else {
        let _ = cursor.eat("ASC");
        SortDirection::Ascending
    };
    let nulls = if cursor.eat("NULLS FIRST") {
        NullOrder::First
    } else if cursor.eat("NULLS LAST") || direction == SortDirection::Ascending {
        NullOrder::Last
    } else {
        NullOrder::First
    };
    Ok(SortTerm { column: term.column, transform: term.transform, direction, nulls })
}

fn set(cursor: &mut Cursor) -> Result<Vec<TableAction>> {
    cursor.expect("SET")?;
    if cursor.eat("PARTITIONED BY") {
        cursor.expect("(")?;
        let terms = if cursor.peek_is(")") { Vec::new() } else { cursor.comma_separated(partition_term)? };
        cursor.expect(")")?;
        return Ok(vec![TableAction::SetPartitioning(terms)]);
    }
    if cursor.eat("SORTED BY") || cursor.eat("ORDERED BY") {
        return Ok(vec![TableAction::SetOrder { terms: Some(sort_terms(cursor)?), distribution: None }]);
    }
    if cursor.eat("IDENTIFIER FIELDS") {
        return Ok(vec![TableAction::SetIdentifierFields(cursor.comma_separated(path)?)]);
    }
    if cursor.eat("PROPERTIES") {
        return properties(cursor);
    }
    if cursor.eat("TBLPROPERTIES") || cursor.peek_is("(") {
        cursor.expect("(")?;
        let actions = properties(cursor)?;
        cursor.expect(")")?;
        return Ok(actions);
    }
    let clause = cursor.peek_word();
    Err(Error::unsupported(format!("ALTER TABLE … SET {clause}")).with_position(cursor.position()))
}

/// `name = value, …`, where Trino's `partitioning` and `sorted_by` are lists of terms.
pub(super) fn properties(cursor: &mut Cursor) -> Result<Vec<TableAction>> {
    let mut actions = Vec::new();
    let mut plain = Vec::new();
    loop {
        match list_property(cursor)? {
            Some(action) => actions.push(action),
            None => plain.extend(own_property(cursor)?),
        }
        if !cursor.eat(",") {
            break;
        }
    }
    if !plain.is_empty() {
        actions.push(TableAction::SetProperties(plain));
    }
    Ok(actions)
}

/// An option; PostgreSQL's `fillfactor` leaves room for what never comes here.
fn own_property(cursor: &mut Cursor) -> Result<Option<(String, String)>> {
    let (name, value) = property(cursor)?;
    if !name.eq_ignore_ascii_case("fillfactor") {
        return Ok(Some((name, value)));
    }
    cursor.note("option fillfactor changes nothing: rows are not updated in place".to_owned());
    Ok(None)
}

/// `partitioning = ARRAY['day(at)']`, `sorted_by = ARRAY['id DESC']`.
fn list_property(cursor: &mut Cursor) -> Result<Option<TableAction>> {
    let name = cursor.peek_word();
    if !matches!(name.as_str(), "PARTITIONING" | "SORTED_BY") || cursor.peek_nth(1) != "=" {
        return Ok(None);
    }
    cursor.next();
    cursor.expect("=")?;
    cursor.expect("ARRAY")?;
    cursor.expect("[")?;
    let texts = if cursor.peek_is("]") { Vec::new() } else { cursor.comma_separated(Cursor::string)? };
    cursor.expect("]")?;
    Ok(Some(match name.as_str() {
        "PARTITIONING" => TableAction::SetPartitioning(each(&texts, partition_term)?),
        _ => TableAction::SetOrder { terms: Some(each(&texts, sort_term)?), distribution: None },
    }))
}

/// Reads each text as one item.
fn each<T>(texts: &[String], read: impl Fn(&mut Cursor) -> Result<T>) -> Result<Vec<T>> {
    let item = |text: &String| {
        let mut cursor = Cursor::new(text, NESTING_MAX)?;
        let item = read(&mut cursor)?;
        if cursor.at_end() { Ok(item) } else { Err(cursor.leftover()) }
    };
    let place =
        |error: Error, text: &str| Error { position: None, ..error }.with_detail(format!("In '{text}'."));
    texts.iter().map(|text| item(text).map_err(|error| place(error, text))).collect()
}

/// `RESET (name, …)`, `UNSET TBLPROPERTIES [IF EXISTS] (name, …)`.
fn unset(cursor: &mut Cursor) -> Result<TableAction> {
    // PostgreSQL's RESET says nothing about options that were never set.
    let reset = cursor.eat("RESET");
    let if_exists = if reset {
        true
    } else {
        cursor.expect("UNSET")?;
        let _ = cursor.eat("TBLPROPERTIES") || cursor.eat("PROPERTIES");
        cursor.eat("IF EXISTS")
    };
    cursor.expect("(")?;
    let names = cursor.comma_separated(|cursor| {
        let mut name = property_name(cursor)?;
        while cursor.eat(".") {
            name = format!("{name}.{}", property_name(cursor)?);
        }
        Ok(name)
    })?;
    cursor.expect(")")?;
    Ok(TableAction::UnsetProperties { names, if_exists })
}

fn property_name(cursor: &mut Cursor) -> Result<String> {
    match cursor.next().token {
        Token::Word(word) => Ok(word.value),
        Token::SingleQuotedString(text) => Ok(text),
        other => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
            .with_detail("Expected the name of a table option.")),
    }
}
