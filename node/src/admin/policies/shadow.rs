//! What a policy in the shadow would have done, beside what the one in force did in the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{VersionShown, known, named};
use crate::admin::App;
use crate::admin::access::allow;
use crate::admin::problem::Problem;
use crate::analytics::{Grown, Means, means};
use crate::policies::{InForce, Record};
use crate::shared::Shared;
use crate::tokens::Scope;

/// What all counters of shadows begin with.
const SHADOW: &str = "larder_shadow_";

/// Routes that are shown, the busiest first.
const ROUTES_MAX: usize = 200;

/// Reasons for which a shadow is not safe: it would have given clients what they must not get.
const UNSAFE: [&str; 2] = ["other_body", "identity"];

/// The report. Ratios go from 0 to 1.
#[derive(Debug, Default, Serialize)]
struct Report {
    name: String,
    generation: u64,
    active: Option<VersionShown>,
    shadow: Option<VersionShown>,
    /// What was counted since then, in milliseconds since 1970: when the shadow began, or what is held since then.
    from_ms: u64,
    until_ms: u64,
    /// Nothing that it would have answered differs from what clients must get.
    safe: bool,
    totals: Sides,
    routes: Vec<Route>,
    /// Routes for which there was no room.
    routes_left_off: usize,
    /// Sums of every counter of shadows, by its name.
    counters: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Serialize)]
struct Route {
    route: String,
    #[serde(flatten)]
    sides: Sides,
}

#[derive(Debug, Default, Serialize)]
struct Sides {
    active: Side,
    shadow: Side,
    /// How often the shadow would have answered otherwise, by reason.
    differs: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Serialize)]
struct Side {
    /// Requests that a cache could have answered.
    requests: u64,
    hits: u64,
    hit_ratio: Option<f64>,
    bypassed: u64,
    /// Bytes that did not come from the origin.
    store_bytes: u64,
    outcomes: BTreeMap<String, u64>,
}

/// `GET /v1/policies/{name}/shadow`
pub(super) async fn report(
    State(shared): State<App>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<impl Serialize + use<>>, Problem> {
    allow(&shared, &headers, Scope::Read)?;
    let (name, record) = known(&shared, &named(name)?).await?;
    let Some(since) = record.shadow else {
        return Err(Problem::not_found(format!("{name} has nothing in the shadow")));
    };
    // It may go through some ten thousand steps.
    let made = tokio::task::spawn_blocking(move || made(&shared, name, &record, since)).await;
    Ok(Json(made.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?))
}

fn made(shared: &Arc<Shared>, name: String, record: &Record, since: InForce) -> Report {
    let until_ms = shared.clock.now().0;
    let grown = match &shared.analytics {
        Some(analytics) => analytics.grown_since(since.since_ms, until_ms),
        None => Grown { from_ms: until_ms, sums: Vec::new() },
    };
    let shown = |in_force: Option<InForce>| {
        let InForce { version, since_ms } = in_force?;
        Some(VersionShown { version: record.version(version)?.clone(), since_ms })
    };
    let mut report = Report {
        generation: record.generation,
        active: shown(record.active),
        shadow: shown(record.shadow),
        from_ms: grown.from_ms,
        until_ms,
        ..Report::of(&name, grown.sums.iter().map(|(series, sum)| (series.name.as_ref(), *sum)))
    };
    report.name = name;
    report
}

impl Report {
    /// Sums series by what they are about.
    fn of<'a>(policy: &str, series: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let mut report = Self::default();
        let mut routes: BTreeMap<&str, Sides> = BTreeMap::new();
        for (series, sum) in series {
            let mut parts = series.split(';');
            let family = parts.next().unwrap_or_default();
            let (mut of, mut route, mut value) = ("", "", "");
            for (label, text) in parts.filter_map(|part| part.split_once('=')) {
                match label {
                    "policy" => of = text,
                    "route" => route = text,
                    "outcome" | "reason" => value = text,
                    _ => {}
                }
            }
            if of != policy {
                continue;
            }
            if family.starts_with(SHADOW) {
                let counter = report.counters.entry(family.to_owned()).or_default();
                *counter = counter.saturating_add(sum);
            }
            for sides in [&mut report.totals, routes.entry(route).or_default()] {
                sides.add(family, value, sum);
            }
        }
        report.safe = UNSAFE.iter().all(|reason| report.totals.differs.get(*reason).is_none_or(|times| *times == 0));
        let mut routes: Vec<Route> =
            routes.into_iter().map(|(route, sides)| Route { route: route.to_owned(), sides }).collect();
        routes.retain(|route| !route.sides.is_empty());
        routes.sort_by_key(|route| std::cmp::Reverse(route.sides.active.requests.max(route.sides.shadow.requests)));
        report.routes_left_off = routes.len().saturating_sub(ROUTES_MAX);
        routes.truncate(ROUTES_MAX);
        report.routes = routes;
        report
    }
}

