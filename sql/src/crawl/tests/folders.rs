//! How folders become tables, what they are called, and what a later crawl changes.

use super::*;

#[tokio::test]
async fn files_of_one_shape_are_one_table() {
    let lake = Lake::new();
    lake.write("orders/a.csv", "id,item\n1,x\n2,y\n");
    lake.write("orders/b.csv", "item,id\nz,3\n");
    lake.write("customers/part-0.json", "{\"id\":1}\n{\"id\":2}\n");
    lake.write("customers/part-1.json", "[{\"id\":3,\"name\":\"c\"}]");
    assert_eq!(summary(&lake.crawl().await), ["created raw.customers", "created raw.orders"]);
    let orders = lake.query("SELECT id, item FROM orders ORDER BY id").await.expect("the table is read");
    assert_eq!(orders, ["1|x", "2|y", "3|z"]);
    let customers =
        lake.query("SELECT id, name FROM customers ORDER BY id").await.expect("the table is read");
    assert_eq!(customers, ["1|NULL", "2|NULL", "3|c"]);
}

#[tokio::test]
async fn unlike_files_are_a_table_each() {
    let lake = Lake::new();
    lake.write("Customer List.csv", "id,name\n1,x\n");
    lake.write("2024 sales.csv", "day,amount\n2024-01-01,5\n");
    lake.write("items.tsv", "sku\tprice\nA1\t2.50\n");
    lake.write("items.json", "{\"sku\":\"A1\"}");
    let expect = [
        "created raw._2024_sales",
        "created raw.customer_list",
        "created raw.items_json",
        "created raw.items_tsv",
    ];
    assert_eq!(summary(&lake.crawl().await), expect);
    let prices = lake.query("SELECT price FROM items_tsv").await.expect("the table is read");
    assert_eq!(prices, ["2.5"]);
}

#[tokio::test]
async fn a_series_of_files_among_others_is_one_table() {
    let lake = Lake::new();
    lake.write("orders-2023.csv", "id,item\n1,x\n");
    lake.write("orders-2024.csv", "id,item\n2,y\n");
    lake.write("customers.csv", "customer,city\nann,rome\n");
    assert_eq!(summary(&lake.crawl().await), ["created raw.customers", "created raw.orders"]);
    assert_eq!(lake.count("orders").await, 2);
}

#[tokio::test]
async fn equal_names_are_told_apart() {
    let lake = Lake::new();
    lake.write("eu/orders/a.csv", "id,item\n1,x\n");
    lake.write("us/orders/a.csv", "id,item\n2,y\n");
    lake.write("eu/items/a.csv", "sku,n\na,1\n");
    lake.write("eu/items/a.json", "{\"sku\":1}");
    let expect =
        ["created raw.a_csv", "created raw.a_json", "created raw.eu_orders", "created raw.us_orders"];
    assert_eq!(summary(&lake.crawl().await), expect);
}

