//! The request's half: look into the store, answer, wait for another's response, or forward.

use super::forward::Onward;
use super::refresh::Refresh;
use super::verdict::{Edit, Edits, Effect, RequestVerdict, edits_between};
use super::{Asked, Exchange, State, reply, share};
use crate::cluster::leases::LeaseId;
use crate::cluster::message::Release;
use crate::decide::age;
use crate::decide::identity::Identity;
use crate::decide::lifetime::Lifetime;
use crate::decide::reuse::{self, Reuse, Why};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::fields::Fields;
use crate::flights::Wake;
use crate::judged::Judged;
use crate::purge::Covered;
use crate::shadow::Seen;
use crate::shelf::{Lookup, Variant};
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

/// What the store has for a request.
pub(super) enum Found {
    /// Nothing, and why, in the words of RFC 9211 2.2.
    Nothing(&'static str, Option<&'static str>),
    /// This.
    Stored(Stored),
}

/// A stored response that the request selects and whoever asks may see.
pub(super) struct Stored {
    pub variant: Variant,
    pub lifetime: Lifetime,
    pub covered: Covered,
}

/// What a stored response is good for.
pub(super) enum Weighed {
    /// It answers; this one is to be refreshed: it is stale, or will be soon.
    Answer(RequestVerdict, Option<Variant>),
    /// It does not; what it is still good for, and why, in the words of RFC 9211 2.2.
    Onward(Option<Variant>, &'static str, Option<&'static str>),
}

impl Exchange {
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        asked: Asked,
        wake: Option<Wake>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        match self.find(&asked, worker) {
            Found::Nothing(forwarded, detail) => {
                if worker.is_current(now)
                    && let Some(reply) = self.part_reply(now, &asked, worker)
                {
                    self.count_reply(now, &asked, Outcome::Hit, &reply, worker);
                    self.shade_unknown(worker);
                    self.state = State::Nothing;
                    return RequestVerdict::Respond(reply);
                }
                self.forward_or_wait(now, Onward { asked, stale: None, forwarded, detail, wake }, worker, out)
            }
            Found::Stored(found) if !worker.is_current(now) && !self.was_waited_for(&found, wake) => {
                // What was purged meanwhile is not known here. The origin's word, or the cluster's, is.
                let stale = Some(found.variant).filter(|_| found.covered != Covered::Hard);
                let onward = Onward { asked, stale, forwarded: "stale", detail: Some("purge-lag"), wake };
                self.forward_or_wait(now, onward, worker, out)
            }
            Found::Stored(found) => {
                let outcome = if wake == Some(Wake::Landed) { Outcome::Collapsed } else { Outcome::Hit };
                match self.weigh(now, &asked, found, wake, outcome, worker) {
                    Weighed::Answer(verdict, None) => {
                        self.answered = Some(asked.request);
                        verdict
                    }
                    Weighed::Answer(verdict, Some(stale)) => {
                        self.refresh(now, &asked, &stale, 0, worker, out);
                        verdict
                    }
                    Weighed::Onward(stale, forwarded, detail) => {
                        self.forward_or_wait(now, Onward { asked, stale, forwarded, detail, wake }, worker, out)
                    }
                }
            }
        }
    }

    /// What has just landed was fetched for whoever waited for it, too. What another variant's landing has woken for was not.
    fn was_waited_for(&self, found: &Stored, wake: Option<Wake>) -> bool {
        wake == Some(Wake::Landed) && found.variant.entry.facts().times.response >= self.begun
    }

    /// Whether a stored response answers, and how.
    pub(super) fn weigh(
        &mut self,
        now: Timestamp,
        asked: &Asked,
        found: Stored,
        wake: Option<Wake>,
        outcome: Outcome,
        worker: &mut Worker,
    ) -> Weighed {
        let Stored { variant, lifetime, covered } = found;
        let age = age::current_age(&variant.entry.facts().times, now);
        let directives = CacheControl::of_request(&asked.request.fields);
        let obeyed = asked.rules.obey_request_directives.then_some(&directives);
        let left = i64::from(lifetime.fresh_for.get()) - i64::from(age.get());
        let from_cluster = (outcome == Outcome::ClusterHit).then(|| "cluster".into());
        let status =
            CacheStatus { collapsed: wake == Some(Wake::Landed), detail: from_cluster, ..hit(worker.name, left) };
        let forwarded = match reuse::reuse(&lifetime, age, covered, obeyed) {
            Reuse::Fresh => {
                let is_due =
                    variant.judged.ahead.as_ref().is_some_and(|ahead| ahead.used(lifetime.fresh_for.minus(age)));
                let verdict = self.respond(now, asked, &variant, status, outcome, worker);
                return Weighed::Answer(verdict, is_due.then_some(variant));
            }
            Reuse::StaleAllowed => {
                let status = CacheStatus { collapsed: false, ..status };
                return Weighed::Answer(self.respond(now, asked, &variant, status, Outcome::Stale, worker), None);
            }
            Reuse::StaleWhileRevalidate => {
                let status = CacheStatus { detail: Some("stale-while-revalidate".into()), ..hit(worker.name, left) };
                let verdict = self.respond(now, asked, &variant, status, Outcome::Stale, worker);
                return Weighed::Answer(verdict, Some(variant));
            }
            Reuse::Gone => {
                worker.shelf.forget(&asked.keyed.key, &variant.entry);
                return Weighed::Onward(None, "uri-miss", Some("purged"));
            }
            Reuse::Validate(Why::Request) => ("request", None),
            Reuse::Validate(Why::Purged) => ("stale", Some("purged")),
            Reuse::Validate(Why::AlwaysValidate | Why::Stale) => ("stale", None),
        };
        if wake == Some(Wake::Failed) && reuse::may_replace_error(&lifetime, age, covered) {
            let status =
                CacheStatus { detail: Some("stale-if-error".into()), collapsed: true, ..hit(worker.name, left) };
            return Weighed::Answer(self.respond(now, asked, &variant, status, Outcome::StaleError, worker), None);
        }
        Weighed::Onward(Some(variant), forwarded.0, forwarded.1)
    }

    /// Begins a refresh in the background, unless one is under way.
    pub(super) fn refresh(
        &self,
        now: Timestamp,
        asked: &Asked,
        stale: &Variant,
        lease: LeaseId,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) {
        if worker.flights.begin_refresh(&asked.keyed.key, now) {
            let refresh = Refresh::new(self.policy.clone(), asked.clone(), stale, lease, now, worker);
            let count = if refresh.is_ahead() { Count::RefreshAhead } else { Count::Refresh };
            worker.tally.add(asked.rules.index, count, 1);
            out.push(Effect::Refresh(Box::new(refresh)));
        } else {
            share::release(&asked.keyed, lease, Release::default(), worker, out);
        }
    }

    fn find(&self, asked: &Asked, worker: &mut Worker) -> Found {
        let variant = match worker.shelf.lookup(&asked.keyed.key, &asked.request.fields) {
            Lookup::Absent => return Found::Nothing("uri-miss", None),
            Lookup::OtherVariants => return Found::Nothing("vary-miss", None),
            Lookup::Found(variant) => variant.clone(),
        };
        let judged_before = variant.judged.revision;
        let found = self.judge(asked, variant, worker);
        if let Found::Stored(found) = &found
            && judged_before != self.policy.revision
        {
            worker.shelf.rejudge(&asked.keyed.key, &found.variant);
        }
        found
    }

    /// What a stored response is under the policy in force, for whoever asks.
    pub(super) fn judge(&self, asked: &Asked, mut variant: Variant, worker: &Worker) -> Found {
        if variant.judged.revision != self.policy.revision {
            let judged = Judged::new(&asked.rules, self.policy.revision, &asked.keyed.covers, &variant.entry);
            variant.judged = judged.into();
        }
        let Some(lifetime) = variant.judged.lifetime else {
            return Found::Nothing("uri-miss", Some("policy"));
        };
        // A response that nobody called shareable may read differently for somebody whom the origin knows.
        match asked.identity {
            _ if variant.judged.shareable => {}
            Identity::None => {}
            Identity::Authorization => return Found::Nothing("request", Some("authorization")),
            Identity::SessionCookie => return Found::Nothing("request", Some("session-cookie")),
        }
        let facts = variant.entry.facts();
        let covered = worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing);
        Found::Stored(Stored { variant, lifetime, covered })
    }

    fn respond(
        &mut self,
        now: Timestamp,
        asked: &Asked,
        variant: &Variant,
        status: CacheStatus<'_>,
        outcome: Outcome,
        worker: &mut Worker,
    ) -> RequestVerdict {
        self.state = State::Nothing;
        let reply = reply::from_stored(&asked.request, variant, now, status);
        self.count_reply(now, asked, outcome, &reply, worker);
        self.shade(now, asked, variant, Seen::Store, worker);
        RequestVerdict::Respond(reply)
    }
}

