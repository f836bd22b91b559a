//! The rules: what may be seen after a restart, given what the writers were told. Pure. `planted` holds the bugs that
//! prove that each rule can fail.

use super::chain::Chain;
use super::journal::{Event, Journal, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What a client sees after a restart.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Of the common table: (writer, statement) -> its rows and how many different ordinals they have.
    pub inserted: BTreeMap<(u32, u64), Rows>,
    /// The same of the table that only blocks write to.
    pub posted: BTreeMap<(u32, u64), Rows>,
    /// The tables made by CREATE TABLE AS that exist, with their row counts.
    pub tables: BTreeMap<String, u64>,
    /// The rows of each writer's own, overwritten table.
    pub latest: BTreeMap<u32, Vec<u64>>,
    /// The metadata behind every table, by its name.
    pub chains: BTreeMap<String, Chain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    pub count: u64,
    pub distinct: u64,
}

/// Everything that must not be, in words; empty when all is well.
pub fn check(journal: &Journal, observed: &Observed) -> Vec<String> {
    let mut violations = inserts(journal, observed);
    violations.extend(blocks(journal, observed));
    violations.extend(tables(journal, observed));
    violations.extend(overwrites(journal, observed));
    violations
}

fn inserts(journal: &Journal, observed: &Observed) -> Vec<String> {
    let mut violations = Vec::new();
    let mut promised = BTreeSet::new();
    for event in &journal.events {
        let (Operation::Insert { rows } | Operation::Block { rows, .. }) = event.operation else { continue };
        promised.insert((event.writer, event.statement));
        let Rows { count, distinct } = seen(&observed.inserted, event);
        let is_whole = count == rows && distinct == rows;
        let wrong = match event.outcome {
            Outcome::Acknowledged => !is_whole,
            Outcome::Refused => count != 0,
            Outcome::Unknown => !(is_whole || count == 0),
        };
        if wrong {
            violations.push(format!("{}: {count} rows ({distinct} different) of {rows}", words(event)));
        }
    }
    let strangers = observed.inserted.keys().filter(|key| !promised.contains(key));
    violations.extend(
        strangers.map(|(writer, statement)| format!("rows of {writer}/{statement}, which nobody wrote")),
    );
    violations
}

fn seen(table: &BTreeMap<(u32, u64), Rows>, event: &Event) -> Rows {
    table.get(&(event.writer, event.statement)).copied().unwrap_or(Rows { count: 0, distinct: 0 })
}

/// Both tables of a block have its rows, or neither has. What the common table may have is checked as of an INSERT.
fn blocks(journal: &Journal, observed: &Observed) -> Vec<String> {
    let mut violations = Vec::new();
    let mut promised = BTreeSet::new();
    for event in &journal.events {
        if !matches!(event.operation, Operation::Block { .. }) {
            continue;
        }
        promised.insert((event.writer, event.statement));
        let (common, posted) = (seen(&observed.inserted, event), seen(&observed.posted, event));
        if common != posted {
            let found = format!("{} rows in one table and {} in the other", common.count, posted.count);
            violations.push(format!("{}: {found}", words(event)));
        }
    }
    let strangers = observed.posted.keys().filter(|key| !promised.contains(key));
    violations.extend(
        strangers.map(|(writer, statement)| format!("postings of {writer}/{statement}, which nobody made")),
    );
    violations
}

/// What a table's own writer allows it to be.
struct Allowed {
    absent: bool,
    present: bool,
    rows: u64,
}

fn tables(journal: &Journal, observed: &Observed) -> Vec<String> {
    let mut allowed: BTreeMap<&str, Allowed> = BTreeMap::new();
    for event in &journal.events {
        match &event.operation {
            Operation::Create { table, rows } => {
                let absent = event.outcome != Outcome::Acknowledged;
                let present = event.outcome != Outcome::Refused;
                allowed.insert(table, Allowed { absent, present, rows: *rows });
            }
            Operation::Drop { table } => {
                if let Some(state) = allowed.get_mut(table.as_str()) {
                    state.absent |= event.outcome != Outcome::Refused;
                    state.present &= event.outcome != Outcome::Acknowledged;
                }
            }
            _ => {}
        }
    }
    let mut violations = Vec::new();
    for (table, state) in &allowed {
        match observed.tables.get(*table) {
            Some(_) if !state.present => violations.push(format!("table {table} is there and must not be")),
            Some(rows) if *rows != state.rows => {
                violations.push(format!("table {table} has {rows} rows of {}", state.rows));
            }
            None if !state.absent => violations.push(format!("table {table} is gone")),
            _ => {}
        }
    }
    let strangers = observed.tables.keys().filter(|table| !allowed.contains_key(table.as_str()));
    violations.extend(strangers.map(|table| format!("table {table}, which nobody created")));
    violations
}

fn overwrites(journal: &Journal, observed: &Observed) -> Vec<String> {
    let mut violations = Vec::new();
    for (writer, seen) in &observed.latest {
        let own =
            journal.events.iter().filter(|e| e.writer == *writer && e.operation == Operation::Overwrite);
        let mut possible: Vec<Option<u64>> = vec![None];
        for event in own {
            match event.outcome {
                Outcome::Acknowledged => possible = vec![Some(event.statement)],
                Outcome::Unknown => possible.push(Some(event.statement)),
                Outcome::Refused => {}
            }
        }
        let seen_value = match seen.as_slice() {
            [] => None,
            [one] => Some(*one),
            many => {
                violations.push(format!("the table of writer {writer} holds {} rows: {many:?}", many.len()));
                continue;
            }
        };
        if !possible.contains(&seen_value) {
            violations
                .push(format!("the table of writer {writer} holds {seen_value:?}, possible is {possible:?}"));
        }
    }
    violations
}

/// Did this statement happen, judged by what is there? Asked only for statements whose outcome was unknown.
pub fn happened(event: &Event, observed: &Observed) -> bool {
    match &event.operation {
        Operation::Insert { .. } | Operation::Block { .. } => {
            observed.inserted.contains_key(&(event.writer, event.statement))
        }
        Operation::Create { table, .. } => observed.tables.contains_key(table),
        Operation::Drop { table } => !observed.tables.contains_key(table),
        Operation::Overwrite => {
            observed.latest.get(&event.writer).is_some_and(|rows| rows == &[event.statement])
        }
    }
}

fn words(event: &Event) -> String {
    let Event { writer, statement, operation, outcome } = event;
    format!("{outcome:?} statement {writer}/{statement} ({operation:?})")
}
