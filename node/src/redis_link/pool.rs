//! Several connections to one Redis, used in turn.
//!
//! A connection that was idle does not notice that the server was restarted, so the first request over it fails. That is not the
//! caller's loss: the request goes over another connection, or the next one, within its time limit. Requests must be such that may be
//! carried out twice.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::RedisResult;
use tokio::time::Instant;

use super::connect::{Connector, Way};
use super::failure::Failure;
use super::link::{Link, NotSent};

/// Connections that are kept up.
pub(crate) struct Pool {
    links: Vec<Link>,
    turn: AtomicUsize,
}

impl Pool {
    /// Begins to connect; returns when that is done or the first tries have failed.
    pub async fn new(connector: &Connector, connections: usize, first: Duration) -> Self {
        let links: Vec<Link> = (0..connections.max(1)).map(|_| Link::new(connector.clone())).collect();
        // They all try at the same time.
        for link in &links {
            link.first_try(first).await;
        }
        Self { links, turn: AtomicUsize::new(0) }
    }

    /// Sends a request, which takes no longer than `limit`.
    pub async fn send<T, F, R>(&self, limit: Duration, request: F) -> Result<T, Failure>
    where
        F: Fn(Way) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let deadline = Instant::now() + limit;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(self.links.len()).unwrap_or_default();
        let mut lost = None;
        let mut failure = Failure::Unreachable("no connections".to_owned());
        for link in self.links.iter().cycle().skip(turn).take(self.links.len()) {
            match link.send(deadline, &request).await {
                Ok(answer) => return Ok(answer),
                // Over the next.
                Err(NotSent::Down(why)) => failure = why,
                Err(NotSent::Lost(why, number)) => (failure, lost) = (why, Some((link, number))),
                Err(NotSent::Failed(why)) => return Err(why),
            }
        }
        let Some((link, number)) = lost else { return Err(failure) };
        link.next_try(number, deadline).await;
        match link.send(deadline, &request).await {
            Ok(answer) => Ok(answer),
            Err(NotSent::Down(why) | NotSent::Lost(why, _) | NotSent::Failed(why)) => Err(why),
        }
    }
}
