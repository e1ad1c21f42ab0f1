//! Which responses a policy would have stored: by the hash of their key and of what they vary by, bounded, without bodies.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::decide::age::Times;
use crate::decide::lifetime::Lifetime;
use crate::decide::vary::VaryKey;
use crate::fields::Fields;
use crate::key::Key;
use crate::purge::{Sequence, Standing};
use crate::time::Seconds;

/// Memory for all of it, in bytes as counted here.
pub(super) const INDEX_BYTES_MAX: u64 = 4 << 20;
/// Enough for a URL of ordinary length.
const SLOT_TYPICAL: u64 = 512;

/// What is remembered of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub lifetime: Lifetime,
    pub times: Times,
    /// The age up to which the origin or the policy in force calls it fresh as well.
    pub allowed: Seconds,
    pub mark: Mark,
    /// It says that it may be shared though requests carry identity.
    pub shareable: bool,
    /// The policy in force would keep it from others.
    pub apart: bool,
    pub url: Box<str>,
    pub tags: Box<[String]>,
    pub standing: Standing,
    /// In the order of the shadow's own invalidations.
    pub own: Sequence,
}

/// By what two responses are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub status: u16,
    /// A hash of the body, where that was seen.
    pub body: Option<u64>,
    /// A hash of the origin's ETag.
    pub etag: Option<u64>,
    /// The length of the body.
    pub bytes: Option<u64>,
    /// It is taken to be like one before; nobody has seen it.
    pub assumed: bool,
}

impl Mark {
    /// Whether these are certainly two different responses.
    pub fn differs(&self, other: &Self) -> bool {
        let both = |one: Option<u64>, other: Option<u64>| Some(one? != other?);
        let known = !self.assumed && !other.assumed;
        let by_content = || {
            let body = both(self.body, other.body);
            body.or_else(|| both(self.etag, other.etag)).or_else(|| both(self.bytes, other.bytes)).unwrap_or(false)
        };
        known && (self.status != other.status || by_content())
    }
}

/// What is remembered under a key.
#[derive(Clone, Debug)]
struct Known {
    /// The request fields that the last response varied by.
    names: Box<[String]>,
    /// By the hash of those fields, newest first.
    variants: Vec<(u64, Slot)>,
}

#[derive(Clone, Debug)]
struct Weigher;

impl Weighter<u64, Known> for Weigher {
    fn weight(&self, _: &u64, known: &Known) -> u64 {
        const ENTRY: usize = 96; // the table's own bookkeeping
        let text = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + text.len()).sum::<usize>();
        let slot = |slot: &Slot| size_of::<(u64, Slot)>() + slot.url.len() + text(&slot.tags);
        (ENTRY + text(&known.names) + known.variants.iter().map(|(_, of)| slot(of)).sum::<usize>()) as u64
    }
}

/// The index.
pub(super) struct Index {
    keys: Cache<u64, Known, Weigher, FixedState, DefaultLifecycle<u64, Known>>,
    hasher: FixedState,
}

