//! The habits of this repository as a test: which crate may name which, how long a file and a function may be, that
//! every file says what it is for, that ARCHITECTURE.md names only what exists, and that the crates whose types
//! cross our walls are there in one version. Each rule is a plain function over text in `rules.rs`, with a planted
//! mistake per rule in `planted.rs` that proves the rule can fail. Nothing here compiles or runs the product.

mod planted;
mod rules;
mod source;

use rules::Ratchet;
use std::path::{Path, PathBuf};

/// The crates of the workspace, in the order in which a statement passes them backwards.
const CRATES: [&str; 5] = ["catalog", "sql", "flight", "server", "conformance"];

#[test]
fn walls_between_crates_stand() {
    check_sources(rules::walls);
}

#[test]
fn every_file_says_what_it_is_for() {
    check_sources(rules::header);
}

#[test]
fn nothing_is_left_to_be_done() {
    check_sources(rules::unfinished);
}

#[test]
fn files_and_functions_are_short() {
    let ratchet_path = root().join("conformance/tidy-ratchet.txt");
    let ratchet = Ratchet::parse(&read(&ratchet_path));
    let files = rust_sources();
    let mut findings: Vec<String> = Vec::new();
    for (path, text) in &files {
        findings.extend(rules::lengths(path, text, &ratchet));
    }
    findings.extend(rules::stale(&ratchet, &files));
    report(findings);
}

#[test]
fn manifests_keep_the_walls_too() {
    let findings = CRATES
        .iter()
        .map(|name| (name, root().join(name).join("Cargo.toml")))
        .filter(|(_, path)| path.exists())
        .flat_map(|(name, path)| rules::manifest_walls(name, &read(&path)))
        .collect();
    report(findings);
}

#[test]
fn no_path_of_one_machine() {
    let mut findings = Vec::new();
    for path in files_under(&root(), &["rs", "md", "toml", "sh", "py", "slt", "sql", "yaml", "yml", "txt"]) {
        findings.extend(rules::machine_paths(&relative(&path), &read(&path)));
    }
    report(findings);
}

#[test]
fn architecture_names_only_what_exists() {
    let path = root().join("ARCHITECTURE.md");
    assert!(path.exists(), "ARCHITECTURE.md is missing: it is where a newcomer starts");
    report(rules::named_paths(&read(&path), |named| root().join(named).exists()));
}

#[test]
fn one_version_of_what_crosses_our_walls() {
    report(rules::one_version(&read(&root().join("Cargo.lock"))));
}

/// Applies a rule to every Rust source file of the workspace.
fn check_sources(rule: fn(&str, &str) -> Vec<String>) {
    report(rust_sources().iter().flat_map(|(path, text)| rule(path, text)).collect());
}

fn report(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("the crate lies in the workspace").to_path_buf()
}

fn rust_sources() -> Vec<(String, String)> {
    let sources: Vec<(String, String)> = CRATES
        .iter()
        .flat_map(|name| files_under(&root().join(name), &["rs"]))
        .map(|path| (relative(&path), read(&path)))
        .collect();
    assert!(sources.len() > 10, "the walk over the sources found almost nothing; it is broken");
    sources
}

/// Every file below `folder` with one of these extensions, without build output, data and hidden folders.
fn files_under(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let skipped = ["target", "tarn-data", "demo-data", "bench-data", "__pycache__"];
        if name.starts_with('.') || skipped.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            found.extend(files_under(&path, extensions));
        } else if path.extension().is_some_and(|e| extensions.contains(&e.to_string_lossy().as_ref())) {
            found.push(path);
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
