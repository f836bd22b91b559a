//! The rows of the catalogs and views that list constraints (`constraints.rs` says what they are).

use tarn_catalog::iceberg::{Constraint, ConstraintKind};
use tarn_catalog::name::is_temporary_namespace;

use super::builtin::DECLARED;
use super::constraints::{Constrained, action, is_key};
use super::rows::Scan;
use super::value::{Rows, Value};
use super::visible::RelationKeys;
use crate::error::Result;

/// The views of `information_schema` can be asked by table.
const TABLE_KEYS: RelationKeys =
    RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "table_schema" };

/// One by the schema of the constraint alone.
const CONSTRAINT_KEYS: RelationKeys =
    RelationKeys { oid: "", name: "", namespace_oid: "", namespace: "constraint_schema" };

pub fn pg_constraint(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "conrelid", name: "", namespace_oid: "connamespace", namespace: "" };
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, keys, "oid")? {
        for constraint in &table.constraints {
            push_constraint(scan, &mut rows, &table, constraint)?;
        }
    }
    Ok(rows)
}

fn push_constraint(scan: &Scan, rows: &mut Rows, table: &Constrained, constraint: &Constraint) -> Result<()> {
    let oid = table.oid(constraint);
    let mut foreign = None;
    let (mut deferrable, mut deferred, mut validated) = (false, false, true);
    let mut letters = [" ".to_owned(), " ".to_owned(), " ".to_owned()];
    let letter = match &constraint.kind {
        ConstraintKind::PrimaryKey { .. } => "p",
        ConstraintKind::Unique { .. } => "u",
        ConstraintKind::Check { validated: valid, .. } => {
            validated = *valid;
            "c"
        }
        ConstraintKind::ForeignKey {
            on_update, on_delete, full, deferrable: may, deferred: late, ..
        } => {
            let Some(referenced) = scan.context.referenced(table, &constraint.kind)? else { return Ok(()) };
            foreign = Some(referenced);
            (deferrable, deferred) = (*may, *late);
            letters =
                [on_update.to_string(), on_delete.to_string(), if *full { "f" } else { "s" }.to_owned()];
            "f"
        }
    };
    let [on_update, on_delete, matched] = letters;
    let index = match &foreign {
        Some(referenced) => referenced.key.as_ref().map_or(0, |(_, index, _)| *index),
        None if is_key(constraint) => oid,
        None => 0,
    };
    let expression = match &constraint.kind {
        ConstraintKind::Check { expression, .. } => Some(expression.clone()),
        _ => None,
    };
    rows.push([
        ("oid", oid.into()),
        ("conname", table.name(constraint).into()),
        ("connamespace", table.found.namespace.id.oid().into()),
        ("contype", letter.into()),
        ("condeferrable", deferrable.into()),
        ("condeferred", deferred.into()),
        ("convalidated", validated.into()),
        ("conrelid", table.found.relation.id.oid().into()),
        ("conindid", index.into()),
        ("confrelid", foreign.as_ref().map_or(0, |other| other.found.relation.id.oid()).into()),
        ("confupdtype", on_update.into()),
        ("confdeltype", on_delete.into()),
        ("confmatchtype", matched.into()),
        ("conislocal", true.into()),
        ("connoinherit", (letter != "c").into()),
        ("conkey", table.numbers(constraint.kind.columns()).into()),
        ("confkey", foreign.map(|other| other.numbers).into()),
        ("conbin", expression.into()),
    ])
}

/// Keys as the indexes that PostgreSQL would have for them.
pub fn pg_index(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "indrelid", name: "", namespace_oid: "", namespace: "" };
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, keys, "indexrelid")? {
        for key in table.keys() {
            let numbers = table.numbers(key.kind.columns());
            let none = || Value::from(vec![0_i64; numbers.len()]);
            rows.push([
                ("indexrelid", table.oid(key).into()),
                ("indrelid", table.found.relation.id.oid().into()),
                ("indnatts", count(numbers.len())),
                ("indnkeyatts", count(numbers.len())),
                ("indisunique", true.into()),
                ("indisprimary", matches!(key.kind, ConstraintKind::PrimaryKey { .. }).into()),
                ("indimmediate", true.into()),
                ("indisvalid", true.into()),
                ("indisready", true.into()),
                ("indislive", true.into()),
                ("indcollation", none()),
                ("indclass", none()),
                ("indoption", none()),
                ("indkey", numbers.into()),
            ])?;
        }
    }
    Ok(rows)
}