/// Whether the response to this request could be a whole one for everybody.
pub(super) fn fills(asked: &Asked) -> bool {
    let fields = &asked.request.fields;
    asked.request.method == "GET"
        && asked.identity == Identity::None
        && !CacheControl::of_request(fields).no_store
        && !["range", "if-range", "if-match", "if-unmodified-since"].iter().any(|name| fields.has(name))
}

/// The request's fields as the origin gets them: what was keyed, and nothing that only Larder may say.
pub(super) fn forwarded_fields(asked: &Asked) -> Fields {
    let mut fields = strip_internal(&asked.request.fields);
    for (name, value) in &asked.keyed.forward_fields {
        fields.set(name, value.clone());
    }
    fields
}

/// Whether only Larder itself may send a field of this name.
pub(super) fn is_internal(name: &str) -> bool {
    name.starts_with("x-larder-")
}

/// A request's fields without those that only Larder itself may send.
pub(super) fn strip_internal(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.retain(|line| !is_internal(&line.name));
    fields
}

/// Edits that take out what only Larder itself may send.
pub(super) fn internal_edits(fields: &Fields) -> Edits {
    if !fields.iter().any(|line| is_internal(&line.name)) {
        return Edits::new();
    }
    let mut edits = edits_between(fields, &strip_internal(fields));
    // A client that names what only Larder may name has chosen a route by it, perhaps.
    edits.push(Edit::Route);
    edits
}

pub(super) fn hit(name: &'static str, left: i64) -> CacheStatus<'static> {
    CacheStatus { cache: name, hit: true, ttl: Some(left), ..CacheStatus::default() }
}

pub(super) fn miss(name: &'static str, forwarded: &'static str) -> CacheStatus<'static> {
    CacheStatus { cache: name, fwd: Some(forwarded), ..CacheStatus::default() }
}
