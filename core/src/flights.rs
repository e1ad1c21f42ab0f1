//! One worker's table of fetches in progress: who leads, who follows, until when (request collapsing).
//!
//! Followers wait for a storable response only. Where the leader's turns out not to be, each asks the origin itself, let go
//! a few at a time and not as a herd, and the key is remembered as uncacheable for a while, so that nobody waits in vain.
//! Where the leader goes away, the first follower takes over. Nobody is ever handed another client's answer: a follower
//! that is woken looks into the store like anybody else.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::key::Key;
use crate::shelf::Variant;
use crate::time::{Millis, Timestamp};

/// A client's request, as its host numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// The part a request plays in a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Asks the origin for itself and for those that follow.
    Lead,
    /// Waits.
    Follow,
    /// Asks the origin for itself only.
    Alone,
}

/// Why a follower was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The leader's response has begun, and is stored as it comes: see [`Flights::announced`].
    Announced,
    /// The response is stored.
    Landed,
    /// The leader is gone; this follower leads now.
    Lead,
    /// The response could not be stored; ask the origin.
    Released,
    /// The origin failed.
    Failed,
    /// Waited long enough.
    TimedOut,
}

/// Fetches in progress.
#[derive(Debug)]
pub struct Flights {
    flights: HashMap<Key, Flight, FixedState>,
    refreshes: HashMap<Key, Timestamp, FixedState>,
    uncacheable: HashMap<Key, Timestamp, FixedState>,
}

#[derive(Debug)]
struct Flight {
    leader: Option<StreamId>,
    /// The leader's response without its body, once that is on its way.
    announced: Option<Variant>,
    /// Followers and the time until which they wait.
    waiting: VecDeque<(StreamId, Timestamp)>,
    /// Followers let go after an unstorable response that have not had their answer yet.
    released: Vec<StreamId>,
    /// What the rest is told, one for each released one that is done.
    drain: Option<Wake>,
}

/// Followers per flight; one more asks the origin itself.
const FOLLOWERS_MAX: usize = 1024;
/// Followers let go at once after an unstorable response.
const RELEASED_AT_ONCE: usize = 4;
/// How long a key is remembered as uncacheable.
const UNCACHEABLE_FOR: Millis = Millis(10_000);
/// Keys remembered as uncacheable.
const UNCACHEABLE_MAX: usize = 4096;
/// A refresh that has not ended by then is taken for lost.
const REFRESH_LOST_AFTER: Millis = Millis(60_000);

impl Flights {
    /// An empty table, seeded.
    pub fn new(seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Self {
            flights: HashMap::with_hasher(state.clone()),
            refreshes: HashMap::with_hasher(state.clone()),
            uncacheable: HashMap::with_hasher(state),
        }
    }

    /// Joins the flight of a key, or begins it.
    pub fn join(&mut self, key: &Key, id: StreamId, now: Timestamp, wait: Option<Millis>) -> Part {
        let Some(wait) = wait else { return Part::Alone };
        if self.is_uncacheable(key, now) {
            return Part::Alone;
        }
        match self.flights.get_mut(key) {
            None => {
                let flight = Flight {
                    leader: Some(id),
                    announced: None,
                    waiting: VecDeque::new(),
                    released: Vec::new(),
                    drain: None,
                };
                self.flights.insert(key.clone(), flight);
                Part::Lead
            }
            Some(flight) if flight.drain.is_some() || flight.waiting.len() >= FOLLOWERS_MAX => Part::Alone,
            Some(flight) => {
                flight.waiting.push_back((id, now.plus(wait)));
                Part::Follow
            }
        }
    }

    /// The head of the leader's response is here, and its body is being stored: everybody may follow that. Those that do not
    /// go on waiting.
    pub fn announce(&mut self, key: &Key, leader: StreamId, head: Variant) -> Vec<(StreamId, Wake)> {
        let Some(flight) = self.flights.get_mut(key).filter(|flight| flight.leader == Some(leader)) else {
            return Vec::new();
        };
        flight.announced = Some(head);
        flight.waiting.iter().map(|(id, _)| (*id, Wake::Announced)).collect()
    }

    /// Whose response to a key is on its way, and its head.
    pub fn announced(&self, key: &Key) -> Option<(StreamId, &Variant)> {
        let flight = self.flights.get(key)?;
        flight.leader.zip(flight.announced.as_ref())
    }

