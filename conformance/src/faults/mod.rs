//! Kill the server at any moment and look at what is left (harness H1 of the design's reliability page). Concurrent
//! writers keep a journal of what was promised to them; the server is killed with SIGKILL at a random moment and
//! started again; then every acknowledged statement must be there exactly once, every unanswered one wholly or not at
//! all, every refused one not at all, a transaction over two tables in both or in neither, and the snapshot chain of every
//! table must be whole.
//!
//! Read `workload` for what the writers do, `journal` for what they write down, `checker` for the rules (a pure
//! function, with planted bugs that prove it can fail), `observe` for how the state after a restart is read.
//!
//! Killing a process does not lose what the operating system holds in its cache, so this says nothing about fsync;
//! that needs a power-cut layer of its own.

mod chain;
mod checker;
mod journal;
mod observe;
#[cfg(test)]
mod planted;
mod workload;

use crate::server::{Launch, Server};
use crate::tally::Tally;
use crate::{Result, client};
use journal::Journal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many times the server is killed
    #[arg(long, default_value_t = 50)]
    pub kills: u32,
    /// Clients that write at the same time
    #[arg(long, default_value_t = 4)]
    pub writers: u32,
    /// Repeats the random choices of an earlier run (not the moment at which the machine was)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Keep the data folder of a failed run here
    #[arg(long)]
    pub keep: Option<PathBuf>,
}

/// A round is a few kills on one table. A new round starts on a new table, because the cost of a commit grows with
/// the number of snapshots, and the old one is read by another engine and dropped.
const KILLS_PER_ROUND: u32 = 10;
const LIFE_MIN: Duration = Duration::from_millis(50);
const LIFE_MAX: Duration = Duration::from_millis(900);
/// Every so many kills the second one falls into the recovery of the first.
const KILL_DURING_START_EVERY: u32 = 7;

#[expect(clippy::disallowed_methods, reason = "this is where the seed comes from, and it is printed")]
pub async fn run(options: &Options) -> Result<Tally> {
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("faults: {} kills, {} writers, --seed {seed}", options.kills, options.writers);
    let folder = tempfile::Builder::new().prefix("tarn-faults").tempdir()?;
    let server = Launch::new(&folder.path().join("data"))?.start()?;
    let mut run = Run {
        server,
        random: StdRng::seed_from_u64(seed),
        options: options.clone(),
        tally: Tally::default(),
    };
    let outcome = run.all_rounds().await;
    let failed = outcome.is_err() || run.tally.failed > 0;
    if let (true, Some(keep)) = (failed, &options.keep) {
        run.server.kill()?;
        std::fs::rename(folder.keep(), keep)?;
        println!("faults: the data folder is kept in {}", keep.display());
    }
    outcome.map(|()| run.tally)
}

struct Run {
    server: Server,
    random: StdRng,
    options: Options,
    tally: Tally,
}

impl Run {
    async fn all_rounds(&mut self) -> Result<()> {
        let started = Instant::now();
        let mut kills = 0;
        let mut round = 0;
        let mut written = 0;
        while kills < self.options.kills && self.tally.failed == 0 {
            let kills_now = KILLS_PER_ROUND.min(self.options.kills - kills);
            let journal = self.one_round(round, kills, kills_now).await?;
            written += journal.acknowledged();
            kills += kills_now;
            round += 1;
            let seconds = started.elapsed().as_secs();
            println!("faults: {kills} kills, {written} acknowledged statements checked, {seconds} s");
        }
        // A run in which next to nothing was acknowledged would prove next to nothing.
        let enough = written >= u64::from(kills);
        if !enough {
            println!("faults: only {written} statements were acknowledged in {kills} kills");
        }
        self.tally.add(enough);
        Ok(())
    }

    async fn one_round(&mut self, round: u32, kills_before: u32, kills: u32) -> Result<Journal> {
        let schema = format!("faults_{round}");
        workload::prepare(&self.server.connect("tarn").await?, &schema, self.options.writers).await?;
        let mut journal = Journal::default();
        for kill in 1..=kills {
            self.write_and_kill(&schema, &mut journal).await?;
            let doubled = (kills_before + kill).is_multiple_of(KILL_DURING_START_EVERY);
            self.start_again(doubled)?;
            let observed = observe::state(&self.server.connect("tarn").await?, &schema).await?;
            let mut violations = checker::check(&journal, &observed);
            violations.extend(observed.chains.iter().flat_map(|(name, chain)| chain::check(name, chain)));
            self.judge(kills_before + kill, &violations);
            if !violations.is_empty() {
                return Ok(journal);
            }
            // What was unknown is known now and must stay as it is.
            journal.settle(&observed);
        }
        self.second_reader(&schema);
        workload::clear(&self.server.connect("tarn").await?, &schema).await?;
        Ok(journal)
    }

    async fn write_and_kill(&mut self, schema: &str, journal: &mut Journal) -> Result<()> {
        let mut writers = Vec::new();
        for writer in 0..self.options.writers {
            let client = self.server.connect("tarn").await?;
            let work = workload::Work::new(writer, schema, journal, self.random.random());
            writers.push(tokio::spawn(work.run(client)));
        }
        tokio::time::sleep(self.random.random_range(LIFE_MIN..LIFE_MAX)).await;
        if self.server.has_died() {
            return Err(format!("the server died by itself:\n{}", self.server.log_tail(20)).into());
        }
        self.server.kill()?;
        for writer in writers {
            journal.extend(writer.await?);
        }
        Ok(())
    }

    fn start_again(&mut self, killed_during_start: bool) -> Result<()> {
        if killed_during_start {
            let patience = self.random.random_range(Duration::ZERO..Duration::from_millis(200));
            self.server.start_and_kill_after(patience)?;
        }
        self.server.restart()
    }

    fn judge(&mut self, kill: u32, violations: &[String]) {
        self.tally.add(violations.is_empty());
        for violation in violations.iter().take(20) {
            println!("  kill {kill}: {violation}");
        }
    }

    /// Another engine reads every file that the tables name, and finds no data file that no snapshot names.
    fn second_reader(&mut self, schema: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/pyiceberg/run.sh");
        let port = self.server.addresses().port.to_string();
        let status =
            Command::new(script).args(["--port", &port, "--schema", schema, "--no-orphans"]).status();
        let passed = status.as_ref().is_ok_and(|status| status.success());
        self.tally.add(passed);
        if !passed {
            println!("  {schema}: PyIceberg does not agree ({status:?})");
        }
    }
}

/// The rows of a query that must succeed; a failure names the statement.
async fn rows(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let answer = client::run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    Ok(answer.rows)
}
