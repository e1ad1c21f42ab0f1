//! Carrying out what an exchange asks for beside its verdict: waking other streams, background calls, purges elsewhere.
//!
//! Other streams are reached by the host's effective context; what they are told to do runs after the current callback, so
//! that their own callbacks are never entered from here. They are reached from a root's callback only: a reply sent from a
//! stream's callback would make Envoy stop that stream, too, whatever its callback returns. A stream that has others to wake
//! therefore leaves that to its root, which a message to the VM's own queue calls at once (and the next tick, should the
//! message be lost). No borrow of a stream or cache is held between two effects.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use larder_core::Effect;
use larder_core::cluster::{Call, CallFailure};
use larder_core::exchange::{Answer, Invalidation, Refresh};
use larder_core::fields::ResponseHead;
use larder_core::flights::{StreamId, Wake};
use larder_core::purge::Word;
use larder_core::time::Timestamp;

use crate::cluster::{self, Errand, Purging, Purpose};
use crate::refresh::{self, Job, Work};
use crate::vm::{self, Plugin, SharedCache};
use crate::{hop, peers, raw, root};

/// In whose callback this runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// A stream's.
    Stream(u32),
    /// A root's.
    Root(u32),
}

impl Here {
    const fn context(self) -> u32 {
        match self {
            Self::Stream(id) | Self::Root(id) => id,
        }
    }
}

/// Who asks.
#[derive(Clone)]
pub struct Asker {
    /// The context for which host calls act.
    pub context: u32,
    pub plugin: Rc<Plugin>,
    pub cache: SharedCache,
    /// The cluster of the route, where the request was taken off it.
    pub origin: String,
}

thread_local! {
    static WAKES: RefCell<Vec<(StreamId, Wake)>> = const { RefCell::new(Vec::new()) };
}

/// Carries out a stream's effects, in its callback.
pub fn carry_out(stream: u32, asker: &Asker, now: Timestamp, effects: Vec<Effect>) {
    let todo = effects.into_iter().map(|effect| (Some(asker.clone()), effect)).collect();
    work(Here::Stream(stream), now, todo);
}

/// What a stream that waits is told.
pub enum Resumption {
    /// Another stream's doing concerns it.
    Wake(Wake),
    /// The cluster has answered, or has not.
    Lookup(Result<Bytes, CallFailure>),
    /// The origin has answered in place of a node, or has not.
    Fetched(Option<(ResponseHead, Vec<u8>)>),
}

/// Wakes streams, in a root's callback.
pub fn wake(root: u32, now: Timestamp, wakes: Vec<(StreamId, Wake)>) {
    let todo = wakes.into_iter().map(|(id, wake)| (None, Effect::Wake(id, wake))).collect();
    work(Here::Root(root), now, todo);
}

/// Tells a stream that waits, in a root's callback. Says whether it was there to be told.
pub fn resume(root: u32, now: Timestamp, stream: u32, resumption: Resumption) -> bool {
    let mut acting_for = root;
    let told = resume_one(stream, resumption, now, &mut acting_for);
    if acting_for != root {
        let _ = raw::act_for(root);
    }
    let Some((asker, effects, there)) = told else { return false };
    work(Here::Root(root), now, effects.into_iter().map(|effect| (Some(asker.clone()), effect)).collect());
    there
}

/// Carries out what came of background work, in a root's callback.
pub fn carry_out_in_root(root: u32, asker: &Asker, now: Timestamp, effects: Vec<Effect>) {
    work(Here::Root(root), now, effects.into_iter().map(|effect| (Some(asker.clone()), effect)).collect());
}

/// Wakes whoever streams have left to be woken, in a root's callback.
pub fn wake_left(root: u32) {
    let wakes = WAKES.take();
    if !wakes.is_empty() {
        wake(root, vm::now(), wakes);
    }
}

fn leave(id: StreamId, wake: Wake) {
    let first = WAKES.with_borrow_mut(|wakes| {
        wakes.push((id, wake));
        wakes.len() == 1
    });
    if first {
        peers::call_root();
    }
}