    /// The leader's response is stored: everybody may look.
    pub fn land(&mut self, key: &Key, leader: StreamId) -> Vec<(StreamId, Wake)> {
        match self.flights.get(key) {
            Some(flight) if flight.leader == Some(leader) => {}
            _ => return Vec::new(),
        }
        let waiting = self.flights.remove(key).map(|flight| flight.waiting).unwrap_or_default();
        waiting.into_iter().map(|(id, _)| (id, Wake::Landed)).collect()
    }

    /// The leader's response is not stored, or there is none: lets the first few go with this word.
    pub fn scatter(&mut self, key: &Key, leader: StreamId, wake: Wake) -> Vec<(StreamId, Wake)> {
        let Some(flight) = self.flights.get_mut(key).filter(|flight| flight.leader == Some(leader)) else {
            return Vec::new();
        };
        flight.leader = None;
        flight.announced = None;
        flight.drain = Some(wake);
        let count = flight.waiting.len().min(RELEASED_AT_ONCE);
        let freed: Vec<StreamId> = flight.waiting.drain(..count).map(|(id, _)| id).collect();
        flight.released = freed.clone();
        if freed.is_empty() {
            self.flights.remove(key);
        }
        freed.into_iter().map(|id| (id, wake)).collect()
    }

    /// A request has its answer's head, or is over: whoever it kept back may go on.
    pub fn done(&mut self, key: &Key, id: StreamId) -> Vec<(StreamId, Wake)> {
        let Some(flight) = self.flights.get_mut(key) else { return Vec::new() };
        let Some(at) = flight.released.iter().position(|released| *released == id) else { return Vec::new() };
        flight.released.swap_remove(at);
        let next = flight.waiting.pop_front().map(|(id, _)| id);
        flight.released.extend(next);
        let wake = flight.drain.unwrap_or(Wake::Released);
        if flight.released.is_empty() && flight.waiting.is_empty() {
            self.flights.remove(key);
        }
        next.map(|id| (id, wake)).into_iter().collect()
    }

    /// A request is gone: out of the queue, or its lead handed on.
    pub fn leave(&mut self, key: &Key, id: StreamId) -> Vec<(StreamId, Wake)> {
        let Some(flight) = self.flights.get_mut(key) else { return Vec::new() };
        if flight.leader == Some(id) {
            flight.announced = None;
            flight.leader = flight.waiting.pop_front().map(|(next, _)| next);
            return match flight.leader {
                Some(next) => vec![(next, Wake::Lead)],
                None => {
                    self.flights.remove(key);
                    Vec::new()
                }
            };
        }
        flight.waiting.retain(|(waiting, _)| *waiting != id);
        self.done(key, id)
    }

    /// Followers that have waited long enough.
    pub fn overdue(&mut self, now: Timestamp) -> Vec<(StreamId, Wake)> {
        let mut overdue = Vec::new();
        for flight in self.flights.values_mut() {
            flight.waiting.retain(|(id, until)| {
                let keep = *until > now;
                if !keep {
                    overdue.push((*id, Wake::TimedOut));
                }
                keep
            });
        }
        overdue.sort_unstable_by_key(|(id, _)| *id);
        overdue
    }

