//! Files and requests that are wrong: each is named with what is wrong and where, and stops nothing else.

use super::*;
use crate::sqlstate::SqlState;

#[tokio::test]
async fn malformed_files_are_reported_and_stop_nothing() {
    let lake = Lake::new();
    lake.write("good.csv", "id,name\n1,a\n");
    lake.write("broken.json", "[{\"a\":1},\n{\"a\":");
    lake.write("wrong.json", "{\"a\":1}\n{\"a\" 2}\n");
    lake.write("scalars.json", "[1,2,3]");
    lake.write("picture.csv", [0x89, b'P', b'N', b'G', 0, 0, 1, 2, 0, 0, 3, 4]);
    lake.write("truncated.parquet", "PAR1 and then nothing");
    let report = lake.crawl().await;
    assert_eq!(report[0].table.as_deref(), Some("raw.good"));
    for (file, part) in [
        ("broken.json", "line 2: the file ends in the middle of a record"),
        ("wrong.json", "line 2: it is not JSON: a colon is expected"),
        ("scalars.json", "a record is a number"),
        ("picture.csv", "binary"),
        ("truncated.parquet", "not a whole Parquet file"),
    ] {
        let line = report.iter().find(|line| line.location.ends_with(file)).expect(file);
        assert_eq!(line.action, "error", "{file}");
        assert!(
            line.reason.as_deref().is_some_and(|reason| reason.contains(part)),
            "{file}: {:?}",
            line.reason
        );
    }
    assert_eq!(lake.count("good").await, 1);
}

#[tokio::test]
async fn a_file_that_broke_since_is_named_by_the_query() {
    let lake = Lake::new();
    lake.write("t/a.csv", "id,n\n1,5\n");
    lake.write("j/a.json", "{\"id\":1}");
    lake.crawl().await;
    for (path, content, sqlstate, part) in [
        ("t/a.csv", "id,n\n1,5\n2,x\n", SqlState::INVALID_TEXT_REPRESENTATION, "t/a.csv\", line 3"),
        ("t/a.csv", "id,n\n1,\"5\n", SqlState::INVALID_TEXT_REPRESENTATION, "\"5\" is not"),
        ("t/a.csv", "x,y\n1,5\n", SqlState::BAD_COPY_FILE_FORMAT, "none of the table's columns: x, y"),
        (
            "j/a.json",
            "{\"id\":1}\n{\"id\":\"x\"}",
            SqlState::INVALID_TEXT_REPRESENTATION,
            "j/a.json\", line 2",
        ),
        ("j/a.json", "[{\"id\":1}", SqlState::BAD_COPY_FILE_FORMAT, "ends in the middle"),
    ] {
        lake.write(path, content);
        let table = &path[..1];
        let error = lake.query(&format!("SELECT * FROM {table}")).await.expect_err(content);
        assert_eq!(error.sqlstate, sqlstate, "{content:?}: {error}");
        assert!(error.message.contains(part), "{content:?}: {}", error.message);
        assert!(error.hint.is_some() || sqlstate == SqlState::BAD_COPY_FILE_FORMAT, "{error}");
    }
}

#[tokio::test]
async fn a_parquet_file_that_broke_since_is_named_by_the_query() {
    let lake = Lake::new();
    let ids: arrow::array::ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..1000));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("one column");
    lake.write_parquet("p/a.parquet", &batch);
    lake.crawl().await;
    let whole = std::fs::read(lake.landing().join("p/a.parquet")).expect("the file is there");
    lake.write("p/a.parquet", &whole[..whole.len() / 2]);
    let error = lake.query("SELECT sum(id) FROM p").await.expect_err("the file is cut off");
    assert_eq!(error.sqlstate, SqlState::BAD_COPY_FILE_FORMAT, "{error}");
    assert!(error.message.contains("p/a.parquet"), "{}", error.message);
    let mut damaged = whole.clone();
    damaged[4..60].fill(0xff);
    lake.write("p/a.parquet", &damaged);
    let error = lake.query("SELECT sum(id) FROM p").await.expect_err("a page is damaged");
    assert!(error.message.contains("p/a.parquet"), "{}", error.message);
}

#[tokio::test]
async fn files_that_are_gone_are_an_error() {
    let lake = Lake::new();
    lake.write("t/a.csv", "id\n1\n");
    lake.write("one.csv", "id,x\n1,2\n");
    lake.crawl().await;
    std::fs::remove_file(lake.landing().join("t/a.csv")).expect("the file can be removed");
    let error = lake.refresh().await.expect_err("the folder is empty");
    assert_eq!(error.sqlstate, SqlState::UNDEFINED_FILE, "{error}");
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let lake = Lake::new();
    lake.write("a.csv", "id\n1\n");
    std::fs::create_dir_all(lake.folder.path().join("server/catalog")).expect("a folder can be made");
    for (path, sqlstate) in [
        ("nowhere", SqlState::UNDEFINED_FILE),
        ("landing/*.csv", SqlState::INVALID_PARAMETER_VALUE),
        ("server", SqlState::INSUFFICIENT_PRIVILEGE),
        ("landing/../server/catalog", SqlState::INVALID_PARAMETER_VALUE),
    ] {
        let error = lake.crawl_folder(&lake.folder.path().join(path)).await.expect_err(path);
        assert_eq!(error.sqlstate, sqlstate, "{path}: {error}");
    }
    let request = CrawlRequest {
        locations: vec![lake.landing().display().to_string()],
        schema: "pg_raw".to_owned(),
        ..Default::default()
    };
    let state = lake.context.state();
    let error =
        crawl(request, &lake.principal(), &lake.catalog, &state).await.expect_err("the name is reserved");
    assert_eq!(error.sqlstate, SqlState::RESERVED_NAME);
    assert_eq!(lake.sequence(), Lake::new().sequence());
}
