//! `read_csv`, `read_json` and `read_parquet` over files, folders and patterns.

use super::*;
use crate::files::{ReadFunction, read_files};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue};

async fn read(
    lake: &Lake,
    function: ReadFunction,
    path: &str,
    options: &[(&str, &str)],
) -> Result<Vec<String>> {
    let location = lake.landing().join(path).display().to_string();
    let mut arguments = vec![Argument { name: None, value: ArgumentValue::Text(location) }];
    for (name, value) in options {
        let value = match *value {
            "true" => ArgumentValue::Boolean(true),
            "false" => ArgumentValue::Boolean(false),
            text => ArgumentValue::Text(text.to_owned()),
        };
        arguments.push(Argument { name: Some((*name).to_owned()), value });
    }
    let context = SessionContext::new();
    let storage = lake.catalog.storage();
    let table = read_files(function, &arguments, &lake.principal(), storage, &context.state()).await?;
    let columns = table.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join("|");
    context.register_table("t", table).expect("the name is free");
    let mut rows = run(&context, "SELECT * FROM t ORDER BY 1").await?;
    rows.insert(0, columns);
    Ok(rows)
}

#[tokio::test]
async fn files_folders_and_patterns_are_read() {
    let lake = Lake::new();
    lake.write("a1.csv", "id,n\n1,x\n");
    lake.write("a2.csv", "n,id,extra\ny,2,true\n");
    lake.write("deep/er/b.csv", "id,n\n3,z\n");
    lake.write("deep/notes.md", "nothing");
    lake.write("c.json", "[{\"id\":1}]");
    let both = ["id|n|extra", "1|x|NULL", "2|y|true"];
    for (function, path, expect) in [
        (ReadFunction::Csv, "a1.csv", &["id|n", "1|x"][..]),
        (ReadFunction::Csv, "a*.csv", &both),
        (ReadFunction::Csv, "a{1,2}.csv", &both),
        (ReadFunction::Csv, "deep", &["id|n", "3|z"]),
        (ReadFunction::Csv, "**/b.csv", &["id|n", "3|z"]),
        (ReadFunction::Json, "c.json", &["id", "1"]),
    ] {
        assert_eq!(read(&lake, function, path, &[]).await.expect(path), expect, "{path}");
    }
}

#[tokio::test]
async fn options_change_what_is_read() {
    let lake = Lake::new();
    lake.write("a.csv", "id,n\n1,NA\n2,5\n");
    lake.write("ragged.csv", "a,b\n1,2\n3\n4,5,6\n");
    lake.write("single.csv", "a,b\n'x,y',1\n");
    for (path, options, expect) in [
        ("a.csv", &[("null", "NA")][..], &["id|n", "1|NULL", "2|5"][..]),
        ("a.csv", &[("all_text", "true")], &["id|n", "1|NA", "2|5"]),
        ("a.csv", &[("header", "false")], &["column_1|column_2", "1|NA", "2|5", "id|n"]),
        ("ragged.csv", &[], &["a|b", "1|2", "3|NULL", "4|5"]),
        ("ragged.csv", &[("ragged", "pad")], &["a|b", "1|2", "3|NULL", "4|5"]),
        ("ragged.csv", &[("ragged", "skip")], &["a|b", "1|2"]),
        ("single.csv", &[("quote", "'")], &["a|b", "x,y|1"]),
    ] {
        assert_eq!(
            read(&lake, ReadFunction::Csv, path, options).await.expect(path),
            expect,
            "{path} {options:?}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_an_error_with_its_file() {
    let lake = Lake::new();
    lake.write("empty.csv", "");
    lake.write("ragged.csv", "a,b\n1,2\n3\n");
    lake.write("notes.md", "x");
    lake.write("mixed/keyed.json", r#"{"A": [{"n": 1}], "B": [{"n": 2}], "C": []}"#);
    lake.write("mixed/lines.json", "{\"n\":1}\n{\"n\":2}");
    for (function, path, options, sqlstate, part) in [
        (ReadFunction::Csv, "missing.csv", &[][..], SqlState::UNDEFINED_FILE, "missing.csv"),
        (ReadFunction::Csv, "*.tsv", &[], SqlState::UNDEFINED_FILE, "read_csv"),
        (ReadFunction::Parquet, "", &[], SqlState::UNDEFINED_FILE, "read_parquet"),
        (
            ReadFunction::Csv,
            "empty.csv",
            &[],
            SqlState::BAD_COPY_FILE_FORMAT,
            "empty.csv\" cannot be read: it is empty",
        ),
        (
            ReadFunction::Csv,
            "ragged.csv",
            &[("ragged", "error")],
            SqlState::BAD_COPY_FILE_FORMAT,
            "ragged.csv\", line 3",
        ),
        (
            ReadFunction::Json,
            "mixed",
            &[],
            SqlState::BAD_COPY_FILE_FORMAT,
            "lines.json\" cannot be read: it has another",
        ),
        (ReadFunction::Parquet, "notes.md", &[], SqlState::BAD_COPY_FILE_FORMAT, "notes.md"),
        (ReadFunction::Csv, "a[.csv", &[], SqlState::INVALID_PARAMETER_VALUE, "malformed"),
        (ReadFunction::Csv, "ragged.csv", &[("colour", "red")], SqlState::INVALID_PARAMETER_VALUE, "colour"),
    ] {
        let error = read(&lake, function, path, options).await.expect_err(path);
        assert_eq!(error.sqlstate, sqlstate, "{path}: {error}");
        assert!(error.message.contains(part), "{path}: {}", error.message);
    }
}
