//! Which snapshots, branches and tags have had their time, by the rules that other engines follow: a branch keeps its
//! newest snapshots by number and by age, a tag keeps the one it names, and the head of `main` never goes.
//! Pure: it must never read a file. Next: `reach.rs`, which says what nobody reaches afterwards.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};

use crate::error::{Error, Result};

const MIN_SNAPSHOTS: &str = "history.expire.min-snapshots-to-keep";
const MAX_SNAPSHOT_AGE: &str = "history.expire.max-snapshot-age-ms";
const MAX_REF_AGE: &str = "history.expire.max-ref-age-ms";

/// Iceberg's own default: five days.
const MAX_SNAPSHOT_AGE_MS: i64 = 5 * 24 * 60 * 60 * 1000;

/// What is asked for; what is not is taken from the table's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpireOptions {
    /// Snapshots younger than this stay.
    pub max_age_ms: Option<i64>,
    /// As many snapshots of each branch stay, however old.
    pub retain_last: Option<usize>,
    /// These go, and without the two above only these.
    pub snapshot_ids: Vec<i64>,
}

/// What has had its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Oldest first.
    pub snapshots: Vec<i64>,
    pub references: Vec<String>,
}

impl Expiry {
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.references.is_empty()
    }
}

/// Decides what goes. `references` are the table's branches and tags.
pub fn expiry(
    metadata: &TableMetadata,
    references: &BTreeMap<String, SnapshotReference>,
    options: &ExpireOptions,
    now_ms: i64,
) -> Result<Expiry> {
    let only_named =
        !options.snapshot_ids.is_empty() && options.max_age_ms.is_none() && options.retain_last.is_none();
    let (mut keep, mut gone) = (BTreeSet::new(), Vec::new());
    for (name, reference) in references {
        if !only_named && is_over(metadata, name, reference, now_ms)? {
            gone.push(name.clone());
        } else {
            keep.insert(name.as_str());
        }
    }
    let kept = |name: &&String| keep.contains(name.as_str());
    let heads: BTreeMap<&String, &SnapshotReference> =
        references.iter().filter(|(name, _)| kept(name)).collect();
    check_named(metadata, &heads, &options.snapshot_ids)?;
    let mut snapshots: BTreeSet<i64> = options.snapshot_ids.iter().copied().collect();
    if !only_named {
        let stays = staying(metadata, &heads, options, now_ms)?;
        let all = metadata.snapshots().map(|snapshot| snapshot.snapshot_id());
        snapshots.extend(all.filter(|id| !stays.contains(id)));
    }
    let mut snapshots: Vec<i64> = snapshots.into_iter().collect();
    snapshots.sort_by_key(|id| {
        let snapshot = metadata.snapshot_by_id(*id);
        (snapshot.map(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms())), *id)
    });
    Ok(Expiry { snapshots, references: gone })
}

/// Whether a branch or tag is older than it may get. Its age is that of the snapshot it names.
fn is_over(metadata: &TableMetadata, name: &str, reference: &SnapshotReference, now_ms: i64) -> Result<bool> {
    if name == MAIN_BRANCH {
        return Ok(false);
    }
    let Some(snapshot) = metadata.snapshot_by_id(reference.snapshot_id) else { return Ok(true) };
    let own = match reference.retention {
        SnapshotRetention::Branch { max_ref_age_ms, .. } | SnapshotRetention::Tag { max_ref_age_ms } => {
            max_ref_age_ms
        }
    };
    let age_max = match own {
        Some(age) => Some(age),
        None => number(metadata, MAX_REF_AGE)?,
    };
    Ok(age_max.is_some_and(|age_max| now_ms.saturating_sub(snapshot.timestamp_ms()) > age_max))
}

/// A snapshot that is asked to go must be there, and nothing that stays may name it.
fn check_named(
    metadata: &TableMetadata,
    heads: &BTreeMap<&String, &SnapshotReference>,
    ids: &[i64],
) -> Result<()> {
    for id in ids {
        if metadata.snapshot_by_id(*id).is_none() {
            return Err(Error::invalid(format!("there is no snapshot {id}"))
                .with_hint("The table's snapshots are in the table named with $snapshots."));
        }
        if let Some((name, _)) = heads.iter().find(|(_, reference)| reference.snapshot_id == *id) {
            return Err(Error::invalid(format!("snapshot {id} cannot expire: \"{name}\" is at it"))
                .with_hint("Drop or move the branch or tag first."));
        }
    }
    Ok(())
}