fn work(here: Here, now: Timestamp, mut todo: VecDeque<(Option<Asker>, Effect)>) {
    let mut acting_for = here.context();
    let mut hops = None;
    while let Some((asker, effect)) = todo.pop_front() {
        match (effect, asker) {
            (Effect::Wake(id, wake), _) => match here {
                Here::Stream(_) => leave(id, wake),
                Here::Root(_) => {
                    let Ok(context) = u32::try_from(id.0) else { continue };
                    let told = resume_one(context, Resumption::Wake(wake), now, &mut acting_for);
                    if let Some((asker, effects, _)) = told {
                        todo.extend(effects.into_iter().map(|effect| (Some(asker.clone()), effect)));
                    }
                }
            },
            (Effect::Refresh(wanted), Some(asker)) => begin(here, &asker, now, wanted, &mut acting_for, &mut hops),
            (Effect::Fetch(request), Some(asker)) => {
                let Asker { context, plugin, cache, origin } = asker;
                let job = Job { work: Work::Stream(context), request: *request, plugin, cache, cluster: origin };
                start(here, job, now, &mut acting_for, &mut hops);
            }
            (Effect::Lookup(call), Some(asker)) => {
                let purpose = Purpose::Stream(asker.context);
                run_errand(here, errand(*call, asker, purpose), &mut acting_for, &mut hops);
            }
            (Effect::Tell(call), Some(asker)) => {
                cluster::leave(errand(*call, asker, Purpose::Tell));
            }
            (Effect::Invalidate(invalidation), Some(asker)) => {
                let Invalidation { purges, last, call, at } = *invalidation;
                let made = peers::made();
                let mut words: Vec<_> =
                    purges.into_iter().map(|(scope, mode)| Word::Purged(made, scope, mode)).collect();
                if call.is_none() {
                    // The log has it, or there is none that it could be told.
                    words.push(Word::Confirmed(made, at.unwrap_or_default()));
                }
                peers::say(&words, &asker.cache);
                if let Some(call) = call {
                    let purpose = Purpose::Purge(Purging { last, made, folded: Vec::new() });
                    run_errand(here, errand(call, asker, purpose), &mut acting_for, &mut hops);
                }
            }
            (
                Effect::Refresh(_) | Effect::Invalidate(_) | Effect::Lookup(_) | Effect::Tell(_) | Effect::Fetch(_),
                None,
            ) => {}
        }
    }
    if acting_for != here.context() {
        let _ = raw::act_for(here.context());
    }
    // Last, since what the root then does may reach this very stream.
    if let Some(root) = hops {
        hop::into_root(root);
    }
}

fn errand(call: Call, asker: Asker, purpose: Purpose) -> Errand {
    Errand { call, plugin: asker.plugin, cache: asker.cache, purpose }
}

/// Calls the cluster: at once in a root's callback, by a hop into the root from a stream's.
fn run_errand(here: Here, errand: Errand, acting_for: &mut u32, hops: &mut Option<u32>) {
    let root = errand.plugin.root;
    cluster::queue(errand);
    match here {
        Here::Stream(_) => *hops = Some(root),
        Here::Root(root) => {
            let _ = raw::act_for(root);
            *acting_for = root;
            cluster::run_queued(root);
        }
    }
}

/// Tells one stream. `None` where nothing waits under this number; else what it asks for, and whether it was still there.
fn resume_one(
    context: u32,
    resumption: Resumption,
    now: Timestamp,
    acting_for: &mut u32,
) -> Option<(Asker, Vec<Effect>, bool)> {
    let stream = vm::stop_waiting(context)?;
    let mut effects = Vec::new();
    let gone = raw::act_for(context).is_err();
    let waits = {
        let mut stream = stream.borrow_mut();
        if gone {
            stream.close(&mut effects);
            false
        } else {
            *acting_for = context;
            stream.resumed(now, resumption, &mut effects)
        }
    };
    let asker = stream.borrow().asker()?;
    if waits {
        vm::wait(context, stream);
    }
    Some((asker, effects, !gone))
}

fn begin(
    here: Here,
    asker: &Asker,
    now: Timestamp,
    wanted: Box<Refresh>,
    acting_for: &mut u32,
    hops: &mut Option<u32>,
) {
    if *acting_for != asker.context {
        if raw::act_for(asker.context).is_err() {
            let mut cache = asker.cache.borrow_mut();
            wanted.finish(now, Answer::Failed, cache.worker_for(&asker.plugin), &mut Vec::new());
            return;
        }
        *acting_for = asker.context;
    }
    let cluster = refresh::cluster(&asker.plugin);
    let request = wanted.request.clone();
    let job =
        Job { work: Work::Refresh(wanted), request, plugin: asker.plugin.clone(), cache: asker.cache.clone(), cluster };
    start(here, job, now, acting_for, hops);
}

fn start(here: Here, mut job: Job, now: Timestamp, acting_for: &mut u32, hops: &mut Option<u32>) {
    match here {
        Here::Stream(_) => {
            *hops = Some(job.plugin.root);
            refresh::queue(job);
        }
        Here::Root(root) => {
            let _ = raw::act_for(root);
            *acting_for = root;
            // The call is made by the root whose callback this is; its answer comes to that one.
            if let Some(plugin) = root::plugin_of(root) {
                job.plugin = plugin;
            }
            refresh::run(root, job, Some(now));
        }
    }
}
