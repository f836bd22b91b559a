//! Random steps that mean something in the state that the program has reached. Everything comes from one seed.
//!
//! ```text
//! generator.rs  which kind of step comes next
//! values.rs     values that are near each other, and at the edges of their types
//! conditions.rs conditions over one or two tables
//! changes.rs    INSERT, DELETE, UPDATE, MERGE, OVERWRITE
//! tables.rs     tables, columns, partitions, branches, upkeep
//! queries.rs    SELECT
//! ```
mod changes;
mod conditions;
mod generator;
mod queries;
mod tables;
mod values;

pub use generator::Generator;
