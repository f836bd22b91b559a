//! The rules, each a pure function from text to findings. A finding names the file, the line where there is one, and
//! what to do. The reasons are in the design's style guide and in ARCHITECTURE.md; the planted mistakes that prove
//! each rule can fail are in `planted.rs`.

use crate::source::{code_only, functions};
use std::collections::BTreeMap;

pub const FILE_LINES_MAX: usize = 600;
pub const FUNCTION_LINES_MAX: usize = 70;

/// What a crate must never name, as the first part of a Rust path. A trailing `*` stands for any ending.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "catalog",
        &["sqlparser", "datafusion*", "pgwire", "tonic", "axum", "tarn_sql", "tarn_server", "tarn_flight"],
    ),
    ("sql", &["rocksdb", "pgwire", "arrow_flight", "tonic", "axum", "tarn_server", "tarn_flight"]),
    ("flight", &["tarn_catalog", "tarn_server", "datafusion*", "sqlparser", "pgwire", "rocksdb"]),
    ("server", &["rocksdb", "sqlparser", "iceberg", "datafusion*", "tarn_catalog"]),
    ("conformance", &["tarn_sql", "tarn_catalog", "tarn_flight", "rocksdb", "iceberg", "pgwire"]),
];

/// The rooms in which a crate may name what it otherwise must not: (path prefix, forbidden name).
const ROOMS: &[(&str, &str)] = &[
    ("server/src/cluster/", "datafusion*"),
    ("server/src/assemble.rs", "tarn_catalog"),
    ("server/src/login", "tarn_catalog"),
    ("server/src/rest", "tarn_catalog"),
    ("server/src/rest", "iceberg"),
];

/// Crates whose types cross our walls: two versions of one would be two sets of types that do not fit each other.
const ONE_VERSION: &[&str] = &[
    "arrow",
    "arrow-array",
    "parquet",
    "datafusion",
    "object_store",
    "tonic",
    "sqlparser",
    "iceberg",
    "rocksdb",
];

pub fn walls(path: &str, text: &str) -> Vec<String> {
    let crate_name = path.split('/').next().unwrap_or_default();
    let Some((_, forbidden)) = FORBIDDEN.iter().find(|(name, _)| *name == crate_name) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (number, line) in code_only(text).lines().enumerate() {
        for name in forbidden.iter().filter(|name| names(line, name)) {
            if !ROOMS.iter().any(|(room, allowed)| allowed == name && path.starts_with(room)) {
                findings.push(format!("{path}:{}: {crate_name} must never name {name}", number + 1));
            }
        }
    }
    findings
}

/// The same walls in a crate's manifest; there a crate is spelled with hyphens.
pub fn manifest_walls(crate_name: &str, manifest: &str) -> Vec<String> {
    let Some((_, forbidden)) = FORBIDDEN.iter().find(|(name, _)| *name == crate_name) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for line in manifest.lines().filter(|line| !line.starts_with(['#', '['])) {
        let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default().replace('-', "_");
        for name in forbidden.iter().filter(|name| matches_name(&dependency, name)) {
            // A room needs the dependency it may name.
            let has_room =
                ROOMS.iter().any(|(room, allowed)| allowed == name && room.starts_with(crate_name));
            if !has_room {
                findings.push(format!("{crate_name}/Cargo.toml: {crate_name} must never depend on {name}"));
            }
        }
    }
    findings
}

/// Does this line of code use `name` as the head of a path (`name::x`, `use name`, `extern crate name`)?
fn names(line: &str, name: &str) -> bool {
    let mut words = Vec::new();
    let mut start = None;
    for (i, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (c.is_alphanumeric() || c == '_', start) {
            (true, None) => start = Some(i),
            (false, Some(from)) => {
                words.push((from, &line[from..i], &line[i..]));
                start = None;
            }
            _ => {}
        }
    }
    words.iter().enumerate().any(|(i, (from, word, rest))| {
        let heads_path = !line[..*from].ends_with("::") && !line[..*from].ends_with('.');
        let imported = i > 0 && ["use", "crate"].contains(&words[i - 1].1) && !line[..*from].ends_with("::");
        matches_name(word, name) && heads_path && (rest.starts_with("::") || imported)
    })
}

fn matches_name(word: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(stem) => word.strip_prefix(stem).is_some_and(|end| end.is_empty() || end.starts_with('_')),
        None => word == name,
    }
}

pub fn header(path: &str, text: &str) -> Vec<String> {
    let opens = text.trim_start().starts_with("//!");
    if opens {
        return Vec::new();
    }
    vec![format!("{path}:1: open the file with `//!` sentences: what it is for, what it must never know")]
}

