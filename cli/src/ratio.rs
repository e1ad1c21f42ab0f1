//! Hit ratios from what workers report: `larder_requests_total;policy=shop;route=items;class=catalog;outcome=hit`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Outcomes that cost the origin nothing.
const FROM_CACHE: [&str; 5] = ["hit", "cluster_hit", "collapsed", "stale", "stale_error"];

/// A request that the cache was not asked about.
const BYPASS: &str = "bypass";

/// Outcomes of what no cache could have answered.
const NOT_COUNTED: [&str; 3] = [BYPASS, "purge", "refused"];

/// Requests by route, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ratios {
    /// All routes together.
    pub all: Ratio,
    /// Each for itself.
    pub routes: BTreeMap<String, Ratio>,
}

/// Requests, and those that the cache answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ratio {
    /// Requests that might have been answered from a cache.
    pub requests: u64,
    /// Those that were.
    pub hits: u64,
    /// Requests that passed the cache by.
    pub bypassed: u64,
}

impl Ratio {
    /// In percent; nothing where nothing was asked.
    pub fn percent(self) -> Option<f64> {
        (self.requests > 0).then(|| self.hits as f64 * 100.0 / self.requests as f64)
    }

    fn add(&mut self, outcome: &str, number: u64) {
        if NOT_COUNTED.contains(&outcome) {
            if outcome == BYPASS {
                self.bypassed = self.bypassed.saturating_add(number);
            }
            return;
        }
        self.requests = self.requests.saturating_add(number);
        if FROM_CACHE.contains(&outcome) {
            self.hits = self.hits.saturating_add(number);
        }
    }
}

impl Ratios {
    /// Takes up the counters that a node has summed.
    pub fn add(&mut self, counts: &Value) {
        for (series, number) in counts.as_object().into_iter().flatten() {
            let mut parts = series.split(';');
            if parts.next() != Some("larder_requests_total") {
                continue;
            }
            let labels: BTreeMap<&str, &str> = parts.filter_map(|part| part.split_once('=')).collect();
            let of = |name: &str| labels.get(name).copied().unwrap_or_default();
            let number = number.as_u64().unwrap_or_default();
            self.all.add(of("outcome"), number);
            self.routes.entry(of("route").to_owned()).or_default().add(of("outcome"), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_what_cost_the_origin_nothing_and_bypasses_do_not_count() {
        let counts = serde_json::json!({
            "larder_requests_total;policy=p;route=a;class=c;outcome=hit": 6,
            "larder_requests_total;policy=p;route=a;class=c;outcome=miss": 2,
            "larder_requests_total;policy=p;route=b;class=c;outcome=cluster_hit": 1,
            "larder_requests_total;policy=p;route=b;class=c;outcome=revalidated": 1,
            "larder_requests_total;policy=p;route=b;class=c;outcome=bypass": 9,
            "larder_requests_total;policy=p;route=b;class=c;outcome=purge": 7,
            "larder_refreshes_total;policy=p;route=b;class=c": 5,
        });
        let mut ratios = Ratios::default();
        ratios.add(&counts);
        assert_eq!(ratios.all, Ratio { requests: 10, hits: 7, bypassed: 9 });
        assert_eq!(ratios.routes["a"].percent(), Some(75.0));
        assert_eq!(ratios.routes["b"], Ratio { requests: 2, hits: 1, bypassed: 9 });
        assert_eq!(Ratio::default().percent(), None);
    }
}
