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
    // `httpdate` reads more than it writes: it does not look at every separator.
    if let Ok(at) = httpdate::parse_http_date(text)
        && httpdate::fmt_http_date(at).eq_ignore_ascii_case(text)
    {
        let expected = at.duration_since(UNIX_EPOCH).ok().map(|since| Timestamp::from_secs(since.as_secs()));
        assert_eq!(read, expected, "{text}");
    }
    if let Some(at) = read.filter(|_| !two_digits) {
        // Exactly IMF-fixdate or asctime's form, but for the name of the day.
        let written = date::format(at);
        let [day, month, year, clock] = [5..7, 8..11, 12..16, 17..25].map(|part| &written[part]);
        let forms = [
            written[3..].to_owned(),
            format!(" {month} {day} {clock} {year}"),
            format!(" {month} {:>2} {clock} {year}", day.trim_start_matches('0')),
        ];
        assert!(forms.iter().any(|form| form.eq_ignore_ascii_case(&text[3..])), "{text} is not {written}");
    }
}
