//! The one place that joins the parts: storage, catalog, engine and doors. Whatever keeps a server from starting is said
//! here, in one line that tells what to do.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tarn_catalog::env::SystemEnv;
use tarn_catalog::storage::{S3Options, Storage, StorageOptions};
use tarn_catalog::{Catalog, Options, Secret};
use tarn_sql::{Engine, EngineOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::VERSION;
use crate::flight;
use crate::http::{self, Watched};
use crate::login::Roles;
use crate::metrics::Metrics;
use crate::postgres::{self, Door, Encryption};
use crate::rest::Rest;
use crate::settings::{S3, Settings};
use crate::tls;

/// How long the warehouse may take to answer at start.
const WAREHOUSE_TIME: Duration = Duration::from_secs(20);

/// How long the answers to the last HTTP requests may take.
const LISTENER_END_TIME: Duration = Duration::from_secs(1);

/// How long threads may take to end once no session is left.
const STATEMENTS_END_TIME: Duration = Duration::from_secs(3);

/// The file that is written and deleted at start, to see that the warehouse can be written.
const WRITE_CHECK_FILE: &str = ".tarn-write-check";

/// Stack of a thread that runs statements, bytes: plans are walked recursively, and deep ones are legal.
const STATEMENT_STACK_BYTES: usize = 16 << 20;

/// Why the server does not start: one line, with what to do.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<tarn_catalog::Error> for StartError {
    fn from(error: tarn_catalog::Error) -> StartError {
        let parts = [Some(error.to_string()), error.detail, error.hint];
        StartError::joined(parts.into_iter().flatten())
    }
}

impl From<tarn_sql::Error> for StartError {
    fn from(error: tarn_sql::Error) -> StartError {
        StartError::joined([Some(error.message), error.detail, error.hint].into_iter().flatten())
    }
}

impl StartError {
    fn joined(parts: impl Iterator<Item = String>) -> StartError {
        let parts = parts.map(|part| part.trim_end_matches('.').replace('\n', " ")).collect::<Vec<_>>();
        StartError(parts.join(". "))
    }
}

/// Where a running server can be reached.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub postgres: SocketAddr,
    pub flight: SocketAddr,
    pub http: SocketAddr,
}

/// A running server.
pub struct Server {
    addresses: Addresses,
    door: Arc<Door>,
    listeners: Vec<JoinHandle<()>>,
    /// Set when there is nothing left to watch.
    end: CancellationToken,
    /// Set to end the upkeep of tables.
    upkeep: CancellationToken,
    statements: StatementRuntime,
    settings: Settings,
}

/// Where statements run. A runtime must not be dropped where async code runs, as it would wait for its threads, so this
/// one is sent away.
struct StatementRuntime(Option<Runtime>);

impl StatementRuntime {
    /// Waits for what its threads have begun, so that a commit is not cut off and nothing holds the store any more.
    async fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It only waits, and cannot panic.
            let _ = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(STATEMENTS_END_TIME)).await;
        }
    }
}

impl Drop for StatementRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    /// Starts a server on the runtime of the caller, which then carries the network. Statements get a runtime of their
    /// own, so that a heavy one delays neither a new connection nor a cancel request nor `/healthz`.
    pub async fn start(settings: Settings) -> Result<Server, StartError> {
        // The addresses first: they fail fastest, and clients that come early wait in the queue.
        let postgres = listen(settings.listen.postgres, "PostgreSQL", "--postgres").await?;
        let flight = listen(settings.listen.flight, "Flight SQL", "--flight").await?;
        let http = listen(settings.listen.http, "HTTP", "--http").await?;
        let addresses =
            Addresses { postgres: local(&postgres)?, flight: local(&flight)?, http: local(&http)? };
        make_data_dir(&settings.storage.data_dir)?;
        let postgres_encryption = encryption(&settings, tls::alpn::POSTGRESQL)?;
        let flight_encryption = encryption(&settings, tls::alpn::HTTP_2)?;
        let http_encryption = encryption(&settings, tls::alpn::HTTP_1)?;
        let catalog = open_catalog(&settings).await?;
        check_warehouse(&catalog).await?;
        let mut server = Server::around(addresses, &settings, catalog, postgres_encryption).await?;
        let watched = Watched {
            engine: Arc::clone(server.door.engine()),
            metrics: Arc::clone(server.door.metrics()),
            stopping: server.door.stopping().clone(),
        };
        server.listeners.push(tokio::spawn(postgres::serve(Arc::clone(&server.door), postgres)));
        let flight = flight::serve(Arc::clone(&server.door), flight, flight_encryption);
        server.listeners.push(tokio::spawn(flight));
        let rest = Rest::new(Arc::clone(&server.door), http_encryption.required);
        let http = http::serve(http, http_encryption, watched, rest, server.end.clone());
        server.listeners.push(tokio::spawn(http));
        Ok(server)
    }

    async fn around(
        addresses: Addresses,
        settings: &Settings,
        catalog: Arc<Catalog>,
        encryption: Encryption,
    ) -> Result<Server, StartError> {
        let runtime = statement_runtime()?;
        let handle = runtime.handle().clone();
        let statements = StatementRuntime(Some(runtime));
        let roles = Roles::open(Arc::clone(&catalog), &settings.storage.data_dir)?;
        remove_old_spills(settings);
        let options = EngineOptions {
            catalog,
            memory_limit_bytes: settings.limits.memory_bytes,
            column_cache_bytes: settings.limits.column_cache_bytes,
            spill_dir: settings.limits.spill_dir.clone(),
            target_partitions: processors(),
            version: VERSION.to_owned(),
        };
        let engine = handle.spawn(Engine::open(options)).await;
        let engine =
            engine.map_err(|error| StartError(format!("the engine cannot be opened: {error}")))??;
        let upkeep = CancellationToken::new();
        handle.spawn(tarn_sql::maintain(Arc::clone(&engine), upkeep.clone()));
        let door = Door::new(engine, roles, Arc::new(Metrics::new()), handle, &settings.limits, encryption);
        Ok(Server {
            addresses,
            door,
            listeners: Vec::new(),
            end: CancellationToken::new(),
            upkeep,
            statements,
            settings: settings.clone(),
        })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The line that says that the server is ready, for the program that started it.
    pub fn ready_line(&self) -> String {
        serde_json::json!({
            "event": "ready",
            "postgres": self.addresses.postgres.to_string(),
            "flight": self.addresses.flight.to_string(),
            "http": self.addresses.http.to_string(),
            "version": VERSION,
            "data_dir": self.settings.storage.data_dir,
        })
        .to_string()
    }

    /// Accepts nothing more, lets running statements end within the grace time of the settings, then cancels them.
    pub async fn stop(mut self) {
        self.upkeep.cancel();
        let all_ended = self.door.stop(self.settings.limits.shutdown_grace).await;
        if !all_ended {
            tracing::warn!("some sessions did not end and are cut off");
        }
        self.end.cancel();
        for mut listener in self.listeners.drain(..) {
            if tokio::time::timeout(LISTENER_END_TIME, &mut listener).await.is_err() {
                listener.abort();
            }
        }
        self.statements.end().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.upkeep.cancel();
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

fn encryption(settings: &Settings, protocol: &[u8]) -> Result<Encryption, StartError> {
    let Some(tls) = &settings.tls else { return Ok(Encryption { acceptor: None, required: false }) };
    let acceptor = tls::acceptor(tls, protocol).map_err(StartError)?;
    Ok(Encryption { acceptor: Some(acceptor), required: tls.required })
}

async fn listen(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "the {what} address {address} is already in use: stop the other process, or choose another port \
                 with {flag} {}:PORT (0 picks a free one)",
                address.ip()
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "this user may not listen on the {what} address {address}: choose a port from 1024 with {flag}"
            ),
            _ => format!("cannot listen on the {what} address {address}: {error}; choose another with {flag}"),
        };
        StartError(message)
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError(format!("the chosen port is not known: {error}")))
}

