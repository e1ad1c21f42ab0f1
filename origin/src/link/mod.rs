//! The second level: a cluster of nodes over HTTP, or a node of this process with a store.
//!
//! Calls come from the core and their answers go back to it. Beside them run three tasks: following the purge log, sending purges
//! into it until they have arrived, and reporting what was counted. They end with the layer.

#[cfg(feature = "cluster")]
pub(crate) mod cluster;
mod follow;
mod purges;
mod report;
#[cfg(feature = "cluster")]
mod ring;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::{Call, CallFailure};
use larder_core::purge::Sequence;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::cache::Cache;

/// How the second level is reached.
#[allow(clippy::large_enum_variant, reason = "there is one for each layer")]
pub(crate) enum Wire {
    /// Nodes, over HTTP.
    #[cfg(feature = "cluster")]
    Cluster(cluster::Cluster),
    /// A node in this process.
    #[cfg(feature = "store")]
    Node(larder_node::Embedded),
}

/// A layer's side of it.
pub(crate) struct Link {
    wire: Arc<Wire>,
    /// Unique in the fleet, and the same for as long as the layer lives.
    name: String,
    purges: Arc<purges::Queue>,
    /// Held by the tasks.
    running: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    /// Whether the cluster has answered a poll.
    heard: watch::Sender<bool>,
    /// What the cluster is being told.
    pub(crate) told: Arc<Semaphore>,
}

/// What the cluster is told at a time; beyond it, fills stay in memory here.
const TOLD_AT_ONCE: u32 = 1024;

impl Wire {
    async fn call(&self, call: &Call) -> Result<Bytes, CallFailure> {
        let timeout = Duration::from_millis(call.timeout.0.max(1));
        tokio::time::timeout(timeout, self.ask(call)).await.unwrap_or(Err(CallFailure::TimedOut))
    }

    #[cfg(any(feature = "cluster", feature = "store"))]
    async fn ask(&self, call: &Call) -> Result<Bytes, CallFailure> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.ask(call).await,
            #[cfg(feature = "store")]
            Self::Node(node) => node.ask(call.path, call.body.clone().into()).await.ok_or(CallFailure::Unreachable),
        }
    }

    #[cfg(not(any(feature = "cluster", feature = "store")))]
    async fn ask(&self, _: &Call) -> Result<Bytes, CallFailure> {
        match *self {}
    }
}

impl Link {
    pub(crate) fn new(wire: Wire, cache: &str, random: u64) -> Self {
        let name = format!("{cache}/{:x}-{random:x}", std::process::id());
        Self {
            wire: Arc::new(wire),
            name,
            purges: Arc::default(),
            running: Arc::new(Semaphore::new(1)),
            closing: watch::Sender::new(false),
            heard: watch::Sender::new(false),
            told: Arc::new(Semaphore::new(TOLD_AT_ONCE as usize)),
        }
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Bytes, CallFailure> {
        self.wire.call(call).await
    }

    /// Waits until nothing is on its way any more, and closes what is this process's own. Says what was not written.
    pub(crate) async fn close(&self) -> Result<(), String> {
        let _ = self.told.acquire_many(TOLD_AT_ONCE).await;
        self.purges.empty().await;
        let _ = self.closing.send_replace(true);
        let _ = self.running.acquire().await;
        match &*self.wire {
            #[cfg(feature = "store")]
            Wire::Node(node) => node.stop().await.map_err(|error| error.to_string()),
            #[allow(unreachable_patterns, reason = "not every feature has another kind")]
            _ => Ok(()),
        }
    }

    /// The cluster has answered a poll.
    pub(crate) fn note_heard(&self) {
        self.heard.send_if_modified(|heard| !std::mem::replace(heard, true));
    }

    /// Waits until the cluster has answered a poll.
    pub(crate) async fn heard(&self) {
        // The sender lives as long as this does.
        let _ = self.heard.subscribe().wait_for(|heard| *heard).await;
    }

    /// Has a purge sent, behind those that wait.
    pub(crate) fn purge(&self, call: Call, last: Sequence) {
        self.purges.push(call, last);
    }
}

impl Cache {
    /// Begins the tasks of the second level, where there is a runtime and they do not run. Should that end before the layer does, another's begins them
    /// again.
    pub(crate) fn follow_cluster(cache: &Arc<Self>) {
        let Some(link) = &cache.link else { return };
        let Ok(permit) = link.running.clone().try_acquire_owned() else { return };
        let mut closing = link.closing.subscribe();
        let Some(runtime) = Handle::try_current().ok().filter(|_| !*closing.borrow()) else { return };
        let tasks = (Arc::downgrade(cache), Arc::downgrade(cache), Arc::downgrade(cache));
        runtime.spawn(async move {
            let _permit = permit;
            let (follow, purges, report) = tasks;
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                _ = async { tokio::join!(follow::run(follow), purges::run(purges), report::run(report)) } => {}
            }
        });
    }
}
