//! How much a table needs upkeep: figures of its newest files, and one number to order tables by. Reads metadata only.

use tarn_catalog::Reader;
use tarn_catalog::iceberg::{SnapshotFiles, snapshot_files};
use tarn_catalog::object::{MaintenancePolicy, Relation};
use tarn_catalog::{TableVersion, UpkeepRecord};

use crate::error::Result;

/// Files below this are small, bytes.
pub(crate) const SMALL_FILE_BYTES: u64 = 32 << 20;

/// Snapshots beyond this number are a debt.
const SNAPSHOTS_MANY: usize = 100;

/// The figures of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Health {
    pub data_files: u64,
    pub small_files: u64,
    pub delete_files: u64,
    pub snapshots: u64,
    pub bytes: u64,
    pub policy: MaintenancePolicy,
    pub record: UpkeepRecord,
}

impl Health {
    pub async fn of(relation: &Relation, version: &TableVersion, reader: &Reader) -> Result<Health> {
        let metadata = &version.metadata;
        let mut health = Health {
            snapshots: metadata.snapshots().len() as u64,
            policy: reader.effective_policy(relation)?,
            record: reader.upkeep_record(relation.id)?,
            ..Health::default()
        };
        let Some(snapshot) = metadata.current_snapshot_id() else { return Ok(health) };
        let SnapshotFiles { data, deletes } = snapshot_files(reader.storage(), metadata, snapshot).await?;
        health.data_files = data.len() as u64;
        health.bytes = data.iter().map(|live| live.file.file_size_in_bytes()).sum();
        let small = data.iter().filter(|live| live.file.file_size_in_bytes() < SMALL_FILE_BYTES);
        health.small_files = small.count() as u64;
        health.delete_files = deletes.files().len() as u64;
        Ok(health)
    }

    /// Files that reads open for nothing, about: small ones beyond the first, deletes twice, old snapshots a little.
    pub fn debt(&self) -> u64 {
        let snapshots = self.snapshots.saturating_sub(SNAPSHOTS_MANY as u64) / 10;
        self.small_files.saturating_sub(1) + 2 * self.delete_files + snapshots
    }
}

/// A policy in the words of the statement that sets it.
pub(crate) fn policy_text(policy: &MaintenancePolicy) -> Option<String> {
    use tarn_catalog::object::Age;
    let age = |age: Age| match age {
        Age::Never => "off".to_owned(),
        Age::OlderThanMs(ms) if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        Age::OlderThanMs(ms) => format!("{ms}ms"),
    };
    let words = [
        policy.compact.map(|compact| format!("compact={}", if compact { "auto" } else { "off" })),
        policy.expire.map(|expire| format!("expire={}", age(expire))),
        policy.orphans.map(|orphans| format!("orphans={}", age(orphans))),
        policy.budget_bytes.map(|bytes| format!("budget={bytes}")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use tarn_catalog::object::Age;

    use super::*;

    #[test]
    fn debt_counts_what_reads_open_for_nothing() {
        let debt = |small_files, delete_files, snapshots| {
            Health { small_files, delete_files, snapshots, ..Health::default() }.debt()
        };
        assert_eq!(debt(0, 0, 1), 0);
        assert_eq!(debt(1, 0, 100), 0);
        assert_eq!(debt(11, 3, 300), 10 + 6 + 20);
    }

    #[test]
    fn a_policy_is_shown_as_it_is_set() {
        assert_eq!(policy_text(&MaintenancePolicy::default()), None);
        let policy = MaintenancePolicy {
            compact: Some(true),
            expire: Some(Age::OlderThanMs(7 * 86_400_000)),
            orphans: Some(Age::Never),
            budget_bytes: Some(1024),
        };
        let text = policy_text(&policy);
        assert_eq!(text.as_deref(), Some("compact=auto, expire=7d, orphans=off, budget=1024"));
    }
}
