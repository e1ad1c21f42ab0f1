//! Points in time and spans, with units in their types and saturating arithmetic.
//!
//! Holds no clock: hosts pass `now` in. RFC 9111 1.2.2 (delta-seconds overflow) lives here, once.

use std::fmt;

/// A point in time by the host's wall clock: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A point given in whole seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Time gone by since `earlier`, zero when `earlier` lies ahead: a stepped-back clock ages nothing.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// This point moved into the future.
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A span in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds in this span, rounded down.
    pub const fn as_seconds(self) -> Seconds {
        Seconds::saturating(self.0 / 1000)
    }
}

/// A span in seconds as HTTP counts them (delta-seconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The largest delta-seconds: "a cache MUST consider the value to be 2147483648 (2^31) or the greatest
    /// positive integer it can conveniently represent" (RFC 9111 1.2.2).
    pub const MAX: Self = Self(1 << 31);

    /// A span of `secs`, cut at [`Seconds::MAX`].
    pub const fn saturating(secs: u64) -> Self {
        if secs > Self::MAX.0 as u64 { Self::MAX } else { Self(secs as u32) }
    }

    /// The bare number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Parses delta-seconds: digits only. Overflow saturates; anything else is `None`.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let sum = digits.iter().fold(0u64, |sum, d| sum.saturating_mul(10).saturating_add(u64::from(d - b'0')));
        Some(Self::saturating(sum))
    }

    /// Sum, cut at [`Seconds::MAX`].
    pub const fn plus(self, other: Self) -> Self {
        Self::saturating(self.0 as u64 + other.0 as u64)
    }

    /// Difference, zero where `other` is larger.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The same span in milliseconds.
    pub const fn as_millis(self) -> Millis {
        Millis(self.0 as u64 * 1000)
    }

    /// `percent` of this span, rounded down.
    pub const fn percent(self, percent: u32) -> Self {
        Self::saturating(self.0 as u64 * percent as u64 / 100)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn delta_seconds_are_digits_and_saturate() {
        for (text, want) in [
            ("0", Some(0)),
            ("60", Some(60)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", Some(1 << 31)),
            ("2147483649", Some(1 << 31)),
            ("99999999999999999999999999", Some(1 << 31)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 ", None),
            ("0x1", None),
        ] {
            assert_eq!(Seconds::parse(text.as_bytes()).map(Seconds::get), want, "{text}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_ages_nothing() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis(0));
        assert_eq!(Timestamp(u64::MAX).plus(Millis(9)), Timestamp(u64::MAX));
    }
}
