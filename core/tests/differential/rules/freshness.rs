//! For how long is it fresh?

use super::Question::FreshFor;
use super::{Rule, Seen, is_in_other_case, says_no_number};
use crate::case::Case;

/// A day: the policy's longest lifetime by heuristics.
const DAY: u64 = 86_400;
/// RFC 9111 1.2.2.
const LONGEST: u64 = 1 << 31;

fn ours_is_shorter(seen: &Seen<'_>) -> bool {
    seen.ours.fresh_for < seen.theirs.fresh_for
}

fn ours_is_longer(seen: &Seen<'_>) -> bool {
    seen.ours.fresh_for > seen.theirs.fresh_for
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "Date and the time that the response took count into its age",
        section: "RFC 9111 4.2.3",
        question: FreshFor,
        explains: |seen| {
            let unseen = seen.case.unseen_age();
            unseen > 0 && seen.theirs.fresh_for.saturating_sub(unseen) == seen.ours.fresh_for
        },
    },
    Rule {
        name: "of an Age list the first member counts, without parameters, and overflow is old",
        section: "RFC 9111 5.1, 1.2.2",
        question: FreshFor,
        explains: |seen| ours_is_shorter(seen) && seen.case.has_odd_age(),
    },
    Rule {
        name: "of two lifetimes the shorter counts",
        section: "RFC 9111 4.2.1: the first or none",
        question: FreshFor,
        explains: |seen| ours_is_shorter(seen) && ["max-age", "s-maxage"].iter().any(|name| is_twice(seen.case, name)),
    },
    Rule {
        name: "of two Expires none counts",
        section: "RFC 9111 4.2.1: the first or none",
        question: FreshFor,
        explains: |seen| ours_is_shorter(seen) && seen.ours.fresh_for == 0 && seen.case.all("expires").count() > 1,
    },
    Rule {
        name: "a lifetime that is no number is over",
        section: "RFC 9111 4.2.1, RFC 9110 5.6.6: no blanks around =",
        question: FreshFor,
        explains: |seen| ours_is_shorter(seen) && seen.ours.fresh_for == 0 && says_no_number(seen.case),
    },
    Rule {
        name: "more seconds than 2^31 are 2^31",
        section: "RFC 9111 1.2.2",
        question: FreshFor,
        explains: |seen| {
            ours_is_shorter(seen)
                && seen.case.says("max-age=99999999999")
                && seen.ours.fresh_for == LONGEST.saturating_sub(seen.case.initial_age())
        },
    },
    Rule {
        name: "a lifetime by heuristics is a day at most, by policy",
        section: "RFC 9111 4.2.2",
        question: FreshFor,
        explains: |seen| {
            ours_is_shorter(seen)
                && seen.case.has("last-modified")
                && !seen.case.has("expires")
                && seen.ours.fresh_for == DAY.saturating_sub(seen.case.initial_age())
        },
    },
    Rule {
        name: "all three forms of dates are read, and no others",
        section: "RFC 9110 5.6.7",
        question: FreshFor,
        explains: |seen| ["date", "expires", "last-modified"].iter().any(|name| seen.case.all(name).any(is_odd_date)),
    },
    Rule {
        name: "directive names are compared without case",
        section: "RFC 9111 5.2",
        question: FreshFor,
        explains: |seen| is_in_other_case(seen.case),
    },
    Rule {
        name: "a directive in quotes is none",
        section: "RFC 9110 5.6.4",
        question: FreshFor,
        explains: |seen| seen.case.says("ext=\"a, max-age=5, b\""),
    },
    Rule {
        name: "proxy-revalidate matters once the response is stale",
        section: "RFC 9111 5.2.2.8",
        question: FreshFor,
        explains: |seen| ours_is_longer(seen) && seen.theirs.fresh_for == 0 && seen.case.names("proxy-revalidate"),
    },
    Rule {
        name: "Set-Cookie does not inhibit caching, where the policy keeps to the RFC",
        section: "RFC 9111 7.3",
        question: FreshFor,
        explains: |seen| ours_is_longer(seen) && seen.theirs.fresh_for == 0 && seen.case.has("set-cookie"),
    },
    Rule {
        name: "Pragma says nothing in responses",
        section: "RFC 9111 5.4",
        question: FreshFor,
        explains: |seen| {
            let unsaid = !seen.case.has("cache-control");
            ours_is_longer(seen) && seen.theirs.fresh_for == 0 && unsaid && seen.case.has("pragma")
        },
    },
    Rule {
        name: "no-cache with a list is about these fields only",
        section: "RFC 9111 5.2.2.4",
        question: FreshFor,
        explains: |seen| ours_is_longer(seen) && seen.case.says("no-cache=\"set-cookie\""),
    },
];

/// Whether a directive stands there with two arguments.
fn is_twice(case: &Case, name: &str) -> bool {
    let named = |said: &&str| said.split('=').next() == Some(name);
    case.members().filter(named).any(|one| case.members().filter(named).any(|other| other != one))
}

/// Obsolete forms, which the other side does not read, and one of e-mail, which only the other side reads.
fn is_odd_date(value: &str) -> bool {
    value.contains("+0000") || value.starts_with("Tuesday") || !value.contains(',')
}
