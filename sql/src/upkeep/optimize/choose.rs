//! Which files of a table are worth rewriting, and together with which. Pure.

use std::collections::BTreeMap;

use iceberg::spec::Struct;

/// Groups are at most this many target files, so that a commit never waits for long and a conflict costs little.
const GROUP_TARGETS: u64 = 8;

/// A data file that may be rewritten.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub url: String,
    pub bytes: u64,
    pub spec_id: i32,
    pub partition: Struct,
    /// Delete files that apply to it.
    pub deletes: usize,
}

/// When a file is worth rewriting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Smaller files are joined.
    pub file_bytes_min: u64,
    /// Fewer files of a partition are not worth joining.
    pub files_min: usize,
    /// Files with as many delete files are rewritten, alone if need be.
    pub deletes_min: usize,
    pub group_bytes_max: u64,
    /// Every file, whatever its size.
    pub everything: bool,
}

impl Thresholds {
    pub fn for_target(self, target_bytes: u64) -> Thresholds {
        Thresholds { group_bytes_max: target_bytes.saturating_mul(GROUP_TARGETS), ..self }
    }
}

/// Files that are rewritten together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub files: Vec<Candidate>,
    pub bytes: u64,
}

/// Groups of files, the ones with most to gain first. `spec_id` is the partitioning that new files get.
pub(crate) fn choose(candidates: Vec<Candidate>, spec_id: i32, thresholds: &Thresholds) -> Vec<Group> {
    let mut partitions: BTreeMap<(i32, String), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let chosen = thresholds.everything
            || candidate.bytes < thresholds.file_bytes_min
            || candidate.deletes >= thresholds.deletes_min
            || candidate.spec_id != spec_id;
        if chosen {
            // Partition values have no order of their own, and any will do.
            let key = (candidate.spec_id, format!("{:?}", candidate.partition));
            partitions.entry(key).or_default().push(candidate);
        }
    }
    let bins = partitions.into_values().flat_map(|files| pack(files, thresholds.group_bytes_max));
    let mut groups: Vec<Group> = bins.filter(|group| is_worth(group, spec_id, thresholds)).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(gain(group)));
    groups
}

/// Fills groups in the files' order, which is that of their data where it has one.
fn pack(files: Vec<Candidate>, bytes_max: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for file in files {
        match groups.last_mut().filter(|group| group.bytes.saturating_add(file.bytes) <= bytes_max) {
            Some(group) => {
                group.bytes += file.bytes;
                group.files.push(file);
            }
            None => groups.push(Group { bytes: file.bytes, files: vec![file] }),
        }
    }
    groups
}

fn is_worth(group: &Group, spec_id: i32, thresholds: &Thresholds) -> bool {
    let for_itself = |file: &Candidate| file.deletes >= thresholds.deletes_min || file.spec_id != spec_id;
    let enough = group.files.len() > 1 && group.files.len() >= thresholds.files_min;
    thresholds.everything || enough || group.files.iter().any(for_itself)
}

/// Files that readers need not open any more.
fn gain(group: &Group) -> usize {
    group.files.iter().map(|file| 1 + file.deletes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use iceberg::spec::Literal;

    fn file(url: &str, bytes: u64, partition: i32, deletes: usize, spec_id: i32) -> Candidate {
        let partition = Struct::from_iter([Some(Literal::int(partition))]);
        Candidate { url: url.to_owned(), bytes, spec_id, partition, deletes }
    }

    fn check(files: &[Candidate], change: impl Fn(&mut Thresholds), expect: &[&[&str]]) {
        let mut thresholds = Thresholds {
            file_bytes_min: 75,
            files_min: 2,
            deletes_min: 1,
            group_bytes_max: 800,
            everything: false,
        };
        change(&mut thresholds);
        let groups = choose(files.to_vec(), 1, &thresholds);
        let urls: Vec<Vec<&str>> =
            groups.iter().map(|group| group.files.iter().map(|file| file.url.as_str()).collect()).collect();
        assert_eq!(urls, expect);
    }

    #[test]
    fn small_files_of_a_partition_are_joined_and_good_ones_left_alone() {
        let files = [
            file("a", 10, 1, 0, 1),
            file("b", 100, 1, 0, 1),
            file("c", 20, 1, 0, 1),
            file("d", 30, 2, 0, 1),
            file("e", 80, 2, 0, 1),
        ];
        check(&files, |_| {}, &[&["a", "c"]]);
        check(&files, |thresholds| thresholds.files_min = 3, &[]);
        check(&files, |thresholds| thresholds.file_bytes_min = 90, &[&["a", "c"], &["d", "e"]]);
        check(&files, |thresholds| thresholds.everything = true, &[&["a", "b", "c"], &["d", "e"]]);
    }

    #[test]
    fn deletes_and_an_older_partitioning_are_reason_enough_alone() {
        check(&[file("a", 100, 1, 1, 1)], |_| {}, &[&["a"]]);
        check(&[file("a", 100, 1, 1, 1)], |thresholds| thresholds.deletes_min = 2, &[]);
        check(&[file("a", 100, 1, 0, 0), file("b", 100, 1, 0, 1)], |_| {}, &[&["a"]]);
    }

    #[test]
    fn groups_have_a_limit_and_the_worst_come_first() {
        let small: Vec<Candidate> =
            (0..5).map(|number| file(&number.to_string(), 30, 1, number, 1)).collect();
        check(&small, |thresholds| thresholds.group_bytes_max = 60, &[&["2", "3"], &["4"], &["0", "1"]]);
    }
}
