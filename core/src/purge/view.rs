//! What one worker knows of purges: those it made or was told by its neighbours, in an order of its own, and those of the
//! cluster's log, in the log's order.
//!
//! Invariant: a copy is used only where neither order has a later record that matches it. What the worker itself purges counts
//! at once; until the log has come back with it, nothing that the cluster hands out is taken for newer than that purge. The same goes for
//! what a neighbour purges, who tells the cluster and then says where in the log it is: for a while at most, should the neighbour not live
//! to do so. Nor is a place in the log waited for longer to which the log, though it is heard, does not come: whoever named it was wrong.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use super::{Covered, Made, Mode, Position, PurgeTable, Record, Scope, Sequence};
use crate::time::{Millis, Timestamp};

/// A neighbour that has not said for so long that it is still telling the cluster never will: longer than from one attempt to the next.
/// And a log that was heard for so long is where it was said to be, if it ever will.
const WAITED_FOR: Millis = Millis(20_000);
/// From one look at the clock to the next no more is taken to have passed: it may have been set.
const STEP_MAX: Millis = Millis(5_000);

/// More than this is not waited for: then what the cluster hands out may be older by the time that a purge travels.
const UNCONFIRMED_MAX: usize = 4096;

/// Up to where a copy of a response is known not to be covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// In the cluster's log.
    pub position: Position,
    /// In the worker's own order.
    pub own: Sequence,
    /// A soft purge that this worker may never have heard of covers it.
    pub soft: bool,
}

/// A worker's purges.
#[derive(Debug)]
pub struct Purges<S> {
    own: PurgeTable<S>,
    log: PurgeTable<S>,
    log_id: u64,
    /// Own purges that the log has not come back with, oldest first: the first of each, and its place in the log once known.
    unconfirmed: VecDeque<Unconfirmed>,
    /// When the clock was last looked at.
    looked: Timestamp,
    capacity: usize,
    hasher: S,
}

#[derive(Debug)]
struct Unconfirmed {
    first: Sequence,
    last: Sequence,
    at: Option<Position>,
    /// A neighbour's.
    told: Option<Made>,
    /// For how long nothing was heard of it.
    silent: Millis,
}

impl Unconfirmed {
    /// Whether it is up to the neighbour or to the log. What is not taken up yet, this worker sends again itself.
    fn is_up_to_others(&self) -> bool {
        self.told.is_some() || self.at.is_some()
    }
}

impl<S: BuildHasher + Clone> Purges<S> {
    /// Nothing purged. Up to `capacity` URLs and tags are remembered one by one, in either order.
    pub fn new(capacity: usize, hasher: S) -> Self {
        Self {
            own: PurgeTable::new(capacity, hasher.clone()),
            log: PurgeTable::new(capacity, hasher.clone()),
            log_id: 0,
            unconfirmed: VecDeque::new(),
            looked: Timestamp(0),
            capacity,
            hasher,
        }
    }

    /// Where a request that begins now stands.
    pub fn now(&self) -> Standing {
        Standing { position: self.position(), own: self.own.head(), soft: false }
    }

    /// How far the log has been heard.
    pub fn position(&self) -> Position {
        Position { log: self.log_id, sequence: self.log.head() }
    }

    /// Where a request that begins now stands, knowing that the log has come to `position` at least.
    pub fn at_least(&self, position: Position) -> Standing {
        let here = self.now();
        let ahead = position.log == here.position.log && position.sequence > here.position.sequence;
        if ahead { Standing { position, ..here } } else { here }
    }

    /// Whether whoever has the log up to `position` knows of every purge that this worker knows of.
    pub fn are_known_to(&self, position: Position) -> bool {
        let here = self.position();
        position.log == here.log && position.sequence >= here.sequence && self.unconfirmed.is_empty()
    }

