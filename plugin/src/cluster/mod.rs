//! Calls to the HTTP cache cluster: look-ups that streams wait for, what is told without waiting, purges, the purge log.
//!
//! All calls are made in callbacks of the root and outlive the streams that caused them. What is asked and what an answer
//! means is the core's; here are only the tokens, and who is told.

mod follow;
mod purges;
mod report;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::message::Message;
use larder_core::cluster::{Call, CallFailure, PROTOCOL, together};
use larder_core::exchange;
use larder_core::time::Timestamp;
use proxy_wasm::hostcalls;

pub use follow::Follower;
pub use purges::Purging;
pub use report::Reporting;

use crate::effects::{self, Resumption};
use crate::head::Head;
use crate::peers;
use crate::raw::{self, Buffer, Map};
use crate::refresh::{self, Job};
use crate::vm::{self, Plugin, SharedCache};

/// A call and who is told of its answer.
pub struct Errand {
    pub call: Call,
    pub plugin: Rc<Plugin>,
    pub cache: SharedCache,
    pub purpose: Purpose,
}

/// Who is told.
pub enum Purpose {
    /// A stream that waits.
    Stream(u32),
    /// A refresh that may not be needed.
    Refresh(Box<Job>),
    /// Nobody but the breaker.
    Tell,
    /// The worker's purges.
    Purge(Purging),
    /// The worker's view of the purge log.
    Follow(Follower),
    /// What was counted.
    Report(Reporting),
}

thread_local! {
    static QUEUED: RefCell<VecDeque<Errand>> = const { RefCell::new(VecDeque::new()) };
    static LEFT: RefCell<Vec<Errand>> = const { RefCell::new(Vec::new()) };
    /// By their tokens, with the root to which the answer comes: that in whose callback the call was made, whosever errand it is.
    static IN_FLIGHT: RefCell<BTreeMap<u32, (u32, Errand)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Calls that nobody waits for, per worker; more are not made.
const TOLD_AT_ONCE: usize = 256;

/// Leaves an errand for [`run_queued`].
pub fn queue(errand: Errand) {
    QUEUED.with_borrow_mut(|queued| queued.push_back(errand));
}

/// Leaves what nobody waits for until Envoy has gone once around its events, or until the next tick should the VM have no queue
/// yet: what comes meanwhile goes along in the same calls ([`run_left`]).
pub fn leave(errand: Errand) {
    let first = LEFT.with_borrow_mut(|left| {
        left.push(errand);
        left.len() == 1
    });
    if first {
        peers::call_root();
    }
}

/// Tells what was left, in a callback of the root.
pub fn run_left(root: u32) {
    let mut left = LEFT.take();
    while let Some(first) = left.first() {
        let (plugin, cache) = (first.plugin.clone(), first.cache.clone());
        let (same, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|errand| Rc::ptr_eq(&errand.plugin.settings, &plugin.settings));
        left = others;
        for call in together(same.into_iter().map(|errand| errand.call).collect()) {
            run(root, Errand { call, plugin: plugin.clone(), cache: cache.clone(), purpose: Purpose::Tell });
        }
    }
}

/// Runs what was queued, in a callback of the root.
pub fn run_queued(root: u32) {
    while let Some(errand) = QUEUED.with_borrow_mut(VecDeque::pop_front) {
        match errand.purpose {
            Purpose::Purge(purging) => {
                purges::purge(root, Errand { purpose: Purpose::Tell, ..errand }, purging);
            }
            _ => run(root, errand),
        }
    }
}

/// Makes a call, in a callback of this root.
pub fn run(root: u32, mut errand: Errand) {
    // Another configuration may have moved the cluster.
    if errand.plugin.is_leaving()
        && let Some(plugin) = crate::root::plugin_of(root).filter(|plugin| plugin.is_in_place_of(&errand.plugin))
    {
        errand.plugin = plugin;
    }
    let told = matches!(errand.purpose, Purpose::Tell);
    let too_many = told && IN_FLIGHT.with_borrow(BTreeMap::len) >= TOLD_AT_ONCE;
    let token = if too_many { None } else { dispatch(&errand) };
    match token {
        Some(token) => {
            let lost = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.insert(token, (root, errand)));
            if let Some((_, lost)) = lost {
                finish(root, lost, Err(CallFailure::Unreachable));
            }
        }
        None if too_many => {}
        None => finish(root, errand, Err(CallFailure::Unreachable)),
    }
}

