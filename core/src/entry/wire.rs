//! A record: an entry's form outside the process, versioned, length-checked, with a checksum.
//!
//! ```text
//! "LRDR"  u8 version  u32 CRC-32 of all that follows  u32 label length  u32 head length  u32 body length  label  head  body
//! ```
//! The label says what a store must know to select and to purge, without reading the rest; the head is what clients get; the
//! body can be taken out without being copied. A record that is corrupted, truncated, foreign or of another version is a
//! [`Damage`], which every host treats as a miss; nothing of it is served.

use bytes::Bytes;

use super::{Entry, Facts};
use crate::binary::{Reader, put, put_fields, put_len};
use crate::decide::age::Times;
use crate::decide::vary::VaryKey;
use crate::fields::Fields;
use crate::purge::{Position, Sequence};
use crate::time::Timestamp;

const MAGIC: &[u8; 4] = b"LRDR";
const VERSION: u8 = 3;
const CRC_AT: usize = 5;
const COVERED_FROM: usize = 9;
const HEAD_BYTES: usize = 21;

const MADE_ETAG: u8 = 1;
const IDENTIFIED: u8 = 2;
const PERSONAL: u8 = 4;

/// Why bytes are not a record.
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
    /// It does not read as an entry.
    Payload,
    /// It lies under another key than it was written for.
    OtherKey,
}

impl Damage {
    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Version(_) => "version",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Payload => "payload",
            Self::OtherKey => "other-key",
        }
    }
}

/// What a store must know of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the key that it is stored under. A record that is handed out under another one is nobody's answer: the URL alone does not
    /// tell users apart.
    pub key: String,
    /// Canonical URL, as purges name it.
    pub url: String,
    /// Position of the purge log when its request began.
    pub position: Position,
    /// Fresh until then, by the policy of whoever stored it.
    pub fresh_until: Timestamp,
    /// When the response was received.
    pub received: Timestamp,
    /// The language of the response, which a request may like best.
    pub language: Option<Vec<u8>>,
    /// Request fields that selected it.
    pub vary: VaryKey,
    /// Tags by which it is purged.
    pub tags: Vec<String>,
}

impl Label {
    /// Tags as text.
    pub fn tags(&self) -> impl Iterator<Item = &str> + Clone {
        self.tags.iter().map(String::as_str)
    }
}

/// Writes an entry of the key with this name that is fresh until then. `with_body` off leaves an empty body, for what the reader has already or will not keep.
pub fn encode(entry: &Entry, key: &str, fresh_until: Timestamp, with_body: bool) -> Vec<u8> {
    let facts = entry.facts();
    let body: &[u8] = if with_body { &facts.body } else { &[] };
    let mut out = Vec::with_capacity(HEAD_BYTES + body.len() + facts.fields.bytes() + 512);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&[0; HEAD_BYTES - CRC_AT]); // checksum and lengths, filled in below
    put_label(&mut out, key, facts, fresh_until);
    let label = out.len() - HEAD_BYTES;
    put_head(&mut out, facts);
    let head = out.len() - HEAD_BYTES - label;
    out.extend_from_slice(body);
    for (at, len) in [(COVERED_FROM, label), (13, head), (17, body.len())] {
        fill(&mut out, at, u32::try_from(len).unwrap_or(u32::MAX));
    }
    let sum = crc32fast::hash(out.get(COVERED_FROM..).unwrap_or_default());
    fill(&mut out, CRC_AT, sum);
    out
}

fn fill(out: &mut [u8], at: usize, number: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

fn put_label(out: &mut Vec<u8>, key: &str, facts: &Facts, fresh_until: Timestamp) {
    put(out, key.as_bytes());
    out.extend_from_slice(&facts.position.log.to_le_bytes());
    out.extend_from_slice(&facts.position.sequence.0.to_le_bytes());
    out.extend_from_slice(&fresh_until.0.to_le_bytes());
    out.extend_from_slice(&facts.times.response.0.to_le_bytes());
    put(out, facts.url.as_bytes());
    let language = language(&facts.fields, &facts.vary);
    out.push(u8::from(language.is_some()));
    put(out, language.unwrap_or_default());
    put_len(out, facts.vary.0.len());
    for (name, value) in &facts.vary.0 {
        put(out, name.as_bytes());
        out.push(u8::from(value.is_some()));
        put(out, value.as_deref().unwrap_or_default());
    }
    put_len(out, facts.tags.len());
    for tag in &facts.tags {
        put(out, tag.as_bytes());
    }
}

/// A response that does not vary is the best one in any language.
fn language<'a>(fields: &'a Fields, vary: &VaryKey) -> Option<&'a [u8]> {
    fields.first("content-language").filter(|_| !vary.0.is_empty())
}

