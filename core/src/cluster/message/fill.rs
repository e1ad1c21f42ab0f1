//! Filling a key: storing, freshening, and giving a lease back.

use bytes::Bytes;

use super::codec::{Message, flag, put_u32, put_u64, timestamp};
use crate::binary::{Reader, put, put_len};
use crate::cluster::leases::LeaseId;
use crate::time::{Seconds, Timestamp};

/// A response to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The key's name.
    pub name: String,
    /// The worker's clock. Times in the record are by this clock.
    pub now: Timestamp,
    /// The lease under which it was fetched; zero where there was none.
    pub lease: LeaseId,
    /// How long it may be of use, stale use and validation included.
    pub keep_for: Seconds,
    /// Variants under this key, this one included.
    pub variants_max: u32,
    /// See [`crate::entry::wire`].
    pub record: Bytes,
}

/// The origin has confirmed a stored response: its head and times anew, its body as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshen {
    /// The key's name.
    pub name: String,
    /// The worker's clock.
    pub now: Timestamp,
    /// The lease under which it was asked; zero where there was none.
    pub lease: LeaseId,
    /// How long it may be of use.
    pub keep_for: Seconds,
    /// When the response that was confirmed had been received: no other is freshened.
    pub base: Timestamp,
    /// The length of its body.
    pub body_bytes: u32,
    /// The record, without its body.
    pub record: Bytes,
}

/// A lease is not used, or what is stored is not to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// The key's name.
    pub name: String,
    /// The lease; zero where there was none.
    pub lease: LeaseId,
    /// The response is not to be stored: others need not wait for one.
    pub uncacheable: bool,
    /// What is stored has been superseded.
    pub forget: bool,
}

/// Several of the above, and no others, for one node: what is said of one key is said in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tell {
    /// The messages: [`Store`], [`Freshen`] or [`Release`].
    pub messages: Vec<Bytes>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// Done.
    Done,
    /// Not done.
    Refused(Refusal),
}

/// Why a node does not store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a record, or a broken one.
    Damaged,
    /// Body or head longer than the node takes.
    TooLarge,
    /// More tags than the node takes.
    Tags,
    /// A purge has come in between.
    Purged,
    /// The position is one of another log.
    OtherLog,
    /// A confirmed response is not the one that is stored.
    OtherResponse,
    /// The store behind the node failed.
    Store,
    /// Too much at once.
    Busy,
}

impl Refusal {
    /// All of them, by their number on the wire.
    const ALL: [Self; 8] = [
        Self::Damaged,
        Self::TooLarge,
        Self::Tags,
        Self::Purged,
        Self::OtherLog,
        Self::OtherResponse,
        Self::Store,
        Self::Busy,
    ];

    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::TooLarge => "too_large",
            Self::Tags => "tags",
            Self::Purged => "purged",
            Self::OtherLog => "other_log",
            Self::OtherResponse => "other_response",
            Self::Store => "store",
            Self::Busy => "busy",
        }
    }
}

impl Store {
    /// Where it is sent.
    pub const PATH: &str = "/larder/store";
}

impl Freshen {
    /// Where it is sent.
    pub const PATH: &str = "/larder/freshen";
}

impl Release {
    /// Where it is sent.
    pub const PATH: &str = "/larder/release";
}

impl Tell {
    /// Where it is sent.
    pub const PATH: &str = "/larder/tell";
}

impl Message for Tell {
    const KIND: u8 = 12;

    fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.messages.iter().map(|message| message.len() + 4).sum());
        put_len(out, self.messages.len());
        self.messages.iter().for_each(|message| put(out, message));
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self { messages: (0..reader.list()?).map(|_| reader.bytes()).collect::<Option<_>>()? })
    }
}

impl Message for Store {
    const KIND: u8 = 3;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.name.as_bytes());
        put_u64(out, self.now.0);
        put_u64(out, self.lease);
        put_u32(out, self.keep_for.get());
        put_u32(out, self.variants_max);
        put(out, &self.record);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            name: reader.text()?,
            now: timestamp(reader)?,
            lease: reader.u64()?,
            keep_for: reader.seconds()?,
            variants_max: reader.u32()?,
            record: reader.bytes()?,
        })
    }
}

impl Message for Freshen {
    const KIND: u8 = 4;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.name.as_bytes());
        put_u64(out, self.now.0);
        put_u64(out, self.lease);
        put_u32(out, self.keep_for.get());
        put_u64(out, self.base.0);
        put_u32(out, self.body_bytes);
        put(out, &self.record);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            name: reader.text()?,
            now: timestamp(reader)?,
            lease: reader.u64()?,
            keep_for: reader.seconds()?,
            base: timestamp(reader)?,
            body_bytes: reader.u32()?,
            record: reader.bytes()?,
        })
    }
}

impl Message for Release {
    const KIND: u8 = 5;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.name.as_bytes());
        put_u64(out, self.lease);
        out.push(u8::from(self.uncacheable));
        out.push(u8::from(self.forget));
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self { name: reader.text()?, lease: reader.u64()?, uncacheable: flag(reader)?, forget: flag(reader)? })
    }
}

impl Message for StoreAnswer {
    const KIND: u8 = 6;

    fn write(&self, out: &mut Vec<u8>) {
        let number = match self {
            Self::Done => 0,
            Self::Refused(refusal) => Refusal::ALL.iter().position(|known| known == refusal).map_or(0, |at| at + 1),
        };
        out.push(u8::try_from(number).unwrap_or(u8::MAX));
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        match reader.u8()? {
            0 => Some(Self::Done),
            number => Refusal::ALL.get(usize::from(number) - 1).map(|refusal| Self::Refused(*refusal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn messages_come_back_as_they_were() {
        let store = Store {
            name: "n".into(),
            now: Timestamp(1),
            lease: 2,
            keep_for: Seconds::saturating(3),
            variants_max: 4,
            record: Bytes::from_static(b"r"),
        };
        assert_eq!(Store::decode(store.encode().into()), Some(store));
        let freshen = Freshen {
            name: "n".into(),
            now: Timestamp(1),
            lease: 2,
            keep_for: Seconds::saturating(3),
            base: Timestamp(4),
            body_bytes: 5,
            record: Bytes::from_static(b"r"),
        };
        assert_eq!(Freshen::decode(freshen.encode().into()), Some(freshen));
        let release = Release { name: "n".into(), lease: 2, uncacheable: true, forget: false };
        assert_eq!(Release::decode(release.encode().into()), Some(release));
        let answers = Refusal::ALL.into_iter().map(StoreAnswer::Refused).chain([StoreAnswer::Done]);
        for answer in answers {
            assert_eq!(StoreAnswer::decode(answer.encode().into()), Some(answer));
        }
    }
}
