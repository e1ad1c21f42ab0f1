//! Whether a fresh response is refreshed before it expires: where it is used often, so that nobody has to wait once it has.
//!
//! The same idea as Akamai's prefreshing, Unbound's `prefetch` and Caffeine's `refreshAfterWrite`. Counts uses, which is all that is
//! not a pure function here; the count is one lifetime's and one worker's, and begins anew with each answer of the origin.

use std::sync::atomic::{AtomicU32, Ordering};

use super::age::{self, Times};
use super::lifetime::Lifetime;
use crate::policy::rules::{AheadWindow, RefreshAhead};
use crate::time::Seconds;

/// When a response is refreshed ahead, and how often it was used.
#[derive(Debug)]
pub struct Ahead {
    within: Seconds,
    hits: u32,
    used: AtomicU32,
}

impl Ahead {
    /// What a rule makes of a lifetime; `None` where that is too short to end early.
    pub fn of(rule: RefreshAhead, lifetime: &Lifetime, times: &Times) -> Option<Self> {
        if lifetime.always_validate {
            return None;
        }
        // Lifetimes count from when the response was made; what is left of one counts from when it came.
        let whole = lifetime.fresh_for.minus(age::current_age(times, times.response));
        let within = match rule.within {
            AheadWindow::Share(percent) => whole.percent(percent).max(Seconds::saturating(1)),
            AheadWindow::Span(span) => span,
        };
        // Not as soon as it is here: whoever refreshes again and again spares nobody anything.
        let within = within.min(Seconds::saturating(u64::from(whole.get()) / 2));
        (within > Seconds::ZERO).then_some(Self { within, hits: rule.hits, used: AtomicU32::new(0) })
    }

    /// So long before its end.
    pub const fn within(&self) -> Seconds {
        self.within
    }

    /// Counts a use of a response that is fresh for `left` yet. Says whether it is to be refreshed.
    pub fn used(&self, left: Seconds) -> bool {
        // A use that is lost between two threads is of no weight; an atomic addition would be, at every hit.
        let used = self.used.load(Ordering::Relaxed).saturating_add(1);
        self.used.store(used, Ordering::Relaxed);
        used >= self.hits && left <= self.within
    }
}

impl Clone for Ahead {
    fn clone(&self) -> Self {
        let used = AtomicU32::new(self.used.load(Ordering::Relaxed));
        Self { within: self.within, hits: self.hits, used }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn seconds(secs: u64) -> Seconds {
        Seconds::saturating(secs)
    }

    fn ahead(within: AheadWindow, fresh_for: u64, age: u64) -> Option<Ahead> {
        let lifetime = Lifetime {
            fresh_for: seconds(fresh_for),
            stale_while_revalidate: Seconds::ZERO,
            stale_if_error: Seconds::ZERO,
            always_validate: false,
            never_stale: false,
            takes_max_stale: true,
        };
        let now = Timestamp::from_secs(1_700_000_000);
        let times = Times { request: now, response: now, date: None, age: seconds(age) };
        Ahead::of(RefreshAhead { within, hits: 2 }, &lifetime, &times)
    }

    #[test]
    fn the_window_is_a_share_or_a_span_and_never_more_than_half() {
        let (share, span) = (AheadWindow::Share, |secs| AheadWindow::Span(seconds(secs)));
        for (within, fresh_for, age, want) in [
            (share(10), 60, 0, Some(6)),
            (share(10), 5, 0, Some(1)),
            (share(10), 160, 100, Some(6)),
            (share(10), 2, 0, Some(1)),
            (share(10), 1, 0, None),
            (share(50), 60, 0, Some(30)),
            (span(30), 300, 0, Some(30)),
            (span(30), 20, 0, Some(10)),
            (span(30), 60, 60, None),
        ] {
            let got = ahead(within, fresh_for, age).map(|ahead| u64::from(ahead.within().get()));
            assert_eq!(got, want, "{within:?} of {fresh_for} at {age}");
        }
    }

    #[test]
    fn it_takes_both_uses_and_the_end_in_sight() {
        let hot = ahead(AheadWindow::Share(10), 60, 0).unwrap();
        assert!(!hot.used(seconds(30)) && !hot.used(seconds(7)) && hot.used(seconds(6)));
        let rare = ahead(AheadWindow::Share(10), 60, 0).unwrap();
        assert!(!rare.used(seconds(5)) && rare.used(seconds(5)));
    }
}