impl Sides {
    fn add(&mut self, family: &str, value: &str, sum: u64) {
        match family {
            "larder_requests_total" => self.active.requests(value, sum),
            "larder_store_bytes_total" => self.active.store_bytes = self.active.store_bytes.saturating_add(sum),
            "larder_shadow_requests_total" => self.shadow.requests(value, sum),
            "larder_shadow_store_bytes_total" => self.shadow.store_bytes = self.shadow.store_bytes.saturating_add(sum),
            "larder_shadow_differs_total" => {
                let times = self.differs.entry(value.to_owned()).or_default();
                *times = times.saturating_add(sum);
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.active.outcomes.is_empty() && self.shadow.outcomes.is_empty() && self.differs.is_empty()
    }
}

impl Side {
    fn requests(&mut self, outcome: &str, sum: u64) {
        let Means { counts, hit, .. } = means(outcome);
        let add = |to: &mut u64, counts: bool| *to = to.saturating_add(if counts { sum } else { 0 });
        add(self.outcomes.entry(outcome.to_owned()).or_default(), true);
        add(&mut self.requests, counts);
        add(&mut self.hits, hit);
        add(&mut self.bypassed, outcome == "bypass");
        self.hit_ratio = (self.requests > 0).then(|| self.hits as f64 / self.requests as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_is_held_against_what_is_in_force_route_by_route() {
        let series = [
            ("larder_requests_total;policy=shop;route=items;class=c;outcome=hit", 6),
            ("larder_requests_total;policy=shop;route=items;class=c;outcome=miss", 4),
            ("larder_requests_total;policy=shop;route=cart;class=c;outcome=bypass", 5),
            ("larder_store_bytes_total;policy=shop;route=items;class=c", 600),
            ("larder_shadow_requests_total;policy=shop;route=items;outcome=hit", 8),
            ("larder_shadow_requests_total;policy=shop;route=items;outcome=not_stored", 2),
            ("larder_shadow_requests_total;policy=shop;route=cart;outcome=hit", 5),
            ("larder_shadow_store_bytes_total;policy=shop;route=items", 800),
            ("larder_shadow_differs_total;policy=shop;route=cart;reason=identity", 3),
            ("larder_shadow_differs_total;policy=shop;route=items;reason=staler", 1),
            ("larder_shadow_unheard_of_total;policy=shop;route=items", 7),
            ("larder_shadow_requests_total;policy=other;route=items;outcome=hit", 99),
            ("larder_node_lookups_total;outcome=fresh", 99),
        ];
        let report = Report::of("shop", series.into_iter());
        let Sides { active, shadow, differs } = &report.totals;
        assert_eq!((active.requests, active.hits, active.bypassed, active.store_bytes), (10, 6, 5, 600));
        assert_eq!((shadow.requests, shadow.hits, shadow.hit_ratio), (15, 13, Some(13.0 / 15.0)));
        assert_eq!((differs["identity"], differs["staler"], report.safe), (3, 1, false));
        let routes: Vec<&str> = report.routes.iter().map(|route| route.route.as_str()).collect();
        assert_eq!((routes, report.routes[1].sides.active.hit_ratio), (vec!["items", "cart"], None));
        assert_eq!(report.counters["larder_shadow_unheard_of_total"], 7);
        let staler = Report::of("shop", [series[9]].into_iter());
        assert!(staler.safe && Report::of("none", series.into_iter()).routes.is_empty());
    }
}
