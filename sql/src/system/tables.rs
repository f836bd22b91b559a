//! Our own listings of tables: `system.tables`, `system.views`, `system.snapshots`. They say what PostgreSQL's cannot:
//! where a table's metadata is, what its snapshots are, what files an external table reads.

use std::collections::BTreeMap;

use iceberg::spec::{Snapshot, TableMetadata};
use tarn_catalog::RoleId;
use tarn_catalog::object::{RelationKind, TablePointer};

use super::rows::Scan;
use super::value::{Rows, Value};
use super::visible::{Found, RelationKeys};
use crate::error::{Error, Result};

pub const TABLE_KEYS: RelationKeys =
    RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "schema" };

pub fn system_tables(scan: &Scan) -> Result<Rows> {
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, TABLE_KEYS)? {
        push_table(scan, &mut rows, &owners, &found)?;
    }
    Ok(rows)
}

fn push_table(scan: &Scan, rows: &mut Rows, owners: &BTreeMap<RoleId, String>, found: &Found) -> Result<()> {
    let relation = &found.relation;
    let pointer = scan.context.reader.pointer(relation.id)?;
    let of_pointer = |read: fn(&TablePointer) -> Value| pointer.as_ref().map_or(Value::Null, read);
    let problem = scan.context.reader.unsupported(relation.id)?;
    let (kind, format, location) = match &relation.kind {
        RelationKind::Table => {
            let location = of_pointer(|pointer| pointer.location.as_str().into());
            if problem.is_some() {
                ("unsupported", None, location)
            } else {
                ("table", Some("parquet"), location)
            }
        }
        RelationKind::External(table) => {
            ("external", Some(table.format.name()), external_location(table).into())
        }
        RelationKind::View(_) => ("view", None, Value::Null),
    };
    rows.push([
        ("catalog", scan.context.database.as_str().into()),
        ("schema", found.namespace.name.as_str().into()),
        ("table_name", relation.name.as_str().into()),
        ("kind", kind.into()),
        ("owner", owners.get(&relation.owner).cloned().unwrap_or_default().into()),
        ("metadata_location", of_pointer(|pointer| pointer.metadata_location.as_str().into())),
        ("location", location),
        ("format", format.into()),
        ("format_version", of_pointer(|pointer| i32::from(pointer.format_version).into())),
        ("table_uuid", of_pointer(|pointer| pointer.uuid.to_string().into())),
        ("snapshot_id", of_pointer(|pointer| pointer.snapshot_id.into())),
        ("rows", of_pointer(|pointer| pointer.row_count.into())),
        ("bytes", of_pointer(|pointer| pointer.bytes.into())),
        ("created_at", (relation.created_at_ms * 1000).into()),
        ("comment", relation.comment.as_deref().into()),
        ("problem", problem.into()),
    ])
}

/// A folder's pattern belongs to what is read.
fn external_location(table: &tarn_catalog::object::ExternalTable) -> String {
    format!("{}{}", table.location, table.pattern.as_deref().unwrap_or_default())
}

pub fn system_views(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { name: "view_name", ..TABLE_KEYS };
    let owners = scan.context.role_names()?;
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, keys)? {
        let RelationKind::View(view) = found.relation.kind else { continue };
        rows.push([
            ("catalog", scan.context.database.as_str().into()),
            ("schema", found.namespace.name.into()),
            ("view_name", found.relation.name.into()),
            ("owner", owners.get(&found.relation.owner).cloned().unwrap_or_default().into()),
            ("definition", view.sql.into()),
            ("search_path", view.search_path.into()),
            ("created_at", (found.relation.created_at_ms * 1000).into()),
            ("comment", found.relation.comment.into()),
        ])?;
    }
    Ok(rows)
}

/// Reads the metadata of every table the keys admit, one after the other, so that a long listing stays gentle.
pub async fn system_snapshots(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    for found in scan.context.relations(&scan.keys, TABLE_KEYS)? {
        if !matches!(found.relation.kind, RelationKind::Table) {
            continue;
        }
        match scan.context.reader.table(found.relation.id).await {
            Ok(version) => push_snapshots(scan, &mut rows, &found, &version.metadata)?,
            Err(error) if scan.keys.texts("table_name").is_some() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(relation = found.relation.id.0, %error, "snapshots cannot be listed");
            }
        }
    }
    Ok(rows)
}

fn push_snapshots(scan: &Scan, rows: &mut Rows, found: &Found, metadata: &TableMetadata) -> Result<()> {
    let mut snapshots: Vec<_> = metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| snapshot.sequence_number());
    for snapshot in snapshots {
        rows.push([
            ("catalog", scan.context.database.as_str().into()),
            ("schema", found.namespace.name.as_str().into()),
            ("table_name", found.relation.name.as_str().into()),
            ("snapshot_id", snapshot.snapshot_id().into()),
            ("parent_id", snapshot.parent_snapshot_id().into()),
            ("sequence_number", snapshot.sequence_number().into()),
            ("committed_at", (snapshot.timestamp_ms() * 1000).into()),
            ("operation", snapshot.summary().operation.as_str().into()),
            ("current", (metadata.current_snapshot_id() == Some(snapshot.snapshot_id())).into()),
            ("added_rows", figure(snapshot, "added-records")),
            ("rows", figure(snapshot, "total-records")),
            ("bytes", figure(snapshot, "total-files-size")),
            ("manifest_list", snapshot.manifest_list().into()),
            ("summary", summary(snapshot)?.into()),
        ])?;
    }
    Ok(())
}

fn figure(snapshot: &Snapshot, name: &str) -> Value {
    let text = snapshot.summary().additional_properties.get(name);
    text.and_then(|text| text.parse::<i64>().ok()).into()
}

/// The summary's properties in the order of their names, so that two looks give the same text.
fn summary(snapshot: &Snapshot) -> Result<String> {
    let properties: BTreeMap<_, _> = snapshot.summary().additional_properties.iter().collect();
    serde_json::to_string(&properties)
        .map_err(|error| Error::internal(format!("a snapshot summary cannot be shown: {error}")))
}
