//! `/healthz` and `/metrics`, for those who watch over the server, on one address with the Iceberg REST door (`rest/`). They
//! need no login: whether it lives anybody may ask, and its figures are for this machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use tarn_sql::Engine;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::connections::{self, Opened, Socket};
use crate::metrics::{Figures, Metrics};
use crate::postgres::Encryption;
use crate::rest::{self, Rest};

/// What Prometheus wants its text announced as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is watched.
#[derive(Clone)]
pub struct Watched {
    pub engine: Arc<Engine>,
    pub metrics: Arc<Metrics>,
    /// Set when no more statements are taken.
    pub stopping: CancellationToken,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub address: SocketAddr,
    pub encrypted: bool,
}

/// Answers requests until `end`, those of the Iceberg REST door among them.
pub async fn serve(
    listener: TcpListener,
    encryption: Encryption,
    watched: Watched,
    rest: Arc<Rest>,
    end: CancellationToken,
) {
    let Ok(address) = listener.local_addr() else { return };
    // Who only asks how the server is need not encrypt on this machine; the other door sees to itself.
    let encryption = Encryption { required: false, ..encryption };
    let (accepting, incoming) = connections::accept(listener, encryption, watched.stopping.clone());
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(show_metrics))
        .with_state(watched)
        .merge(rest::router(rest));
    let service = router.into_make_service_with_connect_info::<Caller>();
    let incoming = Incoming { incoming, address };
    let served = axum::serve(incoming, service).with_graceful_shutdown(end.cancelled_owned()).await;
    accepting.abort();
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP door has closed");
    }
}

/// Connections as they have been accepted.
struct Incoming {
    incoming: mpsc::Receiver<Opened>,
    address: SocketAddr,
}

impl Listener for Incoming {
    type Io = Socket;
    type Addr = Caller;

    async fn accept(&mut self) -> (Socket, Caller) {
        match self.incoming.recv().await {
            Some(Opened { socket, peer, number: _ }) => {
                let encrypted = socket.is_encrypted();
                (socket, Caller { address: peer, encrypted })
            }
            // Nothing comes any more; whoever waits here is stopped from outside.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { address: self.address, encrypted: false })
    }
}

impl Connected<IncomingStream<'_, Incoming>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Caller {
        *stream.remote_addr()
    }
}

/// There is no answer before the catalog has been read, so `ok` means that statements are taken.
async fn healthz(State(watched): State<Watched>) -> impl IntoResponse {
    if watched.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn show_metrics(State(watched): State<Watched>, ConnectInfo(caller): ConnectInfo<Caller>) -> Response {
    if !caller.address.ip().is_loopback() {
        return (StatusCode::FORBIDDEN, "figures are told on this machine only\n").into_response();
    }
    let (memory_used_bytes, memory_limit_bytes) = watched.engine.memory();
    let catalog_sequence = watched.engine.catalog().reader().sequence().0;
    let cache = watched.engine.metadata_cache();
    let columns = watched.engine.column_cache();
    let figures = Figures { memory_used_bytes, memory_limit_bytes, catalog_sequence, cache, columns };
    ([(CONTENT_TYPE, METRICS_TYPE)], watched.metrics.render(figures)).into_response()
}
