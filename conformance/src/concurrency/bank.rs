//! Accounts in several tables and transfers between them in transactions. Every view of all tables adds up to the same
//! sum, whether it is one statement or several in a transaction, and in the end every account is what the transfers
//! that were acknowledged made of it.

use crate::Result;
use crate::client::{self, Failure, scalar};
use crate::server::Addresses;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Instant;
use tokio_postgres::Client;

const TABLES: usize = 3;
const ACCOUNTS: i64 = 8;
const OPENING: i64 = 1000;

/// What the bank's clients saw.
#[derive(Default)]
pub struct Books {
    /// Account of a table -> what acknowledged transfers added to it.
    changes: BTreeMap<(usize, i64), i64>,
    pub transfers: u64,
    pub conflicts: u64,
    pub views: u64,
    pub violations: Vec<String>,
}

impl Books {
    pub fn add(&mut self, other: Books) {
        for (account, change) in other.changes {
            *self.changes.entry(account).or_default() += change;
        }
        self.transfers += other.transfers;
        self.conflicts += other.conflicts;
        self.views += other.views;
        self.violations.extend(other.violations);
    }
}

pub async fn prepare(client: &Client) -> Result<()> {
    client::run(client, "CREATE SCHEMA bank").await?;
    for table in 0..TABLES {
        let rows: Vec<String> = (0..ACCOUNTS).map(|account| format!("({account}, {OPENING})")).collect();
        let format = 2 + table % 2;
        let sql = format!(
            "CREATE TABLE bank.t{table} (account bigint NOT NULL, balance bigint NOT NULL) \
             WITH (format_version = {format})"
        );
        client::run(client, &sql).await?;
        client::run(client, &format!("INSERT INTO bank.t{table} VALUES {}", rows.join(", "))).await?;
    }
    client::run(client, "CREATE TABLE bank.log (writer bigint NOT NULL, transfer bigint NOT NULL)").await?;
    Ok(())
}

/// Moves money until the time is over.
pub async fn transfer(addresses: &Addresses, writer: i64, seed: u64, until: Instant) -> Result<Books> {
    let client = client::connect(addresses, "tarn", None).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut books = Books::default();
    let mut number = 0;
    while Instant::now() < until {
        let from = (random.random_range(0..TABLES), random.random_range(0..ACCOUNTS));
        let to = (random.random_range(0..TABLES), random.random_range(0..ACCOUNTS));
        let amount = random.random_range(1..100);
        let rolls_back = random.random_range(0..10) == 0;
        let update = |account: (usize, i64), sign: &str| {
            let (table, account) = account;
            format!("UPDATE bank.t{table} SET balance = balance {sign} {amount} WHERE account = {account}")
        };
        let steps = [
            "BEGIN".to_string(),
            update(from, "-"),
            update(to, "+"),
            format!("INSERT INTO bank.log VALUES ({writer}, {number})"),
            if rolls_back { "ROLLBACK".into() } else { "COMMIT".into() },
        ];
        match all(&client, &steps).await {
            Ok(()) if rolls_back => {}
            Ok(()) => {
                *books.changes.entry(from).or_default() -= amount;
                *books.changes.entry(to).or_default() += amount;
                books.transfers += 1;
                number += 1;
            }
            Err(Failure::Refused(error)) if error.sqlstate == "40001" => {
                books.conflicts += 1;
                client::run(&client, "ROLLBACK").await.ok();
            }
            Err(failure) => {
                books.violations.push(format!("a transfer failed without a conflict: {failure}"));
                return Ok(books);
            }
        }
    }
    Ok(books)
}

async fn all(client: &Client, steps: &[String]) -> std::result::Result<(), Failure> {
    for step in steps {
        client::run(client, step).await?;
    }
    Ok(())
}

/// Adds up all tables until the time is over, by turns in one statement and in a transaction of several.
pub async fn watch(addresses: &Addresses, until: Instant) -> Result<Books> {
    let client = client::connect(addresses, "tarn", None).await?;
    let mut books = Books::default();
    let sums: Vec<String> =
        (0..TABLES).map(|table| format!("(SELECT sum(balance) FROM bank.t{table})")).collect();
    let at_once = format!("SELECT {}", sums.join(" + "));
    while Instant::now() < until {
        let total = if books.views % 2 == 0 {
            number(&client, &at_once).await?
        } else {
            client::run(&client, "BEGIN").await?;
            let mut total = 0;
            for sum in &sums {
                total += number(&client, &format!("SELECT {sum}")).await?;
            }
            client::run(&client, "COMMIT").await?;
            total
        };
        books.views += 1;
        let expected = TABLES as i64 * ACCOUNTS * OPENING;
        if total != expected {
            books.violations.push(format!("view {} adds up to {total}, not {expected}", books.views));
        }
    }
    Ok(books)
}

async fn number(client: &Client, sql: &str) -> Result<i64> {
    Ok(scalar(client, sql).await?.parse()?)
}

/// Compares the accounts with what the clients were told.
pub async fn audit(client: &Client, books: &mut Books) -> Result<()> {
    for table in 0..TABLES {
        for account in 0..ACCOUNTS {
            let sql = format!("SELECT sum(balance) FROM bank.t{table} WHERE account = {account}");
            let found = number(client, &sql).await?;
            let expected = OPENING + books.changes.get(&(table, account)).copied().unwrap_or(0);
            if found != expected {
                books.violations.push(format!("account {account} of t{table} has {found}, not {expected}"));
            }
        }
    }
    let logged = number(client, "SELECT count(*) FROM bank.log").await? as u64;
    if logged != books.transfers {
        books
            .violations
            .push(format!("{logged} transfers are logged, {} were acknowledged", books.transfers));
    }
    Ok(())
}
