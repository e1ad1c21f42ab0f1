//! What is due when, and what came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::Policy;
use larder_core::purge::Scope;
use larder_core::time::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::warming::coverage::Coverage;
use crate::warming::plan::{self, Plan, Refused};
use crate::warming::request::Request;
use crate::warming::{Done, Outcome, Schedule};

/// The most requests that a node warms by itself.
const REQUESTS_MAX: usize = 10_000;

/// So long after a purge, what it covers is asked for again: workers have heard of it by then, and of those that came with it.
const AFTER_PURGE: Duration = Duration::from_secs(1);

/// What failed is tried again after so long, should it not be due earlier.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// How often what has no span of its own is asked for. No policy leaves it out.
const EVERY: Duration = Duration::from_secs(3600);

/// Who warms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "name", rename_all = "snake_case")]
pub(crate) enum Holder {
    /// This node.
    Here,
    /// Another one, by its name.
    Elsewhere(String),
    /// Nobody can say, for this reason: this node does not.
    Unknown(String),
}

/// A node's warming.
pub(crate) struct State {
    pub(super) schedule: Schedule,
    /// What is in force of what was pushed to the cluster.
    pub(super) pushed: watch::Receiver<Vec<Arc<Policy>>>,
    inner: Mutex<Inner>,
    /// Somebody asks for everything now.
    pub(super) asked: Notify,
}

struct Inner {
    holder: Holder,
    running: bool,
    entries: Vec<Entry>,
    refused: Vec<Refused>,
    refused_in_all: usize,
    coverage: Coverage,
}

#[derive(Clone)]
struct Entry {
    request: Arc<Request>,
    due: Instant,
    last: Option<Last>,
}

#[derive(Clone)]
struct Last {
    at: Timestamp,
    done: Done,
}

/// What is to be asked for now.
pub(super) struct Picked {
    pub(super) places: Vec<usize>,
    pub(super) requests: Vec<Arc<Request>>,
    pub(super) coverage: Coverage,
}

/// Warming, to be shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    via: String,
    holder: Holder,
    running: bool,
    /// How many there are; `requests` may be the first of them only.
    total: usize,
    requests: Vec<RequestShown>,
    refused_in_all: usize,
    refused: Vec<RefusedShown>,
}

#[derive(Debug, Serialize)]
struct RequestShown {
    url: String,
    headers: Vec<(String, String)>,
    route: Option<String>,
    every_s: Option<u64>,
    last: Option<LastShown>,
    next_ms: u64,
}

#[derive(Debug, Serialize)]
struct LastShown {
    at_ms: u64,
    outcome: Outcome,
    reason: Option<String>,
    status: Option<u16>,
    ttl_s: Option<i64>,
    attempts: u32,
    took_ms: u64,
}

#[derive(Debug, Serialize)]
struct RefusedShown {
    url: String,
    why: String,
}

impl State {
    pub(crate) fn new(schedule: Schedule, pushed: watch::Receiver<Vec<Arc<Policy>>>) -> Self {
        let coverage = Coverage::new(Vec::new(), schedule.sites.clone(), &schedule.via);
        let inner = Inner {
            holder: Holder::Unknown("not asked yet".to_owned()),
            running: false,
            entries: Vec::new(),
            refused: Vec::new(),
            refused_in_all: 0,
            coverage,
        };
        let state = Self { schedule, pushed, inner: Mutex::new(inner), asked: Notify::new() };
        state.plan();
        state
    }

    /// Makes the plan anew, by the policies in force. What was in it before keeps its place in time.
    pub(super) fn plan(&self) {
        let schedule = &self.schedule;
        let pushed = self.pushed.borrow().clone();
        let mut policies = schedule.policies.borrow().clone();
        for policy in &mut policies {
            if let Some(pushed) = pushed.iter().find(|pushed| pushed.name == policy.name) {
                *policy = pushed.clone();
            }
        }
        let (Plan { requests, refused, refused_in_all }, coverage) =
            plan::of_policies(&policies, &schedule.sites, &schedule.via, REQUESTS_MAX);
        for refused in &refused {
            tracing::warn!(url = refused.url, why = refused.why, "a URL of the policy is not warmed");
        }
        let mut inner = self.lock();
        let mut known: HashMap<String, Entry> =
            inner.entries.drain(..).map(|entry| (entry.request.to_string(), entry)).collect();
        let now = Instant::now();
        let entry = |request: Request| match known.remove(&request.to_string()) {
            Some(entry) => Entry { due: entry.due.min(now + every(&request)), request: Arc::new(request), ..entry },
            None => Entry { request: Arc::new(request), due: now, last: None },
        };
        inner.entries = requests.into_iter().map(entry).collect();
        (inner.refused, inner.refused_in_all, inner.coverage) = (refused, refused_in_all, coverage);
    }

