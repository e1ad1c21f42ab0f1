//! Where on disk the newest record of each name is. Lost with the process and built again from the segments' heads.
//!
//! Knows names by their hashes: 24 bytes an entry, whatever a name's length. Whoever follows a slot checks the name it finds there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use larder_core::time::Timestamp;

/// Locked apart from one another, and grown apart: a table that grows is copied while it is locked.
const SHARDS: usize = 64;

/// What an entry costs: 24 bytes and a control byte in a table that is between 7/16 and 7/8 full.
pub const ENTRY_BYTES: u64 = 48;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub segment: u32,
    pub offset: u32,
    pub bytes: u32,
    until_seconds: u32,
}

impl Slot {
    pub fn new(segment: u32, offset: u32, bytes: u32, until: Timestamp) -> Self {
        // Rounded up: the record itself says when exactly.
        let until_seconds = u32::try_from(until.0.div_ceil(1000)).unwrap_or(u32::MAX);
        Self { segment, offset, bytes, until_seconds }
    }

    /// When its value expires, or a little later.
    pub fn until(&self) -> Timestamp {
        match self.until_seconds {
            u32::MAX => Timestamp(u64::MAX),
            seconds => Timestamp::from_secs(u64::from(seconds)),
        }
    }
}

/// One shard's slots by name hash.
pub type Slots = HashMap<u64, Slot, BuildHasherDefault<Hashed>>;

/// The index.
pub struct Index {
    shards: Vec<RwLock<Slots>>,
    entries: AtomicU64,
}

impl Index {
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, entries: AtomicU64::new(0) }
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub fn find(&self, hash: u64) -> Option<Slot> {
        self.read(hash)?.get(&hash).copied()
    }

    /// Runs something while the name's slot is known to be this one: nobody puts or removes the name meanwhile.
    pub fn while_it_is(&self, hash: u64, slot: Slot, run: impl FnOnce()) {
        if let Some(slots) = self.read(hash)
            && slots.get(&hash) == Some(&slot)
        {
            run();
        }
    }

    /// Sets a name's slot, or takes it away, and runs something before anybody sees it. Returns the slot before.
    pub fn set(&self, hash: u64, slot: Option<Slot>, run: impl FnOnce()) -> Option<Slot> {
        let mut slots = self.write(hash)?;
        let before = match slot {
            Some(slot) => slots.insert(hash, slot),
            None => slots.remove(&hash),
        };
        match (before, slot) {
            (None, Some(_)) => self.entries.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => self.entries.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        run();
        before
    }

    /// Takes a name's slot away if it fulfils a condition; says whether it did.
    pub fn forget_if(&self, hash: u64, condition: impl FnOnce(&Slot) -> bool) -> bool {
        let Some(mut slots) = self.write(hash) else { return false };
        if !slots.get(&hash).is_some_and(condition) {
            return false;
        }
        slots.remove(&hash);
        self.entries.fetch_sub(1, Ordering::Relaxed);
        true
    }

    // No shard is ever missing; a lock poisoned by a panic elsewhere guards plain data that is whole at any time.
    fn read(&self, hash: u64) -> Option<RwLockReadGuard<'_, Slots>> {
        Some(self.shards.get(shard_of(hash))?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, hash: u64) -> Option<RwLockWriteGuard<'_, Slots>> {
        Some(self.shards.get(shard_of(hash))?.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which names have been asked for since they were put, nearly: a bit for each of many hashes. Two names with one bit cost or win
/// a second chance they should not have; nothing else hangs on it.
pub struct Touched(Vec<AtomicU64>);

impl Touched {
    /// Bits for so many names.
    pub fn new(names: u64) -> Self {
        let words = usize::try_from(names.div_ceil(64)).unwrap_or(1).max(1);
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn touch(&self, hash: u64) {
        let (word, bit) = self.place(hash);
        if let Some(word) = word.filter(|word| word.load(Ordering::Relaxed) & bit == 0) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether it was touched. It is not any more.
    pub fn take(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        word.is_some_and(|word| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }

    fn place(&self, hash: u64) -> (Option<&AtomicU64>, u64) {
        let bits = self.0.len() as u64 * 64;
        let place = hash % bits.max(1);
        (usize::try_from(place / 64).ok().and_then(|word| self.0.get(word)), 1 << (place % 64))
    }
}

/// By bits that the tables themselves do not begin with, at either end.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// Keys are hashes already.
#[derive(Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only u64 keys come by; anything else would still be hashed, poorly.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
