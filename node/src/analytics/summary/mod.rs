//! What is made of the series for those who ask: sums and ratios, by route and step by step, against targets; the reasons of misses.
//!
//! Pure: from what is held at one moment to what is shown. Bounded in what it says: the busiest routes, the most frequent reasons.

mod labels;
mod outcome;
mod sums;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use self::labels::{Family, Labels};
pub(crate) use self::outcome::{Means, means};
use self::sums::{Steps, Sums};
use super::marks::Mark;
use super::names::{Kind, Series};
use super::resolution::{self, Range};
use super::{Held, Targets};

/// Routes that are shown.
const ROUTES_MAX: usize = 200;

/// Routes that are shown step by step.
const ROUTES_WITH_STEPS_MAX: usize = 50;

/// Reasons of misses that are shown.
const MISSES_MAX: usize = 50;

/// So little below its target, a route is close to it.
const CLOSE: f64 = 0.02;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) range: Range,
    pub(crate) steps: resolution::Steps,
    pub(crate) now_ms: u64,
    /// Only routes of this policy.
    pub(crate) policy: Option<String>,
    /// Only routes of this name.
    pub(crate) route: Option<String>,
    /// Each route step by step.
    pub(crate) routes_by_step: bool,
}

/// What is shown. Times are in milliseconds since 1970; ratios go from 0 to 1; lists by step have one number for each step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    range: &'static str,
    now_ms: u64,
    /// The begin of the first step.
    from_ms: u64,
    step_ms: u64,
    /// How many steps. The last one has not ended.
    steps: usize,
    /// The begin of the oldest step that is held: before it, nothing is known.
    held_from_ms: Option<u64>,
    filter: Filter,
    totals: Sums,
    by_step: Steps,
    /// The busiest first.
    routes: Vec<Route>,
    /// Routes for which there was no room.
    routes_left_off: usize,
    /// Requests that a store did not answer, by route and reason, the most frequent first.
    misses: Vec<Miss>,
    /// Gauges by step; nothing where none was taken.
    gauges: BTreeMap<String, Vec<Option<u64>>>,
    /// This node's own counters by step.
    node: BTreeMap<String, Vec<u64>>,
    marks: Vec<Mark>,
    /// Values left out because there was no room for their series, since the node started.
    not_taken: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Filter {
    policy: Option<String>,
    route: Option<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Route {
    policy: String,
    route: String,
    class: String,
    target_hit_ratio: Option<f64>,
    standing: Standing,
    #[serde(flatten)]
    sums: Sums,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_step: Option<Steps>,
}

/// How a route stands to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// At it or above.
    Met,
    /// Less than two points below.
    Close,
    Missed,
    NoTarget,
    NoRequests,
}

/// Requests of a route that one reason kept from being hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Miss {
    policy: String,
    route: String,
    class: String,
    kind: MissKind,
    reason: String,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
enum MissKind {
    /// Not in a store, and stored then.
    Absent,
    /// In a store, stale, and confirmed by the origin.
    Revalidated,
    /// The response was not to be stored.
    NotStored,
    /// The cache was not to be asked.
    Bypass,
}

/// What is known of a route while it is summed up.
struct Summed {
    class: String,
    sums: Sums,
    by_step: Option<Steps>,
    misses: HashMap<(MissKind, String), u64>,
}

/// Sums up.
pub(crate) fn summary(held: &Held, asked: &Asked, targets: &Targets) -> Summary {
    let steps = asked.steps;
    let mut totals = Sums::default();
    let mut by_step = Steps::new(steps.count);
    let mut routes: BTreeMap<(&str, &str), Summed> = BTreeMap::new();
    let mut gauges: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
    let mut node: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (series, values) in by_series(held, steps) {
        if let Some(labels) = Labels::of(&series.name).filter(|_| series.kind == Kind::Counter) {
            if !asked.wants(&labels) {
                continue;
            }
            let summed = routes.entry((labels.policy, labels.route)).or_insert_with(|| Summed {
                class: String::new(),
                sums: Sums::default(),
                by_step: asked.routes_by_step.then(|| Steps::new(steps.count)),
                misses: HashMap::new(),
            });
            labels.class.clone_into(&mut summed.class);
            for (index, value) in values {
                totals.add(labels.family, labels.value, value);
                by_step.add(labels.family, labels.value, index, value);
                summed.sums.add(labels.family, labels.value, value);
                if let Some(by_step) = &mut summed.by_step {
                    by_step.add(labels.family, labels.value, index, value);
                }
                if let Some((kind, reason)) = miss(&labels) {
                    let count = summed.misses.entry((kind, reason.to_owned())).or_default();
                    *count = count.saturating_add(value);
                }
            }
        } else if series.kind == Kind::Gauge {
            let row = gauges.entry(series.name.to_string()).or_insert_with(|| vec![None; steps.count]);
            for (index, value) in values {
                if let Some(step) = row.get_mut(index) {
                    *step = Some(step.unwrap_or_default().max(value));
                }
            }
        } else if series.name.starts_with("larder_node_") {
            let row = node.entry(series.name.to_string()).or_insert_with(|| vec![0; steps.count]);
            for (index, value) in values {
                if let Some(step) = row.get_mut(index) {
                    *step = step.saturating_add(value);
                }
            }
        }
    }
    totals.done();
    let misses = misses(&routes);
    let (routes, routes_left_off) = shown(routes, targets);
    Summary {
        range: asked.range.name,
        now_ms: asked.now_ms,
        from_ms: steps.from_ms,
        step_ms: steps.step_ms,
        steps: steps.count,
        held_from_ms: held.oldest_ms,
        filter: Filter { policy: asked.policy.clone(), route: asked.route.clone() },
        totals,
        by_step,
        routes,
        routes_left_off,
        misses,
        gauges,
        node,
        marks: marks(held, steps),
        not_taken: held.not_taken,
    }
}

