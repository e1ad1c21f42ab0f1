//! Telling the cluster: what was stored, what the origin has confirmed, that a lease is not used, what is purged.
//!
//! Nobody waits for any of this. What does not arrive costs hits; purges are sent again until they have arrived.

use super::storing::Context;
use super::verdict::{Effect, Invalidation};
use crate::cluster::leases::{self, LeaseId};
use crate::cluster::message::{Freshen, Message, Purge, Release, Store};
use crate::cluster::{Call, LOG_NAME, TELL_TIMEOUT};
use crate::decide::age;
use crate::decide::lifetime::Lifetime;
use crate::entry::{Entry, wire};
use crate::key::Keyed;
use crate::purge::{Mode, Scope};
use crate::shelf::Variant;
use crate::time::{Millis, Seconds, Timestamp};
use crate::worker::Worker;

/// What can be validated is worth keeping for so long past every other use.
const VALIDATED_FOR: Seconds = Seconds::saturating(86_400);
/// Nothing is kept longer.
const KEPT_FOR_MAX: Seconds = Seconds::saturating(30 * 86_400);

/// A response was stored here.
pub(super) fn stored(
    context: &Context<'_>,
    variant: &Variant,
    lease: LeaseId,
    now: Timestamp,
    worker: &Worker,
    out: &mut Vec<Effect>,
) {
    let keyed = &context.asked.keyed;
    let Some(fill) = Fill::of(variant, now, worker) else {
        release(keyed, lease, Release::default(), worker, out);
        return;
    };
    let name = keyed.name().to_owned();
    let message = Store {
        record: wire::encode(&variant.entry, &name, fill.fresh_until, true).into(),
        name,
        now,
        lease,
        keep_for: fill.keep_for,
        variants_max: context.asked.rules.limits.variants_per_key_max,
    };
    tell(Store::PATH, message.name.clone(), message.encode(), lease, out);
}

/// The origin has confirmed a response, which is stored yet, or is not. `known` is what the cluster has of it.
pub(super) fn confirmed(
    context: &Context<'_>,
    (variant, kept): (&Variant, bool),
    known: Option<&Variant>,
    lease: LeaseId,
    now: Timestamp,
    worker: &Worker,
    out: &mut Vec<Effect>,
) {
    if !kept {
        let superseded = Release { uncacheable: true, forget: true, ..Release::default() };
        release(&context.asked.keyed, lease, superseded, worker, out);
        return;
    }
    let (Some(known), Some(fill)) = (known, Fill::of(variant, now, worker)) else {
        stored(context, variant, lease, now, worker, out);
        return;
    };
    let facts = variant.entry.facts();
    if facts.vary != known.entry.facts().vary {
        stored(context, variant, lease, now, worker, out);
        return;
    }
    let name = context.asked.keyed.name().to_owned();
    let message = Freshen {
        record: wire::encode(&variant.entry, &name, fill.fresh_until, false).into(),
        name,
        now,
        lease,
        keep_for: fill.keep_for,
        base: known.entry.facts().times.response,
        body_bytes: u32::try_from(facts.body.len()).unwrap_or(u32::MAX),
    };
    tell(Freshen::PATH, message.name.clone(), message.encode(), lease, out);
}

/// A lease is not used, or something beside it is to be said of a key. Nothing to say is not said.
pub(super) fn release(keyed: &Keyed, lease: LeaseId, with: Release, worker: &Worker, out: &mut Vec<Effect>) {
    let says = lease != 0 || with.forget;
    if worker.cluster.is_some() && says {
        let message = Release { name: keyed.name().to_owned(), lease, ..with };
        tell(Release::PATH, message.name.clone(), message.encode(), lease, out);
    }
}

/// Purges here, and makes the call that purges everywhere.
pub fn purge(purges: Vec<(Scope, Mode)>, worker: &mut Worker) -> Option<Invalidation> {
    let numbers: Vec<_> = purges.iter().map(|(scope, mode)| worker.purges.append(scope.clone(), *mode)).collect();
    let (first, last) = (*numbers.first()?, *numbers.last()?);
    let call = worker.cluster.is_some().then(|| {
        worker.purges.sent(first, last);
        let message = Purge { who: "worker".to_owned(), token: None, purges: purges.clone() };
        Call { path: Purge::PATH, name: LOG_NAME.to_owned(), body: message.encode(), timeout: TELL_TIMEOUT, group: 0 }
    });
    Some(Invalidation { purges, last, call, at: None })
}

/// `lease` says which node gave it: that one is who is told.
fn tell(path: &'static str, name: String, body: Vec<u8>, lease: LeaseId, out: &mut Vec<Effect>) {
    let group = leases::giver(lease);
    out.push(Effect::Tell(Box::new(Call { path, name, body, timeout: TELL_TIMEOUT, group })));
}

/// How a stored response is of use to others.
struct Fill {
    fresh_until: Timestamp,
    keep_for: Seconds,
}

impl Fill {
    /// `None` where others have no use for it.
    fn of(variant: &Variant, now: Timestamp, worker: &Worker) -> Option<Self> {
        let facts = variant.entry.facts();
        let lifetime = variant.judged.lifetime?;
        // Without its place in the log nobody could say what purges it.
        if worker.cluster.is_none() || facts.position.log == 0 || facts.status == 206 {
            return None;
        }
        let left = fresh_left(&lifetime, &variant.entry, now);
        let windows = lifetime.stale_while_revalidate.max(lifetime.stale_if_error);
        let validated = if variant.entry.has_origin_validator() { VALIDATED_FOR } else { Seconds::ZERO };
        let keep_for = left.plus(windows.max(validated)).min(KEPT_FOR_MAX);
        (keep_for > Seconds::ZERO).then(|| Self { fresh_until: now.plus(Millis(left.as_millis().0)), keep_for })
    }
}

fn fresh_left(lifetime: &Lifetime, entry: &Entry, now: Timestamp) -> Seconds {
    if lifetime.always_validate {
        return Seconds::ZERO;
    }
    lifetime.fresh_for.minus(age::current_age(&entry.facts().times, now))
}
