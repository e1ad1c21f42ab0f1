//! Storing, freshening and giving back.

use std::time::Duration;

use larder_core::cluster::message::{Freshen, Refusal, Release, Store, StoreAnswer};
use larder_core::decide::vary::VaryKey;
use larder_core::entry::wire::{self, Label};
use larder_core::entry::{Entry, Facts};
use larder_core::time::{Millis, Seconds, Timestamp};

use super::Desk;
use crate::counts::Filled;
use crate::following::Since;
use crate::slot::{Checked, Fill, KeyName};
use crate::store::StoreError;

/// Clocks that differ by less are taken for the same: the difference is mostly the way here.
const SKEW: Millis = Millis(1000);

impl Desk {
    /// Stores a response.
    pub(crate) async fn store(&self, key: &KeyName, store: &Store) -> StoreAnswer {
        let outcome = self.try_store(key, store).await;
        self.settle(key, store.lease, outcome, Filled::Stored)
    }

    /// Freshens a stored response.
    pub(crate) async fn freshen(&self, key: &KeyName, freshen: &Freshen) -> StoreAnswer {
        let outcome = self.try_freshen(key, freshen).await;
        self.settle(key, freshen.lease, outcome, Filled::Freshened)
    }

    /// Takes a lease back, or forgets what is stored.
    pub(crate) async fn release(&self, key: &KeyName, release: &Release) -> StoreAnswer {
        let forgotten = if release.forget { self.keeping.forget(key).await } else { Ok(()) };
        if release.forget {
            self.counts.fills.add(Filled::Forgotten);
        }
        let ended = self.leases().end(key.as_str(), release.lease);
        if release.uncacheable {
            self.counts.fills.add(Filled::Uncacheable);
            self.leases().note_uncacheable(key.as_str(), self.clock.now());
            self.waiting.all(key);
        } else if ended {
            self.waiting.one(key);
        }
        self.counts.fills.add(Filled::Released);
        match forgotten {
            Ok(()) => StoreAnswer::Done,
            Err(error) => StoreAnswer::Refused(self.refusal(&error)),
        }
    }

    async fn try_store(&self, key: &KeyName, store: &Store) -> Result<(), Refusal> {
        let (entry, fresh_until) = wire::decode(&store.record, key.as_str()).map_err(|_| Refusal::Damaged)?;
        let now = self.clock.now();
        let skew = Skew { from: store.now, to: now };
        let record = if skew.matters() {
            let entry = Entry::new(skew.moved(entry.into_facts()));
            wire::encode(&entry, key.as_str(), skew.moved_time(fresh_until), true).into()
        } else {
            store.record.clone()
        };
        let checked = Checked::new(record, key).ok_or(Refusal::Damaged)?;
        self.admit(&checked).await?;
        let fill = self.fill(checked, store.keep_for, store.variants_max, now, None);
        let counts = |label: &Label| self.following.since(label) == Since::Good;
        match self.keeping.put(key, fill, counts).await {
            Ok(dropped) => {
                (0..dropped).for_each(|_| self.counts.fills.add(Filled::VariantDropped));
                Ok(())
            }
            Err(error) => Err(self.refusal(&error)),
        }
    }

