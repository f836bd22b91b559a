//! Commits a second: sessions that insert one row at a time, each to a table of its own or all to one. Every
//! acknowledged row must be there.

use crate::Result;
use crate::client::{self, scalar};
use crate::server::Addresses;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

pub struct Rate {
    pub commits: u64,
    pub per_second: f64,
    pub violations: Vec<String>,
}

pub async fn measure(addresses: &Addresses, sessions: usize, tables: usize, time: Duration) -> Result<Rate> {
    let admin = client::connect(addresses, "tarn", None).await?;
    let schema = format!("rate_{tables}");
    client::run(&admin, &format!("CREATE SCHEMA {schema}")).await?;
    for table in 0..tables {
        client::run(&admin, &format!("CREATE TABLE {schema}.t{table} (session bigint, n bigint)")).await?;
    }
    let mut clients = Vec::new();
    for _ in 0..sessions {
        clients.push(client::connect(addresses, "tarn", None).await?);
    }
    let started = Instant::now();
    let until = started + time;
    let inserting = clients.iter().enumerate().map(|(session, client)| {
        let table = format!("{schema}.t{}", session % tables);
        async move { insert(client, &table, session, until).await }
    });
    let mut rate = Rate { commits: 0, per_second: 0.0, violations: Vec::new() };
    for (session, outcome) in futures::future::join_all(inserting).await.into_iter().enumerate() {
        let (acknowledged, error) = outcome;
        rate.commits += acknowledged;
        rate.violations.extend(error);
        let sql =
            format!("SELECT count(DISTINCT n) FROM {schema}.t{} WHERE session = {session}", session % tables);
        let found: u64 = scalar(&admin, &sql).await?.parse()?;
        if found != acknowledged {
            rate.violations.push(format!("session {session} has {found} rows of {acknowledged}"));
        }
    }
    rate.per_second = rate.commits as f64 / time.as_secs_f64();
    let counts = (0..tables).map(|table| format!("(SELECT count(*) FROM {schema}.t{table})"));
    let mut rows = 0;
    for count in counts {
        rows += scalar(&admin, &format!("SELECT {count}")).await?.parse::<u64>()?;
    }
    if rows != rate.commits {
        rate.violations.push(format!("{rows} rows for {} commits", rate.commits));
    }
    client::run(&admin, &format!("DROP SCHEMA {schema} CASCADE")).await?;
    Ok(rate)
}

async fn insert(client: &Client, table: &str, session: usize, until: Instant) -> (u64, Option<String>) {
    let mut acknowledged = 0;
    while Instant::now() < until {
        let sql = format!("INSERT INTO {table} VALUES ({session}, {acknowledged})");
        match client::run(client, &sql).await {
            Ok(_) => acknowledged += 1,
            // Appends never conflict.
            Err(failure) => return (acknowledged, Some(format!("an append failed: {failure}"))),
        }
    }
    (acknowledged, None)
}
