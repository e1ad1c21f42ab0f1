//! One fill per key while requests are collapsed: of plain requests for what is surely stored, one at a time is at the origin.

use std::collections::BTreeMap;

use super::super::books::{Books, Who};
use super::super::upstream::Exchanged;
use crate::host::StreamId;

/// Memory in which nothing has to make room.
const ROOMY: u64 = 4 << 20;
/// By then everybody follows the purge log.
const WARMED_UP_MS: u64 = 3_000;

pub(super) fn check(
    exchanged: &Exchanged,
    fetching: &BTreeMap<(Who, StreamId), Exchanged>,
    books: &Books,
) -> Result<(), String> {
    let options = &books.options;
    let Some(object) = exchanged.object else { return Ok(()) };
    let promised = options.is_quiet()
        && options.origin_fails_per_mille == 0
        && options.l1_bytes >= ROOMY
        && options.collapse_ms > 2 * options.origin_ms.1 + 200
        && exchanged.begun_ms > WARMED_UP_MS
        && books.origin.kind(object).is_surely_shared();
    if !promised {
        return Ok(());
    }
    let changed = books.changed_ms.get(object).copied().unwrap_or(0);
    let others: Vec<&Exchanged> = fetching
        .values()
        .filter(|other| other.object == Some(object) && other.who == exchanged.who)
        .filter(|other| other.begun_ms > changed + WARMED_UP_MS)
        .collect();
    if others.len() > 1 {
        let begun: Vec<u64> = others.iter().map(|other| other.begun_ms).collect();
        return Err(format!(
            "{} requests of one worker for object {object} are at the origin, begun at {begun:?}",
            others.len()
        ));
    }
    Ok(())
}

/// Background refreshes are not more than one per key.
pub(super) fn refreshed(object: usize, under_way: usize, books: &Books) -> Result<(), String> {
    if under_way > 1 && books.origin.kind(object).has_one_key() {
        return Err(format!("{under_way} refreshes of object {object} are under way in one worker"));
    }
    Ok(())
}
