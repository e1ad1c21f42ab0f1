//! A request that what is in memory does not answer: wait for another's response, ask the cluster, or go to the origin.

use super::request::{fills, forwarded_fields, is_internal, miss};
use super::verdict::{Edit, Effect, RequestVerdict, edits_between};
use super::{Asked, Exchange, Fetch, State, reply, wake_all};
use crate::cluster::leases::LeaseId;
use crate::decide::conditional;
use crate::edge::MARK;
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::flights::{Part, Wake};
use crate::purge::Standing;
use crate::shelf::Variant;
use crate::tally::Outcome;
use crate::time::Timestamp;
use crate::worker::Worker;

/// A request that has to be answered from elsewhere.
#[derive(Debug)]
pub(super) struct Onward {
    pub asked: Asked,
    /// What is stored, and may be validated or stand in for a failing origin.
    pub stale: Option<Variant>,
    /// Why it is not the answer, in the words of RFC 9211 2.2.
    pub forwarded: &'static str,
    pub detail: Option<&'static str>,
    /// Why the request was woken, where it waited.
    pub wake: Option<Wake>,
}

/// What the cluster said before the origin is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Licence {
    pub part: Part,
    pub lease: LeaseId,
    pub standing: Standing,
    /// The cluster has the very response that is to be validated.
    pub known_there: bool,
}

impl Exchange {
    pub(super) fn forward_or_wait(
        &mut self,
        now: Timestamp,
        mut onward: Onward,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        // On its way there will be several copies of it.
        onward.asked.request.fields.share();
        if let Some(verdict) = self.send_to_node(now, &onward, worker, out) {
            return verdict;
        }
        let only_stored = CacheControl::of_request(&onward.asked.request.fields).only_if_cached;
        let key = &onward.asked.keyed.key;
        let may_fill = !only_stored && fills(&onward.asked) && !worker.flights.is_uncacheable(key, now);
        let part = match onward.wake {
            Some(Wake::Lead) => Part::Lead,
            Some(_) => Part::Alone,
            None if may_fill => worker.flights.join(key, self.id, now, onward.asked.rules.collapse_wait),
            None => Part::Alone,
        };
        if part == Part::Follow {
            // Who comes late follows what began before: not where a purge of that may be unheard of.
            if worker.is_current(now)
                && let Some(verdict) = self.follow(now, &onward.asked, worker)
            {
                wake_all(worker.flights.leave(&onward.asked.keyed.key, self.id), out);
                return verdict;
            }
            self.state = State::Wake(Box::new(onward.asked));
            return RequestVerdict::Wait;
        }
        if self.is_for_the_cluster(now, &onward, worker) {
            return self.ask_cluster(onward, part, may_fill, worker, out);
        }
        let licence = Licence { part, lease: 0, standing: worker.purges.now(), known_there: false };
        self.forward(now, onward, licence, worker)
    }

    /// Goes to the origin.
    pub(super) fn forward(
        &mut self,
        now: Timestamp,
        onward: Onward,
        licence: Licence,
        worker: &mut Worker,
    ) -> RequestVerdict {
        let Onward { asked, stale, forwarded, detail, wake } = onward;
        // RFC 9111 5.2.1.7: answered from the store or with 504.
        if CacheControl::of_request(&asked.request.fields).only_if_cached {
            self.count(now, &asked, Outcome::Refused, worker);
            self.state = State::Nothing;
            self.shade_unknown(worker);
            let status = CacheStatus { detail: Some("only-if-cached".into()), ..miss(worker.name, forwarded) };
            return RequestVerdict::Respond(reply::plain(504, "Gateway Timeout\n", None, now, status));
        }
        let mut fields = forwarded_fields(&asked);
        let validator = stale.as_ref().filter(|v| v.entry.has_origin_validator() && asked.request.method == "GET");
        let validating = validator.is_some();
        let mut preconditions_taken = false;
        if let Some(variant) = validator {
            let last_modified = variant.entry.facts().fields.first("last-modified");
            conditional::make_conditional(&mut fields, variant.entry.origin_etag(), last_modified);
        } else if fills(&asked) && !worker.flights.is_uncacheable(&asked.keyed.key, now) {
            // A 304 to the client's validator would leave nothing to store; the precondition is evaluated here instead.
            for name in ["if-none-match", "if-modified-since"] {
                preconditions_taken |= fields.has(name);
                fields.remove(name);
            }
        }
        if let Some(mark) = worker.edge.mark(now) {
            fields.set(MARK, mark);
        }
        let mut edits = edits_between(&asked.request.fields, &fields);
        if asked.request.fields.iter().any(|line| is_internal(&line.name)) {
            edits.push(Edit::Route);
        }
        edits.extend(asked.keyed.forward_target.clone().map(Edit::Target));
        let detail = match wake {
            Some(Wake::TimedOut) => Some("collapse-timeout"),
            _ => detail,
        };
        let Licence { part, lease, standing, known_there } = licence;
        self.state = State::Response(Box::new(Fetch {
            asked,
            part,
            stale,
            validating,
            preconditions_taken,
            forwarded,
            detail,
            sent: now,
            standing,
            lease,
            known_there,
        }));
        RequestVerdict::Forward(edits)
    }
}
