//! What is made of the series for those who ask: sums and ratios, by route and step by step, against targets; the reasons of misses.
//!
//! Pure: from what is held at one moment to what is shown. Bounded in what it says: the busiest routes, the most frequent reasons.

mod labels;
mod latency;
mod outcome;
mod sums;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use self::labels::{Family, Labels};
use self::latency::{LatencySteps, TookSteps};
pub(crate) use self::outcome::{Means, means};
use self::sums::{Steps, Sums};
use super::marks::Mark;
use super::names::{Kind, Series};
use super::resolution::{self, Range};
use super::sharing::without_node;
use super::{Held, Targets};

/// Routes that are shown.
const ROUTES_MAX: usize = 200;

/// Routes that are shown step by step.
const ROUTES_WITH_STEPS_MAX: usize = 50;

/// Reasons of misses that are shown.
const MISSES_MAX: usize = 50;

/// URLs that are shown.
const KEYS_MAX: usize = 50;

/// Hosts that are listed.
const HOSTS_MAX: usize = 200;

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
    /// Only routes for this host, in the policy's words.
    pub(crate) host: Option<String>,
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
    /// The bounds of the buckets in every `latency`, in milliseconds.
    latency_bounds_ms: Vec<u64>,
    /// How long requests took step by step, by outcome.
    latency_by_step: BTreeMap<String, LatencySteps>,
    /// The busiest first.
    routes: Vec<Route>,
    /// Routes for which there was no room.
    routes_left_off: usize,
    /// Requests that a store did not answer, by route and reason, the most frequent first.
    misses: Vec<Miss>,
    /// The URLs that were asked for most, the most frequent first.
    keys: Vec<Key>,
    /// The hosts that policies name, of all routes that counted something.
    hosts: Vec<String>,
    /// The nodes whose workers' reports are added up; empty where nodes do not share them.
    nodes: Vec<String>,
    /// Gauges by step; nothing where none was taken.
    gauges: BTreeMap<String, Vec<Option<u64>>>,
    /// This node's own counters by step.
    node: BTreeMap<String, Vec<u64>>,
    marks: Vec<Mark>,
    /// Values left out because there was no room for their series, since the node started.
    not_taken: u64,
    /// Seconds of this node that others have not heard of, since it started.
    not_shared: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Filter {
    policy: Option<String>,
    route: Option<String>,
    host: Option<String>,
}

/// A URL.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Key {
    url: String,
    policy: String,
    route: String,
    requests: u64,
    hits: u64,
    hit_ratio: Option<f64>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Route {
    policy: String,
    route: String,
    class: String,
    /// As the policy has them; empty is any.
    hosts: Vec<String>,
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
    hosts: Vec<String>,
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
    let mut latency = TookSteps::default();
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    for (series, values) in by_series(held, steps) {
        if let Some(labels) = Labels::of(&series.name).filter(|_| series.kind == Kind::Counter) {
            hosts.extend(listed(labels.host));
            if !asked.wants(&labels) {
                continue;
            }
            if labels.family == Family::Duration {
                for (index, value) in &values {
                    totals.add_took(labels.value, labels.within, *value);
                    latency.add(labels.value, labels.within, *index, *value);
                }
                // Summed over routes, where there was no room for more.
                if labels.route.is_empty() {
                    continue;
                }
            }
            let summed = routes.entry((labels.policy, labels.route)).or_insert_with(|| Summed {
                class: String::new(),
                hosts: Vec::new(),
                sums: Sums::default(),
                by_step: asked.routes_by_step.then(|| Steps::new(steps.count)),
                misses: HashMap::new(),
            });
            labels.class.clone_into(&mut summed.class);
            if summed.hosts.is_empty() {
                summed.hosts.extend(listed(labels.host).map(str::to_owned));
            }
            for (index, value) in values {
                if labels.family == Family::Duration {
                    summed.sums.add_took(labels.value, labels.within, value);
                    continue;
                }
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
            // What workers of several nodes have together; a node's own gauges are of that node only.
            let row = gauges.entry(without_node(&series.name).to_owned()).or_insert_with(|| vec![None; steps.count]);
            let mut largest = vec![None; steps.count];
            for (index, value) in values {
                if let Some(step) = largest.get_mut(index) {
                    *step = Some(value.max(step.unwrap_or_default()));
                }
            }
            for (step, value) in row.iter_mut().zip(largest) {
                *step = value.map(|value| step.unwrap_or_default().saturating_add(value)).or(*step);
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
        filter: Filter { policy: asked.policy.clone(), route: asked.route.clone(), host: asked.host.clone() },
        totals,
        by_step,
        latency_bounds_ms: latency::bounds_ms(),
        latency_by_step: latency.done(steps.count),
        routes,
        routes_left_off,
        misses,
        keys: keys(held, asked),
        hosts: hosts.into_iter().take(HOSTS_MAX).map(str::to_owned).collect(),
        nodes: held.nodes.clone(),
        gauges,
        node,
        marks: marks(held, steps),
        not_taken: held.not_taken,
        not_shared: held.not_shared,
    }
}

impl Asked {
    fn wants(&self, labels: &Labels<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let host = self.host.as_ref().is_none_or(|host| labels.is_of_host(host));
        is(&self.policy, labels.policy) && is(&self.route, labels.route) && host
    }
}

/// The hosts in a label.
fn listed(hosts: &str) -> impl Iterator<Item = &str> {
    hosts.split(',').filter(|host| !host.is_empty() && *host != "...")
}

fn keys(held: &Held, asked: &Asked) -> Vec<Key> {
    let wanted = held.keys.iter().filter_map(|key| {
        let labels = Labels::of_key(&key.labels);
        asked.wants(&labels).then(|| Key {
            url: key.url.clone(),
            policy: labels.policy.to_owned(),
            route: labels.route.to_owned(),
            requests: key.requests,
            hits: key.hits,
            hit_ratio: sums::ratio(key.hits, key.requests),
        })
    });
    let mut keys: Vec<Key> = wanted.collect();
    keys.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.url.cmp(&b.url)));
    keys.truncate(KEYS_MAX);
    keys
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
                hosts: summed.hosts,
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
