//! The first session with Tarn, typed by a program (`make demo`): an empty data folder, raw files in a landing folder,
//! one CALL that makes tables of them, CREATE TABLE AS that makes Iceberg tables, and queries. Every statement is
//! printed as it would be typed, with the result as psql would draw it.

use crate::server::{Launch, Server};
use crate::shown::{self, Progress};
use crate::tpch::{Format, Slice, Table};
use crate::{Result, client, tpch};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use tokio_postgres::Client;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// End after the last query instead of serving until Ctrl-C
    #[arg(long)]
    pub exit: bool,
    /// TPC-H scale factor of the generated files
    #[arg(long, default_value_t = 0.05)]
    pub scale: f64,
    /// Where the landing folder and the data folder are made
    #[arg(long, default_value = "demo-data")]
    pub folder: PathBuf,
}

/// Which table arrives in which shape, as deliveries of several systems would.
const DELIVERIES: [(Table, Format, &str); 9] = [
    (Table::Region, Format::Json, "region.json"),
    (Table::Nation, Format::Json, "nation.json"),
    (Table::Supplier, Format::Csv, "supplier.csv"),
    (Table::Customer, Format::Csv, "customer.csv"),
    (Table::Part, Format::Parquet, "part.parquet"),
    (Table::PartSupp, Format::Csv, "partsupp.csv"),
    (Table::Orders, Format::Parquet, "orders/2026-01.parquet"),
    (Table::Orders, Format::Parquet, "orders/2026-02.parquet"),
    (Table::LineItem, Format::Parquet, "lineitem/all.parquet"),
];

const BUILD: [&str; 5] = [
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.orders PARTITIONED BY (year(o_orderdate)) AS\nSELECT * FROM raw.orders",
    "CREATE TABLE shop.lineitem AS\nSELECT * FROM raw.lineitem",
    "CREATE TABLE shop.customer AS\n\
     SELECT c.c_custkey, c.c_name, c.c_mktsegment, n.n_name AS nation, r.r_name AS region\n\
     FROM raw.customer c\n\
     JOIN raw.nation n ON n.n_nationkey = c.c_nationkey\n\
     JOIN raw.region r ON r.r_regionkey = n.n_regionkey",
    "CREATE VIEW shop.sales AS\n\
     SELECT o.o_orderdate, c.region, c.nation, c.c_mktsegment, l.l_extendedprice * (1 - l.l_discount) AS revenue\n\
     FROM shop.orders o\n\
     JOIN shop.customer c ON c.c_custkey = o.o_custkey\n\
     JOIN shop.lineitem l ON l.l_orderkey = o.o_orderkey",
];

const QUERIES: [&str; 4] = [
    "SELECT table_name, kind, format_version, rows, bytes FROM system.tables\n\
     WHERE schema = 'shop' ORDER BY table_name",
    "SELECT region, count(*) AS lines, round(sum(revenue), 2) AS revenue FROM shop.sales\n\
     GROUP BY region ORDER BY revenue DESC",
    "SELECT date_trunc('month', o_orderdate)::date AS month, count(*) AS orders FROM shop.orders\n\
     WHERE o_orderdate >= DATE '1998-01-01' GROUP BY month ORDER BY month",
    "SELECT nation, c_mktsegment AS segment, round(sum(revenue), 2) AS revenue FROM shop.sales\n\
     WHERE region = 'EUROPE' GROUP BY nation, segment ORDER BY revenue DESC LIMIT 5",
];

/// This file says that the folder was made by the demo and may be emptied by it.
const MARK: &str = ".made-by-make-demo";

pub async fn run(options: &Options) -> Result<()> {
    let folder = fresh_folder(&options.folder)?;
    let landing = folder.join("landing");
    land(&landing, options.scale).await?;

    let mut launch = Launch::new(&folder.join("data"))?;
    launch.postgres = if options.exit { "127.0.0.1:0".to_string() } else { preferred_address() };
    let mut server = launch.start()?;
    println!("\ntarn serves an empty folder, {}\n", server.launch().data_dir.display());

    let client = server.connect("tarn").await?;
    let crawl = format!("CALL system.crawl(location => '{}', schema => 'raw')", landing.display());
    ask(&client, &crawl).await?;
    for sql in BUILD {
        build(&server, &client, sql).await?;
    }
    for sql in QUERIES {
        ask(&client, sql).await?;
    }
    let addresses = server.addresses();
    println!(
        "Go on in another terminal:\n\n    psql -h {} -p {} -U tarn lake\n",
        addresses.host, addresses.port
    );
    drop(client);
    if !options.exit {
        println!("The server runs until Ctrl-C; its data stays in {}.", folder.display());
        tokio::signal::ctrl_c().await?;
        println!();
    }
    server.terminate()
}

/// An empty folder: a new one, or an earlier one of ours emptied. Anything else is left alone.
fn fresh_folder(folder: &Path) -> Result<PathBuf> {
    let is_occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_occupied && !folder.join(MARK).exists() {
        return Err(format!(
            "{} is not empty and not made by the demo; name another --folder",
            folder.display()
        )
        .into());
    }
    if is_occupied {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(MARK), "This folder is emptied by the next `make demo`.\n")?;
    Ok(folder.canonicalize()?)
}

async fn land(landing: &Path, scale: f64) -> Result<()> {
    println!("Raw files of TPC-H at scale {scale}, in {}:\n", landing.display());
    Progress::new("  the text of TPC-H", None).show(tokio::task::spawn_blocking(tpch::prepare)).await?;
    for (table, format, name) in DELIVERIES {
        let parts: Vec<_> = DELIVERIES.iter().filter(|(other, _, _)| *other == table).collect();
        let part = parts.iter().position(|(_, _, other)| *other == name).unwrap_or(0);
        let slice = Slice { scale, part: part as i32 + 1, parts: parts.len() as i32 };
        let path = landing.join(name);
        let work = tokio::task::spawn_blocking(move || table.write(slice, format, &path));
        let rows = Progress::new(&format!("  {name}"), Some(landing)).show(work).await??;
        debug_assert!(rows > 0, "every delivery holds rows");
    }
    Ok(())
}

/// The documented port when it is free, else any.
fn preferred_address() -> String {
    let documented = "127.0.0.1:5439";
    let is_free = TcpListener::bind(documented).is_ok();
    if is_free { documented.to_string() } else { "127.0.0.1:0".to_string() }
}

fn typed(sql: &str) -> String {
    format!("lake=# {};", sql.replace('\n', "\nlake-# "))
}

async fn build(server: &Server, client: &Client, sql: &str) -> Result<()> {
    println!("{}", typed(sql));
    let name = sql.lines().next().unwrap_or(sql);
    let warehouse = server.launch().data_dir.join("warehouse");
    let progress = Progress::new(&format!("  {name}"), Some(&warehouse));
    let answer =
        progress.show(client::run(client, sql)).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    if answer.count > 0 {
        println!("  {} rows", answer.count);
    }
    println!();
    Ok(())
}

async fn ask(client: &Client, sql: &str) -> Result<()> {
    println!("{}", typed(sql));
    let types =
        client::described_types(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    let answer = client::run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    if answer.rows.is_empty() {
        return Err(format!("no rows from: {sql}").into());
    }
    println!("{}", shown::table(&answer, &types));
    Ok(())
}
