//! The core's counters, as metrics of the application and as a report to the cluster.
//!
//! Names and labels are those of the plugin (`larder_requests_total{policy, route, class, outcome}`), with the cache's own name as
//! the label `cache`. What is counted is handed on once a second at most, by whichever request comes then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_core::cluster::message::ReportedKey;
use larder_core::policy::Policy;
#[cfg(feature = "metrics")]
use larder_core::tally::{Bucket, Outcome};
use larder_core::tally::{Count, Tally, labels, over_routes, series};
use larder_core::time::{Millis, Timestamp};

use crate::cache::Inner;

/// Between two reports.
const EVERY: Millis = Millis(1000);
/// Series that wait for the cluster; what more there is, is in the application's own metrics.
const SERIES_MAX: usize = 4096;
/// URLs that wait for the cluster.
const KEYS_MAX: usize = 256;

pub(crate) struct Telemetry {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "a label of metrics"))]
    cache: &'static str,
    /// When it was last reported, in milliseconds. Whoever looks has the worker to itself.
    last: AtomicU64,
    for_cluster: Mutex<ForCluster>,
}

/// What waits for the cluster.
#[derive(Default)]
struct ForCluster {
    counts: BTreeMap<String, u64>,
    keys: Vec<ReportedKey>,
}

impl Telemetry {
    pub(crate) fn new(cache: &'static str) -> Self {
        Self { cache, last: AtomicU64::new(0), for_cluster: Mutex::default() }
    }

    fn for_cluster(&self) -> MutexGuard<'_, ForCluster> {
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
        inner.take_counts(|policy, tally| self.take_up(policy, tally, &mut known, for_cluster));
        #[cfg(feature = "metrics")]
        self.gauges(inner);
    }

    /// What was counted by a policy's rules.
    fn take_up(&self, policy: &Policy, tally: &mut Tally, known: &mut ForCluster, for_cluster: bool) {
        for (rules, count, sum) in tally.take() {
            #[cfg(feature = "metrics")]
            self.count(policy, rules, count, sum);
            if for_cluster {
                let name = series(policy, rules, count);
                // A report that is full had better have what was counted, and how long requests took summed over routes.
                let is_crowded = known.counts.len() >= SERIES_MAX / 2 && !known.counts.contains_key(&name);
                let name = if is_crowded && matches!(count, Count::Took(..)) { over_routes(&name) } else { name };
                known.note(name, sum);
            }
        }
        let keys = tally.take_keys();
        if for_cluster {
            let room = KEYS_MAX.saturating_sub(known.keys.len());
            known.keys.extend(keys.into_iter().take(room).map(|key| ReportedKey {
                labels: labels(policy, key.rules),
                url: key.url,
                requests: key.requests,
                hits: key.hits,
            }));
        }
    }

    #[cfg(feature = "metrics")]
    fn count(&self, policy: &Policy, rules: usize, count: Count, sum: u64) {
        if let Count::Took(outcome, bucket) = count {
            return self.count_duration(policy, outcome, bucket, sum);
        }
        let (name, own) = count.parts();
        let rules = policy.routes().nth(rules).map_or(policy.unmatched(), |route| route.rules);
        let mut labels = vec![
            metrics::Label::new("cache", self.cache),
            metrics::Label::new("policy", policy.name.clone()),
            metrics::Label::new("route", rules.route.clone()),
            metrics::Label::new("class", rules.class.clone()),
        ];
        labels.extend(own.into_iter().flatten().map(|(name, value)| metrics::Label::new(name, value)));
        metrics::counter!(name, labels).increment(sum);
    }

    /// Adds to every bucket whose bound is not shorter. By policy and outcome only, as in the plugin.
    #[cfg(feature = "metrics")]
    fn count_duration(&self, policy: &Policy, outcome: Outcome, bucket: Bucket, sum: u64) {
        for longer in Bucket::all().filter(|longer| *longer >= bucket) {
            let le = longer.bound().map_or("+Inf".to_owned(), |bound| bound.0.to_string());
            let labels = vec![
                metrics::Label::new("cache", self.cache),
                metrics::Label::new("policy", policy.name.clone()),
                metrics::Label::new("outcome", outcome.as_str()),
                metrics::Label::new("le", le),
            ];
            metrics::counter!("larder_request_duration_milliseconds_bucket", labels).increment(sum);
        }
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
            let clean = policy.replace(|c: char| c == ';' || c.is_control(), "_");
            self.for_cluster().note(format!("larder_policy_refused_total;policy={clean}"), 1);
        }
    }

    /// What has been reported since this was last asked.
    pub(crate) fn take_counts(&self) -> (Vec<(String, u64)>, Vec<ReportedKey>) {
        let ForCluster { counts, keys } = std::mem::take(&mut *self.for_cluster());
        (counts.into_iter().collect(), keys)
    }

    /// It did not arrive.
    pub(crate) fn give_back(&self, counts: Vec<(String, u64)>) {
        let mut known = self.for_cluster();
        for (name, sum) in counts {
            let known = known.counts.entry(name).or_default();
            *known = known.saturating_add(sum);
        }
    }
}

impl ForCluster {
    fn note(&mut self, name: String, sum: u64) {
        if self.counts.len() < SERIES_MAX || self.counts.contains_key(&name) {
            let known = self.counts.entry(name).or_default();
            *known = known.saturating_add(sum);
        }
    }
}
