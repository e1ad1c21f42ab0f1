//! How much at a time, how fast, how long, how often again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The first wait before another try, doubled from try to try.
const BACKOFF: Duration = Duration::from_millis(250);

/// The longest wait before another try, whatever the answer asks for.
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// How requests are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Requests at a time. Default: 4.
    pub concurrency: usize,
    /// Requests begun in a second, retries included; `None` is no bound. Default: 50.
    pub rate: Option<f64>,
    /// How often a request is sent again that could not be sent, or was answered by a 5xx or 429. Default: 2.
    pub retries: u32,
    /// A request, with its whole answer, takes no longer. Default: 30 s.
    pub timeout: Duration,
    /// A connection is there by then. Default: 5 s.
    pub connect_timeout: Duration,
    /// Whether redirects are followed, to covered URLs. Default: no.
    pub follow_redirects: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 4,
            rate: Some(50.0),
            retries: 2,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            follow_redirects: false,
        }
    }
}

/// Turns, one after the other, never closer to one another than the rate says.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<f64>) -> Self {
        let gap = rate.filter(|rate| *rate > 0.0).and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { gap: gap.unwrap_or_default(), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the next turn.
    pub(super) async fn turn(&self) {
        if self.gap == Duration::ZERO {
            return;
        }
        let at = {
            // Nothing panics while it is held.
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at.checked_add(self.gap).unwrap_or(at);
            at
        };
        sleep_until(at).await;
    }
}

/// How long to wait after so many failed tries, where the answer asks for a wait or does not.
pub(super) fn backoff(failed: u32, asked: Option<Duration>) -> Duration {
    let own = BACKOFF.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1)));
    asked.map_or(own, |asked| asked.max(own)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_keep_their_distance_and_do_not_pile_up() {
        let pace = Pace::new(Some(10.0));
        let began = Instant::now();
        for _ in 0..11 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis(), 1000);
        tokio::time::advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis(), 200, "an idle minute is not made up for");
        let unbounded = Pace::new(None);
        let began = Instant::now();
        unbounded.turn().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[test]
    fn waits_double_and_end() {
        let millis = |failed, asked| backoff(failed, asked).as_millis();
        assert_eq!([millis(1, None), millis(2, None), millis(3, None), millis(40, None)], [250, 500, 1000, 15_000]);
        assert_eq!(millis(1, Some(Duration::from_secs(2))), 2000);
        assert_eq!(millis(1, Some(Duration::from_secs(3600))), 15_000);
    }
}
