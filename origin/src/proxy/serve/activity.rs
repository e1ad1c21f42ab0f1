//! Whether a client's connection does anything.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What has happened on a connection, as seen at its socket.
#[derive(Debug)]
pub(in crate::proxy) struct Activity {
    began: Instant,
    /// Requests that are worked on.
    requests: AtomicUsize,
    /// There has been a request.
    asked: AtomicBool,
    /// When bytes last came or went, or a request ended; milliseconds from the beginning.
    moved: AtomicU64,
    /// Since when the client takes nothing, though there is something for it; 0 where it does.
    blocked: AtomicU64,
    /// It has changed the protocol.
    tunnel: AtomicBool,
}

/// How long a connection may do nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first request.
    pub(super) first: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// The client takes nothing of what it has asked for.
    pub(super) stuck: Duration,
}

/// What to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing; look again then.
    Fine(Instant),
    /// Nobody has asked for anything in a long time.
    Idle,
    /// The client does not take what it has asked for.
    Stuck,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            tunnel: AtomicBool::new(false),
        }
    }

    /// When anything last moved.
    pub(in crate::proxy) fn moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// A request came.
    pub(in crate::proxy) fn request_came(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
    }

    /// A request's response has ended, or is not wanted any more.
    pub(in crate::proxy) fn request_ended(&self) {
        self.move_on();
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection changes the protocol: what comes is no longer HTTP.
    pub(in crate::proxy) fn becomes_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// Bytes came or went.
    pub(super) fn move_on(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the client takes what is sent.
    pub(super) fn takes(&self, takes: bool) {
        if takes {
            self.blocked.store(0, Ordering::Relaxed);
        } else {
            let _ = self.blocked.compare_exchange(0, self.now().max(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    pub(super) fn verdict(&self, Patience { first, idle, stuck }: Patience) -> Verdict {
        let now = Instant::now();
        match self.blocked.load(Ordering::Relaxed) {
            0 => {}
            since if self.began + Duration::from_millis(since) + stuck <= now => return Verdict::Stuck,
            since => return Verdict::Fine(self.began + Duration::from_millis(since) + stuck),
        }
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Verdict::Fine(now + stuck.min(idle));
        }
        // Bytes do not count before the first request: they could come one by one for ever.
        let asked = self.asked.load(Ordering::Relaxed);
        let until = if asked { self.moved() + idle } else { self.began + first };
        if until <= now { Verdict::Idle } else { Verdict::Fine(until.min(now + stuck)) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(5);
    const IDLE: Duration = Duration::from_secs(100);
    const STUCK: Duration = Duration::from_secs(10);
    const PATIENCE: Patience = Patience { first: FIRST, idle: IDLE, stuck: STUCK };

    #[tokio::test(start_paused = true)]
    async fn a_first_request_must_come_soon_whatever_else_does() {
        let activity = Activity::new();
        tokio::time::advance(FIRST - Duration::from_secs(1)).await;
        activity.move_on();
        assert_eq!(activity.verdict(PATIENCE), Verdict::Fine(Instant::now() + Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.verdict(PATIENCE), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle_after_a_time() {
        let activity = Activity::new();
        activity.request_came();
        tokio::time::advance(IDLE * 2).await;
        assert!(matches!(activity.verdict(PATIENCE), Verdict::Fine(_)), "it has a request");
        activity.request_ended();
        tokio::time::advance(IDLE - Duration::from_secs(1)).await;
        let again = Verdict::Fine(Instant::now() + Duration::from_secs(1));
        assert_eq!(activity.verdict(PATIENCE), again);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.verdict(PATIENCE), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_stuck_after_a_time() {
        let activity = Activity::new();
        activity.request_came();
        tokio::time::advance(Duration::from_secs(5)).await;
        activity.takes(false);
        tokio::time::advance(STUCK / 2).await;
        activity.takes(false);
        assert_eq!(activity.verdict(PATIENCE), Verdict::Fine(Instant::now() + STUCK / 2));
        tokio::time::advance(STUCK / 2).await;
        assert_eq!(activity.verdict(PATIENCE), Verdict::Stuck);
        activity.takes(true);
        assert!(matches!(activity.verdict(PATIENCE), Verdict::Fine(_)));
    }
}
