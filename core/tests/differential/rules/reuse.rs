//! Does the stored response answer the second request, and what is asked where it does not?

use larder_core::Timestamp;
use larder_core::field::date;

use super::Question::{Conditions, Reused};
use super::{Rule, Seen, contradicts_itself};
use crate::case::ARRIVAL;
use crate::sides;

/// What responses of these cases vary by.
const CHOICES: [&str; 4] = ["accept", "accept-language", "accept-encoding", "foo"];

fn we_reuse(seen: &Seen<'_>) -> bool {
    seen.ours.reused
}

fn they_reuse(seen: &Seen<'_>) -> bool {
    seen.theirs.reused
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "a stored GET answers HEAD",
        section: "RFC 9111 4.3.5, RFC 9110 9.3.2",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.second.method == "HEAD",
    },
    Rule {
        name: "a POST is never answered from the store, and what it stored answers GET",
        section: "RFC 9110 9.3.3",
        question: Reused,
        explains: |seen| seen.case.first.method == "POST" && (seen.case.second.method == "POST") == they_reuse(seen),
    },
    Rule {
        name: "what nobody called shareable is not given to whom the origin may know",
        section: "RFC 9111 3.5",
        question: Reused,
        explains: |seen| they_reuse(seen) && seen.is_refused_to_authorized(),
    },
    Rule {
        name: "stale-while-revalidate allows stale use",
        section: "RFC 5861 3",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.names("stale-while-revalidate") && seen.case.wait < 200,
    },
    Rule {
        name: "Pragma says nothing where Cache-Control speaks, and only no-cache is no-cache",
        section: "RFC 9111 5.4",
        question: Reused,
        explains: |seen| {
            let second = &seen.case.second;
            let spoken = second.has("cache-control") || second.all("pragma").any(|value| value == "xno-cache");
            we_reuse(seen) && spoken && second.has("pragma")
        },
    },
    Rule {
        name: "Pragma is compared without case",
        section: "RFC 9111 5.4",
        question: Reused,
        explains: |seen| they_reuse(seen) && seen.case.second.all("pragma").any(|value| value == "No-Cache"),
    },
    Rule {
        name: "directive names are compared without case",
        section: "RFC 9111 5.2",
        question: Reused,
        explains: |seen| they_reuse(seen) && seen.case.second.says("No-Cache"),
    },
    Rule {
        name: "a directive in quotes is none",
        section: "RFC 9110 5.6.4",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.second.says("ext=\"a, no-cache, b\""),
    },
    Rule {
        name: "a client's max-age or max-stale that is no number is taken for zero",
        section: "RFC 9111 5.2.1.1, 5.2.1.2",
        question: Reused,
        explains: |seen| {
            they_reuse(seen) && ["max-age=abc", "max-stale=abc"].iter().any(|said| seen.case.second.says(said))
        },
    },
    Rule {
        name: "of two directives of a request the stricter counts",
        section: "RFC 9111 4.2.1",
        question: Reused,
        explains: |seen| {
            they_reuse(seen)
                && ["max-age", "min-fresh", "max-stale"].iter().any(|name| seen.case.second.names_twice(name))
        },
    },
    Rule {
        name: "max-stale does not lift no-cache",
        section: "RFC 9111 5.2.2.4",
        question: Reused,
        explains: |seen| they_reuse(seen) && seen.case.second.names("max-stale") && seen.case.says("no-cache"),
    },
    Rule {
        name: "max-stale does not lift s-maxage and proxy-revalidate",
        section: "RFC 9111 4.2.4, 5.2.2.8, 5.2.2.10",
        question: Reused,
        explains: |seen| {
            let strict = seen.case.names("s-maxage") || seen.case.names("proxy-revalidate");
            they_reuse(seen) && seen.case.second.names("max-stale") && strict
        },
    },
    Rule {
        name: "max-stale says no more than so many seconds, and so many are no more",
        section: "RFC 9111 5.2.1.2",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.second.says("max-stale=20"),
    },
    Rule {
        name: "two lifetimes are no must-revalidate",
        section: "RFC 9111 4.2.1",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.second.names("max-stale") && contradicts_itself(seen.case),
    },
    Rule {
        name: "Date, the time that the response took and any Age there is count into its age",
        section: "RFC 9111 4.2.3, 5.1",
        question: Reused,
        explains: |seen| {
            let bounded = ["max-age", "max-stale"].iter().any(|name| seen.case.second.names(name));
            they_reuse(seen) && bounded && (seen.case.unseen_age() > 0 || seen.case.has_odd_age())
        },
    },
    Rule {
        name: "values that mean the same select the same variant",
        section: "RFC 9111 4.1",
        question: Reused,
        explains: |seen| we_reuse(seen) && seen.case.has("vary") && seen.chooses_otherwise(),
    },
    Rule {
        name: "all lines of a selecting field count",
        section: "RFC 9111 4.1, RFC 9110 5.3",
        question: Reused,
        explains: |seen| they_reuse(seen) && seen.case.has("vary") && seen.chooses_otherwise_later(),
    },
    Rule {
        name: "the client's conditions are answered here: the origin is asked about the stored response",
        section: "RFC 9111 4.3.1, 4.3.2",
        question: Conditions,
        explains: |seen| {
            let own = sides::CONDITIONS.iter().any(|name| seen.case.second.has(name));
            own && seen.case.second.method == "GET" && seen.we_ask_for_stored()
        },
    },
    Rule {
        // Ours: it is read as if it were quoted, by origins as well, one hopes.
        name: "an entity tag is a quoted string",
        section: "RFC 9110 8.8.3",
        question: Conditions,
        explains: |seen| seen.case.all("etag").any(|tag| tag == "unquoted") && seen.we_ask_for_stored(),
    },
    Rule {
        name: "a Last-Modified that is no date validates nothing",
        section: "RFC 9110 8.8.2, 13.1.3",
        question: Conditions,
        explains: |seen| {
            let dated = seen
                .case
                .all("last-modified")
                .all(|value| date::parse(value.as_bytes(), Timestamp::from_secs(ARRIVAL)).is_some());
            !dated && (seen.we_ask_for_stored() || (!seen.case.has("etag") && seen.we_ask_for_nothing_stored()))
        },
    },
    Rule {
        // Ours: a HEAD fetches nothing that could be stored.
        name: "a HEAD goes to the origin with the client's conditions and no others",
        section: "RFC 9111 4.3.1: validating is a MAY",
        question: Conditions,
        explains: |seen| seen.case.second.method == "HEAD" && seen.we_pass_on(&[]),
    },
    Rule {
        name: "an answer to POST is not validated by POST",
        section: "RFC 9110 9.3.3, 13.1.2",
        question: Conditions,
        explains: |seen| seen.case.second.method == "POST" && seen.we_pass_on(&[]),
    },
    Rule {
        name: "what a POST stored is validated by GET",
        section: "RFC 9110 9.3.3",
        question: Conditions,
        explains: |seen| {
            seen.case.first.method == "POST" && seen.case.second.method == "GET" && seen.we_ask_for_stored()
        },
    },
    Rule {
        name: "values that mean the same select the same variant",
        section: "RFC 9111 4.1",
        question: Conditions,
        explains: |seen| seen.case.has("vary") && seen.chooses_otherwise() && seen.we_ask_for_stored(),
    },
    Rule {
        // Ours: a 304 to the client's validator would leave nothing to store.
        name: "where nothing stored matches, nothing stored is asked about, and the whole response if it can be kept",
        section: "RFC 9111 4.3.2",
        question: Conditions,
        explains: |seen| seen.may_miss() && seen.we_ask_for_nothing_stored(),
    },
    Rule {
        name: "the client's conditions stay as they are where there is nothing to validate with",
        section: "RFC 9110 13.1",
        question: Conditions,
        explains: |seen| {
            let own = ["if-range", "if-match", "if-unmodified-since"].iter().any(|name| seen.case.second.has(name));
            own && (!seen.case.has_validator() || seen.may_miss()) && seen.we_pass_on(&[])
        },
    },
    Rule {
        name: "what is not shared is not validated for whom the origin may know",
        section: "RFC 9111 3.5",
        question: Conditions,
        explains: |seen| seen.is_refused_to_authorized() && seen.we_pass_on(&[]),
    },
];

