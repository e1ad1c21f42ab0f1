//! Changes objects at the origin and purges them, by tag and by URL in turn, at a fixed rate; notes when each purge was acknowledged and
//! when it was delivered, which is what answers are then held against. A node that does not take a purge is followed by the next one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use super::content::{Content, HOST, OBJECTS, Target};
use super::dice::Dice;
use crate::http::{self, Request};
use crate::node::{Delivered, Purged};

/// How long a node may take for a purge before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// A purge that no node takes in this time is given up: the object then is old wherever it is kept, as it may be.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(20);
/// The same for its delivery.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// The purge log is not heard from for longer than `purge_lag_max` (5 s): memory is not used any more. And a second for what was under way.
const UNHEARD_MAX: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a purge.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// When it was sent first.
    pub begun: Instant,
    /// How long it took until a node acknowledged it; `None` where none did.
    pub acknowledged: Option<Duration>,
    /// How long from then until it was delivered; `None` where it was not.
    pub delivered: Option<Duration>,
}

/// Purges until this is dropped.
#[derive(Debug)]
pub struct Purger {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    content: Arc<Content>,
    /// The nodes' admin planes.
    nodes: Vec<SocketAddr>,
    token: String,
    over: AtomicBool,
    /// When those were sent that have not come to their end, by number.
    open: Mutex<BTreeMap<u64, Instant>>,
    purges: Mutex<Vec<Purge>>,
    /// The last thing that a node said instead of taking a purge.
    refusal: Mutex<Option<String>>,
}

impl Purger {
    /// So many purges a second.
    pub fn start(content: &Arc<Content>, nodes: Vec<SocketAddr>, token: &str, rate: f64) -> Self {
        let shared = Arc::new(Shared {
            content: content.clone(),
            nodes,
            token: format!("Bearer {token}"),
            over: AtomicBool::new(false),
            open: Mutex::default(),
            purges: Mutex::default(),
            refusal: Mutex::default(),
        });
        let running = shared.clone();
        let thread = thread::spawn(move || run(&running, Duration::from_secs_f64(1.0 / rate)));
        Self { shared, thread: Some(thread) }
    }

    /// Takes what is known of purges that have come to their end.
    pub fn take(&self) -> Vec<Purge> {
        std::mem::take(&mut *lock(&self.shared.purges))
    }

    /// Takes the last refusal.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.shared.refusal).take()
    }

    /// Waits until every purge that was sent before `at` has come to its end.
    pub fn settled(&self, at: Instant) {
        while lock(&self.shared.open).values().any(|begun| *begun < at) {
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Those who wait for a delivery stop soon, too.
        while !lock(&self.shared.open).is_empty() {
            thread::sleep(PAUSE);
        }
    }
}

fn run(shared: &Arc<Shared>, every: Duration) {
    let mut dice = Dice::new(4711);
    let mut due = Instant::now();
    let mut number = 0;
    while !shared.over.load(Ordering::Relaxed) {
        let now = Instant::now();
        due = due.max(now);
        thread::sleep(due - now);
        due += every;
        // As clients do: the first of few more often than the last.
        let object = dice.below(OBJECTS).min(dice.below(OBJECTS));
        let by_tag = dice.below(2) == 0;
        let first = dice.below(shared.nodes.len());
        number += 1;
        lock(&shared.open).insert(number, Instant::now());
        let shared = shared.clone();
        // A purge that takes its time must not keep others waiting.
        thread::spawn(move || {
            let purge = shared.purge(object, by_tag, first);
            lock(&shared.purges).push(purge);
            lock(&shared.open).remove(&number);
        });
    }
}

impl Shared {
    fn purge(&self, object: usize, by_tag: bool, first: usize) -> Purge {
        let target = Target::Object(object);
        let wanted = match target.tag().filter(|_| by_tag) {
            Some(tag) => serde_json::json!({ "tags": [tag] }),
            None => serde_json::json!({ "urls": [format!("http://{HOST}{}", target.path())] }),
        };
        let version = self.content.change(object);
        let mut purge = Purge { begun: Instant::now(), acknowledged: None, delivered: None };
        let body = wanted.to_string().into_bytes();
        let request = Request { method: "POST", body, ..Request::get("/v1/purge") };
        let request = request.field("content-type", "application/json").field("authorization", self.token.clone());
        // Once more where the log was lost meanwhile, and with it the number to ask for.
        while let Some(purged) = self.acknowledged(&request, first) {
            let acknowledged = Instant::now();
            purge.acknowledged.get_or_insert(acknowledged - purge.begun);
            self.content.acknowledge(object, version);
            match self.delivered(&purged, acknowledged) {
                Delivery::Everywhere => {
                    self.content.deliver(object, version);
                    purge.delivered = Some(acknowledged.elapsed());
                    break;
                }
                Delivery::AnotherLog => {}
                Delivery::Unknown => break,
            }
        }
        purge
    }

    /// Asks one node after the other until one takes the purge.
    fn acknowledged(&self, request: &Request, first: usize) -> Option<Purged> {
        let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
        for node in self.nodes.iter().cycle().skip(first) {
            let taken = http::send_to(*node, request, PATIENCE).and_then(|answer| {
                ensure!(answer.status == 200, "a purge is answered by {}: {}", answer.status, answer.text());
                serde_json::from_slice(&answer.body).context("the answer to a purge")
            });
            match taken {
                Ok(purged) => return Some(purged),
                Err(error) => self.note(&error),
            }
            if Instant::now() >= deadline || self.over.load(Ordering::Relaxed) {
                return None;
            }
            thread::sleep(PAUSE);
        }
        None
    }

    /// Waits until every node says that its workers have heard. One that cannot be asked is waited for until whoever had only that one to
    /// hear from uses nothing of its memory any more.
    fn delivered(&self, purged: &Purged, acknowledged: Instant) -> Delivery {
        let request = Request::get(format!("/v1/purges/{}/delivery?wait=1s&log={}", purged.sequence, purged.log));
        let request = request.field("authorization", self.token.clone());
        for node in &self.nodes {
            loop {
                match http::send_to(*node, &request, PATIENCE).map(|answer| (answer.status, answer.text())) {
                    Ok((404, text)) if text.contains("another one") => return Delivery::AnotherLog,
                    Ok((200, text)) => match serde_json::from_str::<Delivered>(&text) {
                        Ok(Delivered { delivered: true }) => break,
                        _ => self.note(&anyhow!("a purge is not delivered yet: {text}")),
                    },
                    Ok((status, text)) => self.note(&anyhow!("a delivery is answered by {status}: {text}")),
                    Err(error) => {
                        self.note(&error);
                        if acknowledged.elapsed() > UNHEARD_MAX {
                            break;
                        }
                    }
                }
                if acknowledged.elapsed() > DELIVERED_WITHIN || self.over.load(Ordering::Relaxed) {
                    return Delivery::Unknown;
                }
                thread::sleep(PAUSE);
            }
        }
        Delivery::Everywhere
    }

    fn note(&self, error: &anyhow::Error) {
        *lock(&self.refusal) = Some(format!("{error:#}"));
    }
}

/// What is known of a purge's delivery.
enum Delivery {
    Everywhere,
    AnotherLog,
    Unknown,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
