//! Which URLs are asked for most: a sketch of fixed size over an endless stream of requests.
//!
//! Space-saving (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data streams, 2005): a URL
//! that has no slot takes over the one that was counted least, and its count. So whatever makes up more than one request in
//! [`SLOTS`] has a slot in the end, whatever else comes. What is reported is only what was counted since a URL has its slot:
//! never more than there was.
//!
//! Only URLs of responses that are everybody's are to be noted: who looks at a list of URLs is not the one who asked for them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::key::Keyed;

/// URLs that are counted at a time.
pub const SLOTS: usize = 64;

/// Longer URLs are not counted: a list of them can be read by nobody.
pub const URL_BYTES_MAX: usize = 512;

/// A URL's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The position of the rules that it is under.
    pub rules: usize,
    /// As purges name it: without what the key leaves out.
    pub url: String,
    /// Requests.
    pub requests: u64,
    /// Those of them that were answered from a store.
    pub hits: u64,
}

/// The sketch. Takes no memory for a URL that has a slot.
#[derive(Debug)]
pub struct Keys {
    hasher: FixedState,
    /// The hashes of `slots`, beside them: most slots are not the one, and this tells.
    hashes: Vec<u64>,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    keyed: Noted,
    rules: usize,
    /// With what was taken over.
    count: u64,
    taken_over: u64,
    hits: u64,
}

/// A key, of which only what stands for the URL counts.
#[derive(Debug)]
struct Noted {
    key: crate::key::Key,
    url_bytes: usize,
}

impl Noted {
    fn url(&self) -> &[u8] {
        self.key.as_bytes().get(..self.url_bytes).unwrap_or_default()
    }
}

impl Keys {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: FixedState::with_seed(seed), hashes: Vec::new(), slots: Vec::new() }
    }

    /// A request for a URL was answered, under these rules.
    pub fn note(&mut self, keyed: &Keyed, rules: usize, hit: bool) {
        let url = keyed.url_part();
        if url.len() > URL_BYTES_MAX {
            return;
        }
        let hash = self.hasher.hash_one(url);
        let known =
            self.hashes.iter().zip(&mut self.slots).find(|(known, slot)| **known == hash && slot.keyed.url() == url);
        if let Some((_, slot)) = known {
            slot.count = slot.count.saturating_add(1);
            slot.hits = slot.hits.saturating_add(hit.into());
            slot.rules = rules;
            return;
        }
        let noted = Noted { key: keyed.key.clone(), url_bytes: url.len() };
        let slot = |taken_over: u64| Slot {
            keyed: noted,
            rules,
            count: taken_over.saturating_add(1),
            taken_over,
            hits: hit.into(),
        };
        if self.slots.len() < SLOTS {
            self.hashes.push(hash);
            self.slots.push(slot(0));
            return;
        }
        let least = self.hashes.iter_mut().zip(&mut self.slots).min_by_key(|(_, slot)| slot.count);
        if let Some((least_hash, least)) = least {
            *least_hash = hash;
            *least = slot(least.count);
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes what was noted, the most frequent first, and begins anew. The memory for the next is kept.
    pub fn take(&mut self) -> Vec<KeyCount> {
        self.hashes.clear();
        let mut counts: Vec<KeyCount> = self
            .slots
            .drain(..)
            .map(|slot| KeyCount {
                rules: slot.rules,
                url: slot.keyed.key.url(),
                requests: slot.count.saturating_sub(slot.taken_over),
                hits: slot.hits,
            })
            .collect();
        counts.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.url.cmp(&b.url)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Fields, RequestHead};
    use crate::key;
    use crate::policy::rules::{KeyRules, QueryRule};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn keyed(target: &str, language: &str) -> Keyed {
        let rules = KeyRules {
            query: QueryRule::Deny(vec!["session".into()]),
            sort_query: true,
            no_vary_search: false,
            headers: vec!["x-lang".into()],
            cookies: vec![],
            accept_encoding: None,
            accept_language: None,
            user: vec![],
        };
        let fields = Fields::from_pairs([("x-lang".to_owned(), language.as_bytes().to_vec())]);
        let head = RequestHead {
            scheme: "http".into(),
            authority: "h".into(),
            target: target.into(),
            fields,
            ..RequestHead::default()
        };
        key::keyed(&rules, &head, None)
    }

    #[test]
    fn variants_of_a_url_are_one_and_what_the_key_leaves_out_is_not_seen() {
        let mut keys = Keys::new(7);
        keys.note(&keyed("/a?session=secret&b=1", "de"), 2, false);
        keys.note(&keyed("/a?b=1", "en"), 2, true);
        keys.note(&keyed("/a", "en"), 3, true);
        keys.note(&keyed(&format!("/{}", "x".repeat(URL_BYTES_MAX)), "en"), 3, true);
        let count = |rules, url: &str, requests, hits| KeyCount { rules, url: url.into(), requests, hits };
        assert_eq!(keys.take(), [count(2, "http://h/a?b=1", 2, 1), count(3, "http://h/a", 1, 1)]);
        assert!(keys.is_empty());
    }

    #[test]
    fn frequent_urls_are_found_among_any_number_of_others_and_never_counted_too_high() {
        let mut keys = Keys::new(1);
        let mut noted = std::collections::BTreeMap::new();
        let mut note = |target: String, hit: bool| {
            keys.note(&keyed(&target, "en"), 0, hit);
            let (requests, hits) = noted.entry(format!("http://h{target}")).or_insert((0, 0));
            *requests += 1;
            *hits += u64::from(hit);
        };
        for round in 0..20_000_u64 {
            // Four URLs of a tenth each, the rest once each.
            match round % 10 {
                number @ 0..4 => note(format!("/hot/{number}"), round % 3 > 0),
                _ => note(format!("/cold/{round}"), false),
            }
        }
        let counts = keys.take();
        assert_eq!(counts.len(), SLOTS);
        for count in &counts {
            let (requests, hits) = noted[&count.url];
            assert!(count.requests <= requests && count.hits <= hits, "{count:?} of {requests}, {hits}");
        }
        let hottest: std::collections::BTreeSet<&str> = counts.iter().take(4).map(|count| count.url.as_str()).collect();
        assert_eq!(hottest, ["http://h/hot/0", "http://h/hot/1", "http://h/hot/2", "http://h/hot/3"].into());
        assert!(counts.iter().take(4).all(|count| count.requests > 1900), "{counts:?}");
    }
}
