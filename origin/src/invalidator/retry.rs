//! When to try again, and whether: what an answer's status means for a purge. Pure.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

/// No node is left alone for longer, whatever its `Retry-After` says.
const HELD_MAX: Duration = Duration::from_secs(300);

/// What an answer says of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the purge log.
    Accepted,
    /// It is wrong, and will be at every node and at every time.
    Refused,
    /// Something else is wrong that somebody has to mend: the token, or what the URL leads to. Says nothing of the purge.
    Blocked,
    /// Later it may go.
    Failed,
}

/// Judges a status (RFC 9110 section 15).
pub(super) fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Accepted,
        408 | 425 | 429 => Verdict::Failed,
        // A redirect, nothing at this path, another method: that is no node's admin plane.
        300..=399 | 401 | 403 | 404 | 405 | 407 | 421 => Verdict::Blocked,
        400..=499 => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

/// How long the answer asks to be left alone (RFC 9110 section 10.2.3), within reason.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse().map(Duration::from_secs) {
        Ok(wait) => wait,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(HELD_MAX))
}

/// Waits that double with every failure, up to a limit.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max: max.max(first), failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait now: between half of it and the whole, by `random` from 0 to 1, so that applications which failed together
    /// do not come back together.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let whole = self.first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.max);
        self.failures = self.failures.saturating_add(1).min(31);
        whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_becomes_of_the_purge() {
        let of = |verdict| {
            let all = (200..=599).filter(|status| judge(StatusCode::from_u16(*status).expect("a status")) == verdict);
            all.filter(|status| *status >= 400).take(8).collect::<Vec<u16>>()
        };
        assert_eq!(of(Verdict::Blocked), [401, 403, 404, 405, 407, 421]);
        assert_eq!(of(Verdict::Failed)[..4], [408, 425, 429, 500]);
        assert_eq!(of(Verdict::Refused)[..4], [400, 402, 406, 409]);
        assert!(of(Verdict::Accepted).is_empty());
        assert_eq!(judge(StatusCode::OK), Verdict::Accepted);
        assert_eq!(judge(StatusCode::FOUND), Verdict::Blocked);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_reason() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, want) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("999999999999", Some(300)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("a value"))]);
            assert_eq!(retry_after(&headers, now), want.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<u128> = (0..6).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        for _ in 0..100 {
            assert_eq!(backoff.next(0.0), Duration::from_millis(500));
        }
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_millis(50));
    }
}
