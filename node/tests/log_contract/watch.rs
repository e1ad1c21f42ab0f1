//! Waiting for a condition, with a deadline.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take that has to happen.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks until the answer is yes.
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "for servers"))]
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let end = Instant::now() + DEADLINE;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while !ask().await {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        tick.tick().await;
    }
}

/// Median and greatest of durations, as text.
pub fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?}, p99 {:?}, max {:?} of {}", at(0.5), at(0.99), at(1.0), times.len())
}
