//! What the writers were told, in the order in which each of them was told it. Plain data; the rules that use it are
//! in `checker`.

use super::checker::{self, Observed};

/// One statement of one writer. `statement` counts up per writer and never repeats, over restarts too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub writer: u32,
    pub statement: u64,
    pub operation: Operation,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// This many rows (writer, statement, ordinal) into the common table, in one INSERT.
    Insert {
        rows: u64,
    },
    /// CREATE TABLE AS with this many rows, of a name that only this writer uses.
    Create {
        table: String,
        rows: u64,
    },
    Drop {
        table: String,
    },
    /// BEGIN; this many rows into the common table; as many into the table of postings; COMMIT, or ROLLBACK.
    Block {
        rows: u64,
        commits: bool,
    },
    /// INSERT OVERWRITE of the writer's own table by the one row (statement).
    Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acknowledged,
    /// The server answered that it did not happen.
    Refused,
    /// The connection was lost before an answer came, or the server said that it does not know.
    Unknown,
}

#[derive(Clone, Debug, Default)]
pub struct Journal {
    pub events: Vec<Event>,
}

impl Journal {
    /// The events of one writer, which must be its next ones.
    pub fn extend(&mut self, events: Vec<Event>) {
        for event in events {
            assert!(event.statement >= self.next_statement(event.writer), "statements of a writer count up");
            self.events.push(event);
        }
    }

    pub fn next_statement(&self, writer: u32) -> u64 {
        let own = self.events.iter().rev().find(|event| event.writer == writer);
        own.map_or(0, |event| event.statement + 1)
    }

    /// The tables a writer created and has not dropped, as far as it knows.
    pub fn own_tables(&self, writer: u32) -> Vec<String> {
        let mut tables = Vec::new();
        for event in self.events.iter().filter(|event| event.writer == writer) {
            match (&event.operation, event.outcome) {
                (Operation::Create { table, .. }, Outcome::Acknowledged) => tables.push(table.clone()),
                (Operation::Drop { table }, Outcome::Acknowledged) => tables.retain(|own| own != table),
                _ => {}
            }
        }
        tables
    }

    pub fn acknowledged(&self) -> u64 {
        self.events.iter().filter(|event| event.outcome == Outcome::Acknowledged).count() as u64
    }

    /// Replaces every unknown outcome by what was seen after the restart: from then on it must stay so.
    pub fn settle(&mut self, observed: &Observed) {
        for event in self.events.iter_mut().filter(|event| event.outcome == Outcome::Unknown) {
            let happened = checker::happened(event, observed);
            event.outcome = if happened { Outcome::Acknowledged } else { Outcome::Refused };
        }
    }
}
