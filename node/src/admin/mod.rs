//! The admin plane: the dashboard, purging, policies, how far purges have come, statistics, metrics, readiness. On a listener of its own: workers do not need
//! it, and Envoy does not route to it.
//!
//! With a token file, everything but `/health`, `/ready` and the dashboard's own files needs a token of the right scope. Without one, the node listens on
//! loopback only, and who reaches that may ask. Errors are problem details (RFC 9457).

mod access;
mod analytics;
mod metrics;
mod page;
mod policies;
mod problem;
mod purge;
mod stats;
mod warming;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::shared::Shared;
use problem::Problem;

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 8 << 20;

/// What every handler gets.
type App = Arc<Shared>;

/// Serves until the node is to stop, and then for as long as requests may take to end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let limit = Duration::from_millis(shared.limits.stop_timeout_ms);
    let router = router(shared.clone());
    let stopped = {
        let shared = shared.clone();
        async move { shared.stopped().await }
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped);
    let overdue = async {
        shared.stopped().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        served = async { served.await } => if let Err(error) = served {
            tracing::error!(%error, "the admin plane ended");
        },
        () = overdue => {}
    }
}

fn router(shared: App) -> Router {
    Router::new()
        .route("/", get(page::to_page))
        .route("/dashboard", get(page::to_page))
        .route("/dashboard/", get(page::page))
        .route("/dashboard/{name}", get(page::part))
        .route("/v1/purge", post(purge::purge))
        .route("/v1/purges", get(purge::history))
        .route("/v1/purges/{sequence}/delivery", get(purge::delivery))
        .merge(policies::router())
        .route("/v1/analytics", get(analytics::analytics))
        .route("/v1/warming", get(warming::shown).post(warming::now))
        .route("/v1/stats", get(stats::stats))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(stats::ready))
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}
