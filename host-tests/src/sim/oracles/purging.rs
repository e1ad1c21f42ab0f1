//! Nothing is served that a delivered purge covers; what a soft one covers is stale (docs/purging.md): it is served only where stale
//! responses may be, while it is fetched anew or while the origin fails (RFC 5861).
//!
//! Every purge here follows a write, so content older than the write is what it covers. A worker that has heard of a purge, or in whose
//! Envoy a write went through, answers no request that begins afterwards with it. And a purge is heard by all, at the latest
//! when memory may no longer be used without a word from the log.

use super::super::books::{Books, Seen};
use super::freshness::origin_failed;

/// Ticks, and the way of what was under way.
const UNDER_WAY_MS: u64 = 1_500;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    let Some(of) = super::represented(seen) else { return Ok(()) };
    // A node that lies may claim to be further in the log than it is.
    if books.options.lies_per_mille > 0 {
        return Ok(());
    }
    if of.version < seen.floor {
        return Err(format!("version {}, and this worker has heard that {} is there", of.version, seen.floor));
    }
    let may_be_stale =
        books.origin.kind(seen.ask.object).lifetime(seen.policy).is_some_and(|lifetime| {
            lifetime.while_revalidate > 0 || (lifetime.if_error > 0 && origin_failed(seen, books))
        });
    if of.version < seen.soft_floor && !may_be_stale {
        return Err(format!("version {}, as if {} had not made it stale", of.version, seen.soft_floor));
    }
    let slowest = books.options.link_ms.1 + books.options.slow_ms;
    let within = books.options.purge_lag_max_ms + 2 * slowest + books.options.skew_max() + UNDER_WAY_MS;
    let late = books.purges.iter().filter(|purge| purge.acknowledged_ms + within <= seen.begun_ms);
    let counts = late.filter(|purge| !purge.soft || !may_be_stale);
    let floor =
        counts.flat_map(|purge| &purge.floors).filter(|(object, _)| *object == of.object).map(|(_, v)| *v).max();
    match floor {
        Some(floor) if of.version < floor => {
            Err(format!("version {}, and {floor} was there and purged more than {within} ms before", of.version))
        }
        _ => Ok(()),
    }
}
