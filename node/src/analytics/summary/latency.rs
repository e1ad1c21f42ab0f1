//! How long requests took: percentiles of what was counted in buckets, of a range and step by step.
//!
//! A percentile is where it lies in its bucket if requests are spread evenly there, as Prometheus has it. Beyond the last bound
//! nothing more is known: it is that bound then.

use std::collections::BTreeMap;

use larder_core::tally::{BUCKETS, Bucket};
use serde::Serialize;

/// Requests by bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Took([u64; BUCKETS]);

/// How long requests of one outcome took, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) requests: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Requests by bucket: those within each of the bounds and none before, and then the rest.
    pub(crate) buckets: Vec<u64>,
}

/// The same step by step; nothing where there were no requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LatencySteps {
    pub(crate) p50_ms: Vec<Option<f64>>,
    pub(crate) p95_ms: Vec<Option<f64>>,
    pub(crate) p99_ms: Vec<Option<f64>>,
}

/// What is counted of each step, by outcome.
#[derive(Debug, Default)]
pub(super) struct TookSteps(BTreeMap<String, BTreeMap<usize, Took>>);

/// The bounds of all buckets but the last.
pub(super) fn bounds_ms() -> Vec<u64> {
    Bucket::all().filter_map(|bucket| Some(bucket.bound()?.0)).collect()
}

impl Took {
    pub(super) fn add(&mut self, within: &str, by: u64) {
        let place = Bucket::all().zip(&mut self.0).find(|(bucket, _)| bucket.as_str() == within);
        if let Some((_, sum)) = place {
            *sum = sum.saturating_add(by);
        }
    }

    fn requests(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The time within which this share of all requests was answered.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.requests();
        if all == 0 {
            return None;
        }
        let rank = share * all as f64;
        let (mut before, mut lower) = (0.0, 0.0);
        for (bucket, count) in Bucket::all().zip(self.0) {
            let Some(upper) = bucket.bound().map(|bound| bound.0 as f64) else { break };
            let count = count as f64;
            if count > 0.0 && before + count >= rank {
                return Some(rounded(lower + (upper - lower) * (rank - before) / count));
            }
            before += count;
            lower = upper;
        }
        Some(lower)
    }

    pub(super) fn latency(&self) -> Latency {
        Latency {
            requests: self.requests(),
            p50_ms: self.quantile(0.5),
            p95_ms: self.quantile(0.95),
            p99_ms: self.quantile(0.99),
            buckets: self.0.to_vec(),
        }
    }
}

impl TookSteps {
    pub(super) fn add(&mut self, outcome: &str, within: &str, index: usize, by: u64) {
        let steps = match self.0.get_mut(outcome) {
            Some(steps) => steps,
            None => self.0.entry(outcome.to_owned()).or_default(),
        };
        steps.entry(index).or_default().add(within, by);
    }

    pub(super) fn done(&self, count: usize) -> BTreeMap<String, LatencySteps> {
        let of = |steps: &BTreeMap<usize, Took>, share: f64| -> Vec<Option<f64>> {
            (0..count).map(|index| steps.get(&index).and_then(|took| took.quantile(share))).collect()
        };
        let all = self.0.iter().map(|(outcome, steps)| {
            let latency = LatencySteps { p50_ms: of(steps, 0.5), p95_ms: of(steps, 0.95), p99_ms: of(steps, 0.99) };
            (outcome.clone(), latency)
        });
        all.collect()
    }
}

/// To hundredths: more would only look exact.
fn rounded(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(counts: &[(&str, u64)]) -> Took {
        let mut took = Took::default();
        counts.iter().for_each(|(within, by)| took.add(within, *by));
        took
    }

    #[test]
    fn a_percentile_lies_where_it_would_if_requests_were_spread_evenly() {
        for (counts, share, want) in [
            (&[("1", 100)][..], 0.5, 0.5),
            (&[("1", 90), ("100", 10)], 0.95, 75.0),
            (&[("1", 90), ("100", 10)], 0.5, 0.56),
            (&[("1", 50), ("2", 50)], 0.5, 1.0),
            (&[("more", 4)], 0.5, 5000.0),
            (&[("5000", 1), ("more", 99)], 0.99, 5000.0),
        ] {
            assert_eq!(took(counts).quantile(share), Some(want), "{counts:?} {share}");
        }
        assert_eq!(took(&[("other", 1)]).quantile(0.5), None);
    }

    #[test]
    fn steps_without_requests_have_no_percentile() {
        let mut steps = TookSteps::default();
        steps.add("hit", "1", 1, 10);
        steps.add("miss", "25", 0, 1);
        let done = steps.done(3);
        assert_eq!(done["hit"].p50_ms, [None, Some(0.5), None]);
        assert_eq!(done["miss"].p99_ms, [Some(24.85), None, None]);
        assert_eq!(bounds_ms().len() + 1, took(&[]).latency().buckets.len());
    }
}
