//! Nothing is served that a delivered purge covers.
//!
//! Every purge here follows a write, so content older than the write is what it covers. A worker that has heard of a purge, or in whose
//! Envoy a write went through, answers no request that begins afterwards with it. And a purge is heard by all, at the latest
//! when memory may no longer be used without a word from the log.

use super::super::books::{Books, Seen};
use super::super::origin::Representation;

/// Ticks, and the way of what was under way.
const UNDER_WAY_MS: u64 = 1_500;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    let of = match seen.status {
        200 | 206 => Representation::of_body(&seen.body)
            .or_else(|| seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag))),
        304 => seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag)),
        _ => None,
    };
    let Some(of) = of else { return Ok(()) };
    // A node that lies may claim to be further in the log than it is.
    if books.options.lies_per_mille > 0 {
        return Ok(());
    }
    if of.version < seen.floor {
        return Err(format!("version {}, and this worker has heard that {} is there", of.version, seen.floor));
    }
    let (_, slowest) = books.options.link_ms;
    let within = books.options.purge_lag_max_ms + 2 * slowest + books.options.skew_max() + UNDER_WAY_MS;
    let late = books.purges.iter().filter(|purge| purge.acknowledged_ms + within <= seen.begun_ms);
    let floor = late.flat_map(|purge| &purge.floors).filter(|(object, _)| *object == of.object).map(|(_, v)| *v).max();
    match floor {
        Some(floor) if of.version < floor => {
            Err(format!("version {}, and {floor} was there and purged more than {within} ms before", of.version))
        }
        _ => Ok(()),
    }
}
