//! Which series there are. Columns hold numbers instead of names; here is which number stands for which name.
//!
//! Bounded: where there is no room, a new series is not taken. Numbers are never used again, so that whatever is on disk still means
//! what it meant.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The longest name of a series.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// How values of one series come together in a longer step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Added up.
    Counter,
    /// The largest stands for all: peaks of memory are what one looks for.
    Gauge,
}

impl Kind {
    /// Takes a value into another.
    pub(super) fn merge(self, into: &mut u64, value: u64) {
        *into = match self {
            Self::Counter => into.saturating_add(value),
            Self::Gauge => (*into).max(value),
        };
    }
}

/// A series: `larder_requests_total;policy=shop;route=items;class=catalog;outcome=hit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) name: Box<str>,
}

/// All series that are known.
#[derive(Debug)]
pub(super) struct Names {
    counters: HashMap<Box<str>, u32>,
    gauges: HashMap<Box<str>, u32>,
    by_id: HashMap<u32, Arc<Series>>,
    next: u32,
    max: usize,
}

impl Names {
    pub(super) fn new(max: usize) -> Self {
        Self { counters: HashMap::new(), gauges: HashMap::new(), by_id: HashMap::new(), next: 0, max }
    }

    /// The number of a series, which becomes known by that where there is room.
    pub(super) fn number(&mut self, kind: Kind, name: &str) -> Option<u32> {
        if let Some(id) = self.of_kind(kind).get(name) {
            return Some(*id);
        }
        let id = self.next;
        self.take_up(Series { id, kind, name: name.into() }).then_some(id)
    }

    /// Takes up a series with the number that it had; says whether there was room, and nothing else under this number or name.
    pub(super) fn take_up(&mut self, series: Series) -> bool {
        // The last number is never given out: there is always a next one.
        if self.is_full() || series.name.len() > NAME_BYTES_MAX || series.id == u32::MAX {
            return false;
        }
        if self.by_id.contains_key(&series.id) || self.of_kind(series.kind).contains_key(&series.name) {
            return false;
        }
        self.next = self.next.max(series.id.saturating_add(1));
        self.of_kind(series.kind).insert(series.name.clone(), series.id);
        self.by_id.insert(series.id, Arc::new(series));
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() >= self.max
    }

    /// Whether so much is taken that only what matters most should take more.
    pub(super) fn is_crowded(&self) -> bool {
        self.by_id.len() >= self.max / 2
    }

    /// Whether a series is known.
    pub(super) fn knows(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Counter => self.counters.contains_key(name),
            Kind::Gauge => self.gauges.contains_key(name),
        }
    }

    pub(super) fn by_id(&self, id: u32) -> Option<&Arc<Series>> {
        self.by_id.get(&id)
    }

    pub(super) fn all(&self) -> HashMap<u32, Arc<Series>> {
        self.by_id.clone()
    }

    /// Numbers up to here were given out, whether they are still known or not.
    pub(super) fn used_up_to(&mut self, id: u32) {
        self.next = self.next.max(id.saturating_add(1));
    }

    /// Forgets what is not among these.
    pub(super) fn retain(&mut self, used: &BTreeSet<u32>) {
        self.by_id.retain(|id, _| used.contains(id));
        self.counters.retain(|_, id| used.contains(id));
        self.gauges.retain(|_, id| used.contains(id));
    }

    fn of_kind(&mut self, kind: Kind) -> &mut HashMap<Box<str>, u32> {
        match kind {
            Kind::Counter => &mut self.counters,
            Kind::Gauge => &mut self.gauges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_numbers_are_not_given_twice() {
        let mut names = Names::new(2);
        assert_eq!(names.number(Kind::Counter, "a"), Some(0));
        assert_eq!(names.number(Kind::Gauge, "a"), Some(1), "another series");
        assert_eq!(names.number(Kind::Counter, "a"), Some(0));
        assert_eq!(names.number(Kind::Counter, "b"), None, "no room");
        names.retain(&BTreeSet::from([1]));
        assert_eq!(names.number(Kind::Counter, "b"), Some(2));
        assert_eq!(names.by_id(0), None);
        assert_eq!(names.number(Kind::Counter, "a"), None);
        assert_eq!(names.number(Kind::Gauge, "a"), Some(1));
    }

    #[test]
    fn names_that_are_too_long_and_numbers_that_mean_two_things_are_not_taken() {
        let mut names = Names::new(8);
        assert_eq!(names.number(Kind::Counter, &"x".repeat(NAME_BYTES_MAX + 1)), None);
        let series = |id, name: &str| Series { id, kind: Kind::Counter, name: name.into() };
        assert!(names.take_up(series(7, "a")));
        assert!(!names.take_up(series(7, "b")) && !names.take_up(series(8, "a")));
        assert!(!names.take_up(series(u32::MAX, "c")));
        assert_eq!(names.number(Kind::Counter, "d"), Some(8));
    }
}
