//! Carrying out what an exchange asks for beside its verdict: waking other streams, background calls, purges elsewhere.
//!
//! Other streams are reached by the host's effective context; what they are told to do runs after the current callback, so
//! that their own callbacks are never entered from here. No borrow of a stream or cache is held between two effects.

use std::collections::VecDeque;
use std::rc::Rc;

use larder_core::Effect;
use larder_core::exchange::{Answer, Refresh};
use larder_core::flights::Wake;
use larder_core::time::Timestamp;

use crate::refresh::{self, Job};
use crate::vm::{self, Plugin, SharedCache};
use crate::{hop, peers, raw};

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

/// Carries out effects, and those that come of them.
pub fn carry_out(here: Here, asker: &Asker, now: Timestamp, effects: Vec<Effect>) {
    if effects.is_empty() {
        return;
    }
    let mut todo: VecDeque<(Asker, Effect)> = VecDeque::new();
    let add = |todo: &mut VecDeque<_>, asker: &Asker, effects: Vec<Effect>| {
        todo.extend(effects.into_iter().map(|effect| (asker.clone(), effect)));
    };
    add(&mut todo, asker, effects);
    let mut acting_for = here.context();
    while let Some((asker, effect)) = todo.pop_front() {
        match effect {
            Effect::Wake(id, wake) => {
                let Ok(context) = u32::try_from(id.0) else { continue };
                let (asker, effects) = match wake_one(context, wake, now, &mut acting_for) {
                    Some(woken) => woken,
                    None => continue,
                };
                add(&mut todo, &asker, effects);
            }
            Effect::Refresh(wanted) => begin(here, &asker, now, wanted, &mut acting_for),
            Effect::Invalidate(purges) => {
                for (scope, mode) in &purges {
                    vm::purge(scope, *mode, Some(&asker.cache));
                }
                peers::tell(&purges);
            }
        }
    }
    if acting_for != here.context() {
        let _ = raw::act_for(here.context());
    }
}

fn wake_one(context: u32, wake: Wake, now: Timestamp, acting_for: &mut u32) -> Option<(Asker, Vec<Effect>)> {
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
    if *acting_for != asker.context && raw::act_for(asker.context).is_err() {
        let mut cache = asker.cache.borrow_mut();
        wanted.finish(now, Answer::Failed, cache.worker_for(&asker.plugin));
        return;
    }
    *acting_for = asker.context;
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
            if let Some(plugin) = crate::root::plugin_of(root) {
                job.plugin = plugin;
            }
            refresh::run(job, Some(now));
        }
    }
}
