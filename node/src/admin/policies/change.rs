//! Changes of policies.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use larder_core::policy::lint::{self, Checked};
use larder_core::policy::{PolicyError, PolicyErrors};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, named};
use crate::admin::App;
use crate::admin::access::allow_change;
use crate::admin::problem::Problem;
use crate::counts::PolicyChange;
use crate::policies::current::{ChangeError, Done};
use crate::policies::{Change, Kind, NotDone};
use crate::shared::Shared;
use crate::tokens::Scope;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pushing {
    /// Beside what is in force, without effect.
    shadow: bool,
    comment: String,
    /// The version that this one is made from, and replaces; 0 is none.
    base: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Base {
    /// The version that is taken to be in force, or in the shadow where that is what changes; 0 is none.
    base: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RollingBack {
    to: Option<u64>,
}

/// `POST /v1/policies`: the policy says its name itself.
pub(super) async fn push(
    State(shared): State<App>,
    headers: HeaderMap,
    pushing: Result<Query<Pushing>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let who = who(&shared, &headers)?;
    let Query(pushing) = query(pushing)?;
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let text = std::str::from_utf8(&body).map_err(|error| {
        Problem::bad_request(format!("the policy is not UTF-8: byte {} is wrong", error.valid_up_to()))
    })?;
    // A policy of ten thousand routes takes a while.
    let checked = text.to_owned();
    let checked = tokio::task::spawn_blocking(move || lint::check(&checked)).await;
    let checked = checked.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let Checked { policy, lints, .. } = checked.map_err(|errors| {
        shared.counts.policies.add(PolicyChange::Invalid);
        tracing::warn!(target: "larder::policy", who, errors = errors.len() + errors.left_out(), "a policy with errors was pushed");
        invalid(&errors)
    })?;
    let Pushing { shadow, comment, base } = pushing;
    let change = Change::Push { text, comment: &comment, shadow, again: false };
    let mut done = changed(&shared, &policy.name, &change, base, &who).await?;
    let warnings: Vec<Value> = lints
        .iter()
        .map(|lint| {
            json!({ "id": lint.rule.id, "severity": lint.rule.severity.word(), "message": lint.message, "help": lint.help,
                    "path": lint.path, "line": lint.line, "column": lint.column, "text": lint.to_string() })
        })
        .collect();
    if let Some(done) = done.0.as_object_mut() {
        done.insert("warnings".to_owned(), warnings.into());
    }
    Ok(done)
}

/// `POST /v1/policies/{name}/rollback`, with `{"to": 2}` or nothing.
pub(super) async fn rollback(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let who = who(&shared, &headers)?;
    let Query(Base { base }) = query(base)?;
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let RollingBack { to } = match body.trim_ascii() {
        b"" => RollingBack::default(),
        body => serde_json::from_slice(body)
            .map_err(|error| Problem::bad_request(format!("write {{\"to\": 2}}, or nothing: {error}")))?,
    };
    changed(&shared, &named(name)?, &Change::Rollback { to }, base, &who).await
}

/// `POST /v1/policies/{name}/promote`
pub(super) async fn promote(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    simply(&shared, &headers, name, base, &Change::Promote).await
}

/// `DELETE /v1/policies/{name}/shadow`
pub(super) async fn stop_shadow(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    simply(&shared, &headers, name, base, &Change::StopShadow).await
}

/// `DELETE /v1/policies/{name}`
pub(super) async fn withdraw(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    simply(&shared, &headers, name, base, &Change::Withdraw).await
}

async fn simply(
    shared: &Shared,
    headers: &HeaderMap,
    name: Result<Path<String>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
    change: &Change<'_>,
) -> Result<Json<Value>, Problem> {
    let who = who(shared, headers)?;
    let Query(Base { base }) = query(base)?;
    changed(shared, &named(name)?, change, base, &who).await
}

fn who(shared: &Shared, headers: &HeaderMap) -> Result<String, Problem> {
    let who = allow_change(shared, headers, Scope::Policy);
    who.map(ToOwned::to_owned).inspect_err(|_| {
        shared.counts.policies.add(PolicyChange::Denied);
        tracing::warn!(target: "larder::policy", "a change of a policy was denied");
    })
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<Query<T>, Problem> {
    query.map_err(|error| Problem::bad_request(error.body_text()))
}

/// Changes, and says what there is now.
async fn changed(
    shared: &Shared,
    name: &str,
    change: &Change<'_>,
    base: Option<u64>,
    who: &str,
) -> Result<Json<Value>, Problem> {
    let done = shared.policies.change(name, change, base, who).await;
    let Done { record, changed } = done.map_err(|error| {
        let (counted, problem) = not_done(&error);
        shared.counts.policies.add(counted);
        tracing::warn!(target: "larder::policy", who, policy = name, %error, "a policy was not changed");
        problem
    })?;
    shared.counts.policies.add(if changed { counted(record.changed.kind) } else { PolicyChange::Unchanged });
    // It is done, whether or not this node can take it up now.
    if let Err(error) = shared.look_at_policies().await {
        tracing::warn!(%error, policy = name, "the change is not taken up yet");
    }
    let in_question = match change {
        Change::Push { shadow: true, .. } => record.shadow,
        Change::StopShadow | Change::Withdraw => None,
        _ => record.active,
    };
    Ok(Json(json!({
        "name": name,
        "generation": record.generation,
        "version": in_question.map(|it| it.version),
        "unchanged": !changed,
        "policy": Shown::of(shared, name, Some(&record)),
    })))
}

fn counted(kind: Kind) -> PolicyChange {
    match kind {
        Kind::Push => PolicyChange::Push,
        Kind::Shadow => PolicyChange::Shadow,
        Kind::Rollback => PolicyChange::Rollback,
        Kind::Promote => PolicyChange::Promote,
        Kind::StopShadow => PolicyChange::StopShadow,
        Kind::Withdraw => PolicyChange::Withdraw,
    }
}

fn not_done(error: &ChangeError) -> (PolicyChange, Problem) {
    let problem = |status| Problem::new(status, error.to_string());
    match error {
        ChangeError::NotDone(NotDone::NoName | NotDone::NoVersion(_)) => {
            (PolicyChange::Conflict, problem(StatusCode::NOT_FOUND))
        }
        ChangeError::NotDone(NotDone::Base { is, .. }) => {
            (PolicyChange::Conflict, problem(StatusCode::CONFLICT).with("version", (*is).into()))
        }
        ChangeError::NotDone(_) | ChangeError::Contended => (PolicyChange::Conflict, problem(StatusCode::CONFLICT)),
        ChangeError::Store(error) => (PolicyChange::Failed, error.clone().into()),
    }
}

/// Everything that is wrong with a policy.
fn invalid(errors: &PolicyErrors) -> Problem {
    let number = errors.len() + errors.left_out();
    let first = errors.iter().next().map(ToString::to_string).unwrap_or_default();
    let detail = match number {
        1 => format!("the policy has an error: {first}"),
        _ => format!("the policy has {number} errors; the first: {first}"),
    };
    let all: Vec<Value> = errors.iter().map(located).collect();
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        .with("errors", all.into())
        .with("left_out", errors.left_out().into())
}

fn located(error: &PolicyError) -> Value {
    json!({
        "path": error.path, "line": error.line, "column": error.column, "message": error.message,
        "expected": error.expected, "found": error.found, "nearest": error.nearest, "text": error.to_string(),
    })
}
