//! The system tables that list relations, PostgreSQL's way: `pg_class`, `pg_tables`, `pg_views`,
//! `pg_stat_user_tables`, `information_schema.tables` and `.views`. System tables list themselves, too.
//!
//! External tables are ordinary tables (`r`) whose access method is their file format, so that `\dt` and every client
//! list them; `system.tables` says more (see `docs/postgres.md`).

use tarn_catalog::SUPERUSER;
use tarn_catalog::iceberg::{Constraint, ConstraintKind};
use tarn_catalog::name::is_temporary_namespace;
use tarn_catalog::object::{RelationKind, Securable};

use super::builtin::{AccessMethod, HEAP};
use super::columns;
use super::constraint_rows::push_index_classes;
use super::declared::{self, Declared};
use super::grants;
use super::keys::Keys;
use super::rows::Scan;
use super::value::{Rows, Value};
use super::visible::{Found, RelationKeys};
use crate::error::Result;

const CLASS_KEYS: RelationKeys =
    RelationKeys { oid: "oid", name: "relname", namespace_oid: "relnamespace", namespace: "" };

const TABLES_KEYS: RelationKeys =
    RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "table_schema" };

/// The system tables that the keys admit.
pub fn system_relations<'a>(
    scan: &'a Scan,
    keys: RelationKeys,
) -> impl Iterator<Item = &'static Declared> + use<'a> {
    declared::tables().iter().filter(move |table| {
        scan.keys.admits_int(keys.oid, table.oid)
            && scan.keys.admits_text(keys.name, table.name)
            && scan.keys.admits_int(keys.namespace_oid, table.schema.oid)
            && scan.keys.admits_text(keys.namespace, table.schema.name)
    })
}

pub async fn pg_class(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for table in system_relations(scan, CLASS_KEYS) {
        push_system_class(&mut rows, table)?;
    }
    for found in scan.context.relations(&scan.keys, CLASS_KEYS)? {
        push_class(scan, &mut rows, &found).await?;
    }
    push_index_classes(scan, &mut rows)?;
    Ok(rows)
}

fn push_system_class(rows: &mut Rows, table: &Declared) -> Result<()> {
    let postgres = table.schema.name == "pg_catalog";
    rows.push([
        ("oid", table.oid.into()),
        ("relname", table.name.into()),
        ("relnamespace", table.schema.oid.into()),
        ("relowner", SUPERUSER.oid().into()),
        ("relam", if table.view { 0.into() } else { HEAP.into() }),
        ("relkind", if table.view { "v" } else { "r" }.into()),
        ("relpersistence", "p".into()),
        ("relnatts", i64::try_from(table.columns.len()).unwrap_or(i64::MAX).into()),
        ("relispopulated", true.into()),
        ("relreplident", if postgres { "n" } else { "d" }.into()),
    ])
}

async fn push_class(scan: &Scan, rows: &mut Rows, found: &Found) -> Result<()> {
    let relation = &found.relation;
    let view = matches!(relation.kind, RelationKind::View(_));
    let count = if scan.wants("relnatts") { columns::count(&scan.context, relation).await? } else { 0 };
    let acl = if scan.wants("relacl") {
        grants::access_list(&scan.context, Some(Securable::Relation(relation.id)), relation.owner)?
    } else {
        Value::Null
    };
    let declared = declared_of(scan, found)?;
    rows.push([
        ("oid", relation.id.oid().into()),
        ("relname", relation.name.as_str().into()),
        ("relnamespace", relation.namespace.oid().into()),
        ("relowner", relation.owner.oid().into()),
        ("relhasindex", declared.keys.into()),
        ("relchecks", declared.checks.into()),
        ("relhastriggers", declared.foreign.into()),
        ("relam", AccessMethod::of(&relation.kind).map_or(0, |method| method.oid).into()),
        ("relkind", if view { "v" } else { "r" }.into()),
        ("relpersistence", if is_temporary_namespace(&found.namespace.name) { "t" } else { "p" }.into()),
        ("relnatts", count.into()),
        ("reltuples", Value::Float(row_count(scan, found)?.map_or(-1.0, as_estimate))),
        // relpages stays zero: there are no pages, and DuckDB asks a table that has some for rows by their `ctid`.
        ("relhasrules", view.into()),
        ("relispopulated", true.into()),
        ("relreplident", "d".into()),
        ("relacl", acl),
    ])
}

/// What a table declares, as `pg_class` tells.
#[derive(Default)]
struct DeclaredFigures {
    keys: bool,
    checks: i64,
    /// Foreign keys lead from it or to it: PostgreSQL has triggers for them, and psql asks for them only then.
    foreign: bool,
}

fn declared_of(scan: &Scan, found: &Found) -> Result<DeclaredFigures> {
    let mut figures = DeclaredFigures::default();
    if !["relhasindex", "relchecks", "relhastriggers"].into_iter().any(|column| scan.wants(column)) {
        return Ok(figures);
    }
    let context = &scan.context;
    let Some(table) = context.constrained(found.clone())? else { return Ok(figures) };
    for constraint in &table.constraints {
        match constraint.kind {
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => figures.keys = true,
            ConstraintKind::Check { .. } => figures.checks += 1,
            ConstraintKind::ForeignKey { .. } => figures.foreign = true,
        }
    }
    let one = scan.keys.ints("oid").is_some_and(|oids| oids.len() == 1);
    if one && figures.keys && !figures.foreign && scan.wants("relhastriggers") {
        let none = RelationKeys { oid: "", name: "", namespace_oid: "", namespace: "" };
        let here = Some(found.relation.id);
        let leads_here = |constraint: &Constraint| matches!(constraint.kind, ConstraintKind::ForeignKey { table, .. } if table == here);
        let tables = context.constrained_tables(&Keys::default(), none, "")?;
        figures.foreign = tables.iter().any(|table| table.constraints.iter().any(leads_here));
    }
    Ok(figures)
}

