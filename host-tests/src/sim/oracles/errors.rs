//! Cache trouble is never the client's: an error has its cause at the origin, for this very request.

use super::super::books::{Books, Seen};
use crate::host::Outcome;

pub(super) fn check(seen: &Seen, _: &Books) -> Result<(), String> {
    if seen.left || seen.upstream_failed {
        return Ok(());
    }
    if seen.outcome != Outcome::Complete {
        return Err("the connection was closed, and the origin has not failed".to_owned());
    }
    match seen.status {
        200 | 204 | 206 | 304 | 416 => Ok(()),
        status => Err(format!("{status}, and the origin has not failed")),
    }
}
