//! Preconditions of a request against a stored response (RFC 9110 13, RFC 9111 4.3.2).
//!
//! Decides whether the stored response, a 304 or a 412 is the answer. Conditions sent to the origin are
//! `conditional`'s matter. A condition that cannot be read is as if it were absent, except for tag lists: one without
//! a readable tag matches nothing.

use crate::field::date;
use crate::field::etag::{EntityTag, TagCondition};
use crate::fields::Fields;
use crate::time::Timestamp;

/// What the preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as without them.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates in the order of RFC 9110 13.2.2. Its first two steps, `If-Match` and `If-Unmodified-Since`, are for the
/// origin server, and RFC 9111 4.3.2 has caches leave them alone. This one is part of a gateway, which "acts as an origin
/// server for the outbound connection" (RFC 9110 3.7), and takes them, so that a client that asks for a certain version is
/// not given another. `date` is the stored response's `Date`, or
/// when it came; `exists` is whether there is a current representation at all.
pub fn evaluate(
    request: &Fields,
    method: &str,
    etag: Option<&EntityTag>,
    last_modified: Option<Timestamp>,
    date: Option<Timestamp>,
    exists: bool,
    now: Timestamp,
) -> Verdict {
    // RFC 9110 13.2.1: no preconditions on CONNECT, OPTIONS and TRACE.
    if matches!(method, "CONNECT" | "OPTIONS" | "TRACE") {
        return Verdict::Proceed;
    }
    let any_of = |condition: &TagCondition, equal: fn(&EntityTag, &EntityTag) -> bool| match condition {
        TagCondition::Any => exists,
        TagCondition::Tags(tags) => etag.is_some_and(|etag| tags.iter().any(|tag| equal(tag, etag))),
    };
    if let Some(condition) = TagCondition::parse(request.all("if-match")) {
        if !any_of(&condition, EntityTag::strong_eq) {
            return Verdict::Failed;
        }
    } else if let Some(limit) = only_date(request, "if-unmodified-since", now) {
        // RFC 9110 13.1.4 (MUST): ignored where there is no modification date.
        if last_modified.is_some_and(|modified| modified > limit) {
            return Verdict::Failed;
        }
    }
    let reads = matches!(method, "GET" | "HEAD");
    if let Some(condition) = TagCondition::parse(request.all("if-none-match")) {
        return match any_of(&condition, EntityTag::weak_eq) {
            false => Verdict::Proceed,
            true if reads => Verdict::NotModified,
            true => Verdict::Failed,
        };
    }
    if !reads || !exists {
        return Verdict::Proceed;
    }
    let Some(limit) = only_date(request, "if-modified-since", now) else { return Verdict::Proceed };
    // RFC 9111 4.3.2: without Last-Modified, the stored response's Date stands for it.
    match last_modified.or(date) {
        Some(modified) if modified <= limit => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// Whether `If-Range` lets a `Range` apply (RFC 9110 13.1.5); true where there is none.
pub fn if_range_allows(
    request: &Fields,
    etag: Option<&EntityTag>,
    last_modified: Option<Timestamp>,
    date: Option<Timestamp>,
) -> bool {
    let mut lines = request.all("if-range");
    let Some(value) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    // The century of a two-digit year is the response's own; without a Date no date matches.
    if let Some(wanted) = date::parse(value, date.unwrap_or_default()) {
        // RFC 9110 8.8.2.2: a modification date is a strong validator once the clock had gone on by a second when it
        // was given out; before that, the content may have changed twice under the same date.
        let strong = |modified: &Timestamp| date.is_some_and(|date| date.as_secs() > modified.as_secs());
        return last_modified.filter(strong) == Some(wanted);
    }
    match (EntityTag::parse(value), etag) {
        (Some(wanted), Some(etag)) => wanted.strong_eq(etag),
        _ => false,
    }
}

/// A date that is given once and can be read. RFC 9110 13.1.3, 13.1.4 (MUST): ignored where it is "not a valid
/// HTTP-date" or has "more than one member".
fn only_date(request: &Fields, name: &str, now: Timestamp) -> Option<Timestamp> {
    let mut lines = request.all(name);
    match (lines.next(), lines.next()) {
        (Some(only), None) => date::parse(only, now),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// 2026-01-01 00:00:00.
    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
    const OLD: &str = "Wed, 31 Dec 2025 23:00:00 GMT";
    const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const LATER: &str = "Thu, 01 Jan 2026 00:50:00 GMT";
    const DATE: &str = "Thu, 01 Jan 2026 01:00:00 GMT";
    const AFTER: &str = "Thu, 01 Jan 2026 02:00:00 GMT";

    fn at(text: &str) -> Option<Timestamp> {
        date::parse(text.as_bytes(), NOW)
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, *value));
        fields
    }

    fn check(method: &str, lines: &[(&str, &str)], etag: Option<&str>, modified: Option<&str>, want: Verdict) {
        let etag = etag.and_then(|text| EntityTag::parse(text.as_bytes()));
        let got = evaluate(&fields(lines), method, etag.as_ref(), modified.and_then(at), at(DATE), true, NOW);
        assert_eq!(got, want, "{method} {lines:?} against {etag:?} {modified:?}");
    }

    #[test]
    fn rfc_9110_13_1_2_if_none_match_compares_weakly() {
        use Verdict::{Failed, NotModified, Proceed};
        for (value, etag, want) in [
            (r#""a""#, Some(r#""a""#), NotModified),
            (r#"W/"a""#, Some(r#""a""#), NotModified),
            (r#""a""#, Some(r#"W/"a""#), NotModified),
            (r#"w/"a""#, Some(r#"w/"a""#), NotModified),
            (r#"W"a""#, Some(r#"W"a""#), NotModified),
            (r#"W\"a""#, Some(r#"W\"a""#), NotModified),
            ("a", Some(r#""a""#), NotModified),
            ("a", Some("a"), NotModified),
            (r#""a""#, Some("a"), NotModified),
            ("\"ü\"", Some("\"ü\""), NotModified),
            (r#""a", "b""#, Some(r#""b""#), NotModified),
            (r#""1,2", "b""#, Some(r#""1,2""#), NotModified),
            ("*", Some(r#""a""#), NotModified),
            ("*", None, NotModified),
            (r#""b""#, Some(r#""a""#), Proceed),
            (r#""a""#, None, Proceed),
            ("", Some(r#""a""#), Proceed),
        ] {
            check("GET", &[("if-none-match", value)], etag, None, want);
            check("HEAD", &[("if-none-match", value)], etag, None, want);
            let otherwise = if want == NotModified { Failed } else { Proceed };
            check("PUT", &[("if-none-match", value)], etag, None, otherwise);
        }
    }

    #[test]
    fn rfc_9110_13_1_1_if_match_compares_strongly() {
        use Verdict::{Failed, Proceed};
        for (value, etag, want) in [
            (r#""a""#, Some(r#""a""#), Proceed),
            (r#""b", "a""#, Some(r#""a""#), Proceed),
            ("*", None, Proceed),
            (r#"W/"a""#, Some(r#"W/"a""#), Failed),
            (r#""a""#, Some(r#"W/"a""#), Failed),
            (r#""b""#, Some(r#""a""#), Failed),
            (r#""a""#, None, Failed),
            ("", Some(r#""a""#), Failed),
        ] {
            check("GET", &[("if-match", value)], etag, None, want);
        }
    }

    #[test]
    fn rfc_9110_13_1_3_if_modified_since_is_for_get_and_head() {
        use Verdict::{NotModified, Proceed};
        for (value, modified, want) in [
            (MODIFIED, Some(MODIFIED), NotModified),
            (LATER, Some(MODIFIED), NotModified),
            (OLD, Some(MODIFIED), Proceed),
            ("Thursday, 01-Jan-26 00:00:00 GMT", Some(MODIFIED), NotModified),
            ("Thu Jan  1 00:00:00 2026", Some(MODIFIED), NotModified),
            ("nonsense", Some(MODIFIED), Proceed),
            // Without Last-Modified: the stored Date (RFC 9111 4.3.2).
            (DATE, None, NotModified),
            (AFTER, None, NotModified),
            (OLD, None, Proceed),
        ] {
            check("GET", &[("if-modified-since", value)], None, modified, want);
            check("HEAD", &[("if-modified-since", value)], None, modified, want);
            check("POST", &[("if-modified-since", value)], None, modified, Proceed);
        }
        check("GET", &[("if-modified-since", AFTER), ("if-modified-since", AFTER)], None, Some(MODIFIED), Proceed);
    }

    #[test]
    fn rfc_9110_13_1_4_if_unmodified_since() {
        use Verdict::{Failed, Proceed};
        for (value, modified, want) in [
            (OLD, Some(MODIFIED), Failed),
            (MODIFIED, Some(MODIFIED), Proceed),
            (AFTER, Some(MODIFIED), Proceed),
            (OLD, None, Proceed),
            ("nonsense", Some(MODIFIED), Proceed),
        ] {
            check("GET", &[("if-unmodified-since", value)], None, modified, want);
        }
    }

    #[test]
    fn rfc_9110_13_2_2_tags_take_precedence_over_dates() {
        use Verdict::{Failed, NotModified, Proceed};
        let tag = Some(r#""a""#);
        for (lines, want) in [
            (&[("if-none-match", r#""a""#), ("if-modified-since", OLD)][..], NotModified),
            (&[("if-none-match", r#""b""#), ("if-modified-since", AFTER)], Proceed),
            (&[("if-none-match", "@\u{1}"), ("if-modified-since", AFTER)], Proceed),
            (&[("if-match", r#""a""#), ("if-unmodified-since", OLD)], Proceed),
            (&[("if-match", r#""b""#), ("if-none-match", r#""a""#)], Failed),
            (&[("if-match", r#""a""#), ("if-none-match", r#""a""#)], NotModified),
            (&[("if-unmodified-since", OLD), ("if-none-match", r#""a""#)], Failed),
        ] {
            check("GET", lines, tag, Some(MODIFIED), want);
        }
        check("OPTIONS", &[("if-match", r#""b""#)], tag, Some(MODIFIED), Proceed);
    }

    #[test]
    fn nothing_exists_to_match_a_star() {
        for (lines, want) in [
            ([("if-match", "*")], Verdict::Failed),
            ([("if-none-match", "*")], Verdict::Proceed),
            ([("if-modified-since", AFTER)], Verdict::Proceed),
        ] {
            assert_eq!(evaluate(&fields(&lines), "GET", None, None, at(DATE), false, NOW), want, "{lines:?}");
        }
    }

    #[test]
    fn rfc_9110_13_1_5_if_range_needs_a_strong_validator() {
        for (value, etag, modified, date, want) in [
            (r#""a""#, Some(r#""a""#), None, Some(DATE), true),
            (r#""b""#, Some(r#""a""#), None, Some(DATE), false),
            (r#"W/"a""#, Some(r#"W/"a""#), None, Some(DATE), false),
            (r#""a""#, Some(r#"W/"a""#), None, Some(DATE), false),
            (r#""a""#, None, Some(MODIFIED), Some(DATE), false),
            (MODIFIED, None, Some(MODIFIED), Some(DATE), true),
            (AFTER, None, Some(MODIFIED), Some(DATE), false),
            (OLD, None, Some(MODIFIED), Some(DATE), false),
            (MODIFIED, None, Some(MODIFIED), Some(MODIFIED), false),
            (MODIFIED, None, Some(MODIFIED), None, false),
            (MODIFIED, Some(r#""a""#), None, Some(DATE), false),
            ("", Some(r#""a""#), Some(MODIFIED), Some(DATE), false),
            ("*", Some(r#""a""#), Some(MODIFIED), Some(DATE), false),
        ] {
            let tag = etag.and_then(|text| EntityTag::parse(text.as_bytes()));
            let got = if_range_allows(
                &fields(&[("if-range", value)]),
                tag.as_ref(),
                modified.and_then(at),
                date.and_then(at),
            );
            assert_eq!(got, want, "{value} against {etag:?} {modified:?} {date:?}");
        }
        assert!(if_range_allows(&Fields::new(), None, None, None));
    }

    #[test]
    fn no_304_and_no_412_without_a_condition_for_any_bytes() {
        let names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "foo"];
        let tag = EntityTag::parse(b"\"abc\"");
        hostile::each_fields(&names, 4_000, |fields| {
            let verdict = evaluate(fields, "GET", tag.as_ref(), at(MODIFIED), at(DATE), true, NOW);
            let conditional = fields.iter().any(|line| line.name.starts_with("if-") && line.name != "if-range");
            assert!(conditional || verdict == Verdict::Proceed, "{fields:?}");
            if_range_allows(fields, tag.as_ref(), at(MODIFIED), at(DATE));
        });
    }
}
