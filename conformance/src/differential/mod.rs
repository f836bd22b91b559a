//! Random SQL against a naive model: programs of statements and queries are made from a seed and played on a live
//! server and on tables kept in memory, and every answer is compared. A program that fails is made short by itself and
//! printed as SQL.
//!
//! ```text
//! value.rs                 values, their SQL and their order
//! expression.rs            conditions, by SQL's three-valued logic
//! table.rs                 the model: tables as rows in memory
//! statement.rs, query.rs   what a program is made of, and how it reads in SQL
//! apply.rs, merge.rs       what a statement does to the model
//! answer.rs                what a query must give, and whether it did
//! generate/                random steps that mean something
//! player.rs                plays a program on the model and on an engine, and compares
//! shrink.rs                the shortest program that still fails
//! live.rs                  the engine that is a server
//! run.rs                   many programs, and the report
//! ```
//!
//! `planted.rs` holds the bugs that prove that a difference is found.
mod answer;
mod apply;
mod engine;
mod expression;
mod features;
mod generate;
mod live;
mod merge;
#[cfg(test)]
mod planted;
mod player;
mod program;
mod query;
mod run;
mod shrink;
mod statement;
mod table;
mod transform;
mod value;

pub use run::{Options, run};
