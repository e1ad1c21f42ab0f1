//! What the requests of one worker share: its memory, its flights, its view of the purge log, its counters.
//!
//! A worker is single-threaded, as Envoy's are. A host with many threads has many workers, or one behind a lock.

use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::cluster::message::PollAnswer;
use crate::cluster::{Membership, Settings};
use crate::edge::Edge;
use crate::exchange::CACHE_NAME;
use crate::flights::Flights;
use crate::policy::Policy;
use crate::purge::{Made, Mode, Position, Purges, Scope, Word};
use crate::shadow::Shadow;
use crate::shelf::Shelf;
use crate::tally::Tally;
use crate::time::Timestamp;

/// One worker's state.
#[derive(Debug)]
pub struct Worker {
    /// What this cache is called in `Cache-Status` (RFC 9211 2). Default: [`CACHE_NAME`].
    pub name: &'static str,
    /// Stored responses.
    pub shelf: Shelf,
    /// Fetches in progress.
    pub flights: Flights,
    /// Purges heard of.
    pub purges: Purges<FixedState>,
    /// Counters.
    pub tally: Tally,
    /// Markers between edge and origin.
    pub edge: Edge,
    /// Whether the host can have a request follow another's response while that is still coming.
    pub follows: bool,
    /// Whether the host can hold a response's head back until its body is there.
    pub holds: bool,
    /// The cluster, where there is one.
    pub cluster: Option<Membership>,
    /// A policy that is evaluated and not acted on, where there is one.
    pub shadow: Option<Box<Shadow>>,
    seed: u64,
}

/// URLs and tags whose purges are remembered one by one.
const PURGES_MAX: usize = 16_384;

impl Worker {
    /// A worker with `shelf_bytes_max` of memory for responses; `seed` makes its hash tables unpredictable.
    pub fn new(shelf_bytes_max: u64, seed: u64) -> Self {
        Self {
            name: CACHE_NAME,
            shelf: Shelf::new(shelf_bytes_max, seed),
            flights: Flights::new(seed ^ 0x9e37_79b9_7f4a_7c15),
            purges: Purges::new(PURGES_MAX, FixedState::with_seed(seed.rotate_left(32))),
            tally: Tally::new(seed.rotate_left(16)),
            edge: Edge::default(),
            follows: false,
            holds: true,
            cluster: None,
            shadow: None,
            seed,
        }
    }

    /// Has a policy run in the shadow from now on, or none. The same one goes on with what it knows; what another has counted is to be
    /// taken before.
    pub fn set_shadow(&mut self, policy: Option<&Arc<Policy>>) {
        let revision = |shadow: &Shadow| shadow.policy().revision;
        if self.shadow.as_deref().map(revision) != policy.map(|policy| policy.revision) {
            let seed = self.seed.rotate_left(16);
            self.shadow = policy.map(|policy| Box::new(Shadow::new(policy.clone(), seed)));
        }
    }

    /// A tally that another policy's counts can be put by in.
    pub fn empty_tally(&self) -> Tally {
        Tally::new(self.seed.rotate_left(8))
    }

    /// Has the worker use a cluster, from now on or in another way; `None` is none.
    pub fn use_cluster(&mut self, settings: Option<Settings>) {
        match (&mut self.cluster, settings) {
            (Some(cluster), Some(settings)) => cluster.settings = settings,
            (cluster @ None, Some(settings)) => *cluster = Some(Membership::new(settings, self.seed.rotate_left(48))),
            (Some(_), None) => {
                // Without its log nobody can say what of this is still good.
                self.cluster = None;
                self.begin_anew(Position::default());
            }
            (None, None) => {}
        }
    }

    /// Whether what is in memory may be used: always, where no cluster's log is to be followed.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.is_current(now))
    }

    /// The cluster's log is another one, or begins here: nothing that is stored can be held against it.
    pub fn begin_anew(&mut self, position: Position) {
        self.shelf.clear();
        if let Some(cluster) = &mut self.cluster {
            cluster.afar.clear();
        }
        self.purges.begin_at(position);
    }

    /// The cluster's log has been heard.
    pub fn heard(&mut self, now: Timestamp, answer: &PollAnswer) {
        let Some(cluster) = &mut self.cluster else { return };
        self.purges.give_up(now);
        if cluster.heard(answer, &mut self.purges, now) {
            self.shelf.clear();
            cluster.afar.clear();
        }
    }

    /// A call to the cluster was answered, or was not.
    pub fn note_call(&mut self, now: Timestamp, answered: bool) {
        match &mut self.cluster {
            Some(cluster) if answered => cluster.breaker.succeeded(),
            Some(cluster) => cluster.breaker.failed(now),
            None => {}
        }
    }

    /// Takes up a purge of nobody's: where there is a cluster it is as if somebody was to tell it who is gone.
    pub fn purge(&mut self, scope: Scope, mode: Mode) {
        self.take_word(Word::Purged(Made::default(), scope, mode));
    }

    /// A neighbour says something of its purges. Where there is a cluster, the neighbour tells it.
    pub fn take_word(&mut self, word: Word) {
        match word {
            Word::Purged(made, scope, mode) if self.cluster.is_some() => self.purges.told(made, scope, mode),
            Word::Purged(_, scope, mode) => {
                self.purges.append(scope, mode);
            }
            Word::Confirmed(made, at) => self.purges.confirmed(made, at),
            Word::StillTelling(by) => self.purges.still_telling(by),
        }
    }
}
