//! What a node reads from its disk and from other servers: segment files, purge logs, policies' records, analytics, items of Memcached and
//! Redis, addresses and tokens. Anything may stand there; what is taken for something is what would be written of it.

use larder_core::purge::{Mode, Scope, Sequence};
use larder_core::time::Timestamp;
use larder_node::fuzzing::{self, PurgeLog};

use crate::input::Input;

const NAMES: [&str; 4] =
    ["a", "name-of.a_key", "0123456789012345678901234567890123456789012345678901234567890123", "é"];

/// The first byte chooses what reads the rest.
pub fn run(data: &[u8]) {
    let Some((reader, bytes)) = data.split_first() else { return };
    match reader % 12 {
        0 => segment(bytes),
        1 => written_segment(&mut Input::new(bytes)),
        2 => purge_log(bytes),
        3 => written_purge_log(&mut Input::new(bytes)),
        4 => caches(bytes),
        5 => drop(fuzzing::purges_from_redis(bytes)),
        6 => slot_index(bytes),
        7 => policy_record(bytes),
        8 => frames(bytes),
        9 => column(bytes),
        10 => mark(bytes),
        _ => addresses(bytes),
    }
}

fn segment(bytes: &[u8]) {
    if let Some(again) = fuzzing::segment_head(bytes) {
        assert!(bytes.starts_with(&again), "a head has one form");
    }
}

fn written_segment(input: &mut Input<'_>) {
    let (name, until, at, bend) = (input.one_of(&NAMES), Timestamp(input.number()), input.byte(), input.byte());
    let value = input.rest();
    let Some((record, vouches)) = fuzzing::segment_record(name, value, until) else {
        assert_eq!(name, NAMES[3], "the others are names");
        return;
    };
    assert!(vouches);
    assert_eq!(fuzzing::segment_head(&record).as_ref(), Some(&record));
    let mut bent = record.clone();
    let at = usize::from(at) % bent.len();
    bent[at] ^= bend.max(1);
    assert_eq!(fuzzing::segment_head(&bent), None, "byte {at} is bent");
    assert_eq!(fuzzing::segment_head(&record[..at]), None, "cut at {at}");
}

fn purge_log(bytes: &[u8]) {
    match fuzzing::purge_log(bytes).expect("memory can be read") {
        PurgeLog::Log(log, floor, records, end, torn) => {
            assert!(log != 0 && end <= bytes.len() as u64 && torn == (end < bytes.len() as u64));
            for (at, record) in records.iter().enumerate() {
                assert_eq!(record.sequence.0, floor.0.saturating_add(1).saturating_add(at as u64), "in order");
            }
        }
        PurgeLog::Damaged(at) => assert!(at <= bytes.len() as u64),
    }
}

fn written_purge_log(input: &mut Input<'_>) {
    let (log, floor) = (input.number().max(1), Sequence(input.number() >> 1));
    let (cut, bend) = (input.number(), input.byte());
    let mut appends = Vec::new();
    while !input.is_empty() && appends.len() < 20 {
        let purges = (0..input.below(4)).map(|_| {
            let text = input.text(20);
            let scope = match input.byte() % 4 {
                0 => Scope::Url(text),
                1 => Scope::Tag(text),
                2 => Scope::Prefix(text),
                _ => Scope::All,
            };
            (scope, if input.flag() { Mode::Soft } else { Mode::Hard })
        });
        appends.push(purges.collect::<Vec<_>>());
    }
    let file = fuzzing::purge_log_of(log, floor, &appends).expect("it can be written");
    let all: Vec<(Scope, Mode)> = appends.concat();
    let read = |file: &[u8]| match fuzzing::purge_log(file).expect("memory can be read") {
        PurgeLog::Log(read, from, records, end, torn) => {
            assert_eq!((read, from), (log, floor));
            Ok((records.into_iter().map(|record| (record.scope, record.mode)).collect::<Vec<_>>(), end, torn))
        }
        PurgeLog::Damaged(at) => Err(at),
    };
    assert_eq!(read(&file), Ok((all.clone(), file.len() as u64, false)));
    // A crash cuts the end off: what was acknowledged before is all there.
    let cut = (cut % (file.len() as u64 + 1)) as usize;
    if let Ok((records, end, torn)) = read(&file[..cut]) {
        assert!(all.starts_with(&records) && end <= cut as u64 && torn == (end < cut as u64));
    } else {
        assert!(cut < 36, "only a head that is cut is damage");
    }
    // A bent byte is found, or lies in what is left out: no other record than was written is ever read.
    if let Some(byte) = file.get(cut).copied() {
        let mut bent = file.clone();
        bent[cut] = byte ^ bend.max(1);
        if let Ok((records, _, _)) = read(&bent) {
            assert!(all.starts_with(&records), "byte {cut} is bent");
        }
    }
}