impl Seen<'_> {
    /// The request has Authorization and the response has nothing that shares it.
    fn is_refused_to_authorized(&self) -> bool {
        let shared = ["public", "must-revalidate", "s-maxage"].iter().any(|name| self.case.names(name));
        let shared = shared && !["s-maxage", "s-maxage=abc"].iter().any(|member| self.case.says(member));
        self.case.second.has("authorization") && !shared
    }

    /// What comes back to the second request may be stored as a whole.
    fn fills(&self) -> bool {
        let second = &self.case.second;
        let part = ["range", "if-range", "if-match", "if-unmodified-since"].iter().any(|name| second.has(name));
        second.method == "GET" && !part && !second.has("authorization") && !second.names("no-store")
    }

    /// Another target, or maybe another variant.
    fn may_miss(&self) -> bool {
        let case = self.case;
        (case.has("vary") && self.chooses_otherwise()) || case.second.target != case.first.target
    }

    /// The two requests do not choose alike, byte for byte.
    fn chooses_otherwise(&self) -> bool {
        let (first, second) = (&self.case.first, &self.case.second);
        CHOICES.iter().any(|name| !first.all(name).eq(second.all(name)))
    }

    /// They do in their first lines, but not in all of them.
    fn chooses_otherwise_later(&self) -> bool {
        let (first, second) = (&self.case.first, &self.case.second);
        let differs_later =
            |name: &str| first.all(name).next() == second.all(name).next() && !first.all(name).eq(second.all(name));
        CHOICES.iter().any(|name| differs_later(name))
    }

    /// We forward the client's conditions but for these, and no others.
    fn we_pass_on(&self, but: &[&str]) -> bool {
        let own = |name| self.case.second.all(name).next().map(|value| (name, value.to_owned()));
        let wanted = sides::CONDITIONS.into_iter().filter(|name| !but.contains(name)).filter_map(own).collect();
        self.ours.conditions == Some(wanted)
    }

    /// We forward the client's conditions; those that a 304 could answer not where its answer is to be stored.
    fn we_ask_for_nothing_stored(&self) -> bool {
        self.we_pass_on(&[]) || (self.fills() && self.we_pass_on(&["if-none-match", "if-modified-since"]))
    }

    /// We ask about the stored response and about nothing else.
    fn we_ask_for_stored(&self) -> bool {
        let etag = self.case.all("etag").next().map(|tag| if tag == "unquoted" { "\"unquoted\"" } else { tag });
        let modified = self.case.all("last-modified").next().filter(|date| !date.is_empty());
        let mut wanted = sides::Conditions::new();
        wanted.extend(etag.map(|tag| ("if-none-match", tag.to_owned())));
        wanted.extend(modified.map(|date| ("if-modified-since", date.to_owned())));
        self.ours.conditions.as_ref() == Some(&wanted)
    }
}
