//! The rules: what the common table may hold in the end, given what the writers were told. Pure.

use super::journal::{Change, Event, HOT, OWN, Outcome, Row, TOKEN, UPSERT};
use std::collections::{BTreeMap, BTreeSet};

/// So often may a kind of change meet a conflict by chance.
const TRIES_MIN: u64 = 20;

/// Everything that must not be, in words; empty when all is well.
pub fn check(writers: i64, events: &[Event], rows: &[Row]) -> Vec<String> {
    let mut violations = errors(events);
    violations.extend(starved(events));
    violations.extend(progress(writers, events));
    violations.extend(own(events, rows));
    violations.extend(counted(events, rows, HOT));
    violations.extend(counted(events, rows, UPSERT));
    violations.extend(tokens(events, rows));
    violations
}

fn errors(events: &[Event]) -> Vec<String> {
    let mut texts: BTreeMap<&str, (usize, &Event)> = BTreeMap::new();
    for event in events {
        if let Outcome::Failed(text) = &event.outcome {
            texts.entry(text).or_insert((0, event)).0 += 1;
        }
    }
    let words = |(text, (count, event)): (&&str, &(usize, &Event))| {
        format!("{count} times an error that is no conflict, first of {:?}: {text}", event.change)
    };
    texts.iter().map(words).collect()
}

/// An append meets nobody, and no kind of change is refused for ever.
fn starved(events: &[Event]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut tried: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for event in events {
        let counts = tried.entry(event.change.name()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(event.acknowledged().is_some());
        if matches!(event.change, Change::Append { .. }) && event.outcome == Outcome::Conflict {
            violations.push(format!("an append of writer {} met a conflict", event.writer));
        }
    }
    let never = tried.iter().filter(|(_, (tried, done))| *tried >= TRIES_MIN && *done == 0);
    violations
        .extend(never.map(|(name, (tried, _))| format!("{name} was tried {tried} times and never done")));
    violations
}

fn progress(writers: i64, events: &[Event]) -> Vec<String> {
    let working: BTreeSet<i64> =
        events.iter().filter(|event| event.acknowledged().is_some()).map(|event| event.writer).collect();
    (0..writers)
        .filter(|writer| !working.contains(writer))
        .map(|writer| format!("writer {writer} got nothing done"))
        .collect()
}

/// A writer's own rows are touched by nobody else, so they are what its acknowledged changes made of them.
fn own(events: &[Event], rows: &[Row]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut expected: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for event in events {
        let Some(count) = event.acknowledged() else { continue };
        let writer = event.writer;
        let wanted = match &event.change {
            Change::Append { keys } => {
                expected.extend(keys.iter().map(|key| ((writer, *key), 0)));
                2 * keys.len() as u64
            }
            Change::Update { key, n } => expected.get_mut(&(writer, *key)).map_or(0, |old| {
                *old = *n;
                1
            }),
            Change::Delete { key } => u64::from(expected.remove(&(writer, *key)).is_some()),
            _ => continue,
        };
        if count != wanted {
            violations.push(format!(
                "writer {writer}: {:?} was told to have changed {count} rows of {wanted}",
                event.change
            ));
        }
    }
    let mut seen = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == OWN) {
        if seen.insert((row.writer, row.key), row.n).is_some() {
            violations.push(format!("row {} of writer {} is there twice", row.key, row.writer));
        }
    }
    for (at, n) in &expected {
        match seen.remove(at) {
            Some(found) if found == *n => {}
            Some(found) => violations.push(format!("row {} of writer {} is {found}, not {n}", at.1, at.0)),
            None => violations.push(format!("row {} of writer {} is gone", at.1, at.0)),
        }
    }
    violations.extend(seen.keys().map(|at| format!("row {} of writer {} must not be there", at.1, at.0)));
    violations
}

/// A shared row counts the acknowledged changes to it.
fn counted(events: &[Event], rows: &[Row], kind: &str) -> Vec<String> {
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for event in events.iter().filter(|event| event.acknowledged().is_some()) {
        match event.change {
            Change::Increment { key } if kind == HOT => *expected.entry(key).or_default() += 1,
            Change::Upsert { key } if kind == UPSERT => *expected.entry(key).or_default() += 1,
            _ => {}
        }
    }
    let mut violations = Vec::new();
    let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == kind) {
        if seen.insert(row.key, row.n).is_some() {
            violations.push(format!("the shared {kind} row {} is there twice", row.key));
        }
    }
    let keys: BTreeSet<i64> = expected.keys().chain(seen.keys()).copied().collect();
    for key in keys {
        let (wanted, found) =
            (expected.get(&key).copied().unwrap_or(0), seen.get(&key).copied().unwrap_or(0));
        if wanted != found {
            violations.push(format!("the shared {kind} row {key} counts {found} of {wanted} changes"));
        }
    }
    violations
}

/// A token is made once and taken at most once.
fn tokens(events: &[Event], rows: &[Row]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut made = BTreeSet::new();
    let mut taken = 0;
    for event in events {
        match (&event.change, event.acknowledged()) {
            (Change::Append { keys }, Some(_)) => made.extend(keys.iter().map(|key| (event.writer, *key))),
            (Change::Take { .. }, Some(count)) => taken += count,
            _ => {}
        }
    }
    let mut left = BTreeSet::new();
    for row in rows.iter().filter(|row| row.kind == TOKEN) {
        let token = (row.writer, row.key);
        if !made.contains(&token) {
            violations.push(format!("token {token:?}, which nobody made"));
        }
        if !left.insert(token) {
            violations.push(format!("token {token:?} is there twice"));
        }
    }
    let gone = made.len().saturating_sub(left.len()) as u64;
    if gone != taken {
        violations.push(format!("{gone} tokens are gone, {taken} were taken"));
    }
    violations
}