fn caches(bytes: &[u8]) {
    let wrapped = fuzzing::for_redis(bytes);
    assert_eq!(fuzzing::from_redis(&wrapped).as_deref(), Some(bytes));
    if let Some(value) = fuzzing::from_redis(bytes) {
        assert_eq!(fuzzing::for_redis(&value), bytes);
    }
    for name in &NAMES[..3] {
        let whole = fuzzing::for_memcached(name, bytes).expect("a name");
        assert_eq!(fuzzing::from_memcached(name, &whole), Some((whole.clone(), Vec::new())));
        assert_eq!(fuzzing::from_memcached("another", &whole), None, "under another name it is nothing");
        if let Some((again, parts)) = fuzzing::from_memcached(name, bytes) {
            assert_eq!(again, bytes);
            assert!(parts.len() <= 68, "64 MiB in parts of a million bytes");
        }
    }
}

fn slot_index(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), fuzzing::slot_index_of(bytes)] {
        if let Some(again) = fuzzing::slot_index(&bytes) {
            assert_eq!(again, bytes, "an index has one form");
        }
    }
}

fn policy_record(bytes: &[u8]) {
    let json = String::from_utf8_lossy(bytes);
    let sum = crc(json.as_bytes());
    for file in [bytes.to_vec(), format!("larder policy 1\n{sum:08x}\n{json}\n").into_bytes()] {
        if let Ok(json) = fuzzing::policy_record(&file) {
            let again = format!("larder policy 1\n{:08x}\n{json}\n", crc(json.as_bytes()));
            assert_eq!(fuzzing::policy_record(again.as_bytes()).as_ref(), Ok(&json));
        }
    }
}

fn frames(bytes: &[u8]) {
    let (again, skipped) = fuzzing::frames(bytes);
    assert_eq!(again.len() + skipped, bytes.len(), "every byte is in a frame or in none");
    assert_eq!(fuzzing::frames(&again), (again.clone(), 0));
    let _ = fuzzing::board_entry(bytes);
    // What stands in front costs nothing that comes after it.
    let (with, _) = fuzzing::frames(&[b"\xa7Ls\x01", &again[..]].concat());
    assert!(with.ends_with(&again));
}

fn column(bytes: &[u8]) {
    let (cells, again) = fuzzing::column(bytes);
    let (same, packed) = fuzzing::column(&again);
    // Of several values for one series, the last.
    let last: std::collections::BTreeMap<u32, u64> = cells.into_iter().collect();
    assert_eq!(same, last.into_iter().collect::<Vec<_>>());
    assert_eq!(packed, again);
}

fn mark(bytes: &[u8]) {
    if let Some(again) = fuzzing::mark(bytes) {
        assert_eq!(again, bytes, "a mark has one form");
    }
}

/// What operators write is read or refused, and no secret is shown.
fn addresses(bytes: &[u8]) {
    let _ = fuzzing::tokens(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = fuzzing::redis_address(text);
    let secret = "hUnTeR2";
    let host = text.replace(['@', '?', '/'], "");
    if host.contains(secret) {
        return;
    }
    let url = format!("redis://user:{secret}@{host}");
    if let Err(error) = fuzzing::redis_address(&url) {
        assert!(!error.contains(secret), "{error}");
    }
    assert!(!fuzzing::redacted(&url).contains(secret));
    for via in [text.parse::<larder_node::warming::Via>().map(|via| via.to_string()).ok()].into_iter().flatten() {
        assert_eq!(via.parse::<larder_node::warming::Via>().map(|via| via.to_string()).ok(), Some(via));
    }
    if let Ok(target) = text.parse::<larder_node::warming::Target>() {
        let again = target.to_string().parse::<larder_node::warming::Target>();
        assert_eq!(again.ok(), Some(target));
    }
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
