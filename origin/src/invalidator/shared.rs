//! What the application's calls, the sender and the writer's thread share: the queue, who is to wake, what to show.
//!
//! Invariant: `durable.through` only grows, and everything up to it is on disk, or needs no sending any more. The lock is never held over
//! I/O or an await.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, oneshot, watch};

use super::counts;
use super::errors::PurgeError;
use super::purge::Purge;
use super::queue::{Batch, Entry, Outcome, Queue};
use super::ticket::{Accepted, NotAccepted};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the writer is to end.
    work: Condvar,
    /// There is something to send.
    pub(super) news: Notify,
    /// Something was mended: try again at once.
    pub(super) mended: Notify,
    pub(super) durable: watch::Sender<Durable>,
    /// Scopes that wait.
    pub(super) waiting: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// A thread writes.
    has_writer: bool,
    /// Up to which id the writer was given purges, and was told that they are settled.
    given: u64,
    settled_given: u64,
    closed: bool,
    writer_ends: bool,
    shown: Shown,
}

/// How far the disk is.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    pub(super) through: u64,
    /// Up to here the disk has failed to take them, and why.
    pub(super) failed_through: u64,
    pub(super) error: Option<Arc<std::io::Error>>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    accepted: u64,
    failed_attempts: u64,
    dead_letters: u64,
    overflows: u64,
    blocked: Option<String>,
    failing: Option<String>,
}

/// How an invalidator is doing. Purges are counted by what they name: one of three tags counts three times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Purges that no node has taken yet.
    pub waiting: usize,
    /// How long ago the oldest of them was asked for.
    pub oldest: Option<Duration>,
    /// Purges that nodes have taken.
    pub accepted: u64,
    /// Attempts that came to nothing and were or will be repeated.
    pub failed_attempts: u64,
    /// Purges that a node refused for good.
    pub dead_letters: u64,
    /// Times that the queue was full and became a purge of everything.
    pub overflows: u64,
    /// Why the last attempt came to nothing, unless one was successful since.
    pub failing: Option<String>,
    /// Why somebody has to act (a token that does not work, a URL that leads elsewhere), until it works.
    pub blocked: Option<String>,
    /// Why the disk does not take purges, until it does.
    pub not_durable: Option<String>,
}

/// What the writer is to do.
#[derive(Debug)]
pub(super) struct Job {
    /// In their order: what is new, or everything where the file is written anew.
    pub(super) entries: Vec<Entry>,
    /// What is durable then.
    pub(super) through: u64,
    pub(super) settled: Option<u64>,
    /// The last one.
    pub(super) ends: bool,
}

impl Shared {
    pub(super) fn new(kept: Vec<Entry>, next_id: u64, scopes_max: usize, has_writer: bool) -> Self {
        let queue = Queue::new(kept, next_id, scopes_max);
        let (given, settled_given, waiting) = (queue.newest(), queue.settled_through(), queue.len());
        let durable = Durable { through: given, ..Durable::default() };
        let state = State {
            queue,
            has_writer,
            given,
            settled_given,
            closed: false,
            writer_ends: false,
            shown: Shown::default(),
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            news: Notify::new(),
            mended: Notify::new(),
            durable: watch::Sender::new(durable),
            waiting: watch::Sender::new(waiting),
        }
    }

    /// Queues a purge. With a writer, it is durable as soon as the id is.
    pub(super) fn push(&self, purge: Purge, ticket: oneshot::Sender<Outcome>) -> Result<u64, PurgeError> {
        let scopes = purge.scopes().len();
        let mut state = self.lock();
        if state.closed {
            return Err(PurgeError::ShutDown);
        }
        let pushed = state.queue.push(purge, now_ms(), ticket);
        if pushed.collapsed.is_some() {
            state.shown.overflows += 1;
        }
        self.changed(state);
        counts::queued(scopes);
        if let Some(scopes) = pushed.collapsed {
            counts::overflowed();
            tracing::error!(
                target: "larder::invalidator",
                scopes, "the queue is full: what waits becomes one purge of everything"
            );
        }
        self.news.notify_one();
        Ok(pushed.id)
    }

    /// Waits for something to send. It counts as under way until one of the calls below says what became of it.
    pub(super) async fn next(&self, scopes_max: usize, bytes_max: usize) -> Batch {
        loop {
            if let Some(batch) = self.lock().queue.next(scopes_max, bytes_max) {
                return batch;
            }
            self.news.notified().await;
        }
    }

