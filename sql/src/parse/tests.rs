//! What the parser takes and what it refuses: each line of a table is a text and what becomes of it.

use super::parse;
use crate::statement::Statement;

/// The kind of the one statement, or the SQLSTATE, the position and the message of the error.
fn outcome(sql: &str) -> String {
    match parse(sql) {
        Ok(parsed) => parsed.iter().map(|parsed| kind(&parsed.statement)).collect::<Vec<_>>().join(" + "),
        Err(error) => {
            let position = error.position.map_or(String::new(), |position| format!(" @{position}"));
            format!("{}{position}: {}", error.sqlstate, error.message)
        }
    }
}

fn kind(statement: &Statement) -> String {
    let debug = format!("{statement:?}");
    debug.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

fn check(cases: &[(&str, &str)]) {
    for (sql, expect) in cases {
        assert_eq!(outcome(sql), *expect, "{sql}");
    }
}

#[test]
fn statements_are_told_apart() {
    check(&[
        ("", ""),
        (" ; -- nothing\n;", ""),
        ("SELECT 1", "Query"),
        ("(SELECT 1)", "Query"),
        ("VALUES (1)", "Query"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "Query"),
        ("SELECT 1; SELECT 2;", "Query + Query"),
        ("EXPLAIN (ANALYZE, VERBOSE off) SELECT 1", "Explain"),
        ("INSERT INTO t VALUES (1)", "Insert"),
        ("INSERT INTO t (a, \"B\") SELECT 1, 2", "Insert"),
        ("INSERT OVERWRITE TABLE t SELECT 1", "Insert"),
        ("TRUNCATE TABLE a, b.c", "Truncate"),
        ("CREATE TABLE t (a int NOT NULL COMMENT 'x', b map<text, list<int>>)", "CreateTable"),
        (
            "CREATE OR REPLACE TABLE t PARTITIONED BY (day(a)) WITH (format_version = 3) AS SELECT 1",
            "CreateTable",
        ),
        ("CREATE TABLE t (a, b) AS SELECT 1, 2 WITH NO DATA", "CreateTable"),
        ("CREATE VIEW v (a) AS SELECT 1", "CreateView"),
        ("CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION bob", "CreateSchema"),
        ("DROP TABLE IF EXISTS a, b CASCADE", "Drop"),
        ("DROP SCHEMA s", "DropSchema"),
        ("ALTER TABLE a RENAME TO b", "AlterRelation"),
        ("ALTER VIEW a SET SCHEMA b", "AlterRelation"),
        ("ALTER SCHEMA a OWNER TO bob", "AlterSchema"),
        ("COMMENT ON COLUMN s.t.c IS NULL", "Comment"),
        ("CREATE USER bob WITH PASSWORD 'x' CREATEDB IN ROLE a", "CreateRole"),
        ("ALTER ROLE bob NOLOGIN", "AlterRole"),
        ("DROP ROLE bob", "DropRole"),
        ("GRANT SELECT, INSERT ON TABLE t TO bob, PUBLIC WITH GRANT OPTION", "GrantPrivileges"),
        ("REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA s FROM bob", "GrantPrivileges"),
        ("GRANT readers TO bob", "GrantMembership"),
        ("CALL system.crawl(location => 'a', schema => 'b')", "Call"),
        ("DESCRIBE t", "Describe"),
        ("SHOW TABLES FROM s LIKE 'a%'", "ShowObjects"),
        ("SHOW COLUMNS FROM t", "ShowObjects"),
        ("SHOW TRANSACTION ISOLATION LEVEL", "Show"),
        ("SET LOCAL search_path TO a, \"B\"", "Set"),
        ("SET TIME ZONE 'UTC'", "Set"),
        ("RESET ALL", "Set"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", "Transaction"),
        ("COMMIT AND NO CHAIN", "Transaction"),
        ("ROLLBACK WORK AND CHAIN", "Transaction"),
        ("SAVEPOINT a", "Transaction"),
        ("RELEASE a", "Transaction"),
        ("ROLLBACK TRANSACTION TO SAVEPOINT \"A b\"", "Transaction"),
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", "Transaction"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "Transaction"),
        ("DISCARD ALL", "Discard"),
    ]);
}

#[test]
fn errors_say_where_and_what() {
    check(&[
        ("SELEC 1", "42601 @1: syntax error at or near \"SELEC\""),
        ("SELECT * FROM", "42601: syntax error at end of input"),
        ("SELECT 1 +* 2", "42601 @11: syntax error at or near \"*\""),
        ("SELECT 'öö' x y", "42601 @15: syntax error at or near \"y\""),
        ("CREATE TABLE t ()", "42601 @17: syntax error at or near \")\""),
        ("CREATE TABLE t (a foo)", "42704 @19: type \"foo\" does not exist"),
        ("CREATE TABLE t (a numeric(40, 2))", "22023 @19: numeric precision 40 must be between 1 and 38"),
        ("CREATE TABLE t", "42601 @15: a table needs at least one column, or AS and a query"),
        ("DROP TABLE a.b.c.d", "42601 @12: improper qualified name (too many parts): a.b.c.d"),
        ("SET x", "42601 @6: syntax error at end of input"),
    ]);
}

/// Trap T13: a clause that the engine would read past without a word is an error with its name.
#[test]
fn trap_t13_clauses_that_nobody_consumes_are_named() {
    check(&[
        ("SELECT * FROM t FOR UPDATE", "0A000: FOR UPDATE or FOR SHARE is not supported"),
        ("SELECT * FROM t TABLESAMPLE SYSTEM (10)", "0A000: TABLESAMPLE is not supported"),
        ("SELECT 1 INTO x", "0A000: SELECT INTO (use CREATE TABLE … AS) is not supported"),
        ("SELECT * FROM (SELECT * FROM t FOR SHARE) s", "0A000: FOR UPDATE or FOR SHARE is not supported"),
        ("SELECT (SELECT 1 FROM t FOR UPDATE)", "0A000: FOR UPDATE or FOR SHARE is not supported"),
        ("SELECT 1 FETCH FIRST 1 ROW WITH TIES", "0A000: FETCH … WITH TIES is not supported"),
        (
            "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
            "0A000: DELETE inside a query is not supported",
        ),
        (
            "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
            "0A000 @23: column clause GENERATED is not supported",
        ),
        (
            "CREATE TABLE t (a int PRIMARY KEY ENFORCED)",
            "0A000 @35: an enforced PRIMARY KEY is not supported",
        ),
        (
            "CREATE TABLE t (a int, EXCLUDE USING gist (a WITH =))",
            "0A000 @24: table constraint EXCLUDE is not supported",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT c EXCLUDE (a WITH =)",
            "0A000 @32: table constraint EXCLUDE is not supported",
        ),
        ("CREATE TABLE t (a int) TABLESPACE x", "0A000 @24: clause TABLESPACE here is not supported"),
        ("CREATE TEMP SCHEMA s", "0A000 @8: CREATE TEMPORARY SCHEMA is not supported"),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "0A000 @38: ON CONFLICT without key columns is not supported",
        ),
        ("COPY t TO PROGRAM 'cat'", "0A000 @11: COPY with PROGRAM is not supported"),
        ("COPY t TO '/x' (FORMAT json)", "22023: COPY format \"json\" not recognized"),
        ("COPY t TO STDOUT (FORMAT parquet)", "22023: COPY format \"parquet\" not recognized"),
        ("COPY t FROM '/x' (FORMAT parquet, NULL '')", "42601: cannot specify NULL in PARQUET mode"),
        ("GRANT SELECT (a) ON t TO bob", "0A000 @14: a grant on columns is not supported"),
    ]);
}

#[test]
fn limits_are_errors_not_crashes() {
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(outcome(&deep), "54001: statement is nested too deeply");
    for again in ["EXPLAIN ", "PREPARE p AS ", "COPY ("] {
        let (word, place) = (again.split(' ').next().expect("a word"), again.len() + 1);
        let expect = format!("42601 @{place}: syntax error at or near \"{word}\"");
        assert_eq!(outcome(&again.repeat(10_000)), expect);
    }
    let chain = format!("SELECT 1{}", " + 1".repeat(501));
    assert_eq!(outcome(&chain), "54001 @2010: statement has too long a chain of operators");
    let long = format!("SELECT '{}'", "x".repeat(super::STATEMENT_BYTES_MAX));
    assert_eq!(outcome(&long), "54000: statement is too long");
}

#[test]
fn passwords_are_not_printed() {
    let parsed =
        parse("CREATE ROLE bob PASSWORD 'secret-word'").map(|parsed| format!("{:?}", parsed[0].statement));
    assert!(!parsed.unwrap_or_default().contains("secret-word"));
}

#[test]
fn copies_are_told_apart() {
    check(&[
        ("COPY t FROM STDIN", "CopyFrom"),
        (
            "COPY s.\"order\" (a, \"B\") FROM stdin WITH (FORMAT csv, HEADER match, NULL '') WHERE a > 1",
            "CopyFrom",
        ),
        ("COPY t TO STDOUT", "CopyTo"),
        ("COPY BINARY t TO STDOUT", "CopyTo"),
        ("COPY t FROM STDIN USING DELIMITERS '|' WITH NULL AS ''", "CopyFrom"),
        ("COPY t FROM STDIN CSV HEADER QUOTE AS '''' ESCAPE '\\' FORCE NOT NULL a, b", "CopyFrom"),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT (FORMAT \"binary\")", "CopyTo"),
        ("COPY (DELETE FROM t) TO STDOUT", "0A000 @7: COPY query must have a RETURNING clause"),
        ("COPY (SELECT 1) FROM STDIN", "42601 @17: syntax error at or near \"FROM\""),
        ("COPY t FROM STDIN (FORMAT csv, FORMAT csv)", "42601 @32: conflicting or redundant options"),
        ("COPY t FROM STDIN CSV BINARY", "42601 @23: conflicting or redundant options"),
        ("COPY t FROM STDIN (SOMETHING 1)", "42601 @20: option \"something\" not recognized"),
        ("COPY t FROM STDIN (FORMAT xml)", "22023: COPY format \"xml\" not recognized"),
        ("COPY t FROM STDIN (DELIMITER 'ab')", "0A000: COPY delimiter must be a single one-byte character"),
        ("COPY t FROM STDIN (DELIMITER 'a')", "22023: COPY delimiter cannot be \"a\""),
        ("COPY t FROM STDIN CSV DELIMITER '\"'", "22023: COPY delimiter and quote must be different"),
        ("COPY t TO STDOUT (HEADER match)", "0A000: cannot use \"match\" with HEADER in COPY TO"),
        (
            "COPY t FROM STDIN (FORMAT csv, FORCE_QUOTE *)",
            "0A000: COPY force quote only available using COPY TO",
        ),
        ("COPY t TO STDOUT WHERE a", "42601 @18: WHERE clause not allowed with COPY TO"),
        ("COPY t FROM '/x'", "CopyFrom"),
        ("COPY t FROM PROGRAM 'x'", "0A000 @13: COPY with PROGRAM is not supported"),
        ("COPY t FROM STDIN CSV SOMETHING", "42601 @23: syntax error at or near \"SOMETHING\""),
    ]);
}
