//! Is this answer the expected one? Pure; the text of a disagreement is made for the person who reads a failed run.

use super::script::{Expect, Order};
use crate::client::{Answer, Failure, SqlError};
use regex::RegexBuilder;

/// A row as scripts write it and `psql -A -t` prints it: cells between `|`, NULL by name, an empty text as `(empty)`.
pub fn row_text(row: &[Option<String>]) -> String {
    let cells = row.iter().map(|cell| match cell.as_deref() {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.replace('\n', "\\n"),
    });
    cells.collect::<Vec<_>>().join("|")
}

pub fn statement(expect: &Expect, got: &Result<Answer, Failure>) -> Result<(), String> {
    match (expect, got) {
        (Expect::Ok, Ok(_)) => Ok(()),
        (Expect::Count(expected), Ok(answer)) if answer.count == *expected => Ok(()),
        (Expect::Count(expected), Ok(answer)) => Err(format!("count {}, expected {expected}", answer.count)),
        (Expect::Error { sqlstate, position, message }, Err(Failure::Refused(error))) => {
            check_error(sqlstate, *position, message, error)
        }
        (Expect::Error { sqlstate, message, .. }, Ok(answer)) => {
            let rows = answer.rows.len();
            Err(format!(
                "it succeeded ({rows} rows, count {}), expected error {sqlstate} {message}",
                answer.count
            ))
        }
        (_, Err(failure)) => Err(failure.to_string()),
    }
}

/// The value of an answer that has one row of one column.
pub fn single_value(answer: &Answer) -> Result<String, String> {
    match answer.rows.as_slice() {
        [row] if row.len() == 1 => Ok(row_text(row)),
        rows => Err(format!("one value was expected, and {} rows came", rows.len())),
    }
}

fn check_error(sqlstate: &str, position: Option<u32>, message: &str, got: &SqlError) -> Result<(), String> {
    let pattern = RegexBuilder::new(message).case_insensitive(true).dot_matches_new_line(true).build();
    let pattern =
        pattern.map_err(|error| format!("the expected message is no regular expression: {error}"))?;
    let position_differs = position.is_some() && position != got.position;
    if got.sqlstate == sqlstate && !position_differs && pattern.is_match(&got.to_string()) {
        return Ok(());
    }
    let at = position.map(|at| format!("@{at}")).unwrap_or_default();
    Err(format!("got error {got}\nexpected  {sqlstate}{at} {message}"))
}

pub fn query(order: Order, expected: &[String], answer: &Answer) -> Result<(), String> {
    let mut got: Vec<String> = answer.rows.iter().map(|row| row_text(row)).collect();
    let mut expected = expected.to_vec();
    if order == Order::Sorted {
        got.sort();
        expected.sort();
    }
    if got == expected {
        return Ok(());
    }
    let (got_count, expected_count) = (got.len(), expected.len());
    let shown =
        |rows: Vec<String>| rows.into_iter().take(40).map(|row| format!("  {row}\n")).collect::<String>();
    Err(format!("got {got_count} rows:\n{}expected {expected_count} rows:\n{}", shown(got), shown(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sqlstate: &str, message: &str, position: Option<u32>) -> Result<Answer, Failure> {
        let (sqlstate, message) = (sqlstate.to_string(), message.to_string());
        let hint = Some("Did you mean t?".to_string());
        Err(Failure::Refused(SqlError { sqlstate, message, detail: None, hint, position }))
    }

    #[test]
    fn errors_agree_in_state_message_and_position() {
        let expect = |position, message: &str| Expect::Error {
            sqlstate: "42P01".into(),
            position,
            message: message.to_string(),
        };
        let got = refused("42P01", "relation \"x\" does not exist", Some(15));
        assert!(statement(&expect(None, "Relation .* exist.*did you mean t"), &got).is_ok());
        assert!(statement(&expect(Some(15), "exist"), &got).is_ok());
        assert!(statement(&expect(Some(14), "exist"), &got).is_err());
        assert!(statement(&expect(None, "permission"), &got).is_err());
        assert!(statement(&expect(None, "exist"), &refused("42703", "does not exist", None)).is_err());
        assert!(statement(&expect(None, "exist"), &Ok(Answer::default())).is_err());
        assert!(statement(&expect(None, "exist"), &Err(Failure::Lost("exist".into()))).is_err());
        assert!(statement(&Expect::Ok, &got).is_err());
    }

    #[test]
    fn rows_agree_in_content_and_where_asked_in_order() {
        let row = |text: &str| vec![Some(text.to_string()), None];
        let answer = Answer { rows: vec![row("b"), row("")], ..Answer::default() };
        let expected = |rows: [&str; 2]| rows.map(str::to_string);
        assert!(query(Order::AsSent, &expected(["b|NULL", "(empty)|NULL"]), &answer).is_ok());
        assert!(query(Order::AsSent, &expected(["(empty)|NULL", "b|NULL"]), &answer).is_err());
        assert!(query(Order::Sorted, &expected(["(empty)|NULL", "b|NULL"]), &answer).is_ok());
        assert!(query(Order::Sorted, &expected(["b|NULL", "b|NULL"]), &answer).is_err());
        assert!(query(Order::AsSent, &[], &answer).is_err());
    }
}
