//! Files into tables. Pure: what was found in, tables out. It must never open a file or read the catalog.
//!
//! - Files in one folder with the same format and alike columns are one table, named for the folder.
//! - A folder of unlike files is one table per file; files that differ in the numbers of their names only, and are
//!   alike, are one table.
//! - Folders named `key=value` or for dates belong to the table of the folder above them.
//! - What a table of an earlier crawl covers stays with that table.
//!
//! Next: `name.rs` for the names, `plan.rs` for what is done with the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use tarn_catalog::object::{CsvFormat, ExternalTable, FileFormat};

use super::infer::{
    Decision, Evidence, Probe, alike, date_fields, merged, merged_with_folders, same_reading,
    with_date_orders,
};
use crate::files::listing::{FoundFile, Matcher};
use crate::files::name;

/// A file that was looked at.
#[derive(Debug, Clone)]
pub struct Looked {
    pub file: FoundFile,
    pub probe: Probe,
}

/// Files that are one table.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What the table would be called for: a folder or a file.
    pub called: String,
    /// The folders above, nearest first, to tell equal names apart.
    pub above: Vec<String>,
    /// The format as names say it: `csv`, `tsv`, `json`.
    pub suffix: String,
    pub location: String,
    pub pattern: Option<String>,
    pub format: FileFormat,
    /// As found; what is unknown has the null type.
    pub schema: Schema,
    /// The last of these columns, which folders named for dates make.
    pub date_columns: Vec<String>,
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// Files of which only the beginning was looked at.
    pub partly: u64,
    /// Files of which it is a guess how they are read.
    pub guesses: u64,
    /// What was decided about the file with the most rows, and that file.
    pub decisions: Vec<(String, Decision)>,
    /// The values that decided types, with the file they are in.
    pub evidence: Vec<(String, Evidence)>,
    /// The place of the table that covers these files among the tables given to [`group`].
    pub of_table: Option<usize>,
}

/// A file that does not fit its table.
#[derive(Debug, Clone)]
pub struct Unfit {
    pub file: FoundFile,
    pub format: &'static str,
    pub reason: String,
}

/// What a crawl looks at.
pub struct Found<'a> {
    /// The URL of the folder, with a slash at its end.
    pub location: &'a str,
    pub looked: Vec<Looked>,
    /// Every file there is, for patterns that must match some and no others.
    pub all: &'a [FoundFile],
    /// Each file is a table of its own, unless it lies in a partition.
    pub separate: bool,
}

/// Makes tables of files. `tables` are those that exist.
pub fn group(found: Found<'_>, tables: &[&ExternalTable]) -> (Vec<Candidate>, Vec<Unfit>) {
    let mut groups = Groups {
        location: found.location,
        all: found.all,
        separate: found.separate,
        covered: Vec::new(),
        candidates: Vec::new(),
        unfit: Vec::new(),
    };
    let mut covered: BTreeMap<usize, Vec<Looked>> = BTreeMap::new();
    let mut folders: BTreeMap<String, Vec<Looked>> = BTreeMap::new();
    for looked in found.looked {
        match tables.iter().position(|table| covers(table, &looked.file)) {
            Some(table) => covered.entry(table).or_default().push(looked),
            None => folders.entry(table_folder(&looked.file)).or_default().push(looked),
        }
    }
    for (table, files) in covered {
        groups.covered.extend(files.iter().map(|looked| looked.file.clone()));
        groups.add_covered(table, tables[table], files);
    }
    for (folder, files) in folders {
        groups.add_folder(&folder, files);
    }
    (groups.candidates, groups.unfit)
}

/// Whether a file is one of an external table's.
pub fn covers(table: &ExternalTable, file: &FoundFile) -> bool {
    if !table.location.ends_with('/') {
        return table.location == file.url;
    }
    let Some(relative) = file.url.strip_prefix(&table.location) else { return false };
    let below = FoundFile { relative: relative.to_owned(), ..file.clone() };
    let matches = |pattern: &str| Matcher::new(pattern).is_ok_and(|matcher| matcher.matches(below.name()));
    crate::files::listing::belongs(&below) && table.pattern.as_deref().is_none_or(matches)
}

