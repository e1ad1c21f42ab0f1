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

use larder_core::Effect;
use larder_core::exchange::{Answer, Refresh};
use larder_core::flights::{StreamId, Wake};
use larder_core::time::Timestamp;

use crate::refresh::{self, Job};
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
}

thread_local! {
    static WAKES: RefCell<Vec<(StreamId, Wake)>> = const { RefCell::new(Vec::new()) };
}

/// Carries out a stream's effects, in its callback.
pub fn carry_out(stream: u32, asker: &Asker, now: Timestamp, effects: Vec<Effect>) {
    let todo = effects.into_iter().map(|effect| (Some(asker.clone()), effect)).collect();
    work(Here::Stream(stream), now, todo);
}

/// Wakes streams, in a root's callback.
pub fn wake(root: u32, now: Timestamp, wakes: Vec<(StreamId, Wake)>) {
    let todo = wakes.into_iter().map(|(id, wake)| (None, Effect::Wake(id, wake))).collect();
    work(Here::Root(root), now, todo);
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
    while let Some((asker, effect)) = todo.pop_front() {
        match (effect, asker) {
            (Effect::Wake(id, wake), _) => match here {
                Here::Stream(_) => leave(id, wake),
                Here::Root(_) => {
                    if let Some((asker, effects)) = wake_one(id, wake, now, &mut acting_for) {
                        todo.extend(effects.into_iter().map(|effect| (Some(asker.clone()), effect)));
                    }
                }
            },
            (Effect::Refresh(wanted), Some(asker)) => begin(here, &asker, now, wanted, &mut acting_for),
            (Effect::Invalidate(purges), Some(asker)) => {
                for (scope, mode) in &purges {
                    vm::purge(scope, *mode, Some(&asker.cache));
                }
                peers::tell(&purges);
            }
            (Effect::Refresh(_) | Effect::Invalidate(_), None) => {}
        }
    }
    if acting_for != here.context() {
        let _ = raw::act_for(here.context());
    }
}

fn wake_one(id: StreamId, wake: Wake, now: Timestamp, acting_for: &mut u32) -> Option<(Asker, Vec<Effect>)> {
    let context = u32::try_from(id.0).ok()?;
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
            stream.woken(now, wake, &mut effects)
        }
    };
    let asker = stream.borrow().asker()?;
    if waits {
        vm::wait(context, stream);
    }
    Some((asker, effects))
}

fn begin(here: Here, asker: &Asker, now: Timestamp, wanted: Box<Refresh>, acting_for: &mut u32) {
    if *acting_for != asker.context {
        if raw::act_for(asker.context).is_err() {
            let mut cache = asker.cache.borrow_mut();
            wanted.finish(now, Answer::Failed, cache.worker_for(&asker.plugin));
            return;
        }
        *acting_for = asker.context;
    }
    let cluster = refresh::cluster(&asker.plugin);
    let mut job = Job { refresh: wanted, plugin: asker.plugin.clone(), cache: asker.cache.clone(), cluster };
    match here {
        Here::Stream(_) => {
            let root = job.plugin.root;
            refresh::queue(job);
            hop::into_root(root);
        }
        Here::Root(root) => {
            let _ = raw::act_for(root);
            *acting_for = root;
            // The call is made by the root whose callback this is; its answer comes to that one.
            if let Some(plugin) = root::plugin_of(root) {
                job.plugin = plugin;
            }
            refresh::run(job, Some(now));
        }
    }
}
