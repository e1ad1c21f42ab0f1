//! How a value looks in Memcached: what is written around it, and how a large one is cut into parts.
//!
//! Total over what it reads: foreign, cut or mixed bytes are `None`. A small value is one item with a checksum that its name takes
//! part in. A large one is a head and parts; a part's name contains the head's generation, which is random, so that parts of
//! another put are never taken for this one's, and the head's checksum covers the whole.

use bytes::{Bytes, BytesMut};
use twox_hash::XxHash3_64;

use crate::store::Name;

/// What a part holds. Memcached takes items of 1 MiB, its own overhead and the name included.
pub const PART_BYTES: usize = 1_000_000;

/// The longest item of ours.
pub const ITEM_BYTES_MAX: usize = PART_BYTES + WHOLE_BYTES;

/// The largest value. Parts of it live on one server, which must hold many such.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

const MAGIC: [u8; 4] = *b"LdV1";
const WHOLE: u8 = b'w';
const HEAD: u8 = b'h';
/// Before the bytes of a value that is one item: magic, form, checksum.
const WHOLE_BYTES: usize = 4 + 1 + 8;

/// An item as it is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// The value itself.
    Whole(Bytes),
    /// Where its parts are.
    Parts(Head),
}

/// The head of a value in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    generation: u64,
    bytes: u64,
    checksum: u64,
}

impl Head {
    pub fn new(name: &Name, value: &[u8], generation: u64) -> Self {
        Self { generation, bytes: value.len() as u64, checksum: checksum(name, value) }
    }

    pub fn encode(&self) -> Bytes {
        let mut item = BytesMut::with_capacity(WHOLE_BYTES + 16);
        item.extend_from_slice(&MAGIC);
        item.extend_from_slice(&[HEAD]);
        for number in [self.generation, self.bytes, self.checksum] {
            item.extend_from_slice(&number.to_le_bytes());
        }
        item.freeze()
    }

    /// What the parts are called, in their order.
    pub fn keys(&self, name: &Name) -> Vec<String> {
        let parts = self.bytes.div_ceil(PART_BYTES as u64);
        (0..parts).map(|part| format!("{}~{:016x}.{part}", name.as_str(), self.generation)).collect()
    }

    /// The value, if these are all of its parts.
    pub fn join(&self, name: &Name, parts: &[Bytes]) -> Option<Bytes> {
        let mut value = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        for part in parts {
            value.extend_from_slice(part);
        }
        (value.len() as u64 == self.bytes && checksum(name, &value) == self.checksum).then(|| value.freeze())
    }
}

/// A value that is one item: what to write before it.
pub fn before_whole(name: &Name, value: &[u8]) -> Bytes {
    let mut before = BytesMut::with_capacity(WHOLE_BYTES);
    before.extend_from_slice(&MAGIC);
    before.extend_from_slice(&[WHOLE]);
    before.extend_from_slice(&checksum(name, value).to_le_bytes());
    before.freeze()
}

/// A large value cut into parts.
pub fn cut(value: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    (0..value.len()).step_by(PART_BYTES).map(|from| value.slice(from..value.len().min(from + PART_BYTES)))
}

/// Reads an item that was found under a name.
pub fn read(name: &Name, item: &Bytes) -> Option<Form> {
    let rest = item.strip_prefix(&MAGIC)?;
    let (form, rest) = rest.split_first()?;
    let (first, rest) = rest.split_first_chunk()?;
    let first = u64::from_le_bytes(*first);
    match *form {
        WHOLE => {
            let value = item.slice(WHOLE_BYTES..);
            (checksum(name, &value) == first).then_some(Form::Whole(value))
        }
        HEAD => {
            let (bytes, rest) = rest.split_first_chunk()?;
            let checksum: &[u8; 8] = rest.try_into().ok()?;
            let (bytes, checksum) = (u64::from_le_bytes(*bytes), u64::from_le_bytes(*checksum));
            let fits = bytes > PART_BYTES as u64 && bytes <= VALUE_BYTES_MAX as u64;
            fits.then_some(Form::Parts(Head { generation: first, bytes, checksum }))
        }
        _ => None,
    }
}

fn checksum(name: &Name, value: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(name.as_str().as_bytes()), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("a").expect("a name")
    }

    fn whole(value: &[u8]) -> Vec<u8> {
        [&before_whole(&name(), value)[..], value].concat()
    }

    #[test]
    fn items_round_trip_and_any_flipped_bit_or_cut_is_none() {
        let head = Head::new(&name(), &vec![1; PART_BYTES + 1], 77);
        for value in [&b""[..], b"x", b"some value"] {
            let item = whole(value);
            let form = read(&name(), &Bytes::from(item.clone()));
            assert_eq!(form, Some(Form::Whole(Bytes::copy_from_slice(value))));
            for bit in 0..item.len() * 8 {
                let mut flipped = item.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&name(), &flipped.into()), None, "bit {bit}");
            }
            for length in 0..item.len() {
                assert_eq!(read(&name(), &item[..length].to_vec().into()), None, "{length} bytes");
            }
        }
        assert_eq!(read(&name(), &head.encode()), Some(Form::Parts(head)));
        assert_eq!(read(&name(), &head.encode().slice(..28)), None);
    }

    #[test]
    fn another_names_item_is_none() {
        assert_eq!(read(&Name::new("b").expect("a name"), &whole(b"some value").into()), None);
    }

    #[test]
    fn only_all_parts_of_one_put_make_a_value() {
        let value: Bytes = (0..PART_BYTES * 2 + 5).map(|n| (n % 251) as u8).collect();
        let head = Head::new(&name(), &value, 1);
        let parts: Vec<Bytes> = cut(&value).collect();
        assert_eq!((parts.len(), head.keys(&name()).len()), (3, 3));
        assert!(head.join(&name(), &parts) == Some(value));
        assert_eq!(head.join(&name(), &parts[..2]), None);
        assert_eq!(head.join(&name(), &[parts[1].clone(), parts[0].clone(), parts[2].clone()]), None);
        let other = Head::new(&name(), b"", 2);
        assert_ne!(head.keys(&name())[0], Head { bytes: head.bytes, ..other }.keys(&name())[0]);
    }

    #[test]
    fn a_head_that_promises_too_much_is_none() {
        for bytes in [0, PART_BYTES as u64, VALUE_BYTES_MAX as u64 + 1, u64::MAX] {
            let head = Head { generation: 1, bytes, checksum: 1 };
            assert_eq!(read(&name(), &head.encode()), None, "{bytes}");
        }
    }
}
