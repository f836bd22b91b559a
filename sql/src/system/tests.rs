//! Scripts against the system tables: what psql and other clients send, and what they get. A script is blocks of
//! `SQL`, `----`, and the rows; `\u name` before the SQL asks as that user instead of `tarn`. With the environment
//! variable `TARN_UPDATE` set, the rows are written into the script instead of compared, to be reviewed as a diff.

use std::path::Path;

use super::fixture::Fixture;

struct Block {
    /// Lines before the SQL: comments and `\u`.
    head: String,
    user: String,
    sql: String,
    expect: String,
}

fn read_script(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for part in text.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let (head_and_sql, expect) = part.split_once("\n----").expect("a block has a line ----");
        let is_head = |line: &&str| line.starts_with("-- ") || line.starts_with("\\u ");
        let head: Vec<&str> = head_and_sql.trim().lines().take_while(is_head).collect();
        let user = head.iter().find_map(|line| line.strip_prefix("\\u ")).unwrap_or("tarn").to_string();
        let sql: Vec<&str> = head_and_sql.trim().lines().skip(head.len()).collect();
        let expect = expect.trim_start_matches('\n').trim_end();
        let expect = if expect.is_empty() { String::new() } else { format!("{expect}\n") };
        blocks.push(Block { head: head.join("\n"), user, sql: sql.join("\n"), expect });
    }
    blocks
}

/// Without an ORDER BY the order of the rows means nothing.
fn comparable<'a>(sql: &str, rows: &'a str) -> Vec<&'a str> {
    let mut lines: Vec<&str> = rows.lines().collect();
    if !sql.to_uppercase().contains("ORDER BY") {
        lines.sort_unstable();
    }
    lines
}

async fn check_script(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/system/testscripts").join(name);
    let fixture = Fixture::new().await;
    let mut written = String::new();
    let mut wrong = String::new();
    for block in read_script(&std::fs::read_to_string(&path).expect("the script")) {
        let rows = fixture.run(&block.user, &block.sql).await;
        if comparable(&block.sql, &rows) != comparable(&block.sql, &block.expect) {
            wrong.push_str(&format!(
                "{}\n{}\n---- expected\n{}---- got\n{rows}\n",
                block.head, block.sql, block.expect
            ));
        }
        let head = if block.head.is_empty() { String::new() } else { format!("{}\n", block.head) };
        written.push_str(&format!("{head}{}\n----\n{rows}\n", block.sql));
    }
    if std::env::var_os("TARN_UPDATE").is_some() {
        std::fs::write(&path, written.trim_end().to_string() + "\n").expect("the script is writable");
    } else {
        assert!(wrong.is_empty(), "{name}:\n{wrong}");
    }
}

#[tokio::test]
async fn psql_describes() {
    check_script("psql_describe.txt").await;
}

#[tokio::test]
async fn psql_completes() {
    check_script("psql_complete.txt").await;
}

#[tokio::test]
async fn functions_answer_as_postgresql() {
    check_script("functions.txt").await;
}

#[tokio::test]
async fn clients_ask_the_catalogs() {
    check_script("clients.txt").await;
}

/// Queries are planned as if these had no rows, so nothing may fill them.
#[tokio::test]
async fn empty_catalogs_are_empty() {
    let fixture = Fixture::new().await;
    for name in super::rows::EMPTY {
        let rows = fixture.run("tarn", &format!("SELECT count(*) FROM pg_catalog.{name}")).await;
        assert_eq!(rows.trim(), "0", "{name}");
    }
}

#[tokio::test]
async fn other_queries() {
    check_script("queries.txt").await;
}

#[tokio::test]
async fn lookups_read_only_what_is_asked_for() {
    let fixture = Fixture::new().await;
    let orders = fixture.oids["orders"];
    let columns_of_orders = format!("pg_attribute: attrelid in [{orders}]");
    for (sql, expect) in [
        ("SELECT oid FROM pg_class WHERE oid = '1259'", vec!["pg_class: oid in [1259]"]),
        (
            "SELECT oid FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^(orders)$' COLLATE pg_catalog.default",
            vec!["pg_class: relname in [\"orders\"]"],
        ),
        ("SELECT oid FROM pg_class WHERE relname LIKE 'or%'", vec!["pg_class: relname like \"or\"…"]),
        (
            "SELECT 1 FROM information_schema.columns WHERE table_schema = 'raw' AND table_name IN ('a', 'b')",
            vec!["columns: table_name in [\"a\", \"b\"], table_schema in [\"raw\"]"],
        ),
        // psql's completion of column names: the table's OID is known only when the other side has been read.
        (
            "SELECT a.attname FROM pg_attribute a, pg_class c WHERE c.oid = a.attrelid AND a.attnum > 0 \
             AND c.relname = 'orders' AND pg_catalog.pg_table_is_visible(c.oid)",
            vec!["pg_class: relname in [\"orders\"]", &columns_of_orders],
        ),
    ] {
        assert_eq!(fixture.keys_used(sql).await.expect(sql), expect, "{sql}");
    }
}
