//! What is counted, by the `metrics` facade; nothing without the feature. The module's documentation lists it.

use std::time::Duration;

#[cfg(feature = "metrics")]
mod facade {
    use super::Duration;

    pub(in crate::invalidator) fn queued(scopes: usize) {
        metrics::counter!("larder_invalidator_queued_total").increment(scopes as u64);
    }

    pub(in crate::invalidator) fn accepted(scopes: usize, age: Duration) {
        metrics::counter!("larder_invalidator_accepted_total").increment(scopes as u64);
        metrics::histogram!("larder_invalidator_acceptance_seconds").record(age.as_secs_f64());
    }

    pub(in crate::invalidator) fn failed_attempt(is_blocked: bool, oldest: Duration) {
        let reason = if is_blocked { "blocked" } else { "failed" };
        metrics::counter!("larder_invalidator_failed_attempts_total", "reason" => reason).increment(1);
        metrics::gauge!("larder_invalidator_oldest_seconds").set(oldest.as_secs_f64());
    }

    pub(in crate::invalidator) fn dead_letters(scopes: usize) {
        metrics::counter!("larder_invalidator_dead_letters_total").increment(scopes as u64);
    }

    pub(in crate::invalidator) fn overflowed() {
        metrics::counter!("larder_invalidator_overflows_total").increment(1);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and a queue is shorter than 2^52")]
    pub(in crate::invalidator) fn waiting(scopes: usize, oldest: Option<Duration>) {
        metrics::gauge!("larder_invalidator_waiting").set(scopes as f64);
        metrics::gauge!("larder_invalidator_oldest_seconds").set(oldest.unwrap_or_default().as_secs_f64());
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use super::Duration;

    pub(in crate::invalidator) fn queued(_: usize) {}
    pub(in crate::invalidator) fn accepted(_: usize, _: Duration) {}
    pub(in crate::invalidator) fn failed_attempt(_: bool, _: Duration) {}
    pub(in crate::invalidator) fn dead_letters(_: usize) {}
    pub(in crate::invalidator) fn overflowed() {}
    pub(in crate::invalidator) fn waiting(_: usize, _: Option<Duration>) {}
}

pub(super) use facade::*;
