//! The system tables: `pg_catalog`, `information_schema` and `system`, and the rewriting of what PostgreSQL clients
//! ask of them into what the engine plans.
//!
//! ```text
//! declared/*.txt ── declared.rs: what exists        rows.rs: which builder ── schemas, relations, columns, roles,
//!        │                                              │                    grants, builtin, tables
//!        └── provider.rs ── exec.rs ── keys.rs: which rows are asked for ── visible.rs: what may be seen of them
//! ```
//!
//! A system table is declared as text and is then there, empty; a row builder fills it from one reader, which is the
//! statement's. What the asking role may not see is not in the rows.

mod builtin;
mod columns;
mod commits;
mod constraint_rows;
mod constraints;
mod context;
mod crawlers;
mod declared;
mod exec;
mod functions;
mod grants;
mod health;
mod keys;
mod names;
mod provider;
mod relations;
mod rewrite;
mod roles;
mod rows;
mod schemas;
mod sessions;
mod shapes;
mod tables;
mod value;
mod visible;

use std::sync::Arc;

use datafusion::catalog::TableProvider;

pub use context::{SettingRow, SystemContext, Wanted};
pub use functions::Function;
pub(crate) use rewrite::array_elements;
pub use rewrite::{gives_rows, rewrite};
pub use shapes::Shapes;
pub(crate) use value::{Value, to_array};

/// The system table of that exact name, as one statement sees it.
pub fn system_table(
    schema: &str,
    name: &str,
    context: &Arc<SystemContext>,
) -> Option<Arc<dyn TableProvider>> {
    let declared = declared::table(schema, name)?;
    Some(Arc::new(provider::SystemTable::new(declared, context.clone())))
}

/// Whether there is a system table of that exact name.
pub fn exists(schema: &str, name: &str) -> bool {
    declared::table(schema, name).is_some()
}

/// Whether there is a system table of that exact name, and PostgreSQL has it as a table, too.
pub(crate) fn is_table(schema: &str, name: &str) -> bool {
    declared::table(schema, name).is_some_and(|table| !table.view)
}

/// The OID of the system table of that exact name.
pub(crate) fn table_oid(schema: &str, name: &str) -> Option<u32> {
    declared::table(schema, name).map(|table| table.oid)
}

/// Whether a schema holds only system tables, so that nobody may create in it.
pub fn is_system_schema(schema: &str) -> bool {
    declared::schema(schema).is_some()
}

/// The names of a schema's system tables, for suggestions.
pub fn system_table_names(schema: &str) -> impl Iterator<Item = &'static str> {
    let tables = declared::tables().iter().filter(move |table| table.schema.name == schema);
    tables.map(|table| table.name)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