    /// The next time at which [`Flights::overdue`] has something to say.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.flights.values().flat_map(|flight| flight.waiting.iter().map(|(_, until)| *until)).min()
    }

    /// Remembers that responses to this key are not stored.
    pub fn note_uncacheable(&mut self, key: &Key, now: Timestamp) {
        if self.uncacheable.len() >= UNCACHEABLE_MAX {
            self.uncacheable.retain(|_, until| *until > now);
            if self.uncacheable.len() >= UNCACHEABLE_MAX {
                self.uncacheable.clear();
            }
        }
        self.uncacheable.insert(key.clone(), now.plus(UNCACHEABLE_FOR));
    }

    /// Responses to this key are stored after all.
    pub fn note_cacheable(&mut self, key: &Key) {
        self.uncacheable.remove(key);
    }

    /// Whether responses to this key were not stored lately.
    pub fn is_uncacheable(&self, key: &Key, now: Timestamp) -> bool {
        self.uncacheable.get(key).is_some_and(|until| *until > now)
    }

    /// Whether a background refresh of this key may begin: at most one at a time.
    pub fn begin_refresh(&mut self, key: &Key, now: Timestamp) -> bool {
        match self.refreshes.get(key) {
            Some(until) if *until > now => false,
            _ => {
                self.refreshes.insert(key.clone(), now.plus(REFRESH_LOST_AFTER));
                true
            }
        }
    }

    /// A refresh is over.
    pub fn end_refresh(&mut self, key: &Key) {
        self.refreshes.remove(key);
    }

    /// A refresh failed: none before `until`.
    pub fn defer_refresh(&mut self, key: &Key, until: Timestamp) {
        self.refreshes.insert(key.clone(), until);
    }

    /// Flights in progress.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Whether nothing is in progress.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const WAIT: Option<Millis> = Some(Millis(5000));
    const NOW: Timestamp = Timestamp(1_000_000);

    fn key() -> Key {
        Key::from_bytes(b"k")
    }

    fn flight(followers: u64) -> Flights {
        let mut flights = Flights::new(1);
        assert_eq!(flights.join(&key(), StreamId(0), NOW, WAIT), Part::Lead);
        for id in 1..=followers {
            assert_eq!(flights.join(&key(), StreamId(id), NOW, WAIT), Part::Follow);
        }
        flights
    }

    fn ids(woken: &[(StreamId, Wake)]) -> Vec<u64> {
        woken.iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn a_stored_response_wakes_all_followers() {
        let mut flights = flight(3);
        assert_eq!(ids(&flights.land(&key(), StreamId(0))), [1, 2, 3]);
        assert!(flights.is_empty());
        assert_eq!(flights.join(&key(), StreamId(9), NOW, WAIT), Part::Lead);
    }

    #[test]
    fn an_unstorable_response_lets_a_few_go_at_a_time() {
        let mut flights = flight(7);
        assert_eq!(ids(&flights.scatter(&key(), StreamId(0), Wake::Released)), [1, 2, 3, 4]);
        assert_eq!(flights.join(&key(), StreamId(9), NOW, WAIT), Part::Alone, "nobody waits any more");
        assert_eq!(ids(&flights.done(&key(), StreamId(2))), [5]);
        assert_eq!(ids(&flights.done(&key(), StreamId(2))), [0u64; 0], "done twice counts once");
        assert_eq!(ids(&flights.leave(&key(), StreamId(5))), [6], "one that goes away makes room, too");
        for id in [1, 3, 4, 6, 7] {
            flights.done(&key(), StreamId(id));
        }
        assert!(flights.is_empty());
    }

    #[test]
    fn a_lost_leader_hands_on_to_the_first_follower() {
        let mut flights = flight(2);
        assert_eq!(flights.leave(&key(), StreamId(0)), [(StreamId(1), Wake::Lead)]);
        assert_eq!(ids(&flights.land(&key(), StreamId(0))), [0u64; 0], "the old leader has no say");
        assert_eq!(ids(&flights.land(&key(), StreamId(1))), [2]);
    }

    #[test]
    fn nobody_waits_longer_than_allowed() {
        let mut flights = flight(2);
        assert_eq!(flights.next_deadline(), Some(Timestamp(1_005_000)));
        assert_eq!(ids(&flights.overdue(Timestamp(1_004_999))), [0u64; 0]);
        assert_eq!(
            flights.overdue(Timestamp(1_005_000)),
            [(StreamId(1), Wake::TimedOut), (StreamId(2), Wake::TimedOut)]
        );
        assert_eq!(ids(&flights.land(&key(), StreamId(0))), [0u64; 0]);
    }

    #[test]
    fn an_uncacheable_key_is_forgotten_after_a_while() {
        let mut flights = Flights::new(1);
        flights.note_uncacheable(&key(), NOW);
        assert_eq!(flights.join(&key(), StreamId(1), NOW, WAIT), Part::Alone);
        assert_eq!(flights.join(&key(), StreamId(1), NOW.plus(UNCACHEABLE_FOR), WAIT), Part::Lead);
    }

    #[test]
    fn one_refresh_per_key_and_a_lost_one_does_not_block_for_ever() {
        let mut flights = Flights::new(1);
        assert!(flights.begin_refresh(&key(), NOW));
        assert!(!flights.begin_refresh(&key(), NOW));
        assert!(flights.begin_refresh(&key(), NOW.plus(REFRESH_LOST_AFTER)));
        flights.end_refresh(&key());
        assert!(flights.begin_refresh(&key(), NOW));
    }
}
