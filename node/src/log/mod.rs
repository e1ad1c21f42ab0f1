//! Purge logs: which purges there were, in one order for all nodes. What a purge covers is core's to say.
//!
//! A log hands out the numbers 1, 2, 3… without a gap. Whoever has seen number *n* has seen everything before it, so "no record
//! after *n* matches" is a statement about all purges, whatever the clocks say.
//!
//! A log has an identity. Where it may have lost a record that somebody saw or had acknowledged, it goes on under a new identity,
//! and whatever was ordered by the old one counts as purged. So a loss costs hits, never freshness.
//!
//! Kept are the newest records, a bounded number. Who is further behind is told so, and takes everything older as purged.

pub(crate) mod disk;
mod memory;
mod open;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod tail;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::purge::{Mode, Record, Scope, Sequence};

#[cfg(feature = "redis")]
pub use self::redis::RedisLog;
pub use disk::DiskLog;
pub use memory::MemoryLog;
pub use open::{OpenError, beside, open};

/// Records kept where the URL does not say.
pub const KEEP_DEFAULT: usize = 65_536;

/// The most purges of one append.
pub const APPEND_MAX: usize = 4_096;

/// The longest text of one purge, encoded.
pub const PURGE_BYTES_MAX: usize = 16 << 10;

/// Identity of a log: positions in different logs cannot be compared. Random, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub u64);

impl LogId {
    /// An identity that no log has had.
    pub fn random() -> Result<Self, getrandom::Error> {
        loop {
            let id = getrandom::u64()?;
            if id != 0 {
                return Ok(Self(id));
            }
        }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a log: after the record with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Whose.
    pub log: LogId,
    /// The last record before it.
    pub sequence: Sequence,
}

/// What a reader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// What came after the reader's position.
    Page(Page),
    /// Records after the reader's position are no longer kept: everything it has from up to `floor` counts as purged, and it
    /// goes on reading from there.
    TooOld {
        /// The newest position now.
        head: Position,
        /// The first position that can be read from.
        floor: Sequence,
    },
    /// The reader's position is not one of this log: everything it has counts as purged, and it goes on from `head`.
    Other {
        /// The newest position now.
        head: Position,
    },
}

/// Records after a position, in order, without a gap. None where nothing came in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The newest position that this node knows. In a log that several nodes share it may lie before the reader's own, where the
    /// reader had that from another node.
    pub head: Position,
    /// The records.
    pub records: Vec<Record>,
}

/// Why a log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log cannot be reached, or has not been heard from for too long.
    #[error("the {log} log cannot be reached: {why}")]
    Unreachable {
        /// Which one.
        log: &'static str,
        /// In its words.
        why: String,
    },
    /// No answer in time. The records may have been appended or not; appending them again does no harm.
    #[error("the {log} log did not answer in time")]
    TimedOut {
        /// Which one.
        log: &'static str,
    },
    /// The log did not take the records.
    #[error("the {log} log refused: {why}")]
    Refused {
        /// Which one.
        log: &'static str,
        /// In its words.
        why: String,
    },
    /// Too many purges at once.
    #[error("{purges} purges at once are more than the {APPEND_MAX} that a log takes")]
    TooMany {
        /// How many.
        purges: usize,
    },
    /// A purge's text is too long.
    #[error("a purge of {bytes} bytes is longer than the {PURGE_BYTES_MAX} that a log takes")]
    TooLong {
        /// How long.
        bytes: usize,
    },
}

/// A purge log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// What it is: a counter's label, and the beginning of its URL.
    fn kind(&self) -> &'static str;

    /// Appends the purges in their order, all or none, and returns the position after the last. They are then as durable as this
    /// log is, and a [`Log::head`] and [`Log::read`] of this node include them.
    async fn append(&self, purges: &[(Scope, Mode)]) -> Result<Position, LogError>;

    /// The newest position that this node knows. Costs no I/O. Fails where the log has not been heard from for too long.
    async fn head(&self) -> Result<Position, LogError>;

    /// Takes the turn at something that one node at a time does, or keeps it, for `keep_for` from now on; says whose turn it is, by the
    /// word that node gave. `mine` is random, so that no two nodes give the same. Where a log is one node's, it always is its turn.
    async fn take_turn(&self, what: &str, mine: &str, keep_for: Duration) -> Result<String, LogError> {
        let _ = (what, keep_for);
        Ok(mine.to_owned())
    }

    /// Gives the turn back, should it be ours.
    async fn give_turn(&self, what: &str, mine: &str) -> Result<(), LogError> {
        let _ = (what, mine);
        Ok(())
    }

    /// Records of `log` after `from`, at most `max` (and at least one is allowed); waits up to `wait` for the first.
    async fn read(&self, log: LogId, from: Sequence, max: usize, wait: Duration) -> Result<Read, LogError>;

    /// Where the nodes that share this log leave one another what else they have to say; none where one node alone has the log.
    fn board(&self) -> Option<&dyn Board> {
        None
    }
}

/// A list that several nodes append to and read, of which the newest entries are kept.
#[async_trait]
pub trait Board: Send + Sync {
    /// Appends an entry. After an error it may stand there all the same.
    async fn post(&self, entry: &[u8]) -> Result<(), LogError>;

    /// Entries after a place, or from the oldest on where that is empty; at most `max`, in order, each with its place.
    async fn read(&self, after: &str, max: usize) -> Result<Vec<(String, Vec<u8>)>, LogError>;
}

/// The purges as bytes, within limits.
fn encode(purges: &[(Scope, Mode)]) -> Result<Vec<Vec<u8>>, LogError> {
    if purges.len() > APPEND_MAX {
        return Err(LogError::TooMany { purges: purges.len() });
    }
    let encoded: Vec<Vec<u8>> = purges.iter().map(|(scope, mode)| scope.encode(*mode)).collect();
    match encoded.iter().map(Vec::len).find(|bytes| *bytes > PURGE_BYTES_MAX) {
        Some(bytes) => Err(LogError::TooLong { bytes }),
        None => Ok(encoded),
    }
}
