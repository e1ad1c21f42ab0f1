//! One connection that is made again when it is lost.
//!
//! A request takes the connection there is, or fails at once. A connection counts as lost when an error says so, and when for a
//! while nothing but failures came over it: a server that is stopped, or behind a network that drops packets, never says so.
//! A task makes the next one: at once where the last one held for a while, then waiting longer from try to try.
//!
//! A cluster's connection goes to several servers, and answers of the others hide that one of them says nothing. While requests over it
//! go on timing out, the task therefore makes another one beside it, which takes its place once every master answers over that: a
//! replica has taken over by then. Until it does, what the others have is not disturbed.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisResult;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{Connector, Way};
use super::failure::Failure;

/// The first wait before another try, doubled from try to try.
const RETRY_MIN: Duration = Duration::from_millis(20);

/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// A connection over which only failures came for so long is given up.
const SILENT: Duration = Duration::from_millis(500);

/// Time-outs over a cluster's connection that are further apart have nothing to do with one another.
const APART: Duration = Duration::from_secs(1);

/// Between two tries of a request that a cluster's nodes send to one another while a slot moves.
const SENT_ON: Duration = Duration::from_millis(2);

/// Every request has its own limit here; the connection's is beyond them all.
const LONGER: Duration = Duration::from_secs(3600);

/// A connection that is kept up.
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// Why there is no answer.
pub(super) enum NotSent {
    /// There is no connection at present, for this reason.
    Down(Failure),
    /// The connection with this number was lost.
    Lost(Failure, u64),
    /// The answer is a failure, or there was none in time.
    Failed(Failure),
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the keeper: there is no connection any more.
    lost: Notify,
    /// Wakes the keeper: the connection may be better replaced.
    doubtful: Notify,
    /// Wakes who waits for the outcome of the first try.
    tried: Notify,
}

enum State {
    Up(Up),
    Down(Failure),
}

struct Up {
    way: Way,
    /// Which connection this is: what is said of an older one no longer counts.
    number: u64,
    /// Since when only failures came.
    failing: Option<Instant>,
    /// Since when requests time out again and again, whatever becomes of others, and when the last one did.
    silent: Option<(Instant, Instant)>,
}

impl Link {
    /// Begins to connect.
    pub fn new(connector: Connector) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Down(Failure::Unreachable("not connected yet".to_owned()))),
            lost: Notify::new(),
            doubtful: Notify::new(),
            tried: Notify::new(),
        });
        let keeper = tokio::spawn(keep(connector, shared.clone()));
        Self { shared, keeper }
    }

    /// Waits until it is connected or the first try has failed.
    pub async fn first_try(&self, at_most: Duration) {
        let tried = self.shared.tried.notified();
        if !self.is_up() {
            drop(timeout(at_most, tried).await);
        }
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        matches!(*self.shared.lock(), State::Up(_))
    }

    /// Sends a request, which ends by the deadline.
    pub async fn send<T, F, R>(&self, deadline: Instant, request: &F) -> Result<T, NotSent>
    where
        F: Fn(Way) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let (way, number) = match &*self.shared.lock() {
            State::Up(up) => (up.way.clone(), up.number),
            State::Down(failure) => return Err(NotSent::Down(failure.clone())),
        };
        let is_cluster = matches!(way, Way::Cluster(_));
        let asked = async {
            loop {
                let answer = request(way.clone()).await;
                if !(is_cluster && answer.as_ref().is_err_and(Failure::redirects)) {
                    return answer;
                }
                sleep(SENT_ON).await;
            }
        };
        match timeout_at(deadline, asked).await {
            Ok(Ok(answer)) => {
                self.shared.succeeded(number);
                Ok(answer)
            }
            Ok(Err(error)) => {
                let breaks = Failure::breaks(&error);
                let failure = Failure::from(error);
                let lost = self.shared.failed(number, &failure, breaks);
                Err(if breaks && lost { NotSent::Lost(failure, number) } else { NotSent::Failed(failure) })
            }
            Err(_) => {
                self.shared.failed(number, &Failure::TimedOut, false);
                Err(NotSent::Failed(Failure::TimedOut))
            }
        }
    }

    /// Waits for the outcome of the try after this connection.
    pub async fn next_try(&self, number: u64, deadline: Instant) {
        let tried = self.shared.tried.notified();
        if !matches!(&*self.shared.lock(), State::Up(up) if up.number != number) {
            drop(timeout_at(deadline, tried).await);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self, number: u64) {
        if let State::Up(up) = &mut *self.lock()
            && up.number == number
        {
            up.failing = None;
        }
    }

    /// Notes a failure; says whether the connection is lost now.
    fn failed(&self, number: u64, failure: &Failure, breaks: bool) -> bool {
        let mut state = self.lock();
        let State::Up(up) = &mut *state else { return true };
        if up.number != number {
            return true;
        }
        if matches!(failure, Failure::Refused(_)) && !breaks {
            // An answer, after all.
            up.failing = None;
            return false;
        }
        if *failure == Failure::TimedOut && matches!(up.way, Way::Cluster(_)) && up.is_silent() {
            self.doubtful.notify_one();
        }
        let since = *up.failing.get_or_insert_with(Instant::now);
        // A cluster's connection replaces its parts by itself.
        let lost = (breaks && matches!(up.way, Way::One(_))) || since.elapsed() >= SILENT;
        if lost {
            *state = State::Down(failure.clone());
            self.lost.notify_one();
        }
        lost
    }
}

impl Up {
    fn new(way: Way, number: u64) -> Self {
        Self { way, number, failing: None, silent: None }
    }

    /// Notes a time-out; says whether they have been coming for a while.
    fn is_silent(&mut self) -> bool {
        let now = Instant::now();
        let since = match self.silent {
            Some((since, last)) if now.duration_since(last) <= APART => since,
            _ => now,
        };
        self.silent = Some((since, now));
        now.duration_since(since) >= SILENT
    }
}

async fn keep(connector: Connector, shared: Arc<Shared>) {
    // Connections that are lost at once, and tries that fail, each in a row.
    let (mut short, mut failed, mut number) = (0, 0, 0);
    loop {
        match connector.connect(LONGER).await {
            Ok(way) => {
                let began = Instant::now();
                number += 1;
                *shared.lock() = State::Up(Up::new(way, number));
                shared.tried.notify_waiters();
                loop {
                    let better = tokio::select! {
                        () = shared.lost.notified() => break,
                        way = better(&connector, &shared) => way,
                    };
                    let mut state = shared.lock();
                    // What is lost meanwhile is lost: there is a notice of it.
                    if matches!(*state, State::Up(_)) {
                        number += 1;
                        *state = State::Up(Up::new(better, number));
                    }
                }
                failed = 0;
                short = if began.elapsed() > RETRY_MAX { 0 } else { short + 1 };
                if short > 0 {
                    sleep(wait(short)).await;
                }
            }
            Err(failure) => {
                tracing::debug!(?failure, "no connection to Redis");
                *shared.lock() = State::Down(failure);
                shared.tried.notify_waiters();
                failed += 1;
                sleep(wait(failed)).await;
            }
        }
    }
}

/// Waits until the connection is doubtful and there is a better one.
async fn better(connector: &Connector, shared: &Shared) -> Way {
    loop {
        shared.doubtful.notified().await;
        match connector.connect_whole(LONGER).await {
            Ok(way) => return way,
            Err(failure) => {
                tracing::debug!(?failure, "requests to Redis time out, and there is no better connection");
                sleep(RETRY_MAX).await;
            }
        }
    }
}

/// How long to wait after so many failures in a row.
fn wait(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(RETRY_MAX)
}
