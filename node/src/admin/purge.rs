//! Purging, how far a purge has come, and which purges there were.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use larder_core::key::canonical_url;
use larder_core::purge::{Mode, Position, Scope as What, Sequence};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::App;
use super::access::allow;
use super::problem::Problem;
use crate::purging::{By, parse_log};
use crate::tokens::Scope;
use crate::workers::Delivery;

/// The longest wait for delivery.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whoever waits looks this often beside every poll: workers fall silent without saying so.
pub(super) const LOOK_UP: Duration = Duration::from_millis(250);

/// Purges shown where the question does not say how many, and the most.
const LAST: usize = 100;
const LAST_MAX: usize = 1000;

/// What to purge.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    urls: Vec<String>,
    tags: Vec<String>,
    prefixes: Vec<String>,
    all: bool,
    soft: bool,
}

impl Wanted {
    fn purges(self) -> Result<Vec<(What, Mode)>, Problem> {
        let mode = if self.soft { Mode::Soft } else { Mode::Hard };
        let url = |text: &String| canonical_url(text).map_err(Problem::bad_request);
        let mut scopes = Vec::new();
        for text in &self.urls {
            scopes.push(What::Url(url(text)?));
        }
        for tag in self.tags {
            if tag.is_empty() {
                return Err(Problem::bad_request("a tag is empty"));
            }
            scopes.push(What::Tag(tag));
        }
        for text in &self.prefixes {
            scopes.push(What::Prefix(url(text)?));
        }
        if self.all {
            scopes.push(What::All);
        }
        if scopes.is_empty() {
            return Err(Problem::bad_request("nothing to purge: name urls, tags, prefixes, or say \"all\": true"));
        }
        Ok(scopes.into_iter().map(|scope| (scope, mode)).collect())
    }
}

/// `POST /v1/purge`
pub(super) async fn purge(
    State(shared): State<App>,
    headers: HeaderMap,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let who = allow(&shared, &headers, Scope::Purge).inspect_err(|_| shared.purging.denied("admin"))?;
    let Json(wanted) = wanted.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let purges = wanted.purges()?;
    let position = shared.purging.purge(who, By::Operator, &purges).await?;
    Ok(Json(json!({ "log": hex(position.log), "sequence": position.sequence.0, "purges": purges.len() })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waits {
    /// For how long: `5s`, `500ms`.
    wait: Option<String>,
    /// Which log, where the asker knows: another one has other numbers.
    log: Option<String>,
}

/// How far a purge has come.
#[derive(Debug, Serialize)]
pub(super) struct Delivered {
    log: String,
    sequence: u64,
    /// Nobody who could still use what was purged is left.
    delivered: bool,
    nodes: Vec<NodeShown>,
    workers: Delivery,
}

#[derive(Debug, Serialize)]
struct NodeShown {
    name: String,
    sequence: u64,
    confirmed: bool,
}

/// `GET /v1/purges/{sequence}/delivery`
pub(super) async fn delivery(
    State(shared): State<App>,
    headers: HeaderMap,
    sequence: Result<Path<u64>, PathRejection>,
    waits: Result<Query<Waits>, QueryRejection>,
) -> Result<Json<Delivered>, Problem> {
    allow(&shared, &headers, Scope::Purge).or_else(|_| allow(&shared, &headers, Scope::Read))?;
    let Path(sequence) = sequence.map_err(|error| Problem::bad_request(error.body_text()))?;
    let Query(waits) = waits.map_err(|error| Problem::bad_request(error.body_text()))?;
    let wait = waits.wait.as_deref().map_or(Some(Duration::ZERO), span);
    let wait = wait.ok_or_else(|| Problem::bad_request("write wait=5s or wait=500ms"))?.min(WAIT_MAX);
    let head = shared.following.head().await?;
    let log = match waits.log.as_deref().map(parse_log) {
        None => head.log,
        Some(Some(log)) if log == head.log => log,
        Some(_) => return Err(Problem::not_found("this node's purge log is another one")),
    };
    if sequence > head.sequence.0 {
        return Err(Problem::not_found(format!("the newest purge has the number {}", head.sequence.0)));
    }
    let position = Position { log, sequence: Sequence(sequence) };
    let deadline = Instant::now() + wait;
    loop {
        // Enlisted before looking: a poll between looking and waiting wakes, too.
        let mut changed = std::pin::pin!(shared.workers.changed().notified());
        changed.as_mut().enable();
        let workers = shared.workers.delivery(position, shared.clock.now());
        if workers.pending.is_empty() || Instant::now() >= deadline || shared.is_stopping() {
            let here = shared.following.here();
            let confirmed = here.log == log && here.sequence.0 >= sequence;
            let node = NodeShown { name: shared.name.clone(), sequence: here.sequence.0, confirmed };
            let delivered = confirmed && workers.pending.is_empty();
            return Ok(Json(Delivered { log: hex(log), sequence, delivered, nodes: vec![node], workers }));
        }
        let _ = timeout_at(deadline.min(Instant::now() + LOOK_UP), changed).await;
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    last: Option<usize>,
}

/// `GET /v1/purges`
pub(super) async fn history(
    State(shared): State<App>,
    headers: HeaderMap,
    last: Result<Query<Last>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let Query(last) = last.map_err(|error| Problem::bad_request(error.body_text()))?;
    let purges = shared.purging.newest(last.last.unwrap_or(LAST).min(LAST_MAX)).await?;
    Ok(Json(json!({ "log": hex(shared.following.here().log), "purges": purges })))
}

/// A log's identity as text.
pub(super) fn hex(log: u64) -> String {
    format!("{log:016x}")
}

/// `5s` or `500ms`.
pub(super) fn span(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s').unwrap_or(text).parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, want) in [("5s", Some(5000)), ("500ms", Some(500)), ("2", Some(2000)), ("x", None), ("-1s", None)] {
            assert_eq!(span(text), want.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn what_is_wanted_becomes_purges_in_order() {
        let text = r#"{"urls": ["HTTP://H"], "tags": ["t"], "prefixes": ["http://h/a"], "all": true, "soft": true}"#;
        let wanted: Wanted = serde_json::from_str(text).expect("JSON");
        let scopes: Vec<What> = wanted.purges().expect("purges").into_iter().map(|(scope, _)| scope).collect();
        let want = [What::Url("http://h/".into()), What::Tag("t".into()), What::Prefix("http://h/a".into()), What::All];
        assert_eq!(scopes, want);
        assert!(Wanted::default().purges().is_err());
        assert!(Wanted { tags: vec![String::new()], ..Wanted::default() }.purges().is_err());
    }
}
