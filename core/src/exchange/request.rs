//! The request's half: look into the store, answer, wait for another's response, or forward.

use super::refresh::Refresh;
use super::verdict::{Edit, Edits, Effect, Reply, RequestVerdict, edits_between};
use super::{Asked, Exchange, Fetch, State, reply};
use crate::decide::age;
use crate::decide::conditional;
use crate::decide::identity::Identity;
use crate::decide::lifetime::Lifetime;
use crate::decide::reuse::{self, Reuse, Why};
use crate::field::cache_control::CacheControl;
use crate::field::cache_status::CacheStatus;
use crate::fields::Fields;
use crate::flights::{Part, Wake};
use crate::judged::Judged;
use crate::purge::Covered;
use crate::shelf::{Lookup, Variant};
use crate::tally::{Count, Outcome};
use crate::time::Timestamp;
use crate::worker::Worker;

/// What the store has for a request.
enum Found {
    /// Nothing, and why, in the words of RFC 9211 2.2.
    Nothing(&'static str, Option<&'static str>),
    /// This.
    Stored { variant: Variant, lifetime: Lifetime, covered: Covered },
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
        let (variant, lifetime, covered) = match self.find(&asked, worker) {
            Found::Stored { variant, lifetime, covered } => (variant, lifetime, covered),
            Found::Nothing(forwarded, detail) => {
                if let Some(reply) = self.part_reply(now, &asked, worker) {
                    count_reply(asked.rules.index, Outcome::Hit, &reply, worker);
                    self.state = State::Nothing;
                    return RequestVerdict::Respond(reply);
                }
                return self.forward_or_wait(now, asked, None, forwarded, detail, wake, worker);
            }
        };
        let age = age::current_age(&variant.entry.facts().times, now);
        let directives = CacheControl::of_request(&asked.request.fields);
        let obeyed = asked.rules.obey_request_directives.then_some(&directives);
        let left = i64::from(lifetime.fresh_for.get()) - i64::from(age.get());
        let collapsed = wake == Some(Wake::Landed);
        let forwarded = match reuse::reuse(&lifetime, age, covered, obeyed) {
            Reuse::Fresh => {
                let outcome = if collapsed { Outcome::Collapsed } else { Outcome::Hit };
                let status = CacheStatus { collapsed, ..hit(left) };
                return self.respond(now, &asked, &variant, status, outcome, worker);
            }
            Reuse::StaleAllowed => {
                return self.respond(now, &asked, &variant, hit(left), Outcome::Stale, worker);
            }
            Reuse::StaleWhileRevalidate => {
                if worker.flights.begin_refresh(&asked.keyed.key, now) {
                    worker.tally.add(asked.rules.index, Count::Refresh, 1);
                    let refresh = Refresh::new(self.policy.clone(), asked.clone(), &variant, now, worker);
                    out.push(Effect::Refresh(Box::new(refresh)));
                }
                let status = CacheStatus { detail: Some("stale-while-revalidate".into()), ..hit(left) };
                return self.respond(now, &asked, &variant, status, Outcome::Stale, worker);
            }
            Reuse::Gone => {
                worker.shelf.forget(&asked.keyed.key, &variant.entry);
                return self.forward_or_wait(now, asked, None, "uri-miss", Some("purged"), wake, worker);
            }
            Reuse::Validate(Why::Request) => ("request", None),
            Reuse::Validate(Why::Purged) => ("stale", Some("purged")),
            Reuse::Validate(Why::AlwaysValidate | Why::Stale) => ("stale", None),
        };
        if wake == Some(Wake::Failed) && reuse::may_replace_error(&lifetime, age, covered) {
            let status = CacheStatus { detail: Some("stale-if-error".into()), collapsed: true, ..hit(left) };
            return self.respond(now, &asked, &variant, status, Outcome::StaleError, worker);
        }
        self.forward_or_wait(now, asked, Some(variant), forwarded.0, forwarded.1, wake, worker)
    }

    fn find(&self, asked: &Asked, worker: &mut Worker) -> Found {
        let mut variant = match worker.shelf.lookup(&asked.keyed.key, &asked.request.fields) {
            Lookup::Absent => return Found::Nothing("uri-miss", None),
            Lookup::OtherVariants => return Found::Nothing("vary-miss", None),
            Lookup::Found(variant) => variant.clone(),
        };
        if variant.judged.revision != self.policy.revision {
            let judged = Judged::new(&asked.rules, self.policy.revision, &asked.keyed.covers, &variant.entry);
            variant.judged = judged.into();
            worker.shelf.rejudge(&asked.keyed.key, &variant);
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
        Found::Stored { variant, lifetime, covered }
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
        count_reply(asked.rules.index, outcome, &reply, worker);
        RequestVerdict::Respond(reply)
    }

    #[expect(clippy::too_many_arguments, reason = "one call site per reason to forward, each naming it")]
    fn forward_or_wait(
        &mut self,
        now: Timestamp,
        asked: Asked,
        stale: Option<Variant>,
        forwarded: &'static str,
        detail: Option<&'static str>,
        wake: Option<Wake>,
        worker: &mut Worker,
    ) -> RequestVerdict {
        // RFC 9111 5.2.1.7: answered from the store or with 504.
        if CacheControl::of_request(&asked.request.fields).only_if_cached {
            worker.tally.add(asked.rules.index, Count::Request(Outcome::Refused), 1);
            self.state = State::Nothing;
            let status = CacheStatus { detail: Some("only-if-cached".into()), ..miss(forwarded) };
            return RequestVerdict::Respond(reply::plain(504, "Gateway Timeout\n", None, now, status));
        }
        let fills = fills(&asked) && !worker.flights.is_uncacheable(&asked.keyed.key, now);
        let part = match wake {
            Some(Wake::Lead) => Part::Lead,
            Some(_) => Part::Alone,
            None if fills => worker.flights.join(&asked.keyed.key, self.id, now, asked.rules.collapse_wait),
            None => Part::Alone,
        };
        if part == Part::Follow {
            self.state = State::Wake(Box::new(asked));
            return RequestVerdict::Wait;
        }
        let mut fields = forwarded_fields(&asked);
        let validator = stale.as_ref().filter(|v| v.entry.has_origin_validator() && asked.request.method == "GET");
        let validating = validator.is_some();
        let mut preconditions_taken = false;
        if let Some(variant) = validator {
            let facts = variant.entry.facts();
            conditional::make_conditional(
                &mut fields,
                variant.entry.origin_etag(),
                facts.fields.first("last-modified"),
            );
        } else if fills {
            // A 304 to the client's validator would leave nothing to store; the precondition is evaluated here instead.
            for name in ["if-none-match", "if-modified-since"] {
                preconditions_taken |= fields.has(name);
                fields.remove(name);
            }
        }
        let mut edits = edits_between(&asked.request.fields, &fields);
        edits.extend(asked.keyed.forward_target.clone().map(Edit::Target));
        let detail = match wake {
            Some(Wake::TimedOut) => Some("collapse-timeout"),
            _ => detail,
        };
        let standing = worker.purges.now();
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
        }));
        RequestVerdict::Forward(edits)
    }
}

/// Whether the response to this request could be a whole one for everybody.
fn fills(asked: &Asked) -> bool {
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

/// A request's fields without those that only Larder itself may send.
pub(super) fn strip_internal(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.retain(|line| !line.name.starts_with("x-larder-"));
    fields
}

/// Edits that take out what only Larder itself may send.
pub(super) fn internal_edits(fields: &Fields) -> Edits {
    edits_between(fields, &strip_internal(fields))
}

pub(super) fn hit(left: i64) -> CacheStatus<'static> {
    CacheStatus { cache: reply::CACHE_NAME, hit: true, ttl: Some(left), ..CacheStatus::default() }
}

pub(super) fn miss(forwarded: &'static str) -> CacheStatus<'static> {
    CacheStatus { cache: reply::CACHE_NAME, fwd: Some(forwarded), ..CacheStatus::default() }
}

pub(super) fn count_reply(rules: usize, outcome: Outcome, reply: &Reply, worker: &mut Worker) {
    worker.tally.add(rules, Count::Request(outcome), 1);
    if reply.status == 304 {
        worker.tally.add(rules, Count::NotModified, 1);
    }
    if !reply.head_only {
        worker.tally.add(rules, Count::BytesFromStore, reply.body().len() as u64);
    }
}
