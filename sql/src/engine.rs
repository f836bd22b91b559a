//! The parts of the engine that all sessions share: the catalog, the query engine's runtime with its memory and
//! spill limits, and the functions. It opens sessions. Next: `session.rs`.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::config::Dialect;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use tarn_catalog::Catalog;
use tarn_catalog::storage::CacheFigures;

use crate::activity::Sessions;
use crate::advisory::AdvisoryLocks;
use crate::error::{Error, Result};
use crate::functions::{self, SharedFunctions};
use crate::notify::Switchboard;
use crate::optimize::{self, NoEndlessWaits, RightKeysOfRelations};
use crate::plan::{CheckedArithmetic, StatementPlanner, ThreeValuedMembership, WholeNotIn};
use crate::probes::Probes;
use crate::resolve::DATABASE;
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::table::{self, ColumnCache, ColumnFigures, YieldingPool};

/// How many of the largest consumers an out-of-memory error names.
const CONSUMERS_NAMED: usize = 5;

/// Rows per batch.
const BATCH_ROWS: usize = 8192;

/// What an engine is opened with.
#[derive(Debug)]
pub struct EngineOptions {
    pub catalog: Arc<Catalog>,
    /// Memory for the operators of all statements together, bytes; beyond it they spill or fail.
    pub memory_limit_bytes: usize,
    /// Of that memory, what decoded columns may take while no operator wants it, bytes; 0 keeps none.
    pub column_cache_bytes: usize,
    /// Where operators spill to.
    pub spill_dir: PathBuf,
    /// How many parts a plan is run in.
    pub target_partitions: usize,
    /// The server's own version.
    pub version: String,
}

/// The parts that all sessions share.
#[derive(Debug)]
pub struct Engine {
    catalog: Arc<Catalog>,
    runtime: Arc<RuntimeEnv>,
    columns: Arc<ColumnCache>,
    /// What each statement's state is a copy of; it has hardly any function.
    base: SessionState,
    functions: Arc<SharedFunctions>,
    switchboard: Arc<Switchboard>,
    advisory_locks: Arc<AdvisoryLocks>,
    probes: Arc<Probes>,
    sessions: Arc<Sessions>,
    memory_limit_bytes: usize,
    version: String,
    started_at_ms: i64,
}

/// Who opens a session, and with what.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// The number the door gave the connection, for `pg_backend_pid()`.
    pub backend_pid: i32,
    /// Where the client is.
    pub peer: Option<std::net::SocketAddr>,
    /// Settings given at start-up, by name.
    pub options: Vec<(String, String)>,
}

