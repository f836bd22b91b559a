//! Planted bugs: for each a journal and a state in which exactly one thing is wrong. The checker must find every one
//! of them, and nothing in the state without a bug; otherwise a green run would mean nothing.

use super::chain::{self, Chain, Snapshot};
use super::checker::{self, Observed, Rows};
use super::journal::{Event, Journal, Operation, Outcome};

fn event(writer: u32, statement: u64, operation: Operation, outcome: Outcome) -> Event {
    Event { writer, statement, operation, outcome }
}

fn create(table: &str) -> Operation {
    Operation::Create { table: table.to_string(), rows: 2 }
}

fn drop_table(table: &str) -> Operation {
    Operation::Drop { table: table.to_string() }
}

fn block(commits: bool) -> Operation {
    Operation::Block { rows: 2, commits }
}

/// One writer's history with every kind of statement and outcome.
fn journal() -> Journal {
    use Outcome::{Acknowledged, Refused, Unknown};
    let insert = || Operation::Insert { rows: 3 };
    let events = vec![
        event(0, 0, insert(), Acknowledged),
        event(0, 1, insert(), Refused),
        event(0, 2, create("kept"), Acknowledged),
        event(0, 3, create("dropped"), Acknowledged),
        event(0, 4, drop_table("dropped"), Acknowledged),
        event(0, 5, create("refused"), Refused),
        event(0, 6, Operation::Overwrite, Acknowledged),
        event(0, 7, Operation::Overwrite, Acknowledged),
        event(0, 8, insert(), Unknown),
        event(1, 0, create("maybe"), Unknown),
        event(1, 1, drop_table("kept"), Refused),
        event(1, 2, block(true), Acknowledged),
        event(1, 3, block(true), Unknown),
        event(1, 4, block(false), Refused),
    ];
    Journal { events }
}

/// A state that the journal allows.
fn state() -> Observed {
    let mut observed = Observed::default();
    observed.inserted.insert((0, 0), Rows { count: 3, distinct: 3 });
    both(&mut observed, (1, 2), 2);
    observed.tables.insert("kept".to_string(), 2);
    observed.latest.insert(0, vec![7]);
    observed.chains.insert("rows".to_string(), good_chain());
    observed
}

fn good_chain() -> Chain {
    let snapshot = |id, parent, sequence_number| Snapshot { id, parent, sequence_number };
    Chain {
        snapshots: vec![snapshot(10, None, 1), snapshot(20, Some(10), 2), snapshot(30, Some(20), 3)],
        current: Some(30),
        last_sequence_number: 3,
        missing_files: vec![],
    }
}

fn violations(change: impl Fn(&mut Observed)) -> Vec<String> {
    let mut observed = state();
    change(&mut observed);
    checker::check(&journal(), &observed)
}

fn chain_violations(change: impl Fn(&mut Chain)) -> Vec<String> {
    let mut chain = good_chain();
    change(&mut chain);
    chain::check("rows", &chain)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(violations(|_| ()), Vec::<String>::new());
    assert_eq!(chain_violations(|_| ()), Vec::<String>::new());
    assert_eq!(chain::check("empty", &Chain::default()), Vec::<String>::new());
}

#[test]
fn an_unknown_statement_may_have_happened() {
    assert!(violations(|o| rows(o, (0, 8), 3, 3)).is_empty());
    assert!(violations(|o| table(o, "maybe", 2)).is_empty());
    assert!(violations(|o| both(o, (1, 3), 2)).is_empty());
}

fn rows(observed: &mut Observed, statement: (u32, u64), count: u64, distinct: u64) {
    observed.inserted.insert(statement, Rows { count, distinct });
}

fn posted(observed: &mut Observed, statement: (u32, u64), count: u64) {
    observed.posted.insert(statement, Rows { count, distinct: count });
}

/// The rows of a block in both of its tables.
fn both(observed: &mut Observed, statement: (u32, u64), count: u64) {
    rows(observed, statement, count, count);
    posted(observed, statement, count);
}

fn table(observed: &mut Observed, name: &str, rows: u64) {
    observed.tables.insert(name.to_string(), rows);
}

fn latest(observed: &mut Observed, values: &[u64]) {
    observed.latest.insert(0, values.to_vec());
}

#[test]
fn every_planted_bug_in_the_rows_is_found() {
    type Bug = fn(&mut Observed);
    let bugs: [(&str, Bug); 19] = [
        ("an acknowledged insert is gone", |o| o.inserted.retain(|key, _| *key != (0, 0))),
        ("one row of it is gone", |o| rows(o, (0, 0), 2, 2)),
        ("it is there twice", |o| rows(o, (0, 0), 6, 3)),
        ("one row was swapped for another", |o| rows(o, (0, 0), 3, 2)),
        ("a refused insert is there", |o| rows(o, (0, 1), 3, 3)),
        ("an unknown insert is there in part", |o| rows(o, (0, 8), 1, 1)),
        ("rows that nobody wrote", |o| rows(o, (9, 9), 1, 1)),
        ("half of an acknowledged block is gone", |o| o.posted.clear()),
        ("an acknowledged block is gone", |o| {
            o.inserted.retain(|key, _| *key != (1, 2));
            o.posted.clear();
        }),
        ("both halves of a block lack a row", |o| both(o, (1, 2), 1)),
        ("half of an unknown block is there", |o| posted(o, (1, 3), 2)),
        ("a block that was rolled back is there", |o| both(o, (1, 4), 2)),
        ("postings that nobody made", |o| posted(o, (9, 9), 1)),
        ("an acknowledged table is gone", |o| o.tables.clear()),
        ("an acknowledged table is empty", |o| table(o, "kept", 0)),
        ("a dropped table is back", |o| table(o, "dropped", 2)),
        ("a refused table is there", |o| table(o, "refused", 2)),
        ("an overwrite is lost", |o| latest(o, &[6])),
        ("an overwrite kept the old row", |o| latest(o, &[6, 7])),
    ];
    for (name, bug) in bugs {
        assert_eq!(violations(bug).len(), 1, "{name}");
    }
}

#[test]
fn every_planted_bug_in_the_chain_is_found() {
    type Bug = fn(&mut Chain);
    let bugs: [(&str, Bug); 7] = [
        ("a snapshot is lost", |c| c.snapshots.retain(|snapshot| snapshot.id != 20)),
        ("a sequence number is used twice", |c| c.snapshots[2].sequence_number = 2),
        ("two snapshots have one parent", |c| c.snapshots[2].parent = Some(10)),
        ("a snapshot id is used twice", |c| c.snapshots[2].id = 20),
        ("the current one is not the last", |c| c.current = Some(20)),
        ("the last number is behind", |c| c.last_sequence_number = 2),
        ("a manifest list is deleted", |c| c.missing_files.push("snap-30.avro".to_string())),
    ];
    for (name, bug) in bugs {
        assert!(!chain_violations(bug).is_empty(), "{name}");
    }
}

#[test]
fn what_was_seen_once_must_stay() {
    let mut settled = journal();
    settled.settle(&state());
    assert!(settled.events.iter().all(|event| event.outcome != Outcome::Unknown));
    let mut later = state();
    rows(&mut later, (0, 8), 3, 3);
    assert_eq!(
        checker::check(&settled, &later).len(),
        1,
        "an unknown insert appears after it was seen absent"
    );
}
