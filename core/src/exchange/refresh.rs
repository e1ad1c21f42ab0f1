//! A background refresh: stale-while-revalidate's other half (RFC 5861 3), or that of a response which is used often, ahead of its
//! end. Conditional where the origin gave a validator.

use std::sync::Arc;

use bytes::Bytes;

use super::lookup::Held;
use super::request::forwarded_fields;
use super::response::{times_of, wants_etag};
use super::storing::{self, Context, Whole};
use super::verdict::Effect;
use super::{Asked, lookup, share};
use crate::cluster::leases::{Lease, LeaseId};
use crate::cluster::message::Release;
use crate::cluster::{Call, CallFailure};
use crate::decide::reuse::{self, Reuse};
use crate::decide::store::{self, Candidate};
use crate::decide::{age, conditional};
use crate::edge::MARK;
use crate::entry::{etag, wire};
use crate::field::cache_control::CacheControl;
use crate::fields::{RequestHead, ResponseHead};
use crate::policy::Policy;
use crate::policy::rules::EtagRule;
use crate::purge::Standing;
use crate::shelf::Variant;
use crate::tally::Count;
use crate::time::{Millis, Timestamp};
use crate::worker::Worker;

/// A refresh for the host to carry out.
#[derive(Debug)]
pub struct Refresh {
    /// The request to send.
    pub request: RequestHead,
    policy: Arc<Policy>,
    asked: Asked,
    stale: Variant,
    validating: bool,
    sent: Timestamp,
    standing: Standing,
    lease: LeaseId,
    /// The cluster has the very response that is refreshed.
    known_there: bool,
    /// The cluster is to be asked first whether another has refreshed it.
    asks: bool,
    /// What is refreshed is fresh yet.
    ahead: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshStep {
    /// Ask the origin, and hand the answer to [`Refresh::finish`].
    Fetch,
    /// Nothing: another has refreshed it, or is about to.
    Done,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// A complete response.
    Response(ResponseHead, &'a [u8]),
    /// None.
    Failed,
}

/// After a failed refresh the origin is left alone for this long, per key.
const RETRY_AFTER: Millis = Millis(1000);

impl Refresh {
    /// `lease` is the cluster's leave; without one the cluster is asked first.
    pub(super) fn new(
        policy: Arc<Policy>,
        asked: Asked,
        stale: &Variant,
        lease: LeaseId,
        now: Timestamp,
        worker: &mut Worker,
    ) -> Self {
        let mut fields = forwarded_fields(&asked);
        for name in ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"] {
            fields.remove(name);
        }
        let validating = stale.entry.has_origin_validator();
        if validating {
            let last_modified = stale.entry.facts().fields.first("last-modified");
            conditional::make_conditional(&mut fields, stale.entry.origin_etag(), last_modified);
        }
        if let Some(mark) = worker.edge.mark(now) {
            fields.set(MARK, mark);
        }
        let request = RequestHead {
            method: "GET".to_owned(),
            target: asked.keyed.forward_target.clone().unwrap_or_else(|| asked.request.target.clone()),
            fields,
            ..asked.request.clone()
        };
        // What is stored is stored for the request that was sent, whatever the client's method was.
        let asked = Asked { request: RequestHead { method: "GET".to_owned(), ..asked.request.clone() }, ..asked };
        let standing = worker.purges.now();
        let asks = lease == 0 && worker.cluster.as_mut().is_some_and(|cluster| cluster.breaker.permits(now));
        let ahead = is_fresh(stale, now, worker);
        let (stale, known_there) = (stale.clone(), lease != 0);
        Self { request, policy, asked, stale, validating, sent: now, standing, lease, known_there, asks, ahead }
    }

    /// Whether what is refreshed is fresh yet.
    pub(super) const fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// The policy it is under.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Longer bodies are not stored; who reads more than that of the answer reads in vain.
    pub fn body_bytes_max(&self) -> u64 {
        self.asked.rules.limits.object_bytes_max
    }

    /// The call to make before the origin is asked; its answer goes to [`Refresh::on_lookup`].
    pub fn lookup(&mut self, worker: &Worker) -> Option<Call> {
        std::mem::take(&mut self.asks).then(|| lookup::call(&self.asked, true, Millis(0), worker))
    }

    /// The cluster has answered, or has not.
    pub fn on_lookup(
        &mut self,
        now: Timestamp,
        answer: Result<Bytes, CallFailure>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RefreshStep {
        let Ok((answer, standing)) = lookup::heard(now, answer, worker) else {
            return RefreshStep::Fetch;
        };
        let (asked, revision) = (&self.asked, self.policy.revision);
        let found = answer.found.as_ref();
        let there = found.and_then(|found| lookup::held(now, asked, found, answer.now, standing, revision));
        self.standing = worker.purges.at_least(answer.position);
        self.sent = now;
        let key = asked.keyed.key.clone();
        let received = |variant: &Variant| variant.entry.facts().times.response;
        // What is there and fresh is no news where that is what is to be refreshed.
        let is_news = |there: &Held| !self.ahead || received(&there.variant) > received(&self.stale);
        if let Some(there) = there.filter(|there| is_news(there) && there.is_fresh(now, worker)) {
            lookup::keep(asked, &there.variant, worker);
            worker.flights.end_refresh(&key);
            if let Lease::Granted(lease) = answer.lease {
                share::release(&asked.keyed, lease, Release::default(), worker, out);
            }
            return RefreshStep::Done;
        }
        let is_known = || {
            let label = found.and_then(|found| wire::label(&found.record).ok());
            label.is_some_and(|label| label.received == received(&self.stale))
        };
        match answer.lease {
            Lease::Granted(lease) => {
                self.lease = lease;
                self.known_there = is_known();
                RefreshStep::Fetch
            }
            Lease::Busy => {
                worker.flights.end_refresh(&key);
                worker.flights.defer_refresh(&key, now.plus(RETRY_AFTER));
                RefreshStep::Done
            }
            Lease::None | Lease::Uncacheable => {
                self.known_there = is_known();
                RefreshStep::Fetch
            }
        }
    }

    /// Takes up the answer. An error leaves the stale response as it is.
    pub fn finish(self, now: Timestamp, answer: Answer<'_>, worker: &mut Worker, out: &mut Vec<Effect>) {
        let key = self.asked.keyed.key.clone();
        worker.flights.end_refresh(&key);
        if let Answer::Response(_, body) = &answer {
            worker.tally.add(self.asked.rules.index, Count::BytesFromOrigin, body.len() as u64);
        }
        let (head, body) = match answer {
            Answer::Response(head, body) if head.status < 500 => (head, body),
            _ => {
                worker.flights.defer_refresh(&key, now.plus(RETRY_AFTER));
                share::release(&self.asked.keyed, self.lease, Release::default(), worker, out);
                return;
            }
        };
        let context = Context { policy: &self.policy, asked: &self.asked, sent: self.sent, standing: self.standing };
        if head.status == 304 && self.validating {
            let (variant, kept) = storing::freshen(&context, &self.stale, &head.fields, now, worker);
            let known = self.known_there.then_some(&self.stale);
            share::confirmed(&context, (&variant, kept), known, self.lease, now, worker, out);
            return;
        }
        let rules = &self.asked.rules;
        let directives = CacheControl::of_response(&head.fields, &rules.targeted);
        let times = times_of(&head, self.sent, now);
        let candidate = Candidate {
            rules,
            request: &self.asked.request,
            identity: self.asked.identity,
            covers: &self.asked.keyed.covers,
            response: &head,
            directives: &directives,
            times: &times,
        };
        let truncated = head.content_length().is_some_and(|length| length != body.len() as u64);
        let stored = store::storable(&candidate).and_then(|_| {
            if truncated {
                return Err(store::NotStored::Truncated);
            }
            let coding = head.fields.joined("content-encoding");
            let made = wants_etag(rules.etag, &head)
                .then(|| etag::of_body(body, coding.as_deref(), rules.etag == EtagRule::Weak));
            let whole = Whole {
                status: head.status,
                fields: &head.fields,
                directives: &directives,
                times,
                body,
                made_etag: made.as_ref(),
            };
            storing::store(&context, &whole, worker)
        });
        match stored {
            Ok(variant) => share::stored(&context, &variant, self.lease, now, worker, out),
            Err(reason) => {
                worker.tally.add(rules.index, Count::NotStored(reason), 1);
                let lasting = reason.is_lasting();
                if lasting {
                    worker.shelf.forget(&key, &self.stale.entry);
                }
                worker.flights.defer_refresh(&key, now.plus(RETRY_AFTER));
                let release = Release { uncacheable: lasting, forget: lasting, ..Release::default() };
                share::release(&self.asked.keyed, self.lease, release, worker, out);
            }
        }
    }
}

/// Fresh by the policy in force, and not purged.
pub(super) fn is_fresh(variant: &Variant, now: Timestamp, worker: &Worker) -> bool {
    let facts = variant.entry.facts();
    let covered = worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing);
    let age = age::current_age(&facts.times, now);
    variant.judged.lifetime.is_some_and(|lifetime| reuse::reuse(&lifetime, age, covered, None) == Reuse::Fresh)
}
