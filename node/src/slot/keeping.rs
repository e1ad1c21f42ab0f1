//! Reading and writing slots. Writers of one key take turns within this node; those of different nodes that share a store may
//! lose one another's variant, which costs a hit.
//!
//! Every call to the store has a time limit: a store that does not answer has failed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::desk;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::wire::Label;
use larder_core::fields::Fields;
use larder_core::time::{Millis, Timestamp};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Checked, Index, KeyName, Listed, Slot, supersedes};
use crate::store::{Store, StoreError};

/// Turns are taken by the hash of the key: a bounded number of them, for any number of keys.
const TURNS: usize = 1024;

/// The slots of a store.
pub(crate) struct Keeping {
    store: Arc<dyn Store>,
    turns: Box<[Turn]>,
    hasher: RandomState,
    write_timeout: Duration,
}

#[derive(Default)]
struct Turn {
    writing: Mutex<()>,
    written: AtomicU64,
}

/// What a request selects.
#[derive(Debug)]
pub(crate) enum Kept {
    /// This variant.
    Variant(Checked),
    /// None of those that are kept.
    Others,
    /// Nothing is kept.
    Nothing,
    /// Garbage is kept.
    Damaged,
}

/// A record to be kept.
pub(crate) struct Fill {
    pub(crate) checked: Checked,
    pub(crate) keep: Duration,
    pub(crate) variants_max: usize,
    pub(crate) now: Timestamp,
    /// The variant that this one was made of, where it is selected by something else now.
    pub(crate) replaces: Option<VaryKey>,
}

impl Keeping {
    pub(crate) fn new(store: Arc<dyn Store>, write_timeout: Duration) -> Self {
        let turns = std::iter::repeat_with(Turn::default).take(TURNS).collect();
        Self { store, turns, hasher: RandomState::new(), write_timeout }
    }

