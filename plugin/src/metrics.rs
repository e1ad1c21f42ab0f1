//! The core's counters as Envoy stats.
//!
//! Labels ride in the names (`larder_requests_total;policy=shop;route=items;class=catalog;outcome=hit`); `stats_tags` of the
//! bootstrap files make Prometheus labels of them. Metrics are defined when they are first counted. Counters are of the
//! whole Envoy; the gauges of memory are one per worker.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use larder_core::policy::rules::Rules;
use larder_core::tally::Count;
use larder_core::{Policy, Worker};

use crate::raw::{self, Metric};
use crate::{peers, vm};

thread_local! {
    static DEFINED: RefCell<BTreeMap<String, u32>> = const { RefCell::new(BTreeMap::new()) };
    static UNCLEAN: Cell<u64> = const { Cell::new(0) };
    static REPORTED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
    static GAUGES: Cell<(u64, u64, Option<bool>)> = const { Cell::new((0, 0, None)) };
}

/// A field was not sent because of what was in its value.
pub fn note_unclean() {
    UNCLEAN.set(UNCLEAN.get().saturating_add(1));
}

/// Sends what the worker has counted.
pub fn send(policy: &Policy, worker: &mut Worker) {
    if !worker.tally.is_empty() {
        for (index, count, sum) in worker.tally.take() {
            let rules = policy.routes().nth(index).map_or(policy.unmatched(), |route| route.rules);
            let name = name(policy, rules, count);
            add(&name, sum);
            if worker.cluster.is_some() {
                report(&name, sum);
            }
        }
    }
    match UNCLEAN.take() {
        0 => {}
        sum => add("larder_unclean_fields_total", sum),
    }
}

/// Series that a report carries; what more there is, is in Envoy's own counters.
const SERIES_MAX: usize = 4096;

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

/// What was noted since this was last asked.
pub fn take_report() -> Vec<(String, u64)> {
    REPORTED.take().into_iter().collect()
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

fn name(policy: &Policy, rules: &Rules, count: Count) -> String {
    let (name, label) = count.series();
    let (policy, route, class) = (clean(&policy.name), clean(&rules.route), clean(&rules.class));
    let mut text = format!("larder_{name}_total;policy={policy};route={route};class={class}");
    if let Some((label, value)) = label {
        text.push_str(&format!(";{label}={value}"));
    }
    text
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
