//! When a worker stops asking a cluster that does not answer: a circuit breaker.
//!
//! After a few failures in a row nothing is asked for a while; then one call at a time is let through to see, and the first that is
//! answered closes the circuit again. Each time that the probe fails, the while gets longer.

use crate::time::{Millis, Timestamp};

/// Failures in a row that open the circuit.
const FAILURES_MAX: u32 = 5;
/// The first pause, doubled up to [`PAUSE_MAX`].
const PAUSE: Millis = Millis(500);
const PAUSE_MAX: Millis = Millis(15_000);
/// A probe that nobody reported on by then is taken for lost.
const PROBE_LOST_AFTER: Millis = Millis(10_000);

/// A circuit breaker.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    pauses: u32,
    open_until: Option<Timestamp>,
    probe: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may be made now. Where it may, its outcome is to be reported.
    pub fn permits(&mut self, now: Timestamp) -> bool {
        let Some(until) = self.open_until else { return true };
        if now < until {
            return false;
        }
        match self.probe {
            Some(sent) if now < sent.plus(PROBE_LOST_AFTER) => false,
            _ => {
                self.probe = Some(now);
                true
            }
        }
    }

    /// A call was answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let probed = self.probe.take().is_some();
        if probed || (self.open_until.is_none() && self.failures >= FAILURES_MAX) {
            let pause = Millis(PAUSE.0.checked_shl(self.pauses).unwrap_or(u64::MAX).min(PAUSE_MAX.0));
            self.pauses = (self.pauses + 1).min(16);
            self.open_until = Some(now.plus(pause));
        }
    }

    /// Whether calls are held back, probes apart.
    pub const fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.permits(Timestamp(0)));
            breaker.failed(Timestamp(0));
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (0..FAILURES_MAX - 1).for_each(|_| breaker.failed(Timestamp(0)));
            breaker.succeeded();
        }
        assert!(breaker.permits(Timestamp(0)) && !breaker.is_open());
        assert!(!opened().permits(Timestamp(0)));
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes() {
        let mut breaker = opened();
        assert!(!breaker.permits(Timestamp(499)));
        assert!(breaker.permits(Timestamp(500)));
        assert!(!breaker.permits(Timestamp(500)), "a second one waits for the first");
        breaker.succeeded();
        assert!(breaker.permits(Timestamp(501)) && breaker.permits(Timestamp(501)));
    }

    #[test]
    fn failing_probes_make_the_pause_longer_up_to_a_limit() {
        let mut breaker = opened();
        let mut now = Timestamp(500);
        for pause in [1000, 2000, 4000, 8000, 15_000, 15_000] {
            assert!(breaker.permits(now));
            breaker.failed(now);
            assert!(!breaker.permits(now.plus(Millis(pause - 1))));
            now = now.plus(Millis(pause));
        }
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_change_nothing() {
        let mut breaker = opened();
        breaker.failed(Timestamp(400));
        assert!(breaker.permits(Timestamp(500)));
    }

    #[test]
    fn a_lost_probe_is_not_waited_for_for_ever() {
        let mut breaker = opened();
        assert!(breaker.permits(Timestamp(500)));
        assert!(breaker.permits(Timestamp(500).plus(PROBE_LOST_AFTER)));
    }
}