    /// Whether a later record covers a copy.
    pub fn covers<'a>(&self, url: &str, tags: impl Iterator<Item = &'a str> + Clone, standing: Standing) -> Covered {
        if standing.position.log != self.log_id {
            return Covered::Hard;
        }
        let by_log = self.log.covers(url, tags.clone(), standing.position.sequence);
        let by_own = self.own.covers(url, tags, standing.own);
        let known = if standing.soft { Covered::Soft } else { Covered::No };
        by_log.max(by_own).max(known)
    }

    /// A purge that this worker makes, or is told by a neighbour.
    pub fn append(&mut self, scope: Scope, mode: Mode) -> Sequence {
        self.own.append(scope, mode).sequence
    }

    /// A purge that a neighbour has made, and tells the cluster of.
    pub fn told(&mut self, made: Made, scope: Scope, mode: Mode) {
        let sequence = self.append(scope, mode);
        if self.unconfirmed.len() < UNCONFIRMED_MAX {
            let (first, last) = (sequence, sequence);
            self.unconfirmed.push_back(Unconfirmed { first, last, at: None, told: Some(made), silent: Millis(0) });
        }
    }

    /// A neighbour says where in the log its purge is.
    pub fn confirmed(&mut self, made: Made, at: Position) {
        for waiting in &mut self.unconfirmed {
            if waiting.told == Some(made) {
                (waiting.at, waiting.silent) = (Some(at), Millis(0));
            }
        }
        self.confirm();
    }

    /// A neighbour has yet to tell the cluster, and goes on trying.
    pub fn still_telling(&mut self, by: u32) {
        for waiting in &mut self.unconfirmed {
            if waiting.told.is_some_and(|made| made.by == by) {
                waiting.silent = Millis(0);
            }
        }
    }

    /// Time has passed, and the log is heard: what is up to others is not waited for any longer.
    pub fn give_up(&mut self, now: Timestamp) {
        let passed = now.since(self.looked).min(STEP_MAX);
        self.looked = now;
        for waiting in self.unconfirmed.iter_mut().filter(|waiting| waiting.is_up_to_others()) {
            waiting.silent = Millis(waiting.silent.0.saturating_add(passed.0));
        }
        let is_over = |waiting: &Unconfirmed| waiting.is_up_to_others() && waiting.silent > WAITED_FOR;
        while self.unconfirmed.front().is_some_and(is_over) {
            self.unconfirmed.pop_front();
        }
        self.confirm();
    }

    /// The purges from `first` to `last` are on their way to the log.
    pub fn sent(&mut self, first: Sequence, last: Sequence) {
        self.unconfirmed.push_back(Unconfirmed { first, last, at: None, told: None, silent: Millis(0) });
    }

    /// The log has taken up the purges that end with `last`.
    pub fn acknowledged(&mut self, last: Sequence, at: Position) {
        if let Some(waiting) = self.unconfirmed.iter_mut().find(|waiting| waiting.last == last) {
            (waiting.at, waiting.silent) = (Some(at), Millis(0));
        }
        self.confirm();
    }

    /// Takes up a record of the log.
    pub fn heard(&mut self, record: &Record) {
        self.log.apply(record);
    }

    /// Everything up to `head` of the log has been heard.
    pub fn heard_up_to(&mut self, head: Sequence) {
        self.log.advance(head);
        self.confirm();
    }

    /// Another log, or a place in this one from which on its records are known: whatever stands before is covered.
    pub fn begin_at(&mut self, position: Position) {
        self.log = PurgeTable::beginning_at(self.capacity, self.hasher.clone(), position.sequence);
        self.log_id = position.log;
        self.confirm();
    }

    /// Where a copy stands that the cluster handed out when its log was at `position`: it has looked at everything up to there.
    pub fn standing_of(&self, position: Position, soft: bool) -> Standing {
        let before = |first: Sequence| Sequence(first.0.saturating_sub(1));
        let own = self.unconfirmed.front().map_or(self.own.head(), |waiting| before(waiting.first));
        Standing { position, own, soft }
    }

    fn confirm(&mut self) {
        let here = self.position();
        let is_here = |at: Position| at.log != here.log || at.sequence <= here.sequence;
        while self.unconfirmed.front().is_some_and(|waiting| waiting.at.is_some_and(is_here)) {
            self.unconfirmed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::fast::FixedState;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const LOG: u64 = 7;
    const MADE: Made = Made { by: 2, number: 5 };

    fn at(sequence: u64) -> Position {
        Position { log: LOG, sequence: Sequence(sequence) }
    }

    fn purges() -> Purges<FixedState> {
        let mut purges = Purges::new(64, FixedState::with_seed(1));
        purges.begin_at(at(10));
        purges
    }

    fn tag(sequence: u64, tag: &str, mode: Mode) -> Record {
        Record { sequence: Sequence(sequence), scope: Scope::Tag(tag.into()), mode }
    }

    fn covered(purges: &Purges<FixedState>, standing: Standing) -> Covered {
        purges.covers("http://h/a", ["t"].into_iter(), standing)
    }

    #[test]
    fn what_came_before_the_log_was_followed_is_covered() {
        let purges = purges();
        assert_eq!(covered(&purges, Standing { position: at(9), ..Standing::default() }), Covered::Hard);
        assert_eq!(covered(&purges, Standing { position: at(10), ..Standing::default() }), Covered::No);
    }

    #[test]
    fn positions_of_another_log_are_covered() {
        let mut purges = purges();
        let standing = purges.now();
        purges.begin_at(Position { log: 8, sequence: Sequence(0) });
        assert_eq!(covered(&purges, standing), Covered::Hard);
        assert_eq!(covered(&purges, purges.now()), Covered::No);
    }

    #[test]
    fn either_order_covers_and_the_harder_word_counts() {
        let mut purges = purges();
        let standing = purges.now();
        purges.heard(&tag(11, "t", Mode::Soft));
        purges.heard_up_to(Sequence(12));
        assert_eq!(covered(&purges, standing), Covered::Soft);
        assert_eq!(covered(&purges, purges.now()), Covered::No);
        purges.append(Scope::Url("http://h/a".into()), Mode::Hard);
        assert_eq!(covered(&purges, standing), Covered::Hard);
    }

    #[test]
    fn what_a_neighbour_purges_counts_against_the_cluster_until_the_log_brings_it() {
        let mut purges = purges();
        purges.told(MADE, Scope::Tag("t".into()), Mode::Hard);
        // Handed out by a node that has not heard of it.
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard);
        // What comes first is a purge of the same name that somebody else had made before.
        purges.heard(&tag(11, "t", Mode::Hard));
        purges.heard_up_to(Sequence(11));
        assert_eq!(covered(&purges, purges.standing_of(at(11), false)), Covered::Hard);
        purges.confirmed(Made { number: 4, ..MADE }, at(11));
        assert_eq!(covered(&purges, purges.standing_of(at(11), false)), Covered::Hard, "another one's");
        purges.confirmed(MADE, at(12));
        assert_eq!(covered(&purges, purges.standing_of(at(11), false)), Covered::Hard, "the log is not heard so far");
        purges.heard(&tag(12, "t", Mode::Hard));
        purges.heard_up_to(Sequence(12));
        assert_eq!(covered(&purges, purges.standing_of(at(12), false)), Covered::No);
        assert_eq!(covered(&purges, purges.standing_of(at(11), false)), Covered::Hard, "by the log itself");
    }

    #[test]
    fn a_neighbour_that_never_tells_the_cluster_is_not_waited_for_for_ever() {
        let mut purges = purges();
        let mut now = Timestamp(0);
        let mut pass = |purges: &mut Purges<FixedState>, millis: u64| {
            now = now.plus(Millis(millis));
            purges.give_up(now);
        };
        pass(&mut purges, 0);
        purges.told(MADE, Scope::Tag("t".into()), Mode::Hard);
        (0..3).for_each(|_| pass(&mut purges, 3_000));
        purges.still_telling(MADE.by + 1);
        purges.still_telling(MADE.by);
        (0..5).for_each(|_| pass(&mut purges, 3_000));
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard);
        // The clock is set: that is nobody's silence.
        pass(&mut purges, 1_000_000);
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard);
        pass(&mut purges, 1);
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::No);
    }

    #[test]
    fn a_place_that_the_log_does_not_come_to_is_not_waited_for_for_ever() {
        let mut purges = purges();
        let mut now = Timestamp(0);
        let mut pass = |purges: &mut Purges<FixedState>, times: usize| {
            for _ in 0..times {
                now = now.plus(Millis(5_000));
                purges.give_up(now);
            }
        };
        let own = purges.append(Scope::Tag("t".into()), Mode::Hard);
        purges.sent(own, own);
        pass(&mut purges, 100);
        assert!(!purges.are_known_to(at(10)), "it is sent again and again");
        purges.acknowledged(own, at(1 << 40));
        pass(&mut purges, 4);
        assert!(!purges.are_known_to(at(10)));
        pass(&mut purges, 1);
        assert!(purges.are_known_to(at(10)));
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::No);
        purges.told(MADE, Scope::Tag("t".into()), Mode::Hard);
        pass(&mut purges, 4);
        purges.confirmed(MADE, at(1 << 40));
        pass(&mut purges, 4);
        assert!(!purges.are_known_to(at(10)), "the log has its time after the neighbour's word");
        pass(&mut purges, 1);
        assert!(purges.are_known_to(at(10)));
    }

    #[test]
    fn a_copy_handed_out_as_softly_purged_stays_so() {
        let purges = purges();
        assert_eq!(covered(&purges, purges.standing_of(at(10), true)), Covered::Soft);
    }

    #[test]
    fn what_the_cluster_hands_out_is_older_than_a_purge_that_it_has_not_confirmed() {
        let mut purges = purges();
        let own = purges.append(Scope::Tag("t".into()), Mode::Hard);
        purges.sent(own, own);
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard);
        // Taken up by the log at 11, but this worker's view of the log is still at 10.
        purges.acknowledged(own, at(11));
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard);
        purges.heard(&tag(11, "t", Mode::Hard));
        purges.heard_up_to(Sequence(11));
        assert_eq!(covered(&purges, purges.standing_of(at(10), false)), Covered::Hard, "by the log's own record");
        assert_eq!(covered(&purges, purges.standing_of(at(11), false)), Covered::No);
    }
}
