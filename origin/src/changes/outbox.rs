//! From the outbox to the invalidator: rows go in order, and leave the outbox when the invalidator has kept what they say.
//!
//! Invariant: a row is deleted only after its purge is on the invalidator's disk (or, without one, in the cluster's purge log). So it may
//! be purged twice, and is never forgotten.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::purge::{Mode, Scope};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::errors::ChangesError;
use crate::invalidator::{Invalidator, NotAccepted, Purge, PurgeError};

/// Rows that are read at once.
pub(super) const ROWS_MAX: i64 = 1000;

/// Between attempts at a database or a disk that does not answer.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) what: What,
    pub(super) soft: bool,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Tag(String),
    Everything,
    /// The value of a column is no text.
    NoText,
}

/// A database's outbox.
pub(super) trait Outbox: Send + 'static {
    /// The oldest rows, at most [`ROWS_MAX`].
    fn read(&mut self) -> impl Future<Output = Result<Vec<Row>, ChangesError>> + Send;

    /// Deletes rows that were read.
    fn delete(&mut self, rows: &[Row]) -> impl Future<Output = Result<(), ChangesError>> + Send;

    /// Waits until there may be more than the last [`Outbox::read`] has seen.
    fn wait(&mut self) -> impl Future<Output = Result<(), ChangesError>> + Send;
}

/// A task that feeds an invalidator from a database. It ends with the value; nothing is lost by that.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Following {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    shown: Mutex<FollowingStatus>,
}

/// How the feeding is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowingStatus {
    /// Rows that were handed on and deleted.
    pub rows: u64,
    /// Why nothing comes from the database just now, or does not go on.
    pub failing: Option<String>,
}

impl Following {
    /// Looks at once, without waiting for the database to show that something has changed.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// How it is doing.
    pub fn status(&self) -> FollowingStatus {
        self.shared.lock().clone()
    }

    /// Ends when what is being handed on is, or was given up. What is left in the outbox is for the next one.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A task that panicked has stopped.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, FollowingStatus> {
        // Nothing panics while it is held.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to feed, on the current tokio runtime.
pub(super) fn follow(mut outbox: impl Outbox, invalidator: Invalidator) -> Following {
    let shared = Arc::new(Shared::default());
    let (stop, mut stopping) = watch::channel(false);
    let feed = {
        let shared = shared.clone();
        async move {
            let mut pause = PAUSE_FIRST;
            loop {
                let wait = match step(&mut outbox, &invalidator, &shared).await {
                    Ok(Step::Fed(rows)) => {
                        pause = PAUSE_FIRST;
                        let mut shown = shared.lock();
                        shown.rows += rows;
                        shown.failing = None;
                        continue;
                    }
                    Ok(Step::Empty) => {
                        pause = PAUSE_FIRST;
                        shared.lock().failing = None;
                        continue;
                    }
                    Ok(Step::ShutDown) => return,
                    Err(error) => {
                        tracing::warn!(target: "larder::changes", %error, "changes of the database wait in its outbox");
                        shared.lock().failing = Some(error.to_string());
                        let wait = pause;
                        pause = (pause * 2).min(PAUSE_MAX);
                        wait
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shared.wake.notified() => {}
                }
            }
        }
    };
    let task = tokio::spawn(async move {
        tokio::select! {
            () = feed => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    Following { shared, stop, task }
}

enum Step {
    Fed(u64),
    /// There was nothing, and now there may be.
    Empty,
    ShutDown,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Database(#[from] ChangesError),
    #[error("the invalidator: {0}")]
    Invalidator(PurgeError),
}

async fn step(outbox: &mut impl Outbox, invalidator: &Invalidator, shared: &Shared) -> Result<Step, Failed> {
    let rows = outbox.read().await?;
    if rows.is_empty() {
        tokio::select! {
            waited = outbox.wait() => waited?,
            () = shared.wake.notified() => {}
        }
        return Ok(Step::Empty);
    }
    for purge in purges(&rows) {
        match hand_on(invalidator, purge).await {
            Ok(()) => {}
            Err(PurgeError::ShutDown) => return Ok(Step::ShutDown),
            Err(error) => return Err(Failed::Invalidator(error)),
        }
    }
    outbox.delete(&rows).await?;
    let count = rows.len() as u64;
    #[cfg(feature = "metrics")]
    metrics::counter!("larder_changes_rows_total").increment(count);
    tracing::debug!(target: "larder::changes", rows = count, "handed on");
    Ok(Step::Fed(count))
}

/// Returns when the purge is kept.
async fn hand_on(invalidator: &Invalidator, purge: Purge) -> Result<(), PurgeError> {
    let mut ticket = invalidator.purge(purge).await?;
    // Without a disk, the outbox is what keeps it. And a queue that fills would become a purge of everything, while here there is room.
    if !invalidator.is_durable() || invalidator.is_half_full() {
        return match ticket.accepted().await {
            // What was refused for good is with the dead letters.
            Ok(_) | Err(NotAccepted::Refused { .. }) => Ok(()),
            Err(NotAccepted::ShutDown) => Err(PurgeError::ShutDown),
        };
    }
    Ok(())
}

/// What rows say, each thing once, in as few purges as modes allow.
fn purges(rows: &[Row]) -> Vec<Purge> {
    let mut purges = Vec::new();
    for run in rows.chunk_by(|one, other| one.soft == other.soft) {
        let mut known = HashSet::new();
        let mut scopes = Vec::new();
        for row in run {
            let scope = match &row.what {
                What::Tag(tag) => Scope::Tag(tag.clone()),
                What::Everything => Scope::All,
                What::NoText => {
                    tracing::error!(target: "larder::changes", row = row.number, "a column that a tag is made of holds no text: no tag");
                    continue;
                }
            };
            if let Err(error) = Purge::of(vec![scope.clone()], Mode::Hard).check() {
                tracing::error!(target: "larder::changes", row = row.number, %error, "a row makes no tag that could be purged");
                continue;
            }
            if known.insert(scope.clone()) {
                scopes.push(scope);
            }
        }
        let mode = if run.iter().any(|row| row.soft) { Mode::Soft } else { Mode::Hard };
        if !scopes.is_empty() {
            purges.push(Purge::of(scopes, mode));
        }
    }
    purges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_few_purges_in_order() {
        let row = |what: &str, soft| Row { number: 0, what: What::Tag(what.into()), soft };
        let all = Row { number: 0, what: What::Everything, soft: false };
        let none = Row { number: 0, what: What::NoText, soft: false };
        let rows = [row("a", false), row("b", false), row("a", false), row("", false), none, row("a", true), all];
        let want = [Purge::new().tags(["a", "b"]), Purge::new().tag("a").soft(), Purge::new().all()];
        assert_eq!(purges(&rows), want);
        assert!(purges(&[row("", false)]).is_empty());
    }
}
