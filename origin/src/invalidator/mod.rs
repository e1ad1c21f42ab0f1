//! Purges from application code, when it has changed what responses are made of.
//!
//! ```
//! # use std::time::Duration;
//! use larder_origin::{Invalidator, Purge};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = larder_node::Node::start(larder_node::Config::in_memory()?).await?;
//! # let (admin, folder) = (format!("http://{}", node.admin.ok_or("no admin plane")?), tempfile::tempdir()?);
//! let invalidator = Invalidator::builder()
//!     .node(admin)                             // http://127.0.0.1:9902
//!     .directory(folder.path().join("purges")) // what no node has taken yet outlives this process
//!     .build()?;
//!
//! // After the write to the database: the purge is kept on disk when this returns, whether or not a node can be reached.
//! let mut ticket = invalidator.purge(Purge::new().tag("product:7").tag("product-lists")).await?;
//!
//! // Whoever has to know waits on: until a node has taken it, until every worker of every Envoy has heard.
//! let accepted = ticket.accepted().await?;
//! assert_eq!(accepted.sequence(), 2);
//! ticket.delivered(Duration::from_secs(10)).await?;
//!
//! // At the end of the program: sends what there is for up to so long, and keeps the rest.
//! invalidator.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **A purge is not lost**: with a directory, [`Invalidator::purge`] ends when the purge is on the disk (one sync for all that
//!   were asked for meanwhile), and it stays there until a node has taken it, over a crash of the program, too. A record that was not
//!   written to its end is cut off; a file that is damaged in any other way is put aside, and everything is purged in its place.
//! - **Order is kept**: the oldest purge is sent until a node has taken it. What is queued behind it and is of the same mode (soft or
//!   hard) goes along, in one request.
//! - **At least once**: where an answer is lost, the purge is sent again. That costs hits and harms nobody: to purge twice makes
//!   nothing wrong. For the same reason, a purge of one thing that waits already (and is not just being sent) is not queued twice.
//! - **It waits**: a node that does not answer, or says 408, 425, 429 or 5xx, is asked again, ever more rarely, and not before its
//!   `Retry-After`. 401, 403, 404, 405, 407, 421 and redirects say that the token or the URL is wrong, and nothing about the purge: all
//!   wait, each attempt is an error in the log, until it works. Any other 4xx is about the purge: it goes to the dead letters.
//! - **It is bounded**: a queue that is full becomes one purge of everything, which is expensive, but right.
//!
//! # What shows
//!
//! [`Invalidator::status`], `tracing` events of the target `larder::invalidator`, and with the feature `metrics`, by that facade:
//!
//! | name | kind | says |
//! |---|---|---|
//! | `larder_invalidator_queued_total` | counter | purges asked for, by what they name |
//! | `larder_invalidator_accepted_total` | counter | purges that a node has taken |
//! | `larder_invalidator_acceptance_seconds` | histogram | from asking for a purge to a node's having taken it |
//! | `larder_invalidator_failed_attempts_total{reason}` | counter | attempts that came to nothing: `blocked` (somebody has to act), `failed` |
//! | `larder_invalidator_dead_letters_total` | counter | purges that a node refused for good |
//! | `larder_invalidator_overflows_total` | counter | times that the full queue became a purge of everything |
//! | `larder_invalidator_waiting` | gauge | purges that wait |
//! | `larder_invalidator_oldest_seconds` | gauge | how long ago the oldest of them was asked for, as of the last attempt |

mod asking;
mod builder;
mod connector;
mod counts;
mod dead_letters;
mod errors;
mod journal;
mod purge;
mod queue;
mod retry;
mod sender;
mod shared;
mod ticket;
mod token;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::asking::Nodes;
use self::shared::Shared;

pub use self::builder::InvalidatorBuilder;
pub use self::errors::{BuildError, PurgeError};
pub use self::purge::{InvalidPurge, Purge, SCOPE_BYTES_MAX, SCOPES_MAX};
pub use self::shared::Status;
pub use self::ticket::{Accepted, NotAccepted, NotDelivered, Queued, Ticket};

/// The disk gets this long at a shutdown, however short the deadline is.
const WRITING_MIN: Duration = Duration::from_secs(2);

/// Sends purges to the cache cluster. See the [module](self) for what holds.
///
/// Clones are the same invalidator. When the last is dropped, what no node has taken is written to the directory (which blocks for as
/// long as the disk takes) and sent by the next invalidator that opens it; without a directory it is lost. Prefer
/// [`Invalidator::shutdown`].
#[derive(Clone, Debug)]
pub struct Invalidator {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    nodes: Arc<Nodes>,
    is_durable: bool,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    queue_max: usize,
    sender: JoinHandle<()>,
    writer: Mutex<Option<thread::JoinHandle<bool>>>,
}

/// What a shutdown has left: purges that no node has taken, counted by what they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remaining {
    /// Nothing.
    Nothing,
    /// So many are in the directory, for the next invalidator that opens it.
    Kept(usize),
    /// So many are lost: there is no directory, or the disk did not take them. Purge everything.
    Lost(usize),
}

