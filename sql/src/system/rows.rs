//! Which row builder serves which declared table. A table without one is empty: Tarn has no object of its kind.
//! Next: the builders, by what they list: `schemas`, `relations`, `columns`, `constraint_rows`, `roles`, `grants`, `builtin`, `tables`,
//! `commits`.

use std::sync::Arc;

use super::context::SystemContext;
use super::declared::Declared;
use super::keys::Keys;
use super::value::Rows;
use super::{
    builtin, columns, commits, constraint_rows, crawlers, functions, grants, health, relations, roles,
    schemas, sessions, tables,
};
use crate::error::Result;

/// Catalogs of kinds of objects that do not exist here, which are empty whoever asks.
pub const EMPTY: &[&str] = &[
    "pg_enum",
    "pg_event_trigger",
    "pg_foreign_table",
    "pg_inherits",
    "pg_partitioned_table",
    "pg_policy",
    "pg_publication",
    "pg_range",
    "pg_sequence",
    "pg_statistic_ext",
    "pg_trigger",
];

/// One read of one system table.
#[derive(Debug)]
pub struct Scan {
    pub context: Arc<SystemContext>,
    pub declared: &'static Declared,
    pub keys: Keys,
    /// The wanted columns, counted from 0.
    pub projection: Vec<usize>,
}

impl Scan {
    /// An empty set of rows of this table.
    pub fn rows(&self) -> Rows {
        Rows::new(self.declared)
    }

    /// Whether anybody looks at a column; what is costly to find is found only then.
    pub fn wants(&self, column: &str) -> bool {
        self.projection.iter().any(|index| self.declared.columns[*index].name == column)
    }
}

/// The rows of a system table that the scan's keys admit, and perhaps more.
pub async fn rows(scan: &Scan) -> Result<Rows> {
    match (scan.declared.schema.name, scan.declared.name) {
        ("pg_catalog", "pg_namespace") => schemas::pg_namespace(scan),
        ("pg_catalog", "pg_class") => relations::pg_class(scan).await,
        ("pg_catalog", "pg_tables") => relations::pg_tables(scan),
        ("pg_catalog", "pg_views") => relations::pg_views(scan),
        ("pg_catalog", "pg_stat_user_tables" | "pg_stat_all_tables") => relations::pg_stat_tables(scan),
        ("pg_catalog", "pg_statio_user_tables" | "pg_statio_all_tables") => relations::pg_statio_tables(scan),
        ("pg_catalog", "pg_attribute") => columns::pg_attribute(scan).await,
        ("pg_catalog", "pg_constraint") => constraint_rows::pg_constraint(scan),
        ("pg_catalog", "pg_index") => constraint_rows::pg_index(scan),
        ("pg_catalog", "pg_indexes") => constraint_rows::pg_indexes(scan),
        ("pg_catalog", "pg_attrdef") => columns::pg_attrdef(scan).await,
        ("pg_catalog", "pg_description") => columns::pg_description(scan).await,
        ("pg_catalog", "pg_roles") => roles::pg_roles(scan),
        ("pg_catalog", "pg_user") => roles::pg_user(scan),
        ("pg_catalog", "pg_group") => roles::pg_group(scan),
        ("pg_catalog", "pg_auth_members") => roles::pg_auth_members(scan),
        ("pg_catalog", "pg_shdescription") => roles::pg_shdescription(scan),
        ("pg_catalog", "pg_type") => builtin::pg_type(scan),
        ("pg_catalog", "pg_am") => builtin::pg_am(scan),
        ("pg_catalog", "pg_collation") => builtin::pg_collation(scan),
        ("pg_catalog", "pg_tablespace") => builtin::pg_tablespace(scan),
        ("pg_catalog", "pg_database") => builtin::pg_database(scan),
        ("pg_catalog", "pg_settings") => builtin::pg_settings(scan),
        ("pg_catalog", "pg_proc") => functions::pg_proc(scan),
        ("pg_catalog", "pg_language") => functions::pg_language(scan),
        ("information_schema", "information_schema_catalog_name") => schemas::catalog_name(scan),
        ("information_schema", "schemata") => schemas::schemata(scan),
        ("information_schema", "tables") => relations::information_tables(scan),
        ("information_schema", "views") => relations::information_views(scan),
        ("information_schema", "columns") => columns::information_columns(scan).await,
        ("information_schema", "table_constraints") => constraint_rows::table_constraints(scan),
        ("information_schema", "key_column_usage") => constraint_rows::key_column_usage(scan),
        ("information_schema", "referential_constraints") => constraint_rows::referential_constraints(scan),
        ("information_schema", "check_constraints") => constraint_rows::check_constraints(scan),
        ("information_schema", "constraint_column_usage") => constraint_rows::constraint_column_usage(scan),
        ("information_schema", "constraint_table_usage") => constraint_rows::constraint_table_usage(scan),
        ("information_schema", "table_privileges" | "role_table_grants") => grants::table_privileges(scan),
        ("information_schema", "applicable_roles") => roles::applicable_roles(scan),
        ("information_schema", "enabled_roles") => roles::enabled_roles(scan),
        ("pg_catalog", "pg_locks") => sessions::pg_locks(scan),
        ("pg_catalog", "pg_stat_activity") => sessions::pg_stat_activity(scan),
        ("system", "unhandled_probes") => sessions::unhandled_probes(scan),
        ("system", "schemas") => schemas::system_schemas(scan),
        ("system", "tables") => tables::system_tables(scan),
        ("system", "views") => tables::system_views(scan),
        ("system", "columns") => columns::system_columns(scan).await,
        ("system", "crawlers") => crawlers::crawlers(scan),
        ("system", "crawler_runs") => crawlers::crawler_runs(scan),
        ("system", "crawler_changes") => crawlers::crawler_changes(scan),
        ("system", "inference") => crawlers::inference(scan),
        ("system", "commits") => commits::system_commits(scan),
        ("system", "snapshots") => tables::system_snapshots(scan).await,
        ("system", "table_health") => health::table_health(scan).await,
        ("system", "roles") => roles::system_roles(scan),
        ("system", "grants") => grants::system_grants(scan),
        ("system", "settings") => builtin::system_settings(scan),
        _ => Ok(scan.rows()),
    }
}