fn dispatch(errand: &Errand) -> Option<u32> {
    let cluster = &errand.plugin.settings.cluster.as_ref()?.name;
    let call = &errand.call;
    let lines = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", call.name.as_str()),
        (":path", call.path),
        ("content-type", "application/vnd.larder"),
    ];
    let timeout = Duration::from_millis(call.timeout.0.max(1));
    hostcalls::dispatch_http_call(cluster, lines, Some(&call.body), Vec::new(), timeout).ok()
}

/// A call is over; its answer is the effective context's. Says whether the call was one of ours.
pub fn answered(root: u32, token: u32, header_count: usize, body_size: usize) -> bool {
    let Some((_, errand)) = IN_FLIGHT.with_borrow_mut(|in_flight| in_flight.remove(&token)) else { return false };
    let answer = read(header_count, body_size);
    finish(root, errand, answer);
    true
}

/// What came back. A message says itself what it is; the head is looked at only where there is none.
fn read(header_count: usize, body_size: usize) -> Result<Bytes, CallFailure> {
    // No headers: the call failed, and its maps must not be read.
    if header_count == 0 {
        return Err(CallFailure::Unreachable);
    }
    let body = match body_size {
        0 => Vec::new(),
        size => raw::buffer(Buffer::CallResponseBody, 0, size).unwrap_or_default(),
    };
    if body.len() == body_size && body.starts_with(b"LRDM") && body.get(4) == Some(&PROTOCOL) {
        return Ok(body.into());
    }
    let head = Head::read(raw::map(Map::CallResponse).unwrap_or_default());
    Err(match head.status() {
        504 => CallFailure::TimedOut,
        502 | 503 => CallFailure::Unreachable,
        _ => CallFailure::Nonsense,
    })
}

fn finish(root: u32, errand: Errand, answer: Result<Bytes, CallFailure>) {
    let now = vm::now();
    let Errand { call, plugin, cache, purpose } = errand;
    match purpose {
        Purpose::Stream(stream) => {
            let left_behind = answer.clone();
            if !effects::resume(root, now, stream, Resumption::Lookup(answer))
                && let Some(call) = left_behind.ok().and_then(|answer| exchange::abandoned(&call.name, answer))
            {
                run(root, Errand { call, plugin, cache, purpose: Purpose::Tell });
            }
        }
        Purpose::Refresh(job) => refresh::looked_up(root, now, *job, answer),
        Purpose::Tell => {
            let answered = is_answer::<larder_core::cluster::message::StoreAnswer>(answer);
            cache.borrow_mut().worker.note_call(now, answered);
        }
        Purpose::Purge(purging) => {
            purges::answered(root, now, Errand { call, plugin, cache, purpose: Purpose::Tell }, purging, answer)
        }
        Purpose::Report(reporting) => report::answered(reporting, answer),
        Purpose::Follow(follower) => follow::answered(root, now, follower, &cache, answer),
    }
}

fn is_answer<M: Message>(answer: Result<Bytes, CallFailure>) -> bool {
    answer.ok().and_then(M::decode).is_some()
}

/// How many calls of a root are under way that must be waited for before it goes.
pub fn pending(root: u32) -> usize {
    IN_FLIGHT.with_borrow(|in_flight| {
        let waited = |(of, errand): &&(u32, Errand)| {
            *of == root && !matches!(errand.purpose, Purpose::Follow(_) | Purpose::Report(_))
        };
        in_flight.values().filter(waited).count()
    })
}

/// A root is gone, and with it the answers to its calls. Streams whose look-up is lost are past help here: their root was theirs.
pub fn abandon(root: u32) {
    let lost: Vec<Errand> = IN_FLIGHT.with_borrow_mut(|in_flight| {
        let of_root: Vec<u32> = in_flight.iter().filter(|(_, (of, _))| *of == root).map(|(t, _)| *t).collect();
        of_root.iter().filter_map(|token| in_flight.remove(token)).map(|(_, errand)| errand).collect()
    });
    for errand in lost {
        match errand.purpose {
            Purpose::Refresh(job) => job.fail(vm::now()),
            Purpose::Follow(_) => follow::lost(&errand.cache),
            Purpose::Purge(purging) => purges::lost(errand.plugin, errand.cache, errand.call, purging),
            Purpose::Report(reporting) => report::lost(reporting),
            Purpose::Stream(_) | Purpose::Tell => {}
        }
    }
}

/// The tick: what is due.
pub fn tick(root: u32, now: Timestamp, plugin: &Rc<Plugin>, cache: &SharedCache) {
    follow::tick(root, now, plugin, cache);
    purges::tick(root, now);
    report::tick(root, now, plugin, cache);
}
