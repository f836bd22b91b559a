//! The Iceberg REST door: the catalog for other engines, by the open protocol of Apache Iceberg
//! (<https://iceberg.apache.org/rest-catalog-spec/>), on the address of health and metrics. It skips text and planning:
//! a request names objects, meets the same rights as a statement (`visitor.rs`), and becomes the same transaction of the
//! catalog. It must never know a message of PostgreSQL or a key of the store.
//!
//! ```text
//! route.rs      which operation a request is; request.rs its parts; error.rs how a failure is said
//! login.rs      who calls: token.rs, or user and password
//! visitor.rs    what the caller may see and do, at one version of the catalog
//! again.rs      requests with a key, which happen once however often they are sent
//! config.rs  namespace.rs  table.rs  create.rs  commit.rs  register.rs  view.rs     what each operation does
//! view_metadata.rs  view_text.rs     a view as Iceberg describes it, and its text as SQL reads it
//! load.rs       a table as it is answered; access.rs how its files are reached; page.rs lists in pieces
//! plan.rs       which files a scan reads; plan_filter.rs which of them cannot hold a row
//! openapi.rs    the description of all of it
//! ```

mod access;
mod again;
mod answer;
mod commit;
mod config;
mod create;
mod error;
mod load;
mod login;
mod namespace;
mod openapi;
mod page;
mod plan;
mod plan_filter;
mod register;
mod request;
mod route;
mod table;
mod token;
mod view;
mod view_metadata;
mod view_text;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use tokio::sync::Semaphore;

use crate::http::Caller;
use crate::postgres::Door;
use answer::Answer;
use error::Error;
use request::Request;
use route::{Operation, Routed};
use visitor::Visitor;

/// Bytes of the largest body that is read.
const BODY_BYTES_MAX: usize = 32 << 20;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Requests that are worked on at a time; more are told to come back.
const REQUESTS_MAX: usize = 256;

/// What all requests share.
pub struct Rest {
    door: Arc<Door>,
    /// Calls in clear are refused.
    encrypted: bool,
    places: Semaphore,
    forgetting: again::Forgetting,
}

impl Rest {
    pub fn new(door: Arc<Door>, encrypted: bool) -> Arc<Rest> {
        let places = Semaphore::new(REQUESTS_MAX);
        Arc::new(Rest { door, encrypted, places, forgetting: again::Forgetting::default() })
    }
}

/// The paths of this door.
pub fn router(rest: Arc<Rest>) -> Router {
    Router::new()
        .route("/openapi.yaml", any(handle))
        .route("/v1", any(handle))
        .route("/v1/{*path}", any(handle))
        .with_state(rest)
}

async fn handle(
    State(rest): State<Arc<Rest>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: HttpRequest,
) -> Response {
    let started = Instant::now();
    let is_head = request.method() == Method::HEAD;
    let (name, answer) = match rest.places.try_acquire() {
        _ if rest.encrypted && !caller.encrypted => {
            ("refused", Err(Error::forbidden("this server accepts encrypted connections only")))
        }
        Ok(_place) if !rest.door.stopping().is_cancelled() => admitted(&rest, caller.address, request).await,
        _ => ("refused", Err(Error::busy())),
    };
    if let Err(error) = &answer
        && matches!(error.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        let peer = caller.address;
        tracing::info!(%peer, operation = name, status = error.status.as_u16(), error = error.message, "refused");
    }
    let answer = answer.unwrap_or_else(Error::into_answer);
    rest.door.metrics().request(name, answer.status.as_u16(), started.elapsed());
    answer.into_response(is_head)
}