fn put_head(out: &mut Vec<u8>, facts: &Facts) {
    out.extend_from_slice(&facts.status.to_le_bytes());
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(flag(facts.made_etag, MADE_ETAG) | flag(facts.identified, IDENTIFIED) | flag(facts.personal, PERSONAL));
    out.extend_from_slice(&facts.times.request.0.to_le_bytes());
    out.extend_from_slice(&facts.times.date.map_or(u64::MAX, |date| date.0).to_le_bytes());
    out.extend_from_slice(&facts.times.age.get().to_le_bytes());
    put_fields(out, &facts.fields);
}

/// A record taken apart, its parts unread.
struct Parts {
    crc: u32,
    covered: Bytes,
    label: Bytes,
    head: Bytes,
    body: Bytes,
}

fn parts(record: &Bytes) -> Result<Parts, Damage> {
    let mut reader = Reader::new(record.clone());
    if reader.take(4).as_deref() != Some(MAGIC) {
        return Err(Damage::Foreign);
    }
    match reader.u8() {
        Some(VERSION) => {}
        other => return Err(Damage::Version(other.unwrap_or_default())),
    }
    let crc = reader.u32().ok_or(Damage::Length)?;
    let covered = record.slice(COVERED_FROM.min(record.len())..);
    let mut length = || reader.u32().map(|len| len as usize).ok_or(Damage::Length);
    let (label, head, body) = (length()?, length()?, length()?);
    let mut part = |len| reader.take(len).ok_or(Damage::Length);
    let (label, head, body) = (part(label)?, part(head)?, part(body)?);
    if reader.is_empty() { Ok(Parts { crc, covered, label, head, body }) } else { Err(Damage::Length) }
}

/// Reads the label alone. The checksum is left to whoever reads the rest.
pub fn label(record: &Bytes) -> Result<Label, Damage> {
    read_label(parts(record)?.label).ok_or(Damage::Payload)
}

/// Whether the record is as it was written.
pub fn verify(record: &Bytes) -> Result<(), Damage> {
    let parts = parts(record)?;
    if crc32fast::hash(&parts.covered) == parts.crc { Ok(()) } else { Err(Damage::Checksum) }
}

/// The label of a record that is as it was written, and the length of its body.
pub fn checked(record: &Bytes) -> Result<(Label, u32), Damage> {
    let parts = parts(record)?;
    if crc32fast::hash(&parts.covered) != parts.crc {
        return Err(Damage::Checksum);
    }
    let body_bytes = u32::try_from(parts.body.len()).map_err(|_| Damage::Length)?;
    Ok((read_label(parts.label).ok_or(Damage::Payload)?, body_bytes))
}

/// Reads an entry of this key and until when it is fresh. Its body shares the record's memory.
pub fn decode(record: &Bytes, key: &str) -> Result<(Entry, Timestamp), Damage> {
    verify(record)?;
    decode_checked(record, key)
}

/// The same for a record whose checksum was held against it already: for long bodies, that is most of the work.
pub fn decode_checked(record: &Bytes, key: &str) -> Result<(Entry, Timestamp), Damage> {
    let parts = parts(record)?;
    let label = read_label(parts.label).ok_or(Damage::Payload)?;
    if label.key != key {
        return Err(Damage::OtherKey);
    }
    let fresh_until = label.fresh_until;
    let facts = read_head(parts.head, label, parts.body).ok_or(Damage::Payload)?;
    Ok((Entry::new(facts), fresh_until))
}

fn read_label(bytes: Bytes) -> Option<Label> {
    let mut reader = Reader::new(bytes);
    let key = reader.text()?;
    let position = Position { log: reader.u64()?, sequence: Sequence(reader.u64()?) };
    let fresh_until = Timestamp(reader.u64()?);
    let received = Timestamp(reader.u64()?);
    let url = reader.text()?;
    let language = reader.optional_bytes()?.map(|language| language.to_vec());
    let mut vary = Vec::new();
    for _ in 0..reader.list()? {
        let name = reader.text()?;
        vary.push((name, reader.optional_bytes()?.map(|value| value.to_vec())));
    }
    let mut tags = Vec::new();
    for _ in 0..reader.list()? {
        tags.push(reader.text()?);
    }
    let label = Label { key, url, position, fresh_until, received, language, vary: VaryKey(vary), tags };
    reader.is_empty().then_some(label)
}

