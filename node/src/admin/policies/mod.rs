//! Pushed policies: which there are, their texts, how far they have come, and changing them. The shapes are described in
//! docs/policies.md.

mod change;
mod shadow;

use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::App;
use super::access::allow;
use super::problem::Problem;
use super::purge::{LOOK_UP, WAIT_MAX, span};
use crate::policies::{Changed, InForce, PoliciesError, Record, Version, is_name};
use crate::shared::Shared;
use crate::tokens::Scope;
use crate::workers::Uptake;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/v1/policies", get(list).post(change::push))
        .route("/v1/policies/{name}", get(one).delete(change::withdraw))
        .route("/v1/policies/{name}/delivery", get(delivery))
        .route("/v1/policies/{name}/promote", post(change::promote))
        .route("/v1/policies/{name}/rollback", post(change::rollback))
        .route("/v1/policies/{name}/shadow", get(shadow::report).delete(change::stop_shadow))
        .route("/v1/policies/{name}/versions/{version}", get(text))
}

/// What there is under a name, to be shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    /// 0 where nothing was pushed yet, and workers would take it up.
    generation: u64,
    active: Option<VersionShown>,
    shadow: Option<VersionShown>,
    /// The last change.
    changed: Option<Changed>,
    /// A text in use is gone or another one: workers are told nothing, and keep what they have, until it is pushed again.
    damaged: bool,
    /// The newest first.
    versions: Vec<Version>,
    workers: Numbers,
}

/// A version in force, or in the shadow.
#[derive(Debug, Serialize)]
struct VersionShown {
    #[serde(flatten)]
    version: Version,
    since_ms: u64,
}

/// Workers that have what there is, and those that have not.
#[derive(Debug, Serialize)]
struct Numbers {
    current: usize,
    behind: usize,
    refused: usize,
    silent: usize,
}

impl Numbers {
    fn of(uptake: &Uptake) -> Self {
        let Uptake { current, behind, refused, silent } = uptake;
        Self { current: current.len(), behind: behind.len(), refused: refused.len(), silent: silent.len() }
    }
}

impl Shown {
    fn of(shared: &Shared, name: &str, record: Option<&Record>) -> Self {
        let shown = |in_force: Option<InForce>| {
            let InForce { version, since_ms } = in_force?;
            Some(VersionShown { version: record?.version(version)?.clone(), since_ms })
        };
        let generation = record.map_or(0, |record| record.generation);
        Self {
            name: name.to_owned(),
            generation,
            active: shown(record.and_then(|record| record.active)),
            shadow: shown(record.and_then(|record| record.shadow)),
            changed: record.map(|record| record.changed.clone()),
            damaged: shared.policies.named(name).is_some_and(|named| named.is_damaged()),
            versions: record.map(|record| record.versions.iter().rev().cloned().collect()).unwrap_or_default(),
            workers: Numbers::of(&shared.workers.uptake(name, generation, shared.clock.now())),
        }
    }
}

/// `GET /v1/policies`
async fn list(State(shared): State<App>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    shared.look_at_policies().await?;
    let known = shared.policies.all();
    let mut shown: Vec<Shown> =
        known.iter().map(|(name, named)| Shown::of(&shared, name, Some(&named.record))).collect();
    let watched = shared.workers.watched().into_iter().filter(|name| is_name(name) && !known.contains_key(name));
    shown.extend(watched.map(|name| Shown::of(&shared, &name, None)));
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(json!({ "store": shared.policies.store().kind(), "policies": shown })))
}

/// `GET /v1/policies/{name}`
async fn one(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let record = known(&shared, &named(name)?).await?;
    Ok(Json(Shown::of(&shared, &record.0, Some(&record.1))))
}

/// `GET /v1/policies/{name}/versions/{version}`: the text, as it was pushed.
async fn text(
    State(shared): State<App>,
    headers: HeaderMap,
    place: Result<Path<(String, u64)>, PathRejection>,
) -> Result<Response, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let Path((name, number)) = place.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (name, record) = known(&shared, &name).await?;
    let gone = || Problem::not_found(format!("version {number} of {name} is not kept"));
    let version = record.version(number).ok_or_else(gone)?;
    let text = shared.policies.text(&name, version).await?.ok_or_else(gone)?;
    let fields = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::ETAG, format!("\"{}\"", version.sha256)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((fields, text).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waits {
    /// The one there is where nothing is said.
    generation: Option<u64>,
    /// For how long: `5s`, `500ms`.
    wait: Option<String>,
}

/// How far a generation has come.
#[derive(Debug, Serialize)]
struct Delivered {
    name: String,
    generation: u64,
    /// Every worker that was heard from lately has taken it up.
    delivered: bool,
    workers: Uptake,
}

/// `GET /v1/policies/{name}/delivery`: waits until every worker has taken it up or refused it.
async fn delivery(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    waits: Result<Query<Waits>, QueryRejection>,
) -> Result<Json<Delivered>, Problem> {
    allow(&shared, &headers, Scope::Policy).or_else(|_| allow(&shared, &headers, Scope::Read))?;
    let Query(waits) = waits.map_err(|error| Problem::bad_request(error.body_text()))?;
    let wait = waits.wait.as_deref().map_or(Some(Duration::ZERO), span);
    let wait = wait.ok_or_else(|| Problem::bad_request("write wait=5s or wait=500ms"))?.min(WAIT_MAX);
    let (name, record) = known(&shared, &named(name)?).await?;
    let generation = waits.generation.unwrap_or(record.generation);
    let deadline = Instant::now() + wait;
    loop {
        // Enlisted before looking: a poll between looking and waiting wakes, too.
        let mut changed = std::pin::pin!(shared.workers.changed().notified());
        changed.as_mut().enable();
        let now = shared.policies.named(&name).map_or(0, |named| named.record.generation);
        if now != generation {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                format!("{name} has generation {now} by now, not {generation}"),
            ));
        }
        let workers = shared.workers.uptake(&name, generation, shared.clock.now());
        if workers.behind.is_empty() || Instant::now() >= deadline || shared.is_stopping() {
            let delivered = workers.behind.is_empty() && workers.refused.is_empty();
            return Ok(Json(Delivered { name, generation, delivered, workers }));
        }
        let _ = timeout_at(deadline.min(Instant::now() + LOOK_UP), changed).await;
    }
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|error| Problem::bad_request(error.body_text()))
}

/// A name, and what there is under it in the store.
async fn known(shared: &Shared, name: &str) -> Result<(String, Record), Problem> {
    shared.look_at_policies().await?;
    let found = shared.policies.named(name).map(|named| (name.to_owned(), named.record.clone()));
    found.ok_or_else(|| Problem::not_found("no policy of that name was pushed"))
}

impl From<PoliciesError> for Problem {
    fn from(error: PoliciesError) -> Self {
        let status = match error {
            PoliciesError::TooManyNames => StatusCode::CONFLICT,
            PoliciesError::Damaged { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
