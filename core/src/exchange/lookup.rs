//! Asking the cluster, and taking up what it answers.
//!
//! What a node hands out is an entry like one from memory: it goes into memory and is weighed by the policy in force. A node that
//! is slow, dead or talks nonsense is a miss with a reason; nothing that it says is believed without being checked against the
//! request: the URL, the variant, the checksum.

use std::sync::Arc;

use bytes::Bytes;

use super::forward::{Licence, Onward};
use super::refresh;
use super::request::{Found, Stored, Weighed};
use super::served::Served;
use super::verdict::{Effect, RequestVerdict};
use super::{Asked, Exchange, State, share, wake_all};
use crate::cluster::leases::{self, Lease};
use crate::cluster::membership::INLINE_BYTES_MAX;
use crate::cluster::message::{Lookup, LookupAnswer, Message, Release};
use crate::cluster::{Call, CallFailure};
use crate::decide::age;
use crate::decide::reuse::{self, Reuse};
use crate::entry::{Entry, wire};
use crate::field::cache_control::CacheControl;
use crate::fields::Name;
use crate::flights::{Part, Wake};
use crate::judged::Judged;
use crate::purge::{Covered, Standing};
use crate::shadow::Seen;
use crate::shelf::{self, Variant};
use crate::tally::{Count, Outcome};
use crate::time::{Millis, Timestamp};
use crate::worker::Worker;

/// A request whose key the cluster was asked for.
#[derive(Debug)]
pub(super) struct Looking {
    pub onward: Onward,
    part: Part,
    /// The response to this request could be for everybody.
    may_fill: bool,
    /// Another's fill was waited for.
    waited: bool,
}

/// What a node has under a key.
pub(super) struct Held {
    pub variant: Variant,
    /// The length of the body, where the node has kept it back.
    kept_back: Option<u32>,
    /// When it was received, as it is written there: by the cluster's clock.
    received: Timestamp,
}

impl Held {
    /// Fresh by the policy in force, whole and not purged.
    pub fn is_fresh(&self, now: Timestamp, worker: &Worker) -> bool {
        self.kept_back.is_none() && refresh::is_fresh(&self.variant, now, worker)
    }
}

/// Clocks that differ by no more are taken for the same.
const SKEW_IGNORED: Millis = Millis(1000);

impl Exchange {
    /// Whether a node may know better than what is here.
    pub(super) fn is_for_the_cluster(&self, now: Timestamp, onward: &Onward, worker: &mut Worker) -> bool {
        let again = matches!(onward.wake, None | Some(Wake::Lead | Wake::Landed));
        let key = &onward.asked.keyed.key;
        // A client that wants the origin's own word gets it, and so does a response that is validated at every use.
        let origin_only = onward.forwarded == "request"
            || onward.stale.as_ref().and_then(|stale| stale.judged.lifetime).is_some_and(|l| l.always_validate);
        let uncacheable = worker.flights.is_uncacheable(key, now);
        if !again || origin_only || uncacheable {
            return false;
        }
        worker.cluster.as_mut().is_some_and(|cluster| cluster.breaker.permits(now))
    }

    pub(super) fn ask_cluster(
        &mut self,
        onward: Onward,
        part: Part,
        may_fill: bool,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        out.push(Effect::Lookup(Box::new(call(&onward.asked, may_fill, Millis(0), worker))));
        self.state = State::Lookup(Box::new(Looking { onward, part, may_fill, waited: false }));
        RequestVerdict::Wait
    }