    /// Whose turn it is. One that begins has everything asked for.
    pub(super) fn set_holder(&self, holder: Holder) {
        let mut inner = self.lock();
        if inner.holder == holder {
            return;
        }
        match &holder {
            Holder::Here => {
                tracing::info!(requests = inner.entries.len(), "this node warms");
                let now = Instant::now();
                inner.entries.iter_mut().for_each(|entry| entry.due = now);
            }
            Holder::Elsewhere(node) => tracing::info!(node, "another node warms"),
            Holder::Unknown(why) => tracing::warn!(why, "this node does not warm: nobody can say whose turn it is"),
        }
        inner.holder = holder;
    }

    pub(crate) fn holder(&self) -> Holder {
        self.lock().holder.clone()
    }

    pub(super) fn set_running(&self, running: bool) {
        self.lock().running = running;
    }

    /// Has what purges cover asked for soon.
    pub(super) fn purged(&self, scopes: &[Scope]) {
        let soon = Instant::now() + AFTER_PURGE;
        for entry in &mut self.lock().entries {
            let said = entry.last.as_ref().map_or(&[][..], |last| &last.done.tags);
            if scopes.iter().any(|scope| entry.request.is_purged_by(scope, said)) {
                entry.due = entry.due.min(soon);
            }
        }
    }

    /// Has everything asked for now, by this node; says how much that is.
    pub(crate) fn ask_for_all(&self) -> usize {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.entries.iter_mut().for_each(|entry| entry.due = now);
        let total = inner.entries.len();
        drop(inner);
        self.asked.notify_one();
        total
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().entries.iter().map(|entry| entry.due).min()
    }

    /// Takes what is due. From here on it is due again after its span, or once it is purged.
    pub(super) fn pick(&self) -> Picked {
        let mut inner = self.lock();
        let now = Instant::now();
        let mut picked = Picked { places: Vec::new(), requests: Vec::new(), coverage: inner.coverage.clone() };
        for (place, entry) in inner.entries.iter_mut().enumerate().filter(|(_, entry)| entry.due <= now) {
            entry.due = now + every(&entry.request);
            picked.places.push(place);
            picked.requests.push(entry.request.clone());
        }
        picked
    }

    /// Has what was taken asked for anew.
    pub(super) fn again(&self, picked: &Picked) {
        let mut inner = self.lock();
        let now = Instant::now();
        for place in &picked.places {
            if let Some(entry) = inner.entries.get_mut(*place) {
                entry.due = now;
            }
        }
    }

    /// Notes what came of a request, should it still be in the plan.
    pub(super) fn note(&self, place: usize, request: &Arc<Request>, done: Done, at: Timestamp) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(place).filter(|entry| Arc::ptr_eq(&entry.request, request)) else {
            return;
        };
        let soonest = match (done.outcome, done.ttl) {
            (Outcome::Failed, _) => Some(AFTER_FAILURE),
            // Whoever asks while it is fresh renews nothing: it is asked for as it expires.
            (Outcome::Fresh, Some(ttl)) => Some(Duration::from_secs(u64::try_from(ttl).unwrap_or_default().max(1))),
            _ => None,
        };
        if let Some(soonest) = soonest.and_then(|wait| Instant::now().checked_add(wait)) {
            entry.due = entry.due.min(soonest);
        }
        let mut done = done;
        if done.outcome == Outcome::Failed
            && let Some(before) = entry.last.take()
        {
            // What is stored is what was stored before.
            done.tags = before.done.tags;
        }
        entry.last = Some(Last { at, done });
    }

    /// Everything, to be shown.
    pub(crate) fn shown(&self, now: Timestamp, first: usize) -> Shown {
        let inner = self.lock();
        let here = Instant::now();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let requests = inner.entries.iter().take(first).map(|entry| RequestShown {
            url: entry.request.target().to_string(),
            headers: shown_fields(&entry.request),
            route: entry.request.route().map(str::to_owned),
            every_s: entry.request.every().map(|every| every.as_secs()),
            last: entry.last.as_ref().map(|Last { at, done }| LastShown {
                at_ms: at.0,
                outcome: done.outcome,
                reason: done.reason.clone(),
                status: done.status,
                ttl_s: done.ttl,
                attempts: done.attempts,
                took_ms: millis(done.took),
            }),
            next_ms: now.0.saturating_add(millis(entry.due.saturating_duration_since(here))),
        });
        let refused = |refused: &Refused| RefusedShown { url: refused.url.clone(), why: refused.why.clone() };
        Shown {
            via: self.schedule.via.to_string(),
            holder: inner.holder.clone(),
            running: inner.running,
            total: inner.entries.len(),
            requests: requests.collect(),
            refused_in_all: inner.refused_in_all,
            refused: inner.refused.iter().take(first).map(refused).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn every(request: &Request) -> Duration {
    request.every().unwrap_or(EVERY)
}

/// Fields without those that are nobody's business.
fn shown_fields(request: &Request) -> Vec<(String, String)> {
    let shown = request.fields().filter(|(name, _)| *name != "user-agent");
    let value = |name: &str, value: &[u8]| match name {
        "authorization" | "cookie" | "proxy-authorization" => "...".to_owned(),
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    shown.map(|(name, bytes)| (name.to_owned(), value(name, bytes))).collect()
}
