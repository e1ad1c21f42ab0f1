//! HTTP dates (RFC 9110 5.6.7): all three forms are read, the first one is written.
//!
//! Without a clock and without `std::time`. Case does not matter (RFC 9111 4.2), everything else does: what is not
//! exactly one of the three forms is no date, and its field then says what a missing or past one says.

use super::syntax::trim;
use crate::time::Timestamp;

/// Reads a date. Dates before 1970 are the epoch; what never was a date is `None`.
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    let value = trim(value);
    let mut lower = [0; LONGEST_FORM];
    let lower = lower.get_mut(..value.len())?;
    lower.copy_from_slice(value);
    lower.make_ascii_lowercase();
    imf_fixdate(lower).or_else(|| rfc850(lower)).or_else(|| asctime(lower))
}

/// Writes a date as IMF-fixdate; years past 9999 stay there.
pub fn format(at: Timestamp) -> String {
    let secs = at.as_secs().min(LAST_SECOND);
    let days = secs / SECONDS_A_DAY;
    let (year, month, day) = civil_from_days(days);
    let weekday = usize::try_from((days + 3) % 7).ok().and_then(|at| WEEKDAYS.get(at)).map_or("Mon", |names| names.0);
    let month = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).map_or("Jan", |names| names.0);
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `Wednesday, 06-Nov-94 08:49:37 GMT`
const LONGEST_FORM: usize = 33;
const SECONDS_A_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;
/// Monday first, as day 4 of the epoch was one.
const WEEKDAYS: [(&str, &str); 7] = [
    ("Mon", "monday"),
    ("Tue", "tuesday"),
    ("Wed", "wednesday"),
    ("Thu", "thursday"),
    ("Fri", "friday"),
    ("Sat", "saturday"),
    ("Sun", "sunday"),
];
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 29),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = value else {
        return None;
    };
    let time = time.strip_suffix(b" gmt")?;
    let weekday = short_weekday(&[*w1, *w2, *w3])?;
    at(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?, weekday, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
///
/// The two digits of the year leave the century open. RFC 9110 has the recipient's clock decide; the day of the week
/// decides as well, since the same date falls on different days in neighbouring centuries.
fn rfc850(value: &[u8]) -> Option<Timestamp> {
    let comma = value.iter().position(|byte| *byte == b',')?;
    let (name, rest) = value.split_at_checked(comma)?;
    let weekday = WEEKDAYS.iter().position(|(_, long)| long.as_bytes() == name)?;
    let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ ..] = rest else { return None };
    let time = time.strip_suffix(b" gmt")?;
    let (year, month, day) = (number(&[*y1, *y2])?, month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?);
    at(2000 + year, month, day, weekday, time).or_else(|| at(1900 + year, month, day, weekday, time))
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b' ', m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] = value else { return None };
    let [time @ .., b' ', y1, y2, y3, y4] = rest else { return None };
    let day = if *d1 == b' ' { number(&[*d2])? } else { number(&[*d1, *d2])? };
    let weekday = short_weekday(&[*w1, *w2, *w3])?;
    at(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, day, weekday, time)
}

/// The point in time; `None` where there is no such day or it is another day of the week.
fn at(year: u64, month: u64, day: u64, weekday: usize, time: &[u8]) -> Option<Timestamp> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    // 60 is a leap second, which Unix time does not have; the earlier neighbour stands for it (RFC 9111 4.2).
    if hour > 23 || minute > 59 || second > 60 || day == 0 {
        return None;
    }
    let longest = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?.1;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if day > longest || (month == 2 && day == 29 && !leap) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if (days + 3).rem_euclid(7) != i64::try_from(weekday).ok()? {
        return None;
    }
    let Ok(days) = u64::try_from(days) else { return Some(Timestamp(0)) };
    Some(Timestamp::from_secs(days * SECONDS_A_DAY + hour * 3600 + minute * 60 + second.min(59)))
}

fn short_weekday(name: &[u8]) -> Option<usize> {
    WEEKDAYS.iter().position(|(short, _)| short.as_bytes().eq_ignore_ascii_case(name))
}

/// 1 to 12.
fn month(name: &[u8]) -> Option<u64> {
    let at = MONTHS.iter().position(|(short, _)| short.as_bytes().eq_ignore_ascii_case(name))?;
    u64::try_from(at + 1).ok()
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// Days since the epoch in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is
/// the last one: months then begin at fixed days, (153 m + 2) / 5.
fn days_from_civil(year: u64, month: u64, day: u64) -> i64 {
    let (year, month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    // 719468 days lie between 0000-03-01 and 1970-01-01, 146097 are the 400 years added above.
    days.cast_signed() - 719_468 - 146_097
}

/// Year, month and day of a day since the epoch; the inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799)),
            // Before the epoch.
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
            ("Sat, 01 Jan 0000 00:00:00 GMT", Some(0)),
            ("Monday, 01-Jan-40 00:00:00 GMT", Some(0)),
            // Two digits: the day of the week tells the century.
            ("Tuesday, 01-Jan-74 00:00:00 GMT", Some(126_230_400)),
            ("Monday, 01-Jan-74 00:00:00 GMT", Some(3_281_990_400)),
            // No dates.
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
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
            secs += SECONDS_A_DAY * 13 + 7_919;
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

    /// A second opinion on the calendar.
    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    #[allow(clippy::disallowed_types)]
    fn httpdate_agrees() {
        use std::time::{Duration, SystemTime};
        let mut rng = hostile::Rng::new(7);
        for _ in 0..20_000 {
            let secs = (rng.below(1 << 31) as u64 * 127 + rng.below(127) as u64) % (LAST_SECOND + 1);
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
            assert_eq!(format(Timestamp::from_secs(secs)), httpdate::fmt_http_date(theirs));
            let text = httpdate::fmt_http_date(theirs);
            assert_eq!(parse(text.as_bytes()), Some(Timestamp::from_secs(secs)), "{text}");
        }
    }
}
