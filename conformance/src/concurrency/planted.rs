//! Planted bugs: for each a journal and a table in which exactly one thing is wrong.

use super::checker::check;
use super::journal::{Change, Event, HOT, OWN, Outcome, Row, TOKEN, UPSERT};

fn event(writer: i64, change: Change, outcome: Outcome) -> Event {
    Event { writer, change, outcome }
}

fn events() -> Vec<Event> {
    use Outcome::{Acknowledged, Conflict};
    vec![
        event(0, Change::Append { keys: vec![1, 2, 3] }, Acknowledged(6)),
        event(0, Change::Update { key: 1, n: 9 }, Acknowledged(1)),
        event(0, Change::Update { key: 2, n: 9 }, Conflict),
        event(0, Change::Delete { key: 3 }, Acknowledged(1)),
        event(0, Change::Increment { key: 0 }, Acknowledged(1)),
        event(1, Change::Increment { key: 0 }, Acknowledged(1)),
        event(1, Change::Increment { key: 0 }, Conflict),
        event(1, Change::Upsert { key: 7 }, Acknowledged(1)),
        event(0, Change::Upsert { key: 7 }, Acknowledged(1)),
        event(1, Change::Take { modulus: 3, rest: 0 }, Acknowledged(1)),
        event(1, Change::Optimize, Acknowledged(0)),
    ]
}

fn row(kind: &str, key: i64, writer: i64, n: i64) -> Row {
    Row { kind: kind.to_string(), key, writer, n }
}

fn rows() -> Vec<Row> {
    vec![
        row(OWN, 1, 0, 9),
        row(OWN, 2, 0, 0),
        row(HOT, 0, -1, 2),
        row(UPSERT, 7, 1, 2),
        row(TOKEN, 1, 0, 0),
        row(TOKEN, 2, 0, 0),
    ]
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(check(2, &events(), &rows()), Vec::<String>::new());
}

#[test]
fn every_planted_bug_in_the_rows_is_found() {
    type Bug = fn(&mut Vec<Row>);
    let bugs: [(&str, Bug); 11] = [
        ("an own row is gone", |rows| drop(rows.remove(1))),
        ("an own row is there twice", |rows| rows.push(row(OWN, 1, 0, 9))),
        ("an update is lost", |rows| rows[0].n = 0),
        ("a refused update is there", |rows| rows[1].n = 9),
        ("a deleted row is back", |rows| rows.push(row(OWN, 3, 0, 0))),
        ("an increment is lost", |rows| rows[2].n = 1),
        ("a refused increment is there", |rows| rows[2].n = 3),
        ("two MERGEs inserted one key", |rows| rows.push(row(UPSERT, 7, 0, 2))),
        ("a token was taken and is back", |rows| rows.push(row(TOKEN, 3, 0, 0))),
        ("a token is gone that nobody took", |rows| drop(rows.pop())),
        ("a token is there twice", |rows| rows.push(row(TOKEN, 1, 0, 0))),
    ];
    for (name, bug) in bugs {
        let mut rows = rows();
        bug(&mut rows);
        assert_eq!(check(2, &events(), &rows).len(), 1, "{name}");
    }
}

#[test]
fn every_planted_bug_in_the_answers_is_found() {
    type Bug = fn(&mut Vec<Event>);
    let bugs: [(&str, Bug); 5] = [
        ("an append that met a conflict", |events| {
            events.push(event(0, Change::Append { keys: vec![9] }, Outcome::Conflict));
        }),
        ("a kind of change that is refused for ever", |events| {
            events.retain(|event| !matches!(event.change, Change::Optimize));
            events.extend((0..30).map(|_| event(1, Change::Optimize, Outcome::Conflict)));
        }),
        ("an error that is no conflict", |events| {
            events.push(event(0, Change::Optimize, Outcome::Failed("XX000".into())));
        }),
        ("a wrong count", |events| events[1].outcome = Outcome::Acknowledged(2)),
        ("a token was given to two", |events| {
            events.push(event(0, Change::Take { modulus: 3, rest: 0 }, Outcome::Acknowledged(1)));
        }),
    ];
    for (name, bug) in bugs {
        let mut events = events();
        bug(&mut events);
        assert_eq!(check(2, &events, &rows()).len(), 1, "{name}");
    }
    assert_eq!(check(3, &events(), &rows()).len(), 1, "a writer that got nothing done");
}
