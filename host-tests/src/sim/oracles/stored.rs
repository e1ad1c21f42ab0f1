//! What must not be stored by a shared cache is never served from one (RFC 9111 3, 5.2.2), and nothing is served from the store as an
//! answer to a request that changes something.

use super::super::books::{Books, Seen};
use super::super::catalog::{Kind, variation_of};
use super::super::plan::{Identified, What};

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    // Without the origin, or the origin asked for something else: either way the answer was stored.
    if seen.forwarded || seen.left {
        return Ok(());
    }
    if matches!(seen.ask.what, What::Post | What::Put | What::Delete) {
        return Err("a write was answered without the origin".to_owned());
    }
    let kind = books.origin.kind(seen.ask.object);
    if seen.vm_died {
        return Ok(());
    }
    if seen.status >= 400 && seen.status != 416 && kind.error_lifetime(seen.policy, seen.status).is_none() {
        return Err(format!("{} was answered without the origin, and policy {} keeps none", seen.status, seen.policy));
    }
    if kind.lifetime(seen.policy).is_none() {
        return Err(format!("{kind:?} was answered without the origin"));
    }
    let identified = seen.ask.user > 0;
    let private_asker = match kind {
        // RFC 9111 3.5: nothing here says that responses to requests with Authorization may be shared.
        Kind::NaiveAuthorization => identified && seen.ask.by == Identified::Authorization,
        Kind::KeyedByUser if !variation_of(seen.policy).keys_users => {
            identified && seen.ask.by == Identified::Authorization
        }
        Kind::NaiveCookie => identified && seen.ask.by == Identified::Cookie,
        _ => false,
    };
    if private_asker {
        return Err(format!("{kind:?} was answered without the origin though the request says whose it is"));
    }
    Ok(())
}
