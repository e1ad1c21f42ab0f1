//! Asking nodes: one after the other until one takes a purge, and all of them whether it is delivered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::connector::Connector;
use super::purge::body;
use super::queue::Batch;
use super::retry::{Verdict, judge, retry_after};
use super::ticket::Accepted;
use super::token::Token;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How long a node may hold a question for delivery.
const HOLD: Duration = Duration::from_secs(20);

/// Between two questions for delivery to a node that does not know the purge yet.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The admin planes, and a client for them.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    client: Client<Connector, Full<Bytes>>,
    pub(super) token: Token,
    timeout: Duration,
    /// Which one took the last purge.
    preferred: AtomicUsize,
}

#[derive(Debug)]
struct Node {
    /// Without a slash at its end.
    url: String,
    told: Mutex<Told>,
}

/// What a node said last.
#[derive(Debug, Default)]
struct Told {
    /// It asked to be left alone until then.
    held_until: Option<Instant>,
    log: Option<String>,
}

/// What came of offering a purge to all nodes.
#[derive(Debug)]
pub(super) enum Round {
    Accepted(Accepted),
    Refused {
        status: u16,
        detail: String,
    },
    Blocked {
        why: String,
    },
    Failed {
        why: String,
        /// All of them asked to be left alone until then.
        held_until: Option<Instant>,
    },
}

#[derive(Deserialize)]
struct Taken {
    log: String,
    sequence: u64,
}

#[derive(Deserialize)]
struct Delivery {
    delivered: bool,
    workers: Option<Workers>,
}

#[derive(Deserialize)]
struct Workers {
    #[serde(default)]
    pending: Vec<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Nodes {
    pub(super) fn new(urls: Vec<String>, connector: Connector, token: Token, timeout: Duration) -> Self {
        let nodes = urls.into_iter().map(|url| Node { url, told: Mutex::default() }).collect();
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector);
        Self { nodes, client, token, timeout, preferred: AtomicUsize::new(0) }
    }

