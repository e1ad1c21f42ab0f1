//! What is used without asking is fresh, or stale within what the response allows: RFC 9111 4.2, 4.2.4, 5.2.2; RFC 5861.
//!
//! Age counts from when the origin last gave or confirmed that very representation to anyone. A store may know less than that, never
//! more, so what is too old here is too old.

use super::super::books::{Books, Seen};
use super::super::catalog::Kind;
use super::super::origin::Representation;

/// Ages are counted in whole seconds, on either side.
const ROUNDING_MS: u64 = 2_000;
/// A failure this long before the request began may be what it was answered for.
const FAILED_LATELY_MS: u64 = 9_000;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    if seen.forwarded && !seen.upstream_failed {
        return Ok(());
    }
    let kind = books.origin.kind(seen.ask.object);
    let of = match seen.status {
        200 | 206 => Representation::of_body(&seen.body)
            .or_else(|| seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag))),
        304 => seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag)),
        _ => None,
    };
    let (Some(of), Some(lifetime)) = (of, kind.lifetime()) else { return Ok(()) };
    let Some(contact) = books.origin.last_contact(&of, seen.ended_ms) else {
        return Err("the origin has never given this".to_owned());
    };
    let age = seen.begun_ms.saturating_sub(contact);
    let failed = seen.upstream_failed
        || books.origin.failed_within(seen.ask.object, seen.begun_ms.saturating_sub(FAILED_LATELY_MS), seen.ended_ms);
    let window = if failed { lifetime.if_error.max(lifetime.while_revalidate) } else { lifetime.while_revalidate };
    let allowed = lifetime.fresh + window + ROUNDING_MS + books.options.skew_max();
    if age > allowed {
        return Err(format!("{age} ms old, {allowed} are allowed"));
    }
    if kind == Kind::NoCache && seen.begun_ms > contact + books.options.skew_max() && !seen.forwarded {
        // A request that waited for another's may be answered by what that one got, no older than itself.
        return Err("no-cache, and the origin was not asked since the request began".to_owned());
    }
    Ok(())
}
