//! Purges on their way into the cluster's log. One that did not arrive is sent again, in order, until it has.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use larder_core::cluster::message::{Message, Purge, PurgeAnswer};
use larder_core::cluster::{Call, CallFailure};
use larder_core::purge::{Made, Mode, Scope, Sequence, Word};
use larder_core::time::{Millis, Timestamp};

use super::{Errand, Purpose, run};
use crate::peers;
use crate::raw::{self, Level};
use crate::vm::{Plugin, SharedCache};

/// A purge under way.
pub struct Purging {
    /// Its last number in the worker's own order.
    pub last: Sequence,
    /// What neighbours know it by.
    pub made: Made,
    /// Others that it stands for, and whose they are.
    pub folded: Vec<(SharedCache, Sequence, Made)>,
}

struct Waiting {
    call: Call,
    plugin: Rc<Plugin>,
    cache: SharedCache,
    purging: Purging,
}

thread_local! {
    static WAITING: RefCell<VecDeque<Waiting>> = const { RefCell::new(VecDeque::new()) };
    static AGAIN: RefCell<(bool, Timestamp, u32)> = const { RefCell::new((false, Timestamp(0), 0)) };
}

/// Purges that wait to be sent again, per worker. One more, and everything is purged instead of each.
const WAITING_MAX: usize = 4096;
const PAUSE: Millis = Millis(100);
const PAUSE_DOUBLINGS_MAX: u32 = 6;

/// Sends a purge, in a callback of the root; behind those that wait, where some do.
pub fn purge(root: u32, errand: Errand, purging: Purging) {
    let Errand { call, plugin, cache, .. } = errand;
    let waits = WAITING.with_borrow(|waiting| !waiting.is_empty()) || AGAIN.with_borrow(|again| again.0);
    let one = Waiting { call, plugin, cache, purging };
    if waits {
        push(one);
    } else {
        send(root, one);
    }
}

fn push(mut one: Waiting) {
    WAITING.with_borrow_mut(|waiting| {
        if waiting.len() < WAITING_MAX {
            waiting.push_back(one);
            return;
        }
        // Everything covers each of them, whatever they named.
        raw::log(Level::Error, "larder: too many purges wait for the cluster; everything is purged instead of each");
        let message = Purge { who: "worker".to_owned(), token: None, purges: vec![(Scope::All, Mode::Hard)] };
        one.call.body = message.encode();
        for Waiting { cache, purging, .. } in waiting.drain(..) {
            one.purging.folded.push((cache, purging.last, purging.made));
            one.purging.folded.extend(purging.folded);
        }
        waiting.push_back(one);
    });
}

fn send(root: u32, one: Waiting) {
    AGAIN.with_borrow_mut(|again| again.0 = true);
    let Waiting { call, plugin, cache, purging } = one;
    run(root, Errand { call, plugin, cache, purpose: Purpose::Purge(purging) });
}

pub(super) fn answered(
    root: u32,
    now: Timestamp,
    errand: Errand,
    purging: Purging,
    answer: Result<Bytes, CallFailure>,
) {
    let Errand { call, plugin, cache, .. } = errand;
    let done = match answer.ok().and_then(PurgeAnswer::decode) {
        Some(PurgeAnswer::Done(position)) => Some(position),
        _ => None,
    };
    AGAIN.with_borrow_mut(|again| again.0 = false);
    cache.borrow_mut().worker.note_call(now, done.is_some());
    match done {
        Some(position) => {
            AGAIN.with_borrow_mut(|again| *again = (false, Timestamp(0), 0));
            let Purging { last, made, mut folded } = purging;
            folded.push((cache, last, made));
            for (cache, last, made) in folded {
                cache.borrow_mut().worker.purges.acknowledged(last, position);
                peers::say(&[Word::Confirmed(made, position)], &cache);
            }
            next(root);
        }
        None => {
            AGAIN.with_borrow_mut(|again| {
                let pause = PAUSE.0.saturating_mul(1u64 << again.2.min(PAUSE_DOUBLINGS_MAX));
                *again = (false, now.plus(Millis(pause)), again.2.saturating_add(1));
            });
            WAITING.with_borrow_mut(|waiting| waiting.push_front(Waiting { call, plugin, cache, purging }));
            peers::still_telling();
        }
    }
}

fn next(root: u32) {
    if let Some(one) = WAITING.with_borrow_mut(VecDeque::pop_front) {
        send(root, one);
    }
}

pub(super) fn lost(plugin: Rc<Plugin>, cache: SharedCache, call: Call, purging: Purging) {
    AGAIN.with_borrow_mut(|again| again.0 = false);
    WAITING.with_borrow_mut(|waiting| waiting.push_front(Waiting { call, plugin, cache, purging }));
}

pub(super) fn tick(root: u32, now: Timestamp) {
    let due = AGAIN.with_borrow(|(under_way, not_before, _)| !under_way && *not_before <= now);
    if due {
        next(root);
    }
}
