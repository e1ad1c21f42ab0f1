//! Freshness lifetime as the response itself gives it (RFC 9111 4.2.1, 4.2.2), and what status codes allow.
//!
//! Does not look at the request, and not at the policy beyond its settings for heuristics: `lifetime` lays the policy
//! over it. Contradictions fall to the side of stale: a cache may take the first of several values or call the
//! response stale.

use super::age::Times;
use crate::field::cache_control::CacheControl;
use crate::field::date;
use crate::fields::Fields;
use crate::policy::rules::Heuristic;
use crate::time::{Seconds, Timestamp};

/// Where a lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// `Last-Modified`, by heuristics.
    Heuristic,
    /// Nowhere.
    None,
}

/// The lifetime that the response states, in the order of RFC 9111 4.2.1 for a shared cache: `s-maxage`, `max-age`,
/// `Expires`.
pub fn explicit_lifetime(cc: &CacheControl, fields: &Fields, times: &Times) -> Option<(Seconds, LifetimeSource)> {
    let source = |source| if cc.targeted { LifetimeSource::Targeted } else { source };
    if let Some(lifetime) = cc.s_maxage {
        return Some((lifetime, source(LifetimeSource::SMaxage)));
    }
    if let Some(lifetime) = cc.max_age {
        return Some((lifetime, source(LifetimeSource::MaxAge)));
    }
    // RFC 9213 2.2: a targeted field in force takes the place of Expires, too.
    if cc.targeted {
        return None;
    }
    let mut lines = fields.all("expires");
    let first = lines.next()?;
    // RFC 9111 5.3 (MUST): invalid dates, "0" above all, lie in the past.
    let read = |line| date::parse(line, times.response);
    let lifetime = match read(first) {
        Some(expires) if lines.all(|line| read(line) == Some(expires)) => {
            between(times.date.unwrap_or(times.response), expires)
        }
        _ => Seconds::ZERO,
    };
    Some((lifetime, LifetimeSource::Expires))
}

/// A lifetime from the time since `Last-Modified`, where the response states none; `None` where RFC 9111 4.2.2
/// forbids one, or there is nothing to go by.
pub fn heuristic_lifetime(
    status: u16,
    cc: &CacheControl,
    fields: &Fields,
    times: &Times,
    heuristic: &Heuristic,
) -> Option<Seconds> {
    // RFC 9111 4.2.2: not "when an explicit expiration time is present", nor on a status that is not heuristically
    // cacheable, unless the response is marked public.
    if explicit_lifetime(cc, fields, times).is_some() || !(is_heuristically_cacheable(status) || cc.public) {
        return None;
    }
    let modified = fields.first("last-modified").and_then(|value| date::parse(value, times.response))?;
    let unchanged_for = between(modified, times.date.unwrap_or(times.response));
    Some(unchanged_for.percent(heuristic.percent).min(heuristic.max))
}

/// Statuses that RFC 9110 15.1 calls heuristically cacheable.
pub const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// RFC 9111 3, the last of its conditions (MUST NOT otherwise): the response says `public` or for how long it is fresh, be
/// it for no time, or has a status that is cacheable by itself. A validator alone is not enough.
pub fn permits_storing(status: u16, cc: &CacheControl, fields: &Fields) -> bool {
    let states_lifetime = cc.s_maxage.is_some() || cc.max_age.is_some() || (!cc.targeted && fields.has("expires"));
    cc.public || states_lifetime || is_heuristically_cacheable(status)
}

/// Final statuses whose requirements for caches this cache meets (RFC 9111 3, 5.2.2.3). 206 and 304 are not among
/// them: they are no whole responses, and are never stored as such.
pub const fn is_understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 207 | 208 | 226 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451 | 500..=508 | 511
    )
}

