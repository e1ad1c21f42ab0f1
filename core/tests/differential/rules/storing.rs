//! May the response be stored?

use larder_core::Timestamp;
use larder_core::field::date;

use super::Question::Stored;
use super::{Rule, Seen, contradicts_itself, is_in_other_case, says_no_number};
use crate::case::ARRIVAL;

/// Statuses that the other side stores.
const THEIR_STATUSES: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
fn we_store(seen: &Seen<'_>) -> bool {
    seen.ours.stored
}

fn they_store(seen: &Seen<'_>) -> bool {
    seen.theirs.stored
}

pub const RULES: &[Rule] = &[
    Rule {
        // Ours: a HEAD updates what is stored (4.3.5), and no response to it is stored by itself.
        name: "responses to HEAD are not stored",
        section: "RFC 9111 3: storing is a MAY",
        question: Stored,
        explains: |seen| they_store(seen) && seen.case.first.method == "HEAD",
    },
    Rule {
        name: "a response to POST needs a lifetime and its target in Content-Location",
        section: "RFC 9110 9.3.3",
        question: Stored,
        explains: |seen| {
            they_store(seen)
                && seen.case.first.method == "POST"
                && (seen.case.status != 200 || !seen.case.says_content_is_of_target() || seen.has_no_lifetime())
        },
    },
    Rule {
        name: "a final status is understood enough unless must-understand asks for more",
        section: "RFC 9111 3, 5.2.2.3",
        question: Stored,
        explains: |seen| {
            let status = seen.case.status;
            let explicit = ["max-age", "s-maxage", "public"].iter().any(|name| seen.case.names(name));
            let allowed = explicit || seen.case.has("expires");
            we_store(seen) && !THEIR_STATUSES.contains(&status) && status != 206 && allowed
        },
    },
    Rule {
        name: "must-understand lifts no-store",
        section: "RFC 9111 5.2.2.3",
        question: Stored,
        explains: |seen| we_store(seen) && seen.case.says("must-understand") && seen.case.names("no-store"),
    },
    Rule {
        name: "one range that was asked for is stored as such",
        section: "RFC 9111 3.3",
        question: Stored,
        explains: |seen| we_store(seen) && seen.case.status == 206 && seen.case.first.has("range"),
    },
    Rule {
        // Ours: a body cut by a confused origin must not become the whole.
        name: "Content-Range on another status than 206 is not trusted",
        section: "RFC 9110 14.4",
        question: Stored,
        explains: |seen| they_store(seen) && seen.case.all("content-range").any(|value| value.starts_with("bytes")),
    },
    Rule {
        name: "what is neither fresh nor can be validated is of no use",
        section: "RFC 9111 3: storing is a MAY",
        question: Stored,
        explains: |seen| they_store(seen) && seen.has_no_lifetime() && !seen.case.has_validator(),
    },
    Rule {
        name: "no request matches Vary: *",
        section: "RFC 9111 4.1",
        question: Stored,
        explains: |seen| they_store(seen) && seen.case.all("vary").any(|value| value.contains('*')),
    },
    Rule {
        name: "private with a list is about these fields only",
        section: "RFC 9111 5.2.2.7",
        question: Stored,
        explains: |seen| we_store(seen) && seen.case.says("private=\"set-cookie\""),
    },
    Rule {
        name: "a comma in quotes ends no directive",
        section: "RFC 9110 5.6.4",
        question: Stored,
        explains: |seen| we_store(seen) && seen.case.says("ext=\"a, no-store, b\""),
    },
    Rule {
        name: "a directive in quotes is none",
        section: "RFC 9110 5.6.4",
        question: Stored,
        explains: |seen| they_store(seen) && seen.case.says("ext=\"a, max-age=5, b\""),
    },
    Rule {
        name: "directives are compared without case",
        section: "RFC 9111 5.2",
        question: Stored,
        explains: |seen| is_in_other_case(seen.case),
    },
    Rule {
        name: "a lifetime given twice does not permit sharing",
        section: "RFC 9111 3.5, 4.2.1",
        question: Stored,
        explains: |seen| they_store(seen) && seen.case.first.has("authorization") && contradicts_itself(seen.case),
    },
    Rule {
        name: "s-maxage without a number does not permit sharing",
        section: "RFC 9111 3.5, 4.2.1",
        question: Stored,
        explains: |seen| {
            let malformed = seen.case.says("s-maxage") || seen.case.says("s-maxage=abc");
            they_store(seen) && seen.case.first.has("authorization") && malformed
        },
    },
    Rule {
        // Ours: the error may be this request's own fault, and the next one would not have got it.
        name: "an error in answer to an odd request is not stored",
        section: "RFC 9111 3: storing is a MAY",
        question: Stored,
        explains: |seen| {
            let odd = seen.case.first.has("range") || seen.case.first.has("if-range");
            they_store(seen) && seen.case.status >= 400 && odd
        },
    },
];

impl Seen<'_> {
    /// The response says no lifetime, or one that is over as soon as it begins. With its validator this one has none by
    /// heuristics either.
    fn has_no_lifetime(&self) -> bool {
        let case = self.case;
        let parsed = |name| case.all(name).map(|value| date::parse(value.as_bytes(), Timestamp::from_secs(ARRIVAL)));
        if says_no_number(case) || case.says("s-maxage=0") || (case.says("max-age=0") && !case.names("s-maxage")) {
            return true;
        }
        if case.names("s-maxage") || case.names("max-age") {
            return false;
        }
        let date = parsed("date").next().flatten().map_or(ARRIVAL, |date| date.as_secs());
        let ends: Vec<_> = parsed("expires").collect();
        let over = ends.iter().any(|end| end.is_none_or(|end| end.as_secs() <= date));
        ends.is_empty() || over || ends.iter().any(|end| Some(end) != ends.first())
    }
}
