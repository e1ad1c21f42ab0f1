//! Connections to one origin, kept for the next request: of HTTP/1.1 one for each request at a time, of HTTP/2 one for all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use super::dial::{Connection, Dialer, Purpose};
use super::error::UpstreamError;
use super::outgoing::Outgoing;
use crate::proxy::limits::{Limits, ms};

/// Connections to one origin.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) dialer: Dialer,
    idle: Mutex<Vec<Idle>>,
    idle_max: usize,
    idle_for: Duration,
    /// The connection of HTTP/2. Whoever dials it holds the lock, so that the others wait for it instead of dialling, too.
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Outgoing>>>,
    /// The origin is not known to prefer HTTP/1.1.
    try_shared: AtomicBool,
    /// It could not be connected to; until then others are asked first.
    rests_until: Mutex<Option<Instant>>,
    rest: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Outgoing>,
    since: Instant,
}

/// Whether a connection that others have used will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    No,
}

/// A connection, and whether others have used it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) connection: Connection,
    pub(super) reused: bool,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, limits: &Limits) -> Arc<Self> {
        let try_shared = AtomicBool::new(dialer.may_be_http2());
        let pool = Arc::new(Self {
            dialer,
            idle: Mutex::default(),
            idle_max: limits.pooled_max as usize,
            idle_for: ms(limits.pool_idle_ms),
            shared: tokio::sync::Mutex::default(),
            try_shared,
            rests_until: Mutex::default(),
            rest: ms(limits.rest_ms),
        });
        tokio::spawn(sweep(Arc::downgrade(&pool), pool.idle_for));
        pool
    }

    /// A connection to send one request on.
    pub(super) async fn take(&self, reuse: Reuse) -> Result<Taken, UpstreamError> {
        if self.try_shared.load(Ordering::Relaxed) {
            let mut shared = self.shared.lock().await;
            if let Some(sender) = shared.as_ref()
                && !sender.is_closed()
            {
                return Ok(Taken { connection: Connection::Http2(sender.clone()), reused: true });
            }
            *shared = None;
            // Another may have found out meanwhile that the origin prefers HTTP/1.1.
            if self.try_shared.load(Ordering::Relaxed) {
                let connection = self.dial().await?;
                match &connection {
                    Connection::Http2(sender) => *shared = Some(sender.clone()),
                    Connection::Http1(_) => self.try_shared.store(false, Ordering::Relaxed),
                }
                return Ok(Taken { connection, reused: false });
            }
        }
        if reuse == Reuse::Allowed
            && let Some(sender) = self.idle()
        {
            return Ok(Taken { connection: Connection::Http1(sender), reused: true });
        }
        let connection = self.dial().await?;
        if let Connection::Http2(sender) = &connection {
            // It prefers HTTP/2 by now.
            *self.shared.lock().await = Some(sender.clone());
            self.try_shared.store(true, Ordering::Relaxed);
        }
        Ok(Taken { connection, reused: false })
    }

    /// Keeps a connection, once the response on it has been read to its end and the request sent to its.
    pub(super) fn give_back(self: &Arc<Self>, mut sender: http1::SendRequest<Outgoing>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            if sender.ready().await.is_err() {
                return;
            }
            let Some(pool) = pool.upgrade() else { return };
            let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < pool.idle_max {
                idle.push(Idle { sender, since: Instant::now() });
            }
        });
    }

    /// Whether it could be connected to lately, as far as anybody knows.
    pub(super) fn is_up(&self) -> bool {
        let rests_until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        rests_until.is_none_or(|until| until <= Instant::now())
    }

    async fn dial(&self) -> Result<Connection, UpstreamError> {
        let dialled = self.dialer.dial(Purpose::Requests).await;
        let rests_until = match &dialled {
            Ok(_) => None,
            Err(_) => Some(Instant::now() + self.rest),
        };
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = rests_until;
        dialled
    }

    /// The connection that was used last: it is the least likely to have been closed by the origin.
    fn idle(&self) -> Option<http1::SendRequest<Outgoing>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { sender, since }) = idle.pop() {
            if sender.is_ready() && since.elapsed() < self.idle_for {
                return Some(sender);
            }
        }
        None
    }
}

/// Closes what nobody has used for long.
async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.sender.is_ready() && idle.since.elapsed() < pool.idle_for);
    }
}
