//! A policy that is pushed counts for every request that begins after its worker has taken it up, for what is stored as well
//! (ARCHITECTURE.md, "Entries are facts"); and every worker takes it up within a second (DESIGN: section 3).

use super::super::books::{Books, Seen};
use super::super::catalog::{Kind, variation_of};

/// A second, and what the simulation's own steps add.
const TAKEN_UP_MS: u64 = 1_500;

pub(super) fn check(seen: &Seen, books: &Books) -> Result<(), String> {
    if books.options.is_quiet()
        && let Some((since, number)) = books.in_force(seen.begun_ms)
        && let Some(heard) = books.heard_since(seen.who)
        && seen.begun_ms > since.max(heard) + TAKEN_UP_MS
        && number != seen.policy
    {
        let waited = seen.begun_ms - since;
        return Err(format!("policy {number} is in force for {waited} ms, and this worker runs {}", seen.policy));
    }
    if seen.status != 200 || books.origin.kind(seen.ask.object) != Kind::Fixed {
        return Ok(());
    }
    // What clients of this route are told is the policy's alone to say.
    let told = seen.headers.text("cache-control").unwrap_or_default();
    let wanted = format!("max-age={}", variation_of(seen.policy).browser_secs);
    if told.split(", ").any(|directive| directive == wanted) {
        return Ok(());
    }
    Err(format!("Cache-Control: {told:?}, and by policy {} it is {wanted}", seen.policy))
}