/// The data folder is private: it holds password verifiers.
fn make_data_dir(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let written = made.and_then(|()| {
        let check = path.join(WRITE_CHECK_FILE);
        std::fs::write(&check, b"")?;
        std::fs::remove_file(&check)
    });
    written.map_err(|error| {
        StartError(format!(
            "the data folder {} cannot be written: {error}; give this user write permission, or choose another \
             with --data-dir",
            path.display()
        ))
    })
}

async fn open_catalog(settings: &Settings) -> Result<Arc<Catalog>, StartError> {
    let storage = Storage::new(storage_options(settings))?;
    let options = Options {
        data_dir: settings.storage.data_dir.clone(),
        storage,
        warehouse: settings.storage.warehouse.clone(),
        env: Arc::new(SystemEnv),
    };
    // It reads the whole log, which takes as long as the disk does.
    let opened = tokio::task::spawn_blocking(|| Catalog::open(options)).await;
    let opened = opened.map_err(|error| StartError(format!("the catalog cannot be opened: {error}")))?;
    Ok(opened?)
}

fn storage_options(settings: &Settings) -> StorageOptions {
    StorageOptions {
        s3: s3_options(&settings.s3),
        forbidden: vec![settings.storage.data_dir.clone()],
        warehouse: settings.storage.warehouse.clone(),
        local_roots: settings.storage.local_roots.clone(),
    }
}

fn s3_options(s3: &S3) -> S3Options {
    let secret = |hidden: &crate::settings::Hidden| Secret::new(hidden.expose().to_owned());
    S3Options {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: s3.secret_access_key.as_ref().map(secret),
        session_token: s3.session_token.as_ref().map(secret),
        profile: s3.profile.clone(),
        allow_http: s3.allow_http,
        path_style: s3.path_style,
    }
}

/// Better to fail now than at the first CREATE TABLE.
async fn check_warehouse(catalog: &Catalog) -> Result<(), StartError> {
    let warehouse = catalog.warehouse();
    let storage = catalog.storage();
    let file = storage.guard().own(&format!("{warehouse}/{WRITE_CHECK_FILE}"))?;
    let check = async {
        storage.put(&file, bytes::Bytes::from_static(b"tarn\n")).await?;
        storage.delete(&file).await
    };
    let problem = match tokio::time::timeout(WAREHOUSE_TIME, check).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => StartError::from(error).0,
        Err(_) => format!("no answer within {} s", WAREHOUSE_TIME.as_secs()),
    };
    Err(StartError(format!(
        "the warehouse {warehouse} cannot be written: {problem}; check --warehouse, the [s3] settings and the permissions"
    )))
}

/// What statements of a process that was killed had spilled. Only in the folder that is ours alone.
fn remove_old_spills(settings: &Settings) {
    if settings.limits.spill_dir != settings.storage.data_dir.join("spill") {
        return;
    }
    match std::fs::remove_dir_all(&settings.limits.spill_dir) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "old spill files cannot be removed"),
    }
}

/// Two threads more than there are processors: an operator that computes for long without a pause holds its thread,
/// and somebody must be free to tell it to stop.
fn statement_runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors() + 2)
        .thread_name("statement")
        .thread_stack_size(STATEMENT_STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| StartError(format!("the threads for statements cannot be started: {error}")))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
