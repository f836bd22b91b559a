//! Writers on one table, all at once: rows of their own, rows that all share, and the compaction of the files under
//! them. Each writes down what it was told.

use super::journal::{Change, Event, HOT, Kind, OWN, Outcome, Row, TOKEN, UPSERT};
use crate::Result;
use crate::client::{self, Failure};
use crate::server::Addresses;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Shared rows: few, so that writers meet on them.
const HOT_ROWS: i64 = 6;
const UPSERT_ROWS: i64 = 40;
const APPENDED_MAX: i64 = 5;
/// After a conflict a writer waits up to so long, times the conflicts in a row.
const PAUSE_MAX: Duration = Duration::from_millis(20);
const PAUSES_MAX: u32 = 8;

pub struct Setup {
    pub table: String,
    pub format: u8,
    pub mode: &'static str,
    pub kinds: Vec<Kind>,
}

impl Setup {
    pub async fn prepare(&self, client: &Client) -> Result<()> {
        let Setup { table, format, mode, .. } = self;
        let modes = ["delete", "update", "merge"].map(|verb| format!("\"write.{verb}.mode\" = '{mode}'"));
        let modes =
            if self.kinds == [Kind::Append] { String::new() } else { format!(", {}", modes.join(", ")) };
        let columns = "kind text NOT NULL, key bigint NOT NULL, writer bigint NOT NULL, n bigint NOT NULL";
        say(client, &format!("CREATE TABLE {table} ({columns}) WITH (format_version = {format}{modes})"))
            .await?;
        let hot: Vec<String> = (0..HOT_ROWS).map(|key| format!("('{HOT}', {key}, -1, 0)")).collect();
        say(client, &format!("INSERT INTO {table} VALUES {}", hot.join(", "))).await
    }

    pub async fn rows(&self, client: &Client) -> Result<Vec<Row>> {
        let sql = format!("SELECT kind, key, writer, n FROM {}", self.table);
        let answer = client::run(client, &sql).await?;
        let number = |cell: &Option<String>| -> Result<i64> { Ok(cell.as_deref().unwrap_or("").parse()?) };
        let row = |cells: &Vec<Option<String>>| match cells.as_slice() {
            [Some(kind), key, writer, n] => {
                Ok(Row { kind: kind.clone(), key: number(key)?, writer: number(writer)?, n: number(n)? })
            }
            _ => Err(format!("{cells:?} is no row of {}", self.table).into()),
        };
        answer.rows.iter().map(row).collect()
    }
}

async fn say(client: &Client, sql: &str) -> Result<()> {
    client::run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    Ok(())
}

struct Writer<'a> {
    setup: &'a Setup,
    number: i64,
    random: StdRng,
    /// Keys of own rows that are there.
    own: Vec<i64>,
    next_key: i64,
}

/// Changes the table until the time is over; gives everything that was said about it.
pub async fn write(
    setup: &Setup,
    addresses: &Addresses,
    number: i64,
    seed: u64,
    until: Instant,
) -> Result<Vec<Event>> {
    let client = client::connect(addresses, "tarn", None).await?;
    let random = StdRng::seed_from_u64(seed);
    let mut writer = Writer { setup, number, random, own: Vec::new(), next_key: 0 };
    let mut events = Vec::new();
    let mut conflicts = 0;
    while Instant::now() < until {
        let change = writer.choose();
        let outcome = match client::run(&client, &writer.sql(&change)).await {
            Ok(answer) => Outcome::Acknowledged(answer.count),
            Err(Failure::Refused(error)) if error.sqlstate == "40001" => Outcome::Conflict,
            Err(failure) => Outcome::Failed(failure.to_string()),
        };
        conflicts = if outcome == Outcome::Conflict { (conflicts + 1).min(PAUSES_MAX) } else { 0 };
        if conflicts > 0 {
            tokio::time::sleep(PAUSE_MAX.mul_f64(writer.random.random()) * conflicts).await;
        }
        if matches!(outcome, Outcome::Acknowledged(_)) {
            writer.remember(&change);
        }
        events.push(Event { writer: number, change, outcome });
    }
    Ok(events)
}

impl Writer<'_> {
    fn choose(&mut self) -> Change {
        loop {
            let kind = match self.random.random_range(0..100) {
                0..35 => Kind::Append,
                35..50 => Kind::Update,
                50..58 => Kind::Delete,
                58..70 => Kind::Increment,
                70..88 => Kind::Upsert,
                88..97 => Kind::Take,
                _ => Kind::Optimize,
            };
            if !self.setup.kinds.contains(&kind) {
                continue;
            }
            let own = self.own.choose(&mut self.random).copied();
            return match (kind, own) {
                (Kind::Append, _) | (Kind::Update | Kind::Delete, None) => {
                    let count = self.random.random_range(1..=APPENDED_MAX);
                    Change::Append { keys: (self.next_key..self.next_key + count).collect() }
                }
                (Kind::Update, Some(key)) => Change::Update { key, n: self.random.random_range(1..1000) },
                (Kind::Delete, Some(key)) => Change::Delete { key },
                (Kind::Increment, _) => Change::Increment { key: self.random.random_range(0..HOT_ROWS) },
                (Kind::Upsert, _) => Change::Upsert { key: self.random.random_range(0..UPSERT_ROWS) },
                (Kind::Take, _) => {
                    let modulus = self.random.random_range(5..40);
                    Change::Take { modulus, rest: self.random.random_range(0..modulus) }
                }
                (Kind::Optimize, _) => Change::Optimize,
            };
        }
    }

    fn sql(&self, change: &Change) -> String {
        let (table, writer) = (&self.setup.table, self.number);
        match change {
            Change::Append { keys } => {
                let rows = keys
                    .iter()
                    .flat_map(|key| [OWN, TOKEN].map(|kind| format!("('{kind}', {key}, {writer}, 0)")));
                format!("INSERT INTO {table} VALUES {}", rows.collect::<Vec<_>>().join(", "))
            }
            Change::Update { key, n } => format!(
                "UPDATE {table} SET n = {n} WHERE kind = '{OWN}' AND writer = {writer} AND key = {key}"
            ),
            Change::Delete { key } => {
                format!("DELETE FROM {table} WHERE kind = '{OWN}' AND writer = {writer} AND key = {key}")
            }
            Change::Increment { key } => {
                format!("UPDATE {table} SET n = n + 1 WHERE kind = '{HOT}' AND key = {key}")
            }
            Change::Upsert { key } => format!(
                "MERGE INTO {table} AS t USING (VALUES ({key}::bigint)) AS s(key) \
                 ON t.kind = '{UPSERT}' AND t.key = s.key \
                 WHEN MATCHED THEN UPDATE SET n = t.n + 1 \
                 WHEN NOT MATCHED THEN INSERT (kind, key, writer, n) VALUES ('{UPSERT}', s.key, {writer}, 1)"
            ),
            Change::Take { modulus, rest } => {
                format!("DELETE FROM {table} WHERE kind = '{TOKEN}' AND (key + writer) % {modulus} = {rest}")
            }
            Change::Optimize => format!("ALTER TABLE {table} EXECUTE optimize"),
        }
    }

    fn remember(&mut self, change: &Change) {
        match change {
            Change::Append { keys } => {
                self.own.extend(keys);
                self.next_key += keys.len() as i64;
            }
            Change::Delete { key } => self.own.retain(|own| own != key),
            _ => {}
        }
    }
}
