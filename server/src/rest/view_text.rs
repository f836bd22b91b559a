//! The text of a view that another engine makes, looked at by the engine before it is kept: it must be one query, that its
//! maker may run, with the columns that the view says. Nothing of it is run.

use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Type};
use tarn_catalog::name::quote;
use tarn_catalog::object::ViewColumn;
use tarn_sql::{Login, Session, types};

use super::Rest;
use super::error::{Error, Result};
use super::request::PREFIX;
use super::view_metadata::{NUMERIC, TYPES};
use super::visitor::Visitor;

/// A text without what may stand after a statement.
pub fn bare(sql: &str) -> &str {
    sql.trim().trim_end_matches(';').trim_end()
}

/// The columns of a query, which must be those of `schema`.
pub async fn columns(
    rest: &Rest,
    visitor: &Visitor,
    sql: &str,
    search_path: &[String],
    schema: &Schema,
) -> Result<Vec<ViewColumn>> {
    let door = &rest.door;
    let _place = door.place().ok_or_else(Error::busy)?;
    let process = door.next_process();
    let path: Vec<String> = search_path.iter().map(|name| quote(name)).collect();
    let mut options = door.options();
    options.push(("search_path".to_owned(), path.join(", ")));
    let login = Login {
        user: visitor.principal.name.clone(),
        database: PREFIX.to_owned(),
        application_name: "iceberg rest".to_owned(),
        backend_pid: process,
        options,
        ..Login::default()
    };
    let mut session = door.engine().session(&login)?;
    let _registration = door.register(process, session.canceller());
    let found = described(&mut session, bare(sql)).await;
    session.close().await;
    let found = found?;
    let names = |wanted: &NestedFieldRef| wanted.name.clone();
    let wanted: Vec<String> = schema.as_struct().fields().iter().map(names).collect();
    let given: Vec<String> = found.iter().map(|column| column.name.clone()).collect();
    if wanted == given {
        return Ok(found);
    }
    Err(Error::bad_request(format!(
        "the query has the columns {}, and the view's schema {}",
        given.join(", "),
        wanted.join(", ")
    )))
}

async fn described(session: &mut Session, sql: &str) -> Result<Vec<ViewColumn>> {
    let not_a_query = || Error::bad_request("the text of a view is one query");
    let mut statements = session.parse(sql)?;
    let statement = statements.pop().filter(|_| statements.is_empty()).ok_or_else(not_a_query)?;
    let prepared = session.prepare(statement, &[]).await?;
    // Only a query can stand here, and one that closes the parenthesis was no statement above.
    let inside = session.parse(&format!("SELECT * FROM (\n{sql}\n) AS looked_at"))?;
    for statement in inside {
        session.prepare(statement, &[]).await?;
    }
    if !prepared.parameters().is_empty() {
        return Err(Error::bad_request("the text of a view has no parameters"));
    }
    let columns = prepared.columns().ok_or_else(not_a_query)?;
    let column = |field: &arrow::datatypes::FieldRef| {
        let shown = types::pg_type(field);
        ViewColumn {
            name: field.name().clone(),
            type_oid: shown.oid,
            type_modifier: shown.modifier,
            comment: None,
        }
    };
    Ok(columns.fields().iter().map(column).collect())
}

/// The columns of a view without a text that SQL reads, for listings.
pub fn columns_of(schema: &Schema) -> Vec<ViewColumn> {
    let column = |field: &NestedFieldRef| {
        let (type_oid, type_modifier) = oid_of(&field.field_type);
        ViewColumn { name: field.name.clone(), type_oid, type_modifier, comment: field.doc.clone() }
    };
    schema.as_struct().fields().iter().map(column).collect()
}

/// PostgreSQL's type; text for what it has no word for.
fn oid_of(kind: &Type) -> (u32, i32) {
    const TEXT: (u32, i32) = (25, -1);
    let of_word = |kind: &Type, array: bool| {
        let word = kind.to_string();
        // The widest of the types that share a word is the last but for text, which is the first.
        let found = match kind {
            Type::Primitive(PrimitiveType::Int) => TYPES.iter().find(|(plain, ..)| *plain == 23),
            _ => TYPES.iter().find(|(_, _, named)| *named == word),
        };
        found.map(|(plain, list, _)| (if array { *list } else { *plain }, -1))
    };
    match kind {
        Type::Primitive(PrimitiveType::Decimal { precision, scale }) => {
            let modifier = i32::try_from((precision << 16) | scale).map_or(-1, |given| given + 4);
            (NUMERIC, modifier)
        }
        Type::List(list) => of_word(&list.element_field.field_type, true).unwrap_or(TEXT),
        kind => of_word(kind, false).unwrap_or(TEXT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_others_have_oids() {
        let check = |kind: PrimitiveType, expected| assert_eq!(oid_of(&Type::Primitive(kind)), expected);
        check(PrimitiveType::Int, (23, -1));
        check(PrimitiveType::Long, (20, -1));
        check(PrimitiveType::String, (25, -1));
        check(PrimitiveType::Timestamptz, (1184, -1));
        check(PrimitiveType::Decimal { precision: 12, scale: 2 }, (1700, 786_438));
        check(PrimitiveType::Fixed(4), (25, -1));
    }

    #[test]
    fn a_text_ends_before_its_semicolon() {
        assert_eq!(bare(" SELECT 1 ;\n"), "SELECT 1");
        assert_eq!(bare("SELECT 1;;"), "SELECT 1");
    }
}
