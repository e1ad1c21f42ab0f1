//! Which URLs were asked for most: by minute for an hour, by hour for a day, by day for 30 days. In memory only.
//!
//! Bounded: [`URLS_MAX`] URLs of each span, and the memory of all together. What a worker reports of a second is right for URLs that are
//! asked for often, and so is what is made of it here: a URL that comes in gives up its place where another comes with more than it has.

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
pub(super) struct TopKeys {
    /// The shortest first.
    lengths: [Spans; 3],
    bytes_max: usize,
}

/// Spans of one length, by their number.
#[derive(Debug)]
struct Spans {
    span_ms: u64,
    spans_max: usize,
    spans: BTreeMap<u64, Urls>,
}

/// The URLs of one span.
#[derive(Debug, Default)]
struct Urls {
    numbers: HashMap<Box<str>, Numbers>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Numbers {
    labels: Box<str>,
    requests: u64,
    hits: u64,
}

impl TopKeys {
    pub(super) fn new(bytes_max: usize) -> Self {
        let spans = |span_ms, spans_max| Spans { span_ms, spans_max, spans: BTreeMap::new() };
        Self { lengths: [spans(MINUTE_MS, 61), spans(HOUR_MS, 25), spans(DAY_MS, 31)], bytes_max }
    }

    /// The memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.lengths.iter().flat_map(|spans| spans.spans.values()).map(|urls| urls.bytes).sum()
    }

    /// Adds what a worker has reported. Where that takes more memory than there is, the oldest spans go, the shortest first; the newest of
    /// each length stays.
    pub(super) fn add(&mut self, keys: &[ReportedKey], at_ms: u64) {
        for key in keys.iter().filter(|key| key.url.len() <= TEXT_BYTES_MAX && key.labels.len() <= TEXT_BYTES_MAX) {
            for spans in &mut self.lengths {
                spans.add(key, at_ms);
            }
        }
        while self.bytes() > self.bytes_max && self.lengths.iter_mut().any(Spans::forget_oldest) {}
    }

    /// Sums over the spans that a range touches, by URL.
    pub(super) fn between(&self, from_ms: u64, until_ms: u64) -> Vec<KeySum> {
        let length = until_ms.saturating_sub(from_ms);
        let fits = |spans: &&Spans| length <= spans.span_ms.saturating_mul(spans.spans_max as u64);
        let Some(spans) = self.lengths.iter().find(fits).or(self.lengths.last()) else { return Vec::new() };
        let (first, end) = (from_ms / spans.span_ms, until_ms.div_ceil(spans.span_ms));
        let mut sums: HashMap<&str, (&Numbers, u64, u64)> = HashMap::new();
        for (url, numbers) in spans.spans.range(first..end.max(first)).flat_map(|(_, urls)| &urls.numbers) {
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
        self.spans.entry(at_ms / self.span_ms).or_default().add(key);
        while self.spans.len() > self.spans_max {
            self.spans.pop_first();
        }
    }

    /// Says whether there was one that might go.
    fn forget_oldest(&mut self) -> bool {
        self.spans.len() > 1 && self.spans.pop_first().is_some()
    }
}

impl Urls {
    fn add(&mut self, key: &ReportedKey) {
        if let Some(numbers) = self.numbers.get_mut(key.url.as_str()) {
            numbers.requests = numbers.requests.saturating_add(key.requests);
            numbers.hits = numbers.hits.saturating_add(key.hits).min(numbers.requests);
            return;
        }
        if self.numbers.len() >= URLS_MAX {
            let least = self.numbers.iter().min_by_key(|(_, numbers)| numbers.requests);
            let least = least.filter(|(_, numbers)| numbers.requests < key.requests).map(|(url, _)| url.clone());
            let Some((url, numbers)) = least.and_then(|url| self.numbers.remove_entry(&url)) else { return };
            self.bytes = self.bytes.saturating_sub(bytes(&url, &numbers.labels));
        }
        let numbers =
            Numbers { labels: key.labels.as_str().into(), requests: key.requests, hits: key.hits.min(key.requests) };
        self.bytes = self.bytes.saturating_add(bytes(&key.url, &numbers.labels));
        self.numbers.insert(key.url.as_str().into(), numbers);
    }
}

/// What a URL takes in a table, roughly.
fn bytes(url: &str, labels: &str) -> usize {
    2 * size_of::<(Box<str>, Numbers)>() + url.len() + labels.len()
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
        let mut keys = TopKeys::new(16 << 20);
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
        let mut keys = TopKeys::new(16 << 20);
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
        assert_eq!(keys.lengths.iter().map(|spans| spans.spans.len()).collect::<Vec<_>>(), [61, 4, 1]);
    }

    #[test]
    fn they_take_no_more_memory_than_they_may() {
        let mut keys = TopKeys::new(300_000);
        for minute in 0..100 {
            let page = |number| key(format!("https://api.test/{minute}/{number}/{}", "x".repeat(50)), 1, 0);
            keys.add(&(0..400).map(page).collect::<Vec<_>>(), minute * MINUTE_MS);
            let counted = keys.lengths.iter().flat_map(|spans| spans.spans.values()).flat_map(|urls| &urls.numbers);
            assert_eq!(keys.bytes(), counted.map(|(url, numbers)| bytes(url, &numbers.labels)).sum::<usize>());
            assert!(keys.bytes() <= 300_000);
        }
        let spans = keys.lengths.each_ref().map(|spans| spans.spans.len());
        assert!(spans.iter().all(|spans| *spans >= 1) && spans.iter().sum::<usize>() < 10, "{spans:?}");
        let newest = keys.lengths.each_ref().map(|spans| spans.spans.keys().next_back().copied());
        assert_eq!(newest, [Some(99), Some(1), Some(0)]);
        let mut keys = TopKeys::new(0);
        keys.add(&[key("a", 1, 1)], 0);
        assert_eq!(sorted(&keys, 0, 1), [("a".to_owned(), 1, 1)], "what is newest stays");
    }
}