fn count(number: usize) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

pub fn pg_indexes(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "tablename", namespace_oid: "", namespace: "schemaname" };
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, keys, "")? {
        for key in table.keys() {
            rows.push([
                ("schemaname", table.found.namespace.name.as_str().into()),
                ("tablename", table.found.relation.name.as_str().into()),
                ("indexname", table.name(key).into()),
                ("indexdef", scan.context.index_definition(table.oid(key).into(), 0)?.into()),
            ])?;
        }
    }
    Ok(rows)
}

/// The indexes in `pg_class`, unless the query asks for other kinds of relations alone.
pub fn push_index_classes(scan: &Scan, rows: &mut Rows) -> Result<()> {
    if !scan.keys.admits_text("relkind", "i") {
        return Ok(());
    }
    let keys = RelationKeys { oid: "", name: "", namespace_oid: "relnamespace", namespace: "" };
    for table in scan.context.constrained_tables(&scan.keys, keys, "oid")? {
        for key in table.keys() {
            let relation = &table.found.relation;
            let temporary = is_temporary_namespace(&table.found.namespace.name);
            rows.push([
                ("oid", table.oid(key).into()),
                ("relname", table.name(key).into()),
                ("relnamespace", relation.namespace.oid().into()),
                ("relowner", relation.owner.oid().into()),
                ("relam", DECLARED.into()),
                ("relkind", "i".into()),
                ("relpersistence", if temporary { "t" } else { "p" }.into()),
                ("relnatts", count(key.kind.columns().len())),
                ("relispopulated", true.into()),
                ("relreplident", "n".into()),
            ])?;
        }
    }
    Ok(())
}

pub fn table_constraints(scan: &Scan) -> Result<Rows> {
    let database = scan.context.database.as_str();
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, TABLE_KEYS, "")? {
        for constraint in &table.constraints {
            let (word, deferrable, deferred, enforced) = match &constraint.kind {
                ConstraintKind::PrimaryKey { .. } => ("PRIMARY KEY", false, false, false),
                ConstraintKind::Unique { .. } => ("UNIQUE", false, false, false),
                ConstraintKind::Check { enforced, .. } => ("CHECK", false, false, *enforced),
                ConstraintKind::ForeignKey { deferrable, deferred, .. } => {
                    ("FOREIGN KEY", *deferrable, *deferred, false)
                }
            };
            let unique = (word == "UNIQUE").then_some("YES");
            rows.push([
                ("constraint_catalog", database.into()),
                ("constraint_schema", table.found.namespace.name.as_str().into()),
                ("constraint_name", table.name(constraint).into()),
                ("table_catalog", database.into()),
                ("table_schema", table.found.namespace.name.as_str().into()),
                ("table_name", table.found.relation.name.as_str().into()),
                ("constraint_type", word.into()),
                ("is_deferrable", yes_or_no(deferrable)),
                ("initially_deferred", yes_or_no(deferred)),
                ("enforced", yes_or_no(enforced)),
                ("nulls_distinct", unique.into()),
            ])?;
        }
    }
    Ok(rows)
}

fn yes_or_no(yes: bool) -> Value {
    if yes { "YES" } else { "NO" }.into()
}

