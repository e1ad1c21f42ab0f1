//! Following the purge log: one long poll per cache of this VM, begun anew when it ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use larder_core::cluster::message::{Message, Poll, PollAnswer};
use larder_core::cluster::{Call, CallFailure, LOG_NAME, Subscription};
use larder_core::time::{Millis, Timestamp};

use super::{Errand, Purpose, run};
use crate::raw;
use crate::vm::{self, Plugin, SharedCache};

/// Who follows.
pub struct Follower;

thread_local! {
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
    static FOLLOWING: RefCell<Vec<Following>> = const { RefCell::new(Vec::new()) };
    static FAILURES: Cell<u32> = const { Cell::new(0) };
}

struct Following {
    cache: SharedCache,
    /// A poll is under way.
    polls: bool,
    /// Not before this time.
    not_before: Timestamp,
}

/// After a failure the next poll waits this long, doubled up to a limit.
const PAUSE: Millis = Millis(100);
const PAUSE_DOUBLINGS_MAX: u32 = 5;
/// Time for the answer to travel, beyond what the node may wait.
const TRAVEL: Millis = Millis(1000);

/// A name that no other worker has: the VM's first look at the clock and its salt.
pub(super) fn name() -> String {
    NAME.with_borrow_mut(|name| {
        name.get_or_insert_with(|| {
            let node = raw::property("node\0id").and_then(|id| String::from_utf8(id).ok()).unwrap_or_default();
            let marker = 0u8;
            format!("{node}/{:x}-{:x}", raw::now_nanos(), std::ptr::from_ref(&marker) as usize)
        })
        .clone()
    })
}

/// Begins to follow, in a callback of the root, where nothing follows yet.
pub fn follow(root: u32, now: Timestamp, plugin: &Rc<Plugin>, cache: &SharedCache) {
    let due = FOLLOWING.with_borrow_mut(|all| {
        let at = all.iter().position(|following| Rc::ptr_eq(&following.cache, cache));
        let at = at.unwrap_or_else(|| {
            all.push(Following { cache: cache.clone(), polls: false, not_before: Timestamp(0) });
            all.len().saturating_sub(1)
        });
        match all.get_mut(at) {
            Some(following) if !following.polls && following.not_before <= now => {
                following.polls = true;
                true
            }
            _ => false,
        }
    });
    let Some(settings) = plugin.settings.cluster.as_ref().filter(|_| due) else { return };
    let (position, is_current, watch) = {
        let cache = cache.borrow();
        let watch = cache.subscription.as_ref().map(Subscription::watch);
        (cache.worker.purges.position(), cache.worker.is_current(now), watch)
    };
    // Where memory waits for a word from the log, any word will do.
    let wait_for = if is_current { settings.poll } else { Millis(0) };
    let message = Poll { worker: name(), position, wait_for, lag_max: settings.purge_lag_max, watch };
    let timeout = Millis(wait_for.0.saturating_add(TRAVEL.0));
    let call = Call { path: Poll::PATH, name: LOG_NAME.to_owned(), body: message.encode(), timeout, group: 0 };
    run(root, Errand { call, plugin: plugin.clone(), cache: cache.clone(), purpose: Purpose::Follow(Follower) });
}

pub(super) fn answered(
    root: u32,
    now: Timestamp,
    _: Follower,
    cache: &SharedCache,
    answer: Result<Bytes, CallFailure>,
) {
    let answer = answer.ok().and_then(PollAnswer::decode);
    let pause = match &answer {
        Some(_) => {
            FAILURES.set(0);
            Millis(0)
        }
        None => {
            let failures = FAILURES.get();
            FAILURES.set(failures.saturating_add(1));
            Millis(PAUSE.0.saturating_mul(1u64 << failures.min(PAUSE_DOUBLINGS_MAX)))
        }
    };
    if let Some(answer) = &answer {
        cache.borrow_mut().worker.heard(now, answer);
        vm::take_up(cache, answer.policies.as_ref());
    }
    over(cache, now.plus(pause));
    // The root that now serves goes on; one that leaves does not.
    if answer.is_some()
        && let Some(plugin) = crate::root::plugin_of(root).filter(|plugin| !plugin.is_leaving())
    {
        follow(root, now, &plugin, cache);
    }
}

fn over(cache: &SharedCache, not_before: Timestamp) {
    FOLLOWING.with_borrow_mut(|all| {
        if let Some(following) = all.iter_mut().find(|following| Rc::ptr_eq(&following.cache, cache)) {
            following.polls = false;
            following.not_before = not_before;
        }
    });
}

/// A poll ended with its root: the next root's tick begins another.
pub(super) fn lost(cache: &SharedCache) {
    over(cache, Timestamp(0));
}

pub(super) fn tick(root: u32, now: Timestamp, plugin: &Rc<Plugin>, cache: &SharedCache) {
    if plugin.settings.cluster.is_some() && !plugin.is_leaving() {
        follow(root, now, plugin, cache);
    }
}
