//! What becomes of a table's manifests in a new snapshot: those that lose files are written again, and when there are
//! many small ones they are merged. Only live entries are carried on, so that no file that was deleted once comes back
//! (the error that iceberg-rust#2678 describes).

use std::collections::HashSet;

use iceberg::spec::{ManifestContentType, ManifestFile, Struct, TableMetadata};

use super::read::{Decoded, LiveFile, decode, is_live, manifests_without_deletes};
use super::write::{Entry, ManifestOutput};
use crate::error::{Error, ErrorKind, Result};

/// Iceberg's defaults for the table properties of the same meaning.
const MERGE_COUNT_MIN: usize = 100;
const MERGE_BYTES_TARGET: i64 = 8 << 20;

/// Which live files go.
#[derive(Debug)]
pub enum Removal {
    None,
    All,
    /// Those in one of these partitions of this spec.
    Partitions {
        spec_id: i32,
        partitions: HashSet<Struct>,
    },
}

impl Removal {
    /// Whether this file goes. A file of another spec may hold rows of several partitions of this one.
    pub fn takes(&self, live: &LiveFile) -> Result<bool> {
        match self {
            Removal::None => Ok(false),
            Removal::All => Ok(true),
            Removal::Partitions { spec_id, partitions } if live.spec_id == *spec_id => {
                Ok(partitions.contains(live.file.partition()))
            }
            Removal::Partitions { .. } => Err(Error::new(
                ErrorKind::Unsupported,
                "the table has files of an older partitioning, so single partitions cannot be overwritten",
            )
            .with_hint("Overwrite the whole table, which brings all its rows under the new partitioning.")),
        }
    }
}

/// Takes files out of a snapshot's manifests. Returns the manifests that the next snapshot has of them, newest first, and
/// the files that went.
pub async fn remove(
    output: &mut ManifestOutput<'_>,
    manifests: &[ManifestFile],
    removal: &Removal,
) -> Result<(Vec<ManifestFile>, Vec<LiveFile>)> {
    let live: Vec<ManifestFile> = manifests.iter().filter(|manifest| is_live(manifest)).cloned().collect();
    if matches!(removal, Removal::None) {
        return Ok((live, Vec::new()));
    }
    let mut rewritten = Vec::new();
    let mut kept = Vec::new();
    let mut removed = Vec::new();
    for manifest in manifests_without_deletes(&live)? {
        let decoded = decode(output.storage, output.table, manifest).await?;
        let mut entries = Vec::new();
        let before = removed.len();
        for file in &decoded.live {
            if removal.takes(file)? {
                removed.push(file.clone());
                entries.push(Entry::Deleted(file.clone()));
            } else {
                entries.push(Entry::Existing(file.clone()));
            }
        }
        if removed.len() == before {
            kept.push(manifest.clone());
        } else {
            rewritten.extend(output.write(&decoded.schema, &decoded.spec, entries).await?);
        }
    }
    rewritten.extend(kept);
    Ok((rewritten, removed))
}

/// Merges small manifests of earlier snapshots, newest first, as the table's properties ask. Manifests of this snapshot
/// are not touched: they have no sequence number yet.
pub async fn merge(
    output: &mut ManifestOutput<'_>,
    metadata: &TableMetadata,
    manifests: Vec<ManifestFile>,
) -> Result<Vec<ManifestFile>> {
    let properties = metadata.properties();
    if properties
        .get("commit.manifest-merge.enabled")
        .is_some_and(|value| value.eq_ignore_ascii_case("false"))
    {
        return Ok(manifests);
    }
    let number =
        |name: &str| properties.get(name).and_then(|value| value.parse::<i64>().ok()).filter(|n| *n > 0);
    let target = number("commit.manifest.target-size-bytes").unwrap_or(MERGE_BYTES_TARGET);
    let count_min = number("commit.manifest.min-count-to-merge").and_then(|n| usize::try_from(n).ok());
    let mut merged = Vec::new();
    let mut gone = HashSet::new();
    for bin in bins(&manifests, output.snapshot_id, target, count_min.unwrap_or(MERGE_COUNT_MIN)) {
        for group in of_one_schema(output, bin).await? {
            let entries =
                |decoded: &Decoded| decoded.live.iter().cloned().map(Entry::Existing).collect::<Vec<_>>();
            let all = group.iter().flat_map(|(_, decoded)| entries(decoded)).collect();
            let first = &group[0].1;
            merged.extend(output.write(&first.schema, &first.spec, all).await?);
            gone.extend(group.iter().map(|(manifest, _)| manifest.manifest_path.clone()));
        }
    }
    // What this snapshot wrote itself stays in front.
    merged.extend(manifests.into_iter().filter(|manifest| !gone.contains(&manifest.manifest_path)));
    Ok(merged)
}

