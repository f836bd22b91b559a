//! Statements at random, from a seed: mostly queries, also changes of rows with RETURNING, definitions, and statements
//! that must fail. Every query is ordered by all of its columns, so that its answer is one list of rows and no other.
//!
//! `scope` holds the tables and what can be named, `expression` makes values of a kind, `condition` truth values,
//! `query` whole queries, `change` changes of rows, `mistake` what must be refused.

mod change;
mod condition;
mod expression;
mod mistake;
mod query;
mod scope;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

pub use scope::setup;

/// The kinds of values that both servers have under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Bigint,
    Double,
    Numeric,
    Text,
    Boolean,
    Date,
    Timestamp,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Integer,
        Kind::Bigint,
        Kind::Double,
        Kind::Numeric,
        Kind::Text,
        Kind::Boolean,
        Kind::Date,
        Kind::Timestamp,
    ];
}

pub struct Generator {
    random: StdRng,
    /// Names of derived tables and common table expressions, so that none is used twice.
    names: u32,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator { random: StdRng::seed_from_u64(seed), names: 0 }
    }

    pub fn statement(&mut self) -> String {
        self.names = 0;
        match self.random.random_range(0..100) {
            0..78 => self.query(),
            78..88 => self.change(),
            _ => self.mistake(),
        }
    }

    fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    fn chance(&mut self, of_hundred: u32) -> bool {
        self.random.random_range(0..100) < of_hundred
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.random.random_range(1..=most)
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of.choose(&mut self.random).copied().unwrap_or(of[0])
    }

    fn kind(&mut self) -> Kind {
        Kind::ALL[self.random.random_range(0..Kind::ALL.len())]
    }
}
