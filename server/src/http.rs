//! `/healthz` and `/metrics`, for those who watch over the server. No login: it tells nothing of data or users, and
//! only loopback is listened on.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tarn_sql::Engine;
use tokio::net::TcpListener;

use crate::metrics::{Figures, Metrics};

/// What Prometheus wants its text announced as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Watched {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
}

/// Answers requests until its task is aborted.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, metrics: Arc<Metrics>) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(show_metrics))
        .with_state(Watched { engine, metrics });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP door has closed");
    }
}

/// The listener opens before the catalog is read, so an answer at all means that statements are taken.
async fn healthz() -> impl IntoResponse {
    "ok\n"
}

async fn show_metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let (memory_used_bytes, memory_limit_bytes) = watched.engine.memory();
    let catalog_sequence = watched.engine.catalog().reader().sequence().0;
    let figures = Figures { memory_used_bytes, memory_limit_bytes, catalog_sequence };
    ([(CONTENT_TYPE, METRICS_TYPE)], watched.metrics.render(figures))
}
