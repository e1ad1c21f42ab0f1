//! Policies that operators have pushed: their versions, which one is in force, which one runs in its shadow.
//!
//! A store keeps, by the policy's name, a [`Record`] and the texts of its versions. A record changes as a whole, and only from the
//! generation that whoever changes it has seen: of two who change it at once, one does. What changes are allowed is `record`'s to say,
//! the same for every store.
//!
//! Map: `record` (what there is under a name, and its changes), `memory`, `disk`, `redis` (where it is kept), `open` (stores by URL),
//! `current` (what this node knows of it and tells workers).

pub(crate) mod current;
pub(crate) mod disk;
mod memory;
mod open;
pub(crate) mod record;
#[cfg(feature = "redis")]
mod redis;

use std::collections::BTreeMap;

use async_trait::async_trait;

#[cfg(feature = "redis")]
pub use self::redis::RedisPolicies;
pub use disk::DiskPolicies;
pub use memory::MemoryPolicies;
pub use open::{OpenError, beside, open};
pub use record::{
    COMMENT_CHARS_MAX, Change, Changed, InForce, Kind, Next, NotDone, Outcome, Record, VERSIONS_MAX, Version, is_name,
};

/// The most names.
pub const NAMES_MAX: usize = 256;

/// All records, as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Another one with every change.
    pub mark: String,
    /// By name.
    pub records: BTreeMap<String, Record>,
}

/// Why a store of policies did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoliciesError {
    /// The store cannot be reached.
    #[error("the {store} store of policies cannot be reached: {why}")]
    Unreachable {
        /// Which one.
        store: &'static str,
        /// In its words.
        why: String,
    },
    /// No answer in time. What was to be changed may have been changed or not.
    #[error("the {store} store of policies did not answer in time")]
    TimedOut {
        /// Which one.
        store: &'static str,
    },
    /// The store says no.
    #[error("the {store} store of policies refused: {why}")]
    Refused {
        /// Which one.
        store: &'static str,
        /// In its words.
        why: String,
    },
    /// What is stored is not what was stored.
    #[error("the {store} store of policies is damaged: {why}")]
    Damaged {
        /// Which one.
        store: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// There are too many names already.
    #[error("there are policies of {NAMES_MAX} names already, which is the most")]
    TooManyNames,
}

/// Where policies are kept.
#[async_trait]
pub trait PolicyStore: Send + Sync + 'static {
    /// What it is: a counter's label, and the beginning of its URL.
    fn kind(&self) -> &'static str;

    /// Whether other processes change it, too.
    fn is_shared(&self) -> bool;

    /// All records; `None` where there is nothing else than at this mark.
    async fn records(&self, seen: Option<&str>) -> Result<Option<Records>, PoliciesError>;

    /// The text of a version, whole and as it was pushed; `None` where there is none.
    async fn text(&self, name: &str, version: &Version) -> Result<Option<String>, PoliciesError>;

    /// Puts a record in the place of the one with the generation `from` (of none where that is `None`), stores the text of a new version
    /// and drops those of `dropped` versions: all or nothing. `false` where the record is another one by now. What this has said to be
    /// done is as durable as this store is.
    async fn replace(&self, name: &str, from: Option<u64>, next: &Next) -> Result<bool, PoliciesError>;
}