impl Asked {
    fn wants(&self, labels: &Labels<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.policy, labels.policy) && is(&self.route, labels.route)
    }
}

/// Every series that has a value, in the order in which they became known, with its values by the number of the step.
fn by_series(held: &Held, steps: resolution::Steps) -> Vec<(&Series, Vec<(usize, u64)>)> {
    let mut values: BTreeMap<u32, Vec<(usize, u64)>> = BTreeMap::new();
    for (at_ms, column) in &held.columns {
        if let Some(index) = steps.index(*at_ms) {
            column.each(|id, value| values.entry(id).or_default().push((index, value)));
        }
    }
    let named = values.into_iter().filter_map(|(id, values)| Some((&**held.names.get(&id)?, values)));
    named.collect()
}

fn miss<'a>(labels: &Labels<'a>) -> Option<(MissKind, &'a str)> {
    match (labels.family, labels.value) {
        (Family::Requests, "miss") => Some((MissKind::Absent, "absent")),
        (Family::Requests, "revalidated") => Some((MissKind::Revalidated, "revalidated")),
        (Family::NotStored, reason) => Some((MissKind::NotStored, reason)),
        (Family::Bypass, reason) => Some((MissKind::Bypass, reason)),
        _ => None,
    }
}

fn misses(routes: &BTreeMap<(&str, &str), Summed>) -> Vec<Miss> {
    let mut all = Vec::new();
    for ((policy, route), summed) in routes {
        for ((kind, reason), count) in &summed.misses {
            all.push(Miss {
                policy: (*policy).to_owned(),
                route: (*route).to_owned(),
                class: summed.class.clone(),
                kind: *kind,
                reason: reason.clone(),
                count: *count,
            });
        }
    }
    let name = |miss: &Miss| (miss.policy.clone(), miss.route.clone(), miss.kind, miss.reason.clone());
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| name(a).cmp(&name(b))));
    all.truncate(MISSES_MAX);
    all
}

fn shown(routes: BTreeMap<(&str, &str), Summed>, targets: &Targets) -> (Vec<Route>, usize) {
    let mut shown: Vec<Route> = routes
        .into_iter()
        .map(|((policy, route), mut summed)| {
            summed.sums.done();
            let target = targets.target(policy, route);
            Route {
                policy: policy.to_owned(),
                route: route.to_owned(),
                class: summed.class,
                target_hit_ratio: target,
                standing: standing(summed.sums.hit_ratio, target),
                sums: summed.sums,
                by_step: summed.by_step,
            }
        })
        .collect();
    // Stable: routes that are equally busy stay in the order of their names.
    shown.sort_by_key(|route| std::cmp::Reverse(route.sums.requests.saturating_add(route.sums.bypassed)));
    let left_off = shown.len().saturating_sub(ROUTES_MAX);
    shown.truncate(ROUTES_MAX);
    shown.iter_mut().skip(ROUTES_WITH_STEPS_MAX).for_each(|route| route.by_step = None);
    (shown, left_off)
}

fn standing(hit_ratio: Option<f64>, target: Option<f64>) -> Standing {
    match (hit_ratio, target) {
        (_, None) => Standing::NoTarget,
        (None, Some(_)) => Standing::NoRequests,
        (Some(ratio), Some(target)) if ratio >= target => Standing::Met,
        (Some(ratio), Some(target)) if ratio > target - CLOSE => Standing::Close,
        (Some(_), Some(_)) => Standing::Missed,
    }
}

/// One mark for a kind and a step.
fn marks(held: &Held, steps: resolution::Steps) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in &held.marks {
        let is_like =
            |other: &&mut Mark| other.kind == mark.kind && steps.index(other.at_ms) == steps.index(mark.at_ms);
        match marks.iter_mut().rev().take(8).find(is_like) {
            Some(like) => like.take_in(mark.clone()),
            None => marks.push(mark.clone()),
        }
    }
    marks
}

#[cfg(test)]
mod tests;
