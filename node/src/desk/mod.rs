//! The desk: what a node does when a worker asks. Core decides (`larder_core::cluster::desk`); here the store is asked, waiters
//! wait, and everything has a time limit.
//!
//! The order within a look-up is what makes purges right: first the log's position, then the store, then the judgement by a table
//! that has taken up at least that position. What is fetched on a miss carries that position back, so that no purge after it
//! can be missed.

mod fill;
mod lookup;
mod waiting;

use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::cluster::desk::Kept as Judged;
use larder_core::cluster::leases::Leases;
use larder_core::cluster::serving::{self, Label};
use larder_core::entry::wire;
use larder_core::exchange::Reply;
use larder_core::fields::RequestHead;

use crate::clock::Clock;
use crate::counts::{Counts, Served};
use crate::following::Following;
use crate::limits::Limits;
use crate::slot::{Keeping, Kept, KeyName};
use crate::store::Store;

use waiting::Waiting;

/// A node's desk.
pub(crate) struct Desk {
    keeping: Keeping,
    following: Arc<Following>,
    leases: Mutex<Leases<RandomState>>,
    waiting: Waiting,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    limits: Limits,
}

impl Desk {
    /// A desk. `first_lease` makes the numbers of a node that comes back differ from those it gave before.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        following: Arc<Following>,
        clock: Arc<dyn Clock>,
        counts: Arc<Counts>,
        limits: Limits,
        first_lease: u64,
    ) -> Self {
        Self {
            keeping: Keeping::new(store, limits.store_timeout()),
            following,
            leases: Mutex::new(Leases::new(limits.leases_max as usize, RandomState::new(), first_lease)),
            waiting: Waiting::new(limits.waiting_max as usize),
            clock,
            counts,
            limits,
        }
    }

    /// What entries are kept in.
    pub(crate) fn kept_in(&self) -> &Arc<dyn Store> {
        self.keeping.store()
    }

    /// Leases held, and look-ups that wait.
    pub(crate) fn held_and_waiting(&self) -> (usize, usize) {
        (self.leases().len(), self.waiting.len())
    }

    /// The stored response that a request selects, as a reply to that request. `None` where there is none that may be used.
    pub(crate) async fn serve(&self, key: &KeyName, request: &RequestHead) -> Option<(Reply, Label)> {
        let reply = self.serve_uncounted(key, request).await;
        self.counts.served.add(if reply.is_some() { Served::Served } else { Served::Miss });
        reply
    }

    async fn serve_uncounted(&self, key: &KeyName, request: &RequestHead) -> Option<(Reply, Label)> {
        let position = self.following.head().await.ok()?;
        let kept = self.keeping.find(key, &request.fields, self.limits.store_timeout()).await.ok()?;
        let Kept::Variant(checked) = kept else { return None };
        let now = self.clock.now();
        let good_at = match self.following.judge(&checked.label, now) {
            Judged::Gone => return None,
            // Whether it is fresh is for the worker's policy and clock to say.
            Judged::Fresh | Judged::Stale { soft: false } => Some(position),
            Judged::Stale { soft: true } => None,
        };
        let label = Label { received: Some(checked.label.received), good_at };
        let (entry, _) = wire::decode_checked(&checked.record, key.as_str()).ok()?;
        Some((serving::serve(entry, request, now), label))
    }

    fn leases(&self) -> MutexGuard<'_, Leases<RandomState>> {
        // Nothing panics while it is held.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
