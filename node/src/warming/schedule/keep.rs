//! The loop that warms.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use larder_core::Policy;

use super::purges::Purges;
use super::state::{Holder, Picked, State};
use super::turn::{self, Turn};
use crate::shared::Shared;
use crate::warming::run::{Run, run};
use crate::warming::{Done, Outcome, Request};

/// How often a node that is not ready yet is looked at again.
const READY_EVERY: Duration = Duration::from_millis(500);

/// Nothing is due any earlier.
const NOTHING: Duration = Duration::from_secs(3600);

/// Requests that are being carried out.
struct Under {
    way: Run,
    picked: Picked,
    /// Somebody has asked for it, whoever's turn it is.
    asked: bool,
    counts: [usize; 4],
    began: Instant,
}

/// Warms until the node is to stop.
pub(crate) async fn keep(shared: Arc<Shared>, state: Arc<State>) {
    tokio::select! {
        () = ready(&shared) => {}
        () = shared.stopped() => return,
    }
    let mut turn = match Turn::new(shared.following.log().clone(), &shared.name) {
        Ok(turn) => turn,
        Err(error) => return tracing::error!(%error, "no randomness: this node does not warm"),
    };
    let mut purges = Purges::new(shared.following.clone());
    let mut policies = state.schedule.policies.clone();
    let mut pushed = state.pushed.clone();
    let mut ticks = interval(turn::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut under, mut asked): (Option<Under>, bool) = (None, false);
    loop {
        if under.is_none() && (asked || state.holder() == Holder::Here) {
            under = begin(&state, asked);
            asked = false;
        }
        state.set_running(under.is_some());
        let next = match &under {
            None if state.holder() == Holder::Here => state.next_due(),
            _ => None,
        };
        tokio::select! {
            biased;
            () = shared.stopped() => break,
            _ = ticks.tick() => {
                let holder = turn.ask().await;
                if holder != Holder::Here && under.as_ref().is_some_and(|under| !under.asked) {
                    under = None;
                }
                state.set_holder(holder);
            }
            () = others(&mut policies, &mut pushed) => {
                // What is under way was planned by the one before.
                if let Some(under) = under.take() {
                    state.again(&under.picked);
                }
                state.plan();
            }
            () = state.asked.notified() => asked = true,
            scopes = purges.next() => state.purged(&scopes),
            done = over(&mut under) => {
                match (done, &mut under) {
                    (Some((index, done)), Some(under)) => under.note(&shared, &state, index, done),
                    (_, ended) => {
                        ended.iter().for_each(Under::say);
                        under = None;
                    }
                }
            }
            () = sleep_until(next.unwrap_or_else(|| Instant::now() + NOTHING)) => {}
        }
    }
    drop(under);
    state.set_running(false);
    turn.give().await;
}

type Policies = watch::Receiver<Vec<Arc<Policy>>>;

/// Waits until there are other policies. Those whose other end is gone stay as they are.
async fn others(configured: &mut Policies, pushed: &mut Policies) {
    let change = async |policies: &mut Policies| {
        if policies.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = change(configured) => {}
        () = change(pushed) => {}
    }
}

async fn ready(shared: &Shared) {
    while shared.is_ready().await.is_err() {
        sleep(READY_EVERY).await;
    }
}

fn begin(state: &State, asked: bool) -> Option<Under> {
    let picked = state.pick();
    if picked.requests.is_empty() {
        return None;
    }
    let schedule = &state.schedule;
    let way = run(&schedule.via, &picked.coverage, &schedule.settings, picked.requests.clone());
    Some(Under { way, picked, asked, counts: [0; 4], began: Instant::now() })
}

/// What is over next of what is under way; never, where nothing is.
async fn over(under: &mut Option<Under>) -> Option<(usize, Done)> {
    match under {
        Some(under) => under.way.next().await,
        None => std::future::pending().await,
    }
}

impl Under {
    fn note(&mut self, shared: &Shared, state: &State, index: usize, done: Done) {
        let (Some(place), Some(request)) = (self.picked.places.get(index), self.picked.requests.get(index)) else {
            return;
        };
        shared.counts.warmed.add(done.outcome);
        if done.outcome == Outcome::Failed {
            failed(request, &done);
        }
        if let Some(count) = self.counts.get_mut(done.outcome as usize) {
            *count += 1;
        }
        state.note(*place, request, done, shared.clock.now());
    }

    fn say(&self) {
        let [warmed, fresh, not_stored, failed] = self.counts;
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(target: "larder::warm", warmed, fresh, not_stored, failed, took_ms, "warmed");
    }
}

fn failed(request: &Request, done: &Done) {
    let why = done.reason.as_deref().unwrap_or_default();
    tracing::warn!(target: "larder::warm", request = %request, why, attempts = done.attempts, "not warmed");
}