fn read_head(bytes: Bytes, label: Label, body: Bytes) -> Option<Facts> {
    let mut reader = Reader::new(bytes);
    let status = reader.u16()?;
    let flags = reader.u8().filter(|flags| flags & !(MADE_ETAG | IDENTIFIED | PERSONAL) == 0)?;
    let request = Timestamp(reader.u64()?);
    let date = Some(reader.u64()?).filter(|date| *date != u64::MAX).map(Timestamp);
    let age = reader.seconds()?;
    let fields = reader.fields()?;
    // A store selects by what the label says of it.
    if language(&fields, &label.vary) != label.language.as_deref() {
        return None;
    }
    let facts = Facts {
        url: label.url,
        status,
        fields,
        body,
        times: Times { request, response: label.received, date, age },
        vary: label.vary,
        tags: label.tags,
        position: label.position,
        made_etag: flags & MADE_ETAG != 0,
        identified: flags & IDENTIFIED != 0,
        personal: flags & PERSONAL != 0,
    };
    reader.is_empty().then_some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Seconds;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const UNTIL: Timestamp = Timestamp(77);
    const KEY: &str = "name-of-a-key";

    fn entry() -> Entry {
        let mut fields = Fields::new();
        fields.add("content-type", "text/plain");
        fields.add("content-language", "de");
        fields.add("x-raw", vec![0xff, 0x00]);
        Entry::new(Facts {
            url: "http://h/a?b".into(),
            status: 200,
            fields,
            body: Bytes::from_static(b"hello"),
            times: Times { request: Timestamp(1), response: Timestamp(2), date: None, age: Seconds::saturating(3) },
            vary: VaryKey(vec![("accept".into(), None), ("x".into(), Some(b"".to_vec()))]),
            tags: vec!["product:1".into()],
            position: Position { log: 5, sequence: Sequence(9) },
            made_etag: true,
            identified: false,
            personal: true,
        })
    }

    fn record() -> Bytes {
        encode(&entry(), KEY, UNTIL, true).into()
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        assert_eq!(decode(&record(), KEY), Ok((entry(), UNTIL)));
    }

    #[test]
    fn a_record_of_another_key_is_nobodys_answer() {
        assert_eq!(decode(&record(), "name-of-b-key"), Err(Damage::OtherKey));
        assert_eq!(decode(&record(), ""), Err(Damage::OtherKey));
    }

    #[test]
    fn a_label_is_read_without_the_rest() {
        let label = label(&record()).unwrap();
        assert_eq!(
            (label.url.as_str(), label.position, label.fresh_until),
            ("http://h/a?b", entry().facts().position, UNTIL)
        );
        assert_eq!((label.vary, label.tags), (entry().facts().vary.clone(), entry().facts().tags.clone()));
        assert_eq!(label.language.as_deref(), Some(&b"de"[..]));
        assert_eq!(label.received, Timestamp(2));
    }

    #[test]
    fn a_record_without_its_body_is_the_same_but_for_that() {
        let bare = encode(&entry(), KEY, UNTIL, false).into();
        let (decoded, _) = decode(&bare, KEY).unwrap();
        assert_eq!(decoded.facts().body.len(), 0);
        assert_eq!(decoded.facts().fields, entry().facts().fields);
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_is_ever_an_entry() {
        let bytes = record();
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            assert!(decode(&cut, KEY).is_err() && verify(&cut).is_err() && label(&cut).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.to_vec();
                bad[at] ^= 1 << bit;
                let bad = Bytes::from(bad);
                assert!(
                    decode(&bad, KEY).is_err() && verify(&bad).is_err() && checked(&bad).is_err(),
                    "bit {bit} of byte {at}"
                );
                let _ = label(&bad);
            }
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(decode(&longer.into(), KEY), Err(Damage::Length));
    }

    #[test]
    fn a_right_checksum_over_nonsense_is_still_no_entry() {
        let mut seed = 1u32;
        for len in 0..200u32 {
            let mut noise = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            };
            let payload: Vec<u8> = (0..len * 2).map(|_| noise()).collect();
            let lengths = [len, len, 0].into_iter().flat_map(u32::to_le_bytes);
            let covered: Vec<u8> = lengths.chain(payload).collect();
            let mut bytes = MAGIC.to_vec();
            bytes.push(VERSION);
            bytes.extend(crc32fast::hash(&covered).to_le_bytes());
            bytes.extend(covered);
            assert_eq!(decode(&bytes.into(), KEY), Err(Damage::Payload), "{len}");
        }
    }

    #[test]
    fn another_version_says_so() {
        let mut bytes = record().to_vec();
        bytes[4] = 9;
        assert_eq!(decode(&bytes.into(), KEY), Err(Damage::Version(9)));
        assert_eq!(decode(&Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"), KEY), Err(Damage::Foreign));
    }
}
