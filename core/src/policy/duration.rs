//! Spans of time as a policy writes them: `90s`, `1h30m`, `2w`; and sizes: `64KiB`.
//!
//! Whole units only, each at most once, from large to small, so that a span has no two readings. Milliseconds are
//! taken only where a setting asks for them.

use std::fmt::Write as _;

use crate::time::{Millis, Seconds};

/// Units of time, from large to small, in seconds.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Parses `1h30m` and the like. Longer than [`Seconds::MAX`] is an error: it would be cut without a word.
pub(crate) fn parse_seconds(text: &str) -> Option<Seconds> {
    let mut rest = text;
    let mut sum = 0u64;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, secs) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = rest.strip_prefix(unit)?;
        // `ms` is no `m` followed by something: the next loop finds no digits and refuses it.
        if secs >= largest {
            return None;
        }
        largest = secs;
        sum = sum.checked_add(count.checked_mul(secs)?)?;
    }
    (!text.is_empty() && sum <= u64::from(Seconds::MAX.get())).then(|| Seconds::saturating(sum))
}

/// Like [`parse_seconds`], and `500ms`.
pub(crate) fn parse_millis(text: &str) -> Option<Millis> {
    match text.strip_suffix("ms") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let millis = digits.parse().ok()?;
            (millis <= Seconds::MAX.as_millis().0).then_some(Millis(millis))
        }
        _ => parse_seconds(text).map(Seconds::as_millis),
    }
}

/// The shortest way to write a span that parses back to it.
pub(crate) fn seconds_text(span: Seconds) -> String {
    let mut rest = u64::from(span.get());
    let mut text = String::new();
    for (unit, secs) in UNITS {
        if rest >= secs {
            let _ = write!(text, "{}{unit}", rest / secs);
            rest %= secs;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The shortest way to write a span that parses back to it.
pub(crate) fn millis_text(span: Millis) -> String {
    if span.0.is_multiple_of(1000) { seconds_text(span.as_seconds()) } else { format!("{}ms", span.0) }
}

/// Parses `64KiB`, `1MB`, `100`, `100B`.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (digits, factor) =
        UNITS.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor))).unwrap_or((text, 1));
    let digits = digits.trim_end_matches(' ');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn spans_have_one_reading() {
        for (text, want) in [
            ("0s", Some(0)),
            ("60s", Some(60)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("1w2d3h4m5s", Some(788_645)),
            ("365d", Some(31_536_000)),
            ("2147483648s", Some(1 << 31)),
            ("2147483649s", None),
            ("99999999999999999999999s", None),
            ("9999999999999999w", None),
            ("", None),
            ("60", None),
            ("s", None),
            ("-1s", None),
            ("1.5h", None),
            ("1 h", None),
            ("30m1h", None),
            ("1m1m", None),
            ("500ms", None),
            ("1M", None),
            ("1y", None),
            ("5mé", None),
        ] {
            assert_eq!(parse_seconds(text).map(Seconds::get), want, "{text}");
        }
    }

    #[test]
    fn spans_survive_being_written() {
        for secs in [0, 1, 59, 60, 61, 3599, 3600, 86_399, 604_800, 788_645, 1 << 31] {
            let span = Seconds::saturating(secs);
            assert_eq!(parse_seconds(&seconds_text(span)), Some(span));
        }
        for millis in [0, 1, 500, 1000, 1500, 60_000] {
            assert_eq!(parse_millis(&millis_text(Millis(millis))), Some(Millis(millis)));
        }
    }

    #[test]
    fn milliseconds_and_sizes() {
        for (text, want) in [("500ms", Some(500)), ("5s", Some(5000)), ("ms", None), ("1s500ms", None), ("-1ms", None)]
        {
            assert_eq!(parse_millis(text).map(|m| m.0), want, "{text}");
        }
        for (text, want) in [
            ("100", Some(100)),
            ("100B", Some(100)),
            ("64KiB", Some(65_536)),
            ("64 KiB", Some(65_536)),
            ("1MB", Some(1_000_000)),
            ("1MiB", Some(1 << 20)),
            ("99999999999999999GiB", None),
            ("1.5MiB", None),
            ("KiB", None),
            ("-1", None),
            ("1mb", None),
            ("", None),
        ] {
            assert_eq!(parse_bytes(text), want, "{text}");
        }
    }
}
