//! Who may fill a key: at most one worker of the fleet at a time.
//!
//! The first that misses gets a lease; the others are told that it is taken and may wait. A lease that is not used in time passes to
//! whoever asks next. Where the holder says that the response is not to be stored, nobody waits for it for a while.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::time::{Millis, Timestamp};

/// A lease's number. Zero is none. Its upper half is the same for all leases of one node: see [`giver`].
pub type LeaseId = u64;

/// The node that gave a lease, as a number that says no more than that; zero where there is no lease.
pub const fn giver(lease: LeaseId) -> u32 {
    (lease >> 32) as u32
}

/// What whoever misses is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Not asked for, or there are too many: fetch, for yourself.
    None,
    /// Fetch, and store or release.
    Granted(LeaseId),
    /// Another fetches it: wait, or fetch for yourself.
    Busy,
    /// Responses to this key were not stored lately: fetch, for yourself.
    Uncacheable,
}

/// The leases of one node.
#[derive(Debug)]
pub struct Leases<S> {
    held: HashMap<String, Held, S>,
    uncacheable: HashMap<String, Timestamp, S>,
    last: LeaseId,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: LeaseId,
    until: Timestamp,
}

/// How long a key is remembered as uncacheable.
const UNCACHEABLE_FOR: Millis = Millis(10_000);

impl<S: BuildHasher + Clone> Leases<S> {
    /// No leases; at most `capacity` at a time. `first`, a random number, makes the numbers of a node differ from those of others and from
    /// those it gave before it came back.
    pub fn new(capacity: usize, hasher: S, first: LeaseId) -> Self {
        Self {
            held: HashMap::with_hasher(hasher.clone()),
            uncacheable: HashMap::with_hasher(hasher),
            last: first,
            capacity: capacity.max(1),
        }
    }

    /// Somebody misses.
    pub fn ask(&mut self, name: &str, now: Timestamp, lease_for: Millis) -> Lease {
        if self.uncacheable.get(name).is_some_and(|until| *until > now) {
            return Lease::Uncacheable;
        }
        if self.held.get(name).is_some_and(|held| held.until > now) {
            return Lease::Busy;
        }
        if self.held.len() >= self.capacity {
            self.held.retain(|_, held| held.until > now);
            if self.held.len() >= self.capacity {
                return Lease::None;
            }
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.held.insert(name.to_owned(), Held { id: self.last, until: now.plus(lease_for) });
        Lease::Granted(self.last)
    }

    /// The holder has stored, or is gone. Says whether the lease was in force: if so, whoever waits may ask again.
    pub fn end(&mut self, name: &str, id: LeaseId) -> bool {
        let held = self.held.get(name).is_some_and(|held| held.id == id);
        if held {
            self.held.remove(name);
        }
        held
    }

    /// Responses to this key are not stored.
    pub fn note_uncacheable(&mut self, name: &str, now: Timestamp) {
        if self.uncacheable.len() >= self.capacity {
            self.uncacheable.retain(|_, until| *until > now);
            if self.uncacheable.len() >= self.capacity {
                self.uncacheable.clear();
            }
        }
        self.uncacheable.insert(name.to_owned(), now.plus(UNCACHEABLE_FOR));
    }

    /// Responses to this key are stored after all.
    pub fn note_cacheable(&mut self, name: &str) {
        self.uncacheable.remove(name);
    }

    /// When the lease of this key ends by itself.
    pub fn until(&self, name: &str) -> Option<Timestamp> {
        self.held.get(name).map(|held| held.until)
    }

    /// Leases held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::fast::FixedState;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const FOR: Millis = Millis(5000);

    fn leases(capacity: usize) -> Leases<FixedState> {
        Leases::new(capacity, FixedState::with_seed(3), 0)
    }

    #[test]
    fn the_first_gets_it_and_the_others_hear_so() {
        let mut leases = leases(8);
        assert_eq!(leases.ask("k", Timestamp(0), FOR), Lease::Granted(1));
        assert_eq!(leases.ask("k", Timestamp(1), FOR), Lease::Busy);
        assert_eq!(leases.ask("other", Timestamp(1), FOR), Lease::Granted(2));
    }

    #[test]
    fn an_unused_lease_passes_on_and_its_holder_cannot_end_the_next() {
        let mut leases = leases(8);
        leases.ask("k", Timestamp(0), FOR);
        assert_eq!(leases.ask("k", Timestamp(5000), FOR), Lease::Granted(2));
        assert!(!leases.end("k", 1));
        assert_eq!(leases.ask("k", Timestamp(5001), FOR), Lease::Busy);
        assert!(leases.end("k", 2));
        assert!(!leases.end("k", 2));
        assert_eq!(leases.ask("k", Timestamp(5001), FOR), Lease::Granted(3));
    }

    #[test]
    fn nobody_waits_for_what_is_not_stored() {
        let mut leases = leases(8);
        leases.note_uncacheable("k", Timestamp(0));
        assert_eq!(leases.ask("k", Timestamp(9_999), FOR), Lease::Uncacheable);
        assert_eq!(leases.ask("k", Timestamp(10_000), FOR), Lease::Granted(1));
        leases.note_uncacheable("j", Timestamp(0));
        leases.note_cacheable("j");
        assert_eq!(leases.ask("j", Timestamp(1), FOR), Lease::Granted(2));
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let mut leases = leases(2);
        leases.ask("a", Timestamp(0), FOR);
        leases.ask("b", Timestamp(0), FOR);
        assert_eq!(leases.ask("c", Timestamp(1), FOR), Lease::None);
        assert_eq!(leases.ask("c", Timestamp(5000), FOR), Lease::Granted(3));
        (0..100).for_each(|n| leases.note_uncacheable(&n.to_string(), Timestamp(0)));
        assert!(leases.uncacheable.len() <= 2);
    }
}
