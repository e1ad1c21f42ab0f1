//! Replies from stored responses: 200, 206, 304, 412, 416 and HEAD (RFC 9111 4.3.2, RFC 9110 13 and 14).

use std::sync::Arc;

use super::verdict::{Reply, ReplyBody};
use crate::decide::age;
use crate::decide::preconditions::{self, Verdict};
use crate::decide::range::{self, RangeAnswer};
use crate::field::cache_status::CacheStatus;
use crate::field::date;
use crate::field::etag::EntityTag;
use crate::fields::{Fields, RequestHead};
use crate::shelf::Variant;
use crate::time::Timestamp;

/// The name of this cache in `Cache-Status`.
pub const CACHE_NAME: &str = "Larder";

/// The reply that a stored response gives to a request now.
pub fn from_stored(request: &RequestHead, variant: &Variant, now: Timestamp, status: CacheStatus<'_>) -> Reply {
    let entry = &variant.entry;
    let facts = entry.facts();
    let stored_date = facts.times.date.or(Some(facts.times.response));
    // Nobody needs it but who has a condition, and it has to be read.
    let (etag, last_modified) = entry.validators_for(&request.fields);
    let verdict = if facts.status == 200 {
        preconditions::evaluate(&request.fields, &request.method, etag, last_modified, stored_date, true, now)
    } else {
        Verdict::Proceed
    };
    match verdict {
        Verdict::NotModified => {
            let extra = extra(variant, now, status);
            Reply {
                status: 304,
                base: variant.judged.not_modified_head().clone(),
                extra,
                body: ReplyBody::Empty,
                head_only: false,
            }
        }
        Verdict::Failed => plain(412, "Precondition Failed\n", variant.judged.upstream_status.as_deref(), now, status),
        Verdict::Proceed => whole_or_part(request, variant, (etag, last_modified), now, status),
    }
}

fn whole_or_part(
    request: &RequestHead,
    variant: &Variant,
    (etag, last_modified): (Option<&EntityTag>, Option<Timestamp>),
    now: Timestamp,
    status: CacheStatus<'_>,
) -> Reply {
    let entry = &variant.entry;
    let facts = entry.facts();
    let len = facts.body.len();
    let answer = range::answer(
        &request.fields,
        &request.method,
        facts.status,
        len as u64,
        etag,
        last_modified,
        facts.times.date,
    );
    let mut extra = extra(variant, now, status);
    let stored = |from: usize, to: usize| ReplyBody::Stored { entry: entry.clone(), from, to };
    let (status, body) = match answer {
        RangeAnswer::Whole => (facts.status, stored(0, len)),
        RangeAnswer::Part { first, last, .. } => {
            extra.add("content-range", format!("bytes {first}-{last}/{len}"));
            (206, stored(first as usize, (last as usize).saturating_add(1)))
        }
        RangeAnswer::Unsatisfiable { .. } => {
            extra.add("content-range", format!("bytes */{len}"));
            (416, ReplyBody::Empty)
        }
    };
    let head = &variant.judged.head;
    let base = match status {
        416 => variant.judged.not_modified_head().clone(),
        // RFC 9110 14.4: what a 200 says of a range means nothing. In the 206 that is cut from it, it would.
        206 if extra.has("content-range") && head.has("content-range") => {
            let mut head = Fields::clone(head);
            head.remove("content-range");
            Arc::new(head.into())
        }
        _ => head.clone(),
    };
    Reply { status, base, extra, body, head_only: request.method == "HEAD" }
}

/// Age or Date, Cache-Status, Content-Range.
const EXTRA_LINES: usize = 3;

/// Age, Date and Cache-Status of this very reply.
fn extra(variant: &Variant, now: Timestamp, status: CacheStatus<'_>) -> Fields {
    let mut extra = Fields::with_capacity(EXTRA_LINES);
    if variant.judged.rewritten {
        extra.add("date", date::format(now));
    } else {
        // RFC 9111 4: a reply from the store carries Age.
        let age = age::current_age(&variant.entry.facts().times, now);
        extra.add("age", age.get().to_string());
    }
    if let Some(upstream) = &variant.judged.upstream_status {
        extra.add("cache-status", upstream.clone());
    }
    status.append_to(&mut extra);
    extra
}

/// A short reply of Larder's own.
pub fn plain(
    code: u16,
    text: &'static str,
    upstream_status: Option<&[u8]>,
    now: Timestamp,
    status: CacheStatus<'_>,
) -> Reply {
    let mut extra = Fields::new();
    extra.add("content-type", "text/plain; charset=utf-8");
    extra.add("date", date::format(now));
    if let Some(upstream) = upstream_status {
        extra.add("cache-status", upstream);
    }
    status.append_to(&mut extra);
    Reply { status: code, base: Arc::default(), extra, body: ReplyBody::Text(text), head_only: false }
}
