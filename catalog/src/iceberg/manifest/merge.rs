//! Merges a table's manifests when there are many small ones. Only live entries are carried on, so that no file that was
//! deleted once comes back (the error that iceberg-rust#2678 describes).

use std::collections::HashSet;

use iceberg::spec::{ManifestContentType, ManifestFile, TableMetadata};

use super::read::{Decoded, decode};
use super::write::{Entry, ManifestOutput};
use crate::error::Result;

/// Iceberg's defaults for the table properties of the same meaning.
const MERGE_COUNT_MIN: usize = 100;
const MERGE_BYTES_TARGET: i64 = 8 << 20;

/// Merges small manifests of earlier snapshots, newest first, as the table's properties ask. Manifests of this snapshot
/// are not touched: they have no sequence number yet. `at_once`: however few they are.
pub async fn merge(
    output: &mut ManifestOutput<'_>,
    metadata: &TableMetadata,
    manifests: Vec<ManifestFile>,
    at_once: bool,
) -> Result<Vec<ManifestFile>> {
    let properties = metadata.properties();
    let enabled = properties.get("commit.manifest-merge.enabled");
    if !at_once && enabled.is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(manifests);
    }
    let number =
        |name: &str| properties.get(name).and_then(|value| value.parse::<i64>().ok()).filter(|n| *n > 0);
    let target = number("commit.manifest.target-size-bytes").unwrap_or(MERGE_BYTES_TARGET);
    let count_min = number("commit.manifest.min-count-to-merge").and_then(|n| usize::try_from(n).ok());
    let count_min = if at_once { 0 } else { count_min.unwrap_or(MERGE_COUNT_MIN) };
    let mut merged = Vec::new();
    let mut gone = HashSet::new();
    for bin in bins(&manifests, output.snapshot_id, target, count_min) {
        for group in of_one_schema(output, bin).await? {
            let entries =
                |decoded: &Decoded| decoded.live.iter().cloned().map(Entry::Existing).collect::<Vec<_>>();
            let all = group.iter().flat_map(|(_, decoded)| entries(decoded)).collect();
            let first = &group[0].1;
            merged.extend(output.write(&first.schema, &first.spec, group[0].0.content, all).await?);
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
    let mergeable = |manifest: &&ManifestFile| manifest.added_snapshot_id != snapshot_id;
    let kind = |manifest: &ManifestFile| {
        (manifest.content == ManifestContentType::Deletes, manifest.partition_spec_id)
    };
    let mut kinds: Vec<(bool, i32)> = manifests.iter().filter(mergeable).map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut chosen = Vec::new();
    for each in kinds {
        let mut sets: Vec<Vec<&ManifestFile>> = Vec::new();
        let mut bytes = 0;
        for manifest in manifests.iter().filter(mergeable).filter(|manifest| kind(manifest) == each).rev() {
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
    fn data_and_deletes_do_not_mix() {
        let mut manifests = [manifest(0, 10, 0), manifest(1, 10, 0), manifest(2, 10, 0), manifest(3, 10, 0)];
        manifests[1].content = ManifestContentType::Deletes;
        manifests[3].content = ManifestContentType::Deletes;
        let bins = bins(&manifests, 2, 100, 3);
        assert_eq!(bins.len(), 2);
        assert!(bins.iter().all(|bin| bin.len() == 2 && bin[0].content == bin[1].content));
    }

    #[test]
    fn manifests_of_this_snapshot_and_of_other_specs_do_not_mix() {
        let manifests = [manifest(0, 10, 0), manifest(1, 10, 1), manifest(2, 10, 0), manifest(3, 10, 1)];
        assert_eq!(bins(&manifests, 2, 100, 3).len(), 2);
        assert!(bins(&manifests, 1, 100, 3).is_empty());
    }
}
