//! The exchange itself, run from the request to the last byte of the response, and once more.

use std::sync::Arc;

use super::case::Case;
use super::{Again, Question, Sent, Verdict};
use crate::decide::admit::Bypass;
use crate::decide::age;
use crate::decide::lifetime::Lifetime;
use crate::decide::store::NotStored;
use crate::exchange::{BodyVerdict, Edit, Effect, EndVerdict, Reply, RequestVerdict, ResponseVerdict};
use crate::fields::{Fields, RequestHead};
use crate::flights::StreamId;
use crate::purge::{Mode, Scope};
use crate::shelf::{Lookup, Variant};
use crate::tally::Count;
use crate::time::Seconds;
use crate::{Exchange, Worker};

/// What came of it.
pub(super) struct Ran {
    pub verdict: Ended,
    pub forwarded: Option<RequestHead>,
    pub sent: Option<Sent>,
    pub again: Again,
    pub stored: Option<Variant>,
    pub purges: Vec<(Scope, Mode)>,
}

/// How the exchange ended, by its own counters and its memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    Answered(u16),
    Bypassed(Bypass),
    NotStored(NotStored),
    Stored(Option<Lifetime>),
    /// None of these.
    Odd,
}

pub(super) fn run(question: &Question<'_>) -> Ran {
    // A slot takes a quarter of the memory at most: whether it fits is not in question here.
    let mut worker = Worker::new((question.body.len() as u64).saturating_mul(8).max(16 << 20), 7);
    let mut out = Vec::new();
    let (now, head) = (question.now, question.request.clone());
    let mut exchange = Exchange::new(Arc::clone(question.policy), StreamId(1));
    let mut ran = Ran {
        verdict: Ended::Odd,
        forwarded: None,
        sent: None,
        again: Again::Unknown,
        stored: None,
        purges: Vec::new(),
    };
    match exchange.on_request(now, head.clone(), &mut worker, &mut out) {
        RequestVerdict::Respond(reply) => {
            ran.verdict = Ended::Answered(reply.status);
            ran.sent = Some(sent(&reply));
            return ran;
        }
        RequestVerdict::Forward(edits) => {
            let mut forwarded = head.clone();
            apply(edits, &mut forwarded.fields, Some(&mut forwarded.target));
            ran.forwarded = Some(forwarded);
        }
        _ => return ran,
    }
    ran.sent = respond(&mut exchange, question, &mut worker, &mut out);
    exchange.on_close(&mut worker, &mut out);
    let invalidations = out.iter().filter_map(|effect| match effect {
        Effect::Invalidate(invalidation) => Some(invalidation.purges.clone()),
        _ => None,
    });
    ran.purges = invalidations.flatten().collect();
    ran.stored = stored(question, &worker);
    let counts: Vec<Count> = worker.tally.take().map(|(_, count, _)| count).collect();
    ran.verdict = ended(&counts, ran.stored.as_ref());
    ran.again = again(question, &mut worker);
    ran
}

/// The response's half. The body comes at once.
fn respond(
    exchange: &mut Exchange,
    question: &Question<'_>,
    worker: &mut Worker,
    out: &mut Vec<Effect>,
) -> Option<Sent> {
    let (now, body) = (question.now, question.body);
    let mut fields = question.response.fields.clone();
    let status = question.response.status;
    let mut released = false;
    match exchange.on_response(now, question.response.clone(), worker, out) {
        ResponseVerdict::Replace(reply) => return Some(sent(&reply)),
        ResponseVerdict::Pass { edits, capture } => {
            apply(edits, &mut fields, None);
            released = true;
            if !capture {
                return Some(Sent { status, fields });
            }
        }
        ResponseVerdict::Hold => {}
        _ => return None,
    }
    match exchange.on_body(now, body.len() as u64, worker, out) {
        BodyVerdict::Release { edits, capture } => {
            apply(edits, &mut fields, None);
            if !capture {
                return Some(Sent { status, fields });
            }
        }
        BodyVerdict::Ignore if released => return Some(Sent { status, fields }),
        BodyVerdict::Capture | BodyVerdict::Ignore => {}
    }
    match exchange.on_end(now, body, worker, out) {
        EndVerdict::Replace(reply) => return Some(sent(&reply)),
        EndVerdict::Release(edits) => apply(edits, &mut fields, None),
        EndVerdict::Done => {}
    }
    Some(Sent { status, fields })
}

/// What lies in memory for a request like this one.
fn stored(question: &Question<'_>, worker: &Worker) -> Option<Variant> {
    let mut case = Case::of(question);
    if case.admitted() == Err(Bypass::UnsafeMethod) {
        // RFC 9110 9.3.3: the answer to a POST is for GETs.
        case.request.method = "GET".to_owned();
        case.request.has_body = false;
    }
    let key = case.keyed_by_response().key;
    for key in [key.of_parts(), key] {
        if let Lookup::Found(variant) = worker.shelf.lookup(&key, &case.request.fields) {
            return Some(variant.clone());
        }
    }
    None
}

