//! Cache trouble is never the client's: an error has its cause at the origin, for this very request, or is one that the origin has made
//! and the policy keeps (`status_ttl`).

use super::super::books::{Books, Seen};
use super::super::catalog::Kind;
use super::super::origin::Representation;
use super::super::plan::What;
use crate::host::Outcome;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    // Envoy answers for a VM that has died, and hangs up.
    if seen.left || seen.upstream_failed || seen.vm_died {
        return Ok(());
    }
    if seen.outcome != Outcome::Complete {
        return Err("the connection was closed, and the origin has not failed".to_owned());
    }
    match seen.status {
        200 | 204 | 206 | 304 | 416 => Ok(()),
        404 | 503 if books.origin.kind(seen.ask.object) == Kind::Erring => {
            let is_made = seen.ask.what == What::Head || Representation::of_body(&seen.body).is_some();
            if is_made { Ok(()) } else { Err(format!("{} that the origin has not made", seen.status)) }
        }
        status => Err(format!("{status}, and the origin has not failed")),
    }
}
