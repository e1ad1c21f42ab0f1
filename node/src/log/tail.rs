//! The newest records of a log in this process's memory, and the readers that wait for more. Every log has one; what fills it
//! differs.
//!
//! Bounded by number and by bytes: what is over is the oldest, and goes.
//!
//! Invariant: the records' numbers are consecutive and end at the head; `floor` is the number before the first of them.
//! A record that a reader saw stays the same until the identity changes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::purge::{Mode, Record, Scope, Sequence};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{LogError, LogId, Page, Position, Read};

/// Bytes of records kept, whatever their number.
const BYTES_MAX: usize = 64 << 20;

/// What a record costs beside its text.
const RECORD_BYTES: usize = 64;

/// The newest records, and who waits for more.
pub(super) struct Tail {
    held: Mutex<Held>,
    changed: Notify,
}

struct Held {
    log: LogId,
    floor: Sequence,
    records: VecDeque<Record>,
    keep: usize,
    bytes: usize,
    /// Why nothing can be said of the log at present.
    trouble: Option<LogError>,
}

// Some is for logs that are not in this process.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
impl Tail {
    /// An empty log's, which keeps the newest `keep`.
    pub fn new(log: LogId, keep: usize) -> Self {
        let (floor, records) = (Sequence(0), VecDeque::new());
        let held = Held { log, floor, records, keep: keep.max(1), bytes: 0, trouble: None };
        Self { held: Mutex::new(held), changed: Notify::new() }
    }

    /// The newest position.
    pub fn head(&self) -> Result<Position, LogError> {
        let held = self.lock();
        held.trouble.clone().map_or_else(|| Ok(held.head()), Err)
    }

    /// The newest position, whether or not the log was heard from lately.
    pub fn known(&self) -> Position {
        self.lock().head()
    }

    /// The head, the number before the first record kept, and the records.
    pub fn kept(&self) -> (Position, Sequence, Vec<Record>) {
        let held = self.lock();
        (held.head(), held.floor, held.records.iter().cloned().collect())
    }

    /// About how many bytes the records kept take.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Numbers and takes up purges. For a log whose only writer this process is.
    pub fn append(&self, purges: impl IntoIterator<Item = (Scope, Mode)>) -> Position {
        let mut held = self.lock();
        for (scope, mode) in purges {
            let sequence = held.next();
            held.push(Record { sequence, scope, mode });
        }
        let head = held.head();
        drop(held);
        self.changed.notify_waiters();
        head
    }

    /// Takes up records that are numbered already; `false` where one is not the next.
    pub fn extend(&self, records: impl IntoIterator<Item = Record>) -> bool {
        let mut held = self.lock();
        let fits = records.into_iter().all(|record| {
            let fits = record.sequence == held.next();
            if fits {
                held.push(record);
            }
            fits
        });
        drop(held);
        self.changed.notify_waiters();
        fits
    }

    /// Goes on as another log, empty up to `floor`.
    pub fn restart(&self, log: LogId, floor: Sequence) {
        self.replace(log, floor, Vec::new());
    }

    /// Goes on as another log with these records, the first of which comes after `floor`.
    pub fn replace(&self, log: LogId, floor: Sequence, records: Vec<Record>) {
        let mut held = self.lock();
        held.log = log;
        held.floor = floor;
        held.records.clear();
        held.bytes = 0;
        for record in records {
            if record.sequence != held.next() {
                held.records.clear();
                held.bytes = 0;
                held.floor = Sequence(record.sequence.0.saturating_sub(1));
            }
            held.push(record);
        }
        drop(held);
        self.changed.notify_waiters();
    }

    /// Waits until a position is known; `false` where that takes too long.
    pub async fn reached(&self, position: Position, at_most: Duration) -> bool {
        self.wait(at_most, |held| held.log == position.log && held.head().sequence >= position.sequence).await
    }

    /// Waits until something can be said of the log; `false` where that takes too long.
    pub async fn well(&self, at_most: Duration) -> bool {
        self.wait(at_most, |held| held.trouble.is_none()).await
    }

    async fn wait(&self, at_most: Duration, done: impl Fn(&Held) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if done(&self.lock()) {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return false;
            }
        }
    }

    /// Says why nothing can be said at present, or that all is well again.
    pub fn set_trouble(&self, trouble: Option<LogError>) {
        let mut held = self.lock();
        let changed = trouble.is_some() != held.trouble.is_some();
        held.trouble = trouble;
        drop(held);
        if changed {
            self.changed.notify_waiters();
        }
    }

    /// See [`super::Log::read`].
    pub async fn read(&self, log: LogId, from: Sequence, max: usize, wait: Duration) -> Result<Read, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            // Enlisted before looking: what comes between looking and waiting wakes, too.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (read, done) = self.look(log, from, max)?;
            if done || timeout_at(deadline, changed).await.is_err() {
                return Ok(read);
            }
        }
    }

    /// What can be said now, and whether it is more than "nothing yet".
    fn look(&self, log: LogId, from: Sequence, max: usize) -> Result<(Read, bool), LogError> {
        let held = self.lock();
        if let Some(trouble) = &held.trouble {
            return Err(trouble.clone());
        }
        let head = held.head();
        if log != held.log {
            return Ok((Read::Other { head }, true));
        }
        if from < held.floor {
            return Ok((Read::TooOld { head, floor: held.floor }, true));
        }
        let skip = usize::try_from(from.0.saturating_sub(held.floor.0)).unwrap_or(usize::MAX);
        let records: Vec<Record> = held.records.iter().skip(skip).take(max.max(1)).cloned().collect();
        let done = !records.is_empty();
        Ok((Read::Page(Page { head, records }), done))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn head(&self) -> Position {
        let sequence = self.records.back().map_or(self.floor, |record| record.sequence);
        Position { log: self.log, sequence }
    }

    fn next(&self) -> Sequence {
        Sequence(self.head().sequence.0.saturating_add(1))
    }

    fn push(&mut self, record: Record) {
        self.bytes += bytes_of(&record);
        self.records.push_back(record);
        while self.records.len() > self.keep || self.bytes > BYTES_MAX {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= bytes_of(&oldest);
            self.floor = oldest.sequence;
        }
    }
}

fn bytes_of(record: &Record) -> usize {
    let text = match &record.scope {
        Scope::Url(text) | Scope::Tag(text) | Scope::Prefix(text) => text.len(),
        Scope::All => 0,
    };
    RECORD_BYTES + text
}
