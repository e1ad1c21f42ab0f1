//! What the requests of one worker share: its memory, its flights, its view of the purge log, its counters.
//!
//! A worker is single-threaded, as Envoy's are. A host with many threads has many workers, or one behind a lock.

use foldhash::fast::FixedState;

use crate::flights::Flights;
use crate::purge::{Mode, Purges, Scope};
use crate::shelf::Shelf;
use crate::tally::Tally;

/// One worker's state.
#[derive(Debug)]
pub struct Worker {
    /// Stored responses.
    pub shelf: Shelf,
    /// Fetches in progress.
    pub flights: Flights,
    /// Purges heard of.
    pub purges: Purges<FixedState>,
    /// Counters.
    pub tally: Tally,
}

/// URLs and tags whose purges are remembered one by one.
const PURGES_MAX: usize = 16_384;

impl Worker {
    /// A worker with `shelf_bytes_max` of memory for responses; `seed` makes its hash tables unpredictable.
    pub fn new(shelf_bytes_max: u64, seed: u64) -> Self {
        Self {
            shelf: Shelf::new(shelf_bytes_max, seed),
            flights: Flights::new(seed ^ 0x9e37_79b9_7f4a_7c15),
            purges: Purges::new(PURGES_MAX, FixedState::with_seed(seed.rotate_left(32))),
            tally: Tally::default(),
        }
    }

    /// Takes up a purge that another worker or an operator issued.
    pub fn purge(&mut self, scope: Scope, mode: Mode) {
        self.purges.append(scope, mode);
    }
}
