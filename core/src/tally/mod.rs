//! Counters by route and outcome, how long requests took, and which URLs are asked for most, batched until the host takes them.

mod keys;
mod series;
mod took;

use std::collections::BTreeMap;

pub use self::keys::{KeyCount, Keys};
pub use self::series::{DURATION, labels, over_routes, series};
pub use self::took::{BUCKETS, Bucket};

use crate::cluster::CallFailure;
use crate::decide::admit::Bypass;
use crate::decide::store::NotStored;
use crate::key::Keyed;
use crate::shadow::{Difference, ShadowOutcome};
use crate::time::Millis;

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

    /// Whether a store had the answer.
    pub const fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::ClusterHit | Self::Collapsed | Self::Stale | Self::StaleError)
    }

    /// Whether the answer is one for everybody: it came out of a store, or went into one.
    pub const fn is_shared(self) -> bool {
        self.is_hit() || matches!(self, Self::Revalidated | Self::Miss)
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    /// A request, by how it was answered.
    Request(Outcome),
    /// A request, by how it was answered and how long that took.
    Took(Outcome, Bucket),
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
    /// Body bytes that the origin sent, refreshes in the background included.
    BytesFromOrigin,
    /// A background refresh of something stale begun.
    Refresh,
    /// A background refresh of something used often begun, before it expires.
    RefreshAhead,
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
    /// The counter's name, and the labels beside policy, route and class that tell this count from its like.
    pub fn parts(self) -> (&'static str, [Option<(&'static str, &'static str)>; 2]) {
        fn one(name: &'static str, value: &'static str) -> [Option<(&'static str, &'static str)>; 2] {
            [Some((name, value)), None]
        }
        match self {
            Self::Request(outcome) => ("larder_requests_total", one("outcome", outcome.as_str())),
            Self::Took(outcome, bucket) => {
                (DURATION, [Some(("outcome", outcome.as_str())), Some(("within", bucket.as_str()))])
            }
            Self::NotModified => ("larder_not_modified_total", [None; 2]),
            Self::NotStored(reason) => ("larder_not_stored_total", one("reason", reason.as_str())),
            Self::Bypass(reason) => ("larder_bypass_total", one("reason", reason.as_str())),
            Self::ClusterFailure(failure) => ("larder_cluster_failures_total", one("reason", failure.as_str())),
            Self::BytesFromStore => ("larder_store_bytes_total", [None; 2]),
            Self::BytesFromOrigin => ("larder_origin_bytes_total", [None; 2]),
            Self::Refresh => ("larder_refreshes_total", [None; 2]),
            Self::RefreshAhead => ("larder_refreshes_ahead_total", [None; 2]),
            Self::Invalidated => ("larder_invalidations_total", [None; 2]),
            Self::ShadowRequest(outcome) => ("larder_shadow_requests_total", one("outcome", outcome.as_str())),
            Self::ShadowBytes => ("larder_shadow_store_bytes_total", [None; 2]),
            Self::ShadowDiffers(difference) => ("larder_shadow_differs_total", one("reason", difference.as_str())),
        }
    }
}

/// Counts not yet taken by the host, by the position of the rules they belong to.
#[derive(Debug)]
pub struct Tally {
    counts: BTreeMap<(usize, Count), u64>,
    /// Requests by outcome, and by how long they took: one place for both, which a hit finds once.
    answered: BTreeMap<(usize, Outcome), [u64; BUCKETS]>,
    keys: Keys,
}

impl Tally {
    /// An empty one; `seed` makes its hash table unpredictable.
    pub fn new(seed: u64) -> Self {
        Self { counts: BTreeMap::new(), answered: BTreeMap::new(), keys: Keys::new(seed) }
    }

    /// Adds.
    pub fn add(&mut self, rules: usize, count: Count, by: u64) {
        if by > 0 {
            let sum = self.counts.entry((rules, count)).or_default();
            *sum = sum.saturating_add(by);
        }
    }

    /// Adds a request that was answered after so long: [`Count::Request`] and [`Count::Took`].
    pub fn answered(&mut self, rules: usize, outcome: Outcome, after: Millis) {
        let took = self.answered.entry((rules, outcome)).or_insert([0; BUCKETS]);
        if let Some(sum) = took.get_mut(Bucket::of(after).index()) {
            *sum = sum.saturating_add(1);
        }
    }

    /// A URL was asked for whose responses are everybody's.
    pub fn asked_for(&mut self, keyed: &Keyed, rules: usize, hit: bool) {
        self.keys.note(keyed, rules, hit);
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.answered.is_empty() && self.keys.is_empty()
    }

    /// Takes what has been counted.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Count, u64)> + use<> {
        let answered = std::mem::take(&mut self.answered).into_iter().flat_map(|((rules, outcome), took)| {
            let all = took.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
            let buckets = Bucket::all().zip(took).filter(|(_, count)| *count > 0);
            let took = buckets.map(move |(bucket, count)| (rules, Count::Took(outcome, bucket), count));
            std::iter::once((rules, Count::Request(outcome), all)).chain(took)
        });
        let counts = std::mem::take(&mut self.counts).into_iter().map(|((rules, count), sum)| (rules, count, sum));
        answered.chain(counts)
    }

    /// Takes which URLs were asked for most.
    pub fn take_keys(&mut self) -> Vec<KeyCount> {
        self.keys.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_request_is_counted_once_and_in_one_bucket() {
        let mut tally = Tally::new(1);
        for (outcome, after) in [(Outcome::Hit, 0), (Outcome::Hit, 0), (Outcome::Hit, 30), (Outcome::Miss, 9999)] {
            tally.answered(3, outcome, Millis(after));
        }
        tally.add(3, Count::Refresh, 0);
        let bucket = |label| Bucket::from_label(label).expect("a bucket");
        let want = [
            (3, Count::Request(Outcome::Hit), 3),
            (3, Count::Took(Outcome::Hit, bucket("1")), 2),
            (3, Count::Took(Outcome::Hit, bucket("50")), 1),
            (3, Count::Request(Outcome::Miss), 1),
            (3, Count::Took(Outcome::Miss, bucket("more")), 1),
        ];
        assert_eq!(tally.take().collect::<Vec<_>>(), want);
        assert!(tally.is_empty());
    }
}
