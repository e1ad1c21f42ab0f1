//! A byte-bounded memory of entries: L1 of a worker and of the origin layer, and the memory store of a node.
//!
//! One slot per primary key holds the variants of that key, newest first. Which slot goes when space is short is
//! `quick_cache`'s matter (a scan-resistant clock); whether an entry may be used is not decided here.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::entry::Entry;
use crate::field::no_vary_search::NoVarySearch;
use crate::fields::Fields;
use crate::judged::Judged;
use crate::key::Key;
use crate::purge::Standing;

/// A stored response and what the policy in force makes of it.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The response.
    pub entry: Arc<Entry>,
    /// Its lifetime and client-side fields under one policy.
    pub judged: Arc<Judged>,
    /// Up to where it is known not to be purged.
    pub standing: Standing,
}

/// The memory.
pub struct Shelf {
    slots: Cache<Key, Vec<Variant>, Weigher, FixedState, DefaultLifecycle<Key, Vec<Variant>>>,
    no_vary_search: HashMap<Key, NoVarySearch, FixedState>,
    weigher: Weigher,
    bytes_max: u64,
}

#[derive(Clone)]
struct Weigher {
    made_line: Option<u64>,
}

impl quick_cache::Weighter<Key, Vec<Variant>> for Weigher {
    fn weight(&self, key: &Key, variants: &Vec<Variant>) -> u64 {
        const SLOT: u64 = 96; // the table's own bookkeeping per slot
        let variants: u64 = variants.iter().map(|v| v.entry.weight() + v.judged.weight(self.made_line)).sum();
        SLOT + key.as_bytes().len() as u64 + variants
    }
}

/// Paths whose `No-Vary-Search` is remembered; more and it is forgotten, which costs hits only.
const NO_VARY_SEARCH_MAX: usize = 4096;
/// A single slot may take up this share of the memory (one part in N).
const SLOT_SHARE: u64 = 4;

impl Shelf {
    /// An empty memory of `bytes_max`, its tables seeded with `seed`.
    pub fn new(bytes_max: u64, seed: u64) -> Self {
        Self::weighing(bytes_max, seed, None)
    }

    /// The same for a host that keeps a form of its own of each head, which takes so many bytes a line beside name and value.
    pub fn with_made_heads(bytes_max: u64, seed: u64, line_bytes: u64) -> Self {
        Self::weighing(bytes_max, seed, Some(line_bytes))
    }

    fn weighing(bytes_max: u64, seed: u64, made_line: Option<u64>) -> Self {
        const ENTRY_TYPICAL: u64 = 4096;
        let items = (bytes_max / ENTRY_TYPICAL).clamp(16, 1 << 20) as usize;
        let state = FixedState::with_seed(seed);
        let weigher = Weigher { made_line };
        Self {
            slots: Cache::with(items, bytes_max, weigher.clone(), state.clone(), DefaultLifecycle::default()),
            no_vary_search: HashMap::with_hasher(state),
            weigher,
            bytes_max,
        }
    }