/// The snapshots that stay: those that branches and tags keep, and the young ones that none of them leads to.
fn staying(
    metadata: &TableMetadata,
    heads: &BTreeMap<&String, &SnapshotReference>,
    options: &ExpireOptions,
    now_ms: i64,
) -> Result<BTreeSet<i64>> {
    let age_max = match options.max_age_ms {
        Some(age) => age,
        None => number(metadata, MAX_SNAPSHOT_AGE)?.unwrap_or(MAX_SNAPSHOT_AGE_MS),
    };
    let count_min = match options.retain_last {
        Some(count) => count,
        None => number(metadata, MIN_SNAPSHOTS)?.and_then(|count| usize::try_from(count).ok()).unwrap_or(1),
    };
    let (mut stays, mut led_to) = (BTreeSet::new(), BTreeSet::new());
    for reference in heads.values() {
        stays.insert(reference.snapshot_id);
        let SnapshotRetention::Branch { min_snapshots_to_keep, max_snapshot_age_ms, .. } =
            reference.retention
        else {
            led_to.insert(reference.snapshot_id);
            continue;
        };
        let own_count = min_snapshots_to_keep.and_then(|count| usize::try_from(count).ok());
        let count_min = own_count.unwrap_or(count_min).max(1);
        let since_ms = now_ms.saturating_sub(max_snapshot_age_ms.unwrap_or(age_max));
        let mut still = true;
        for (count, id) in ancestry(metadata, reference.snapshot_id).into_iter().enumerate() {
            led_to.insert(id);
            let at_ms = metadata.snapshot_by_id(id).map_or(i64::MIN, |snapshot| snapshot.timestamp_ms());
            still = still && (count < count_min || at_ms >= since_ms);
            if still {
                stays.insert(id);
            }
        }
    }
    let since_ms = now_ms.saturating_sub(age_max);
    let loose = metadata
        .snapshots()
        .filter(|snapshot| !led_to.contains(&snapshot.snapshot_id()) && snapshot.timestamp_ms() >= since_ms);
    stays.extend(loose.map(|snapshot| snapshot.snapshot_id()));
    Ok(stays)
}

/// A snapshot and those before it, newest first, as far as the table still has them.
fn ancestry(metadata: &TableMetadata, head: i64) -> Vec<i64> {
    let (mut ids, mut seen) = (Vec::new(), BTreeSet::new());
    let mut next = metadata.snapshot_by_id(head);
    while let Some(snapshot) = next {
        // Metadata of others may go in a circle.
        if !seen.insert(snapshot.snapshot_id()) {
            break;
        }
        ids.push(snapshot.snapshot_id());
        next = snapshot.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent));
    }
    ids
}

