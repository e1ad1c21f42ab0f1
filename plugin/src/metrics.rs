//! The core's counters as Envoy stats.
//!
//! Labels ride in the names (`larder_requests_total;policy=shop;route=items;class=catalog;outcome=hit`); `stats_tags` of the
//! bootstrap files make Prometheus labels of them. Metrics are defined when they are first counted. Counters are of the
//! whole Envoy; the gauges of memory are one per worker. How long requests took is by policy and outcome only, in cumulative
//! buckets (`larder_request_duration_milliseconds_bucket;policy=shop;outcome=hit;le=5`): some hundred counters, whatever the
//! number of routes. By route, it is in what goes to the cluster.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use larder_core::cluster::message::ReportedKey;
use larder_core::tally::{Bucket, Count, Outcome, Tally, labels, over_routes, series};
use larder_core::{Policy, Worker};

use crate::raw::{self, Metric};
use crate::{peers, vm};

thread_local! {
    static DEFINED: RefCell<BTreeMap<String, u32>> = const { RefCell::new(BTreeMap::new()) };
    static UNCLEAN: Cell<u64> = const { Cell::new(0) };
    static REPORTED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
    static KEYS: RefCell<Vec<ReportedKey>> = const { RefCell::new(Vec::new()) };
    static GAUGES: Cell<(u64, u64, Option<bool>)> = const { Cell::new((0, 0, None)) };
}

/// A field was not sent because of what was in its value.
pub fn note_unclean() {
    UNCLEAN.set(UNCLEAN.get().saturating_add(1));
}

/// Sends what the worker has counted under a policy, and what its shadow has under its own.
pub fn send(policy: &Policy, worker: &mut Worker) {
    let for_cluster = worker.cluster.is_some();
    send_all(policy, &mut worker.tally, for_cluster);
    if let Some(shadow) = &mut worker.shadow {
        let policy = shadow.policy().clone();
        send_all(&policy, &mut shadow.tally, for_cluster);
    }
    match UNCLEAN.take() {
        0 => {}
        sum => add("larder_unclean_fields_total", sum),
    }
}

fn send_all(policy: &Policy, tally: &mut Tally, for_cluster: bool) {
    if tally.is_empty() {
        return;
    }
    for (index, count, sum) in tally.take() {
        match count {
            Count::Took(outcome, bucket) => add_duration(policy, outcome, bucket, sum),
            _ => add(&name(policy, index, count), sum),
        }
        if for_cluster {
            let name = series(policy, index, count);
            match count {
                Count::Took(..) if is_crowded(&name) => report(&over_routes(&name), sum),
                _ => report(&name, sum),
            }
        }
    }
    let keys = tally.take_keys();
    if for_cluster {
        report_keys(keys.into_iter().map(|key| ReportedKey {
            labels: labels(policy, key.rules),
            url: key.url,
            requests: key.requests,
            hits: key.hits,
        }));
    }
}

/// A policy of this name came from the cluster, and is refused.
pub fn count_refused(policy: &str) {
    let name = format!("larder_policy_refused_total;policy={}", clean(policy));
    add(&name, 1);
    report(&name, 1);
}

/// Another version is in force from now on; 0 is the configured policy.
pub fn set_version(policy: &str, version: u64) {
    let Some(number) = peers::own_number() else { return };
    set(&format!("larder_policy_version;policy={};worker={number}", clean(policy)), version);
}

/// Series that a report carries; what more there is, is in Envoy's own counters.
const SERIES_MAX: usize = 4096;

/// URLs that a report carries.
const KEYS_MAX: usize = 256;

/// Notes a count for the cluster.
pub fn report(name: &str, sum: u64) {
    REPORTED.with_borrow_mut(|reported| {
        if let Some(count) = reported.get_mut(name) {
            *count = count.saturating_add(sum);
        } else if reported.len() < SERIES_MAX {
            reported.insert(name.to_owned(), sum);
        }
    });
}

/// Whether a report is so full that how long requests took is better summed over routes than what was counted left out.
fn is_crowded(name: &str) -> bool {
    REPORTED.with_borrow(|reported| reported.len() >= SERIES_MAX / 2 && !reported.contains_key(name))
}

/// Notes URLs for the cluster. What was noted before and has not been taken stays, as far as there is room.
fn report_keys(keys: impl Iterator<Item = ReportedKey>) {
    KEYS.with_borrow_mut(|noted| noted.extend(keys.take(KEYS_MAX.saturating_sub(noted.len()))));
}

/// What was noted since this was last asked.
pub fn take_report() -> Vec<(String, u64)> {
    REPORTED.take().into_iter().collect()
}

/// The URLs that were noted since this was last asked.
pub fn take_keys() -> Vec<ReportedKey> {
    KEYS.take()
}

/// The gauges of this VM.
pub fn gauges() -> Vec<(String, u64)> {
    let (bytes, keys) = vm::in_memory();
    vec![("larder_l1_bytes".to_owned(), bytes), ("larder_l1_keys".to_owned(), keys)]
}

/// Sends how much is stored, and whether the cluster is left alone, where that has changed.
pub fn send_gauges() {
    let (bytes, keys) = vm::in_memory();
    let now = (bytes, keys, vm::breaker_open());
    let Some(number) = peers::own_number().filter(|_| GAUGES.replace(now) != now) else { return };
    set(&format!("larder_l1_bytes;worker={number}"), bytes);
    set(&format!("larder_l1_keys;worker={number}"), keys);
    if let Some(open) = now.2 {
        set(&format!("larder_breaker_open;worker={number}"), u64::from(open));
    }
}

/// The name of a counter of Envoy. Hosts follow from the route: they would only make the name longer.
fn name(policy: &Policy, rules: usize, count: Count) -> String {
    let (name, own) = count.parts();
    let labels = labels(policy, rules);
    let labels = labels.split_once(";host=").map_or(labels.as_str(), |(labels, _)| labels);
    let mut text = format!("{name}{labels}");
    for (label, value) in own.into_iter().flatten() {
        text.push_str(&format!(";{label}={value}"));
    }
    text
}

/// Adds to every bucket whose bound is not shorter.
fn add_duration(policy: &Policy, outcome: Outcome, bucket: Bucket, sum: u64) {
    let policy = clean(&policy.name);
    for longer in Bucket::all().filter(|longer| *longer >= bucket) {
        let le = longer.bound().map_or("+Inf".to_owned(), |bound| bound.0.to_string());
        let outcome = outcome.as_str();
        add(&format!("larder_request_duration_milliseconds_bucket;policy={policy};outcome={outcome};le={le}"), sum);
    }
}

/// A name as part of a stat's name: `;` separates labels.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }).collect()
}

fn add(name: &str, sum: u64) {
    if let Some(id) = defined(Metric::Counter, name) {
        let _ = raw::increment_metric(id, i64::try_from(sum).unwrap_or(i64::MAX));
    }
}

fn set(name: &str, value: u64) {
    if let Some(id) = defined(Metric::Gauge, name) {
        let _ = raw::record_metric(id, value);
    }
}

fn defined(kind: Metric, name: &str) -> Option<u32> {
    DEFINED.with_borrow_mut(|defined| {
        if let Some(id) = defined.get(name) {
            return Some(*id);
        }
        let id = raw::define_metric(kind, name).ok()?;
        defined.insert(name.to_owned(), id);
        Some(id)
    })
}
