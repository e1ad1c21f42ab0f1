//! The index of a slot: where the variants of a key lie, and what selects each.
//!
//! ```text
//! "LRDX"  u8 version  u32 CRC-32 of all that follows  u32 count  variants, the newest first:
//!   place  u64 ends  u64 received  u32 body length  u8 has language  language  u32 count  (name  u8 present  value)...
//! ```
//! Only written where a key has more than one variant: most have one, whose record then lies under the key's own name.

use bytes::Bytes;
use larder_core::binary::{Reader, put, put_len};
use larder_core::decide::vary::VaryKey;
use larder_core::entry::wire::Label;
use larder_core::purge::Position;
use larder_core::time::Timestamp;

use crate::store::Name;

/// The bytes in front.
pub(super) const MAGIC: &[u8; 4] = b"LRDX";
const VERSION: u8 = 1;
const COVERED_FROM: usize = 9;

/// The variants of a key, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index(pub(crate) Vec<Listed>);

/// Where a variant lies, and what of it must be known without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name of its record.
    pub(crate) place: Name,
    /// Not of use after that.
    pub(crate) ends: Timestamp,
    /// The length of its body.
    pub(crate) body_bytes: u32,
    /// What selects it and when it was received; without URL, tags and position, which its record says.
    pub(crate) label: Label,
}

impl Listed {
    /// A variant as its record's label has it.
    pub(crate) fn new(place: Name, label: &Label, body_bytes: u32, ends: Timestamp) -> Self {
        let label = selecting(label.vary.clone(), label.language.clone(), label.received);
        Self { place, ends, body_bytes, label }
    }
}

fn selecting(vary: VaryKey, language: Option<Vec<u8>>, received: Timestamp) -> Label {
    let position = Position::default();
    Label {
        key: String::new(),
        url: String::new(),
        position,
        fresh_until: Timestamp(0),
        received,
        language,
        vary,
        tags: Vec::new(),
    }
}

impl Index {
    /// As it lies in the store.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(128 * (self.0.len() + 1));
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&[0; 4]);
        put_len(&mut out, self.0.len());
        for listed in &self.0 {
            put(&mut out, listed.place.as_str().as_bytes());
            out.extend_from_slice(&listed.ends.0.to_le_bytes());
            out.extend_from_slice(&listed.label.received.0.to_le_bytes());
            out.extend_from_slice(&listed.body_bytes.to_le_bytes());
            out.push(u8::from(listed.label.language.is_some()));
            put(&mut out, listed.label.language.as_deref().unwrap_or_default());
            put_len(&mut out, listed.label.vary.0.len());
            for (name, value) in &listed.label.vary.0 {
                put(&mut out, name.as_bytes());
                out.push(u8::from(value.is_some()));
                put(&mut out, value.as_deref().unwrap_or_default());
            }
        }
        let sum = crc32fast::hash(out.get(COVERED_FROM..).unwrap_or_default());
        if let Some(place) = out.get_mut(COVERED_FROM - 4..COVERED_FROM) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        out.into()
    }

    /// The bytes in front of these and these: an index that checks, and may be nonsense.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn front(covered: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &[VERSION], &crc32fast::hash(covered).to_le_bytes(), covered].concat()
    }

    /// Reads one; `None` for anything that is not as it was written.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes.clone());
        let front = reader.take(4)? == MAGIC[..] && reader.u8()? == VERSION;
        let sum = reader.u32()?;
        if !front || crc32fast::hash(bytes.get(COVERED_FROM..)?) != sum {
            return None;
        }
        let mut variants = Vec::new();
        for _ in 0..reader.list()? {
            variants.push(listed(&mut reader)?);
        }
        reader.is_empty().then_some(Self(variants))
    }
}

fn listed(reader: &mut Reader) -> Option<Listed> {
    let place = Name::new(&reader.text()?)?;
    let ends = Timestamp(reader.u64()?);
    let received = Timestamp(reader.u64()?);
    let body_bytes = reader.u32()?;
    let language = reader.optional_bytes()?.map(|language| language.to_vec());
    let mut vary = Vec::new();
    for _ in 0..reader.list()? {
        let name = reader.text()?;
        vary.push((name, reader.optional_bytes()?.map(|value| value.to_vec())));
    }
    Some(Listed { place, ends, body_bytes, label: selecting(VaryKey(vary), language, received) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let vary = |value: Option<&str>| {
            VaryKey(vec![("accept".into(), value.map(|value| value.as_bytes().to_vec())), ("x".into(), None)])
        };
        let listed = |place: &str, value, language: Option<&[u8]>| Listed {
            place: Name::new(place).expect("a name"),
            ends: Timestamp(5),
            body_bytes: 9,
            label: selecting(vary(value), language.map(<[u8]>::to_vec), Timestamp(3)),
        };
        Index(vec![listed("k.1", Some("a"), None), listed("k.2", None, Some(b"de"))])
    }

    #[test]
    fn an_index_comes_back_as_it_was() {
        for index in [index(), Index::default()] {
            assert_eq!(Index::decode(&index.encode()), Some(index));
        }
    }

    #[test]
    fn a_changed_byte_or_another_length_is_no_index() {
        let whole = index().encode();
        for at in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x10;
            assert_eq!(Index::decode(&changed.into()), None, "byte {at}");
            assert_eq!(Index::decode(&whole.slice(..at)), None, "cut at {at}");
        }
        assert_eq!(Index::decode(&[&whole[..], b"x"].concat().into()), None);
    }
}