/// Row counts above 2^53 lose digits; `reltuples` is an estimate.
#[allow(clippy::cast_precision_loss)]
fn as_estimate(rows: u64) -> f64 {
    rows as f64
}

/// The rows of an Iceberg table, which its pointer tells; of anything else they are not known without reading it.
fn row_count(scan: &Scan, found: &Found) -> Result<Option<u64>> {
    Ok(match &found.relation.kind {
        RelationKind::Table => {
            scan.context.reader.pointer(found.relation.id)?.map(|pointer| pointer.row_count)
        }
        RelationKind::External(_) | RelationKind::View(_) => None,
    })
}

pub fn pg_tables(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "tablename", namespace_oid: "", namespace: "schemaname" };
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for table in system_relations(scan, keys).filter(|table| !table.view) {
        let owner = owners.get(&SUPERUSER).cloned();
        rows.push([
            ("schemaname", table.schema.name.into()),
            ("tablename", table.name.into()),
            ("tableowner", owner.into()),
            ("hasindexes", false.into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ])?;
    }
    for found in scan.context.relations(&scan.keys, keys)? {
        if matches!(found.relation.kind, RelationKind::View(_)) {
            continue;
        }
        let constrained = match scan.wants("hasindexes") {
            true => scan.context.constrained(found.clone())?,
            false => None,
        };
        let keys = constrained.is_some_and(|table| table.keys().next().is_some());
        rows.push([
            ("schemaname", found.namespace.name.into()),
            ("tablename", found.relation.name.into()),
            ("tableowner", owners.get(&found.relation.owner).cloned().into()),
            ("hasindexes", keys.into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_views(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "viewname", namespace_oid: "", namespace: "schemaname" };
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, keys)? {
        let RelationKind::View(view) = found.relation.kind else { continue };
        rows.push([
            ("schemaname", found.namespace.name.into()),
            ("viewname", found.relation.name.into()),
            ("viewowner", owners.get(&found.relation.owner).cloned().into()),
            ("definition", view.sql.into()),
        ])?;
    }
    Ok(rows)
}

pub fn pg_stat_tables(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "relid", name: "relname", namespace_oid: "", namespace: "schemaname" };
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, keys)? {
        if matches!(found.relation.kind, RelationKind::View(_)) {
            continue;
        }
        let live = row_count(scan, &found)?;
        rows.push([
            ("relid", found.relation.id.oid().into()),
            ("schemaname", found.namespace.name.into()),
            ("relname", found.relation.name.into()),
            ("n_live_tup", live.into()),
            ("n_dead_tup", 0.into()),
        ])?;
    }
    Ok(rows)
}

/// Which tables there are; blocks are not counted.
pub fn pg_statio_tables(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "relid", name: "relname", namespace_oid: "", namespace: "schemaname" };
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, keys)? {
        if !matches!(found.relation.kind, RelationKind::View(_)) {
            rows.push([
                ("relid", found.relation.id.oid().into()),
                ("schemaname", found.namespace.name.into()),
                ("relname", found.relation.name.into()),
            ])?;
        }
    }
    Ok(rows)
}

pub fn information_tables(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    let mut push = |schema: &str, name: &str, view: bool, insertable: bool| {
        let table_type = match (view, is_temporary_namespace(schema)) {
            (true, _) => "VIEW",
            (false, true) => "LOCAL TEMPORARY",
            (false, false) => "BASE TABLE",
        };
        rows.push([
            ("table_catalog", scan.context.database.as_str().into()),
            ("table_schema", schema.into()),
            ("table_name", name.into()),
            ("table_type", table_type.into()),
            ("is_insertable_into", if insertable { "YES" } else { "NO" }.into()),
            ("is_typed", "NO".into()),
        ])
    };
    for table in system_relations(scan, TABLES_KEYS) {
        push(table.schema.name, table.name, true, false)?;
    }
    for found in scan.context.relations(&scan.keys, TABLES_KEYS)? {
        let view = matches!(found.relation.kind, RelationKind::View(_));
        let reader = &scan.context.reader;
        let insertable =
            reader.pointer(found.relation.id)?.is_some() && reader.unsupported(found.relation.id)?.is_none();
        push(&found.namespace.name, &found.relation.name, view, insertable)?;
    }
    Ok(rows)
}

pub fn information_views(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, TABLES_KEYS)? {
        let RelationKind::View(view) = found.relation.kind else { continue };
        rows.push([
            ("table_catalog", scan.context.database.as_str().into()),
            ("table_schema", found.namespace.name.into()),
            ("table_name", found.relation.name.into()),
            ("view_definition", view.sql.into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
            ("is_trigger_updatable", "NO".into()),
            ("is_trigger_deletable", "NO".into()),
            ("is_trigger_insertable_into", "NO".into()),
        ])?;
    }
    Ok(rows)
}