fn number(metadata: &TableMetadata, property: &str) -> Result<Option<i64>> {
    let Some(text) = metadata.properties().get(property) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => Err(Error::invalid(format!("invalid value \"{text}\" for table property {property}"))
            .with_hint("Give a whole number that is not negative.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const NOW: i64 = 100 * DAY;

    /// Snapshots as `(id, parent, age in days)`, references as `(name, id, retention)`, what is asked, what goes.
    fn check(
        snapshots: &[(i64, i64, i64)],
        references: &[(&str, i64, SnapshotRetention)],
        options: &ExpireOptions,
        expect: (&[i64], &[&str]),
    ) {
        let metadata = metadata(snapshots, &serde_json::json!({}));
        let references = references.iter().map(|(name, snapshot_id, retention)| {
            ((*name).to_owned(), SnapshotReference::new(*snapshot_id, retention.clone()))
        });
        let got = expiry(&metadata, &references.collect(), options, NOW).expect("the table is good");
        let expect = Expiry {
            snapshots: expect.0.to_vec(),
            references: expect.1.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(got, expect, "{options:?}");
    }

    fn metadata(snapshots: &[(i64, i64, i64)], properties: &serde_json::Value) -> TableMetadata {
        let snapshots: Vec<_> = snapshots
            .iter()
            .enumerate()
            .map(|(place, (id, parent, age))| {
                let mut snapshot = serde_json::json!({
                    "snapshot-id": id, "sequence-number": place + 1, "timestamp-ms": NOW - age * DAY,
                    "manifest-list": format!("memory:///t/metadata/{id}.avro"),
                    "summary": {"operation": "append"}, "schema-id": 0,
                });
                if *parent > 0 {
                    snapshot["parent-snapshot-id"] = (*parent).into();
                }
                snapshot
            })
            .collect();
        let json = serde_json::json!({
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "memory:///t",
            "last-sequence-number": snapshots.len(), "last-updated-ms": NOW, "last-column-id": 1,
            "current-schema-id": 0, "schemas": [{"type": "struct", "schema-id": 0, "fields":
                [{"id": 1, "name": "a", "required": false, "type": "long"}]}],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": properties, "snapshots": snapshots,
        });
        serde_json::from_value(json).expect("the metadata is good")
    }

    fn branch(count: Option<i32>, age_days: Option<i64>, ref_days: Option<i64>) -> SnapshotRetention {
        let ms = |days: Option<i64>| days.map(|days| days * DAY);
        SnapshotRetention::branch(count, ms(age_days), ms(ref_days))
    }

    fn tag(ref_days: Option<i64>) -> SnapshotRetention {
        SnapshotRetention::Tag { max_ref_age_ms: ref_days.map(|days| days * DAY) }
    }

    fn older_than(days: i64) -> ExpireOptions {
        ExpireOptions { max_age_ms: Some(days * DAY), ..ExpireOptions::default() }
    }

    const LINE: [(i64, i64, i64); 4] = [(1, 0, 9), (2, 1, 8), (3, 2, 6), (4, 3, 1)];

    #[test]
    fn a_branch_keeps_its_newest_by_number_and_by_age() {
        let main = [("main", 4, branch(None, None, None))];
        check(&LINE, &main, &ExpireOptions::default(), (&[1, 2, 3], &[]));
        check(&LINE, &main, &older_than(7), (&[1, 2], &[]));
        check(&LINE, &main, &older_than(0), (&[1, 2, 3], &[]));
        let last = |count| ExpireOptions { retain_last: Some(count), ..older_than(0) };
        check(&LINE, &main, &last(0), (&[1, 2, 3], &[]));
        check(&LINE, &main, &last(3), (&[1], &[]));
        check(&LINE, &main, &last(9), (&[], &[]));
        check(&LINE, &[("main", 4, branch(Some(2), None, None))], &older_than(0), (&[1, 2], &[]));
        check(&LINE, &[("main", 4, branch(None, Some(7), None))], &older_than(0), (&[1, 2], &[]));
    }

    #[test]
    fn tags_and_other_branches_keep_what_they_name_until_they_are_over() {
        let main = ("main", 4, branch(None, None, None));
        check(&LINE, &[main.clone(), ("v1", 1, tag(None))], &older_than(0), (&[2, 3], &[]));
        check(&LINE, &[main.clone(), ("v1", 1, tag(Some(8)))], &older_than(0), (&[1, 2, 3], &["v1"]));
        check(&LINE, &[main.clone(), ("v1", 1, tag(Some(9)))], &older_than(0), (&[2, 3], &[]));
        let forked = [(1, 0, 9), (2, 1, 8), (3, 1, 7), (4, 2, 1)];
        let side = |retention| [main.clone(), ("side", 3, retention)];
        check(&forked, &side(branch(None, None, None)), &older_than(0), (&[1, 2], &[]));
        check(&forked, &side(branch(Some(2), None, None)), &older_than(0), (&[2], &[]));
        check(&forked, &side(branch(None, None, Some(2))), &older_than(0), (&[1, 2, 3], &["side"]));
        // A head stays however old, and main even with a reference age.
        check(&LINE[..1], &[("main", 1, branch(None, None, Some(1)))], &older_than(0), (&[], &[]));
    }

    #[test]
    fn what_no_branch_leads_to_stays_while_it_is_young() {
        let forked = [(1, 0, 9), (2, 1, 3), (3, 1, 2)];
        let main = [("main", 3, branch(None, None, None))];
        check(&forked, &main, &older_than(4), (&[1], &[]));
        check(&forked, &main, &older_than(3), (&[1], &[]));
        check(&forked, &main, &older_than(2), (&[1, 2], &[]));
    }

    #[test]
    fn named_snapshots_go_alone_and_never_from_under_a_name() {
        let main = [("main", 4, branch(None, None, None)), ("v2", 2, tag(Some(1)))];
        let named = |ids: &[i64]| ExpireOptions { snapshot_ids: ids.to_vec(), ..ExpireOptions::default() };
        check(&LINE, &main, &named(&[3, 1]), (&[1, 3], &[]));
        let references: BTreeMap<_, _> = main
            .iter()
            .map(|(name, id, kind)| ((*name).to_owned(), SnapshotReference::new(*id, kind.clone())))
            .collect();
        for id in [4, 2, 99] {
            assert!(
                expiry(&metadata(&LINE, &serde_json::json!({})), &references, &named(&[id]), NOW).is_err()
            );
        }
    }

    #[test]
    fn the_table_s_properties_are_the_defaults() {
        let references =
            BTreeMap::from([("main".to_owned(), SnapshotReference::new(4, branch(None, None, None)))]);
        let goes = |properties: serde_json::Value| {
            expiry(&metadata(&LINE, &properties), &references, &ExpireOptions::default(), NOW)
                .map(|expiry| expiry.snapshots)
        };
        assert_eq!(goes(serde_json::json!({ MIN_SNAPSHOTS: "3" })).ok(), Some(vec![1]));
        assert_eq!(
            goes(serde_json::json!({ MAX_SNAPSHOT_AGE: (7 * DAY).to_string() })).ok(),
            Some(vec![1, 2])
        );
        assert!(goes(serde_json::json!({ MIN_SNAPSHOTS: "many" })).is_err());
    }
}
