//! The core's counters, as metrics of the application and as a report to the cluster.
//!
//! Names and labels are those of the plugin (`larder_requests_total{policy, route, class, outcome}`), with the cache's own name as
//! the label `cache`. What is counted is handed on once a second at most, by whichever request comes then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_core::policy::Policy;
use larder_core::tally::Count;
use larder_core::time::{Millis, Timestamp};

use crate::cache::Inner;

/// Between two reports.
const EVERY: Millis = Millis(1000);
/// Series that wait for the cluster; what more there is, is in the application's own metrics.
const SERIES_MAX: usize = 4096;

pub(crate) struct Telemetry {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "a label of metrics"))]
    cache: &'static str,
    /// When it was last reported, in milliseconds. Whoever looks has the worker to itself.
    last: AtomicU64,
    for_cluster: Mutex<BTreeMap<String, u64>>,
}

impl Telemetry {
    pub(crate) fn new(cache: &'static str) -> Self {
        Self { cache, last: AtomicU64::new(0), for_cluster: Mutex::default() }
    }

    fn for_cluster(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.for_cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports where it is time to.
    pub(crate) fn take(&self, now: Timestamp, inner: &mut Inner, for_cluster: bool) {
        if now.since(Timestamp(self.last.load(Ordering::Relaxed))) >= EVERY && inner.has_counts() {
            self.report(now, inner, for_cluster);
        }
    }

    /// Reports.
    pub(crate) fn report(&self, now: Timestamp, inner: &mut Inner, for_cluster: bool) {
        let mut known = self.for_cluster();
        self.last.store(now.0, Ordering::Relaxed);
        for (policy, mut tally) in inner.take_counts() {
            for (rules, count, sum) in tally.take() {
                #[cfg(feature = "metrics")]
                self.count(&policy, rules, count, sum);
                if for_cluster {
                    note(&mut known, series(&policy, rules, count), sum);
                }
            }
        }
        #[cfg(feature = "metrics")]
        self.gauges(inner);
    }

    #[cfg(feature = "metrics")]
    fn count(&self, policy: &Policy, rules: usize, count: Count, sum: u64) {
        let (name, label) = count.series();
        let rules = policy.routes().nth(rules).map_or(policy.unmatched(), |route| route.rules);
        let mut labels = vec![
            metrics::Label::new("cache", self.cache),
            metrics::Label::new("policy", policy.name.clone()),
            metrics::Label::new("route", rules.route.clone()),
            metrics::Label::new("class", rules.class.clone()),
        ];
        labels.extend(label.map(|(name, value)| metrics::Label::new(name, value)));
        metrics::counter!(format!("larder_{name}_total"), labels).increment(sum);
    }

    #[cfg(feature = "metrics")]
    fn gauges(&self, inner: &Inner) {
        let gauge = |name: &'static str, value: u64| {
            let value = u32::try_from(value >> 10).unwrap_or(u32::MAX);
            metrics::gauge!(name, "cache" => self.cache).set(f64::from(value) * 1024.0);
        };
        gauge("larder_l1_bytes", inner.worker.shelf.bytes());
    }

    /// Another version of a policy is in force; 0 is the application's own.
    pub(crate) fn policy_version(&self, policy: &str, version: u64) {
        #[cfg(feature = "metrics")]
        {
            let version = f64::from(u32::try_from(version).unwrap_or(u32::MAX));
            metrics::gauge!("larder_policy_version", "cache" => self.cache, "policy" => policy.to_owned()).set(version);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (policy, version);
    }

    /// A policy that was pushed to the cluster is refused here.
    pub(crate) fn policy_refused(&self, policy: &str, for_cluster: bool) {
        #[cfg(feature = "metrics")]
        metrics::counter!("larder_policy_refused_total", "cache" => self.cache, "policy" => policy.to_owned())
            .increment(1);
        if for_cluster {
            note(&mut self.for_cluster(), format!("larder_policy_refused_total;policy={}", clean(policy)), 1);
        }
    }

    /// What has been reported since this was last asked.
    pub(crate) fn take_counts(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut *self.for_cluster()).into_iter().collect()
    }

    /// It did not arrive.
    pub(crate) fn give_back(&self, counts: Vec<(String, u64)>) {
        let mut known = self.for_cluster();
        for (name, sum) in counts {
            let known = known.entry(name).or_default();
            *known = known.saturating_add(sum);
        }
    }
}

fn note(known: &mut BTreeMap<String, u64>, name: String, sum: u64) {
    if known.len() < SERIES_MAX || known.contains_key(&name) {
        let known = known.entry(name).or_default();
        *known = known.saturating_add(sum);
    }
}

fn clean(text: &str) -> String {
    text.replace(|c: char| c == ';' || c.is_control(), "_")
}

/// As the plugin's reports have it.
fn series(policy: &Policy, rules: usize, count: Count) -> String {
    let (name, label) = count.series();
    let rules = policy.routes().nth(rules).map_or(policy.unmatched(), |route| route.rules);
    let (policy, route, class) = (clean(&policy.name), clean(&rules.route), clean(&rules.class));
    let label = label.map(|(name, value)| format!(";{name}={value}")).unwrap_or_default();
    format!("larder_{name}_total;policy={policy};route={route};class={class}{label}")
}
