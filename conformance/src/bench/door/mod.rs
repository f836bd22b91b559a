//! The PostgreSQL door against PostgreSQL itself, which holds the same rows: large results and COPY both ways through
//! psql and psycopg, the time to a small answer, catalog queries amid very many tables, and what an idle connection costs.
//!
//! `transfer` moves a whole table, `latency` asks small questions, `crowd` has many tables and many connections.

mod crowd;
mod latency;
mod transfer;

use super::report::Report;
use crate::postgres::PostgreSql;
use crate::server::{Addresses, Server};
use crate::{Result, client};
use std::process::Command;

/// One side of a comparison, as a client sees it.
#[derive(Clone, Copy)]
struct Side<'a> {
    name: &'static str,
    addresses: &'a Addresses,
    database: &'static str,
    /// Where the tables of TPC-H are.
    schema: &'static str,
}

impl Side<'_> {
    async fn connect(&self) -> Result<tokio_postgres::Client> {
        client::connect_to(self.addresses, self.database, "tarn", None).await
    }

    fn psql(&self) -> Command {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "tarn", "-d", self.database]);
        command.args(["-h", &self.addresses.host, "-p", &self.addresses.port.to_string()]);
        command
    }
}

/// Expects the tables of TPC-H in the server's schema `tpch`.
pub async fn measure(
    server: &Server,
    folder: &std::path::Path,
    runs: u32,
    report: &mut Report,
) -> Result<()> {
    let postgres =
        PostgreSql::start(&["max_connections=200", "shared_buffers=2GB", "max_wal_size=8GB"]).await?;
    let tarn = Side { name: "Tarn", addresses: server.addresses(), database: "lake", schema: "tpch" };
    let peer = Side {
        name: "PostgreSQL",
        addresses: postgres.addresses(),
        database: postgres.database(),
        schema: "public",
    };
    transfer::measure(tarn, peer, folder, runs, report).await?;
    latency::measure(tarn, peer, report).await?;
    Ok(())
}

/// Many tables and many connections, on the same server.
pub async fn measure_crowd(
    server: &Server,
    tables: u32,
    connections: u32,
    report: &mut Report,
) -> Result<()> {
    crowd::measure(server, tables, connections, report).await
}
