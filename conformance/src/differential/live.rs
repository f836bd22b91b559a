//! The engine that is a running server. Snapshots are read from the table's metadata file, as another engine would.

use super::engine::{Engine, Facts};
use super::program::Step;
use crate::Result;
use crate::client::{self, Answer, Failure};
use crate::server::Addresses;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio_postgres::Client;

/// A statement that takes longer than this on a few thousand rows is stuck.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

pub struct Live {
    addresses: Addresses,
    client: Client,
    /// Schemas get names of their own, because several sessions share the server.
    prefix: String,
    schemas: usize,
}

impl Live {
    pub async fn connect(addresses: &Addresses, prefix: &str) -> Result<Live> {
        let client = client::connect(addresses, "tarn", None).await?;
        Ok(Live { addresses: addresses.clone(), client, prefix: prefix.to_string(), schemas: 0 })
    }

    async fn say(&mut self, sql: &str) -> std::result::Result<Answer, Failure> {
        match tokio::time::timeout(STATEMENT_MAX, client::run(&self.client, sql)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Lost(format!("no answer within {STATEMENT_MAX:?}"))),
        }
    }
}

impl Engine for Live {
    async fn prepare(&mut self) -> Result<String> {
        if self.client.is_closed() {
            self.client = client::connect(&self.addresses, "tarn", None).await?;
        }
        self.schemas += 1;
        let schema = format!("{}_{}", self.prefix, self.schemas);
        self.say(&format!("CREATE SCHEMA {schema}")).await?;
        Ok(schema)
    }

    async fn clear(&mut self, schema: &str) {
        // A program may end inside a transaction, and outside one ROLLBACK says so; what is left harms nobody.
        self.say("ROLLBACK").await.ok();
        self.say(&format!("DROP SCHEMA {schema} CASCADE")).await.ok();
    }

    async fn run(&mut self, _step: &Step, sql: &str) -> std::result::Result<Answer, Failure> {
        self.say(sql).await
    }

    async fn facts(&mut self, schema: &str, table: &str) -> Result<Facts> {
        let sql = format!(
            "SELECT metadata_location FROM system.tables WHERE schema = '{schema}' AND table_name = '{table}'"
        );
        let answer = self.say(&sql).await?;
        let location = answer.rows.first().and_then(|row| row.first()).cloned().flatten();
        read(&location.ok_or_else(|| format!("{schema}.{table} has no metadata"))?)
    }
}

fn read(location: &str) -> Result<Facts> {
    let path = location.strip_prefix("file://").unwrap_or(location);
    let text = std::fs::read_to_string(path).map_err(|error| format!("{location}: {error}"))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("{location}: {error}"))?;
    let mut facts = Facts::default();
    for snapshot in metadata["snapshots"].as_array().into_iter().flatten() {
        let (id, at_ms) = (snapshot["snapshot-id"].as_i64(), snapshot["timestamp-ms"].as_i64());
        let (Some(id), Some(at_ms)) = (id, at_ms) else {
            return Err(format!("{location}: a snapshot has no id or time").into());
        };
        facts.snapshots.insert(id, at_ms);
        let list = snapshot["manifest-list"].as_str().unwrap_or_default();
        if !Path::new(list.strip_prefix("file://").unwrap_or(list)).exists() {
            facts.missing.insert(list.to_string());
        }
    }
    for (name, reference) in metadata["refs"].as_object().into_iter().flatten() {
        if let Some(id) = reference["snapshot-id"].as_i64() {
            facts.references.insert(name.clone(), id);
        }
    }
    Ok(facts)
}
