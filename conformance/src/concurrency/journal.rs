//! What the writers of the common table did, and what they were told about it.

use clap::ValueEnum;

/// What the rows of the common table are for: each rule has rows of its own.
pub const OWN: &str = "own";
pub const HOT: &str = "hot";
pub const UPSERT: &str = "upsert";
pub const TOKEN: &str = "token";

/// The kinds of change; those that the server does not have yet are switched off by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    Append,
    Update,
    Delete,
    Increment,
    Upsert,
    Take,
    Optimize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New rows of the writer's own, with these keys, and tokens of the same keys that anyone may delete.
    Append {
        keys: Vec<i64>,
    },
    /// `n` of own rows becomes this.
    Update {
        key: i64,
        n: i64,
    },
    Delete {
        key: i64,
    },
    /// `n = n + 1` of a row that all writers share.
    Increment {
        key: i64,
    },
    /// MERGE: a shared row is made, or counted up.
    Upsert {
        key: i64,
    },
    /// Deletes tokens of all writers.
    Take {
        modulus: i64,
        rest: i64,
    },
    Optimize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the number of the command tag.
    Acknowledged(u64),
    /// 40001, certainly not applied.
    Conflict,
    /// Any other error, which there must not be.
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct Event {
    pub writer: i64,
    pub change: Change,
    pub outcome: Outcome,
}

impl Change {
    pub fn name(&self) -> &'static str {
        match self {
            Change::Append { .. } => "append",
            Change::Update { .. } => "update",
            Change::Delete { .. } => "delete",
            Change::Increment { .. } => "increment",
            Change::Upsert { .. } => "upsert",
            Change::Take { .. } => "take",
            Change::Optimize => "optimize",
        }
    }
}

impl Event {
    pub fn acknowledged(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Acknowledged(count) => Some(count),
            _ => None,
        }
    }
}

/// A row of the common table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub kind: String,
    pub key: i64,
    pub writer: i64,
    pub n: i64,
}
