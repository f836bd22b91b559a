//! `system.table_health`: how much each table needs upkeep, what its policy is, and what the server did last.

use tarn_catalog::object::RelationKind;

use super::rows::Scan;
use super::tables::TABLE_KEYS;
use super::value::Rows;
use crate::error::Result;
use crate::upkeep::{Health, policy_text};

/// Reads the manifests of every table the keys admit, one after the other, so that a long listing stays gentle.
pub async fn table_health(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    let reader = &scan.context.reader;
    for found in scan.context.relations(&scan.keys, TABLE_KEYS)? {
        if !matches!(found.relation.kind, RelationKind::Table) {
            continue;
        }
        let health = async {
            let version = reader.table(found.relation.id).await?;
            Health::of(&found.relation, &version, reader).await
        };
        let health = match health.await {
            Ok(health) => health,
            Err(error) if scan.keys.texts("table_name").is_some() => return Err(error),
            Err(error) => {
                tracing::warn!(relation = found.relation.id.0, %error, "a table cannot be looked at");
                continue;
            }
        };
        let number = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        rows.push([
            ("catalog", scan.context.database.as_str().into()),
            ("schema", found.namespace.name.as_str().into()),
            ("table_name", found.relation.name.as_str().into()),
            ("data_files", number(health.data_files).into()),
            ("small_files", number(health.small_files).into()),
            ("delete_files", number(health.delete_files).into()),
            ("snapshots", number(health.snapshots).into()),
            ("bytes", number(health.bytes).into()),
            ("debt", number(health.debt()).into()),
            ("policy", policy_text(&health.policy).into()),
            ("last_run_at", health.record.last_run_ms.map(|ms| ms * 1000).into()),
            ("last_result", health.record.last_result.clone().into()),
            ("failures", i64::from(health.record.failures).into()),
            ("next_run_at", health.record.next_run_ms.map(|ms| ms * 1000).into()),
        ])?;
    }
    Ok(rows)
}
