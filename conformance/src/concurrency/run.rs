//! All parts of the concurrency test against a server of its own, and what they found.

use super::journal::{Event, Kind, Outcome};
use super::mixed::{self, Setup};
use super::{bank, checker, rate};
use crate::Result;
use crate::client;
use crate::server::{Addresses, Launch};
use crate::tally::Tally;
use futures::future::{join_all, try_join_all};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long the writers meet on one table; the other parts take a quarter of it each
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    #[arg(long, default_value_t = 32)]
    pub writers: i64,
    /// Clients of the part that counts commits
    #[arg(long, default_value_t = 64)]
    pub sessions: usize,
    #[arg(long)]
    pub seed: Option<u64>,
    /// Kinds of change that are left out
    #[arg(long, value_delimiter = ',')]
    pub without: Vec<Kind>,
    /// Leaves out the transfers between tables
    #[arg(long)]
    pub without_bank: bool,
}

/// The shortest time of a part.
const PART_MIN: Duration = Duration::from_secs(2);

#[expect(clippy::disallowed_methods, reason = "this is where the seed comes from, and it is printed")]
pub async fn run(options: &Options) -> Result<Tally> {
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("concurrency: {} writers, {} s, --seed {seed}", options.writers, options.seconds);
    let folder = tempfile::Builder::new().prefix("tarn-concurrency").tempdir()?;
    let mut server = Launch::new(&folder.path().join("data"))?.start()?;
    let mut tally = Tally::default();
    let addresses = server.addresses().clone();
    let part = Duration::from_secs(options.seconds / 4).max(PART_MIN);
    let half = Duration::from_secs(options.seconds) / 2;
    for (format, mode) in [(3, "merge-on-read"), (2, "copy-on-write")] {
        let violations = one_table(options, &addresses, seed, format, mode, half).await?;
        judge(&mut tally, &format!("one table of format {format}"), violations);
    }
    if !options.without_bank {
        let violations = transfers(options, &addresses, seed, part).await?;
        judge(&mut tally, "transfers", violations);
    }
    for tables in [options.sessions, 1] {
        let rate = rate::measure(&addresses, options.sessions, tables, part / 2).await?;
        let (sessions, per_second) = (options.sessions, rate.per_second);
        println!("concurrency: {sessions} sessions, {tables} tables: {per_second:.0} commits a second");
        judge(&mut tally, &format!("{sessions} sessions on {tables} tables"), rate.violations);
    }
    if server.has_died() {
        return Err(format!("the server died by itself:\n{}", server.log_tail(20)).into());
    }
    Ok(tally)
}

fn judge(tally: &mut Tally, part: &str, violations: Vec<String>) {
    tally.add(violations.is_empty());
    for violation in violations.iter().take(20) {
        println!("  {part}: {violation}");
    }
}

async fn one_table(
    options: &Options,
    addresses: &Addresses,
    seed: u64,
    format: u8,
    mode: &'static str,
    time: Duration,
) -> Result<Vec<String>> {
    let all = <Kind as clap::ValueEnum>::value_variants().iter().copied();
    let kinds: Vec<Kind> = all.filter(|kind| !options.without.contains(kind)).collect();
    let setup = Setup { table: format!("mixed_{format}"), format, mode, kinds };
    let client = client::connect(addresses, "tarn", None).await?;
    setup.prepare(&client).await?;
    let until = Instant::now() + time;
    let writer =
        |number: i64| mixed::write(&setup, addresses, number, seed.wrapping_add(number as u64 * 7919), until);
    let events: Vec<Event> =
        try_join_all((0..options.writers).map(writer)).await?.into_iter().flatten().collect();
    summarise(format, &events);
    Ok(checker::check(options.writers, &events, &setup.rows(&client).await?))
}

/// How much was done, and the least that one writer did.
fn summarise(format: u8, events: &[Event]) {
    let mut done: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut of_writer: BTreeMap<i64, usize> = BTreeMap::new();
    for event in events {
        let counts = done.entry(event.change.name()).or_default();
        match event.outcome {
            Outcome::Acknowledged(_) => {
                counts.0 += 1;
                *of_writer.entry(event.writer).or_default() += 1;
            }
            _ => counts.1 += 1,
        }
    }
    let words = done.iter().map(|(name, (done, refused))| format!("{name} {done} ({refused} conflicts)"));
    println!("concurrency: format {format}: {}", words.collect::<Vec<_>>().join(", "));
    println!("concurrency: the slowest writer made {} changes", of_writer.values().min().unwrap_or(&0));
}

async fn transfers(
    options: &Options,
    addresses: &Addresses,
    seed: u64,
    time: Duration,
) -> Result<Vec<String>> {
    let client = client::connect(addresses, "tarn", None).await?;
    bank::prepare(&client).await?;
    let until = Instant::now() + time;
    let tellers =
        (0..options.writers / 2).map(|writer| bank::transfer(addresses, writer, seed ^ writer as u64, until));
    let watchers = (0..4).map(|_| bank::watch(addresses, until));
    let (tellers, watchers) = tokio::join!(join_all(tellers), join_all(watchers));
    let mut books = bank::Books::default();
    for outcome in tellers.into_iter().chain(watchers) {
        books.add(outcome?);
    }
    bank::audit(&client, &mut books).await?;
    let bank::Books { transfers, conflicts, views, .. } = books;
    println!("concurrency: {transfers} transfers ({conflicts} conflicts), {views} views of the sum");
    if transfers == 0 || views == 0 {
        books.violations.push("nobody transferred, or nobody looked".to_string());
    }
    Ok(books.violations)
}
