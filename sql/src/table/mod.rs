//! Iceberg data as DataFusion sees it: tables are scanned and written here, and nothing is committed. It must never
//! know a statement, a role or the catalog's store.
//!
//! ```text
//! read:   scan -> choose (which files; bounds, prune) -> statistics (what is promised) -> source -> morsel (deletes)
//!           -> columns (in memory), or
//!           -> footer (cached, under names of today) -> evolve (types of today) -> stage (hidden columns)
//! joins:  relation (what is known of a whole table)
//! delete: whole (files that a condition is true for without reading them)
//! write:  writer -> keys (conform: types, NOT NULL; transform) -> arrange (share out, sort)
//!           -> fanout or clustered (partition: which files) -> data_file -> row_group
//! both:   schema (Iceberg and Arrow columns), literal (single values), store (object stores for DataFusion)
//! ```
mod access;
mod arrange;
mod bounds;
mod choose;
mod clustered;
mod columns;
mod conform;
mod data_file;
mod equality;
mod evolve;
mod fanout;
mod footer;
pub mod hidden;
mod incoming;
mod keys;
mod literal;
mod morsel;
mod naming;
mod order;
mod overflow;
mod partition;
mod progress;
mod properties;
mod prune;
mod read_set;
mod relation;
mod row_group;
mod rows;
mod scan;
mod schema;
mod source;
mod stage;
mod statistics;
mod store;
mod transform;
mod whole;
mod writer;

pub use columns::{ColumnCache, ColumnFigures, YieldingPool};
pub(crate) use conform::{WriteDefaults, conform_column};
pub(crate) use evolve::readable;
pub(crate) use incoming::incoming;
pub use keys::RowOrder;
pub(crate) use literal::{literal_of, scalar_of};
pub use progress::WriteProgress;
pub use relation::load_statistics;
pub use scan::IcebergTable;
pub use schema::{arrow_schema, iceberg_schema};
pub(crate) use schema::{arrow_type, scan_schema, table_scan_schema, table_schema, without_column_ids};
pub use store::StoreRegistry;
pub use writer::{write_files, write_known_rows};

#[cfg(test)]
mod tests;
