//! Reads, as a client, everything that the checker judges after a restart.

use super::chain;
use super::checker::{Observed, Rows};
use super::rows;
use crate::Result;
use std::collections::BTreeMap;
use tokio_postgres::Client;

pub async fn state(client: &Client, schema: &str) -> Result<Observed> {
    let mut observed = Observed {
        inserted: by_statement(client, schema, "rows").await?,
        posted: by_statement(client, schema, "postings").await?,
        ..Observed::default()
    };
    let listed = format!(
        "SELECT table_name, metadata_location FROM system.tables \
         WHERE catalog = 'lake' AND schema = '{schema}' ORDER BY table_name"
    );
    for row in rows(client, &listed).await? {
        let name = text(&row, 0)?;
        observed.chains.insert(name.clone(), chain::read(&text(&row, 1)?)?);
        if name.starts_with("small_") {
            let count = rows(client, &format!("SELECT count(*) FROM {schema}.{name}")).await?;
            observed.tables.insert(name, number(count.first().ok_or("count(*) gave no row")?, 0)?);
        } else if let Some(writer) = name.strip_prefix("latest_") {
            let values = rows(client, &format!("SELECT statement FROM {schema}.{name}")).await?;
            let values: Result<Vec<u64>> = values.iter().map(|row| number(row, 0)).collect();
            observed.latest.insert(writer.parse()?, values?);
        }
    }
    Ok(observed)
}

async fn by_statement(client: &Client, schema: &str, table: &str) -> Result<BTreeMap<(u32, u64), Rows>> {
    let grouped = format!(
        "SELECT writer, statement, count(*), count(DISTINCT ordinal) FROM {schema}.{table} \
         GROUP BY writer, statement"
    );
    let mut statements = BTreeMap::new();
    for row in rows(client, &grouped).await? {
        let key = (number(&row, 0)?, number(&row, 1)?);
        statements.insert(key, Rows { count: number(&row, 2)?, distinct: number(&row, 3)? });
    }
    Ok(statements)
}

fn text(row: &[Option<String>], column: usize) -> Result<String> {
    row.get(column).cloned().flatten().ok_or_else(|| format!("column {column} of {row:?} is missing").into())
}

fn number<T: std::str::FromStr>(row: &[Option<String>], column: usize) -> Result<T> {
    let text = text(row, column)?;
    text.parse().map_err(|_| format!("{text} is no number").into())
}
