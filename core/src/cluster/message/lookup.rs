//! Asking for a stored response.

use bytes::Bytes;

use super::codec::{Message, flag, millis, position, put_position, put_u32, put_u64, timestamp};
use crate::binary::{Reader, put, put_fields};
use crate::cluster::leases::Lease;
use crate::fields::Fields;
use crate::purge::Position;
use crate::time::{Millis, Timestamp};

/// A worker has nothing usable under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The key's name ([`crate::key::Key::name`]).
    pub name: String,
    /// The request's fields by which responses may vary.
    pub fields: Fields,
    /// How long a lease is wanted, should nothing fresh be there; zero is not at all.
    pub lease_for: Millis,
    /// How long to wait while another holds the lease; zero is not at all.
    pub wait_for: Millis,
    /// Bodies longer than this are left out of the answer.
    pub inline_bytes_max: u32,
}

impl Lookup {
    /// Where it is sent.
    pub const PATH: &str = "/larder/lookup";
}

/// A node's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupAnswer {
    /// The node's clock. Times in the record are by this clock.
    pub now: Timestamp,
    /// The newest position of the purge log that the node had when the look-up arrived. What is fetched now carries it back. The
    /// log 0 is none: the node does not know it just now.
    pub position: Position,
    /// Who fetches.
    pub lease: Lease,
    /// What is stored.
    pub found: Option<Found>,
    /// Nothing that this request selects is stored, but other variants are (RFC 9211 `vary-miss`).
    pub other_variants: bool,
}

impl LookupAnswer {
    /// The message without the record's bytes, which are the last in it: a node sends them as they lie in its store.
    pub fn encode_front(&self) -> Vec<u8> {
        let found = self.found.as_ref().map(|found| Found { record: Bytes::new(), ..found.clone() });
        let mut front = Self { found, ..self.clone() }.encode();
        if let Some(found) = &self.found {
            front.truncate(front.len() - size_of::<u32>());
            put_u32(&mut front, u32::try_from(found.record.len()).unwrap_or(u32::MAX));
        }
        front
    }
}

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A soft purge covers it.
    pub soft: bool,
    /// The length of its body, which is left out of the record where it is longer than was asked for.
    pub body_bytes: u32,
    /// See [`crate::entry::wire`].
    pub record: Bytes,
}

impl Message for Lookup {
    const KIND: u8 = 1;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.name.as_bytes());
        put_fields(out, &self.fields);
        put_u64(out, self.lease_for.0);
        put_u64(out, self.wait_for.0);
        put_u32(out, self.inline_bytes_max);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            name: reader.text()?,
            fields: reader.fields()?,
            lease_for: millis(reader)?,
            wait_for: millis(reader)?,
            inline_bytes_max: reader.u32()?,
        })
    }
}

impl Message for LookupAnswer {
    const KIND: u8 = 2;

    fn write(&self, out: &mut Vec<u8>) {
        put_u64(out, self.now.0);
        put_position(out, self.position);
        let (kind, id) = match self.lease {
            Lease::None => (0, 0),
            Lease::Granted(id) => (1, id),
            Lease::Busy => (2, 0),
            Lease::Uncacheable => (3, 0),
        };
        out.push(kind);
        put_u64(out, id);
        out.push(u8::from(self.other_variants));
        out.push(u8::from(self.found.is_some()));
        if let Some(found) = &self.found {
            out.push(u8::from(found.soft));
            put_u32(out, found.body_bytes);
            put(out, &found.record);
        }
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        let now = timestamp(reader)?;
        let position = position(reader)?;
        let lease = match (reader.u8()?, reader.u64()?) {
            (0, 0) => Lease::None,
            (1, id @ 1..) => Lease::Granted(id),
            (2, 0) => Lease::Busy,
            (3, 0) => Lease::Uncacheable,
            _ => return None,
        };
        let other_variants = flag(reader)?;
        let found = match flag(reader)? {
            false => None,
            true => Some(Found { soft: flag(reader)?, body_bytes: reader.u32()?, record: reader.bytes()? }),
        };
        Some(Self { now, position, lease, found, other_variants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::Sequence;
    use crate::testing::fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn lookup() -> Lookup {
        Lookup {
            name: "abc".into(),
            fields: fields(&[("accept", "x"), ("accept", "y")]),
            lease_for: Millis(5000),
            wait_for: Millis(0),
            inline_bytes_max: 65_536,
        }
    }

    fn answer(lease: Lease, found: Option<Found>) -> LookupAnswer {
        let position = Position { log: 4, sequence: Sequence(2) };
        LookupAnswer { now: Timestamp(9), position, lease, found, other_variants: true }
    }

    #[test]
    fn messages_come_back_as_they_were() {
        assert_eq!(Lookup::decode(lookup().encode().into()), Some(lookup()));
        let found = Found { soft: true, body_bytes: 5, record: Bytes::from_static(b"record") };
        for lease in [Lease::None, Lease::Granted(3), Lease::Busy, Lease::Uncacheable] {
            for found in [None, Some(found.clone())] {
                let answer = answer(lease, found);
                assert_eq!(LookupAnswer::decode(answer.encode().into()), Some(answer));
            }
        }
    }

    #[test]
    fn the_front_and_the_record_are_the_message() {
        let found = Found { soft: false, body_bytes: 5, record: Bytes::from_static(b"record") };
        let whole = answer(Lease::None, Some(found));
        assert_eq!([&whole.encode_front()[..], b"record"].concat(), whole.encode());
        let miss = answer(Lease::Granted(1), None);
        assert_eq!(miss.encode_front(), miss.encode());
    }

    #[test]
    fn what_is_cut_or_longer_or_of_another_kind_is_no_message() {
        let whole = Bytes::from(answer(Lease::Granted(3), None).encode());
        for len in 0..whole.len() {
            assert_eq!(LookupAnswer::decode(whole.slice(..len)), None, "cut at {len}");
        }
        assert_eq!(LookupAnswer::decode([&whole[..], b"x"].concat().into()), None);
        assert_eq!(Lookup::decode(whole), None);
        assert_eq!(LookupAnswer::decode(Bytes::from_static(b"upstream request timeout")), None);
    }
}
