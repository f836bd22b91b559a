//! What is in files: delimiters, quotes, encodings, compression, nesting, and the types of Parquet.

use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int32Array, LargeStringArray, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type as Key;

use super::*;

#[tokio::test]
async fn delimited_text_of_every_kind() {
    let lake = Lake::new();
    lake.write("bom.csv", "\u{feff}id,name\r\n1,a\r\n2,\"b\r\nc\"\r\n");
    lake.write("semi.csv", "id;price\n1;2,50\n");
    lake.write("pipe.txt", "id|who\n1|x\n");
    lake.write("bare.csv", "1,2024-01-01\n2,2024-01-02\n");
    lake.write("only_header.csv", "first,second\n");
    lake.write("quoted.csv", "a,text\n1,\"say \"\"hi\"\", then\"\n2,\n");
    lake.crawl().await;
    for (sql, expect) in [
        ("SELECT id, length(name) FROM bom ORDER BY id", &["1|1", "2|4"][..]),
        ("SELECT id, price FROM semi", &["1|2,50"]),
        ("SELECT who FROM pipe", &["x"]),
        ("SELECT column_1, column_2 FROM bare ORDER BY 1", &["1|2024-01-01", "2|2024-01-02"]),
        ("SELECT count(*), count(first) FROM only_header", &["0|0"]),
        ("SELECT text FROM quoted ORDER BY a", &["say \"hi\", then", "NULL"]),
    ] {
        assert_eq!(lake.query(sql).await.expect(sql), expect, "{sql}");
    }
}

