//! Purges on their way into the cluster's log. One that did not arrive is sent again, in order, until it has.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use larder_core::cluster::Call;
use larder_core::cluster::message::{Message, Purge, PurgeAnswer};
use larder_core::purge::{Mode, Scope, Sequence};
use tokio::sync::Notify;

use crate::cache::Cache;

/// Purges that wait to be sent. One more, and everything is purged instead of each.
const WAITING_MAX: usize = 4096;
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_DOUBLINGS_MAX: u32 = 6;
/// The task looks so often whether there is still somebody to send for.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Those that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<(Call, Sequence)>>,
    more: Notify,
    fewer: Notify,
}

impl Queue {
    pub(super) fn push(&self, call: Call, last: Sequence) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING_MAX {
            waiting.push_back((call, last));
        } else {
            // Everything covers each of them, whatever they named.
            tracing::error!(target: "larder", "too many purges wait for the cluster; everything is purged instead of each");
            let message = Purge { who: "worker".to_owned(), token: None, purges: vec![(Scope::All, Mode::Hard)] };
            waiting.clear();
            waiting.push_back((Call { body: message.encode(), ..call }, last));
        }
        self.more.notify_one();
    }

    /// Waits until all have arrived.
    pub(super) async fn empty(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            if self.waiting().is_empty() {
                return;
            }
            fewer.await;
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(Call, Sequence)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn run(cache: Weak<Cache>) {
    let mut failures = 0u32;
    loop {
        let Some(strong) = cache.upgrade() else { return };
        let Some(link) = &strong.link else { return };
        let next = link.purges.waiting().front().cloned();
        let Some((call, last)) = next else {
            let queue = link.purges.clone();
            // The layer may go meanwhile: this does not keep it.
            drop(strong);
            tokio::select! {
                () = queue.more.notified() => {}
                () = tokio::time::sleep(LOOK_UP) => {}
            }
            continue;
        };
        let answer = link.call(&call).await.ok().and_then(PurgeAnswer::decode);
        let done = if let Some(PurgeAnswer::Done(position)) = answer { Some(position) } else { None };
        strong.step(|inner, now, _| {
            inner.worker.note_call(now, done.is_some());
            if let Some(position) = done {
                inner.worker.purges.acknowledged(last, position);
            }
        });
        if done.is_some() {
            failures = 0;
            let mut waiting = link.purges.waiting();
            // Another may have taken everything's place meanwhile.
            if waiting.front().is_some_and(|(sent, _)| *sent == call) {
                waiting.pop_front();
            }
            link.purges.fewer.notify_waiters();
        } else {
            tracing::warn!(target: "larder", failures, "a purge did not reach the cluster; it is sent again");
            drop(strong);
            tokio::time::sleep(PAUSE.saturating_mul(1 << failures.min(PAUSE_DOUBLINGS_MAX))).await;
            failures = failures.saturating_add(1);
        }
    }
}
