//! How long steps are, how far back each length reaches, and what is shown of them.

/// A length of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// 1 s, for 10 minutes.
    Second,
    /// 10 s, for a day.
    TenSeconds,
    /// 5 min, for 30 days.
    FiveMinutes,
}

/// All, the shortest first.
pub(crate) const RESOLUTIONS: [Resolution; 3] = [Resolution::Second, Resolution::TenSeconds, Resolution::FiveMinutes];

impl Resolution {
    pub(crate) const fn step_ms(self) -> u64 {
        match self {
            Self::Second => 1000,
            Self::TenSeconds => 10_000,
            Self::FiveMinutes => 300_000,
        }
    }

    /// Steps that are kept: those of the span, and the one that has not ended.
    pub(super) const fn columns(self) -> usize {
        match self {
            Self::Second => 600 + 1,
            Self::TenSeconds => 8640 + 1,
            Self::FiveMinutes => 8640 + 1,
        }
    }

    pub(super) const fn number(self) -> usize {
        match self {
            Self::Second => 0,
            Self::TenSeconds => 1,
            Self::FiveMinutes => 2,
        }
    }

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Second => "1s.series",
            Self::TenSeconds => "10s.series",
            Self::FiveMinutes => "5m.series",
        }
    }
}

/// A span that is looked back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) name: &'static str,
    pub(crate) resolution: Resolution,
    span_ms: u64,
    /// The step where none is asked for: so that there are some hundred, which is what a chart can show.
    step_ms: u64,
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 1440 * MINUTE_MS;

/// What can be looked back on.
pub(crate) const RANGES: [Range; 6] = [
    Range { name: "10m", resolution: Resolution::Second, span_ms: 10 * MINUTE_MS, step_ms: 1000 },
    Range { name: "1h", resolution: Resolution::TenSeconds, span_ms: 60 * MINUTE_MS, step_ms: 10_000 },
    Range { name: "6h", resolution: Resolution::TenSeconds, span_ms: 360 * MINUTE_MS, step_ms: 30_000 },
    Range { name: "1d", resolution: Resolution::TenSeconds, span_ms: DAY_MS, step_ms: 2 * MINUTE_MS },
    Range { name: "7d", resolution: Resolution::FiveMinutes, span_ms: 7 * DAY_MS, step_ms: 15 * MINUTE_MS },
    Range { name: "30d", resolution: Resolution::FiveMinutes, span_ms: 30 * DAY_MS, step_ms: 60 * MINUTE_MS },
];

/// Steps of a span that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    /// The first step's begin, in milliseconds since 1970: a multiple of the step.
    pub(crate) from_ms: u64,
    pub(crate) step_ms: u64,
    pub(crate) count: usize,
}

impl Range {
    pub(crate) fn named(name: &str) -> Option<Self> {
        RANGES.into_iter().find(|range| range.name == name)
    }

    /// The steps up to now, the last of which has not ended. `None` where a step is not a multiple of the resolution's that fits.
    pub(crate) fn steps(self, now_ms: u64, step_ms: Option<u64>) -> Option<Steps> {
        let step_ms = step_ms.unwrap_or(self.step_ms);
        if step_ms == 0 || !step_ms.is_multiple_of(self.resolution.step_ms()) || step_ms > self.span_ms {
            return None;
        }
        let count = self.span_ms.div_ceil(step_ms);
        let last = now_ms / step_ms * step_ms;
        let from_ms = last.saturating_sub((count - 1) * step_ms);
        Some(Steps { from_ms, step_ms, count: usize::try_from(count).ok()? })
    }
}

impl Steps {
    /// The end of the last step.
    pub(crate) fn until_ms(self) -> u64 {
        self.from_ms.saturating_add(self.step_ms.saturating_mul(self.count as u64))
    }

    /// Which step a time lies in.
    pub(crate) fn index(self, at_ms: u64) -> Option<usize> {
        let index = usize::try_from(at_ms.checked_sub(self.from_ms)? / self.step_ms).ok()?;
        (index < self.count).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_held_by_its_resolution_and_can_be_shown() {
        for range in RANGES {
            let steps = range.steps(1_800_000_123_456, None).expect("steps");
            assert!((300..=720).contains(&steps.count), "{range:?} {steps:?}");
            assert_eq!(steps.from_ms % steps.step_ms, 0);
            assert!(steps.until_ms() > 1_800_000_123_456 && steps.until_ms() - steps.step_ms <= 1_800_000_123_456);
            assert!(range.span_ms / range.resolution.step_ms() < range.resolution.columns() as u64, "{range:?}");
            assert_eq!(Range::named(range.name), Some(range));
        }
        assert_eq!(Range::named("10"), None);
    }

    #[test]
    fn steps_are_multiples_of_what_is_held() {
        let range = Range::named("1d").expect("a range");
        for (step_ms, good) in
            [(10_000, true), (30_000, true), (0, false), (5000, false), (15_000, false), (1 << 40, false)]
        {
            assert_eq!(range.steps(1_800_000_000_000, Some(step_ms)).is_some(), good, "{step_ms}");
        }
        let steps = range.steps(100_000, Some(10_000)).expect("steps");
        assert_eq!((steps.from_ms, steps.count), (0, 8640), "a clock of 1970");
        assert_eq!((steps.index(9_999), steps.index(10_000), steps.index(u64::MAX)), (Some(0), Some(1), None));
    }
}
