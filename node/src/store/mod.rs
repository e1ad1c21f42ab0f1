//! Stores: bytes by name, each kept for a time. What the bytes mean, and whether they may still be used, is not decided here.
//!
//! A store may lose anything at any time (that costs hits), and may hand out garbage (the reader checks what it gets). It must not
//! hand out under one name what was put under another, nor keep what was removed, nor wait without a limit.
//!
//! Operations cost what they touch: no scans, no index of names.

#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "memcached")]
pub mod memcached;
pub mod memory;
mod open;
#[cfg(feature = "redis")]
pub mod redis;
// Not every store needs every kind of parameter.
#[cfg_attr(not(feature = "memcached"), allow(dead_code))]
pub(crate) mod url;

pub use open::open;
pub use url::OpenError;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A name: what a key is known by in a store. 1 to 64 characters of `A-Z a-z 0-9 - _ .`, so that every store takes it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// The longest name.
    pub const MAX: usize = 64;

    /// A name from text; `None` where the text is not one.
    pub fn new(text: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let fits = !text.is_empty() && text.len() <= Self::MAX && text.bytes().all(good);
        fits.then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a store did not do what it was asked. Always a miss for whoever asked; the kind is a counter's label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached.
    #[error("{store} cannot be reached: {why}")]
    Unreachable {
        /// Which one.
        store: &'static str,
        /// In the store's words.
        why: String,
    },
    /// The store did not answer in time.
    #[error("{store} did not answer in time")]
    TimedOut {
        /// Which one.
        store: &'static str,
    },
    /// The store refused.
    #[error("{store} refused: {why}")]
    Refused {
        /// Which one.
        store: &'static str,
        /// In the store's words.
        why: String,
    },
    /// The value is larger than this store takes.
    #[error("{bytes} bytes are more than {store} takes ({bytes_max})")]
    TooLarge {
        /// Which one.
        store: &'static str,
        /// Of the value.
        bytes: u64,
        /// What it takes.
        bytes_max: u64,
    },
}

/// What a store knows about itself. `None` is unknown (another process keeps it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory for stored values.
    pub memory_bytes: Option<u64>,
    /// The limit on these.
    pub memory_bytes_max: Option<u64>,
    /// Bytes on disk.
    pub disk_bytes: Option<u64>,
    /// The limit on these.
    pub disk_bytes_max: Option<u64>,
    /// Values stored.
    pub items: Option<u64>,
    /// Values that went because space was short, since the start.
    pub evictions: Option<u64>,
}

/// A store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What it is: a counter's label, and the beginning of its URL.
    fn kind(&self) -> &'static str;

    /// The value under a name.
    async fn get(&self, name: &Name) -> Result<Option<Bytes>, StoreError>;

    /// The values under several names, in their order. Batched where the store can; one that is unreachable fails the whole.
    async fn get_many(&self, names: &[Name]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            values.push(self.get(name).await?);
        }
        Ok(values)
    }

    /// Puts a value under a name, in place of what was there. It is gone after `keep` at the latest. When this returns, a `get` finds
    /// it, and a store that survives a restart of the node has it.
    async fn put(&self, name: &Name, value: Bytes, keep: Duration) -> Result<(), StoreError>;

    /// Removes what is under a name. Nothing there is no error.
    async fn remove(&self, name: &Name) -> Result<(), StoreError>;

    /// Whether it would answer now.
    async fn check(&self) -> Result<(), StoreError>;

    /// What it knows about itself. Costs nothing worth mentioning.
    fn usage(&self) -> Usage;

    /// Nothing more will be asked: whatever is only in memory of what must survive is written.
    async fn close(&self) -> Result<(), StoreError>;
}
