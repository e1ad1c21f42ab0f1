//! The task that sends: the queue's front, again and again until a node has taken it, so that no purge overtakes another.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument;

use super::asking::{Nodes, Round};
use super::dead_letters::DeadLetters;
use super::queue::Batch;
use super::retry::Backoff;
use super::shared::Shared;
use super::ticket::NotAccepted;

/// Purges in one request, and their bytes; a node's log takes a few thousand, its admin plane 8 MiB.
const SCOPES_MAX: usize = 1000;
const BYTES_MAX: usize = 1 << 20;

/// What sends.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) shared: Arc<Shared>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) dead_letters: Arc<DeadLetters>,
    pub(super) backoff: Backoff,
}

impl Sender {
    /// Sends for as long as it is let.
    pub(super) async fn run(mut self) {
        // A batch that is refused is halved until the purge that is wrong stands alone.
        let mut scopes_max = SCOPES_MAX;
        loop {
            let batch = self.shared.next(scopes_max, BYTES_MAX).await;
            let span = tracing::debug_span!(target: "larder::invalidator", "purge", purges = batch.scopes.len());
            match self.nodes.purge(&batch).instrument(span).await {
                Round::Accepted(accepted) => {
                    tracing::debug!(
                        target: "larder::invalidator",
                        purges = batch.scopes.len(), node = accepted.node(), sequence = accepted.sequence(), "purged"
                    );
                    self.shared.accepted(&batch, &accepted);
                    self.backoff.reset();
                    scopes_max = scopes_max.saturating_mul(2).min(SCOPES_MAX);
                }
                Round::Refused { .. } if batch.scopes.len() > 1 => scopes_max = (batch.scopes.len() / 2).max(1),
                Round::Refused { status, detail } => self.refused(&batch, status, detail).await,
                Round::Blocked { why } => {
                    self.shared.failed(&batch, &why, true);
                    tracing::error!(
                        target: "larder::invalidator",
                        why, "no purge gets through, and somebody has to mend this; they wait in order"
                    );
                    self.pause(None).await;
                }
                Round::Failed { why, held_until } => {
                    self.shared.failed(&batch, &why, false);
                    tracing::warn!(target: "larder::invalidator", why, "no node takes purges; they wait in order");
                    self.pause(held_until).await;
                }
            }
        }
    }

    async fn refused(&mut self, batch: &Batch, status: u16, detail: String) {
        let dead_letters = self.dead_letters.clone();
        let (letter, why) = (batch.clone(), detail.clone());
        // Before the queue forgets it. What goes wrong there is said there.
        let _ = tokio::task::spawn_blocking(move || dead_letters.add(&letter, status, &why)).await;
        self.shared.refused(batch, &NotAccepted::Refused { status, detail });
        self.backoff.reset();
    }

    /// Waits for the next attempt, at least until nodes want to be asked again.
    async fn pause(&mut self, held_until: Option<Instant>) {
        let backed_off = Instant::now() + self.backoff.next(fastrand::f64());
        let until = held_until.map_or(backed_off, |held_until| held_until.max(backed_off));
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.shared.mended.notified() => {}
        }
    }
}
