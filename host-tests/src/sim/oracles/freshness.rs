//! What is used without asking is fresh, or stale within what the response allows: RFC 9111 4.2, 4.2.4, 5.2.2; RFC 5861. Which lifetime
//! that is may be the policy's to say: the one that the worker had taken up when the request began.
//!
//! Age counts from when the origin last gave or confirmed that very representation to anyone. A store may know less than that, never
//! more, so what is too old here is too old.

use super::super::books::{Books, Seen};
use super::super::catalog::{Kind, Lifetime};

/// Ages are counted in whole seconds, on either side.
const ROUNDING_MS: u64 = 2_000;
/// A failure this long before the request began may be what it was answered for.
const FAILED_LATELY_MS: u64 = 9_000;

/// Whether something that is stale may be used because the origin fails: for this request, or for another that this one waited for.
pub(super) fn origin_failed(seen: &Seen, books: &Books) -> bool {
    let from = seen.begun_ms.saturating_sub(FAILED_LATELY_MS);
    seen.upstream_failed || books.origin.failed_within(seen.ask.object, from, seen.ended_ms)
}

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    if seen.forwarded && !seen.upstream_failed {
        return Ok(());
    }
    let kind = books.origin.kind(seen.ask.object);
    let Some(of) = super::represented(seen) else { return Ok(()) };
    let error = if seen.status >= 400 { seen.status } else { 0 };
    if error > 0 && seen.upstream_failed {
        return Ok(());
    }
    let lifetime = match error {
        0 => kind.lifetime(seen.policy),
        _ => kind.error_lifetime(seen.policy, error).map(|fresh| Lifetime { fresh, while_revalidate: 0, if_error: 0 }),
    };
    let Some(lifetime) = lifetime else { return Ok(()) };
    let Some(contact) = books.origin.last_contact(&of, error, seen.ended_ms) else {
        return Err("the origin has never given this".to_owned());
    };
    let age = seen.begun_ms.saturating_sub(contact);
    let window = if origin_failed(seen, books) {
        lifetime.if_error.max(lifetime.while_revalidate)
    } else {
        lifetime.while_revalidate
    };
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
