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

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::{Call, CallFailure};
use larder_core::purge::Sequence;
use tokio::runtime::Handle;

use crate::cache::Cache;

/// How the second level is reached.
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
    purges: purges::Queue,
    runs: AtomicBool,
}

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
        Self { wire: Arc::new(wire), name, purges: purges::Queue::default(), runs: AtomicBool::new(false) }
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Bytes, CallFailure> {
        self.wire.call(call).await
    }

    /// Has a purge sent, behind those that wait.
    pub(crate) fn purge(&self, call: Call, last: Sequence) {
        self.purges.push(call, last);
    }
}

impl Cache {
    /// Begins the tasks of the second level, once there is a runtime.
    pub(crate) fn follow_cluster(cache: &Arc<Self>) {
        let Some(link) = &cache.link else { return };
        if link.runs.load(Ordering::Relaxed) || link.runs.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            link.runs.store(false, Ordering::Relaxed);
            return;
        };
        let runs = Runs(Arc::downgrade(cache));
        let (follow, purges, report) = (Arc::downgrade(cache), Arc::downgrade(cache), Arc::downgrade(cache));
        runtime.spawn(async move {
            // The three end together: with the layer, or with the runtime. In the latter case another may begin them again.
            let _runs = runs;
            tokio::join!(follow::run(follow), purges::run(purges), report::run(report));
        });
    }
}

/// Says at the end that the tasks do not run any more.
struct Runs(Weak<Cache>);

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(cache) = self.0.upgrade()
            && let Some(link) = &cache.link
        {
            link.runs.store(false, Ordering::Relaxed);
        }
    }
}
