//! `/healthz` and `/metrics`, for those who watch over the server. No login: it tells nothing of data or users, and
//! only loopback is listened on.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tarn_sql::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Figures, Metrics};

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

/// Answers requests until `end`.
pub async fn serve(listener: TcpListener, watched: Watched, end: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(show_metrics))
        .with_state(watched);
    let served = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP door has closed");
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

async fn show_metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let (memory_used_bytes, memory_limit_bytes) = watched.engine.memory();
    let catalog_sequence = watched.engine.catalog().reader().sequence().0;
    let cache = watched.engine.metadata_cache();
    let columns = watched.engine.column_cache();
    let figures = Figures { memory_used_bytes, memory_limit_bytes, catalog_sequence, cache, columns };
    ([(CONTENT_TYPE, METRICS_TYPE)], watched.metrics.render(figures))
}
