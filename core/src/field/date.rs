//! HTTP dates (RFC 9110 5.6.7) by the `httpdate` crate: all three forms are read, the first one is written.
//!
//! Adds what RFC 9111 4.2 asks of caches beyond it, that case does not matter, and the century of a two-digit year, which depends
//! on the present. What is not exactly one of the three forms is no date, and its field then says what a missing or past one
//! says. No clock is asked: only the arithmetic of `SystemTime` is used.

#![allow(clippy::disallowed_types, reason = "httpdate converts by SystemTime; nothing here asks for the time")]

use std::time::{Duration, SystemTime};

use super::syntax::trim;
use crate::time::{Millis, Timestamp};

/// Reads a date. Dates before 1970 and what never was a date are `None`. Where its year has two digits, the century is the one that
/// `now` suggests.
pub fn parse(value: &[u8], now: Timestamp) -> Option<Timestamp> {
    let text = canonical_case(std::str::from_utf8(trim(value)).ok()?)?;
    match of_two_digit_year(&text) {
        Some(parts) => parts.near(now),
        None => of_four_digit_year(&text),
    }
}

/// `httpdate` does not look at every separator.
fn of_four_digit_year(text: &str) -> Option<Timestamp> {
    let is_one = is_shaped(text, "Aaa, 00 Aaa 0000 00:00:00 GMT") || is_shaped(text, "Aaa Aaa _0 00:00:00 0000");
    let read = || httpdate::parse_http_date(text).ok().or_else(|| under_another_day(text));
    if is_one { timestamp(read()?) } else { None }
}

/// Whether a text has letters, digits (`_`: or a space) and separators where the form has them.
fn is_shaped(text: &str, form: &str) -> bool {
    let is_like = |(byte, like): (u8, u8)| match like {
        b'A' | b'a' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || byte == b' ',
        _ => byte == like,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(is_like)
}

fn timestamp(read: SystemTime) -> Option<Timestamp> {
    let since = read.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since.as_secs()))
}

/// The parts of an rfc850-date behind the name of its day.
struct TwoDigitYear<'a> {
    day: &'a str,
    month: &'a str,
    year: u64,
    clock: &'a str,
}

/// Takes `Sunday, 06-Nov-94 08:49:37 GMT` apart; `None` for the other forms and what is none. The day's name adds nothing.
fn of_two_digit_year(text: &str) -> Option<TwoDigitYear<'_>> {
    let (named, date) = text.split_once(", ")?;
    let (day, date) = date.split_once('-')?;
    let (month, date) = date.split_once('-')?;
    let (year, clock) = date.split_once(' ')?;
    let digits = year.len() == 2 && year.bytes().all(|byte| byte.is_ascii_digit());
    let year = year.parse().ok().filter(|_| digits && DAYS.contains(&named))?;
    Some(TwoDigitYear { day, month, year, clock })
}

impl TwoDigitYear<'_> {
    /// RFC 9110 5.6.7 (MUST): what "appears to be more than 50 years in the future" is of "the most recent year in the past that had
    /// the same last two digits". So the latest year is taken that is not further ahead than that.
    fn near(&self, now: Timestamp) -> Option<Timestamp> {
        let limit = now.plus(FIFTY_YEARS);
        let this_year: u64 = format(now).get(12..16)?.parse().ok()?;
        let century = this_year / 100;
        [century + 1, century, century.saturating_sub(1)].into_iter().find_map(|century| {
            let year = century * 100 + self.year;
            let text = format!("Sun, {} {} {year:04} {}", self.day, self.month, self.clock);
            let at = of_four_digit_year(&text)?;
            (at <= limit).then_some(at)
        })
    }
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// In years of 365.2425 days.
const FIFTY_YEARS: Millis = Millis(50 * 31_556_952 * 1000);

/// A date whose only fault is the name of its day, which adds nothing to it. RFC 9110 5.6.7: recipients "are encouraged
/// to be robust in parsing timestamps".
fn under_another_day(text: &str) -> Option<SystemTime> {
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

    /// 2026-01-01 00:00:00.
    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn read(text: &str, now: Timestamp) -> Option<u64> {
        parse(text.as_bytes(), now).map(Timestamp::as_secs)
    }

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
            ("Sun, 06-Nov-94 08:49:37 GMT", None),
            ("Sunday, 06-Nov-1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-+4 08:49:37 GMT", None),
            ("Sunday, 6-Nov-94 08:49:37 GMT", None),
            ("Sunday, 31-Feb-94 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 UTC", None),
            ("Xyzday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            // Separators that `httpdate` does not look at.
            ("Monday, 01-Jan-74I00:00:10 GMT", None),
            ("Sunday, 06-Nov-94x08:49:37 GMT", None),
            ("Sun, 06xNov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994x08:49:37 GMT", None),
            ("Sun Nov  6x08:49:37 1994", None),
            ("Sun Nov  6 08:49:37x1994", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 19940 08:49:37 GMT", None),
            ("0", None),
            ("-1", None),
            ("", None),
            ("foo", None),
        ] {
            assert_eq!(read(text, NOW), want, "{text}");
        }
    }

    #[test]
    fn rfc_9110_5_6_7_two_digits_mean_the_latest_year_not_more_than_fifty_ahead() {
        let at = |text: &str| read(text, NOW).unwrap();
        let (in_1994, in_2026) = (at("Sun, 06 Nov 1994 08:49:37 GMT"), NOW.as_secs());
        let in_2099 = at("Fri, 02 Jan 2099 00:00:00 GMT");
        for (now, two_digits, want) in [
            (in_2026, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (in_2026, "Sunday, 01-Jan-40 00:00:00 GMT", "Sun, 01 Jan 2040 00:00:00 GMT"),
            (in_2026, "Monday, 01-Jan-74 00:00:00 GMT", "Mon, 01 Jan 2074 00:00:00 GMT"),
            (in_2026, "Tuesday, 31-Dec-75 23:59:59 GMT", "Tue, 31 Dec 2075 23:59:59 GMT"),
            (in_2026, "Friday, 02-Jan-76 00:00:00 GMT", "Fri, 02 Jan 1976 00:00:00 GMT"),
            (in_2026, "Thursday, 01-Jan-26 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT"),
            (in_2026, "Tuesday, 29-Feb-00 00:00:00 GMT", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (in_1994, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (in_1994, "Monday, 01-Jan-40 00:00:00 GMT", "Sun, 01 Jan 2040 00:00:00 GMT"),
            (in_2099, "Saturday, 01-Jan-01 00:00:00 GMT", "Sat, 01 Jan 2101 00:00:00 GMT"),
            (in_2099, "Thursday, 01-Jan-98 00:00:00 GMT", "Wed, 01 Jan 2098 00:00:00 GMT"),
        ] {
            assert_eq!(read(two_digits, Timestamp::from_secs(now)), Some(at(want)), "{two_digits} in {now}");
        }
        for now in [0, u64::MAX] {
            let _ = read("Sunday, 06-Nov-94 08:49:37 GMT", Timestamp(now));
        }
    }

    #[test]
    fn every_day_of_the_calendar_reads_back_as_itself() {
        let mut secs = 0;
        while secs <= LAST_SECOND {
            let text = format(Timestamp::from_secs(secs));
            assert_eq!(read(&text, NOW), Some(secs), "{text}");
            secs += 86_400 * 13 + 7_919;
        }
        assert_eq!(format(Timestamp(u64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn no_bytes_panic() {
        hostile::each(5_000, |value| {
            parse(value, NOW);
        });
    }
}
