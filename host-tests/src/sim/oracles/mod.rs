//! What must never be seen. A file for each rule, written from the RFC or from what ARCHITECTURE.md promises; none asks core.

mod bytes;
mod coalescing;
mod errors;
mod freshness;
mod identity;
mod once;
mod policies;
mod purging;
mod recovery;
mod stored;

use std::collections::BTreeMap;

use super::books::{Books, Seen, Who};
use super::clients::Client;
use super::fleet::Fleet;
use super::origin::Representation;
use super::upstream::Exchanged;
use crate::host::StreamId;

/// Nothing wrong, or which oracle says what.
pub(super) type Verdict = Result<(), (&'static str, String)>;

/// All oracles.
#[derive(Debug)]
pub(super) struct Oracles {
    recovery: recovery::Recovery,
}

type Rule = fn(&Seen, &Books) -> Result<(), String>;

/// Rules about one answer.
const RULES: [(&str, Rule); 7] = [
    ("errors", errors::check),
    ("bytes", bytes::check),
    ("identity", identity::check),
    ("stored", stored::check),
    ("freshness", freshness::check),
    ("purging", purging::check),
    ("policies", policies::check),
];

impl Oracles {
    pub(super) const fn new() -> Self {
        Self { recovery: recovery::Recovery::new() }
    }

    /// A client has all that it will get.
    pub(super) fn seen(&mut self, seen: &Seen, books: &Books) -> Verdict {
        for (name, rule) in RULES {
            rule(seen, books).map_err(|why| (name, format!("{why}\n  {}", seen.line())))?;
        }
        self.recovery.seen(seen).map_err(|why| ("recovery", format!("{why}\n  {}", seen.line())))
    }

    /// A plain request was forwarded.
    pub(super) fn forwarded(
        &self,
        exchanged: &Exchanged,
        fetching: &BTreeMap<(Who, StreamId), Exchanged>,
        books: &Books,
    ) -> Verdict {
        coalescing::check(exchanged, fetching, books).map_err(|why| ("coalescing", why))
    }

    /// A refresh of an object was sent, and so many are under way in that worker.
    pub(super) fn refreshed(&self, object: usize, under_way: usize, books: &Books) -> Verdict {
        coalescing::refreshed(object, under_way, books).map_err(|why| ("coalescing", why))
    }

    /// This request must be answered by the cache: nothing has been in its way for long.
    pub(super) fn expect_hit(&mut self, number: usize) {
        self.recovery.expect(number);
    }

    /// The end, when everything under way should have come to its end.
    pub(super) fn end<'a>(
        &mut self,
        books: &Books,
        fleet: &Fleet,
        mut left: impl Iterator<Item = &'a Client>,
    ) -> Verdict {
        once::end(left.next()).map_err(|why| ("once", why))?;
        once::budgets(books, fleet).map_err(|why| ("budgets", why))
    }
}

/// What an answer represents, where it is told.
fn represented(seen: &Seen) -> Option<Representation> {
    let by_etag = || seen.headers.text("etag").and_then(|etag| Representation::of_etag(&etag));
    match seen.status {
        200 | 206 => Representation::of_body(&seen.body).or_else(by_etag),
        304 => by_etag(),
        404 | 503 => Representation::of_body(&seen.body),
        _ => None,
    }
}
