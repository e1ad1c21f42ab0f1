//! Counters by route and outcome, batched until the host takes them.

use std::collections::BTreeMap;

use crate::cluster::CallFailure;
use crate::decide::admit::Bypass;
use crate::decide::store::NotStored;
use crate::shadow::{Difference, ShadowOutcome};

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// From the store, fresh.
    Hit,
    /// From the cluster's store, fresh.
    ClusterHit,
    /// From the store, after waiting for another request's response.
    Collapsed,
    /// From the store, stale, while a refresh runs or because the client allows it.
    Stale,
    /// From the store, stale, because the origin failed.
    StaleError,
    /// From the store, after the origin confirmed it.
    Revalidated,
    /// From the origin, and stored.
    Miss,
    /// From the origin, not stored.
    NotStored,
    /// From the origin, the cache was not asked.
    Bypass,
    /// A `PURGE`, answered here.
    Purge,
    /// Made here: 504 to `only-if-cached`.
    Refused,
}

impl Outcome {
    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::ClusterHit => "cluster_hit",
            Self::Collapsed => "collapsed",
            Self::Stale => "stale",
            Self::StaleError => "stale_error",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::NotStored => "not_stored",
            Self::Bypass => "bypass",
            Self::Purge => "purge",
            Self::Refused => "refused",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    /// A request, by how it was answered.
    Request(Outcome),
    /// A 304 sent to a client.
    NotModified,
    /// A response not stored, by reason.
    NotStored(NotStored),
    /// A request that did not use the cache, by reason.
    Bypass(Bypass),
    /// A look-up in the cluster that came to nothing, by reason.
    ClusterFailure(CallFailure),
    /// Body bytes sent to clients from the store.
    BytesFromStore,
    /// A background refresh begun.
    Refresh,
    /// URLs, tags and prefixes invalidated by unsafe methods and response fields.
    Invalidated,
    /// A request, by how a policy in the shadow would have had it answered.
    ShadowRequest(ShadowOutcome),
    /// Body bytes that hits of a policy in the shadow would have sent.
    ShadowBytes,
    /// Something that a policy in the shadow would have done otherwise.
    ShadowDiffers(Difference),
}

impl Count {
    /// The counter's name and the label, beside policy, route and class, that tells this count from its like. Hosts put
    /// `larder_` before the name and `_total` behind it.
    pub const fn series(self) -> (&'static str, Option<(&'static str, &'static str)>) {
        match self {
            Self::Request(outcome) => ("requests", Some(("outcome", outcome.as_str()))),
            Self::NotModified => ("not_modified", None),
            Self::NotStored(reason) => ("not_stored", Some(("reason", reason.as_str()))),
            Self::Bypass(reason) => ("bypass", Some(("reason", reason.as_str()))),
            Self::ClusterFailure(failure) => ("cluster_failures", Some(("reason", failure.as_str()))),
            Self::BytesFromStore => ("store_bytes", None),
            Self::Refresh => ("refreshes", None),
            Self::Invalidated => ("invalidations", None),
            Self::ShadowRequest(outcome) => ("shadow_requests", Some(("outcome", outcome.as_str()))),
            Self::ShadowBytes => ("shadow_store_bytes", None),
            Self::ShadowDiffers(difference) => ("shadow_differs", Some(("reason", difference.as_str()))),
        }
    }
}

/// Counts not yet taken by the host, by the position of the rules they belong to.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(usize, Count), u64>,
}

impl Tally {
    /// Adds.
    pub fn add(&mut self, rules: usize, count: Count, by: u64) {
        if by > 0 {
            let sum = self.counts.entry((rules, count)).or_default();
            *sum = sum.saturating_add(by);
        }
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes what has been counted.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Count, u64)> + use<> {
        std::mem::take(&mut self.counts).into_iter().map(|((rules, count), sum)| (rules, count, sum))
    }
}
