//! Following the purge log: one long poll after the other.

use std::sync::Weak;
use std::time::Duration;

use larder_core::cluster::message::{Message, Poll, PollAnswer};
use larder_core::cluster::{Call, LOG_NAME, Subscription};
use larder_core::time::Millis;

use crate::cache::Cache;

/// How long a node may wait for something new.
const WAIT: Millis = Millis(1000);
/// Time for the answer to travel, beyond that.
const TRAVEL: Millis = Millis(1000);
/// After a failure the next poll waits this long, doubled up to a limit.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_DOUBLINGS_MAX: u32 = 5;

pub(super) async fn run(cache: Weak<Cache>) {
    let mut failures = 0u32;
    loop {
        let Some((wire, call)) = cache.upgrade().and_then(|cache| poll(&cache)) else { return };
        // The layer may go meanwhile: this does not keep it.
        let answer = wire.call(&call).await.ok().and_then(PollAnswer::decode);
        let Some(cache) = cache.upgrade() else { return };
        match answer {
            Some(answer) => {
                failures = 0;
                cache.heard(&answer);
            }
            None => {
                drop(cache);
                let pause = PAUSE.saturating_mul(1 << failures.min(PAUSE_DOUBLINGS_MAX));
                failures = failures.saturating_add(1);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn poll(cache: &Cache) -> Option<(std::sync::Arc<super::Wire>, Call)> {
    let link = cache.link.as_ref()?;
    let ((position, lag_max, is_current, watch), _) = cache.step(|inner, now, _| {
        let lag_max = inner.worker.cluster.as_ref().map(|cluster| cluster.settings.purge_lag_max);
        let watch = inner.subscription.as_ref().map(Subscription::watch);
        (inner.worker.purges.position(), lag_max, inner.worker.is_current(now), watch)
    });
    // Where memory waits for a word from the log, any word will do.
    let wait_for = if is_current { WAIT } else { Millis(0) };
    let message = Poll { worker: link.name.clone(), position, wait_for, lag_max: lag_max?, watch };
    let timeout = Millis(wait_for.0.saturating_add(TRAVEL.0));
    Some((
        link.wire.clone(),
        Call { path: Poll::PATH, name: LOG_NAME.to_owned(), body: message.encode(), timeout, group: 0 },
    ))
}
