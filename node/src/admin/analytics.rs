//! What the cluster has done over time, as JSON. The shape is described in docs/analytics.md.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::App;
use super::access::allow;
use super::problem::Problem;
use crate::analytics::summary::{Asked, summary};
use crate::analytics::{RANGES, Range};
use crate::shared::Shared;
use crate::tokens::Scope;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// `10m` where nothing is said.
    range: Option<String>,
    /// A multiple of the range's own: `10s`, `5m`, `1h`.
    step: Option<String>,
    policy: Option<String>,
    route: Option<String>,
    host: Option<String>,
    /// `routes`: each route step by step, too.
    series: Option<String>,
}

/// `GET /v1/analytics`
pub(super) async fn analytics(
    State(shared): State<App>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request(error.body_text()))?;
    let asked = wanted.asked(shared.clock.now().0)?;
    // It may go through some ten thousand steps.
    let summed = tokio::task::spawn_blocking(move || summed(&shared, &asked)).await;
    let body = summed.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(([(header::CACHE_CONTROL, "no-store")], body).into_response())
}

fn summed(shared: &Arc<Shared>, asked: &Asked) -> Result<Response, Problem> {
    let Some(analytics) = &shared.analytics else {
        return Err(Problem::not_found("this node keeps no analytics"));
    };
    let held = analytics.held(asked.range.resolution, asked.steps.from_ms, asked.steps.until_ms());
    Ok(Json(summary(&held, asked, &shared.policies.targets())).into_response())
}

impl Wanted {
    fn asked(self, now_ms: u64) -> Result<Asked, Problem> {
        let name = self.range.as_deref().unwrap_or("10m");
        let range = Range::named(name).ok_or_else(|| {
            let names = RANGES.map(|range| range.name).join(", ");
            Problem::bad_request(format!("there is no range {name:?}; there are {names}"))
        })?;
        let step_ms = match self.step.as_deref() {
            None => None,
            Some(text) => {
                Some(span_ms(text).ok_or_else(|| Problem::bad_request("write step=10s, step=5m or step=1h"))?)
            }
        };
        let steps = range.steps(now_ms, step_ms).ok_or_else(|| {
            let own = range.resolution.step_ms() / 1000;
            Problem::bad_request(format!("a step of {name} is a multiple of {own} s, and not longer than the range"))
        })?;
        let routes_by_step = match self.series.as_deref() {
            None => false,
            Some("routes") => true,
            Some(_) => return Err(Problem::bad_request("write series=routes, or nothing")),
        };
        let Self { policy, route, host, .. } = self;
        Ok(Asked { range, steps, now_ms, policy, route, host, routes_by_step })
    }
}

fn span_ms(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let unit_ms = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_units() {
        for (text, want) in [("10s", Some(10_000)), ("5m", Some(300_000)), ("1h", Some(3_600_000)), ("", None)] {
            assert_eq!(span_ms(text), want, "{text}");
        }
        for text in ["1", "s", "-1s", "1é", "99999999999999999h"] {
            assert_eq!(span_ms(text), None, "{text}");
        }
    }
}
