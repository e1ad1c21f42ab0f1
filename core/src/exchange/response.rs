//! The response's half, at its head: a confirmation, a failure, or a response to be judged.

use super::receive::{Receiving, Storing};
use super::request::miss;
use super::storing::{self, Context};
use super::verdict::{Effect, ResponseVerdict};
use super::{Asked, Exchange, Fetch, reply, share, wake_all};
use crate::cluster::message::Release;
use crate::decide::age::{self, Times};
use crate::decide::freshen;
use crate::decide::identity::Identity;
use crate::decide::reuse;
use crate::decide::store::{self, Candidate, NotStored};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::field::{age as age_field, date};
use crate::fields::{ResponseHead, Source};
use crate::flights::{Part, Wake};
use crate::policy::rules::EtagRule;
use crate::purge::Covered;
use crate::shadow::Seen;
use crate::shelf::Variant;
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

impl Exchange {
    pub(super) fn fetched(
        &mut self,
        now: Timestamp,
        fetch: Fetch,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        if head.status == 304 && fetch.validating {
            return self.confirmed(now, fetch, head, worker, out);
        }
        if is_failure(&head)
            && let Some(verdict) = self.stale_instead(now, &fetch, &head, worker, out)
        {
            return verdict;
        }
        self.answered(now, fetch, head, worker, out)
    }

    /// RFC 9111 4.3.3: the origin confirms the stored response.
    fn confirmed(
        &mut self,
        now: Timestamp,
        fetch: Fetch,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        let Some(stale) = fetch.stale.as_ref() else {
            return self.answered(now, fetch, head, worker, out);
        };
        let context = Context { policy: &self.policy, asked: &fetch.asked, sent: fetch.sent, standing: fetch.standing };
        let matches = freshen::selects(&head.fields, stale.entry.origin_etag(), stale.entry.last_modified(), now);
        let key = &fetch.asked.keyed.key;
        let variant = if matches {
            let (variant, kept) = storing::freshen(&context, stale, &head.fields, now, worker);
            let known = fetch.known_there.then_some(stale);
            share::confirmed(&context, (&variant, kept), known, fetch.lease, now, worker, out);
            variant
        } else {
            // RFC 9111 4.3.4: a 304 about something else updates nothing. This answer is as good as what was asked about;
            // the next request asks for a whole response.
            worker.shelf.forget(key, &stale.entry);
            let release = Release { forget: true, ..Release::default() };
            share::release(&fetch.asked.keyed, fetch.lease, release, worker, out);
            stale.clone()
        };
        self.wake_followers(now, &fetch.asked, &variant, worker, out);
        wake_all(worker.flights.done(key, self.id), out);
        let status = CacheStatus {
            fwd_status: Some(304),
            stored: true,
            detail: fetch.detail.map(Into::into),
            ..miss(worker.name, fetch.forwarded)
        };
        let reply = reply::from_stored(&fetch.asked.request, &variant, now, status);
        self.count_reply(now, &fetch.asked, Outcome::Revalidated, &reply, worker);
        self.shade(now, &fetch.asked, &variant, Seen::Confirmed, worker);
        ResponseVerdict::Replace(reply)
    }