/// Sets of manifests to be merged. They are filled from the oldest on, so that full ones are left alone from then on;
/// the newest set waits until it has `count_min` members, the one that this snapshot adds included. Pure.
fn bins(
    manifests: &[ManifestFile],
    snapshot_id: i64,
    target: i64,
    count_min: usize,
) -> Vec<Vec<&ManifestFile>> {
    let mergeable = |manifest: &&ManifestFile| {
        manifest.content == ManifestContentType::Data && manifest.added_snapshot_id != snapshot_id
    };
    let mut specs: Vec<i32> =
        manifests.iter().filter(mergeable).map(|manifest| manifest.partition_spec_id).collect();
    specs.sort_unstable();
    specs.dedup();
    let mut chosen = Vec::new();
    for spec in specs {
        let mut sets: Vec<Vec<&ManifestFile>> = Vec::new();
        let mut bytes = 0;
        for manifest in
            manifests.iter().filter(mergeable).filter(|manifest| manifest.partition_spec_id == spec).rev()
        {
            match sets.last_mut().filter(|_| bytes + manifest.manifest_length <= target) {
                Some(set) => {
                    set.push(manifest);
                    bytes += manifest.manifest_length;
                }
                None => {
                    sets.push(vec![manifest]);
                    bytes = manifest.manifest_length;
                }
            }
        }
        let newest = sets.pop().filter(|set| set.len() + 1 >= count_min);
        chosen.extend(sets.into_iter().chain(newest).filter(|set| set.len() > 1));
    }
    chosen
}

type Group<'a> = Vec<(&'a ManifestFile, std::sync::Arc<Decoded>)>;

/// Splits a bin by the schema its manifests were written with: bounds and partition values are of that schema's types.
/// A manifest that stays alone needs no merging.
async fn of_one_schema<'a>(
    output: &ManifestOutput<'_>,
    bin: Vec<&'a ManifestFile>,
) -> Result<Vec<Group<'a>>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for manifest in bin {
        let decoded = decode(output.storage, output.table, manifest).await?;
        match groups
            .iter_mut()
            .find(|group| group[0].1.schema == decoded.schema && group[0].1.spec == decoded.spec)
        {
            Some(group) => group.push((manifest, decoded)),
            None => groups.push(vec![(manifest, decoded)]),
        }
    }
    groups.retain(|group| group.len() > 1);
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: usize, bytes: i64, spec: i32) -> ManifestFile {
        ManifestFile {
            manifest_path: path.to_string(),
            manifest_length: bytes,
            partition_spec_id: spec,
            content: ManifestContentType::Data,
            sequence_number: 1,
            min_sequence_number: 1,
            added_snapshot_id: 1,
            added_files_count: Some(1),
            existing_files_count: Some(0),
            deleted_files_count: Some(0),
            added_rows_count: Some(1),
            existing_rows_count: Some(0),
            deleted_rows_count: Some(0),
            partitions: None,
            key_metadata: None,
            first_row_id: None,
        }
    }

    /// Sizes of the manifests, newest first, to the paths of each set.
    fn check(sizes: &[i64], count_min: usize, expected: &[&[&str]]) {
        let manifests: Vec<_> =
            sizes.iter().enumerate().map(|(path, bytes)| manifest(path, *bytes, 0)).collect();
        let paths =
            |set: &Vec<&ManifestFile>| set.iter().map(|manifest| manifest.manifest_path.clone()).collect();
        let got: Vec<Vec<String>> = bins(&manifests, 2, 100, count_min).iter().map(paths).collect();
        assert_eq!(got, expected, "sizes {sizes:?}");
    }

    #[test]
    fn small_manifests_wait_for_their_number_and_full_ones_are_left_alone() {
        check(&[], 3, &[]);
        check(&[10], 3, &[]);
        check(&[10, 10], 3, &[&["1", "0"]]);
        check(&[10, 10], 4, &[]);
        check(&[10, 10, 100, 100], 4, &[]);
        check(&[10, 60, 30, 50, 50], 9, &[&["4", "3"]]);
        check(&[10, 10, 60, 30, 50, 50], 9, &[&["5", "4"], &["3", "2", "1"]]);
        check(&[10, 10, 95, 5, 50, 50], 3, &[&["5", "4"], &["3", "2"], &["1", "0"]]);
    }

    #[test]
    fn manifests_of_this_snapshot_and_of_other_specs_do_not_mix() {
        let manifests = [manifest(0, 10, 0), manifest(1, 10, 1), manifest(2, 10, 0), manifest(3, 10, 1)];
        assert_eq!(bins(&manifests, 2, 100, 3).len(), 2);
        assert!(bins(&manifests, 1, 100, 3).is_empty());
    }
}
