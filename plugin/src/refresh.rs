//! Background refreshes: calls of the root context that outlive the stream which asked for them.
//!
//! The core says what to send and takes up the answer; when to refresh is its decision. A refresh that cannot be sent as it
//! is (a value that is not text, no cluster, too many at once) has failed, and the core waits before it asks again.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use larder_core::exchange::{Answer, Refresh};
use larder_core::fields::{ResponseHead, Source};
use larder_core::time::Timestamp;
use proxy_wasm::hostcalls;

use crate::head::Head;
use crate::raw::{self, Buffer, Map};
use crate::vm::{self, Plugin, SharedCache};

/// A refresh and what it needs to begin and to end.
pub struct Job {
    pub refresh: Box<Refresh>,
    pub plugin: Rc<Plugin>,
    pub cache: SharedCache,
    pub cluster: String,
}

thread_local! {
    static QUEUED: RefCell<VecDeque<Job>> = const { RefCell::new(VecDeque::new()) };
    static IN_FLIGHT: RefCell<BTreeMap<u32, Job>> = const { RefCell::new(BTreeMap::new()) };
}

impl Job {
    fn finish(self, now: Timestamp, answer: Answer<'_>) {
        let mut cache = self.cache.borrow_mut();
        self.refresh.finish(now, answer, cache.worker_for(&self.plugin));
    }
}

/// The cluster to ask: the configured one, else the one that the effective context's request is routed to.
pub fn cluster(plugin: &Plugin) -> String {
    let routed = || String::from_utf8(raw::property("xds\0cluster_name")?).ok();
    plugin.settings.refresh.cluster.clone().or_else(routed).unwrap_or_default()
}

/// Leaves a job for [`run_queued`].
pub fn queue(job: Job) {
    QUEUED.with_borrow_mut(|queued| queued.push_back(job));
}

/// Begins what was queued. To be called in a callback of the root.
pub fn run_queued() {
    while let Some(job) = QUEUED.with_borrow_mut(VecDeque::pop_front) {
        run(job, None);
    }
}

/// Begins a job. To be called in a callback of a root. `now` saves a look at the clock.
pub fn run(job: Job, now: Option<Timestamp>) {
    let room = IN_FLIGHT.with_borrow(BTreeMap::len) < job.plugin.settings.refresh.in_flight_max;
    let token = if room && !job.cluster.is_empty() { dispatch(&job) } else { None };
    match token {
        Some(token) => {
            let lost = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.insert(token, job));
            if let Some(lost) = lost {
                lost.finish(now.unwrap_or_else(vm::now), Answer::Failed);
            }
        }
        None => job.finish(now.unwrap_or_else(vm::now), Answer::Failed),
    }
}

fn dispatch(job: &Job) -> Option<u32> {
    let request = &job.refresh.request;
    let mut lines = vec![
        (":method", request.method.as_str()),
        (":scheme", request.scheme.as_str()),
        (":authority", request.authority.as_str()),
        (":path", request.target.as_str()),
    ];
    for field in request.fields.iter() {
        // Envoy adds its own to every call; a length without a body would make the call wait for one.
        if field.name.starts_with("x-envoy-") || field.name == "content-length" {
            continue;
        }
        lines.push((field.name.as_str(), std::str::from_utf8(&field.value).ok()?));
    }
    let clean = lines.iter().all(|(_, value)| crate::head::is_clean(value.as_bytes()));
    let timeout = Duration::from_millis(job.plugin.settings.refresh.timeout.0);
    clean.then(|| hostcalls::dispatch_http_call(&job.cluster, lines, None, Vec::new(), timeout).ok())?
}

/// A call is over; its answer is the effective context's.
pub fn answered(token: u32, header_count: usize, body_size: usize) {
    let Some(job) = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.remove(&token)) else { return };
    let now = vm::now();
    // No headers: the call failed, and its maps must not be read.
    if header_count == 0 {
        job.finish(now, Answer::Failed);
        return;
    }
    let head = Head::read(&raw::map(Map::CallResponse).unwrap_or_default());
    let body = match body_size {
        0 => Ok(Vec::new()),
        size => raw::buffer(Buffer::CallResponseBody, 0, size),
    };
    match (head.status(), body) {
        (status @ 200.., Ok(body)) if body.len() == body_size => {
            let head = ResponseHead { status, ends: body.is_empty(), source: Source::Origin, fields: head.fields };
            job.finish(now, Answer::Response(head, &body));
        }
        _ => job.finish(now, Answer::Failed),
    }
}

/// How many calls of a root are under way.
pub fn pending(root: u32) -> usize {
    IN_FLIGHT.with_borrow(|in_flight| in_flight.values().filter(|job| job.plugin.root == root).count())
}

/// A root is gone, and with it the answers to its calls.
pub fn abandon(root: u32) {
    let lost: Vec<Job> = IN_FLIGHT.with_borrow_mut(|in_flight| {
        let tokens: Vec<u32> = in_flight.iter().filter(|(_, job)| job.plugin.root == root).map(|(t, _)| *t).collect();
        tokens.iter().filter_map(|token| in_flight.remove(token)).collect()
    });
    for job in lost {
        job.finish(vm::now(), Answer::Failed);
    }
}
