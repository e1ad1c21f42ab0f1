//! The store in memory: bounded in bytes, gone with the process.
//!
//! Holds values and when they expire; what is evicted when space is short is `quick_cache`'s matter (a scan-resistant clock).
//! Invariant: the sum of all items' weights, overhead included, is never over the limit. Expired values are found at the next
//! `get`, or evicted like others: nothing walks through the store.
//!
//! Values are copied when they are put: what comes from a socket may be a slice of a much larger buffer, and would hold all of it
//! while only the slice is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::time::Timestamp;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::{Name, Store, StoreError, Usage};
use crate::clock::{Clock, millis};

/// What the memory store calls itself.
pub const KIND: &str = "memory";

/// The limit when none is given.
pub const BYTES_DEFAULT: u64 = 256 << 20;

/// The least limit that makes sense: below it, the tables outweigh the values.
pub const BYTES_MIN: u64 = 1 << 20;

/// What an item costs beside the bytes of its name and value. Measured (examples/stores.rs): 112 for the slab's slot, its share of
/// the hash table, and the allocator's headers and rounding; 40 more for the reference count that the first `get` makes; and a
/// little for what is remembered of the evicted.
const ITEM_OVERHEAD_BYTES: u64 = 176;

/// Bytes of one shard. Each shard evicts for itself, so it has to be large beside the largest value.
const SHARD_BYTES: u64 = 32 << 20;

/// More shards than this bring nothing: a shard is locked for less than a microsecond.
const SHARDS_MAX: u64 = 64;

/// What values weigh on average, for the first size of the tables.
const VALUE_BYTES_USUAL: u64 = 4096;

/// Values in memory, by name, within a limit of bytes.
pub(crate) struct Shelf {
    cache: Cache<Name, Kept, Weigher, DefaultHashBuilder, Evictions>,
    evictions: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    until: Timestamp,
}

impl Shelf {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let shards = previous_power_of_two((bytes_max / SHARD_BYTES).clamp(1, SHARDS_MAX));
        let shard_bytes = bytes_max / shards;
        let items = usize::try_from(bytes_max / VALUE_BYTES_USUAL).unwrap_or(usize::MAX);
        let evictions = Evictions::default();
        let counter = evictions.0.clone();
        // A multiple of the shards: each rounds its share up.
        let weight = shard_bytes * shards;
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(items)
            .weight_capacity(weight)
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(options, Weigher, DefaultHashBuilder::default(), evictions),
            // Options lack nothing here; were it so, quick_cache's own defaults do.
            Err(_) => Cache::with(items, weight, Weigher, DefaultHashBuilder::default(), evictions),
        };
        Self { cache, evictions: counter }
    }

    /// The largest value that fits: quick_cache turns away what is larger than the hot part of a shard, and half a shard is safely
    /// within.
    pub(crate) fn value_bytes_max(&self) -> u64 {
        (self.cache.shard_capacity() / 2).saturating_sub(ITEM_OVERHEAD_BYTES + Name::MAX as u64)
    }

    /// Sets another limit, and evicts what is over it.
    #[cfg(feature = "disk")]
    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        self.cache.set_capacity(bytes_max);
    }

    pub(crate) fn get(&self, name: &Name, now: Timestamp) -> Option<Bytes> {
        let kept = self.cache.get(name)?;
        if kept.until > now {
            return Some(kept.value);
        }
        // Only if it is still the expired one: another may have been put meanwhile.
        self.cache.remove_if(name, |kept| kept.until <= now);
        None
    }

    /// Puts a value, which must not be larger than what fits.
    pub(crate) fn put(&self, name: &Name, value: &Bytes, until: Timestamp) {
        let kept = Kept { value: Bytes::copy_from_slice(value), until };
        self.cache.insert(name.clone(), kept);
    }

    pub(crate) fn remove(&self, name: &Name) {
        self.cache.remove(name);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.cache.capacity()
    }

    pub(crate) fn items(&self) -> u64 {
        self.cache.len() as u64
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Weigher;

impl Weighter<Name, Kept> for Weigher {
    fn weight(&self, name: &Name, kept: &Kept) -> u64 {
        (name.as_str().len() + kept.value.len()) as u64 + ITEM_OVERHEAD_BYTES
    }
}

/// Counts what went for want of space.
#[derive(Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Name, Kept> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _name: Name, _kept: Kept) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn previous_power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

/// `memory:`, the store that needs nothing.
pub struct MemoryStore {
    shelf: Shelf,
    clock: Box<dyn Clock>,
}

impl MemoryStore {
    /// An empty store of so many bytes at most.
    pub fn new(bytes_max: u64, clock: impl Clock) -> Self {
        Self { shelf: Shelf::new(bytes_max.max(BYTES_MIN)), clock: Box::new(clock) }
    }

    /// The largest value it takes.
    pub fn value_bytes_max(&self) -> u64 {
        self.shelf.value_bytes_max()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError> {
        Ok(self.shelf.get(name, self.clock.now()))
    }

    async fn get_many(&self, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let now = self.clock.now();
        Ok(names.iter().map(|name| self.shelf.get(name, now)).collect())
    }

    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError> {
        let (bytes, bytes_max) = (value.len() as u64, self.shelf.value_bytes_max());
        if bytes > bytes_max {
            return Err(StoreError::TooLarge { store: KIND, bytes, bytes_max });
        }
        if keep.is_zero() {
            self.shelf.remove(name);
        } else {
            self.shelf.put(name, &value, self.clock.now().plus(millis(keep)));
        }
        Ok(())
    }

    async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        self.shelf.remove(name);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage {
            memory_bytes: Some(self.shelf.bytes()),
            memory_bytes_max: Some(self.shelf.bytes_max()),
            items: Some(self.shelf.items()),
            evictions: Some(self.shelf.evictions()),
            ..Usage::default()
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[tokio::test]
    async fn memory_stays_within_the_limit_under_a_flood_of_names() {
        let store = MemoryStore::new(BYTES_MIN, ManualClock::new());
        for number in 0..20_000u32 {
            let value = Bytes::from(vec![7; (number % 3000) as usize]);
            store.put(&name(&format!("n{number}")), value, Duration::from_secs(9)).await.expect("put");
            let usage = store.usage();
            assert!(usage.memory_bytes <= usage.memory_bytes_max, "{usage:?}");
        }
        let usage = store.usage();
        assert_eq!(usage.items.zip(usage.evictions).map(|(items, evictions)| items + evictions), Some(20_000));
    }

    #[tokio::test]
    async fn a_value_expires_to_the_millisecond() {
        let clock = Arc::new(ManualClock::new());
        let store = MemoryStore::new(BYTES_MIN, clock.clone());
        store.put(&name("a"), Bytes::from_static(b"x"), Duration::from_millis(1500)).await.expect("put");
        clock.advance(Duration::from_millis(1499));
        assert!(store.get(&name("a")).await.expect("get").is_some());
        clock.advance(Duration::from_millis(1));
        assert!(store.get(&name("a")).await.expect("get").is_none());
        assert_eq!(store.usage().items, Some(0));
    }

    #[test]
    fn the_limit_is_cut_into_shards_that_hold_large_values() {
        for (bytes_max, value_mib) in [(BYTES_MIN, 0), (64 << 20, 15), (256 << 20, 15), (64 << 30, 511)] {
            let shelf = Shelf::new(bytes_max);
            assert_eq!(shelf.bytes_max(), bytes_max);
            assert_eq!(shelf.value_bytes_max() >> 20, value_mib, "{bytes_max}");
        }
    }
}