impl Engine {
    /// Makes the shared parts and removes what unfinished writes left behind.
    ///
    /// # Errors
    ///
    /// 58030 when the spill folder cannot be made.
    pub async fn open(options: EngineOptions) -> Result<Arc<Engine>> {
        options.catalog.sweep().await?;
        // Nobody reads yet, so what expired before the last stop can go.
        if let Err(error) = options.catalog.reap().await {
            tracing::warn!(%error, "what has expired cannot be listed");
        }
        let columns = ColumnCache::new(options.column_cache_bytes);
        let runtime = runtime(&options, &columns)?;
        columns.count_in(&runtime.memory_pool);
        let config = session_config(options.target_partitions).with_extension(Arc::clone(&columns));
        let builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_expr_planners(vec![functions::operator_planner()])
            .with_default_features()
            .with_query_planner(Arc::new(StatementPlanner))
            .with_relation_planners(vec![Arc::new(RightKeysOfRelations)])
            .with_optimizer_rules(optimize::logical_rules())
            .with_physical_optimizer_rules(optimize::physical_rules())
            .with_physical_optimizer_rule(Arc::new(WholeNotIn))
            .with_physical_optimizer_rule(Arc::new(NoEndlessWaits));
        let mut base = builder.build();
        base.add_analyzer_rule(Arc::new(functions::PostgresCasts));
        base.add_analyzer_rule(Arc::new(CheckedArithmetic::default()));
        base.add_analyzer_rule(Arc::new(ThreeValuedMembership));
        let (functions, base) = functions::register(&mut base)
            .and_then(|()| SharedFunctions::take_from(base))
            .map_err(|error| Error::internal(error.to_string()))?;
        let started_at_ms = options.catalog.env().now_ms();
        Ok(Arc::new(Engine {
            catalog: options.catalog,
            runtime,
            columns,
            base,
            functions: Arc::new(functions),
            switchboard: Arc::default(),
            advisory_locks: Arc::default(),
            probes: Arc::default(),
            sessions: Arc::default(),
            memory_limit_bytes: options.memory_limit_bytes,
            version: options.version,
            started_at_ms,
        }))
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The server's own version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Milliseconds since the Unix epoch.
    pub fn started_at_ms(&self) -> i64 {
        self.started_at_ms
    }

    pub(crate) fn switchboard(&self) -> &Arc<Switchboard> {
        &self.switchboard
    }

    /// The locks of applications.
    pub(crate) fn advisory_locks(&self) -> &Arc<AdvisoryLocks> {
        &self.advisory_locks
    }

    /// What clients have asked in vain.
    pub(crate) fn probes(&self) -> &Arc<Probes> {
        &self.probes
    }

    /// What the open sessions are doing.
    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The cache of decoded footers, manifests and deletes.
    pub fn metadata_cache(&self) -> CacheFigures {
        self.catalog.storage().decoded().figures()
    }

    /// The decoded columns that are kept.
    pub fn column_cache(&self) -> ColumnFigures {
        self.columns.figures()
    }

    /// Bytes of operator memory in use, and the limit.
    pub fn memory(&self) -> (usize, usize) {
        (self.runtime.memory_pool.reserved(), self.memory_limit_bytes)
    }

    /// Opens a session for a user that the door has let in.
    ///
    /// # Errors
    ///
    /// 3D000 for an unknown database, 28000 for a role that is unknown or may not log in, 22023 for a start-up
    /// option that is wrong.
    pub fn session(self: &Arc<Self>, login: &Login) -> Result<Session> {
        if login.database != DATABASE {
            let message = format!("database \"{}\" does not exist", login.database);
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, message)
                .with_hint(format!("The database is \"{DATABASE}\".")));
        }
        let reader = self.catalog.reader();
        let role = reader.role(&login.user)?.filter(|role| role.login);
        let role = role.ok_or_else(|| {
            let message = format!("role \"{}\" does not exist or may not log in", login.user);
            Error::new(SqlState::INVALID_AUTHORIZATION, message)
        })?;
        Session::new(Arc::clone(self), role.id, login)
    }

    pub(crate) fn functions(&self) -> &Arc<SharedFunctions> {
        &self.functions
    }

    /// A fresh copy of the query engine's state, for one statement.
    pub(crate) fn state(&self) -> SessionState {
        self.base.clone()
    }
}

fn runtime(options: &EngineOptions, columns: &Arc<ColumnCache>) -> Result<Arc<RuntimeEnv>> {
    std::fs::create_dir_all(&options.spill_dir).map_err(|error| {
        let message = format!("cannot make the spill folder {}: {error}", options.spill_dir.display());
        Error::new(SqlState::IO_ERROR, message)
    })?;
    let pool = GreedyMemoryPool::new(options.memory_limit_bytes);
    let consumers = std::num::NonZeroUsize::new(CONSUMERS_NAMED).unwrap_or(std::num::NonZeroUsize::MIN);
    let pool: Arc<dyn MemoryPool> = Arc::new(TrackConsumersPool::new(pool, consumers));
    let pool = Arc::new(YieldingPool::new(pool, columns));
    let spill = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]));
    RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(spill)
        .with_object_store_registry(Arc::new(table::StoreRegistry::new(Arc::clone(
            options.catalog.storage(),
        ))))
        .build_arc()
        .map_err(|error| Error::new(SqlState::IO_ERROR, error.strip_backtrace()))
}

fn session_config(target_partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions)
        .with_batch_size(BATCH_ROWS)
        .with_default_catalog_and_schema(DATABASE, "public")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = true;
    options.explain.logical_plan_only = false;
    // What we make of subqueries may know less of NULLs than the plan that it comes of; the rows are the same.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.bloom_filter_on_read = true;
    // It forgets groups whose smallest or largest value is NULL.
    options.optimizer.enable_topk_aggregation = false;
    // It lets what is known of one of min and max leave out files that the other needs.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}
