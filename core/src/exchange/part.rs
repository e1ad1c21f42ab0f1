//! Stored parts (206; RFC 9111 3.3): the same range again, or one within it, where the policy has parts stored.
//!
//! A part is never served as a whole, and parts are not put together: RFC 9110 15.3.7.3 asks for a strong validator that they share, and
//! a whole that is asked for once is simpler than one in pieces. A stale part is of no use: it is not validated.

use std::sync::Arc;

use super::reply;
use super::request::hit;
use super::verdict::Reply;
use super::{Asked, Exchange};
use crate::decide::age;
use crate::decide::identity::Identity;
use crate::decide::range;
use crate::decide::reuse::{self, Reuse};
use crate::decide::store;
use crate::decide::vary::VaryKey;
use crate::field::cache_control::CacheControl;
use crate::field::range::{self as range_field, ContentRange, RangeRequest};
use crate::fields::Fields;
use crate::judged::Judged;
use crate::shelf::Variant;
use crate::time::Timestamp;
use crate::worker::Worker;

/// The name by which a part's secondary key remembers the range that was asked for.
pub(super) const RANGE: &str = "range";

/// Which bytes of a part are the answer.
enum Piece {
    /// The part as it came: it was the answer to this very range.
    Same,
    /// These, counted in the whole.
    Within(u64, u64),
}

impl Exchange {
    /// The answer that a stored part gives to a request for a range.
    pub(super) fn part_reply(&self, now: Timestamp, asked: &Asked, worker: &Worker) -> Option<Reply> {
        let request = &asked.request;
        let conditional = store::CONDITIONS.iter().any(|name| request.fields.has(name));
        if !asked.rules.store_parts || request.method != "GET" || conditional {
            return None;
        }
        let RangeRequest::One(wanted) = range_field::parse(&request.fields) else { return None };
        worker.shelf.variants(&asked.keyed.key.of_parts()).iter().find_map(|variant| {
            let facts = variant.entry.facts();
            let part = range_field::content_range(&facts.fields)?;
            let piece = if facts.vary.matches(&request.fields) {
                Piece::Same
            } else {
                let others = facts.vary.0.iter().filter(|(name, _)| name != RANGE).cloned().collect();
                let (first, last) = range::within(&part, facts.body.len() as u64, wanted)?;
                VaryKey(others).matches(&request.fields).then_some(Piece::Within(first, last))?
            };
            let (variant, left) = self.usable(now, asked, variant, worker)?;
            let reply = reply::from_stored(request, &variant, now, hit(worker.name, left));
            Some(cut(reply, &variant, &part, &piece))
        })
    }

    /// A part that may be used now, as the policy in force sees it, and for how long yet.
    fn usable(&self, now: Timestamp, asked: &Asked, variant: &Variant, worker: &Worker) -> Option<(Variant, i64)> {
        let mut variant = variant.clone();
        if variant.judged.revision != self.policy.revision {
            let judged = Judged::new(&asked.rules, self.policy.revision, &asked.keyed.covers, &variant.entry);
            variant.judged = Arc::new(judged);
        }
        if asked.identity != Identity::None && !variant.judged.shareable {
            return None;
        }
        let lifetime = variant.judged.lifetime?;
        let facts = variant.entry.facts();
        let covered = worker.purges.covers(&facts.url, variant.entry.tags(), variant.standing);
        let age = age::current_age(&facts.times, now);
        let directives = CacheControl::of_request(&asked.request.fields);
        let obeyed = asked.rules.obey_request_directives.then_some(&directives);
        let left = i64::from(lifetime.fresh_for.get()) - i64::from(age.get());
        (reuse::reuse(&lifetime, age, covered, obeyed) == Reuse::Fresh).then_some((variant, left))
    }
}

fn cut(reply: Reply, variant: &Variant, part: &ContentRange, piece: &Piece) -> Reply {
    let Piece::Within(first, last) = *piece else { return reply };
    let offset = |at: u64| usize::try_from(at.saturating_sub(part.first)).unwrap_or(usize::MAX);
    let mut base = Fields::clone(&reply.base);
    base.set("content-range", format!("bytes {first}-{last}/{}", part.whole));
    let body = super::verdict::ReplyBody::Stored {
        entry: variant.entry.clone(),
        from: offset(first),
        to: offset(last).saturating_add(1),
    };
    Reply { base: Arc::new(base.into()), body, ..reply }
}
