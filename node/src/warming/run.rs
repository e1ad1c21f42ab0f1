//! Carrying out requests: so many at a time, so fast, again where it pays, and what came of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::header::{LOCATION, RETRY_AFTER};
use hyper::http::response::Parts;
use larder_core::Fields;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Answer, Connection};
use super::coverage::Coverage;
use super::outcome::{Done, Outcome, judge};
use super::pace::{Pace, Settings, backoff};
use super::request::Request;
use super::target::Via;

/// The most redirects that are followed one after the other.
const REDIRECTS_MAX: u32 = 5;

/// Requests that are being carried out. Dropped, they end at once.
#[derive(Debug)]
pub struct Run {
    done: mpsc::Receiver<(usize, Done)>,
    tasks: JoinSet<()>,
}

struct Work {
    via: Via,
    coverage: Coverage,
    settings: Settings,
    requests: Vec<Arc<Request>>,
    next: AtomicUsize,
    pace: Pace,
}

/// Begins to carry out requests, in their order. On the current tokio runtime.
pub fn run(via: &Via, coverage: &Coverage, settings: &Settings, requests: Vec<Arc<Request>>) -> Run {
    let at_a_time = settings.concurrency.clamp(1, 256).min(requests.len().max(1));
    let (out, done) = mpsc::channel(at_a_time);
    let work = Arc::new(Work {
        via: via.clone(),
        coverage: coverage.clone(),
        settings: settings.clone(),
        requests,
        next: AtomicUsize::new(0),
        pace: Pace::new(settings.rate),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..at_a_time {
        tasks.spawn(work.clone().carry_out(out.clone()));
    }
    Run { done, tasks }
}

impl Run {
    /// The next request that is over, by its place among those given, and what came of it. `None` once all are.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> Option<(usize, Done)> {
        self.done.recv().await
    }

    /// Ends all that is under way.
    pub fn stop(mut self) {
        self.tasks.abort_all();
    }
}

impl Work {
    async fn carry_out(self: Arc<Self>, out: mpsc::Sender<(usize, Done)>) {
        let mut connection = Connection::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = self.requests.get(index) else { return };
            let done = self.warm(request, &mut connection).await;
            if out.send((index, done)).await.is_err() {
                return;
            }
        }
    }

    /// Sends a request, and again where that may help.
    async fn warm(&self, request: &Request, connection: &mut Connection) -> Done {
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (done, again) = self.attempt(request, connection, began, attempts).await;
            match again {
                Some(asked) if attempts <= self.settings.retries => sleep(backoff(attempts, asked)).await,
                Some(_) | None => return done,
            }
        }
    }

    /// Sends it once, with where it leads. Says whether to try again, and after which wait at least.
    async fn attempt(
        &self,
        request: &Request,
        connection: &mut Connection,
        began: Instant,
        attempts: u32,
    ) -> (Done, Option<Option<Duration>>) {
        let mut followed = None;
        let mut hops = 0;
        loop {
            let request = followed.as_ref().unwrap_or(request);
            let answer = match self.ask(request, connection).await {
                Ok(answer) => answer,
                Err(why) => return (failed(why, began, attempts), Some(None)),
            };
            let status = answer.head.status.as_u16();
            if self.settings.follow_redirects && matches!(status, 301 | 302 | 303 | 307 | 308) {
                match self.led_to(request, &answer.head) {
                    Ok(_) if hops >= REDIRECTS_MAX => {
                        let why = format!("more than {REDIRECTS_MAX} redirects");
                        return (Done { status: Some(status), ..failed(why, began, attempts) }, None);
                    }
                    Ok(next) => {
                        hops += 1;
                        followed = Some(next);
                        continue;
                    }
                    Err(why) => {
                        let done = Done { status: Some(status), ..failed(why, began, attempts) };
                        return (Done { outcome: Outcome::NotStored, ..done }, None);
                    }
                }
            }
            let again = (status >= 500 || status == 429).then(|| retry_after(&answer.head));
            return (self.done(request, &answer, began, attempts), again);
        }
    }

    async fn ask(&self, request: &Request, connection: &mut Connection) -> Result<Answer, String> {
        self.pace.turn().await;
        let limits = (self.settings.timeout, self.settings.connect_timeout);
        let asked = connection.get(&self.via, request.target(), request.sent_fields(), limits.1);
        match timeout(limits.0, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no whole answer within {} ms", limits.0.as_millis())),
        }
    }

    /// Where an answer leads, if that is covered.
    fn led_to(&self, request: &Request, head: &Parts) -> Result<Request, String> {
        let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let target = location.and_then(|location| request.target().join(location));
        let target = target.ok_or_else(|| "a redirect to nowhere".to_owned())?;
        match self.coverage.of(&target) {
            Ok(covered) => Ok(request.led_to(target, covered)),
            Err(why) => Err(format!("a redirect to {target}, which is not followed: {why}")),
        }
    }

    fn done(&self, request: &Request, answer: &Answer, began: Instant, attempts: u32) -> Done {
        let pairs = answer.head.headers.iter();
        let fields =
            Fields::from_pairs(pairs.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())));
        let status = answer.head.status.as_u16();
        let judged = judge(status, &fields);
        let is_stored = matches!(judged.outcome, Outcome::Warmed | Outcome::Fresh);
        Done {
            outcome: judged.outcome,
            reason: judged.reason,
            status: Some(status),
            ttl: judged.ttl,
            bytes: answer.bytes,
            attempts,
            took: began.elapsed(),
            tags: if is_stored { request.tags_of(&fields) } else { Vec::new() },
        }
    }
}

fn failed(why: String, began: Instant, attempts: u32) -> Done {
    Done {
        outcome: Outcome::Failed,
        reason: Some(why),
        status: None,
        ttl: None,
        bytes: 0,
        attempts,
        took: began.elapsed(),
        tags: Vec::new(),
    }
}

/// `Retry-After` in seconds; as a date it is not read, and the usual wait holds.
fn retry_after(head: &Parts) -> Option<Duration> {
    let seconds = head.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
