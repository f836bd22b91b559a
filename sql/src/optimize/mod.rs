//! What we add to the query engine's optimizer: the order of joins, by cost, and right keys. Everything here is a pure function of a
//! plan and of the statistics that its tables carry; nothing is read. It must never change what a query answers.
//!
//! ```text
//! not_null    NOT IN without NULLs as an anti join like others
//! narrow      keys below an aggregate of which a join drops most groups
//! join_order  finds the join trees of a plan and replaces those that have a clearly cheaper order
//! graph       a join tree taken apart: relations, equalities, predicates, semi joins
//! estimate    how many rows a plan gives, and how many values a column has; selectivity does it for predicates
//! search      the cheapest order, over numbers alone
//! build       the order as a plan again
//! known       what is known of the sides of a join, for the choice of the side that is built
//! dependencies  what a projection knows of keys, kept from mistakes of the engine
//! waiting     joins that would wait for each other
//! semi        semi joins by a condition, kept from a mistake of the engine
//! ```
mod build;
mod dependencies;
mod estimate;
mod graph;
mod join_order;
mod known;
mod narrow;
mod not_null;
mod search;
mod selectivity;
mod semi;
mod waiting;

pub(crate) use dependencies::{RightKeysOfRelations, logical_rules};
pub(crate) use join_order::order_joins;
pub(crate) use known::{KnownPlanner, physical_rules, tell_rows};
pub(crate) use waiting::NoEndlessWaits;

#[cfg(test)]
mod tests;
