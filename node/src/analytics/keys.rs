//! Which URLs were asked for most: by minute for an hour, by hour for a day, by day for 30 days. In memory only.
//!
//! Bounded: [`URLS_MAX`] URLs of each span. What a worker reports of a second is right for URLs that are asked for often, and so is
//! what is made of it here: a URL that comes in gives up its place where another comes with more than it has.

use std::collections::{BTreeMap, HashMap};

use larder_core::cluster::message::ReportedKey;

/// URLs of one span.
const URLS_MAX: usize = 256;

/// The longest URL, and the longest labels of one.
const TEXT_BYTES_MAX: usize = 1024;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A URL's numbers over a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySum {
    pub(crate) url: String,
    /// As counters have them: `;policy=shop;route=items;class=catalog`.
    pub(crate) labels: String,
    pub(crate) requests: u64,
    pub(crate) hits: u64,
}

/// All that is held.
#[derive(Debug)]
pub(super) struct TopKeys([Spans; 3]);

/// Spans of one length, by their number.
#[derive(Debug)]
struct Spans {
    span_ms: u64,
    spans_max: usize,
    spans: BTreeMap<u64, Urls>,
}

type Urls = HashMap<Box<str>, Numbers>;

#[derive(Clone, Debug)]
struct Numbers {
    labels: Box<str>,
    requests: u64,
    hits: u64,
}

impl Default for TopKeys {
    fn default() -> Self {
        let spans = |span_ms, spans_max| Spans { span_ms, spans_max, spans: BTreeMap::new() };
        Self([spans(MINUTE_MS, 61), spans(HOUR_MS, 25), spans(DAY_MS, 31)])
    }
}

impl TopKeys {
    /// Adds what a worker has reported.
    pub(super) fn add(&mut self, keys: &[ReportedKey], at_ms: u64) {
        for key in keys.iter().filter(|key| key.url.len() <= TEXT_BYTES_MAX && key.labels.len() <= TEXT_BYTES_MAX) {
            for spans in &mut self.0 {
                spans.add(key, at_ms);
            }
        }
    }

    /// Sums over the spans that a range touches, by URL.
    pub(super) fn between(&self, from_ms: u64, until_ms: u64) -> Vec<KeySum> {
        let length = until_ms.saturating_sub(from_ms);
        let fits = |spans: &&Spans| length <= spans.span_ms.saturating_mul(spans.spans_max as u64);
        let Some(spans) = self.0.iter().find(fits).or(self.0.last()) else { return Vec::new() };
        let (first, end) = (from_ms / spans.span_ms, until_ms.div_ceil(spans.span_ms));
        let mut sums: HashMap<&str, (&Numbers, u64, u64)> = HashMap::new();
        for (url, numbers) in spans.spans.range(first..end.max(first)).flat_map(|(_, urls)| urls) {
            let (newest, requests, hits) = sums.entry(url).or_insert((numbers, 0, 0));
            *newest = numbers;
            *requests = requests.saturating_add(numbers.requests);
            *hits = hits.saturating_add(numbers.hits);
        }
        let sum = |(url, (newest, requests, hits)): (&str, (&Numbers, u64, u64))| KeySum {
            url: url.to_owned(),
            labels: newest.labels.to_string(),
            requests,
            hits,
        };
        sums.into_iter().map(sum).collect()
    }
}

impl Spans {
    fn add(&mut self, key: &ReportedKey, at_ms: u64) {
        let urls = self.spans.entry(at_ms / self.span_ms).or_default();
        if let Some(numbers) = urls.get_mut(key.url.as_str()) {
            numbers.requests = numbers.requests.saturating_add(key.requests);
            numbers.hits = numbers.hits.saturating_add(key.hits).min(numbers.requests);
            return;
        }
        if urls.len() >= URLS_MAX {
            let least = urls.iter().min_by_key(|(_, numbers)| numbers.requests);
            let Some(url) = least.filter(|(_, numbers)| numbers.requests < key.requests).map(|(url, _)| url.clone())
            else {
                return;
            };
            urls.remove(&url);
        }
        let numbers =
            Numbers { labels: key.labels.as_str().into(), requests: key.requests, hits: key.hits.min(key.requests) };
        urls.insert(key.url.as_str().into(), numbers);
        while self.spans.len() > self.spans_max {
            self.spans.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: impl Into<String>, requests: u64, hits: u64) -> ReportedKey {
        ReportedKey { url: url.into(), labels: ";route=a".into(), requests, hits }
    }

    fn sorted(keys: &TopKeys, from_ms: u64, until_ms: u64) -> Vec<(String, u64, u64)> {
        let sums = keys.between(from_ms, until_ms).into_iter();
        let mut sums: Vec<_> = sums.map(|sum| (sum.url, sum.requests, sum.hits)).collect();
        sums.sort();
        sums
    }

    #[test]
    fn sums_are_of_the_spans_that_a_range_touches() {
        let mut keys = TopKeys::default();
        let now = 400 * DAY_MS;
        keys.add(&[key("a", 2, 1), key("b", 1, 1)], now);
        keys.add(&[key("a", 3, 3)], now - 20 * MINUTE_MS);
        keys.add(&[key("a", 5, 0)], now - 3 * HOUR_MS);
        keys.add(&[key("c", 9, 9), key("x".repeat(TEXT_BYTES_MAX + 1), 99, 0)], now - 5 * DAY_MS);
        let of = |url: &str, requests, hits| (url.to_owned(), requests, hits);
        assert_eq!(sorted(&keys, now - 10 * MINUTE_MS, now + 1), [of("a", 2, 1), of("b", 1, 1)]);
        assert_eq!(sorted(&keys, now - 60 * MINUTE_MS, now + 1), [of("a", 5, 4), of("b", 1, 1)]);
        assert_eq!(sorted(&keys, now - DAY_MS, now + 1), [of("a", 10, 4), of("b", 1, 1)]);
        assert_eq!(sorted(&keys, now - 7 * DAY_MS, now + 1), [of("a", 10, 4), of("b", 1, 1), of("c", 9, 9)]);
        assert_eq!(sorted(&keys, 0, 1), []);
    }

    #[test]
    fn room_is_bounded_and_kept_by_what_is_asked_for_often() {
        let mut keys = TopKeys::default();
        keys.add(&[key("often", 100, 90)], 0);
        for number in 0..10 * URLS_MAX {
            keys.add(&[key(format!("seldom {number}"), 1, 0)], 0);
        }
        keys.add(&[key("newly often", 50, 0)], 0);
        let sums = sorted(&keys, 0, 1);
        assert_eq!(sums.len(), URLS_MAX);
        assert!(sums.contains(&("often".to_owned(), 100, 90)) && sums.contains(&("newly often".to_owned(), 50, 0)));
        for minute in 0..200 {
            keys.add(&[key("a", 1, 0)], minute * MINUTE_MS);
        }
        assert_eq!(keys.0.iter().map(|spans| spans.spans.len()).collect::<Vec<_>>(), [61, 4, 1]);
    }
}