    /// Offers a purge to one node after the other, first to the one that took the last.
    pub(super) async fn purge(&self, batch: &Batch) -> Round {
        let body = Bytes::from(body(&batch.scopes, batch.mode).to_string());
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut blocked, mut failed) = (Vec::new(), Vec::new());
        for (number, node) in self.nodes.iter().enumerate().cycle().skip(first).take(self.nodes.len()) {
            if node.is_held() {
                continue;
            }
            let end = Instant::now() + self.timeout;
            let answer = match self.ask(Method::POST, format!("{}/v1/purge", node.url), body.clone(), end).await {
                Ok(answer) => answer,
                Err(why) => {
                    failed.push(format!("{}: {why}", node.url));
                    continue;
                }
            };
            match judge(answer.status) {
                Verdict::Accepted => match serde_json::from_slice::<Taken>(&answer.body) {
                    Ok(taken) => {
                        self.preferred.store(number, Ordering::Relaxed);
                        self.compare_logs(node, &taken.log);
                        let Taken { log, sequence } = taken;
                        return Round::Accepted(Accepted { node: node.url.clone(), log, sequence });
                    }
                    Err(_) => failed.push(format!("{} says {}, and nothing that a node says", node.url, answer.status)),
                },
                Verdict::Refused => return Round::Refused { status: answer.status.as_u16(), detail: answer.detail() },
                Verdict::Blocked => blocked.push(node.says(&answer)),
                Verdict::Failed => {
                    node.told().held_until =
                        retry_after(&answer.headers, SystemTime::now()).map(|wait| Instant::now() + wait);
                    failed.push(node.says(&answer));
                }
            }
        }
        let held_until = self.nodes.iter().map(|node| node.told().held_until).min().flatten();
        failed.append(&mut blocked.clone());
        let why = failed.join("; ");
        if blocked.is_empty() { Round::Failed { why, held_until } } else { Round::Blocked { why } }
    }

    /// Waits until every node says that a purge is delivered. Otherwise what each of those said last that do not.
    pub(super) async fn delivered(self: &Arc<Self>, accepted: &Accepted, end: Instant) -> Result<(), Vec<String>> {
        let mut asked = JoinSet::new();
        for number in 0..self.nodes.len() {
            let (nodes, accepted) = (self.clone(), accepted.clone());
            asked.spawn(async move { nodes.delivered_by(number, &accepted, end).await });
        }
        let outcomes = asked.join_all().await;
        let not_yet: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
        if not_yet.is_empty() { Ok(()) } else { Err(not_yet) }
    }

    async fn delivered_by(&self, number: usize, accepted: &Accepted, end: Instant) -> Result<(), String> {
        let Some(node) = self.nodes.get(number) else { return Ok(()) };
        let Accepted { log, sequence, .. } = accepted;
        let mut last = format!("{} does not answer", node.url);
        // Asked without waiting first: then there is something to tell, however short the time is.
        let mut hold = Duration::ZERO;
        loop {
            let url = format!("{}/v1/purges/{sequence}/delivery?log={log}&wait={}ms", node.url, hold.as_millis());
            let began = Instant::now();
            let asked = self.ask(Method::GET, url, Bytes::new(), end.min(began + hold + self.timeout)).await;
            let mut was_held = false;
            let delivery = asked.as_ref().ok().filter(|answer| answer.status.is_success());
            match (delivery.and_then(|answer| serde_json::from_slice::<Delivery>(&answer.body).ok()), asked) {
                (Some(delivery), _) if delivery.delivered => return Ok(()),
                (Some(delivery), _) => {
                    let pending = delivery.workers.map(|workers| workers.pending).unwrap_or_default();
                    last = format!("{} waits for {}", node.url, pending.join(", "));
                    was_held = began.elapsed() >= hold;
                }
                (None, Ok(answer)) => last = node.says(&answer),
                // The time being over is no news.
                (None, Err(_)) if Instant::now() >= end => return Err(last),
                (None, Err(why)) => last = format!("{}: {why}", node.url),
            }
            if !was_held {
                tokio::time::sleep_until(end.min(Instant::now() + ASK_AGAIN)).await;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(last);
            }
            // The answer needs time, too.
            hold = HOLD.min(left.mul_f64(0.9));
        }
    }

    async fn ask(&self, method: Method, url: String, body: Bytes, end: Instant) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, concat!("larder-origin/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = self.token.value() {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let asked = async {
            let (head, body) = self.client.request(request).await.map_err(|error| chain(&error))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| chain(error.as_ref()))?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        timeout_at(end, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// Nodes that take turns have one purge log, or a purge at one says nothing to the workers of another.
    fn compare_logs(&self, node: &Node, log: &str) {
        let changed = node.told().log.replace(log.to_owned()).as_deref() != Some(log);
        let other = self.nodes.iter().find(|other| other.told().log.as_deref().is_some_and(|known| known != log));
        if let (true, Some(other)) = (changed, other) {
            tracing::error!(
                target: "larder::invalidator",
                node = node.url, other = other.url, log,
                "these nodes have named different purge logs: unless the log itself was renewed, each needs an invalidator of its own"
            );
        }
    }
}

impl Node {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Nothing panics while it is held.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_held(&self) -> bool {
        let mut told = self.told();
        told.held_until = told.held_until.filter(|until| *until > Instant::now());
        told.held_until.is_some()
    }

    fn says(&self, answer: &Answer) -> String {
        format!("{} says {}: {}", self.url, answer.status, answer.detail())
    }
}

impl Answer {
    /// What problem details (RFC 9457) say, or the beginning of whatever else came.
    fn detail(&self) -> String {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok();
        let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str);
        detail.map_or_else(|| String::from_utf8_lossy(&self.body).chars().take(200).collect(), str::to_owned)
    }
}

/// An error with what it comes from: hyper's own message alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
