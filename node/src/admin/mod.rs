//! The admin plane: the dashboard, purging, policies, how far purges have come, statistics, metrics, readiness. On a listener of its own: workers do not need
//! it, and Envoy does not route to it.
//!
//! With a token file, everything but `/health`, `/ready` and the dashboard's own files needs a token of the right scope. Without one, the node listens on
//! loopback only, and who reaches that may ask. Errors are problem details (RFC 9457).

mod access;
mod analytics;
mod body;
mod metrics;
mod page;
mod policies;
mod problem;
mod purge;
mod stats;
mod warming;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;
use larder_core::cluster::message::POLICY_BYTES_MAX;
use tokio::net::TcpListener;

use crate::listener;
use crate::shared::Shared;
use problem::Problem;

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 8 << 20;

/// What every handler gets.
type App = Arc<Shared>;

/// Serves until the node is to stop, and then for as long as requests may take to end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let connections_max = shared.limits.admin_connections_max;
    let service = TowerToHyperService::new(router(shared.clone()));
    listener::serve(listener, &shared, connections_max, service).await;
}

fn router(shared: App) -> Router {
    let all = Router::new()
        .route("/", get(page::to_page))
        .route("/dashboard", get(page::to_page))
        .route("/dashboard/", get(page::page))
        .route("/dashboard/{name}", get(page::part))
        .route("/v1/purge", post(purge::purge))
        .route("/v1/purges", get(purge::history))
        .route("/v1/purges/{sequence}/delivery", get(purge::delivery))
        .route("/v1/analytics", get(analytics::analytics))
        .route("/v1/warming", get(warming::shown).post(warming::now))
        .route("/v1/stats", get(stats::stats))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(stats::ready))
        .fallback(async || Problem::not_found("there is nothing at this path"));
    body::within(BODY_BYTES_MAX, &shared, all)
        .merge(body::within(POLICY_BYTES_MAX, &shared, policies::router()))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        // Bodies are read by then.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}
