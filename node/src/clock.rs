//! What time it is. The one place where the node reads the wall clock: everything else is handed a `Clock`, so that tests say
//! what time it is.
//!
//! Wall time serves expiry only, which has to hold over a restart and between machines. Time limits use tokio's clock, and nothing
//! that must be right by order uses any.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::time::{Millis, Timestamp};

/// Says what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a broken clock; everything then is as if stored in 1970.
        Timestamp(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()).0)
    }
}

/// A clock that goes when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows some time of this century.
    pub fn new() -> Self {
        Self(AtomicU64::new(1_800_000_000_000))
    }

    /// Moves it on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(millis(span).0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A span as the core counts it; one that does not fit is the longest there is.
pub fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
