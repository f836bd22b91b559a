//! What the live files of one snapshot must be to each other: no file twice, deletes of files that are there, row ids
//! that do not overlap, totals that add up. Pure.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{DataContentType, DataFileFormat, FormatVersion, Snapshot, TableMetadata};

use super::{Problem, Severity};
use crate::iceberg::manifest::LiveFile;

pub fn of_snapshot(metadata: &TableMetadata, snapshot: &Snapshot, live: &[&LiveFile]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let data: HashMap<&str, &LiveFile> = live
        .iter()
        .filter(|live| live.file.content_type() == DataContentType::Data)
        .map(|live| (live.file.file_path(), *live))
        .collect();
    twice(snapshot, live, &mut problems);
    deletes(snapshot, live, &data, &mut problems);
    if metadata.format_version() == FormatVersion::V3 {
        row_ids(metadata, snapshot, &data, &mut problems);
    }
    totals(snapshot, live, &mut problems);
    problems
}

fn problem(severity: Severity, problem: &'static str, about: impl Into<String>, detail: String) -> Problem {
    Problem { severity, problem, about: about.into(), detail }
}

/// A deletion vector shares its Puffin file with others, so its place in the file tells them apart.
fn twice(snapshot: &Snapshot, live: &[&LiveFile], problems: &mut Vec<Problem>) {
    let mut seen: HashMap<(&str, Option<i64>), usize> = HashMap::new();
    for live in live {
        *seen.entry((live.file.file_path(), live.file.content_offset())).or_default() += 1;
    }
    let twice = seen.into_iter().filter(|(_, count)| *count > 1);
    problems.extend(twice.map(|((url, _), count)| {
        let detail = format!("Snapshot {} has it {count} times.", snapshot.snapshot_id());
        problem(Severity::Error, "listed twice", url, detail)
    }));
}

fn deletes(
    snapshot: &Snapshot,
    live: &[&LiveFile],
    data: &HashMap<&str, &LiveFile>,
    problems: &mut Vec<Problem>,
) {
    let mut vectors: HashMap<String, usize> = HashMap::new();
    for delete in live.iter().filter(|live| live.file.content_type() == DataContentType::PositionDeletes) {
        let Some(target) = delete.file.referenced_data_file() else { continue };
        let id = snapshot.snapshot_id();
        match data.get(target.as_str()) {
            None => {
                let detail = format!("Its data file {target} is not in snapshot {id}.");
                problems.push(problem(Severity::Warning, "dangling delete", delete.file.file_path(), detail));
            }
            Some(file) if file.sequence_number > delete.sequence_number => {
                let detail = format!("It is older than its data file {target}, so it deletes nothing.");
                problems.push(problem(Severity::Warning, "dangling delete", delete.file.file_path(), detail));
            }
            Some(file) if delete.file.record_count() > file.file.record_count() => {
                let detail = format!(
                    "It deletes {} rows of {target}, which has {}.",
                    delete.file.record_count(),
                    file.file.record_count()
                );
                problems.push(problem(Severity::Error, "too many deletes", delete.file.file_path(), detail));
            }
            Some(_) => {}
        }
        if delete.file.file_format() == DataFileFormat::Puffin {
            *vectors.entry(target).or_default() += 1;
        }
    }
    problems.extend(vectors.into_iter().filter(|(_, count)| *count > 1).map(|(target, count)| {
        let detail = format!("Snapshot {} has {count} for it.", snapshot.snapshot_id());
        problem(Severity::Error, "deletion vectors", target, detail)
    }));
}

fn row_ids(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    data: &HashMap<&str, &LiveFile>,
    problems: &mut Vec<Problem>,
) {
    // Snapshots from before the upgrade to version 3 give no ids.
    if snapshot.row_range().is_none() {
        return;
    }
    let mut ranges: BTreeMap<i64, (i64, &str)> = BTreeMap::new();
    for (url, live) in data {
        let rows = i64::try_from(live.file.record_count()).unwrap_or(i64::MAX);
        let Some(first) = live.first_row_id else {
            let detail = format!("Snapshot {} gives its rows no ids.", snapshot.snapshot_id());
            problems.push(problem(Severity::Error, "row ids", *url, detail));
            continue;
        };
        if first < 0 || first.saturating_add(rows) > i64::try_from(metadata.next_row_id()).unwrap_or(i64::MAX)
        {
            let detail =
                format!("They begin at {first}, and the table's next one is {}.", metadata.next_row_id());
            problems.push(problem(Severity::Error, "row ids", *url, detail));
        }
        if rows > 0 {
            ranges.insert(first, (first.saturating_add(rows), url));
        }
    }
    let with_rows = data.values().filter(|live| live.first_row_id.is_some() && live.file.record_count() > 0);
    if with_rows.count() != ranges.len() {
        let detail = "Two files begin at the same one.".to_owned();
        let about = format!("snapshot {}", snapshot.snapshot_id());
        problems.push(problem(Severity::Error, "row ids", about, detail));
    }
    let mut end = (i64::MIN, "");
    for (first, (last, url)) in ranges {
        if first < end.0 {
            problems.push(problem(
                Severity::Error,
                "row ids",
                url,
                format!("They overlap those of {}.", end.1),
            ));
        }
        end = end.max((last, url));
    }
}

/// The totals of a summary, where it states them.
fn totals(snapshot: &Snapshot, live: &[&LiveFile], problems: &mut Vec<Problem>) {
    let of = |content: DataContentType| live.iter().filter(move |live| live.file.content_type() == content);
    let rows = |content| of(content).map(|live| live.file.record_count()).sum::<u64>();
    // What a vector takes in its file, as other engines count it.
    let bytes = |live: &&LiveFile| match live.file.content_size_in_bytes() {
        Some(size) => u64::try_from(size).unwrap_or(0),
        None => live.file.file_size_in_bytes(),
    };
    let data = of(DataContentType::Data).count() as u64;
    let figures = [
        ("total-data-files", data),
        ("total-records", rows(DataContentType::Data)),
        ("total-files-size", live.iter().map(bytes).sum()),
        ("total-delete-files", live.len() as u64 - data),
        ("total-position-deletes", rows(DataContentType::PositionDeletes)),
        ("total-equality-deletes", rows(DataContentType::EqualityDeletes)),
    ];
    for (name, found) in figures {
        let stated = snapshot.summary().additional_properties.get(name);
        let Some(stated) = stated.and_then(|text| text.parse::<u64>().ok()) else { continue };
        if stated != found {
            let detail = format!("The summary says {name} is {stated}, and it is {found}.");
            let about = format!("snapshot {}", snapshot.snapshot_id());
            // Engines differ in what they count as the bytes of deletes.
            let severity = if name == "total-files-size" { Severity::Warning } else { Severity::Error };
            problems.push(problem(severity, "summary", about, detail));
        }
    }
}