#[tokio::test]
async fn folders_named_for_values_are_columns() {
    let lake = Lake::new();
    lake.write("sales/year=2023/region=eu/a.csv", "id\n1\n");
    lake.write("sales/year=2024/region=S%C3%A3o/a.csv", "id\n2\n");
    lake.write("sales/year=2024/region=__HIVE_DEFAULT_PARTITION__/b.csv", "id\n3\n");
    assert_eq!(lake.columns("sales").await, "id bigint, year bigint, region text");
    let rows = lake.query("SELECT region, id, year FROM sales ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["eu|1|2023", "São|2|2024", "NULL|3|2024"]);
    let rows =
        lake.query("SELECT id FROM sales WHERE year = 2024 ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["2", "3"]);
    assert_eq!(
        lake.query("SELECT count(*) FROM sales WHERE region IS NULL").await.expect("it is read"),
        ["1"]
    );
}

#[tokio::test]
async fn a_filter_on_a_folder_leaves_out_its_files() {
    let lake = Lake::new();
    lake.write("sales/year=2023/a.csv", "id\n1\n");
    lake.write("sales/year=2024/a.csv", "id\n2\n");
    lake.crawl().await;
    // A file that is broken since is not read for a query about another year.
    lake.write("sales/year=2023/a.csv", "id\n1,2,3\n");
    assert_eq!(lake.query("SELECT id FROM sales WHERE year = 2024").await.expect("it is read"), ["2"]);
    assert!(lake.query("SELECT id FROM sales").await.is_err());
}

#[tokio::test]
async fn folders_of_dates_belong_to_the_table_above() {
    let lake = Lake::new();
    lake.write("logs/2024/01/31/a.json", "{\"n\":1}");
    lake.write("logs/2024/02/01/a.json", "{\"n\":2}");
    assert_eq!(summary(&lake.crawl().await), ["created raw.logs"]);
    assert_eq!(lake.columns("logs").await, "n bigint, year bigint, month bigint, day bigint");
    let rows = lake.query("SELECT n, year, month, day FROM logs ORDER BY n").await.expect("it is read");
    assert_eq!(rows, ["1|2024|1|31", "2|2024|2|1"]);
    // Only the folder that the filter leaves is read.
    lake.write("logs/2024/01/31/a.json", "not JSON");
    let rows = lake.query("SELECT n FROM logs WHERE month = 2").await.expect("the other is not read");
    assert_eq!(rows, ["2"]);
    lake.write("days/2024-07-31/a.csv", "n\n1\n");
    lake.write("days/2024-08-01/a.csv", "n\n2\n");
    lake.write("own/2024/a.csv", "year,n\n1999,1\n");
    lake.crawl().await;
    let rows = lake.query("SELECT n, date FROM days ORDER BY date").await.expect("it is read");
    assert_eq!(rows, ["1|2024-07-31", "2|2024-08-01"]);
    assert_eq!(lake.query("SELECT year FROM own").await.expect("it is read"), ["1999"]);
}

#[tokio::test]
async fn junk_is_left_out() {
    let lake = Lake::new();
    lake.write("orders/a.csv", "id,item\n1,x\n");
    lake.write("orders/_SUCCESS", "");
    lake.write("orders/.a.csv.crc", "xx");
    lake.write("orders/_temporary/b.csv", "id,item\n9,z\n");
    lake.write("orders/empty.csv", "");
    lake.write("orders/README.md", "# Orders");
    let report = lake.crawl().await;
    assert_eq!(summary(&report), ["created raw.orders", "skipped empty.csv", "skipped "]);
    assert_eq!(report[2].reason.as_deref(), Some("files with the extension .md are not read"));
    assert_eq!(lake.count("orders").await, 1);
}

#[tokio::test]
async fn a_new_column_is_merged_and_an_old_one_stays() {
    let lake = Lake::new();
    lake.write("orders/a.csv", "id,item\n1,x\n");
    lake.crawl().await;
    lake.write("orders/b.csv", "id,item,price\n2,y,1.5\n");
    let report = lake.crawl().await;
    assert_eq!(summary(&report), ["updated raw.orders"]);
    assert_eq!(report[0].columns.as_deref(), Some("id bigint, item text, price double precision"));
    let rows = lake.query("SELECT * FROM orders ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["1|x|NULL", "2|y|1.5"]);
    std::fs::remove_file(lake.landing().join("orders/b.csv")).expect("the file can be removed");
    let report = lake.crawl().await;
    assert_eq!(report[0].columns.as_deref(), Some("id bigint, item text, price double precision"));
    assert_eq!(summary(&lake.crawl().await), ["unchanged raw.orders"]);
}

#[tokio::test]
async fn a_type_becomes_wider() {
    let lake = Lake::new();
    lake.write("orders/a.csv", "id,code\n1,7\n");
    assert_eq!(lake.columns("orders").await, "id bigint, code bigint");
    lake.write("orders/b.csv", "id,code\n2.5,007\n");
    let report = lake.crawl().await;
    assert_eq!(report[0].columns.as_deref(), Some("id double precision, code text"));
    let rows = lake.query("SELECT id, code FROM orders ORDER BY id").await.expect("the table is read");
    assert_eq!(rows, ["1.0|7", "2.5|007"]);
}

#[tokio::test]
async fn tables_keep_their_names_and_files() {
    let lake = Lake::new();
    lake.write("items.csv", "sku,n\na,1\n");
    assert_eq!(summary(&lake.crawl().await), ["created raw.items"]);
    lake.write("items.json", "{\"sku\":1}");
    lake.write("items_old.csv", "sku,n\nb,2\n");
    let expect = ["unchanged raw.items", "created raw.items_json", "created raw.items_old"];
    assert_eq!(summary(&lake.crawl().await), expect);
    assert_eq!(lake.count("items").await, 1);
    std::fs::remove_file(lake.landing().join("items.csv")).expect("the file can be removed");
    assert_eq!(summary(&lake.crawl().await)[0], "missing raw.items");
}

#[tokio::test]
async fn the_same_folder_gives_the_same_plan_in_one_commit() {
    let lake = Lake::new();
    for number in 0..20 {
        lake.write(&format!("t{number}/a.csv"), format!("id,c{number}\n1,2\n"));
    }
    let before = lake.sequence();
    let first = lake.crawl().await;
    assert_eq!(first.len(), 20);
    assert_eq!(lake.sequence().0, before.0 + 1);
    let again = lake.crawl().await;
    assert_eq!(lake.sequence().0, before.0 + 1);
    let names = |lines: &[Line]| lines.iter().map(|line| line.table.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&again));
}

#[tokio::test]
async fn two_crawls_at_once_agree() {
    let lake = Lake::new();
    for number in 0..5 {
        lake.write(&format!("t{number}/a.csv"), format!("id,c{number}\n1,2\n"));
    }
    let (one, other) = tokio::join!(lake.crawl(), lake.crawl());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.table, other.table);
        let actions = [one.action.as_str(), other.action.as_str()];
        assert!(actions.contains(&"created") && actions.contains(&"unchanged"), "{actions:?}");
    }
}

#[tokio::test]
async fn names_with_brackets_are_names() {
    let lake = Lake::new();
    lake.write("data[1].csv", "id,a\n1,x\n");
    lake.write("data1.csv", "id,b\n2,y\n");
    lake.write("sub[a]/x.csv", "id,c\n3,z\n");
    lake.crawl().await;
    for (sql, expect) in
        [("SELECT id FROM data_1_", "1"), ("SELECT id FROM data1", "2"), ("SELECT id FROM sub_a_", "3")]
    {
        assert_eq!(lake.query(sql).await.expect(sql), [expect], "{sql}");
    }
}

#[tokio::test]
async fn one_file_can_be_crawled() {
    let lake = Lake::new();
    lake.write("deep/Orders.csv", "id,item\n1,x\n");
    lake.write("deep/other.csv", "a,b\n1,x\n");
    let report = lake.crawl_folder(&lake.landing().join("deep/Orders.csv")).await.expect("the crawl runs");
    assert_eq!(summary(&lines(&report)), ["created raw.orders"]);
    assert_eq!(lake.count("orders").await, 1);
    // The folder's crawl leaves the table its file, and makes no table that would read it too.
    assert_eq!(summary(&lake.crawl().await), ["unchanged raw.orders", "created raw.other"]);
}