    /// A node has taken a batch.
    pub(super) fn accepted(&self, batch: &Batch, accepted: &Accepted) {
        let mut state = self.lock();
        state.queue.returned();
        state.queue.accepted(batch, accepted);
        state.shown.accepted += batch.scopes.len() as u64;
        state.shown.blocked = None;
        state.shown.failing = None;
        self.settled(state);
        counts::accepted(batch.scopes.len(), age(batch.asked_ms));
    }

    /// No node will ever take a batch.
    pub(super) fn refused(&self, batch: &Batch, why: &NotAccepted) {
        let mut state = self.lock();
        state.queue.returned();
        state.queue.refused(batch, why);
        state.shown.dead_letters += batch.scopes.len() as u64;
        self.settled(state);
        counts::dead_letters(batch.scopes.len());
    }

    /// An attempt came to nothing.
    pub(super) fn failed(&self, batch: &Batch, why: &str, is_blocked: bool) {
        let mut state = self.lock();
        state.queue.returned();
        state.shown.failed_attempts += 1;
        state.shown.failing = Some(why.to_owned());
        state.shown.blocked = is_blocked.then(|| why.to_owned());
        drop(state);
        counts::failed_attempt(is_blocked, age(batch.asked_ms));
    }

    /// Takes no more purges.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Nothing is sent any more: the writer is to write what there is and to end, and nobody is told anything.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.writer_ends = true;
        state.queue.forget_tickets();
        drop(state);
        self.work.notify_all();
    }

    pub(super) fn status(&self) -> Status {
        let not_durable = self.durable.borrow().error.as_ref().map(ToString::to_string);
        let state = self.lock();
        let Shown { accepted, failed_attempts, dead_letters, overflows, blocked, failing } = state.shown.clone();
        Status {
            waiting: state.queue.len(),
            oldest: state.queue.oldest_ms().map(age),
            accepted,
            failed_attempts,
            dead_letters,
            overflows,
            failing,
            blocked,
            not_durable,
        }
    }

    /// Waits (and blocks) for something to write.
    pub(super) fn job(&self) -> Job {
        let mut state = self.lock();
        loop {
            let (newest, settled) = (state.queue.newest(), state.queue.settled_through());
            if newest > state.given || settled > state.settled_given || state.writer_ends {
                let entries = state.queue.after(state.given);
                let settled = (settled > state.settled_given).then_some(settled);
                state.given = newest;
                state.settled_given = settled.unwrap_or(state.settled_given);
                return Job { entries, through: newest, settled, ends: state.writer_ends };
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Everything there is, for a whole new file.
    pub(super) fn whole(&self) -> Job {
        let mut state = self.lock();
        state.given = state.queue.newest();
        state.settled_given = state.queue.settled_through();
        Job { entries: state.queue.after(0), through: state.given, settled: None, ends: state.writer_ends }
    }

    /// Waits (and blocks) for so long, or until the writer is to end.
    pub(super) fn pause(&self, wait: Duration) {
        let end = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.writer_ends {
                return;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The disk has everything up to an id.
    pub(super) fn wrote(&self, through: u64) {
        self.durable.send_modify(|durable| {
            durable.through = durable.through.max(through);
            durable.error = None;
        });
    }

    /// The disk did not take what is newer than what it has, up to an id.
    pub(super) fn did_not_write(&self, through: u64, error: &Arc<std::io::Error>) {
        self.durable.send_modify(|durable| {
            durable.failed_through = durable.failed_through.max(through);
            durable.error = Some(error.clone());
        });
    }

    /// What has been settled need not be written any more.
    fn settled(&self, state: MutexGuard<'_, State>) {
        let settled = state.queue.settled_through();
        self.changed(state);
        self.durable.send_if_modified(|durable| {
            let is_news = durable.through < settled;
            durable.through = durable.through.max(settled);
            is_news
        });
    }

    fn changed(&self, state: MutexGuard<'_, State>) {
        let waiting = state.queue.len();
        // Within the lock, so that the last to change it says the last word.
        self.waiting.send_replace(waiting);
        counts::waiting(waiting, state.queue.oldest_ms().map(age));
        let has_writer = state.has_writer;
        drop(state);
        if has_writer {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn age(asked_ms: u64) -> Duration {
    Duration::from_millis(now_ms().saturating_sub(asked_ms))
}
