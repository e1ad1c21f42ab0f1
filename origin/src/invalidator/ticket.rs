//! What whoever asked for a purge may wait for: that it is kept, that a node has taken it, that every worker has heard.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::asking::Nodes;
use super::errors::PurgeError;
use super::queue::Outcome;

/// A purge on its way into the queue. It is on its way whether or not this is waited for.
///
/// The future ends when the purge is kept on disk (or taken by a node, if that is quicker); without a directory it ends at once.
pub struct Queued {
    future: Pin<Box<dyn Future<Output = Result<Ticket, PurgeError>> + Send>>,
}

impl Queued {
    pub(super) fn new(future: impl Future<Output = Result<Ticket, PurgeError>> + Send + 'static) -> Self {
        Self { future: Box::pin(future) }
    }

    /// Does not wait. Says in the log what went wrong at once, an invalid purge for example.
    pub fn detach(mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(Err(error)) = self.future.as_mut().poll(&mut context) {
            tracing::error!(target: "larder::invalidator", %error, "a purge is not queued");
        }
    }
}

impl Future for Queued {
    type Output = Result<Ticket, PurgeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(context)
    }
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queued")
    }
}

/// A purge that is queued. Dropping it changes nothing for the purge.
#[derive(Debug)]
pub struct Ticket {
    outcome: Outcomes,
    nodes: Arc<Nodes>,
}

#[derive(Debug)]
enum Outcomes {
    Awaited(oneshot::Receiver<Outcome>),
    Known(Outcome),
}

/// Which node took a purge, and where it stands in the purge log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    pub(super) node: String,
    pub(super) log: String,
    pub(super) sequence: u64,
}

/// Why no node took a purge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// A node refused it for good (all of it, or some of what it names). What was refused is with the dead letters.
    #[error("refused with status {status}: {detail}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// What the node said.
        detail: String,
    },
    /// The invalidator was shut down first. With a directory, the purge is kept there for the next one.
    #[error("the invalidator was shut down before a node took the purge")]
    ShutDown,
}

/// Why it is not known that every worker has heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// It is not in the purge log.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// The time was over.
    #[error("not delivered in time: {}", .0.join("; "))]
    TimedOut(
        /// What each node that did not confirm said last.
        Vec<String>,
    ),
}

impl Accepted {
    /// The admin plane's URL.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The purge log's identity, as the admin plane writes it.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The number of the purge in that log (the last, where it named several things).
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Ticket {
    pub(super) fn new(outcome: oneshot::Receiver<Outcome>, nodes: Arc<Nodes>) -> Self {
        Self { outcome: Outcomes::Awaited(outcome), nodes }
    }

    /// Waits until a node has taken the purge: from then on no node hands out what it covers, and workers are about to hear of it.
    ///
    /// # Errors
    /// Where it was refused for good, or the invalidator was shut down first. A cluster that is down is waited for.
    pub async fn accepted(&mut self) -> Result<Accepted, NotAccepted> {
        if let Outcomes::Awaited(outcome) = &mut self.outcome {
            self.outcome = Outcomes::Known(outcome.await.unwrap_or(Err(NotAccepted::ShutDown)));
        }
        match &self.outcome {
            Outcomes::Known(outcome) => outcome.clone(),
            Outcomes::Awaited(_) => Err(NotAccepted::ShutDown),
        }
    }

    /// Waits until every node says that every worker has heard of the purge (or uses nothing of its own memory any more).
    ///
    /// # Errors
    /// Where it was not taken, or this was not known `within` the time; the purge itself goes on.
    pub async fn delivered(&mut self, within: Duration) -> Result<Accepted, NotDelivered> {
        let end = tokio::time::Instant::now() + within;
        let accepted = match tokio::time::timeout_at(end, self.accepted()).await {
            Ok(accepted) => accepted?,
            Err(_) => return Err(NotDelivered::TimedOut(vec!["no node has taken it yet".to_owned()])),
        };
        self.nodes.delivered(&accepted, end).await.map_err(NotDelivered::TimedOut)?;
        Ok(accepted)
    }
}
