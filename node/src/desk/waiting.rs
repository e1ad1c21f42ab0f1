//! Where look-ups wait for another's fill: a room for each key that somebody waits for, bounded in number and time.
//!
//! A fill wakes everybody; a lease given back wakes one; where nothing will be stored, all may go, but a few at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::slot::KeyName;

/// So many are let go together where nothing will be stored…
const TOGETHER: u32 = 4;

/// …and the next after this: an origin that just said "not stored" is not asked by a herd.
const BETWEEN: Duration = Duration::from_millis(25);

/// All rooms.
#[derive(Debug)]
pub(super) struct Waiting {
    rooms: Mutex<Rooms>,
    seats_max: usize,
}

#[derive(Debug, Default)]
struct Rooms {
    by_key: HashMap<KeyName, (Arc<Room>, usize)>,
    seats: usize,
}

/// Those who wait for one key.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) woken: Notify,
    news: AtomicU64,
    gone: AtomicU32,
}

/// A place in a room.
pub(super) struct Seat<'a> {
    pub(super) room: Arc<Room>,
    waiting: &'a Waiting,
    key: &'a KeyName,
}

impl Room {
    /// A number that is another one once there is something to look at.
    pub(super) fn news(&self) -> u64 {
        self.news.load(Ordering::Acquire)
    }

    /// How long whoever leaves now has to stay, where nothing will be stored.
    pub(super) fn turn(&self) -> Duration {
        BETWEEN * (self.gone.fetch_add(1, Ordering::Relaxed) / TOGETHER)
    }
}

impl Waiting {
    pub(super) fn new(seats_max: usize) -> Self {
        Self { rooms: Mutex::default(), seats_max }
    }

    /// A seat, where there is one left.
    pub(super) fn sit<'a>(&'a self, key: &'a KeyName) -> Option<Seat<'a>> {
        let mut rooms = self.lock();
        if rooms.seats >= self.seats_max {
            return None;
        }
        rooms.seats += 1;
        let (room, seats) = rooms.by_key.entry(key.clone()).or_default();
        *seats += 1;
        Some(Seat { room: room.clone(), waiting: self, key })
    }

    /// There is something to look at: everybody looks.
    pub(super) fn all(&self, key: &KeyName) {
        if let Some((room, _)) = self.lock().by_key.get(key) {
            room.news.fetch_add(1, Ordering::Release);
            room.woken.notify_waiters();
        }
    }

    /// The lease is free: one may have it.
    pub(super) fn one(&self, key: &KeyName) {
        if let Some((room, _)) = self.lock().by_key.get(key) {
            room.woken.notify_one();
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().seats
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        // Nothing panics while it is held.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut rooms = self.waiting.lock();
        rooms.seats = rooms.seats.saturating_sub(1);
        if let Some((room, seats)) = rooms.by_key.get_mut(self.key) {
            *seats = seats.saturating_sub(1);
            if *seats == 0 {
                rooms.by_key.remove(self.key);
            } else {
                // Whoever leaves may have been the one who was woken for the lease.
                room.woken.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_rooms_go_with_the_last() {
        let waiting = Waiting::new(2);
        let (a, b) = (KeyName::new("a").expect("a name"), KeyName::new("b").expect("a name"));
        let first = waiting.sit(&a);
        let second = waiting.sit(&b);
        assert!(first.is_some() && second.is_some() && waiting.sit(&a).is_none());
        drop(first);
        assert_eq!((waiting.len(), waiting.lock().by_key.len()), (1, 1));
        assert!(waiting.sit(&a).is_some());
        drop(second);
        assert_eq!((waiting.len(), waiting.lock().by_key.len()), (0, 0));
    }

    #[test]
    fn a_few_go_at_a_time() {
        let room = Room::default();
        let turns: Vec<u128> = (0..9).map(|_| room.turn().as_millis()).collect();
        assert_eq!(turns, [0, 0, 0, 0, 25, 25, 25, 25, 50]);
    }
}
