//! The wire form of an entry, for stores outside the process: versioned, length-checked, with a checksum.
//!
//! ```text
//! "LRDR"  u8 version  u32 CRC-32 of the payload  u32 payload length  payload
//! ```
//! Integers are little endian; text and bytes are length-prefixed (u32). A form that is corrupted, truncated, foreign or of
//! another version decodes to a [`Damage`], which every host treats as a miss; nothing of it is served.

use std::sync::Arc;

use super::{Entry, Facts};
use crate::decide::age::Times;
use crate::decide::vary::VaryKey;
use crate::fields::Fields;
use crate::purge::Sequence;
use crate::time::{Seconds, Timestamp};

const MAGIC: &[u8; 4] = b"LRDR";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;
/// No list in an entry is longer; a length above means damage, not a large allocation.
const LIST_MAX: u32 = 4096;

const MADE_ETAG: u8 = 1;
const IDENTIFIED: u8 = 2;
const PERSONAL: u8 = 4;

/// Why bytes are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Not written by Larder.
    Foreign,
    /// Written by another version of the format.
    Version(u8),
    /// Shorter or longer than it says.
    Length,
    /// The checksum does not match.
    Checksum,
    /// The payload does not read as an entry.
    Payload,
}

/// Writes an entry.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let facts = entry.facts();
    let mut out = Vec::with_capacity(HEAD_BYTES + facts.body.len() + facts.fields.bytes() + 256);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&[0; 8]); // checksum and length, filled in below

    out.extend_from_slice(&facts.status.to_le_bytes());
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(flag(facts.made_etag, MADE_ETAG) | flag(facts.identified, IDENTIFIED) | flag(facts.personal, PERSONAL));
    out.extend_from_slice(&facts.sequence.0.to_le_bytes());
    out.extend_from_slice(&facts.times.request.0.to_le_bytes());
    out.extend_from_slice(&facts.times.response.0.to_le_bytes());
    out.extend_from_slice(&facts.times.date.map_or(u64::MAX, |date| date.0).to_le_bytes());
    out.extend_from_slice(&facts.times.age.get().to_le_bytes());
    put(&mut out, facts.url.as_bytes());
    put_len(&mut out, facts.fields.len());
    for field in facts.fields.iter() {
        put(&mut out, field.name.as_bytes());
        put(&mut out, &field.value);
    }
    put_len(&mut out, facts.vary.0.len());
    for (name, value) in &facts.vary.0 {
        put(&mut out, name.as_bytes());
        out.push(u8::from(value.is_some()));
        put(&mut out, value.as_deref().unwrap_or_default());
    }
    put_len(&mut out, facts.tags.len());
    for tag in &facts.tags {
        put(&mut out, tag.as_bytes());
    }
    put(&mut out, &facts.body);

    let (head, payload) = out.split_at_mut(HEAD_BYTES);
    let sums = [crc32fast::hash(payload).to_le_bytes(), (payload.len() as u32).to_le_bytes()].concat();
    if let Some(place) = head.get_mut(5..) {
        place.copy_from_slice(&sums);
    }
    out
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u32).to_le_bytes());
}

/// Reads an entry.
pub fn decode(bytes: &[u8]) -> Result<Entry, Damage> {
    let (head, payload) = bytes.split_at_checked(HEAD_BYTES).ok_or(Damage::Foreign)?;
    let mut head = Reader(head);
    if head.take(4) != Some(MAGIC) {
        return Err(Damage::Foreign);
    }
    match head.u8() {
        Some(VERSION) => {}
        other => return Err(Damage::Version(other.unwrap_or_default())),
    }
    let (sum, len) = (head.u32().ok_or(Damage::Length)?, head.u32().ok_or(Damage::Length)?);
    if len as usize != payload.len() {
        return Err(Damage::Length);
    }
    if crc32fast::hash(payload) != sum {
        return Err(Damage::Checksum);
    }
    let mut reader = Reader(payload);
    let facts = facts(&mut reader).ok_or(Damage::Payload)?;
    if reader.0.is_empty() { Ok(Entry::new(facts)) } else { Err(Damage::Payload) }
}

fn facts(reader: &mut Reader<'_>) -> Option<Facts> {
    let status = reader.u16()?;
    let flags = reader.u8()?;
    let sequence = Sequence(reader.u64()?);
    let request = Timestamp(reader.u64()?);
    let response = Timestamp(reader.u64()?);
    let date = Some(reader.u64()?).filter(|date| *date != u64::MAX).map(Timestamp);
    let age = Seconds::saturating(u64::from(reader.u32()?));
    let url = reader.text()?;
    let mut fields = Fields::new();
    for _ in 0..reader.list()? {
        let name = reader.text()?;
        fields.add(&name, reader.bytes()?);
    }
    let mut vary = Vec::new();
    for _ in 0..reader.list()? {
        let name = reader.text()?;
        let present = reader.u8()? == 1;
        let value = reader.bytes()?.to_vec();
        vary.push((name, present.then_some(value)));
    }
    let mut tags = Vec::new();
    for _ in 0..reader.list()? {
        tags.push(reader.text()?);
    }
    let body = Arc::from(reader.bytes()?);
    Some(Facts {
        url,
        status,
        fields,
        body,
        times: Times { request, response, date, age },
        vary: VaryKey(vary),
        tags,
        sequence,
        made_etag: flags & MADE_ETAG != 0,
        identified: flags & IDENTIFIED != 0,
        personal: flags & PERSONAL != 0,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn list(&mut self) -> Option<u32> {
        self.u32().filter(|len| *len <= LIST_MAX)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn entry() -> Entry {
        let mut fields = Fields::new();
        fields.add("content-type", "text/plain");
        fields.add("x-raw", vec![0xff, 0x00]);
        Entry::new(Facts {
            url: "http://h/a?b".into(),
            status: 200,
            fields,
            body: Arc::from(&b"hello"[..]),
            times: Times { request: Timestamp(1), response: Timestamp(2), date: None, age: Seconds::saturating(3) },
            vary: VaryKey(vec![("accept".into(), None), ("x".into(), Some(b"".to_vec()))]),
            tags: vec!["product:1".into()],
            sequence: Sequence(9),
            made_etag: true,
            identified: false,
            personal: true,
        })
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let entry = entry();
        assert_eq!(decode(&encode(&entry)), Ok(entry));
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_is_ever_an_entry() {
        let bytes = encode(&entry());
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(decode(&longer), Err(Damage::Length));
    }

    #[test]
    fn a_right_checksum_over_nonsense_is_still_no_entry() {
        let mut seed = 1u32;
        for len in 0..200 {
            let payload: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let mut bytes = MAGIC.to_vec();
            bytes.push(VERSION);
            bytes.extend(crc32fast::hash(&payload).to_le_bytes());
            bytes.extend((payload.len() as u32).to_le_bytes());
            bytes.extend(payload);
            assert_eq!(decode(&bytes), Err(Damage::Payload));
        }
    }

    #[test]
    fn another_version_says_so() {
        let mut bytes = encode(&entry());
        bytes[4] = 9;
        assert_eq!(decode(&bytes), Err(Damage::Version(9)));
        assert_eq!(decode(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Damage::Foreign));
    }
}
