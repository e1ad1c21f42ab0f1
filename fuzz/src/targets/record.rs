//! The wire form of entries: what was written is read again as it was, and what is read is what would be written of it, so that no two
//! records are the same entry, and damage never reads as something else.

use bytes::Bytes;
use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::wire::{self, Damage};
use larder_core::entry::{Entry, Facts};
use larder_core::fields::Fields;
use larder_core::purge::{Position, Sequence};
use larder_core::time::{Seconds, Timestamp};

use crate::input::Input;

/// Where a record's checksum stands.
const SUM_AT: std::ops::Range<usize> = 5..9;

/// A first byte that is even: the rest is a record that lacks only its checksum. An odd one: the rest makes an entry.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if first & 1 == 0 { read(rest) } else { written(&mut Input::new(rest)) }
}

/// Reads any bytes, as they are and with the right checksum.
fn read(bytes: &[u8]) {
    let _ = again(&Bytes::copy_from_slice(bytes));
    if bytes.len() >= SUM_AT.end {
        let mut bytes = bytes.to_vec();
        let sum = crc(&bytes[SUM_AT.end..]);
        bytes[SUM_AT].copy_from_slice(&sum.to_le_bytes());
        let _ = again(&bytes.into());
    }
}

/// Reads a record, and holds what is written of it against it.
fn again(record: &Bytes) -> Result<Entry, Damage> {
    let whole = wire::verify(record);
    let label = wire::label(record);
    let checked = wire::checked(record);
    assert_eq!(checked.is_ok(), whole.is_ok() && label.is_ok());
    let label = label?;
    let read = wire::decode(record, &label.key);
    assert_eq!(wire::decode(record, &format!("{}x", label.key)).err(), Some(whole.err().unwrap_or(Damage::OtherKey)));
    let (entry, fresh_until) = read?;
    let facts = entry.facts();
    assert_eq!((&facts.url, &facts.tags, &facts.vary), (&label.url, &label.tags, &label.vary));
    assert_eq!(
        (facts.position, facts.times.response, fresh_until),
        (label.position, label.received, label.fresh_until)
    );
    assert_eq!(checked.map(|(_, length)| length as usize), Ok(facts.body.len()));
    let written = wire::encode(&entry, &label.key, fresh_until, true);
    assert_eq!(&written[..], &record[..], "what was read is written otherwise");
    Ok(entry)
}

/// Makes an entry, writes and reads it; then bends a byte.
fn written(input: &mut Input<'_>) {
    let entry = entry(input);
    let key = input.text(64);
    let until = Timestamp(input.number());
    let record = Bytes::from(wire::encode(&entry, &key, until, true));
    assert_eq!(wire::decode(&record, &key), Ok((entry.clone(), until)));
    assert_eq!(again(&record).as_ref(), Ok(&entry));
    let head = Bytes::from(wire::encode(&entry, &key, until, false));
    let (read, _) = wire::decode(&head, &key).expect("a record without its body");
    assert!(read.facts().body.is_empty() && read.facts().fields == entry.facts().fields);
    // CRC-32 finds every burst of up to 32 bits.
    let at = input.below(record.len());
    let mut bent = record.to_vec();
    bent[at] ^= input.byte().max(1);
    let bent = Bytes::from(bent);
    assert!(wire::decode(&bent, &key).is_err(), "byte {at} is bent");
    assert!(wire::decode(&record.slice(..at), &key).is_err(), "cut at {at}");
}

/// An entry as the core would store it, with anything in it.
pub fn entry(input: &mut Input<'_>) -> Entry {
    let mut fields = Fields::new();
    for _ in 0..input.below(8) {
        let name = match input.byte() % 4 {
            0 => input.text(20),
            _ => input.one_of(&["etag", "content-language", "last-modified", "vary", "date", "x-a"]).to_owned(),
        };
        fields.add(&name, input.bytes(40));
    }
    let mut vary = Vec::new();
    for _ in 0..input.below(4) {
        vary.push((input.text(20), input.flag().then(|| input.bytes(20).to_vec())));
    }
    let tags = (0..input.below(5)).map(|_| input.text(30)).collect();
    let date = input.flag().then(|| Timestamp(input.number().min(u64::MAX - 1)));
    Entry::new(Facts {
        url: input.text(60),
        status: input.number() as u16,
        fields,
        body: Bytes::copy_from_slice(input.bytes(200)),
        times: Times {
            request: Timestamp(input.number()),
            response: Timestamp(input.number()),
            date,
            age: Seconds::saturating(input.number()),
        },
        vary: VaryKey(vary),
        tags,
        position: Position { log: input.number(), sequence: Sequence(input.number()) },
        made_etag: input.flag(),
        identified: input.flag(),
        personal: input.flag(),
    })
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