/// The folder whose table a file belongs to: the one it is in, or the one above its partitions and dates.
fn table_folder(file: &FoundFile) -> String {
    let mut folders: Vec<&str> = file.folders().collect();
    while folders.last().is_some_and(|last| name::partition(last).is_some() || name::date_part(last)) {
        folders.pop();
    }
    folders.join("/")
}

struct Groups<'a> {
    location: &'a str,
    all: &'a [FoundFile],
    separate: bool,
    /// Files of tables that exist.
    covered: Vec<FoundFile>,
    candidates: Vec<Candidate>,
    unfit: Vec<Unfit>,
}

impl Groups<'_> {
    fn add_covered(&mut self, index: usize, table: &ExternalTable, files: Vec<Looked>) {
        let (location, pattern) = (table.location.clone(), table.pattern.clone());
        if let Some(candidate) = self.candidate(String::new(), location, pattern, Some(&table.format), files)
        {
            self.candidates.push(Candidate { of_table: Some(index), ..candidate });
        }
    }

    /// Tables of the files of one folder.
    fn add_folder(&mut self, folder: &str, files: Vec<Looked>) {
        let whole = files.len();
        let mut formats: BTreeMap<(&'static str, String), Vec<Looked>> = BTreeMap::new();
        for looked in files {
            let extension = name::extension(looked.file.name());
            formats.entry((looked.probe.format.name(), extension)).or_default().push(looked);
        }
        for files in formats.into_values() {
            let below = |looked: &Looked| table_folder(&looked.file) != parent(&looked.file.relative);
            let partitioned = files.iter().any(below);
            let alone = self.separate || (files.len() == 1 && (folder.is_empty() || whole > 1));
            if partitioned || (!alone && all_alike(&files) && !self.would_take(folder, &files)) {
                self.add_whole(folder, files);
            } else {
                self.add_each(folder, files);
            }
        }
    }

    /// One table of all the files of a folder.
    fn add_whole(&mut self, folder: &str, files: Vec<Looked>) {
        let location = self.url(folder);
        let pattern = extension_pattern(&files);
        let candidate = self.candidate(self.folder_name(folder), location, pattern, None, files);
        self.candidates
            .extend(candidate.map(|candidate| Candidate { above: self.above(folder), ..candidate }));
    }

    /// One table per file, or per series of files that are alike.
    fn add_each(&mut self, folder: &str, files: Vec<Looked>) {
        let mut series: BTreeMap<String, Vec<Looked>> = BTreeMap::new();
        for looked in files {
            series.entry(name::numbers_as_pattern(looked.file.name())).or_default().push(looked);
        }
        let mut above = self.above(folder);
        above.insert(0, self.folder_name(folder));
        for (pattern, files) in series {
            if !self.separate
                && files.len() > 1
                && all_alike(&files)
                && self.matches_only(folder, &pattern, files.len())
            {
                let called = series_name(files[0].file.name()).unwrap_or_else(|| self.folder_name(folder));
                let candidate = self.candidate(called, self.url(folder), Some(pattern), None, files);
                let above = above.clone();
                self.candidates.extend(candidate.map(|candidate| Candidate { above, ..candidate }));
                continue;
            }
            for looked in files {
                let called = name::stem(looked.file.name()).to_owned();
                let location = looked.file.url.clone();
                let candidate = self.candidate(called, location, None, None, vec![looked]);
                let above = above.clone();
                self.candidates.extend(candidate.map(|candidate| Candidate { above, ..candidate }));
            }
        }
    }

    /// The files as one table. Those whose columns cannot be brought together with the others' are left out.
    fn candidate(
        &mut self,
        called: String,
        location: String,
        pattern: Option<String>,
        format: Option<&FileFormat>,
        files: Vec<Looked>,
    ) -> Option<Candidate> {
        let most = files.iter().max_by_key(|looked| looked.probe.rows)?;
        // A table that exists keeps the columns that it has.
        let known = format.is_some();
        let format = format.unwrap_or(&most.probe.format).clone();
        let extension = name::extension(most.file.name());
        let suffix = if extension.is_empty() { format.name().to_owned() } else { extension };
        let mut schema = Schema::empty();
        let mut fitting: Vec<Looked> = Vec::with_capacity(files.len());
        for looked in files {
            match fitted(&schema, &format, &looked.probe) {
                Ok(merged) => {
                    schema = merged;
                    fitting.push(looked);
                }
                Err(reason) => {
                    let format = looked.probe.format.name();
                    self.unfit.push(Unfit { file: looked.file, format, reason });
                }
            }
        }
        let listed: Vec<FoundFile> = fitting.iter().map(|looked| looked.file.clone()).collect();
        let relative_to_table = listed.iter().map(|file| FoundFile {
            relative: file.url.strip_prefix(&location).unwrap_or(file.name()).to_owned(),
            ..file.clone()
        });
        let relative_to_table: Vec<FoundFile> = relative_to_table.collect();
        let schema = merged_with_folders(&schema, &relative_to_table);
        let date_fields = if known { Vec::new() } else { date_fields(&schema, &relative_to_table) };
        let date_columns = date_fields.iter().map(|field| field.name().clone()).collect();
        let fields = schema.fields().iter().cloned().chain(date_fields.into_iter().map(Arc::new));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let format = with_date_orders(format, &schema);
        (!fitting.is_empty()).then(|| Candidate {
            called,
            above: Vec::new(),
            suffix,
            location,
            pattern,
            format,
            schema,
            date_columns,
            files: fitting.len() as u64,
            bytes: listed.iter().map(|file| file.meta.size).sum(),
            rows: fitting.iter().map(|looked| looked.probe.rows).sum(),
            partly: fitting.iter().filter(|looked| !looked.probe.whole).count() as u64,
            guesses: fitting.iter().filter(|looked| !looked.probe.sure).count() as u64,
            decisions: fitting
                .iter()
                .max_by_key(|looked| looked.probe.rows)
                .map(decisions)
                .unwrap_or_default(),
            evidence: fitting.iter().flat_map(evidence).collect(),
            of_table: None,
        })
    }

    fn url(&self, folder: &str) -> String {
        if folder.is_empty() { self.location.to_owned() } else { format!("{}{folder}/", self.location) }
    }

    fn folder_name(&self, folder: &str) -> String {
        let path = if folder.is_empty() { self.location.trim_end_matches('/') } else { folder };
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// The names of the folders above one, nearest first, up to the crawled one.
    fn above(&self, folder: &str) -> Vec<String> {
        let mut above: Vec<String> = parent(folder).split('/').rev().map(str::to_owned).collect();
        above.retain(|name| !name.is_empty());
        if !folder.is_empty() {
            above.push(self.folder_name(""));
        }
        above
    }

    /// Whether one table of all the files of a folder would read files of another table as well.
    fn would_take(&self, folder: &str, files: &[Looked]) -> bool {
        let pattern = extension_pattern(files).and_then(|pattern| Matcher::new(&pattern).ok());
        let mut inside = self.covered.iter().filter(|file| parent(&file.relative) == folder);
        inside.any(|file| pattern.as_ref().is_none_or(|pattern| pattern.matches(file.name())))
    }

    /// Whether a pattern of file names matches this many of the files in a folder.
    fn matches_only(&self, folder: &str, pattern: &str, count: usize) -> bool {
        let Ok(matcher) = Matcher::new(pattern) else { return false };
        let inside = self.all.iter().filter(|file| parent(&file.relative) == folder);
        inside.filter(|file| matcher.matches(file.name())).count() == count
    }
}

fn decisions(looked: &Looked) -> Vec<(String, Decision)> {
    let file = looked.file.shown();
    looked.probe.decisions.iter().map(|decision| (file.to_owned(), decision.clone())).collect()
}

fn evidence(looked: &Looked) -> Vec<(String, Evidence)> {
    let file = looked.file.shown();
    looked.probe.evidence.iter().map(|evidence| (file.to_owned(), evidence.clone())).collect()
}

/// The columns so far with those of one more file; or why that cannot be.
fn fitted(schema: &Schema, format: &FileFormat, probe: &Probe) -> Result<Schema, String> {
    if !same_reading(format, &probe.format) {
        return Err("it has another delimiter, header or shape than the other files of its table".to_owned());
    }
    let text_holds_all = !matches!(format, FileFormat::Parquet);
    merged(schema, &probe.schema, text_holds_all)
        .ok_or_else(|| "its columns have other types than those of the other files of its table".to_owned())
}

fn all_alike(files: &[Looked]) -> bool {
    let Some((first, rest)) = files.split_first() else { return true };
    let positional = matches!(first.probe.format, FileFormat::Csv(CsvFormat { header: false, .. }));
    let mut schema = first.probe.schema.clone();
    for looked in rest {
        let probe = &looked.probe;
        if !same_reading(&first.probe.format, &probe.format) || !alike(&schema, &probe.schema, positional) {
            return false;
        }
        match merged(&schema, &probe.schema, false) {
            Some(merged) => schema = merged,
            None => return false,
        }
    }
    true
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The pattern of all files with these files' extensions; none when they have no extension.
fn extension_pattern(files: &[Looked]) -> Option<String> {
    let mut endings: Vec<&str> = Vec::new();
    for looked in files {
        let name = looked.file.name();
        let ending = name[name::stem(name).len()..].strip_prefix('.')?;
        if !endings.contains(&ending) {
            endings.push(ending);
        }
    }
    endings.sort_unstable();
    match endings.as_slice() {
        [] => None,
        [one] => Some(format!("*.{one}")),
        several => Some(format!("*.{{{}}}", several.join(","))),
    }
}

/// What files are called that differ in their numbers: the part before the first number, if there is one.
fn series_name(file_name: &str) -> Option<String> {
    let stem = name::stem(file_name);
    let before = stem.split(|char: char| char.is_ascii_digit()).next().unwrap_or_default();
    let before = before.trim_end_matches(|char: char| !char.is_alphanumeric());
    (!before.is_empty()).then(|| before.to_owned())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};
    use object_store::ObjectMeta;
    use object_store::path::Path;

    use super::*;

    const LOCATION: &str = "file:///landing/";

    /// A file with a column per letter.
    fn looked(path: &str, columns: &str) -> Looked {
        let meta = ObjectMeta {
            location: Path::from(path),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 10,
            e_tag: None,
            version: None,
        };
        let file = FoundFile { url: format!("{LOCATION}{path}"), relative: path.to_owned(), meta };
        let fields = columns.chars().map(|letter| Field::new(letter.to_string(), DataType::Int64, true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let format = match name::promise(file.name()) {
            name::Promise::Format(name::Format::Json) => FileFormat::Json(Default::default()),
            name::Promise::Format(name::Format::Parquet) => FileFormat::Parquet,
            _ => FileFormat::Csv(CsvFormat::default()),
        };
        Looked {
            file,
            probe: Probe {
                format,
                schema,
                rows: 1,
                whole: true,
                sure: true,
                decisions: Vec::new(),
                evidence: Vec::new(),
            },
        }
    }

    /// Name, location below the landing folder, pattern and number of files of each table.
    fn check(files: &[(&str, &str)], expect: &[(&str, &str, Option<&str>, u64)]) {
        let looked: Vec<Looked> = files.iter().map(|(path, columns)| looked(path, columns)).collect();
        let all: Vec<FoundFile> = looked.iter().map(|looked| looked.file.clone()).collect();
        let (candidates, unfit) =
            group(Found { location: LOCATION, looked, all: &all, separate: false }, &[]);
        let found: Vec<(&str, &str, Option<&str>, u64)> = candidates
            .iter()
            .map(|one| {
                (one.called.as_str(), &one.location[LOCATION.len()..], one.pattern.as_deref(), one.files)
            })
            .collect();
        assert_eq!(found, expect, "{files:?}");
        assert!(unfit.is_empty(), "{unfit:?}");
    }

    #[test]
    fn files_are_grouped_by_folder_format_and_columns() {
        check(&[("a.csv", "xy")], &[("a", "a.csv", None, 1)]);
        check(&[("a.csv", "xy"), ("b.csv", "pq")], &[("a", "a.csv", None, 1), ("b", "b.csv", None, 1)]);
        check(&[("a.csv", "xy"), ("b.csv", "xyz")], &[("landing", "", Some("*.csv"), 2)]);
        check(&[("t/a.csv", "xy")], &[("t", "t/", Some("*.csv"), 1)]);
        check(&[("t/a.csv", "xy"), ("t/b.csv.gz", "xy")], &[("t", "t/", Some("*.{csv,csv.gz}"), 2)]);
        check(
            &[("t/a.csv", "xy"), ("t/b.csv", "xy"), ("t/c.json", "xy")],
            &[("t", "t/", Some("*.csv"), 2), ("c", "t/c.json", None, 1)],
        );
        check(&[("t/part-0", "xy"), ("t/part-1", "xy")], &[("t", "t/", None, 2)]);
    }

    #[test]
    fn partitions_and_dates_belong_to_the_folder_above() {
        check(&[("t/y=1/a.csv", "x"), ("t/y=2/m=3/b.csv", "x")], &[("t", "t/", Some("*.csv"), 2)]);
        check(&[("t/2024/01/a.csv", "x"), ("t/2024/02/a.csv", "x")], &[("t", "t/", Some("*.csv"), 2)]);
        check(&[("y=1/a.csv", "x")], &[("landing", "", Some("*.csv"), 1)]);
    }

    #[test]
    fn series_are_told_from_their_neighbours() {
        check(
            &[("o-1.csv", "xy"), ("o-22.csv", "xy"), ("c.csv", "pq")],
            &[("c", "c.csv", None, 1), ("o", "", Some("o-[0-9]*.csv"), 2)],
        );
        // The pattern would match the third file too, so each file is a table.
        check(
            &[("o-1.csv", "xy"), ("o-2.csv", "xy"), ("o-2x.csv", "pq")],
            &[("o-1", "o-1.csv", None, 1), ("o-2", "o-2.csv", None, 1), ("o-2x", "o-2x.csv", None, 1)],
        );
    }

    #[test]
    fn files_of_a_known_table_stay_with_it() {
        let table = ExternalTable {
            location: format!("{LOCATION}t/"),
            pattern: Some("*.csv".to_owned()),
            format: FileFormat::Csv(CsvFormat::default()),
            schema: iceberg::spec::Schema::builder().build().expect("an empty schema is one"),
            properties: BTreeMap::new(),
            date_columns: Vec::new(),
            inference: Vec::new(),
        };
        let files = vec![looked("t/a.csv", "xy"), looked("t/odd.csv", "pq"), looked("t/sub/a.csv", "xy")];
        let all: Vec<FoundFile> = files.iter().map(|looked| looked.file.clone()).collect();
        let (candidates, _) =
            group(Found { location: LOCATION, looked: files, all: &all, separate: false }, &[&table]);
        let found: Vec<(Option<usize>, u64)> =
            candidates.iter().map(|one| (one.of_table, one.files)).collect();
        assert_eq!(found, [(Some(0), 2), (None, 1)]);
    }
}
