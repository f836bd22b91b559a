//! Upkeep of a whole engine: the server's own rounds, and tables in three partitions and two orders, with the rows
//! compared before and after.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use tarn_catalog::env::SystemEnv;
use tarn_catalog::storage::{Storage, StorageOptions};
use tarn_catalog::{Catalog, PUBLIC_NAMESPACE};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::schedule::round;
use crate::{Engine, EngineOptions, Login, Outcome, Result, Session};

struct World {
    _folder: tempfile::TempDir,
    engine: Arc<Engine>,
    session: Session,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let warehouse = format!("file://{}/warehouse", folder.path().display());
        let options = StorageOptions { warehouse: warehouse.clone(), ..StorageOptions::default() };
        let storage = Storage::new(options).expect("the storage options are good");
        let catalog = Catalog::in_memory(storage, warehouse, Arc::new(SystemEnv)).expect("a catalog opens");
        let options = EngineOptions {
            catalog,
            memory_limit_bytes: 64 << 20,
            column_cache_bytes: 32 << 20,
            spill_dir: folder.path().join("spill"),
            target_partitions: 2,
            version: "test".to_owned(),
        };
        let engine = Engine::open(options).await.expect("the engine opens");
        let login = Login { user: "tarn".to_owned(), database: "lake".to_owned(), ..Login::default() };
        let session = engine.session(&login).expect("a session opens");
        World { _folder: folder, engine, session }
    }

    /// Runs statements; gives the rows of the last one as text.
    async fn run(&mut self, sql: &str) -> Result<String> {
        let mut shown = String::new();
        for parsed in self.session.parse(sql)? {
            if let Outcome::Rows { rows, .. } = self.session.run(parsed).await? {
                let batches: Vec<_> = rows.try_collect().await?;
                shown = pretty_format_batches(&batches).expect("rows can be shown").to_string();
            }
        }
        Ok(shown)
    }

    async fn health(&self, name: &str) -> Result<Health> {
        let reader = self.engine.catalog().reader();
        let relation = reader.relation(PUBLIC_NAMESPACE, name)?.expect("the table is there");
        let version = reader.table(relation.id).await?;
        Health::of(&relation, &version, &reader).await
    }
}

/// Runs a test where statements run: on threads with the stack that the server gives them.
fn on_statement_threads(test: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .expect("threads can be started");
    runtime.block_on(async { tokio::spawn(test).await.expect("the test ends") })
}

#[test]
fn the_server_looks_after_tables_that_have_a_policy() -> Result<()> {
    on_statement_threads(rounds())
}

#[test]
fn every_strategy_keeps_the_rows() -> Result<()> {
    on_statement_threads(strategies())
}

async fn rounds() -> Result<()> {
    let mut world = World::new().await;
    world.run("CREATE TABLE t (id bigint, kind text); CREATE TABLE alone (id bigint)").await?;
    for id in 0..6 {
        world.run(&format!("INSERT INTO t VALUES ({id}, 'a'); INSERT INTO alone VALUES ({id})")).await?;
    }
    let stop = CancellationToken::new();
    round(&world.engine, &stop).await?;
    assert_eq!(world.health("t").await?.data_files, 6, "nobody asked for anything");
    world
        .run("ALTER TABLE t SET MAINTENANCE POLICY (compact = 'auto', expire = '0s', orphans = '1d')")
        .await?;
    round(&world.engine, &stop).await?;
    let health = world.health("t").await?;
    assert_eq!((health.data_files, health.snapshots, health.debt()), (1, 1, 0), "{health:?}");
    let done = health.record.last_result.clone().unwrap_or_default();
    assert!(done.contains("rewritten_data_files 6") && done.contains("expired_snapshots 6"), "{done}");
    assert!(health.record.next_run_ms > health.record.last_run_ms && health.record.failures == 0);
    assert_eq!(world.health("alone").await?.data_files, 6);
    // It is not due again.
    for id in 6..12 {
        world.run(&format!("INSERT INTO t VALUES ({id}, 'a')")).await?;
    }
    round(&world.engine, &stop).await?;
    assert_eq!(world.health("t").await?.data_files, 7);
    let rows = world.run("SELECT sum(id) AS s, count(*) AS c FROM t").await?;
    assert!(rows.contains("| 66 | 12 |"), "{rows}");
    Ok(())
}

async fn strategies() -> Result<()> {
    let mut world = World::new().await;
    for version in [2, 3] {
        let table = format!("t{version}");
        world
            .run(&format!(
                "CREATE TABLE {table} (id bigint, name text, price numeric(9, 2), day date) \
                 PARTITIONED BY (month(day)) WITH (format_version = {version})"
            ))
            .await?;
        for batch in 0..4 {
            let (from, to) = (batch * 25, batch * 25 + 24);
            world
                .run(&format!(
                    "INSERT INTO {table} SELECT value, 'n' || (value % 7)::text, value / 4, \
                     DATE '2026-01-15' + (value % 3 * 31)::int FROM generate_series({from}, {to}) g(value)"
                ))
                .await?;
        }
        let rows = format!("SELECT * FROM {table} ORDER BY id");
        let before = world.run(&rows).await?;
        for arguments in [
            "",
            "(sort_order => 'name DESC NULLS LAST, id')",
            "(strategy => 'zorder', columns => ARRAY['id', 'name', 'price'])",
            "(target_file_size => '1kb', options => map('rewrite-all', 'true'))",
        ] {
            world.run(&format!("ALTER TABLE {table} EXECUTE optimize{arguments}")).await?;
            assert_eq!(world.run(&rows).await?, before, "version {version}: {arguments}");
            let problems = world.run(&format!("CALL system.check_table('{table}', deep => true)")).await?;
            assert!(!problems.contains("error"), "version {version}: {arguments}: {problems}");
        }
    }
    Ok(())
}