    pub(super) fn looked_up(
        &mut self,
        now: Timestamp,
        looking: Looking,
        answer: Result<Bytes, CallFailure>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        let (answer, standing) = match heard(now, answer, worker) {
            Ok(heard) => heard,
            Err(failure) => {
                worker.tally.add(looking.onward.asked.rules.index, Count::ClusterFailure(failure), 1);
                let licence =
                    Licence { part: looking.part, lease: 0, standing: worker.purges.now(), known_there: false };
                let onward = Onward { detail: Some(failure.as_str()), ..looking.onward };
                return self.forward(now, onward, licence, worker);
            }
        };
        let lease = match answer.lease {
            Lease::Granted(id) => id,
            Lease::None | Lease::Busy | Lease::Uncacheable => 0,
        };
        let Looking { mut onward, mut part, may_fill, waited } = looking;
        let held = answer.found.as_ref().map(|found| {
            held(now, &onward.asked, found, answer.now, standing, self.policy.revision).ok_or(CallFailure::Nonsense)
        });
        let mut known_there = false;
        match held {
            Some(Err(failure)) => {
                worker.tally.add(onward.asked.rules.index, Count::ClusterFailure(failure), 1);
                onward.detail = Some(failure.as_str());
            }
            Some(Ok(held)) => match self.judge(&onward.asked, held.variant, worker) {
                Found::Stored(stored) if held.kept_back.is_some() => {
                    let by_our_clock = held.received == stored.variant.entry.facts().times.response;
                    if let Some(verdict) = self.reroute(now, &onward.asked, &stored, held.received, worker) {
                        self.land(&onward.asked, lease, worker, out);
                        let seen = Seen::Elsewhere(held.kept_back.map(u64::from));
                        self.shade(now, &onward.asked, &stored.variant, seen, worker);
                        if let (true, Some(cluster)) = (by_our_clock, &mut worker.cluster) {
                            let variants_max = onward.asked.rules.limits.variants_per_key_max;
                            cluster.afar.insert(&onward.asked.keyed.key, stored.variant, variants_max);
                        }
                        return verdict;
                    }
                }
                Found::Stored(stored) => {
                    let variant = stored.variant.clone();
                    keep(&onward.asked, &variant, worker);
                    match self.weigh(now, &onward.asked, stored, onward.wake, Outcome::ClusterHit, worker) {
                        Weighed::Answer(verdict, None) => {
                            self.land(&onward.asked, lease, worker, out);
                            return verdict;
                        }
                        Weighed::Answer(verdict, Some(stale)) => {
                            // It answers them all, stale or fresh.
                            wake_all(worker.flights.land(&onward.asked.keyed.key, self.id), out);
                            // Where another holds the lease, that one refreshes.
                            if answer.lease != Lease::Busy {
                                self.refresh(now, &onward.asked, &stale, lease, worker, out);
                            }
                            return verdict;
                        }
                        Weighed::Onward(stale, forwarded, detail) => {
                            known_there = stale.is_some();
                            (onward.forwarded, onward.detail) = (forwarded, detail);
                            onward.stale = stale.or(onward.stale);
                        }
                    }
                }
                Found::Nothing(forwarded, detail) => (onward.forwarded, onward.detail) = (forwarded, detail),
            },
            None if answer.other_variants && onward.stale.is_none() => onward.forwarded = "vary-miss",
            None => {}
        }
        match answer.lease {
            Lease::Busy if !waited && part != Part::Alone => {
                let wait = onward.asked.rules.collapse_wait.unwrap_or_default();
                out.push(Effect::Lookup(Box::new(call(&onward.asked, may_fill, wait, worker))));
                self.state = State::Lookup(Box::new(Looking { onward, part, may_fill, waited: true }));
                return RequestVerdict::Wait;
            }
            Lease::Busy if waited => onward.detail = Some("collapse-timeout"),
            Lease::Uncacheable => {
                worker.flights.note_uncacheable(&onward.asked.keyed.key, now);
                wake_all(worker.flights.scatter(&onward.asked.keyed.key, self.id, Wake::Released), out);
                part = Part::Alone;
            }
            _ => {}
        }
        let standing = worker.purges.at_least(answer.position);
        self.forward(now, onward, Licence { part, lease, standing, known_there }, worker)
    }