impl Invalidator {
    /// Begins to say what one is made of.
    pub fn builder() -> InvalidatorBuilder {
        InvalidatorBuilder::default()
    }

    /// Queues a purge. This call returns at once and never waits for disk or network; the purge is on its way whether or not the
    /// future is waited for. The future ends when the purge is kept.
    ///
    /// ```
    /// # use larder_origin::{Invalidator, Purge};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let invalidator = Invalidator::builder().node("http://127.0.0.1:9").build()?;
    /// invalidator.purge(Purge::new().url("https://shop.example/v1/offers").soft()).await?;
    /// invalidator.purge_tag("product:7").detach(); // without waiting
    /// assert_eq!(invalidator.status().waiting, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The future says what is wrong with the purge, that the disk did not take it (it is queued all the same), or that the
    /// invalidator was shut down.
    pub fn purge(&self, purge: Purge) -> Queued {
        let shared = self.handle.shared.clone();
        let (ticket, outcome) = oneshot::channel();
        let pushed = purge.check().map_err(PurgeError::from).and_then(|()| shared.push(purge, ticket));
        let ticket = Ticket::new(outcome, self.handle.nodes.clone());
        let is_durable = self.handle.is_durable;
        Queued::new(async move {
            let id = pushed?;
            if !is_durable {
                return Ok(ticket);
            }
            let mut durable = shared.durable.subscribe();
            let known = durable.wait_for(|durable| durable.through >= id || durable.failed_through >= id).await;
            match known.as_deref() {
                Ok(durable) if durable.through >= id => Ok(ticket),
                Ok(shared::Durable { error: Some(error), .. }) => Err(PurgeError::NotDurable(error.clone())),
                // It failed, and what was newer was written meanwhile, together with it.
                Ok(_) => Ok(ticket),
                Err(_) => Err(PurgeError::ShutDown),
            }
        })
    }

    /// Purges everything that carries this tag.
    pub fn purge_tag(&self, tag: impl Into<String>) -> Queued {
        self.purge(Purge::new().tag(tag))
    }

    /// Purges a URL with all its variants.
    pub fn purge_url(&self, url: impl Into<String>) -> Queued {
        self.purge(Purge::new().url(url))
    }

    /// Purges every URL under this one.
    pub fn purge_prefix(&self, url: impl Into<String>) -> Queued {
        self.purge(Purge::new().prefix(url))
    }

    /// Purges everything.
    pub fn purge_all(&self) -> Queued {
        self.purge(Purge::new().all())
    }

    /// Uses another token from now on, and tries again at once if the last one did not work.
    ///
    /// # Errors
    /// Where no header field can carry it.
    pub fn set_token(&self, token: &str) -> Result<(), BuildError> {
        self.handle.nodes.token.set(token).map_err(BuildError::Token)?;
        self.retry_now();
        Ok(())
    }

    /// Does not wait any longer before the next attempt, where the last one failed.
    pub fn retry_now(&self) {
        self.handle.shared.mended.notify_one();
    }

    /// Whether purges are kept in a directory.
    pub fn is_durable(&self) -> bool {
        self.handle.is_durable
    }

    /// Whether who can wait should, so that the queue does not become a purge of everything.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn is_half_full(&self) -> bool {
        *self.handle.shared.waiting.borrow() > self.handle.queue_max / 2
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.handle.shared.status()
    }

    /// Waits until nodes have taken everything that was queued.
    pub async fn flushed(&self) {
        // The sender of the watch lives as long as this does.
        let _ = self.handle.shared.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// Takes no more purges, sends what waits for up to `deadline`, and then sees to it that the rest is on disk and the directory is
    /// free. All clones are shut down. A second call returns what is left.
    pub async fn shutdown(&self, deadline: Duration) -> Remaining {
        let Handle { shared, sender, writer, is_durable, .. } = &*self.handle;
        let end = Instant::now() + deadline;
        shared.close();
        // Where it is blocked, there may be a token by now.
        self.retry_now();
        let _ = timeout_at(end, self.flushed()).await;
        sender.abort();
        shared.end();
        let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut is_written = *is_durable && shared.durable.borrow().error.is_none();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join().unwrap_or(false));
            let end = end.max(Instant::now() + WRITING_MIN);
            is_written = matches!(timeout_at(end, joined).await, Ok(Ok(true)));
        }
        match *shared.waiting.borrow() {
            0 => Remaining::Nothing,
            left if is_written => Remaining::Kept(left),
            left => {
                tracing::error!(target: "larder::invalidator", purges = left, "shut down before nodes took these purges: they are lost");
                Remaining::Lost(left)
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.sender.abort();
        self.shared.end();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let is_shut_down = self.is_durable && writer.is_none();
        let is_written = writer.is_some_and(|writer| writer.join().unwrap_or(false));
        let left = *self.shared.waiting.borrow();
        if left > 0 && !is_written && !is_shut_down {
            tracing::error!(target: "larder::invalidator", purges = left, "dropped before nodes took these purges: they are lost");
        }
    }
}
