//! A node without sockets, in the process that asks it: the origin's layer with a store of its own.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::analytics::Targets;
use crate::clock::{Clock, SystemClock};
use crate::data::messages::{self, Kind};
use crate::data::serving;
use crate::limits::Limits;
use crate::log::Log;
use crate::policies::PolicyStore;
use crate::policies::current::Current;
use crate::running::{Parts, StartError};
use crate::shared::Shared;
use crate::store::{Store, StoreError};

/// A node that nobody but its own process asks. Several may share a store and a purge log, with one another and with nodes that
/// listen.
pub struct Embedded {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    followers: [JoinHandle<()>; 2],
}

impl Embedded {
    /// Starts one on the current tokio runtime. When this returns, the purge log was taken up. Policies are those that nodes with the same
    /// store of policies were pushed to: here, nobody can push.
    ///
    /// # Errors
    /// The log does not answer.
    pub async fn start(
        store: Arc<dyn Store>,
        log: Arc<dyn Log>,
        policies: Arc<dyn PolicyStore>,
        limits: Limits,
    ) -> Result<Self, StartError> {
        Self::start_with_clock(store, log, policies, limits, Arc::new(SystemClock)).await
    }

    /// The same, by another clock than the machine's.
    ///
    /// # Errors
    /// The log does not answer.
    pub async fn start_with_clock(
        store: Arc<dyn Store>,
        log: Arc<dyn Log>,
        policies: Arc<dyn PolicyStore>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let (stop, stopping) = watch::channel(false);
        let parts = Parts::new(store, log, limits, clock.clone()).await?;
        let policies = Current::new(policies, clock, Targets::default());
        let shared = Arc::new(parts.shared("embedded".to_owned(), policies, None, stopping));
        let following = shared.following.clone();
        let policies = shared.clone();
        let followers = [
            tokio::spawn(async move { following.follow().await }),
            tokio::spawn(async move { policies.follow_policies().await }),
        ];
        Ok(Self { shared, stop, followers })
    }

    /// Answers a message to a path of the data plane. `None` where there is no answer: too much is asked at once, the store or
    /// the log does not answer, or the message is none.
    pub async fn ask(&self, path: &str, message: Bytes) -> Option<Bytes> {
        let admission = self.shared.requests.try_acquire().ok()?;
        let answer = messages::perform(&self.shared, Kind::of(path)?, message, admission).await;
        answer.ok().map(crate::data::Pieces::joined)
    }

    /// Answers a request that Envoy would send on to be served from the store: it names what it wants in `x-larder-serve`. `None` where
    /// the node turns it away.
    pub async fn serve<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let _admission = self.shared.requests.try_acquire().ok()?;
        let answer = serving::serve(&self.shared, request).await;
        answer.ok().map(|answer| answer.map(crate::data::Pieces::joined))
    }

    /// Ends in good order. Says what was not written.
    ///
    /// # Errors
    /// The store's.
    pub async fn stop(&self) -> Result<(), StoreError> {
        let _ = self.stop.send(true);
        self.followers.iter().for_each(JoinHandle::abort);
        self.shared.desk.kept_in().close().await
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded")
    }
}