    /// The newest variant that this request selects (RFC 9111 4.1), and whether the key is known at all.
    pub fn lookup(&self, key: &Key, request: &Fields) -> Lookup<'_> {
        match self.slots.get(key) {
            None => Lookup::Absent,
            Some(variants) => {
                let selected = variants.iter().find(|v| v.entry.facts().vary.matches(request));
                let spoken = || variants.iter().find(|v| speaks(&v.entry, request));
                selected.or_else(spoken).map_or(Lookup::OtherVariants, Lookup::Found)
            }
        }
    }

    /// All variants under a key, newest first.
    pub fn variants(&self, key: &Key) -> &[Variant] {
        self.slots.get(key).map_or(&[], Vec::as_slice)
    }

    /// Stores a variant in place of the one that the same requests select. Says whether it is kept.
    pub fn insert(&mut self, key: &Key, variant: Variant, variants_max: u32) -> bool {
        let weight = self.weigher.weight_of(key, &variant);
        if weight > self.bytes_max / SLOT_SHARE {
            self.forget(key, &variant.entry);
            return false;
        }
        let mut variants = self.slots.remove(key).map(|(_, variants)| variants).unwrap_or_default();
        variants.retain(|known| known.entry.facts().vary != variant.entry.facts().vary);
        // Most keys have one variant: a list that grows by itself begins with room for four.
        variants.reserve_exact(1);
        variants.insert(0, variant);
        variants.truncate(variants_max.max(1) as usize);
        let mut total = 0;
        variants.retain(|known| {
            total += self.weigher.weight_of(key, known);
            total <= self.bytes_max / SLOT_SHARE
        });
        self.slots.insert(key.clone(), variants);
        self.slots.contains_key(key)
    }

    /// Drops the variant that the same requests select as this entry.
    pub fn forget(&mut self, key: &Key, entry: &Entry) {
        let Some((key, mut variants)) = self.slots.remove(key) else { return };
        variants.retain(|known| known.entry.facts().vary != entry.facts().vary);
        if !variants.is_empty() {
            self.slots.insert(key, variants);
        }
    }

    /// Takes a new judgement of a stored variant, where it is still the same.
    pub fn rejudge(&mut self, key: &Key, variant: &Variant) {
        let Some(mut variants) = self.slots.get_mut(key) else { return };
        if let Some(known) = variants.iter_mut().find(|known| Arc::ptr_eq(&known.entry, &variant.entry)) {
            known.judged = variant.judged.clone();
        }
    }

    /// What the origin last said about the queries of a path.
    pub fn no_vary_search(&self, path: &[u8]) -> Option<&NoVarySearch> {
        self.no_vary_search.get(path)
    }

    /// Notes what the origin says now.
    pub fn note_no_vary_search(&mut self, path: &[u8], rule: Option<NoVarySearch>) {
        match rule {
            None => {
                self.no_vary_search.remove(path);
            }
            Some(rule) => {
                if self.no_vary_search.len() >= NO_VARY_SEARCH_MAX {
                    self.no_vary_search.clear();
                }
                self.no_vary_search.insert(Key::from_bytes(path), rule);
            }
        }
    }

    /// Bytes in use, as counted.
    pub fn bytes(&self) -> u64 {
        self.slots.weight()
    }

    /// Keys in memory.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.no_vary_search.clear();
    }

    /// Changes the bound, evicting where needed.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
        self.slots.set_capacity(bytes_max);
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("keys", &self.len()).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Weigher {
    fn weight_of(&self, key: &Key, variant: &Variant) -> u64 {
        key.as_bytes().len() as u64 + variant.entry.weight() + variant.judged.weight(self.made_line)
    }
}

/// Whether an entry is in the very language that the request likes best, and selected by everything else.
fn speaks(entry: &Entry, request: &Fields) -> bool {
    let facts = entry.facts();
    let language = facts.fields.first("content-language");
    language.is_some() && facts.vary.matches_language(request, language)
}