    /// A response is stored. Where it is fresh everybody may look; where each use needs the origin's word, followers are let go
    /// a few at a time, and the next requests do not wait for one another. Where it was purged before it was complete it is
    /// nobody else's answer: one of those that wait asks anew, and the others wait for that.
    pub(super) fn wake_followers(
        &self,
        now: Timestamp,
        asked: &Asked,
        variant: &Variant,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) {
        let key = &asked.keyed.key;
        let age = age::current_age(&variant.entry.facts().times, now);
        let fresh = variant.judged.lifetime.is_some_and(|l| !l.always_validate && l.fresh_for > age);
        let facts = variant.entry.facts();
        let purged = worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing) != Covered::No;
        if fresh && purged {
            wake_all(worker.flights.leave(key, self.id), out);
        } else if fresh {
            wake_all(worker.flights.land(key, self.id), out);
        } else {
            worker.flights.note_uncacheable(key, now);
            wake_all(worker.flights.scatter(key, self.id, Wake::Released), out);
        }
    }

    /// RFC 5861 4: a stale response instead of an error.
    fn stale_instead(
        &mut self,
        now: Timestamp,
        fetch: &Fetch,
        head: &ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<ResponseVerdict> {
        let variant = fetch.stale.as_ref()?;
        // What is in memory may have been purged, where the log was not heard of lately; what a node has just handed out was not.
        if !fetch.known_there && !worker.is_current(now) {
            return None;
        }
        let lifetime = variant.judged.lifetime?;
        let facts = variant.entry.facts();
        let covered = worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing);
        let age = age::current_age(&facts.times, now);
        if !reuse::may_replace_error(&lifetime, age, covered) {
            return None;
        }
        let key = &fetch.asked.keyed.key;
        wake_all(worker.flights.scatter(key, self.id, Wake::Failed), out);
        wake_all(worker.flights.done(key, self.id), out);
        share::release(&fetch.asked.keyed, fetch.lease, Release::default(), worker, out);
        // Not a hit in the sense of RFC 9211 2.1: the request was forwarded.
        let status = CacheStatus {
            fwd_status: (head.source == Source::Origin).then_some(head.status),
            detail: Some("stale-if-error".into()),
            ..miss(worker.name, fetch.forwarded)
        };
        let reply = reply::from_stored(&fetch.asked.request, variant, now, status);
        self.count_reply(now, &fetch.asked, Outcome::StaleError, &reply, worker);
        self.shade(now, &fetch.asked, variant, Seen::Store, worker);
        Some(ResponseVerdict::Replace(reply))
    }

    /// Any other response: stored or not, it goes to the client.
    fn answered(
        &mut self,
        now: Timestamp,
        fetch: Fetch,
        mut head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        // For the client, for the store, and as it came.
        head.fields.share();
        let rules = fetch.asked.rules.clone();
        let directives = CacheControl::of_response(&head.fields, &rules.targeted);
        let times = times_of(&head, fetch.sent, now);
        let stored = store::storable(&Candidate {
            rules: &rules,
            request: &fetch.asked.request,
            identity: fetch.asked.identity,
            covers: &fetch.asked.keyed.covers,
            response: &head,
            directives: &directives,
            times: &times,
        })
        // Told by the head already, so that nobody waits for what will not be stored.
        .and_then(|lifetime| {
            let asked = &fetch.asked;
            storing::tags(&asked.params, &rules, &head.fields, &asked.keyed).map(|_| lifetime)
        });
        let key = fetch.asked.keyed.key.clone();
        match stored {
            Ok(_) => worker.flights.note_cacheable(&key),
            Err(reason) => self.not_stored(now, &fetch, &head, reason, worker, out),
        }
        let status = CacheStatus {
            fwd_status: fetch.validating.then_some(head.status),
            stored: stored.is_ok(),
            detail: match stored {
                Ok(_) => fetch.detail.map(Into::into),
                Err(reason) => Some(reason.as_str().into()),
            },
            ..miss(worker.name, fetch.forwarded)
        };
        let storing = stored.ok().map(|_| Storing {
            times,
            directives,
            sent: fetch.sent,
            standing: fetch.standing,
            lease: fetch.lease,
        });
        let keeps_flight = fetch.part == Part::Lead && storing.is_some();
        if !keeps_flight {
            wake_all(worker.flights.done(&key, self.id), out);
        }
        let receiving = Receiving {
            restricted: fetch.asked.identity != Identity::None || fetch.asked.keyed.names_user,
            client_preconditions: fetch.preconditions_taken,
            wants_etag: wants_etag(rules.etag, &head),
            edge_tags: None,
            request: fetch.asked.request.clone(),
            rules,
            covers: fetch.asked.keyed.covers.clone(),
            response: head,
            status: Some(status),
            storing,
            asked: Some(fetch.asked),
            held: false,
        };
        self.receive(now, receiving, worker, out)
    }

    fn not_stored(
        &mut self,
        now: Timestamp,
        fetch: &Fetch,
        head: &ResponseHead,
        reason: NotStored,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) {
        let key = &fetch.asked.keyed.key;
        worker.tally.add(fetch.asked.rules.index, Count::NotStored(reason), 1);
        if reason.is_lasting() {
            worker.flights.note_uncacheable(key, now);
            // The origin has answered anew and does not want this kept: what is stored is superseded.
            if let Some(stale) = &fetch.stale {
                worker.shelf.forget(key, &stale.entry);
            }
        }
        let lasting = reason.is_lasting();
        let release = Release { uncacheable: lasting, forget: lasting && fetch.stale.is_some(), ..Release::default() };
        share::release(&fetch.asked.keyed, fetch.lease, release, worker, out);
        if fetch.asked.request.method == "HEAD" && head.status == 200 {
            let (policy, asked) = (&self.policy, &fetch.asked);
            let context = Context { policy, asked, sent: fetch.sent, standing: fetch.standing };
            if storing::take_head(&context, head, now, worker) {
                let release = Release { forget: true, ..Release::default() };
                share::release(&fetch.asked.keyed, 0, release, worker, out);
            }
        }
        let wake = if is_failure(head) { Wake::Failed } else { Wake::Released };
        wake_all(worker.flights.scatter(key, self.id, wake), out);
    }
}

/// Statuses that count as the origin failing (RFC 5861 4), and no response at all.
fn is_failure(head: &ResponseHead) -> bool {
    head.source != Source::Origin || matches!(head.status, 500 | 502 | 503 | 504)
}

/// Whether an ETag is to be made here.
pub(super) fn wants_etag(rule: EtagRule, head: &ResponseHead) -> bool {
    rule != EtagRule::Origin && head.status == 200 && head.source == Source::Origin && !head.fields.has("etag")
}

pub(crate) fn times_of(head: &ResponseHead, sent: Timestamp, now: Timestamp) -> Times {
    Times {
        request: sent,
        response: now,
        date: head.fields.first("date").and_then(|value| date::parse(value, now)),
        age: age_field::parse(&head.fields).unwrap_or_default(),
    }
}

pub(super) fn outcome(stored: bool) -> Outcome {
    if stored { Outcome::Miss } else { Outcome::NotStored }
}
