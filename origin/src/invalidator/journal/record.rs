//! How purges lie on disk: a file of records, each with its length and checksums. Bytes in, records out; no files here.
//!
//! ```text
//! file    = MAGIC *record
//! record  = length:u32 id:u64 kind:u8 head_sum:u32 body_sum:u32 body          integers little-endian, sums CRC-32
//! purge   = asked_ms:u64 count:u32 *(length:u32 scope)     kind 1; a scope as larder-core's Scope::encode has it
//! settled = (empty)                                        kind 2: whatever has this id or a smaller one is done with
//! ```
//!
//! The head has a sum of its own, so that a record which was not written to its end (the process was killed: only what nobody was told
//! about) is told from one that was and is damaged. Why it matters: the first is cut off, the second costs a purge of everything.

use std::sync::Arc;

use larder_core::purge::{Mode, Scope};

use crate::invalidator::purge::{Purge, SCOPE_BYTES_MAX, SCOPES_MAX};
use crate::invalidator::queue::Entry;

/// What the file begins with; the digit is the format's version.
pub(super) const MAGIC: &[u8; 8] = b"LRDPURG1";

const HEAD: usize = 4 + 8 + 1 + 4 + 4;
const SUMMED: usize = 4 + 8 + 1;
const PURGE: u8 = 1;
const SETTLED: u8 = 2;

/// No record is longer: one that says so is damaged.
const BODY_BYTES_MAX: usize = 12 + SCOPES_MAX * (4 + 2 + SCOPE_BYTES_MAX);

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Purge(Entry),
    /// Whatever has this id or a smaller one.
    Settled(u64),
}

/// What lies at a place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record, and how many bytes it takes.
    Record(Record, usize),
    /// Nothing more.
    End,
    /// The beginning of a record that was not written to its end.
    Torn,
    /// Something that was never written so.
    Damaged(&'static str),
}

/// Appends a purge's record.
pub(super) fn write_purge(entry: &Entry, to: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&entry.asked_ms.to_le_bytes());
    let count = u32::try_from(entry.purge.scopes().len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&count.to_le_bytes());
    for scope in entry.purge.scopes() {
        let encoded = scope.encode(entry.purge.mode());
        let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&encoded);
    }
    write(PURGE, entry.id, &body, to);
}

/// Appends the record that says what is done with.
pub(super) fn write_settled(through: u64, to: &mut Vec<u8>) {
    write(SETTLED, through, &[], to);
}

fn write(kind: u8, id: u64, body: &[u8], to: &mut Vec<u8>) {
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&id.to_le_bytes());
    head.push(kind);
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    to.extend_from_slice(&head);
    to.extend_from_slice(body);
}

/// Reads what lies at the beginning of `rest`, which is the file from some record's beginning on.
pub(super) fn read(rest: &[u8]) -> Next {
    if rest.is_empty() {
        return Next::End;
    }
    // A file system may have made the file longer before the power went, and not written to it. Whoever was told that his purge is
    // kept was told after both.
    if rest.iter().all(|byte| *byte == 0) {
        return Next::Torn;
    }
    let Some((head, after)) = rest.split_at_checked(HEAD) else { return Next::Torn };
    let mut fields = Reader(head);
    let (Some(length), Some(id), Some(kind), Some(head_sum), Some(body_sum)) =
        (fields.u32(), fields.u64(), fields.u8(), fields.u32(), fields.u32())
    else {
        return Next::Torn;
    };
    if head.get(..SUMMED).map(crc32fast::hash) != Some(head_sum) {
        return Next::Damaged("the checksum of a record's head is wrong");
    }
    let length = length as usize;
    if length > BODY_BYTES_MAX {
        return Next::Damaged("a record is too long");
    }
    let Some(body) = after.get(..length) else { return Next::Torn };
    if crc32fast::hash(body) != body_sum {
        return Next::Damaged("the checksum of a record's body is wrong");
    }
    let record = match kind {
        PURGE => purge(body).map(|(asked_ms, purge)| Record::Purge(Entry { id, asked_ms, purge: Arc::new(purge) })),
        SETTLED if body.is_empty() => Some(Record::Settled(id)),
        _ => None,
    };
    record.map_or(Next::Damaged("a record holds nothing that this version writes"), |record| {
        Next::Record(record, HEAD + length)
    })
}