    /// The store behind it.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn turn(&self, key: &KeyName) -> Option<&Turn> {
        let hash = self.hasher.hash_one(key);
        self.turns.get(usize::try_from(hash % TURNS as u64).unwrap_or_default())
    }

    /// A number that is another one once something was written under this key.
    pub(crate) fn written(&self, key: &KeyName) -> u64 {
        self.turn(key).map_or(0, |turn| turn.written.load(Ordering::Acquire))
    }

    /// What a request with these fields selects.
    pub(crate) async fn find(&self, key: &KeyName, fields: &Fields, limit: Duration) -> Result<Kept, StoreError> {
        self.within(limit, self.find_unlimited(key, fields)).await
    }

    async fn find_unlimited(&self, key: &KeyName, fields: &Fields) -> Result<Kept, StoreError> {
        match Slot::read(self.store.get(key.place()).await?, key) {
            Slot::Empty => Ok(Kept::Nothing),
            Slot::Damaged => Ok(Kept::Damaged),
            Slot::One(checked) => match desk::select(std::iter::once(&checked.label), fields) {
                Some(_) => Ok(Kept::Variant(checked)),
                None => Ok(Kept::Others),
            },
            Slot::Many(index) => {
                let selected = desk::select(index.0.iter().map(|listed| &listed.label), fields);
                let Some(listed) = selected.and_then(|at| index.0.get(at)) else { return Ok(Kept::Others) };
                self.listed(key, listed).await
            }
        }
    }

    async fn listed(&self, key: &KeyName, listed: &Listed) -> Result<Kept, StoreError> {
        let Some(record) = self.store.get(&listed.place).await? else { return Ok(Kept::Others) };
        match Checked::new(record, key) {
            // Another node may have put another response there; what selects it is the same by its name.
            Some(checked) if checked.label.vary == listed.label.vary => Ok(Kept::Variant(checked)),
            _ => Ok(Kept::Damaged),
        }
    }

    /// Keeps a record; says how many variants had to go for it. `counts` says of what is kept whether it still does.
    pub(crate) async fn put(
        &self,
        key: &KeyName,
        fill: Fill,
        counts: impl Fn(&Label) -> bool,
    ) -> Result<usize, StoreError> {
        let Some(turn) = self.turn(key) else { return Ok(0) };
        let _writing = turn.writing.lock().await;
        let done = self.put_in_turn(key, fill, counts).await;
        turn.written.fetch_add(1, Ordering::Release);
        done
    }

    /// Makes another record of the one that `is_base` knows; `None` where there is none.
    pub(crate) async fn remake(
        &self,
        key: &KeyName,
        is_base: impl Fn(&Label, u32) -> bool,
        make: impl FnOnce(Checked) -> Option<Fill>,
    ) -> Result<Option<()>, StoreError> {
        let Some(turn) = self.turn(key) else { return Ok(None) };
        let _writing = turn.writing.lock().await;
        let base = match Slot::read(self.within(self.write_timeout, self.store.get(key.place())).await?, key) {
            Slot::One(checked) => Some(checked),
            Slot::Many(index) => match index.0.iter().find(|listed| is_base(&listed.label, listed.body_bytes)) {
                Some(listed) => match self.within(self.write_timeout, self.listed(key, listed)).await? {
                    Kept::Variant(checked) => Some(checked),
                    _ => None,
                },
                None => None,
            },
            Slot::Empty | Slot::Damaged => None,
        };
        let Some(fill) = base.filter(|base| is_base(&base.label, base.body_bytes)).and_then(make) else {
            return Ok(None);
        };
        let done = self.put_in_turn(key, fill, |_| true).await;
        turn.written.fetch_add(1, Ordering::Release);
        done.map(|_| Some(()))
    }

    /// Removes everything under a key.
    pub(crate) async fn forget(&self, key: &KeyName) -> Result<(), StoreError> {
        let Some(turn) = self.turn(key) else { return Ok(()) };
        let _writing = turn.writing.lock().await;
        let slot = Slot::read(self.within(self.write_timeout, self.store.get(key.place())).await?, key);
        self.within(self.write_timeout, self.store.remove(key.place())).await?;
        if let Slot::Many(index) = slot {
            self.remove(&index.0).await?;
        }
        Ok(())
    }

    async fn put_in_turn(
        &self,
        key: &KeyName,
        fill: Fill,
        counts: impl Fn(&Label) -> bool,
    ) -> Result<usize, StoreError> {
        let vary = fill.checked.label.vary.clone();
        if vary.0.is_empty() {
            // It answers every request: whatever else is there is not selected any more.
            self.write(key.place(), fill.checked.record, fill.keep).await?;
            return Ok(0);
        }
        let ends = fill.now.plus(millis(fill.keep));
        let slot = Slot::read(self.within(self.write_timeout, self.store.get(key.place())).await?, key);
        // The only variant of a key has lain under the key's name. How long it is kept there is not known: as long as this one.
        let (only, listed) = match slot {
            Slot::One(old) if counts(&old.label) => match key.place_of(&old.label.vary) {
                Some(place) => (Some(old.record), vec![Listed::new(place, &old.label, old.body_bytes, ends)]),
                None => (None, Vec::new()),
            },
            Slot::Many(index) => (None, index.0),
            Slot::One(_) | Slot::Empty | Slot::Damaged => (None, Vec::new()),
        };
        let stays = |old: &Listed| {
            let old_vary = &old.label.vary;
            old.ends > fill.now && !supersedes(&vary, old_vary) && fill.replaces.as_ref() != Some(old_vary)
        };
        let (mut stay, mut go): (Vec<Listed>, Vec<Listed>) = listed.into_iter().partition(stays);
        let superseded = go.len();
        go.extend(stay.drain(fill.variants_max.saturating_sub(1).min(stay.len())..));
        let dropped = go.len() - superseded;
        if only.is_some() {
            go.clear(); // it lies under the key's own name, which is written anew
        }
        let place = key.place_of(&vary);
        match place.filter(|_| !stay.is_empty()) {
            None => self.write(key.place(), fill.checked.record, fill.keep).await?,
            Some(place) => {
                if let (Some(record), Some(listed)) = (only, stay.first()) {
                    self.write(&listed.place, record, fill.keep).await?;
                }
                self.write(&place, fill.checked.record.clone(), fill.keep).await?;
                go.retain(|old| old.place != place);
                stay.insert(0, Listed::new(place, &fill.checked.label, fill.checked.body_bytes, ends));
                let last = stay.iter().map(|listed| listed.ends).max().unwrap_or(ends);
                let keep = Duration::from_millis(last.since(fill.now).0);
                self.write(key.place(), Index(stay).encode(), keep).await?;
            }
        }
        self.remove(&go).await?;
        Ok(dropped)
    }

    async fn write(&self, place: &crate::store::Name, record: Bytes, keep: Duration) -> Result<(), StoreError> {
        self.within(self.write_timeout, self.store.put(place, record, keep)).await
    }

    async fn remove(&self, gone: &[Listed]) -> Result<(), StoreError> {
        for listed in gone {
            self.within(self.write_timeout, self.store.remove(&listed.place)).await?;
        }
        Ok(())
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(limit, work).await.unwrap_or(Err(StoreError::TimedOut { store: self.store.kind() }))
    }
}

fn millis(span: Duration) -> Millis {
    crate::clock::millis(span)
}
