//! What the API says of itself. Nothing here touches the database.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::App;

#[derive(Serialize)]
pub(super) struct Stats {
    queries: u64,
    requests: u64,
}

pub(super) async fn stats(State(app): State<App>) -> Json<Stats> {
    Json(Stats { queries: app.queries(), requests: app.requests() })
}

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
}

pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json"))
}