pub fn unfinished(path: &str, text: &str) -> Vec<String> {
    let code = code_only(text);
    let mut findings = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in ["todo!", "unimplemented!", "dbg!"] {
            if line.contains(word) {
                findings.push(format!("{path}:{}: {word} must not be delivered", number + 1));
            }
        }
        if line.contains("#[ignore") {
            findings.push(format!("{path}:{}: never ignore a test; assert what is true today", number + 1));
        }
    }
    findings
}

/// Lengths that were over the limit when the rule came, and may only shrink. One entry per line:
/// `file <path> <lines>` or `function <path> <name> <lines>`.
#[derive(Default)]
pub struct Ratchet {
    entries: BTreeMap<String, usize>,
}

impl Ratchet {
    pub fn parse(text: &str) -> Ratchet {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let (key, limit) = line.rsplit_once(' ').unwrap_or((line, ""));
            let limit = limit.parse().unwrap_or_else(|_| panic!("tidy-ratchet.txt: no length in `{line}`"));
            (key.to_string(), limit)
        });
        Ratchet { entries: entries.collect() }
    }

    fn limit(&self, key: &str, otherwise: usize) -> usize {
        self.entries.get(key).copied().unwrap_or(otherwise)
    }
}

pub fn lengths(path: &str, text: &str, ratchet: &Ratchet) -> Vec<String> {
    let mut findings = Vec::new();
    let (lines, limit) = (text.lines().count(), ratchet.limit(&format!("file {path}"), FILE_LINES_MAX));
    if lines > limit {
        findings.push(format!("{path}: {lines} lines, at most {limit}; split it by idea"));
    }
    for function in functions(text) {
        let limit = ratchet.limit(&format!("function {path} {}", function.name), FUNCTION_LINES_MAX);
        if function.lines > limit {
            let (line, name, lines) = (function.line, &function.name, function.lines);
            findings.push(format!("{path}:{line}: {name} has {lines} lines, at most {limit}; split it"));
        }
    }
    findings
}

/// Entries of the ratchet that are looser than the sources: it only ever tightens.
pub fn stale(ratchet: &Ratchet, files: &[(String, String)]) -> Vec<String> {
    let mut actual: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in files {
        actual.insert(format!("file {path}"), text.lines().count());
        for function in functions(text) {
            let longest = actual.entry(format!("function {path} {}", function.name)).or_default();
            *longest = function.lines.max(*longest);
        }
    }
    let loose =
        ratchet.entries.iter().filter(|(key, limit)| actual.get(*key).copied().unwrap_or(0) < **limit);
    loose
        .map(|(key, limit)| {
            format!("tidy-ratchet.txt: `{key}` is shorter than {limit} now; lower it or drop it")
        })
        .collect()
}

/// Paths that exist on one machine only.
pub fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let homes = [concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/"), concat!("/", "work/")];
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for home in homes {
            let mut hits = line.match_indices(home).map(|(at, _)| line[..at].chars().next_back());
            let starts_path =
                |before: Option<char>| before.is_none_or(|c| !c.is_alphanumeric() && !"_-./}".contains(c));
            if hits.any(starts_path) {
                findings.push(format!("{path}:{}: `{home}` is a path of one machine", number + 1));
            }
        }
    }
    findings
}

/// Everything in backquotes that looks like a path of this repository must exist.
pub fn named_paths(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let tops = ["server/", "catalog/", "sql/", "flight/", "conformance/", "docker/", "docs/", ".ci/"];
    let endings = [".rs", ".md", ".toml", ".sh", ".py", ".yaml", ".yml"];
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in line.split('`').skip(1).step_by(2) {
            let plain = !word.contains([' ', '*', '<', '>', '{', ':', '(', '$']);
            let in_tree = tops.iter().any(|top| word.starts_with(top));
            let at_top = !word.contains('/') && endings.iter().any(|e| word.ends_with(e)) && word.len() > 3;
            // A bare file name (`plan.rs`) is read in the light of its sentence; only capitals are at the top.
            let is_path = in_tree || (at_top && word.starts_with(|c: char| c.is_uppercase()));
            if plain && is_path && !exists(word) {
                findings.push(format!("ARCHITECTURE.md:{}: `{word}` does not exist", number + 1));
            }
        }
    }
    findings
}

pub fn one_version(lock: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for name in ONE_VERSION {
        let heading = format!("name = \"{name}\"");
        let versions = lock.lines().filter(|line| *line == heading).count();
        if versions > 1 {
            findings
                .push(format!("Cargo.lock holds {versions} versions of {name}; see cargo tree -i {name}"));
        }
    }
    findings
}