/// What the memory knows.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// Nothing under this key.
    Absent,
    /// Only responses to other requests (RFC 9211 `vary-miss`).
    OtherVariants,
    /// This.
    Found(&'a Variant),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::age::Times;
    use crate::decide::vary::VaryKey;
    use crate::entry::Facts;
    use crate::purge::Position;
    use crate::testing::{fields, rules};
    use crate::time::{Seconds, Timestamp};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn variant(language: Option<&str>, bytes: usize) -> Variant {
        let request = fields(&language.map(|l| ("accept-language", l)).into_iter().collect::<Vec<_>>());
        let names: Vec<String> = language.iter().map(|_| "accept-language".to_owned()).collect();
        let entry = Entry::new(Facts {
            url: "http://h/".into(),
            status: 200,
            fields: fields(&[("cache-control", "max-age=60")]),
            body: vec![0; bytes].into(),
            times: Times { request: Timestamp(0), response: Timestamp(0), date: None, age: Seconds::ZERO },
            vary: VaryKey::of(&names, &request),
            tags: vec![],
            position: Position::default(),
            made_etag: false,
            identified: false,
            personal: false,
        });
        let judged = Arc::new(Judged::new(&rules(""), 1, &[], &entry));
        Variant { entry: Arc::new(entry), judged, standing: Standing::default() }
    }

    fn key(n: u32) -> Key {
        Key::from_bytes(&n.to_le_bytes())
    }

    fn found(shelf: &Shelf, n: u32, language: &str) -> bool {
        matches!(shelf.lookup(&key(n), &fields(&[("accept-language", language)])), Lookup::Found(_))
    }

    #[test]
    fn bytes_stay_within_the_bound_under_a_flood_of_keys() {
        let mut shelf = Shelf::new(256 * 1024, 7);
        for n in 0..2000 {
            shelf.insert(&key(n), variant(None, 1000), 4);
            assert!(shelf.bytes() <= 256 * 1024, "{} bytes after {n}", shelf.bytes());
        }
        assert!(shelf.len() > 50, "{} keys kept", shelf.len());
    }

    /// Web cache overflow: made-up queries that nobody asks for twice push each other out, not what is asked for again and again.
    #[test]
    fn what_is_asked_for_again_stays_under_a_flood_of_keys_that_are_asked_for_once() {
        const HOT: u32 = 40;
        for seed in 0..8 {
            let mut shelf = Shelf::new(256 * 1024, seed);
            for n in 0..HOT {
                shelf.insert(&key(n), variant(None, 1000), 4);
            }
            for _ in 0..2 {
                assert_eq!((0..HOT).filter(|n| found(&shelf, *n, "en")).count(), HOT as usize);
            }
            // Ten times what fits, without anybody asking for what is hot meanwhile.
            for n in 0..2000 {
                let once = key(1_000_000 + n);
                if matches!(shelf.lookup(&once, &fields(&[])), Lookup::Absent) {
                    shelf.insert(&once, variant(None, 1000), 4);
                }
            }
            let left = (0..HOT).filter(|n| found(&shelf, *n, "en")).count();
            assert_eq!(left, HOT as usize, "seed {seed}");
        }
    }

    #[test]
    fn what_a_host_makes_of_heads_counts() {
        let (mut plain, mut made) = (Shelf::new(1 << 20, 7), Shelf::with_made_heads(1 << 20, 7, 100));
        for shelf in [&mut plain, &mut made] {
            assert!(shelf.insert(&key(1), variant(None, 10), 4));
        }
        // One line in the head and in that of a 304: `cache-control: max-age=60`.
        assert_eq!(made.bytes() - plain.bytes(), 2 * (100 + 13 + 10));
    }

    #[test]
    fn an_object_too_large_for_its_share_is_refused_and_its_older_self_forgotten() {
        let mut shelf = Shelf::new(100_000, 7);
        assert!(shelf.insert(&key(1), variant(None, 10), 4));
        assert!(!shelf.insert(&key(1), variant(None, 30_000), 4));
        assert!(!found(&shelf, 1, "en"));
    }

    #[test]
    fn variants_are_told_apart_replaced_and_limited() {
        let mut shelf = Shelf::new(1 << 20, 7);
        for language in ["en", "de", "fr"] {
            assert!(shelf.insert(&key(1), variant(Some(language), 10), 2));
        }
        assert!(!found(&shelf, 1, "en"), "the oldest went");
        assert!(found(&shelf, 1, "de") && found(&shelf, 1, "fr"));
        assert!(matches!(shelf.lookup(&key(1), &fields(&[])), Lookup::OtherVariants));
        assert!(matches!(shelf.lookup(&key(2), &fields(&[])), Lookup::Absent));
        let before = shelf.bytes();
        shelf.insert(&key(1), variant(Some("fr"), 10), 2);
        assert_eq!(shelf.bytes(), before, "replaced, not added");
        shelf.forget(&key(1), &variant(Some("fr"), 0).entry);
        assert!(found(&shelf, 1, "de") && !found(&shelf, 1, "fr"));
    }
}
