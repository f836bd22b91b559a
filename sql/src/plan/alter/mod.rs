//! `ALTER TABLE`: each action becomes updates of the table's metadata, applied to a copy at once, so that the next
//! action sees what the one before it did. Everything is pure but the proof that a column holds no NULLs.
//!
//! ```text
//! evolution.rs   the copy, the updates so far, and what must still hold when they are committed
//! tree.rs        finding and changing a field of a nested schema
//! columns.rs     columns: add, drop, rename, move, type, nullability, default, comment, identifier fields
//! constraint.rs  keys and CHECK; what becomes of them when columns change
//! partition.rs   partition fields and sort order
//! properties.rs  table properties and the format version
//! reference.rs   branches and tags
//! default.rs     a DEFAULT as Iceberg keeps it, and as a query reads it
//! ```

mod columns;
mod constraint;
mod default;
mod evolution;
mod partition;
mod properties;
mod reference;
mod tree;

pub(super) use default::{check_defaults, default_literal, default_scalar};
pub(super) use evolution::plan_alter;
pub(crate) use evolution::{AlterPlan, Proof};
pub(crate) use partition::sort_fields;
pub(super) use properties::{format_version, property_name};