fn purge(body: &[u8]) -> Option<(u64, Purge)> {
    let mut fields = Reader(body);
    let asked_ms = fields.u64()?;
    let count = fields.u32()? as usize;
    let (mut scopes, mut mode_read) = (Vec::new(), Mode::Hard);
    for _ in 0..count {
        let length = fields.u32()? as usize;
        let (scope, mode) = Scope::decode(fields.take(length)?)?;
        mode_read = mode;
        scopes.push(scope);
    }
    (fields.0.is_empty() && !scopes.is_empty()).then(|| (asked_ms, Purge::of(scopes, mode_read)))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(random: &mut fastrand::Rng, id: u64) -> Entry {
        let text = |random: &mut fastrand::Rng| -> String {
            let length = random.usize(1..40);
            std::iter::repeat_with(|| random.char('\u{1}'..'\u{2fff}')).take(length).collect()
        };
        let scopes = (0..random.usize(1..5)).map(|_| match random.u8(0..4) {
            0 => Scope::Tag(text(random)),
            1 => Scope::Url(text(random)),
            2 => Scope::Prefix(text(random)),
            _ => Scope::All,
        });
        let scopes: Vec<Scope> = scopes.collect();
        let mode = if random.bool() { Mode::Soft } else { Mode::Hard };
        Entry { id, asked_ms: random.u64(..), purge: Arc::new(Purge::of(scopes, mode)) }
    }

    fn written(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for record in records {
            match record {
                Record::Purge(entry) => write_purge(entry, &mut bytes),
                Record::Settled(id) => write_settled(*id, &mut bytes),
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn some_records(random: &mut fastrand::Rng) -> Vec<Record> {
        let one = |id: u64| {
            if random.u8(0..4) == 0 { Record::Settled(id) } else { Record::Purge(entry(random, id)) }
        };
        (1..12).map(one).collect()
    }

    /// Reads to the end of what can be read.
    fn read_all(bytes: &[u8]) -> (Vec<Record>, usize, Next) {
        let (mut records, mut at) = (Vec::new(), 0);
        loop {
            match read(&bytes[at..]) {
                Next::Record(record, length) => {
                    records.push(record);
                    at += length;
                }
                other => return (records, at, other),
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for seed in 0..200 {
            let records = some_records(&mut fastrand::Rng::with_seed(seed));
            let (bytes, _) = written(&records);
            assert_eq!(read_all(&bytes), (records, bytes.len(), Next::End), "seed {seed}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_torn_there_and_whole_before() {
        for seed in 0..20 {
            let records = some_records(&mut fastrand::Rng::with_seed(seed));
            let (bytes, ends) = written(&records);
            for cut in 0..bytes.len() {
                let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
                let last = if ends[whole] == cut { Next::End } else { Next::Torn };
                let want = (records[..whole].to_vec(), ends[whole], last);
                assert_eq!(read_all(&bytes[..cut]), want, "seed {seed}, cut at {cut}");
                // As a file system leaves it that has only made the file longer.
                if ends[whole] == cut {
                    let longer = [&bytes[..cut], &[0; 300]].concat();
                    assert_eq!(read_all(&longer), (records[..whole].to_vec(), cut, Next::Torn), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn no_changed_bit_passes_as_whole_or_torn() {
        for seed in 0..4 {
            let records = some_records(&mut fastrand::Rng::with_seed(seed));
            let (bytes, ends) = written(&records);
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1 << bit;
                    let (read, end, last) = read_all(&changed);
                    let before = ends.iter().filter(|end| **end <= at).count() - 1;
                    assert_eq!((read.len(), end), (before, ends[before]), "seed {seed}, bit {bit} of byte {at}");
                    assert!(matches!(last, Next::Damaged(_)), "seed {seed}, bit {bit} of byte {at}: {last:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_panics_on_garbage() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let length = random.usize(..200);
            let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            read(&bytes);
            // With a head that is right, so that the body is looked at.
            let mut record = Vec::new();
            write(random.u8(..4), random.u64(..), &bytes, &mut record);
            read(&record);
            bytes.clear();
        }
    }
}
