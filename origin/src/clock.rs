//! What time it is: the system's clock, or a test's.

use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::Timestamp;

/// A clock. Freshness, age and dates go by it.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// /// It is always noon.
/// struct Noon;
///
/// impl larder_origin::Clock for Noon {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600)
///     }
/// }
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> SystemTime;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// As the core counts: milliseconds since 1970.
pub(crate) fn timestamp(clock: &dyn Clock) -> Timestamp {
    let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