/// Whole seconds from one date to another; zero where the second is the earlier.
const fn between(from: Timestamp, to: Timestamp) -> Seconds {
    Seconds::saturating(to.as_secs().saturating_sub(from.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// 2026-01-01 00:00:00, a Thursday.
    const NOW: u64 = 1_767_225_600;

    fn http_date(offset: i64) -> String {
        date::format(Timestamp::from_secs(NOW.saturating_add_signed(offset)))
    }

    fn fields(lines: &[(&str, String)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.add(name, value.as_str()));
        fields
    }

    fn times(date: Option<i64>) -> Times {
        let at = |offset| Timestamp::from_secs(NOW.saturating_add_signed(offset));
        Times { request: at(0), response: at(0), date: date.map(at), age: Seconds::ZERO }
    }

    #[test]
    fn rfc_9111_4_2_1_first_match_gives_the_lifetime() {
        use LifetimeSource::{Expires, MaxAge, SMaxage, Targeted};
        let cc = |value: &str| ("cache-control", value.to_owned());
        let expires = |offset| ("expires", http_date(offset));
        for (lines, date, want) in [
            (vec![], Some(0), None),
            (vec![cc("max-age=60")], Some(0), Some((60, MaxAge))),
            (vec![cc("max-age=60, s-maxage=5")], Some(0), Some((5, SMaxage))),
            (vec![cc("max-age=0, s-maxage=3600"), expires(-10)], Some(0), Some((3600, SMaxage))),
            (vec![cc("max-age=3600"), expires(-7200)], Some(0), Some((3600, MaxAge))),
            (vec![cc("max-age=3600"), ("expires", "0".into())], Some(0), Some((3600, MaxAge))),
            (vec![cc("max-age=0"), expires(3600)], Some(0), Some((0, MaxAge))),
            (vec![cc("max-age=nonsense"), expires(3600)], Some(0), Some((0, MaxAge))),
            (vec![cc("public"), expires(3600)], Some(0), Some((3600, Expires))),
            (vec![expires(100)], Some(0), Some((100, Expires))),
            (vec![expires(0)], Some(0), Some((0, Expires))),
            (vec![expires(-100)], Some(0), Some((0, Expires))),
            (vec![expires(300)], Some(400), Some((0, Expires))),
            (vec![expires(10)], Some(-10), Some((20, Expires))),
            (vec![expires(10)], None, Some((10, Expires))),
            (vec![("expires", "0".into())], Some(0), Some((0, Expires))),
            (vec![("expires", "-1".into())], Some(0), Some((0, Expires))),
            (vec![("expires", String::new())], Some(0), Some((0, Expires))),
            (vec![expires(100), expires(100)], Some(0), Some((100, Expires))),
            (vec![expires(100), expires(101)], Some(0), Some((0, Expires))),
            (vec![expires(100), ("expires", "0".into())], Some(0), Some((0, Expires))),
            (vec![("cdn-cache-control", "max-age=7".into()), cc("max-age=60")], Some(0), Some((7, Targeted))),
            (vec![("cdn-cache-control", "must-revalidate".into()), cc("max-age=60"), expires(5)], Some(0), None),
        ] {
            let fields = fields(&lines);
            let cc = CacheControl::of_response(&fields, &["cdn-cache-control".to_owned()]);
            let got = explicit_lifetime(&cc, &fields, &times(date)).map(|(span, source)| (span.get(), source));
            assert_eq!(got, want, "{lines:?}");
        }
    }

    #[test]
    fn rfc_9111_4_2_2_heuristics_need_last_modified_and_a_fitting_status() {
        let day = 86_400;
        for (status, cc, modified, want) in [
            (200, "", Some(-10 * day), Some(day)),
            (200, "", Some(-1000), Some(100)),
            (200, "", Some(-100 * day), Some(day)),
            (200, "", Some(10), Some(0)),
            (200, "", None, None),
            (404, "", Some(-1000), Some(100)),
            (201, "", Some(-1000), None),
            (403, "", Some(-1000), None),
            (502, "", Some(-1000), None),
            (599, "", Some(-1000), None),
            (599, "public", Some(-1000), Some(100)),
            (200, "max-age=5", Some(-1000), None),
            (200, "s-maxage=bad", Some(-1000), None),
        ] {
            let mut lines = vec![("cache-control", cc.to_owned())];
            lines.extend(modified.map(|offset| ("last-modified", http_date(offset))));
            let fields = fields(&lines);
            let cc = CacheControl::of_response(&fields, &[]);
            let rule = Heuristic { percent: 10, max: Seconds::saturating(day.unsigned_abs()) };
            let got = heuristic_lifetime(status, &cc, &fields, &times(Some(0)), &rule);
            assert_eq!(got.map(Seconds::get), want.map(|secs: i64| secs as u32), "{status} {lines:?}");
        }
    }

    #[test]
    fn statuses_of_rfc_9110_15_1() {
        let heuristic: Vec<u16> = (100..600).filter(|status| is_heuristically_cacheable(*status)).collect();
        assert_eq!(heuristic, [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);
        for status in [100, 103, 199, 206, 304, 299, 306, 499, 599, 600, 0, u16::MAX] {
            assert!(!is_understood(status), "{status}");
        }
        assert!(heuristic.iter().all(|status| *status == 206 || is_understood(*status)));
    }

    #[test]
    fn heuristics_never_lengthen_what_is_stated_for_any_bytes() {
        hostile::each_fields(&["cache-control", "expires", "last-modified"], 4_000, |fields| {
            let cc = CacheControl::of_response(fields, &[]);
            let rule = Heuristic { percent: 10, max: Seconds::saturating(86_400) };
            let stated = explicit_lifetime(&cc, fields, &times(Some(0)));
            let guessed = heuristic_lifetime(200, &cc, fields, &times(Some(0)), &rule);
            assert!(stated.is_none() || guessed.is_none(), "{fields:?}");
            assert!(guessed.is_none_or(|span| span <= rule.max));
        });
    }
}
