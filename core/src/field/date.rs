//! HTTP dates (RFC 9110 5.6.7) by the `httpdate` crate: all three forms are read, the first one is written.
//!
//! Adds what RFC 9111 4.2 asks of caches beyond it: case does not matter. What is not exactly one of the three forms is no
//! date, and its field then says what a missing or past one says. No clock is asked: only the arithmetic of `SystemTime` is used.

#![allow(clippy::disallowed_types, reason = "httpdate converts by SystemTime; nothing here asks for the time")]

use std::time::{Duration, SystemTime};

use super::syntax::trim;
use crate::time::Timestamp;

/// Reads a date. Dates before 1970 and what never was a date are `None`.
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    let text = canonical_case(std::str::from_utf8(trim(value)).ok()?)?;
    let read = httpdate::parse_http_date(&text).ok().or_else(|| under_another_day(&text))?;
    let since = read.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since.as_secs()))
}

/// A date whose only fault is the name of its day, which adds nothing to it. RFC 9110 5.6.7: recipients "are encouraged
/// to be robust in parsing timestamps".
fn under_another_day(text: &str) -> Option<SystemTime> {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let (named, rest) = text.split_at_checked(text.find([',', ' '])?)?;
    let short = DAYS.iter().any(|day| day.get(..3) == Some(named));
    if !short && !DAYS.contains(&named) {
        return None;
    }
    DAYS.iter().find_map(|day| {
        let day = if short { day.get(..3)? } else { day };
        httpdate::parse_http_date(&format!("{day}{rest}")).ok()
    })
}

/// Writes a date as IMF-fixdate; years past 9999 stay there.
pub fn format(at: Timestamp) -> String {
    let since = Duration::from_secs(at.as_secs().min(LAST_SECOND));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}

/// `Wednesday, 06-Nov-94 08:49:37 GMT`, the longest form.
const LONGEST_FORM: usize = 33;
/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

/// The case that the forms are specified in: names of days and months begin with a capital, the zone is all capitals.
fn canonical_case(text: &str) -> Option<String> {
    if text.len() > LONGEST_FORM {
        return None;
    }
    let zone = text.len().saturating_sub(3);
    let is_zone = text.get(zone..).is_some_and(|end| end.eq_ignore_ascii_case("GMT"));
    let mut begins = true;
    let recased = text.char_indices().map(|(at, c)| {
        let upper = begins || (is_zone && at >= zone);
        begins = !c.is_ascii_alphabetic();
        if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    });
    Some(recased.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn three_forms_are_read_and_nothing_else() {
        for (text, want) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            (" Sun, 06 Nov 1994 08:49:37 GMT\t", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun Nov 06 08:49:37 1994", Some(784_111_777)),
            ("SUN, 06 nov 1994 08:49:37 gMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 18 Aug 2050 02:01:18 GMT", Some(2_544_400_878)),
            ("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST_SECOND)),
            // The day's name is wrong; the date is not.
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Monday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Mon Nov  6 08:49:37 1994", Some(784_111_777)),
            // Before the epoch.
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sat, 01 Jan 0000 00:00:00 GMT", None),
            // Two digits: 70 to 99 are of the last century.
            ("Tuesday, 01-Jan-74 00:00:00 GMT", Some(126_230_400)),
            ("Sunday, 01-Jan-40 00:00:00 GMT", Some(2_208_988_800)),
            // No dates.
            ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
            ("Thu, 30 Feb 2012 00:00:00 GMT", None),
            ("Tue, 29 Feb 2011 00:00:00 GMT", None),
            ("Thu, 00 Jan 1970 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 AEST", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06  Nov  1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 19940 08:49:37 GMT", None),
            ("0", None),
            ("-1", None),
            ("", None),
            ("foo", None),
        ] {
            assert_eq!(parse(text.as_bytes()).map(Timestamp::as_secs), want, "{text}");
        }
    }

    #[test]
    fn every_day_of_the_calendar_reads_back_as_itself() {
        let mut secs = 0;
        while secs <= LAST_SECOND {
            let text = format(Timestamp::from_secs(secs));
            assert_eq!(parse(text.as_bytes()).map(Timestamp::as_secs), Some(secs), "{text}");
            secs += 86_400 * 13 + 7_919;
        }
        assert_eq!(format(Timestamp(u64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn no_bytes_panic() {
        hostile::each(5_000, |value| {
            parse(value);
        });
    }
}
