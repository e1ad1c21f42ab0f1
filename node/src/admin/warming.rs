//! What the node warms, what came of it, and having it done now.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::access::allow;
use super::problem::Problem;
use crate::shared::Shared;
use crate::tokens::Scope;
use crate::warming::schedule::{self, Shown};

/// Requests shown where the question does not say how many, and the most.
const FIRST: usize = 1000;
const FIRST_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    first: Option<usize>,
}

/// `GET /v1/warming`
pub(super) async fn shown(
    State(shared): State<App>,
    headers: HeaderMap,
    first: Result<Query<First>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let Query(first) = first.map_err(|error| Problem::bad_request(error.body_text()))?;
    let first = first.first.unwrap_or(FIRST).min(FIRST_MAX);
    Ok(Json(of(&shared)?.shown(shared.clock.now(), first)))
}

/// What to do now: everything. JSON, which a page from elsewhere cannot send without being asked first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Everything {}

/// `POST /v1/warming`
pub(super) async fn now(
    State(shared): State<App>,
    headers: HeaderMap,
    wanted: Result<Json<Everything>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let who = allow(&shared, &headers, Scope::Purge)?;
    let Json(Everything {}) = wanted.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let requests = of(&shared)?.ask_for_all(who);
    tracing::info!(target: "larder::warm", who, requests, "asked for");
    Ok((StatusCode::ACCEPTED, Json(json!({ "requests": requests }))))
}

fn of(shared: &Shared) -> Result<&schedule::State, Problem> {
    shared.warming.as_deref().ok_or_else(|| Problem::not_found("this node warms nothing: start it with --warm-via"))
}
