//! One record of a segment file, as bytes: a put or a removal.
//!
//! Reading is total: any bytes give a record or `None`. A head that passes its checksum says truly whose value follows, how long
//! it is and what its checksum is, so that a value under a wrong name or of wrong bytes cannot be taken for a right one.

use larder_core::time::Timestamp;
use twox_hash::XxHash3_64;

use crate::store::Name;

/// What a segment file begins with: whose it is, and the version of what follows.
pub const FILE_HEAD: &[u8; 8] = b"LARDER\x00\x01";

/// Of a record, before the name and the value.
pub const HEAD_BYTES: usize = 36;

/// The most that is needed to know what a record is.
pub const HEAD_AND_NAME_BYTES_MAX: usize = HEAD_BYTES + Name::MAX;

const MAGIC: [u8; 4] = *b"LdRc";
const CHECKED_BYTES: usize = 28;

/// What a record does to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Put,
    Remove,
}

/// A record without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    pub name: Name,
    pub value_bytes: u32,
    pub until: Timestamp,
    pub value_checksum: u64,
}

impl Head {
    pub fn put(name: &Name, value: &[u8], until: Timestamp) -> Option<Self> {
        let value_bytes = u32::try_from(value.len()).ok()?;
        let value_checksum = XxHash3_64::oneshot(value);
        Some(Self { kind: Kind::Put, name: name.clone(), value_bytes, until, value_checksum })
    }

    /// A removal counts for as long as what it removes would have.
    pub fn remove(name: &Name, until: Timestamp) -> Self {
        let value_checksum = XxHash3_64::oneshot(&[]);
        Self { kind: Kind::Remove, name: name.clone(), value_bytes: 0, until, value_checksum }
    }

    /// The length of the whole record.
    pub fn record_bytes(&self) -> u64 {
        self.value_at() as u64 + u64::from(self.value_bytes)
    }

    /// Where the value begins.
    pub fn value_at(&self) -> usize {
        HEAD_BYTES + self.name.as_str().len()
    }

    /// Writes the head and the name; the value follows.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = self.name.as_str().as_bytes();
        let mut checked = [0; CHECKED_BYTES];
        let kind = match self.kind {
            Kind::Put => 1,
            Kind::Remove => 2,
        };
        // A name has 64 characters at most.
        let name_bytes = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let parts: [&[u8]; 5] = [
            &MAGIC,
            &[kind, name_bytes, 0, 0],
            &self.value_bytes.to_le_bytes(),
            &self.until.0.to_le_bytes(),
            &self.value_checksum.to_le_bytes(),
        ];
        for (to, from) in checked.iter_mut().zip(parts.iter().copied().flatten()) {
            *to = *from;
        }
        out.extend_from_slice(&checked);
        out.extend_from_slice(&head_checksum(&checked, name).to_le_bytes());
        out.extend_from_slice(name);
    }

    /// The head at the beginning of these bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let checked: &[u8; CHECKED_BYTES] = bytes.first_chunk()?;
        let mut rest = bytes.get(4..)?;
        let &[kind, name_bytes, 0, 0] = take(&mut rest)? else { return None };
        let kind = match kind {
            1 => Kind::Put,
            2 => Kind::Remove,
            _ => return None,
        };
        let value_bytes = u32::from_le_bytes(*take(&mut rest)?);
        let until = Timestamp(u64::from_le_bytes(*take(&mut rest)?));
        let value_checksum = u64::from_le_bytes(*take(&mut rest)?);
        let checksum = u64::from_le_bytes(*take(&mut rest)?);
        let name = rest.get(..usize::from(name_bytes))?;
        if !bytes.starts_with(&MAGIC) || checksum != head_checksum(checked, name) {
            return None;
        }
        let name = Name::new(std::str::from_utf8(name).ok()?)?;
        Some(Self { kind, name, value_bytes, until, value_checksum })
    }

    /// Whether these are the value's bytes.
    pub fn vouches_for(&self, value: &[u8]) -> bool {
        value.len() as u64 == u64::from(self.value_bytes) && XxHash3_64::oneshot(value) == self.value_checksum
    }
}

/// What the index knows a name by. Two names may share it: the later one then stands in for both, and the name in the record tells
/// that it is not the other's.
pub fn name_hash(name: &Name) -> u64 {
    XxHash3_64::oneshot(name.as_str().as_bytes())
}

fn head_checksum(checked: &[u8; CHECKED_BYTES], name: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(name), checked)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let name = Name::new("a-name").expect("a name");
        Head::put(&name, b"some value", Timestamp(1_800_000_000_123)).expect("small")
    }

    fn encoded(head: &Head) -> Vec<u8> {
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        bytes
    }

    #[test]
    fn heads_round_trip() {
        for head in [head(), Head::remove(&Name::new(&"x".repeat(64)).expect("a name"), Timestamp(u64::MAX))] {
            let mut bytes = encoded(&head);
            assert_eq!(bytes.len(), head.value_at());
            assert_eq!(Head::decode(&bytes).as_ref(), Some(&head));
            bytes.extend_from_slice(b"and what follows");
            assert_eq!(Head::decode(&bytes), Some(head));
        }
        assert!(head().vouches_for(b"some value"));
        assert!(!head().vouches_for(b"some valuf"));
    }

    #[test]
    fn a_head_with_any_bit_flipped_or_cut_anywhere_is_none() {
        let bytes = encoded(&head());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&flipped), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Head::decode(&bytes[..length]), None, "{length} bytes");
        }
    }
}
