//! Many clients at once, and a checker that knows what each of them was told. Nothing may be lost or doubled, no reader
//! may see half a transaction, the only error is a true conflict (40001), and every writer gets on.
//!
//! ```text
//! mixed.rs     32 writers on one table: append, UPDATE, DELETE, MERGE, optimize
//! journal.rs   what they write down
//! checker.rs   the rules over it, pure
//! bank.rs      transfers between tables in transactions, and readers that add up
//! rate.rs      commits a second, to 64 tables and to one, with none lost
//! run.rs       all of it, against a server of its own
//! ```
//!
//! `planted.rs` holds the bugs that prove that each rule can fail.
mod bank;
mod checker;
mod journal;
mod mixed;
#[cfg(test)]
mod planted;
pub mod rate;
mod run;

pub use run::{Options, run};
