//! A log in this process's memory: for one node alone. A restart is a new identity, so everything stored before counts as purged.

use std::time::Duration;

use async_trait::async_trait;
use larder_core::purge::{Mode, Scope, Sequence};

use super::tail::Tail;
use super::{Log, LogError, LogId, Position, Read, encode};

/// A log in memory.
pub struct MemoryLog {
    tail: Tail,
}

impl MemoryLog {
    /// An empty log that keeps the newest `keep` records.
    pub fn new(log: LogId, keep: usize) -> Self {
        Self { tail: Tail::new(log, keep) }
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn append(&self, purges: &[(Scope, Mode)]) -> Result<Position, LogError> {
        encode(purges)?;
        Ok(self.tail.append(purges.iter().cloned()))
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.tail.head()
    }

    async fn read(&self, log: LogId, from: Sequence, max: usize, wait: Duration) -> Result<Read, LogError> {
        // A position after the head was never handed out.
        let head = self.tail.head()?;
        if log == head.log && from > head.sequence {
            return Ok(Read::Other { head });
        }
        self.tail.read(log, from, max, wait).await
    }
}
