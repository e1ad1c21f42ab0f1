//! A policy in the shadow of the one in force: what it would do with each request, counted and without any effect.
//!
//! [`Shadow`] remembers which responses the policy would have stored, and until when, by key only: no bodies. `watched` goes along with
//! one exchange and is told what became of it. Neither is read by anything that decides what clients get: an exchange hands over
//! copies and takes nothing back.
//!
//! What is counted is an estimate in two places. The index has no bodies, so nothing is evicted for want of memory as it would be from a
//! store. And it is this worker's own: what the shadow's keys do not share with those in force is a miss once in each worker,
//! though a cluster would have it.

mod index;
mod watched;

use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::decide::age;
use crate::fields::RequestHead;
use crate::key::Key;
use crate::policy::Policy;
use crate::purge::{Covered, Mode, PurgeTable, Purges, Scope};
use crate::tally::{Count, Tally};
use crate::time::{Seconds, Timestamp};

use index::{Index, Slot};
pub(crate) use watched::{Coming, Seen, Watched};

/// How a shadow policy would have a request answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShadowOutcome {
    /// From the store.
    Hit,
    /// From the origin, and stored.
    Miss,
    /// From the origin, not stored.
    NotStored,
    /// From the origin, the cache not asked.
    Bypass,
}

impl ShadowOutcome {
    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::NotStored => "not_stored",
            Self::Bypass => "bypass",
        }
    }
}

/// In what the shadow would have done something that the policy in force does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// It would have answered from the store, and the origin answered something else just now.
    OtherBody,
    /// It would share a response that the policy in force keeps from others because of whose it is: `Authorization`, cookies,
    /// `Set-Cookie`, `private`, a key that names the user.
    Identity,
    /// It would have answered from the store later than both the origin and the policy in force call the response fresh.
    Staler,
}

impl Difference {
    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherBody => "other_body",
            Self::Identity => "identity",
            Self::Staler => "staler",
        }
    }
}

/// A policy that is evaluated and not acted on, in one worker.
#[derive(Debug)]
pub struct Shadow {
    policy: Arc<Policy>,
    /// What it would have counted, by its own rules.
    pub tally: Tally,
    index: Index,
    /// What its own rules would have invalidated beside what those in force do.
    invalidated: PurgeTable<FixedState>,
}

/// What its own rules invalidate is remembered one by one up to so many URLs and tags.
const INVALIDATED_MAX: usize = 4096;

impl Shadow {
    /// A policy of which nothing is known yet. `seed` makes its tables unpredictable.
    pub fn new(policy: Arc<Policy>, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let invalidated = PurgeTable::new(INVALIDATED_MAX, hasher.clone());
        Self { policy, tally: Tally::new(seed), index: Index::new(hasher), invalidated }
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Responses that are remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn count(&mut self, rules: usize, count: Count) {
        self.tally.add(rules, count, 1);
    }

    /// What would be in the store for a request, its age, and what purges and invalidations say of it.
    fn find(
        &self,
        key: &Key,
        request: &RequestHead,
        now: Timestamp,
        purges: &Purges<FixedState>,
    ) -> Option<(&Slot, Seconds, Covered)> {
        let slot = self.index.find(key, &request.fields)?;
        let tags = || slot.tags.iter().map(String::as_str);
        let covered = purges.covers(&slot.url, tags(), slot.standing);
        let covered = covered.max(self.invalidated.covers(&slot.url, tags(), slot.own));
        Some((slot, age::current_age(&slot.times, now), covered))
    }

    fn invalidate(&mut self, scopes: Vec<(Scope, Mode)>) {
        for (scope, mode) in scopes {
            self.invalidated.append(scope, mode);
        }
    }
}
