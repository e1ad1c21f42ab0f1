//! What both planes of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::analytics::{Analytics, Mark};
use crate::clock::Clock;
use crate::counts::Counts;
use crate::desk::Desk;
use crate::following::Following;
use crate::limits::Limits;
use crate::policies::PoliciesError;
use crate::policies::current::{Current, LOOK_EVERY};
use crate::purging::Purging;
use crate::tokens::Tokens;
use crate::warming;
use crate::workers::Workers;

/// The store must say that it is well by then.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// One node's parts.
pub(crate) struct Shared {
    /// What it is called where nodes are listed: the data plane's address.
    pub(crate) name: String,
    pub(crate) desk: Desk,
    pub(crate) following: Arc<Following>,
    pub(crate) purging: Purging,
    pub(crate) workers: Workers,
    pub(crate) counts: Arc<Counts>,
    /// None in a node that nobody can ask for it.
    pub(crate) analytics: Option<Analytics>,
    pub(crate) policies: Current,
    /// None in a node that warms nothing by itself.
    pub(crate) warming: Option<Arc<warming::schedule::State>>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    /// Becomes true once the node is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) requests: Semaphore,
    pub(crate) polls: Semaphore,
    pub(crate) bodies: Budget,
}

impl Shared {
    /// Whether the node is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Whether requests should be sent here; says why not.
    pub(crate) async fn is_ready(&self) -> Result<(), String> {
        if self.is_stopping() {
            return Err("the node is about to stop".to_owned());
        }
        let store = self.desk.kept_in();
        match tokio::time::timeout(CHECK_TIMEOUT, store.check()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("the {} store did not answer in time", store.kind())),
        }
        self.following.head().await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Takes up what there is of pushed policies, and marks what has changed.
    pub(crate) async fn look_at_policies(&self) -> Result<(), PoliciesError> {
        for (name, changed) in self.policies.look().await? {
            let version = changed.version.map(|version| format!("version {version} ")).unwrap_or_default();
            let what = format!("{name}: {version}{}", changed.kind.done());
            tracing::info!(target: "larder::policy", who = changed.by, what, "a policy has changed");
            if let Some(analytics) = &self.analytics {
                analytics.mark(Mark::policy(changed.at_ms, &what, &changed.by));
            }
        }
        Ok(())
    }

    /// Follows what other nodes change of policies, until the node is to stop.
    pub(crate) async fn follow_policies(&self) {
        let mut well = true;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stopped() => return,
            }
            let looked = self.look_at_policies().await;
            match &looked {
                Err(error) if well => {
                    tracing::error!(%error, "pushed policies are not followed: what is known of them stays in force")
                }
                Ok(()) if !well => tracing::info!("pushed policies are followed again"),
                _ => {}
            }
            well = looked.is_ok();
            if well && !self.policies.store().is_shared() {
                // Whoever changes something here looks, too.
                return;
            }
        }
    }

    /// Waits until the node is to stop.
    pub(crate) async fn stopped(&self) {
        // Whoever could say so being gone is the end, too.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// Bytes that may be taken, and are given back.
#[derive(Debug)]
pub(crate) struct Budget {
    taken: AtomicU64,
    max: u64,
}

/// Bytes taken.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self { taken: AtomicU64::new(0), max }
    }

    /// Nothing yet.
    pub(crate) fn begin(&self) -> Taken<'_> {
        Taken { budget: self, bytes: 0 }
    }
}

impl Taken<'_> {
    /// Takes more; says whether that was within the budget.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let before = self.budget.taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= self.budget.max
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(10);
        let mut first = budget.begin();
        assert!(first.take(6) && !budget.begin().take(5));
        drop(first);
        assert!(budget.begin().take(10));
    }
}
