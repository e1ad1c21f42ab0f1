//! Connections that change the protocol (RFC 9110 7.8): WebSocket and whatever else an origin agrees to.
//!
//! A cache has no part in what comes after the change, so a safe request that asks for it goes around the cache. An unsafe one goes
//! through: should the origin answer it as an ordinary request, what it makes wrong must be forgotten.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::serve::{Activity, Stopping};

/// The wish to change the protocol, and the origin's end of what comes of it. An extension of requests.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    protocol: HeaderValue,
    origin: Arc<Mutex<Option<OnUpgrade>>>,
}

impl Tunnel {
    pub(super) fn to(protocol: HeaderValue) -> Self {
        Self { protocol, origin: Arc::default() }
    }

    pub(super) fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// The origin has agreed.
    pub(super) fn put(&self, origin: OnUpgrade) {
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
    }

    /// The origin's end, where it has agreed.
    pub(super) fn take(&self) -> Option<OnUpgrade> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Passes bytes both ways until both ends are done, one breaks off, nothing has moved for too long, or the proxy ends.
pub(super) async fn pass(
    client: OnUpgrade,
    origin: OnUpgrade,
    activity: Arc<Activity>,
    idle: Duration,
    mut stopping: Stopping,
) {
    let both = async {
        let (client, origin) = tokio::try_join!(client, origin).ok()?;
        let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
        tokio::io::copy_bidirectional(&mut client, &mut origin).await.ok()
    };
    let silent = async {
        loop {
            let until = activity.moved() + idle;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    };
    tokio::select! {
        _ = both => {}
        () = silent => {}
        () = stopping.overdue() => {}
    }
}
