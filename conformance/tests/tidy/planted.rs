//! One planted mistake per rule, and beside it the nearest thing that is right. A rule that lets its mistake pass, or
//! that shouts at what is right, fails here, so that a green tidy test means something.

use crate::rules::{self, Ratchet};
use crate::source::{code_only, functions};

/// Asserts that a rule finds something in `wrong` and nothing in `right`.
fn check(rule: impl Fn(&str) -> Vec<String>, wrong: &str, right: &str) {
    assert!(!rule(wrong).is_empty(), "the planted mistake was not found:\n{wrong}");
    assert_eq!(rule(right), Vec::<String>::new(), "a false alarm on:\n{right}");
}

#[test]
fn a_wall_is_crossed() {
    let sql = |text: &str| rules::walls("sql/src/engine.rs", text);
    check(
        sql,
        "use rocksdb::DB;",
        "use tarn_catalog::Catalog; // RocksDB lies below, rocksdb::DB is never seen",
    );
    check(sql, "fn open() -> rocksdb::DB {", "let message = \"rocksdb::DB\";");
    check(sql, "use pgwire;", "use crate::pgwire_types::Oid;");
    let catalog = |text: &str| rules::walls("catalog/src/catalog.rs", text);
    check(catalog, "use datafusion_expr::Expr;", "use arrow::datatypes::DataType;");
    check(catalog, "let e = datafusion::error::ok();", "let e = crate::datafusion::ok();");
}

#[test]
fn a_room_is_left() {
    let wrong = rules::walls("server/src/postgres/simple.rs", "use tarn_catalog::Catalog;");
    let right = rules::walls("server/src/assemble.rs", "use tarn_catalog::Catalog;");
    assert_eq!((wrong.len(), right.len()), (1, 0));
}

#[test]
fn a_manifest_crosses_a_wall() {
    let sql = |text: &str| rules::manifest_walls("sql", text);
    check(sql, "[dependencies]\nrocksdb.workspace = true", "[dependencies]\ntarn-catalog.workspace = true");
    let conformance = |text: &str| rules::manifest_walls("conformance", text);
    check(conformance, "tarn-sql = { path = \"../sql\" }", "datafusion.workspace = true");
}

#[test]
fn a_file_does_not_say_what_it_is_for() {
    check(|text| rules::header("sql/src/x.rs", text), "use std::fmt;\n", "//! Names.\n\nuse std::fmt;\n");
}

#[test]
fn something_is_left_to_be_done() {
    let rule = |text: &str| rules::unfinished("sql/src/x.rs", text);
    check(rule, "fn f() { todo!() }", "fn f() {} // a todo! in a comment is only words");
    check(rule, "fn f() { unimplemented!(\"later\") }", "let text = \"unimplemented!\";");
    check(rule, "#[ignore]\nfn f() {}", "fn ignore() {}");
}

#[test]
fn a_file_is_too_long() {
    let rule = |text: &str| rules::lengths("a.rs", text, &Ratchet::default());
    check(rule, &"//\n".repeat(rules::FILE_LINES_MAX + 1), &"//\n".repeat(rules::FILE_LINES_MAX));
}

#[test]
fn a_function_is_too_long() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2));
    let rule = |text: &str| rules::lengths("a.rs", text, &Ratchet::default());
    check(rule, &function(rules::FUNCTION_LINES_MAX + 1), &function(rules::FUNCTION_LINES_MAX));
}

#[test]
fn the_ratchet_only_tightens() {
    let long = "//\n".repeat(700);
    let at = |limit: usize| Ratchet::parse(&format!("# reason\nfile a.rs {limit}\n"));
    assert!(rules::lengths("a.rs", &long, &at(700)).is_empty(), "an entry allows what was there");
    assert!(!rules::lengths("a.rs", &long, &at(699)).is_empty(), "an entry allows no growth");
    let files = vec![("a.rs".to_string(), long)];
    assert!(rules::stale(&at(700), &files).is_empty());
    assert!(!rules::stale(&at(701), &files).is_empty(), "an entry that is too loose must be lowered");
}

#[test]
fn a_path_of_one_machine_is_named() {
    let rule = |text: &str| rules::machine_paths("README.md", text);
    let planted = format!("cd {}", concat!("/", "home/someone/tarn"));
    check(rule, &planted, "cd ~/tarn and see docs/home/page.md or https://example.org/home/");
}

#[test]
fn architecture_names_what_is_not_there() {
    let rule = |text: &str| rules::named_paths(text, |path| path == "sql/src/parse.rs");
    check(
        rule,
        "see `sql/src/gone.rs`",
        "see `sql/src/parse.rs`, `SELECT 1`, `plan.rs` and `slt/<feature>/`",
    );
}

#[test]
fn a_crate_is_there_twice() {
    let package = |version: &str| format!("[[package]]\nname = \"arrow\"\nversion = \"{version}\"\n");
    check(rules::one_version, &(package("58.4.1") + &package("60.1.0")), &package("58.4.1"));
}

#[test]
fn literals_and_comments_are_not_code() {
    let text =
        "let a = r#\"{ \"quoted\" }\"#; /* { /* nested */ */ let b = '{'; let c: &'static str = \"\\\"{\";";
    let code = code_only(text);
    assert!(!code.contains('{') && !code.contains("quoted") && !code.contains("nested"), "{code}");
    assert!(code.contains("let b") && code.contains("&'static str"), "{code}");
}

#[test]
fn functions_are_measured_by_their_braces() {
    let text =
        "trait T {\n    fn declared(&self) -> [u8; 32];\n    fn body(&self) {\n        // }\n    }\n}\n";
    let found: Vec<(String, usize, usize)> =
        functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, vec![("body".to_string(), 3, 3)]);
}