impl Index {
    pub fn new(hasher: FixedState) -> Self {
        let items = (INDEX_BYTES_MAX / SLOT_TYPICAL) as usize;
        let keys = Cache::with(items, INDEX_BYTES_MAX, Weigher, hasher.clone(), DefaultLifecycle::default());
        Self { keys, hasher }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// What a request selects.
    pub fn find(&self, key: &Key, request: &Fields) -> Option<&Slot> {
        let known = self.keys.get(&self.hasher.hash_one(key))?;
        let variant = self.variant(&known.names, request);
        known.variants.iter().find(|(of, _)| *of == variant).map(|(_, slot)| slot)
    }

    /// Remembers a response that varies by the fields of these names, in place of what the same requests select.
    pub fn put(&mut self, key: &Key, names: Vec<String>, request: &Fields, slot: Slot, variants_max: u32) {
        let hash = self.hasher.hash_one(key);
        let variant = self.variant(&names, request);
        let before = self.keys.remove(&hash).map(|(_, known)| known).filter(|known| *known.names == *names);
        let mut variants = before.map(|known| known.variants).unwrap_or_default();
        variants.retain(|(of, _)| *of != variant);
        variants.insert(0, (variant, slot));
        variants.truncate(variants_max.max(1) as usize);
        self.keys.insert(hash, Known { names: names.into(), variants });
    }

    pub fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    fn variant(&self, names: &[String], request: &Fields) -> u64 {
        if names.is_empty() { 0 } else { self.hasher.hash_one(VaryKey::of(names, request)) }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("keys", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fields;
    use crate::time::Timestamp;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn slot(url: &str) -> Slot {
        let lifetime = Lifetime {
            fresh_for: Seconds::saturating(60),
            stale_while_revalidate: Seconds::ZERO,
            stale_if_error: Seconds::ZERO,
            always_validate: false,
            never_stale: false,
            takes_max_stale: false,
        };
        Slot {
            lifetime,
            times: Times { request: Timestamp(0), response: Timestamp(0), date: None, age: Seconds::ZERO },
            allowed: Seconds::ZERO,
            mark: Mark::default(),
            shareable: false,
            apart: false,
            url: url.into(),
            tags: Box::new([]),
            standing: Standing::default(),
            own: Sequence(0),
        }
    }

    fn index() -> Index {
        Index::new(FixedState::with_seed(3))
    }

    fn key(n: u32) -> Key {
        Key::from_bytes(&n.to_le_bytes())
    }

    #[test]
    fn variants_are_told_apart_and_other_names_begin_anew() {
        let mut index = index();
        let names = || vec!["accept".to_owned()];
        let (html, json, none) = (fields(&[("accept", "html")]), fields(&[("accept", "json")]), fields(&[]));
        index.put(&key(1), names(), &html, slot("html"), 2);
        index.put(&key(1), names(), &json, slot("json"), 2);
        let url = |index: &Index, request: &Fields| index.find(&key(1), request).map(|slot| slot.url.to_string());
        assert_eq!(url(&index, &html).as_deref(), Some("html"));
        assert_eq!(url(&index, &json).as_deref(), Some("json"));
        assert_eq!(url(&index, &none), None);
        index.put(&key(1), names(), &none, slot("none"), 2);
        assert_eq!(url(&index, &html), None, "the oldest went");
        index.put(&key(1), Vec::new(), &html, slot("all"), 2);
        assert_eq!(url(&index, &json).as_deref(), Some("all"));
    }

    #[test]
    fn bytes_stay_within_the_bound_under_a_flood_of_keys() {
        let mut index = index();
        for n in 0..100_000 {
            index.put(&key(n), Vec::new(), &fields(&[]), slot("http://h.example/a/path/of/some/length"), 1);
            assert!(index.keys.weight() <= INDEX_BYTES_MAX);
        }
        assert!(index.len() > 5_000, "{}", index.len());
    }

    #[test]
    fn responses_differ_by_their_bodies_or_else_by_their_validators() {
        let mark = |body, etag| Mark { status: 200, body, etag, bytes: None, assumed: false };
        assert!(!mark(Some(1), Some(1)).differs(&mark(Some(1), Some(2))), "the same bytes under another tag");
        assert!(mark(Some(1), Some(1)).differs(&mark(Some(2), Some(1))));
        assert!(mark(None, Some(1)).differs(&mark(Some(2), Some(2))));
        assert!(!mark(None, None).differs(&mark(Some(2), Some(2))), "nothing is known");
        assert!(!Mark { assumed: true, ..mark(Some(1), None) }.differs(&mark(Some(2), None)));
        let long = |bytes| Mark { bytes: Some(bytes), ..mark(None, None) };
        assert!(long(1).differs(&long(2)) && !long(1).differs(&long(1)));
        assert!(mark(None, None).differs(&Mark { status: 404, ..Mark::default() }));
    }
}
