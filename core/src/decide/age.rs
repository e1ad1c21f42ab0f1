//! Age (RFC 9111 4.2.3).
//!
//! Invariant: the current age never decreases while `now` does not, and is never below the age that the response came
//! with. Why: a clock that stepped back must not revive what was stale.

use crate::time::{Millis, Seconds, Timestamp};

/// What the age of a response is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the request was sent (request_time).
    pub request: Timestamp,
    /// When the response came (response_time).
    pub response: Timestamp,
    /// The response's `Date` (date_value); `None` where it has none that can be read.
    pub date: Option<Timestamp>,
    /// The response's `Age` (age_value); zero where it has none.
    pub age: Seconds,
}

/// Age at the moment of arrival: RFC 9111's corrected_initial_age.
pub fn initial_age(times: &Times) -> Millis {
    // Dates count whole seconds; so does the difference, or every response would look up to a second old on arrival.
    let date = times.date.unwrap_or(times.response);
    let apparent = Seconds::saturating(times.response.as_secs().saturating_sub(date.as_secs())).as_millis();
    let delay = times.response.since(times.request);
    let corrected = Millis(times.age.as_millis().0.saturating_add(delay.0));
    apparent.max(corrected)
}

/// Age at `now`: RFC 9111's current_age, in whole seconds.
pub fn current_age(times: &Times, now: Timestamp) -> Seconds {
    let resident = now.since(times.response);
    Millis(initial_age(times).0.saturating_add(resident.0)).as_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::hostile::Rng;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn age_is_the_larger_of_what_date_and_age_say_plus_time_in_the_store() {
        for (request, response, date, age, now, want) in [
            // Straight from an origin with the same clock.
            (10_000, 10_000, Some(10), 0, 10_000, 0),
            (10_000, 10_000, Some(10), 0, 15_999, 5),
            (10_000, 10_900, Some(10), 0, 10_999, 0),
            // Through another cache.
            (10_000, 10_000, Some(10), 30, 12_000, 32),
            // An old Date counts, a Date ahead does not.
            (10_000_000, 10_000_000, Some(9_000), 0, 10_000_000, 1_000),
            (10_000, 10_000, Some(99), 0, 10_000, 0),
            (10_000_000, 10_000_000, Some(9_990), 25, 10_000_000, 25),
            // The delay of the request counts, as if all of it were spent after the response was made.
            (10_000, 14_000, Some(14), 0, 14_000, 4),
            (10_000, 14_000, Some(14), 7, 14_000, 11),
            // No Date.
            (10_000, 10_000, None, 0, 13_000, 3),
            // Clocks that step back.
            (10_000, 10_000, Some(10), 5, 3_000, 5),
            (10_000, 8_000, Some(8), 5, 8_000, 5),
        ] {
            let times = Times {
                request: Timestamp(request),
                response: Timestamp(response),
                date: date.map(Timestamp::from_secs),
                age: Seconds::saturating(age),
            };
            assert_eq!(current_age(&times, Timestamp(now)).get(), want, "{times:?} at {now}");
        }
    }

    #[test]
    fn age_never_decreases_and_never_overflows() {
        let extremes = [0, 1, 999, 1_000, u64::MAX / 1_000, u64::MAX - 1, u64::MAX];
        let mut rng = Rng::new(3);
        let mut any = || Timestamp(if rng.below(2) == 0 { extremes[rng.below(7)] } else { rng.below(1 << 30) as u64 });
        for round in 0..5_000 {
            let age = Seconds::saturating(any().0);
            let date = Some(any()).filter(|_| round % 3 > 0);
            let times = Times { request: any(), response: any(), date, age };
            let (one, other) = (any(), any());
            let (earlier, later) = (one.min(other), one.max(other));
            assert!(current_age(&times, earlier) <= current_age(&times, later), "{times:?} {earlier:?} {later:?}");
            assert!(current_age(&times, earlier) >= age);
        }
    }
}