#[tokio::test]
async fn text_with_dirt_is_read() {
    let lake = Lake::new();
    lake.write("ragged.csv", "a,b,c\n1,2,3\n4,5\n6,7,8,9\n");
    lake.write("titles.csv", "Report of May\n\nid,name\n1,x\n2,y\n\nSource: nobody at all\n");
    lake.write("wide.csv", [&[0xff, 0xfe], utf16("id,stadt\n1,Zürich\n").as_slice()].concat());
    lake.write("latin.csv", b"id,name\n1,caf\xe9\n2,gr\xc3\xbc\xc3\x9fe\n");
    lake.write("days.csv", "on;amount\n13/02/2024;NA\n01/02/2024;5\n");
    lake.write("months.csv", "at;card\n1/30/2024 5:00 PM;4111111111111111\n");
    lake.write("blank.csv", "\n \n");
    let report = lake.crawl().await;
    let blank = report.iter().find(|line| line.location.ends_with("blank.csv")).expect("it is reported");
    assert_eq!((blank.action.as_str(), &blank.table), ("skipped", &None), "{blank:?}");
    for (sql, expect) in [
        ("SELECT a, b, c FROM ragged", &["1|2|3", "4|5|NULL", "6|7|8"][..]),
        ("SELECT id, name FROM titles", &["1|x", "2|y"]),
        ("SELECT id, stadt FROM wide", &["1|Zürich"]),
        ("SELECT name FROM latin", &["café", "grüße"]),
        ("SELECT \"on\", amount FROM days", &["2024-02-13|NULL", "2024-02-01|5"]),
        ("SELECT at, card FROM months", &["2024-01-30T17:00:00|4111111111111111"]),
    ] {
        assert_eq!(lake.query(sql).await.expect(sql), expect, "{sql}");
    }
    let again = lake.crawl().await;
    assert!(again.iter().all(|line| ["unchanged", "skipped"].contains(&line.action.as_str())), "{again:?}");
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn days_in_two_orders_are_text() {
    let lake = Lake::new();
    lake.write("t/a.csv", "id,d\n1,13/02/2024\n");
    assert_eq!(lake.columns("t").await, "id bigint, d date");
    lake.write("t/b.csv", "id,d\n2,02/13/2024\n");
    assert_eq!(lake.columns("t").await, "id bigint, d text");
    let rows = lake.query("SELECT d FROM t ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["13/02/2024", "02/13/2024"]);
}

#[tokio::test]
async fn compressed_files_are_read() {
    let lake = Lake::new();
    // "id,name\n1,a\n" through gzip.
    lake.write("gz/a.csv.gz", unhex("1f8b08000000000002ffcb4cd1c94bcc4de532d449e40200d454b9ee0c000000"));
    lake.crawl().await;
    assert_eq!(lake.query("SELECT id, name FROM gz").await.expect("the file is read"), ["1|a"]);
    lake.write("nameless/a.csv", unhex("1f8b08000000000002ffcb4cd1c94bcc4de532d449e40200d454b9ee0c000000"));
    lake.crawl().await;
    assert_eq!(lake.query("SELECT id, name FROM nameless").await.expect("the file is read"), ["1|a"]);
    lake.write("broken/a.csv.gz", "this is not gzip");
    let report = lake.crawl().await;
    let error = report.iter().find(|line| line.action == "error").expect("the file is reported");
    assert!(error.reason.as_deref().is_some_and(|reason| reason.contains("decompressing")), "{error:?}");
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("the text is hexadecimal") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

#[tokio::test]
async fn nested_json_is_structs_and_lists() {
    let lake = Lake::new();
    lake.write(
        "people.json",
        r#"[{"id": {"thomas": "00172", "n": 1}, "terms": [{"start": "2001-01-03"}, {"start": "2007-01-04", "class": 1}],
             "tags": [], "mixed": 1, "Name": "A"},
            {"id": {"thomas": null, "n": 2.5, "new": true}, "terms": [], "mixed": {"deep": [1, 2.50]}, "name": "b"}]"#,
    );
    let expect = "id struct(thomas text, n double precision, new boolean), terms struct(start date, class bigint)[], \
                  tags text[], mixed text, \"Name\" text, name text";
    assert_eq!(lake.columns("people").await, expect);
    for (sql, expect) in [
        (
            "SELECT id['thomas'], id['n'], id['new'] FROM people ORDER BY id['n']",
            &["00172|1.0|NULL", "NULL|2.5|true"][..],
        ),
        ("SELECT mixed FROM people ORDER BY 1", &["1", "{\"deep\": [1, 2.50]}"]),
        ("SELECT \"Name\", name FROM people ORDER BY 1 NULLS LAST", &["A|NULL", "NULL|b"]),
        (
            "SELECT t['start'], t['class'] FROM (SELECT unnest(terms) AS t FROM people) ORDER BY 1",
            &["2001-01-03|NULL", "2007-01-04|1"],
        ),
        ("SELECT count(tags) FROM people", &["1"]),
    ] {
        assert_eq!(lake.query(sql).await.expect(sql), expect, "{sql}");
    }
}

#[tokio::test]
async fn an_object_keyed_by_data_is_one_row_per_key() {
    let lake = Lake::new();
    lake.write("members.json", r#"{"A": [{"n": 1}], "B": [{"n": 2}, {"n": 3}], "C": []}"#);
    lake.crawl().await;
    let rows =
        lake.query("SELECT key, v['n'] FROM (SELECT key, unnest(value) AS v FROM members) ORDER BY 2").await;
    assert_eq!(rows.expect("the table is read"), ["A|1", "B|2", "B|3"]);
}

#[tokio::test]
async fn many_batches_come_through() {
    let lake = Lake::new();
    let mut csv = String::from("id,name\n");
    let mut json = String::from("[");
    for id in 0..30_000 {
        csv.push_str(&format!("{id},\"name, {id}\"\n"));
        json.push_str(&format!("{}{{\"id\":{id}}}\n", if id == 0 { "" } else { "," }));
    }
    lake.write("big_csv.csv", csv);
    lake.write("big_json.json", json + "]");
    lake.crawl().await;
    for table in ["big_csv", "big_json"] {
        let sql = format!("SELECT count(*), sum(id), min(id), max(id) FROM {table}");
        assert_eq!(lake.query(&sql).await.expect("the table is read"), ["30000|449985000|0|29999"]);
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("the columns have one length")
}

#[tokio::test]
async fn parquet_types_are_those_of_tables() {
    let lake = Lake::new();
    let kinds: DictionaryArray<Key> = ["a", "b"].into_iter().collect();
    let decimals = Decimal128Array::from(vec![150, 250]).with_precision_and_scale(10, 2).expect("it fits");
    lake.write_parquet(
        "types.parquet",
        &batch(vec![
            ("big", Arc::new(UInt64Array::from(vec![1, u64::MAX]))),
            (
                "at",
                Arc::new(
                    TimestampNanosecondArray::from(vec![1_000_000_123, 0]).with_timezone("Europe/Berlin"),
                ),
            ),
            ("kind", Arc::new(kinds)),
            ("long", Arc::new(LargeStringArray::from(vec!["x", "y"]))),
            ("price", Arc::new(decimals)),
        ]),
    );
    let expect =
        "big numeric(20,0), \"at\" timestamp with time zone, kind text, long text, price numeric(10,2)";
    assert_eq!(lake.columns("types").await.replace("\"at\"", "at"), expect.replace("\"at\"", "at"));
    let rows =
        lake.query("SELECT big, kind, long, price FROM types ORDER BY kind").await.expect("it is read");
    assert_eq!(rows, ["1|a|x|1.50", "18446744073709551615|b|y|2.50"]);
    let seconds = lake.query("SELECT count(*) FROM types WHERE at > '1970-01-01T00:00:00.5Z'").await;
    assert_eq!(seconds.expect("it is read"), ["1"]);
}

#[tokio::test]
async fn parquet_files_of_one_table_may_differ() {
    let lake = Lake::new();
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["two"]));
    lake.write_parquet("t/a.parquet", &batch(vec![("id", Arc::clone(&ints)), ("n", ints)]));
    lake.write_parquet(
        "t/b.parquet",
        &batch(vec![("n", Arc::clone(&texts)), ("id", Arc::new(Int32Array::from(vec![2])))]),
    );
    assert_eq!(lake.columns("t").await, "id integer, n text");
    let rows = lake.query("SELECT id, n FROM t ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["1|1", "2|two"]);
}

#[tokio::test]
async fn parquet_rows_are_counted_from_footers_and_nan_is_not_lost() {
    let lake = Lake::new();
    let prices: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0, f64::NAN]));
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    lake.write_parquet("t/a.parquet", &batch(vec![("id", ids), ("price", prices)]));
    lake.crawl().await;
    let plan = lake.query("EXPLAIN SELECT count(*) FROM t").await.expect("the query is planned").join("\n");
    assert!(plan.contains("PlaceholderRowExec"), "the count is not read from the footers:\n{plan}");
    // SQL sorts NaN after every number; the bounds in the file do not have it.
    assert_eq!(lake.query("SELECT id FROM t WHERE price > 5").await.expect("the table is read"), ["2"]);
    lake.write_parquet(
        "t/a.parquet",
        &batch(vec![("id", Arc::new(Int32Array::from(vec![7, 8, 9])) as ArrayRef)]),
    );
    assert_eq!(lake.query("SELECT count(*), max(id) FROM t").await.expect("the table is read"), ["3|9"]);
}

#[tokio::test]
async fn nested_parquet_is_read() {
    use arrow::array::{LargeListArray, MapBuilder, StringBuilder, StructArray};
    use arrow::datatypes::{DataType, Field, Int64Type};
    let lake = Lake::new();
    let names: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b"]));
    let person = StructArray::from(vec![(Arc::new(Field::new("name", DataType::LargeUtf8, true)), names)]);
    let numbers = LargeListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    tags.keys().append_value("k");
    tags.values().append_value("v");
    tags.append(true).expect("keys and values are even");
    tags.append(true).expect("keys and values are even");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("person", Arc::new(person)), ("numbers", Arc::new(numbers)), ("tags", Arc::new(tags.finish()))];
    lake.write_parquet("nested.parquet", &batch(columns));
    lake.crawl().await;
    for (sql, expect) in [
        ("SELECT person['name'] FROM nested ORDER BY 1", &["a", "b"][..]),
        ("SELECT numbers FROM nested", &["[1, NULL]", "NULL"]),
        ("SELECT tags['k'] FROM nested ORDER BY 1", &["v", "NULL"]),
    ] {
        assert_eq!(lake.query(sql).await.expect(sql), expect, "{sql}");
    }
}