/// Runs a request where statements run. It goes on when its client goes away: a commit that has begun is waited for.
async fn admitted(
    rest: &Arc<Rest>,
    peer: SocketAddr,
    request: HttpRequest,
) -> (&'static str, Result<Answer, Error>) {
    let (parts, body) = request.into_parts();
    let routed = match route::find(&parts.method, parts.uri.path()) {
        Ok(routed) => routed,
        Err(error) => return ("unknown", Err(error)),
    };
    let name = routed.operation.name();
    let Ok(Ok(body)) = tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_BYTES_MAX)).await else {
        let text = format!("the body has more than {BODY_BYTES_MAX} bytes, or does not come");
        return (name, Err(Error::bad_request(text)));
    };
    let shared = Arc::clone(rest);
    let work = rest.door.connected().track_future(async move {
        let Routed { operation, path } = routed;
        let request = Request::new(operation, path, &parts, body)?;
        shared.serve(&request, login::address(peer, &parts.headers)).await
    });
    let done = rest.door.statements().spawn(work).await;
    (name, done.unwrap_or_else(|_| Err(Error::unknown_outcome("the request met a bug of the server"))))
}

impl Rest {
    async fn serve(&self, request: &Request, from: std::net::IpAddr) -> Result<Answer, Error> {
        match request.operation {
            Operation::OpenApi => return Ok(openapi::answer()),
            Operation::Token => return Ok(login::token(self.door.roles(), request, from)),
            _ => {}
        }
        let catalog = Arc::clone(self.door.engine().catalog());
        let reader = catalog.reader();
        let principal = login::principal(self.door.roles(), &reader, request, from).inspect_err(|_| {
            self.door.metrics().logins_refused.increment(1);
        })?;
        let visitor = Visitor { principal, reader, catalog };
        request.check_prefix()?;
        if request.operation.changes()
            && let Some(key) = request.idempotency_key()?
        {
            return again::once(self, visitor, request, key).await;
        }
        self.act(visitor, request, &again::Slot::default()).await
    }

    async fn act(&self, visitor: Visitor, request: &Request, slot: &again::Slot) -> Result<Answer, Error> {
        match request.operation {
            Operation::OpenApi | Operation::Token => Err(Error::internal("an operation without a caller")),
            Operation::Config => config::get(request),
            Operation::ListNamespaces => namespace::list(&visitor, request),
            Operation::CreateNamespace => namespace::create(&visitor, request, slot).await,
            Operation::LoadNamespace => namespace::load(&visitor, request),
            Operation::NamespaceExists => namespace::exists(&visitor, request),
            Operation::DropNamespace => namespace::remove(visitor, request, slot).await,
            Operation::UpdateNamespace => namespace::update(visitor, request, slot).await,
            Operation::ListTables => table::list(&visitor, request),
            Operation::CreateTable => create::create(&visitor, request, slot).await,
            Operation::LoadTable => table::load(&visitor, request).await,
            Operation::TableExists => table::exists(&visitor, request),
            Operation::CommitTable => commit::one(&visitor, request, slot).await,
            Operation::DropTable => table::remove(visitor, request, slot).await,
            Operation::RenameTable => table::rename(visitor, request, slot).await,
            Operation::RegisterTable => register::register(&visitor, request, slot).await,
            Operation::UnregisterTable => register::unregister(visitor, request, slot).await,
            Operation::ReportMetrics => table::report(&visitor, request),
            Operation::SignRequest => access::sign(&visitor, request).await,
            Operation::PlanScan => plan::plan(&visitor, request).await,
            Operation::CommitTransaction => commit::many(&visitor, request, slot).await,
            Operation::ListViews => view::list(&visitor, request),
            Operation::CreateView => view::create(self, &visitor, request, slot).await,
            Operation::LoadView => view::load(&visitor, request),
            Operation::ViewExists => view::exists(&visitor, request),
            Operation::ReplaceView => view::replace(self, &visitor, request, slot).await,
            Operation::DropView => view::remove(visitor, request, slot).await,
            Operation::RenameView => view::rename(visitor, request, slot).await,
        }
    }
}

/// Says that an answer is about its caller alone.
fn private() -> (header::HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
