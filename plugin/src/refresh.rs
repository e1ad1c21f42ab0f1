//! Requests to origins in the background: refreshes, and what stands in for a node that has failed. They are calls of the root context that outlive the stream which asked for them.
//!
//! The core says what to send and takes up the answer; when to refresh is its decision. A refresh that cannot be sent as it
//! is (a value that is not text, no cluster, too many at once) has failed, and the core waits before it asks again.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::Effect;
use larder_core::cluster::CallFailure;
use larder_core::exchange::{Answer, Refresh, RefreshStep};
use larder_core::fields::{RequestHead, ResponseHead, Source};
use larder_core::time::Timestamp;
use proxy_wasm::hostcalls;

use crate::cluster::{self, Errand, Purpose};
use crate::effects::{self, Asker, Resumption};
use crate::head::Head;
use crate::raw::{self, Buffer, Map};
use crate::vm::{self, Plugin, SharedCache};

/// A request to an origin, and what it needs to begin and to end.
pub struct Job {
    pub work: Work,
    pub request: RequestHead,
    pub plugin: Rc<Plugin>,
    pub cache: SharedCache,
    pub cluster: String,
}

/// Whose request it is.
pub enum Work {
    /// A refresh's.
    Refresh(Box<Refresh>),
    /// A stream's whose node has failed.
    Stream(u32),
}

thread_local! {
    static QUEUED: RefCell<VecDeque<Job>> = const { RefCell::new(VecDeque::new()) };
    static IN_FLIGHT: RefCell<BTreeMap<u32, Job>> = const { RefCell::new(BTreeMap::new()) };
}

impl Job {
    fn finish(self, root: u32, now: Timestamp, answer: Option<(ResponseHead, Vec<u8>)>) {
        let Self { work, plugin, cache, .. } = self;
        match work {
            Work::Refresh(refresh) => {
                let mut out = Vec::new();
                {
                    let mut cache = cache.borrow_mut();
                    let answer = match &answer {
                        Some((head, body)) => Answer::Response(head.clone(), body),
                        None => Answer::Failed,
                    };
                    refresh.finish(now, answer, cache.worker_for(&plugin), &mut out);
                }
                carry_out(root, now, plugin, cache, out);
            }
            Work::Stream(stream) => drop(effects::resume(root, now, stream, Resumption::Fetched(answer))),
        }
    }

    /// The call is lost, and nobody is there to hear what comes of that.
    pub fn fail(self, now: Timestamp) {
        if let Work::Refresh(refresh) = self.work {
            let mut cache = self.cache.borrow_mut();
            refresh.finish(now, Answer::Failed, cache.worker_for(&self.plugin), &mut Vec::new());
        }
    }
}

fn carry_out(root: u32, now: Timestamp, plugin: Rc<Plugin>, cache: SharedCache, out: Vec<Effect>) {
    if !out.is_empty() {
        let asker = Asker { context: root, plugin, cache, origin: String::new() };
        effects::carry_out_in_root(root, &asker, now, out);
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
pub fn run_queued(root: u32) {
    while let Some(job) = QUEUED.with_borrow_mut(VecDeque::pop_front) {
        run(root, job, None);
    }
}

/// Begins a job, in a callback of this root. `now` saves a look at the clock.
pub fn run(root: u32, mut job: Job, now: Option<Timestamp>) {
    if let Work::Refresh(refresh) = &mut job.work {
        let lookup = refresh.lookup(&job.cache.borrow().worker);
        if let Some(call) = lookup {
            let (plugin, cache) = (job.plugin.clone(), job.cache.clone());
            let purpose = Purpose::Refresh(Box::new(job));
            cluster::run(root, Errand { call, plugin, cache, purpose });
            return;
        }
    }
    let room = IN_FLIGHT.with_borrow(BTreeMap::len) < job.plugin.settings.refresh.in_flight_max;
    let needed = room || matches!(job.work, Work::Stream(_));
    let token = if needed && !job.cluster.is_empty() { dispatch(&job) } else { None };
    match token {
        Some(token) => {
            let lost = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.insert(token, job));
            if let Some(lost) = lost {
                lost.finish(root, now.unwrap_or_else(vm::now), None);
            }
        }
        None => job.finish(root, now.unwrap_or_else(vm::now), None),
    }
}

/// The cluster has said whether a refresh is needed, or has said nothing.
pub fn looked_up(root: u32, now: Timestamp, mut job: Job, answer: Result<Bytes, CallFailure>) {
    let Work::Refresh(refresh) = &mut job.work else { return };
    let mut out = Vec::new();
    let step = {
        let mut cache = job.cache.borrow_mut();
        refresh.on_lookup(now, answer, cache.worker_for(&job.plugin), &mut out)
    };
    carry_out(root, now, job.plugin.clone(), job.cache.clone(), out);
    match step {
        RefreshStep::Done => {}
        RefreshStep::Fetch => run(root, job, Some(now)),
    }
}

fn dispatch(job: &Job) -> Option<u32> {
    let request = &job.request;
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
pub fn answered(root: u32, token: u32, header_count: usize, body_size: usize) {
    let Some(job) = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.remove(&token)) else { return };
    let now = vm::now();
    // No headers: the call failed, and its maps must not be read.
    if header_count == 0 {
        job.finish(root, now, None);
        return;
    }
    let head = Head::read(raw::map(Map::CallResponse).unwrap_or_default());
    let body = match body_size {
        0 => Ok(Vec::new()),
        size => raw::buffer(Buffer::CallResponseBody, 0, size),
    };
    match (head.status(), body) {
        (status @ 200.., Ok(body)) if body.len() == body_size => {
            let head = ResponseHead { status, ends: body.is_empty(), source: Source::Origin, fields: head.fields };
            job.finish(root, now, Some((head, body)));
        }
        _ => job.finish(root, now, None),
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
        job.fail(vm::now());
    }
}
