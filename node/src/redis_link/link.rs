//! One connection that is made again when it is lost.
//!
//! A request takes the connection there is, or fails at once. A connection counts as lost when an error says so, and when for a
//! while nothing but failures came over it: a server that is stopped, or behind a network that drops packets, never says so.
//! A task makes the next one: at once where the last one held for a while, then waiting longer from try to try.

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

/// A connection that is kept up.
pub(crate) struct Link {
    shared: Arc<Shared>,
    limit: Duration,
    keeper: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the keeper.
    lost: Notify,
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
}

impl Link {
    /// Begins to connect. No request takes longer than `limit`.
    pub fn new(connector: Connector, limit: Duration) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Down(Failure::Unreachable("not connected yet".to_owned()))),
            lost: Notify::new(),
            tried: Notify::new(),
        });
        let keeper = tokio::spawn(keep(connector, shared.clone()));
        Self { shared, limit, keeper }
    }

    /// Waits until it is connected or the first try has failed.
    pub async fn first_try(&self, at_most: Duration) {
        let tried = self.shared.tried.notified();
        if matches!(*self.shared.lock(), State::Down(_)) {
            drop(timeout(at_most, tried).await);
        }
    }

    /// Sends a request. Where the connection turns out to be lost (an idle one does not notice a restart of the server), sends it
    /// once more over the next one: a request must be one that may be carried out twice.
    pub async fn send<T, F, R>(&self, request: F) -> Result<T, Failure>
    where
        F: Fn(Way) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let deadline = Instant::now() + self.limit;
        let (failure, number) = match self.send_once(&request, deadline).await {
            Ok(answer) => return Ok(answer),
            Err((failure, None)) => return Err(failure),
            Err((failure, Some(number))) => (failure, number),
        };
        self.next_try(number, deadline).await;
        self.send_once(&request, deadline).await.map_err(|(again, _)| match again {
            Failure::TimedOut => failure,
            again => again,
        })
    }

    /// Sends a request; where it fails because its connection was lost, says which that was.
    async fn send_once<T, F, R>(&self, request: &F, deadline: Instant) -> Result<T, (Failure, Option<u64>)>
    where
        F: Fn(Way) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let (way, number) = match &*self.shared.lock() {
            State::Up(up) => (up.way.clone(), up.number),
            State::Down(failure) => return Err((failure.clone(), None)),
        };
        match timeout_at(deadline, request(way)).await {
            Ok(Ok(answer)) => {
                self.shared.succeeded(number);
                Ok(answer)
            }
            Ok(Err(error)) => {
                let breaks = Failure::breaks(&error);
                let failure = Failure::from(error);
                let lost = self.shared.failed(number, &failure, breaks);
                Err((failure, (breaks && lost).then_some(number)))
            }
            Err(_) => {
                self.shared.failed(number, &Failure::TimedOut, false);
                Err((Failure::TimedOut, None))
            }
        }
    }

    /// Waits for the outcome of the try after this connection.
    async fn next_try(&self, number: u64, deadline: Instant) {
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

async fn keep(connector: Connector, shared: Arc<Shared>) {
    let mut wait = RETRY_MIN;
    for number in 1.. {
        // A connection that is lost at once must not be made again at once.
        let began = Instant::now();
        match connector.connect(Duration::ZERO).await {
            Ok(way) => {
                *shared.lock() = State::Up(Up { way, number, failing: None });
                shared.tried.notify_waiters();
                shared.lost.notified().await;
                if began.elapsed() > RETRY_MAX {
                    wait = RETRY_MIN;
                    continue;
                }
            }
            Err(failure) => {
                tracing::debug!(?failure, "no connection to Redis");
                *shared.lock() = State::Down(failure);
                shared.tried.notify_waiters();
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}
