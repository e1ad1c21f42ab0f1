//! By how much counters have grown since a time.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::{Kind, Series};
use super::resolution::{RESOLUTIONS, Resolution};
use super::{Analytics, Held};

/// By how much counters have grown.
#[derive(Debug)]
pub(crate) struct Grown {
    /// Since when, in milliseconds since 1970: the begin of the step that the time lies in, or of the oldest step that is held.
    pub(crate) from_ms: u64,
    pub(crate) sums: Vec<(Arc<Series>, u64)>,
}

impl Analytics {
    /// By how much counters have grown since a time: exact to a second for ten minutes, to ten for a day, then to five minutes.
    pub(crate) fn grown_since(&self, since_ms: u64, now_ms: u64) -> Grown {
        let reaches = |length: &&Resolution| {
            let span_ms = length.step_ms().saturating_mul(length.columns().saturating_sub(1) as u64);
            now_ms.saturating_sub(since_ms) < span_ms
        };
        let length = RESOLUTIONS.iter().find(reaches).copied().unwrap_or(Resolution::FiveMinutes);
        let from_ms = since_ms / length.step_ms() * length.step_ms();
        let Held { names, columns, oldest_ms, .. } = self.held(length, from_ms, u64::MAX);
        let mut sums: HashMap<u32, u64> = HashMap::new();
        for (_, column) in &columns {
            column.each(|id, value| {
                let sum = sums.entry(id).or_default();
                *sum = sum.saturating_add(value);
            });
        }
        let counters = sums.into_iter().filter_map(|(id, sum)| Some((names.get(&id)?.clone(), sum)));
        let sums = counters.filter(|(series, _)| series.kind == Kind::Counter).collect();
        Grown { from_ms: from_ms.max(oldest_ms.unwrap_or(now_ms)), sums }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::time::Timestamp;

    #[test]
    fn what_came_before_does_not_count_however_long_ago_it_was() {
        let analytics = Analytics::open(None, 64, 1 << 20).expect("analytics");
        let begin = 1_800_000_000_000;
        analytics.counts([("a", 1)], Timestamp(begin - 300_000));
        analytics.gauges([("g", 9)], Timestamp(begin));
        analytics.counts([("a", 2)], Timestamp(begin));
        analytics.counts([("a", 3), ("b", 1)], Timestamp(begin + 5_000));
        for age_ms in [6_000, 700_000, 90_000_000] {
            let Grown { from_ms, sums } = analytics.grown_since(begin + 10, begin + age_ms);
            let mut sums: Vec<(&str, u64)> = sums.iter().map(|(series, sum)| (series.name.as_ref(), *sum)).collect();
            sums.sort();
            assert_eq!((from_ms, sums), (begin, vec![("a", 5), ("b", 1)]), "{age_ms}");
        }
    }
}