fn ended(counts: &[Count], stored: Option<&Variant>) -> Ended {
    let bypass = counts.iter().find_map(|count| match count {
        Count::Bypass(reason) => Some(*reason),
        _ => None,
    });
    let not_stored = counts.iter().find_map(|count| match count {
        Count::NotStored(reason) => Some(*reason),
        _ => None,
    });
    match (stored, bypass, not_stored) {
        (Some(variant), ..) => Ended::Stored(variant.judged.lifetime),
        (None, Some(reason), _) => Ended::Bypassed(reason),
        (None, None, Some(reason)) => Ended::NotStored(reason),
        (None, None, None) => Ended::Odd,
    }
}

fn again(question: &Question<'_>, worker: &mut Worker) -> Again {
    let mut exchange = Exchange::new(Arc::clone(question.policy), StreamId(2));
    let verdict = exchange.on_request(question.now, question.request.clone(), worker, &mut Vec::new());
    match verdict {
        RequestVerdict::Respond(reply) => Again::FromCache(sent(&reply)),
        RequestVerdict::Forward(edits) => Again::Origin(edits),
        _ => Again::Unknown,
    }
}

fn sent(reply: &Reply) -> Sent {
    let mut fields = Fields::new();
    reply.fields().for_each(|line| fields.add(&line.name, line.value.clone()));
    Sent { status: reply.status, fields }
}

fn apply(edits: Vec<Edit>, fields: &mut Fields, mut target: Option<&mut String>) {
    for edit in edits {
        match edit {
            Edit::Remove(name) => fields.remove(&name),
            Edit::Set(name, value) => fields.set(&name, value),
            Edit::Add(name, value) => fields.add(&name, value),
            Edit::Target(new) => {
                if let Some(target) = target.as_deref_mut() {
                    *target = new;
                }
            }
            // Where the request goes; its head stays.
            _ => {}
        }
    }
}

/// What it comes to: the exchange's word, or that of the steps where the exchange has none.
pub(super) fn verdict(case: &Case, ran: &Ran) -> Verdict {
    match ran.verdict {
        Ended::Answered(status) => Verdict::Answered(status),
        Ended::Bypassed(reason) => Verdict::Bypassed(reason),
        Ended::NotStored(reason) => Verdict::NotStored(reason),
        Ended::Stored(Some(lifetime)) => Verdict::Stored(lifetime),
        Ended::Stored(None) | Ended::Odd => match (case.admitted(), case.storable()) {
            (Err(reason), _) => Verdict::Bypassed(reason),
            (Ok(()), Err(reason)) => Verdict::NotStored(reason),
            (Ok(()), Ok(lifetime)) => Verdict::Stored(lifetime),
        },
    }
}

/// Reasons that show with the body only.
pub(super) const fn is_late(reason: NotStored) -> bool {
    matches!(reason, NotStored::TooLarge | NotStored::Truncated | NotStored::Tags | NotStored::Partial)
}

/// Whether the exchange did what the functions say that were asked one by one.
pub(super) fn agrees(case: &Case, ran: &Ran) -> bool {
    match (case.admitted(), ran.verdict) {
        // PURGE is answered before anything else is asked.
        (_, Ended::Answered(_)) => case.request.method == "PURGE" || case.only_if_cached(),
        (Err(expected), Ended::Bypassed(reason)) => expected == reason,
        // A POST whose answer is for GETs.
        (Err(Bypass::UnsafeMethod), Ended::Stored(Some(_))) => case.rules.store_post,
        (Err(_), _) | (Ok(()), Ended::Bypassed(_) | Ended::Stored(None) | Ended::Odd) => false,
        (Ok(()), Ended::NotStored(reason)) => match case.storable() {
            Err(expected) => expected == reason,
            Ok(_) => is_late(reason),
        },
        (Ok(()), Ended::Stored(Some(got))) => {
            let jitter = |lifetime: Seconds| {
                lifetime.minus(lifetime.percent(case.rules.jitter_percent)).minus(Seconds::saturating(1))
            };
            case.storable().is_ok_and(|expected| {
                let rest = Lifetime { fresh_for: got.fresh_for, ..expected };
                rest == got && got.fresh_for <= expected.fresh_for && got.fresh_for >= jitter(expected.fresh_for)
            }) && served_as_said(case, ran, got)
        }
    }
}

/// Whether the next request was answered where the lifetime says so. Clients may ask for more than freshness, and preconditions and
/// identity may be in the way of the same request.
fn served_as_said(case: &Case, ran: &Ran, lifetime: Lifetime) -> bool {
    let fresh = !lifetime.always_validate && lifetime.fresh_for > age::current_age(&case.times(), case.now);
    match &ran.again {
        Again::FromCache(_) => true,
        Again::Origin(_) => {
            !fresh
                || case.rules.obey_request_directives
                || case.response.status == 206
                || case.request.fields.has("range")
        }
        Again::Unknown => false,
    }
}