pub fn key_column_usage(scan: &Scan) -> Result<Rows> {
    let database = scan.context.database.as_str();
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, TABLE_KEYS, "")? {
        for constraint in &table.constraints {
            if matches!(constraint.kind, ConstraintKind::Check { .. }) {
                continue;
            }
            let referenced = scan.context.referenced(&table, &constraint.kind)?;
            let names = table.names(constraint.kind.columns());
            for (place, column) in names.into_iter().enumerate() {
                let in_key = referenced.as_ref().and_then(|other| {
                    let (_, _, key) = other.key.as_ref()?;
                    key.iter().position(|id| Some(id) == other.ids.get(place))
                });
                rows.push([
                    ("constraint_catalog", database.into()),
                    ("constraint_schema", table.found.namespace.name.as_str().into()),
                    ("constraint_name", table.name(constraint).into()),
                    ("table_catalog", database.into()),
                    ("table_schema", table.found.namespace.name.as_str().into()),
                    ("table_name", table.found.relation.name.as_str().into()),
                    ("column_name", column.into()),
                    ("ordinal_position", count(place + 1)),
                    ("position_in_unique_constraint", in_key.map(|place| count(place + 1)).into()),
                ])?;
            }
        }
    }
    Ok(rows)
}

pub fn referential_constraints(scan: &Scan) -> Result<Rows> {
    let database = scan.context.database.as_str();
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, CONSTRAINT_KEYS, "")? {
        for constraint in &table.constraints {
            let ConstraintKind::ForeignKey { on_update, on_delete, full, .. } = &constraint.kind else {
                continue;
            };
            let Some(other) = scan.context.referenced(&table, &constraint.kind)? else { continue };
            let key = other.key.map(|(name, _, _)| name);
            rows.push([
                ("constraint_catalog", database.into()),
                ("constraint_schema", table.found.namespace.name.as_str().into()),
                ("constraint_name", table.name(constraint).into()),
                ("unique_constraint_catalog", key.as_ref().map(|_| database).into()),
                (
                    "unique_constraint_schema",
                    key.as_ref().map(|_| other.found.namespace.name.as_str()).into(),
                ),
                ("unique_constraint_name", key.clone().into()),
                ("match_option", if *full { "FULL" } else { "NONE" }.into()),
                ("update_rule", action(*on_update).into()),
                ("delete_rule", action(*on_delete).into()),
            ])?;
        }
    }
    Ok(rows)
}

pub fn check_constraints(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, CONSTRAINT_KEYS, "")? {
        for constraint in &table.constraints {
            let ConstraintKind::Check { expression, .. } = &constraint.kind else { continue };
            rows.push([
                ("constraint_catalog", scan.context.database.as_str().into()),
                ("constraint_schema", table.found.namespace.name.as_str().into()),
                ("constraint_name", table.name(constraint).into()),
                ("check_clause", format!("({expression})").into()),
            ])?;
        }
    }
    Ok(rows)
}

/// The columns that constraints are about: of a foreign key those that it leads to.
pub fn constraint_column_usage(scan: &Scan) -> Result<Rows> {
    usage(scan, true)
}

pub fn constraint_table_usage(scan: &Scan) -> Result<Rows> {
    usage(scan, false)
}

fn usage(scan: &Scan, of_columns: bool) -> Result<Rows> {
    let database = scan.context.database.as_str();
    let mut rows = scan.rows();
    for table in scan.context.constrained_tables(&scan.keys, CONSTRAINT_KEYS, "")? {
        for constraint in &table.constraints {
            let referenced = scan.context.referenced(&table, &constraint.kind)?;
            let (found, columns) = match &referenced {
                Some(other) => (&other.found, other.names.clone()),
                None if matches!(constraint.kind, ConstraintKind::ForeignKey { .. }) => continue,
                None => (&table.found, table.names(constraint.kind.columns())),
            };
            let columns = if of_columns { columns.into_iter().map(Some).collect() } else { vec![None] };
            for column in columns {
                let common = [
                    ("table_catalog", Value::from(database)),
                    ("table_schema", found.namespace.name.as_str().into()),
                    ("table_name", found.relation.name.as_str().into()),
                    ("constraint_catalog", database.into()),
                    ("constraint_schema", table.found.namespace.name.as_str().into()),
                    ("constraint_name", table.name(constraint).into()),
                ];
                match column {
                    Some(column) => {
                        let [a, b, c, d, e, f] = common;
                        rows.push([a, b, c, ("column_name", column.into()), d, e, f])?;
                    }
                    None => rows.push(common)?,
                }
            }
        }
    }
    Ok(rows)
}
