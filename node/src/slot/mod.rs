//! How a key lies in a store. Under the key's name lies the record itself where it has one variant, which is the usual case and one
//! `get`; or an index of variants, whose records lie under names made of the key's and what selects them.
//!
//! Whatever is read may be garbage. A record is used only where its checksum holds and its label says what the index says.

mod index;
mod keeping;

use bytes::Bytes;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::wire::{self, Label};
use sha2::{Digest, Sha256};

pub(crate) use index::{Index, Listed};
pub(crate) use keeping::{Fill, Keeping, Kept};

use crate::store::Name;

/// A key's name as messages have it. Never that of a variant's record, so that nobody reaches one but through its index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyName(Name);

/// The letters of a hash in a variant's name.
const HASH_LETTERS: usize = 24;

impl KeyName {
    /// A name from text; `None` where the text is not one.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let fits = text.len() < Name::MAX - HASH_LETTERS && !text.contains('.');
        if fits { Name::new(text).map(Self) } else { None }
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where the key lies.
    pub(crate) fn place(&self) -> &Name {
        &self.0
    }

    /// Where a variant lies that does not lie under the key's own name.
    fn place_of(&self, vary: &VaryKey) -> Option<Name> {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (name, value) in &vary.0 {
            part(name.as_bytes());
            part(&[u8::from(value.is_some())]);
            part(value.as_deref().unwrap_or_default());
        }
        let digest = hasher.finalize();
        let mut text = format!("{}.", self.as_str());
        for byte in digest.iter().take(HASH_LETTERS / 2) {
            text.push_str(&format!("{byte:02x}"));
        }
        Name::new(&text)
    }
}

/// A record that is as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) record: Bytes,
    pub(crate) label: Label,
    pub(crate) body_bytes: u32,
}

impl Checked {
    /// Reads one of this key; `None` for garbage, and for what belongs to another key.
    pub(crate) fn new(record: Bytes, key: &KeyName) -> Option<Self> {
        let (label, body_bytes) = wire::checked(&record).ok()?;
        (label.key == key.as_str()).then_some(Self { record, label, body_bytes })
    }
}

/// What lies under a key's name.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Nothing.
    Empty,
    /// The only variant.
    One(Checked),
    /// Several.
    Many(Index),
    /// Garbage.
    Damaged,
}

impl Slot {
    /// Reads what a store gave.
    pub(crate) fn read(bytes: Option<Bytes>, key: &KeyName) -> Self {
        let Some(bytes) = bytes else { return Self::Empty };
        if bytes.starts_with(index::MAGIC) {
            return Index::decode(&bytes).map_or(Self::Damaged, Self::Many);
        }
        Checked::new(bytes, key).map_or(Self::Damaged, Self::One)
    }
}

/// Whether every request that the older one would answer is answered by the newer one.
pub(crate) fn supersedes(newer: &VaryKey, older: &VaryKey) -> bool {
    newer.0.iter().all(|part| older.0.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vary(pairs: &[(&str, Option<&str>)]) -> VaryKey {
        VaryKey(pairs.iter().map(|(n, v)| (n.to_string(), v.map(|v| v.as_bytes().to_vec()))).collect())
    }

    #[test]
    fn names_of_keys_are_never_those_of_variants() {
        let key = KeyName::new("abcdefghijklmnopqrstuvwxyz_-0189").expect("a key's name");
        let place = key.place_of(&vary(&[("a", None)])).expect("a name");
        assert_eq!(KeyName::new(place.as_str()), None);
        assert_ne!(key.place_of(&vary(&[("a", Some(""))])), Some(place));
        for bad in ["", "a.b", "a b", "ä", &"a".repeat(40)] {
            assert_eq!(KeyName::new(bad), None, "{bad}");
        }
        let longest = KeyName::new(&"a".repeat(39)).expect("a key's name");
        assert!(longest.place_of(&vary(&[])).is_some());
    }

    #[test]
    fn a_newer_response_supersedes_what_could_no_longer_be_selected() {
        let (a, ab) = (vary(&[("accept", Some("a"))]), vary(&[("accept", Some("a")), ("x", None)]));
        assert!(supersedes(&vary(&[]), &a) && supersedes(&a, &ab) && supersedes(&a, &a));
        assert!(!supersedes(&ab, &a) && !supersedes(&a, &vary(&[("accept", Some("b"))])));
    }

    #[test]
    fn garbage_is_told_from_nothing() {
        let key = KeyName::new("k").expect("a name");
        assert!(matches!(Slot::read(None, &key), Slot::Empty));
        for bytes in [&b""[..], b"LRDR", b"LRDX", b"LRDX\x01\0\0\0\0\0\0\0\0", b"something else"] {
            assert!(matches!(Slot::read(Some(Bytes::from_static(bytes)), &key), Slot::Damaged), "{bytes:?}");
        }
    }
}
