//! HTTP dates: against `httpdate`, against themselves written and read again, and against RFC 9110 5.6.7's rule for two-digit years.

use std::time::UNIX_EPOCH;

use larder_core::field::date;
use larder_core::time::Timestamp;

/// 2026-01-01 00:00:00.
const NOW: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

/// The first line is the date, the second the present in seconds since 1970.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let value = lines.next().unwrap_or_default();
    let now = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok()).unwrap_or(NOW);
    let now = Timestamp::from_secs(now);
    let read = date::parse(value, now);
    if let Some(at) = read {
        // Years past 9999 cannot be written, nor read.
        let written = date::format(at);
        assert_eq!(date::parse(written.as_bytes(), now), Some(at), "{written}");
        assert_eq!(at.0 % 1000, 0, "whole seconds");
    }
    // RFC 9111 4.2: case does not matter.
    assert_eq!(date::parse(&value.to_ascii_uppercase(), now), read);
    assert_eq!(date::parse(&value.to_ascii_lowercase(), now), read);
    let Ok(text) = std::str::from_utf8(value) else { return };
    let text = text.trim_matches([' ', '\t']);
    let two_digits = text.contains('-');
    if two_digits && let Some(at) = read {
        // RFC 9110 5.6.7: no more than 50 years ahead, and the latest such: a century later would be. (Two days for leap years.)
        let limit = now.as_secs().saturating_add(50 * 31_556_952);
        assert!(at.as_secs() <= limit, "more than fifty years ahead");
        let leap_day = text.contains("29-");
        assert!(leap_day || at.as_secs() + 100 * 31_556_952 + 2 * DAY > limit.min(253_402_300_799), "not the latest");
    }
    if !two_digits && let Ok(at) = httpdate::parse_http_date(text) {
        let expected = at.duration_since(UNIX_EPOCH).ok().map(|since| Timestamp::from_secs(since.as_secs()));
        assert_eq!(read, expected, "{text}");
    }
    if let Some(at) = read.filter(|_| !two_digits) {
        // What is read is a date under its own day's name, too.
        let named = httpdate::parse_http_date(&date::format(at)).ok();
        assert_eq!(named.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_secs()), Some(at.as_secs()));
    }
}
