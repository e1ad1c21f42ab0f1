//! Sums of what was counted, of one route or of all, over a range or step by step.

use std::collections::BTreeMap;

use serde::Serialize;

use super::labels::Family;
use super::latency::{Latency, Took};
use super::outcome::means;

/// Sums over a range.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sums {
    /// Requests that a cache might have answered.
    pub(crate) requests: u64,
    /// Those that were answered from a store.
    pub(crate) hits: u64,
    /// Requests that passed the cache by.
    pub(crate) bypassed: u64,
    /// `hits` by `requests`, from 0 to 1; nothing where nothing was asked.
    pub(crate) hit_ratio: Option<f64>,
    /// Requests that the origin got: not from a store, passed by, and refreshes in the background.
    pub(crate) origin_requests: u64,
    /// Requests that it would have got without a cache.
    pub(crate) origin_requests_avoided: u64,
    /// Body bytes sent from a store.
    pub(crate) bytes_from_store: u64,
    /// Body bytes that the origin sent: to clients, into stores, or both.
    pub(crate) bytes_from_origin: u64,
    /// `bytes_from_store` by both; nothing where there were none.
    pub(crate) byte_hit_ratio: Option<f64>,
    /// 304 sent to clients.
    pub(crate) not_modified: u64,
    /// Refreshes in the background.
    pub(crate) refreshes: u64,
    /// URLs, tags and prefixes that writes and responses have invalidated.
    pub(crate) invalidations: u64,
    /// Requests by outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Look-ups in the cluster that came to nothing, by reason.
    pub(crate) cluster_failures: BTreeMap<String, u64>,
    /// How long requests took, by outcome.
    pub(crate) latency: BTreeMap<String, Latency>,
    #[serde(skip)]
    took: BTreeMap<String, Took>,
}

/// The same, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Steps {
    pub(crate) requests: Vec<u64>,
    pub(crate) hits: Vec<u64>,
    pub(crate) origin_requests: Vec<u64>,
    pub(crate) bytes_from_store: Vec<u64>,
    pub(crate) bytes_from_origin: Vec<u64>,
    pub(crate) outcomes: BTreeMap<String, Vec<u64>>,
}

impl Sums {
    /// Takes a value in.
    pub(super) fn add(&mut self, family: Family, value: &str, by: u64) {
        let add = |sum: &mut u64| *sum = sum.saturating_add(by);
        match family {
            Family::Requests => {
                let means = means(value);
                if means.counts {
                    add(&mut self.requests);
                }
                if means.hit {
                    add(&mut self.hits);
                }
                if value == "bypass" {
                    add(&mut self.bypassed);
                }
                if means.origin {
                    add(&mut self.origin_requests);
                } else if means.hit {
                    add(&mut self.origin_requests_avoided);
                }
                add(self.outcomes.entry(value.to_owned()).or_default());
            }
            Family::ClusterFailures => add(self.cluster_failures.entry(value.to_owned()).or_default()),
            Family::StoreBytes => add(&mut self.bytes_from_store),
            Family::OriginBytes => add(&mut self.bytes_from_origin),
            Family::NotModified => add(&mut self.not_modified),
            Family::Refreshes => {
                add(&mut self.refreshes);
                add(&mut self.origin_requests);
            }
            Family::Invalidations => add(&mut self.invalidations),
            Family::NotStored | Family::Bypass | Family::Duration => {}
        }
    }

    /// Takes in how long requests of an outcome took.
    pub(super) fn add_took(&mut self, outcome: &str, within: &str, by: u64) {
        match self.took.get_mut(outcome) {
            Some(took) => took.add(within, by),
            None => self.took.entry(outcome.to_owned()).or_default().add(within, by),
        }
    }

    /// Works out the ratios.
    pub(super) fn done(&mut self) {
        self.hit_ratio = ratio(self.hits, self.requests);
        self.byte_hit_ratio =
            ratio(self.bytes_from_store, self.bytes_from_origin.saturating_add(self.bytes_from_store));
        self.latency = self.took.iter().map(|(outcome, took)| (outcome.clone(), took.latency())).collect();
    }
}

impl Steps {
    pub(super) fn new(count: usize) -> Self {
        let none = || vec![0; count];
        Self {
            requests: none(),
            hits: none(),
            origin_requests: none(),
            bytes_from_store: none(),
            bytes_from_origin: none(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Takes a value of a step in.
    pub(super) fn add(&mut self, family: Family, value: &str, index: usize, by: u64) {
        let count = self.requests.len();
        let add = |steps: &mut Vec<u64>| {
            if let Some(step) = steps.get_mut(index) {
                *step = step.saturating_add(by);
            }
        };
        match family {
            Family::Requests => {
                let means = means(value);
                if means.counts {
                    add(&mut self.requests);
                }
                if means.hit {
                    add(&mut self.hits);
                }
                if means.origin {
                    add(&mut self.origin_requests);
                }
                if let Some(steps) = self.outcomes.get_mut(value) {
                    add(steps);
                } else {
                    add(self.outcomes.entry(value.to_owned()).or_insert(vec![0; count]));
                }
            }
            Family::Refreshes => add(&mut self.origin_requests),
            Family::StoreBytes => add(&mut self.bytes_from_store),
            Family::OriginBytes => add(&mut self.bytes_from_origin),
            Family::NotStored
            | Family::Bypass
            | Family::Duration
            | Family::ClusterFailures
            | Family::NotModified
            | Family::Invalidations => {}
        }
    }
}

/// A part of a whole, from 0 to 1.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
