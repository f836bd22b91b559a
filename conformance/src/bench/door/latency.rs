//! How long a small answer takes, with one connection and with many that ask all the time.

use super::Side;
use crate::Result;
use crate::bench::report::Report;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

const TIME: Duration = Duration::from_secs(5);
/// Of TPC-H: of every 32 keys the first 8 are used.
const KEYS: i64 = 1_000_000;

#[derive(Clone, Copy)]
enum Question {
    /// `SELECT 1` over the simple protocol.
    One,
    /// One row of orders by its key, prepared.
    Point,
}

pub async fn measure(tarn: Side<'_>, peer: Side<'_>, report: &mut Report) -> Result<()> {
    for (question, name) in [(Question::One, "SELECT 1"), (Question::Point, "prepared point SELECT")] {
        for connections in [1, 64] {
            let ours = ask(tarn, question, connections).await?;
            let theirs = ask(peer, question, connections).await?;
            for (percentile, place) in [(50, 0), (99, 1)] {
                let name = format!("{name}, {connections} connections, p{percentile}");
                println!("{}", report.add_task(&name, ours[place], peer.name, theirs[place], None));
            }
        }
    }
    Ok(())
}

/// The median and the 99th percentile of all answers.
async fn ask(side: Side<'_>, question: Question, connections: u32) -> Result<[Duration; 2]> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(side.connect().await?);
    }
    let until = Instant::now() + TIME;
    let asking = clients.into_iter().enumerate().map(|(seed, client)| {
        let schema = side.schema;
        tokio::spawn(async move { ask_until(&client, schema, question, seed as u64, until).await })
    });
    let mut times = Vec::new();
    for asked in futures::future::join_all(asking).await {
        times.extend(asked??);
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().ok_or("nothing was answered");
    Ok([at(50)?, at(99)?])
}

async fn ask_until(
    client: &Client,
    schema: &str,
    question: Question,
    seed: u64,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let point = format!("SELECT o_orderdate, o_totalprice::text FROM {schema}.orders WHERE o_orderkey = $1");
    let point = match question {
        Question::One => None,
        Question::Point => Some(client.prepare(&point).await?),
    };
    let mut times = Vec::new();
    while Instant::now() < until {
        let number = random.random_range(0..KEYS);
        let key = number / 8 * 32 + number % 8;
        let started = Instant::now();
        match &point {
            None => drop(client.simple_query("SELECT 1").await?),
            Some(statement) => drop(client.query(statement, &[&key]).await?),
        }
        times.push(started.elapsed());
    }
    Ok(times)
}