    async fn try_freshen(&self, key: &KeyName, freshen: &Freshen) -> Result<(), Refusal> {
        let (confirmed, fresh_until) = wire::decode(&freshen.record, key.as_str()).map_err(|_| Refusal::Damaged)?;
        // Only the head counts, and it has no body yet.
        let checked = Checked::new(freshen.record.clone(), key).ok_or(Refusal::Damaged)?;
        self.admit(&checked).await?;
        let now = self.clock.now();
        let skew = Skew { from: freshen.now, to: now };
        let is_base = |label: &Label, body_bytes: u32| {
            body_bytes == freshen.body_bytes && skew.is_same(label.received, freshen.base)
        };
        let mut refusal = Refusal::OtherResponse;
        let make = |base: Checked| {
            let (stored, _) = wire::decode_checked(&base.record, key.as_str()).ok()?;
            // Where times were moved, the same time alone does not say that it is the same response.
            if freshen.base != base.label.received && (stored.etag().is_none() || stored.etag() != confirmed.etag()) {
                return None;
            }
            let replaces = stored.facts().vary.clone();
            let facts = Facts { body: stored.into_facts().body, ..confirmed.into_facts() };
            let (facts, fresh_until) = match skew.matters() {
                true => (skew.moved(facts), skew.moved_time(fresh_until)),
                false => (facts, fresh_until),
            };
            let record = wire::encode(&Entry::new(facts), key.as_str(), fresh_until, true);
            let checked = Checked::new(record.into(), key)?;
            if checked.body_bytes > self.limits.object_bytes_max {
                refusal = Refusal::TooLarge;
                return None;
            }
            Some(self.fill(checked, freshen.keep_for, self.limits.variants_max, now, Some(replaces)))
        };
        match self.keeping.remake(key, is_base, make).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(refusal),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// Whether a record is within the limits and not purged.
    async fn admit(&self, checked: &Checked) -> Result<(), Refusal> {
        let head_bytes = checked.record.len() as u64 - u64::from(checked.body_bytes);
        if checked.body_bytes > self.limits.object_bytes_max || head_bytes > u64::from(self.limits.head_bytes_max) {
            return Err(Refusal::TooLarge);
        }
        if checked.label.tags.len() as u64 > u64::from(self.limits.tags_max) {
            return Err(Refusal::Tags);
        }
        // The newest position, so that the table has taken up whatever this node has acknowledged.
        self.following.head().await.map_err(|_| Refusal::Store)?;
        match self.following.since(&checked.label) {
            Since::Good => Ok(()),
            Since::Purged => Err(Refusal::Purged),
            Since::OtherLog => Err(Refusal::OtherLog),
        }
    }

    fn fill(
        &self,
        checked: Checked,
        keep_for: Seconds,
        variants_max: u32,
        now: Timestamp,
        replaces: Option<VaryKey>,
    ) -> Fill {
        let keep = Duration::from_millis(keep_for.as_millis().0);
        let variants_max = variants_max.clamp(1, self.limits.variants_max.max(1)) as usize;
        Fill { checked, keep, variants_max, now, replaces }
    }

    /// Ends the lease and tells those who wait.
    fn settle(&self, key: &KeyName, lease: u64, outcome: Result<(), Refusal>, what: Filled) -> StoreAnswer {
        let ended = self.leases().end(key.as_str(), lease);
        match outcome {
            Ok(()) => {
                self.counts.fills.add(what);
                self.leases().note_cacheable(key.as_str());
                self.waiting.all(key);
                StoreAnswer::Done
            }
            Err(refusal) => {
                self.counts.refusals.add(refusal);
                if matches!(refusal, Refusal::TooLarge | Refusal::Tags) {
                    // The next one fetched would not be stored either.
                    self.leases().note_uncacheable(key.as_str(), self.clock.now());
                    self.waiting.all(key);
                } else if ended {
                    self.waiting.one(key);
                }
                StoreAnswer::Refused(refusal)
            }
        }
    }

    fn refusal(&self, error: &StoreError) -> Refusal {
        match error {
            StoreError::TooLarge { .. } => Refusal::TooLarge,
            _ => Refusal::Store,
        }
    }
}

/// The difference between a worker's clock and this node's.
#[derive(Clone, Copy, Debug)]
struct Skew {
    from: Timestamp,
    to: Timestamp,
}

impl Skew {
    fn matters(self) -> bool {
        self.from.since(self.to) > SKEW || self.to.since(self.from) > SKEW
    }

    fn moved_time(self, time: Timestamp) -> Timestamp {
        let later = self.to.since(self.from).0;
        let earlier = self.from.since(self.to).0;
        Timestamp(time.0.saturating_add(later).saturating_sub(earlier))
    }

    /// The times that the worker's clock gave; the origin's `Date` stays.
    fn moved(self, mut facts: Facts) -> Facts {
        facts.times.request = self.moved_time(facts.times.request);
        facts.times.response = self.moved_time(facts.times.response);
        facts
    }

    /// Whether a worker's time is the stored one: to the millisecond, unless it was moved.
    fn is_same(self, stored: Timestamp, worker: Timestamp) -> bool {
        let moved = self.moved_time(worker);
        let near = moved.since(stored) <= SKEW && stored.since(moved) <= SKEW;
        stored == worker || (self.matters() && near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_by_the_difference_of_the_clocks_where_it_matters() {
        for (from, to, matters, moved) in
            [(5000, 5900, false, 3900), (5000, 7000, true, 5000), (7000, 5000, true, 1000), (90_000, 5000, true, 0)]
        {
            let skew = Skew { from: Timestamp(from), to: Timestamp(to) };
            assert_eq!((skew.matters(), skew.moved_time(Timestamp(3000)).0), (matters, moved), "{from} {to}");
        }
    }

    #[test]
    fn a_time_is_the_same_to_the_millisecond_unless_it_was_moved() {
        let near = Skew { from: Timestamp(5000), to: Timestamp(5500) };
        assert!(near.is_same(Timestamp(10), Timestamp(10)) && !near.is_same(Timestamp(11), Timestamp(10)));
        let far = Skew { from: Timestamp(5000), to: Timestamp(9000) };
        assert!(far.is_same(Timestamp(4010), Timestamp(10)) && far.is_same(Timestamp(4500), Timestamp(10)));
        assert!(!far.is_same(Timestamp(6000), Timestamp(10)));
    }
}
