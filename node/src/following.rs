//! What this node knows of the purge log: core's table of what was purged, in step with the log.
//!
//! Invariant: whoever asks where the log stands gets a position that the table has taken up. So nothing is judged by a table that
//! lacks a purge which this node has acknowledged, however far behind the task is that follows the log.

use std::hash::RandomState;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use larder_core::cluster::desk::{self, Kept};
use larder_core::entry::wire::Label;
use larder_core::purge::{Covered, Mode, Position, PurgeTable, Scope, Sequence};
use larder_core::time::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::log::{Log, LogError, LogId, Read};

/// Records taken up at a time.
const PAGE: usize = 4096;

/// How long the follower waits for news before it asks again.
const WAIT: Duration = Duration::from_secs(30);

/// How long the follower pauses where the log fails.
const PAUSE: Duration = Duration::from_millis(250);

/// A purge log and the table that follows it.
pub(crate) struct Following {
    log: Arc<dyn Log>,
    table: RwLock<Table>,
    catching_up: Mutex<()>,
    capacity: usize,
}

struct Table {
    log: u64,
    purges: PurgeTable<RandomState>,
}

/// Whether a response that was fetched at a position may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// No hard purge covers it.
    Good,
    /// A hard purge does.
    Purged,
    /// The position is not one of this log.
    OtherLog,
}

impl Following {
    pub(crate) fn new(log: Arc<dyn Log>, capacity: usize) -> Self {
        let table = Table { log: 0, purges: PurgeTable::new(capacity, RandomState::new()) };
        Self { log, table: RwLock::new(table), catching_up: Mutex::new(()), capacity }
    }

    /// The log itself.
    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The log's newest position, which the table has taken up.
    pub(crate) async fn head(&self) -> Result<Position, LogError> {
        let head = of_core(self.log.head().await?);
        if !self.read().has(head) {
            self.catch_up(head).await?;
        }
        Ok(head)
    }

    /// The position that the table has taken up.
    pub(crate) fn here(&self) -> Position {
        self.read().position()
    }

    /// What a stored response is worth.
    pub(crate) fn judge(&self, label: &Label, now: Timestamp) -> Kept {
        let table = self.read();
        desk::judge(label, &table.purges, table.log, now)
    }

    /// Whether what was fetched under this label may be stored.
    pub(crate) fn since(&self, label: &Label) -> Since {
        let table = self.read();
        if label.position.log != table.log {
            return Since::OtherLog;
        }
        // A position that nobody was ever given would outlive every purge. Where nodes share the log, another may have given it.
        if label.position.sequence > table.purges.head() && self.log.kind() != "redis" {
            return Since::OtherLog;
        }
        match table.purges.covers(&label.url, label.tags(), label.position.sequence) {
            Covered::Hard => Since::Purged,
            Covered::Soft | Covered::No => Since::Good,
        }
    }

    /// Appends purges.
    pub(crate) async fn append(&self, purges: &[(Scope, Mode)]) -> Result<Position, LogError> {
        self.log.append(purges).await.map(of_core)
    }

