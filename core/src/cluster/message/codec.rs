//! What all messages share: the bytes in front, and small parts.

use bytes::Bytes;

use crate::binary::Reader;
use crate::cluster::PROTOCOL;
use crate::purge::{Position, Sequence};
use crate::time::{Millis, Timestamp};

const MAGIC: &[u8; 4] = b"LRDM";

/// A message.
pub trait Message: Sized {
    /// Tells messages apart.
    const KIND: u8;

    /// Writes the fields.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads the fields.
    fn read(reader: &mut Reader) -> Option<Self>;

    /// The whole message.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.push(PROTOCOL);
        out.push(Self::KIND);
        self.write(&mut out);
        out
    }

    /// Reads a whole message; `None` for anything else.
    fn decode(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let front = reader.take(4)? == MAGIC[..] && reader.u8()? == PROTOCOL && reader.u8()? == Self::KIND;
        let message = if front { Self::read(&mut reader)? } else { return None };
        reader.is_empty().then_some(message)
    }
}

pub(super) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_position(out: &mut Vec<u8>, position: Position) {
    put_u64(out, position.log);
    put_u64(out, position.sequence.0);
}

pub(super) fn position(reader: &mut Reader) -> Option<Position> {
    Some(Position { log: reader.u64()?, sequence: Sequence(reader.u64()?) })
}

pub(super) fn timestamp(reader: &mut Reader) -> Option<Timestamp> {
    reader.u64().map(Timestamp)
}

pub(super) fn millis(reader: &mut Reader) -> Option<Millis> {
    reader.u64().map(Millis)
}

pub(super) fn flag(reader: &mut Reader) -> Option<bool> {
    reader.flag()
}

/// A value that may be missing: a flag, then the value.
pub(super) fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

/// Reads what [`put_option`] wrote.
pub(super) fn option<T>(reader: &mut Reader, take: impl FnOnce(&mut Reader) -> Option<T>) -> Option<Option<T>> {
    if flag(reader)? { take(reader).map(Some) } else { Some(None) }
}
