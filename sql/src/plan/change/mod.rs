//! Statements that change rows become queries: which rows of which files go, and what rows come. Every plan has the
//! same columns at the front, so that one executor does them all.
//!
//! ```text
//! _file  _pos  _row_id  action | the table's columns, as they will be | what is returned
//! ```
//!
//! The planner sees `SELECT`s only (trap T1). Next: `items.rs` for how expressions are planned, then one file per
//! statement, then `../../execute/change/mod.rs`.

mod check;
mod insert;
mod items;
mod keys;
mod layout;
mod merge;
mod overwrite;
mod rows;
mod values;

pub(super) use check::{Checks, plan_condition};
pub(super) use layout::plan_change;
pub(crate) use layout::{ChangeKind, ChangePlan, FRONT, RowAction};
pub(super) use values::default_literal;
