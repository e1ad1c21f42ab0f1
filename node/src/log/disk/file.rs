//! The file of a log: what is written, and what is made of what is found.
//!
//! A head (identity, floor), then frames, one per append, each with two checksums: one over its own head, so that its length can
//! be trusted, one over its body. A crash can cut the last frame short, never bend one: a frame that ends beyond the file's end,
//! or nothing but zeros to the end, is a torn tail that nobody had acknowledged. Anything else that does not check is damage, and
//! then no number after it can be trusted.

use std::io::{self, Read, Write};

use larder_core::purge::{Mode, Record, Scope, Sequence};

use crate::log::{APPEND_MAX, LogId, PURGE_BYTES_MAX};

const MAGIC: &[u8; 16] = b"larder purges 1\n";
const HEAD_BYTES: usize = MAGIC.len() + 8 + 8 + 4;
const FRAME_HEAD_BYTES: usize = 4 + 8 + 4 + 4 + 4;
const FRAME_BODY_BYTES_MAX: usize = APPEND_MAX * (4 + PURGE_BYTES_MAX);

/// What a file holds.
#[derive(Debug)]
pub enum Found {
    /// A log.
    Log {
        /// Its identity.
        log: LogId,
        /// The number before the first record.
        floor: Sequence,
        /// All its records.
        records: Vec<Record>,
        /// Where the last whole frame ends.
        end: u64,
        /// Whether there is something after that: an append that was cut short.
        torn: bool,
    },
    /// Something that cannot be trusted.
    Damaged {
        /// Where the first bad frame begins.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
}

/// A log's head as bytes.
pub fn head(log: LogId, floor: Sequence) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&log.0.to_le_bytes());
    bytes.extend_from_slice(&floor.0.to_le_bytes());
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Writes one append: purges as `Scope::encode` gives them, the first of which has the number `first`.
pub fn write_frame(out: &mut impl Write, first: Sequence, purges: &[Vec<u8>]) -> io::Result<()> {
    let mut body = Vec::new();
    for purge in purges {
        body.extend_from_slice(&length(purge.len())?.to_le_bytes());
        body.extend_from_slice(purge);
    }
    let mut head = Vec::with_capacity(FRAME_HEAD_BYTES);
    head.extend_from_slice(&length(body.len())?.to_le_bytes());
    head.extend_from_slice(&first.0.to_le_bytes());
    head.extend_from_slice(&length(purges.len())?.to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    out.write_all(&head)?;
    out.write_all(&body)
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "longer than 4 GiB"))
}

/// Reads a whole file.
pub fn read(mut file: impl Read) -> io::Result<Found> {
    let mut bytes = Vec::new();
    take(&mut file, HEAD_BYTES, &mut bytes)?;
    let Some((log, floor)) = parse_head(&bytes) else {
        return Ok(Found::Damaged { at: 0, why: "not the head of a purge log" });
    };
    let mut at = HEAD_BYTES as u64;
    let mut records = Vec::new();
    let mut next = floor.0.saturating_add(1);
    loop {
        take(&mut file, FRAME_HEAD_BYTES, &mut bytes)?;
        if bytes.len() < FRAME_HEAD_BYTES {
            return Ok(Found::Log { log, floor, records, end: at, torn: !bytes.is_empty() });
        }
        let Some(frame) = FrameHead::parse(&bytes) else {
            if bytes.iter().all(|byte| *byte == 0) && only_zeros(&mut file)? {
                return Ok(Found::Log { log, floor, records, end: at, torn: true });
            }
            return Ok(Found::Damaged { at, why: "a frame's head does not check" });
        };
        take(&mut file, frame.body_bytes, &mut bytes)?;
        if bytes.len() < frame.body_bytes {
            return Ok(Found::Log { log, floor, records, end: at, torn: true });
        }
        if crc32fast::hash(&bytes) != frame.body_sum {
            return Ok(Found::Damaged { at, why: "a frame's body does not check" });
        }
        let Some(purges) = parse_body(&bytes, frame.count).filter(|_| frame.first == next) else {
            return Ok(Found::Damaged { at, why: "a frame is not the one that comes next" });
        };
        for (scope, mode) in purges {
            records.push(Record { sequence: Sequence(next), scope, mode });
            next = next.saturating_add(1);
        }
        at += (FRAME_HEAD_BYTES + frame.body_bytes) as u64;
    }
}

/// Up to `count` bytes, fewer only at the end.
fn take(file: &mut impl Read, count: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    file.by_ref().take(count as u64).read_to_end(bytes)?;
    Ok(())
}

fn only_zeros(file: &mut impl Read) -> io::Result<bool> {
    let mut rest = Vec::new();
    loop {
        take(file, 64 << 10, &mut rest)?;
        if rest.is_empty() {
            return Ok(true);
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

fn parse_head(bytes: &[u8]) -> Option<(LogId, Sequence)> {
    let (checked, sum) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = checked.split_first_chunk::<16>()?;
    let (log, rest) = rest.split_first_chunk::<8>()?;
    let (floor, rest) = rest.split_first_chunk::<8>()?;
    let whole = magic == MAGIC && rest.is_empty() && u32::from_le_bytes(*sum) == crc32fast::hash(checked);
    let log = u64::from_le_bytes(*log);
    (whole && log != 0).then(|| (LogId(log), Sequence(u64::from_le_bytes(*floor))))
}

struct FrameHead {
    body_bytes: usize,
    first: u64,
    count: usize,
    body_sum: u32,
}

impl FrameHead {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (checked, sum) = bytes.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != crc32fast::hash(checked) {
            return None;
        }
        let (body_bytes, rest) = checked.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let body_sum = rest.first_chunk::<4>()?;
        let body_bytes = usize::try_from(u32::from_le_bytes(*body_bytes)).ok()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let first = u64::from_le_bytes(*first);
        let fits = body_bytes <= FRAME_BODY_BYTES_MAX && count <= APPEND_MAX;
        fits.then(|| Self { body_bytes, first, count, body_sum: u32::from_le_bytes(*body_sum) })
    }
}

fn parse_body(mut bytes: &[u8], count: usize) -> Option<Vec<(Scope, Mode)>> {
    let mut purges = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (purge, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        purges.push(Scope::decode(purge)?);
        bytes = rest;
    }
    (purges.len() == count).then_some(purges)
}