    /// Follows the log for as long as it is polled.
    pub(crate) async fn follow(&self) {
        let mut trouble = false;
        loop {
            let (here, began) = (self.here(), Instant::now());
            let news = self.log.read(LogId(here.log), here.sequence, 1, WAIT).await;
            let done = match news {
                Ok(_) => self.head().await.map(|_| ()),
                Err(error) => Err(error),
            };
            match &done {
                Ok(()) if trouble => tracing::info!("the purge log is followed again"),
                Err(error) if !trouble => tracing::warn!(%error, "the purge log is not followed"),
                Ok(()) | Err(_) => {}
            }
            trouble = done.is_err();
            // Nothing new, and sooner than was to be waited: not to be asked again at once.
            if self.here() == here && began.elapsed() < PAUSE {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn catch_up(&self, head: Position) -> Result<(), LogError> {
        let _one = self.catching_up.lock().await;
        loop {
            let here = {
                let table = self.read();
                if table.has(head) {
                    return Ok(());
                }
                table.position()
            };
            if here.log != head.log {
                // Another log: everything of the old one is void, and what is kept of this one is taken up from its beginning.
                self.begin(Position { log: head.log, sequence: Sequence(0) });
                continue;
            }
            match self.log.read(LogId(here.log), here.sequence, PAGE, Duration::ZERO).await? {
                Read::Page(page) if page.records.is_empty() => {
                    return Err(LogError::Unreachable {
                        log: self.log.kind(),
                        why: format!(
                            "it has nothing after {} and says that it ends at {}",
                            here.sequence.0, head.sequence.0
                        ),
                    });
                }
                Read::Page(page) => {
                    let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
                    page.records.iter().for_each(|record| table.purges.apply(record));
                }
                Read::TooOld { floor, .. } => self.begin(Position { sequence: floor, ..head }),
                // It changed meanwhile; whoever asks next is told the new one.
                Read::Other { head } => {
                    self.begin(Position { log: head.log.0, sequence: Sequence(0) });
                    return Err(LogError::Unreachable { log: self.log.kind(), why: "its identity has changed".into() });
                }
            }
        }
    }

    fn begin(&self, at: Position) {
        let purges = PurgeTable::beginning_at(self.capacity, RandomState::new(), at.sequence);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Table { log: at.log, purges };
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        // Nothing panics while it is held.
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn position(&self) -> Position {
        Position { log: self.log, sequence: self.purges.head() }
    }

    fn has(&self, head: Position) -> bool {
        self.log == head.log && self.purges.head() >= head.sequence
    }
}

/// A log's position in core's terms.
pub(crate) fn of_core(position: crate::log::Position) -> Position {
    Position { log: position.log.0, sequence: position.sequence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::MemoryLog;
    use larder_core::decide::vary::VaryKey;

    fn following(keep: usize) -> Following {
        Following::new(Arc::new(MemoryLog::new(LogId(7), keep)), 64)
    }

    fn label(sequence: u64) -> Label {
        Label {
            key: "k".into(),
            url: "http://h/a".into(),
            position: Position { log: 7, sequence: Sequence(sequence) },
            fresh_until: Timestamp(1000),
            received: Timestamp(0),
            language: None,
            vary: VaryKey::default(),
            tags: vec!["t".into()],
        }
    }

    #[tokio::test]
    async fn what_was_appended_counts_with_the_next_question() {
        let following = following(8);
        following.head().await.expect("a head");
        assert_eq!(following.judge(&label(0), Timestamp(0)), Kept::Fresh);
        following.append(&[(Scope::Tag("t".into()), Mode::Hard)]).await.expect("appended");
        let head = following.head().await.expect("a head");
        assert_eq!(head, Position { log: 7, sequence: Sequence(1) });
        assert_eq!(following.judge(&label(0), Timestamp(0)), Kept::Gone);
        assert_eq!(following.since(&label(0)), Since::Purged);
        assert_eq!(following.since(&label(1)), Since::Good);
    }

    #[tokio::test]
    async fn positions_that_nobody_was_given_are_not_of_this_log() {
        let following = following(8);
        following.head().await.expect("a head");
        assert_eq!(following.since(&label(5)), Since::OtherLog);
        let other = Label { position: Position { log: 8, sequence: Sequence(0) }, ..label(0) };
        assert_eq!(following.since(&other), Since::OtherLog);
    }

    #[tokio::test]
    async fn what_is_older_than_what_the_log_keeps_is_gone() {
        let following = following(2);
        for _ in 0..5 {
            following.append(&[(Scope::Tag("other".into()), Mode::Hard)]).await.expect("appended");
        }
        following.head().await.expect("a head");
        assert_eq!(following.judge(&label(2), Timestamp(0)), Kept::Gone);
        assert_eq!(following.judge(&label(3), Timestamp(0)), Kept::Fresh);
    }
}
