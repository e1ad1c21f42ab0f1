//! Waiting for a condition with a deadline: the only way in which real-Envoy tests wait.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that must come. Generous: it is spent only where something is broken.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Polls until `probe` gives something.
///
/// # Panics
/// After [`LIMIT`], naming what was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