    /// The request is answered: others may look, and the lease, should there be one, is given back.
    fn land(&self, asked: &Asked, lease: u64, worker: &mut Worker, out: &mut Vec<Effect>) {
        wake_all(worker.flights.land(&asked.keyed.key, self.id), out);
        share::release(&asked.keyed, lease, Release::default(), worker, out);
    }

    /// A large response whose head is known goes from the node to the client without a look-up, where nothing that this worker knows
    /// speaks against it. The node says with it which one it is.
    pub(super) fn send_to_node(
        &mut self,
        now: Timestamp,
        onward: &Onward,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<RequestVerdict> {
        let asked = &onward.asked;
        let key = &asked.keyed.key;
        let known = match worker.cluster.as_ref()?.afar.lookup(key, &asked.request.fields) {
            shelf::Lookup::Found(variant) => variant.clone(),
            shelf::Lookup::Absent | shelf::Lookup::OtherVariants => return None,
        };
        let only_stored = CacheControl::of_request(&asked.request.fields).only_if_cached;
        if only_stored || !worker.is_current(now) || !self.is_for_the_cluster(now, onward, worker) {
            return None;
        }
        let entry = known.entry.clone();
        let version = entry.facts().times.response;
        let verdict = match self.judge(asked, known, worker) {
            Found::Stored(stored) => {
                let verdict = self.reroute(now, asked, &stored, version, worker);
                if verdict.is_some() {
                    self.shade(now, asked, &stored.variant, Seen::Elsewhere(None), worker);
                }
                verdict
            }
            Found::Nothing(..) => None,
        };
        match &verdict {
            Some(_) => wake_all(worker.flights.land(key, self.id), out),
            None => worker.cluster.as_mut()?.afar.forget(key, &entry),
        }
        verdict
    }

    /// A large response goes from the node to the client without passing through here. `version` is when it was received, by the
    /// cluster's clock.
    fn reroute(
        &mut self,
        now: Timestamp,
        asked: &Asked,
        stored: &Stored,
        version: Timestamp,
        worker: &mut Worker,
    ) -> Option<RequestVerdict> {
        let Stored { variant, lifetime, covered } = stored;
        worker.cluster.as_ref()?.settings.reroute_above?;
        let age = age::current_age(&variant.entry.facts().times, now);
        let directives = CacheControl::of_request(&asked.request.fields);
        let obeyed = asked.rules.obey_request_directives.then_some(&directives);
        if reuse::reuse(lifetime, age, *covered, obeyed) != Reuse::Fresh {
            return None;
        }
        let left = i64::from(lifetime.fresh_for.get()) - i64::from(age.get());
        let (served, edits) = Served::begin(asked.clone(), left, version);
        self.state = State::Served(Box::new(served));
        Some(RequestVerdict::Reroute(edits))
    }
}

/// The call that asks for a key.
pub(super) fn call(asked: &Asked, wants_lease: bool, wait_for: Millis, worker: &Worker) -> Call {
    let settings = worker.cluster.as_ref().map(|cluster| cluster.settings).unwrap_or_default();
    let rules = &asked.rules;
    let mut fields = asked.request.fields.clone();
    if let Some(allowed) = &rules.vary_allow {
        let has = |names: &[String], name: &Name| names.iter().any(|other| name == other);
        fields.retain(|line| has(allowed, &line.name) && !has(&asked.keyed.covers, &line.name));
    }
    let lease_for = rules.collapse_wait.filter(|_| wants_lease).unwrap_or_default();
    let name = asked.keyed.name().to_owned();
    let inline_bytes_max = settings.reroute_above.unwrap_or(INLINE_BYTES_MAX);
    let message = Lookup { name: name.clone(), fields, lease_for, wait_for, inline_bytes_max };
    let timeout = Millis(settings.timeout.0.saturating_add(wait_for.0));
    Call { path: Lookup::PATH, name, body: message.encode(), timeout, group: 0 }
}

/// A node's answer, and where what it hands out stands. Tells the breaker.
pub(super) fn heard(
    now: Timestamp,
    answer: Result<Bytes, CallFailure>,
    worker: &mut Worker,
) -> Result<(LookupAnswer, Standing), CallFailure> {
    let answer = answer.and_then(|bytes| LookupAnswer::decode(bytes).ok_or(CallFailure::Nonsense));
    worker.note_call(now, answer.is_ok());
    let answer = answer?;
    // 0 is no log's: the node does not know its log just now (Redis fails over), and what is here may be used for as long as the log was
    // heard of lately.
    if answer.position.log != 0 && answer.position.log != worker.purges.position().log {
        worker.begin_anew(answer.position);
    }
    let soft = answer.found.as_ref().is_some_and(|found| found.soft);
    let standing = worker.purges.standing_of(answer.position, soft);
    Ok((answer, standing))
}

/// Reads what a node has found, and holds it against what was asked for.
pub(super) fn held(
    now: Timestamp,
    asked: &Asked,
    found: &crate::cluster::message::Found,
    there: Timestamp,
    standing: Standing,
    revision: u64,
) -> Option<Held> {
    let (entry, _) = wire::decode(&found.record, asked.keyed.name()).ok()?;
    let received = entry.facts().times.response;
    let entry = by_our_clock(entry, there, now);
    let facts = entry.facts();
    let spoken = facts.fields.first("content-language");
    let selected = facts.vary.matches(&asked.request.fields)
        || (spoken.is_some() && facts.vary.matches_language(&asked.request.fields, spoken));
    let is_whole = (200..600).contains(&facts.status) && !matches!(facts.status, 206 | 304);
    if !selected || !asked.keyed.key.is_of(&facts.url) || !is_whole {
        return None;
    }
    let kept_back = (u64::from(found.body_bytes) != facts.body.len() as u64).then_some(found.body_bytes);
    let judged = Judged::new(&asked.rules, revision, &asked.keyed.covers, &entry);
    let variant = Variant { entry: Arc::new(entry), judged: Arc::new(judged), standing };
    Some(Held { variant, kept_back, received })
}

/// Into memory, unless what is there is newer.
pub(super) fn keep(asked: &Asked, variant: &Variant, worker: &mut Worker) {
    let key = &asked.keyed.key;
    let received = |variant: &Variant| variant.entry.facts().times.response;
    let covered = {
        let facts = variant.entry.facts();
        worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing)
    };
    let newer_here = worker.shelf.variants(key).iter().any(|known| {
        known.entry.facts().vary == variant.entry.facts().vary
            && received(known) > received(variant)
            && known.standing.position.log == variant.standing.position.log
    });
    if covered != Covered::Hard && !newer_here {
        worker.shelf.insert(key, variant.clone(), asked.rules.limits.variants_per_key_max);
    }
}

/// Times by another machine's clock, read as that of this one.
fn by_our_clock(entry: Entry, there: Timestamp, here: Timestamp) -> Entry {
    if here.since(there) <= SKEW_IGNORED && there.since(here) <= SKEW_IGNORED {
        return entry;
    }
    let moved = |at: Timestamp| Timestamp(at.0.saturating_add(here.0).saturating_sub(there.0));
    let mut facts = entry.into_facts();
    facts.times.request = moved(facts.times.request);
    facts.times.response = moved(facts.times.response);
    Entry::new(facts)
}

/// What a request that goes away leaves behind at the cluster, should an answer still come.
pub fn abandoned(name: &str, answer: Bytes) -> Option<Call> {
    let Lease::Granted(lease) = LookupAnswer::decode(answer)?.lease else { return None };
    let release = Release { name: name.to_owned(), lease, ..Release::default() };
    Some(Call {
        path: Release::PATH,
        name: name.to_owned(),
        body: release.encode(),
        timeout: crate::cluster::TELL_TIMEOUT,
        group: leases::giver(lease),
    })
}
