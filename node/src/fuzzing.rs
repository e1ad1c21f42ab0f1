//! For the crate `fuzz/` alone: what reads bytes from files and from other servers, which nobody else needs to reach. Each function reads
//! and gives back what would be written of what was read, so that the two can be compared. Holds no expectation of its own.

use std::time::Duration;

use bytes::Bytes;
use larder_core::purge::{Mode, Record, Scope, Sequence};
use larder_core::time::Timestamp;

use crate::log::LogId;
use crate::store::Name;

/// The head of a record in a segment file, written again.
pub fn segment_head(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    crate::store::disk::record::Head::decode(bytes)?.encode(&mut out);
    Some(out)
}

/// A record for a segment file, and whether it vouches for its own value; `None` where the name is none.
pub fn segment_record(name: &str, value: &[u8], until: Timestamp) -> Option<(Vec<u8>, bool)> {
    let head = crate::store::disk::record::Head::put(&Name::new(name)?, value, until)?;
    let mut out = Vec::new();
    head.encode(&mut out);
    Some((out, head.vouches_for(value)))
}

/// What is in the file of a purge log.
#[derive(Debug)]
pub enum PurgeLog {
    /// A log: identity, floor, records, where the last whole frame ends, whether anything follows.
    Log(u64, Sequence, Vec<Record>, u64, bool),
    /// Where it is damaged.
    Damaged(u64),
}

/// Reads the file of a purge log. Bytes in memory give no error; `None` would be one.
pub fn purge_log(bytes: &[u8]) -> Option<PurgeLog> {
    use crate::log::disk::file::{Found, read};
    Some(match read(bytes).ok()? {
        Found::Log { log, floor, records, end, torn } => PurgeLog::Log(log.0, floor, records, end, torn),
        Found::Damaged { at, .. } => PurgeLog::Damaged(at),
    })
}

/// Writes the file of a purge log, an append at a time; `None` where it cannot be.
pub fn purge_log_of(log: u64, floor: Sequence, appends: &[Vec<(Scope, Mode)>]) -> Option<Vec<u8>> {
    let mut out = crate::log::disk::file::head(LogId(log), floor);
    let mut next = floor.0;
    for append in appends {
        let purges: Vec<Vec<u8>> = append.iter().map(|(scope, mode)| scope.encode(*mode)).collect();
        crate::log::disk::file::write_frame(&mut out, Sequence(next.checked_add(1)?), &purges).ok()?;
        next = next.checked_add(purges.len() as u64)?;
    }
    Some(out)
}

/// The records in an answer of Redis to XREAD (RESP). `Err` says why it is none.
pub fn purges_from_redis(answer: &[u8]) -> Result<Vec<Record>, String> {
    let value = redis::parse_redis_value(answer).map_err(|error| error.to_string())?;
    let entries = crate::log::redis::entry::read(value)?;
    Ok(entries.into_iter().map(|entry| entry.record).collect())
}

/// A value as Redis is given it.
pub fn for_redis(value: &[u8]) -> Vec<u8> {
    crate::store::redis::form::wrap(value)
}

/// A value that came from Redis.
pub fn from_redis(item: &[u8]) -> Option<Bytes> {
    crate::store::redis::form::unwrap(item.to_vec())
}

/// A value as Memcached is given it, in one item.
pub fn for_memcached(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let before = crate::store::memcached::form::before_whole(&Name::new(name)?, value);
    Some([&before[..], value].concat())
}

/// An item that Memcached had under a name, written again; a large value's head is followed by its parts' names.
pub fn from_memcached(name: &str, item: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    use crate::store::memcached::form::{Form, read};
    let name = Name::new(name)?;
    match read(&name, &Bytes::copy_from_slice(item))? {
        Form::Whole(value) => Some((for_memcached(name.as_str(), &value)?, Vec::new())),
        Form::Parts(head) => Some((head.encode().to_vec(), head.keys(&name))),
    }
}

/// The index of a slot, written again.
pub fn slot_index(bytes: &[u8]) -> Option<Bytes> {
    crate::slot::Index::decode(&Bytes::copy_from_slice(bytes)).map(|index| index.encode())
}

/// A policy's record on disk: whether it is one. `Err` says why not.
pub fn policy_record(bytes: &[u8]) -> Result<String, String> {
    let record = crate::policies::disk::file::read(bytes)?;
    serde_json::to_string(&record).map_err(|error| error.to_string())
}

/// The frames of a file of analytics: kind and body of each, put together again, and how many bytes belong to none.
pub fn frames(bytes: &[u8]) -> (Vec<u8>, usize) {
    crate::analytics::fuzzing::frames(bytes)
}

/// Reads an entry of the board. Gives its values, URLs and marks by number.
pub fn board_entry(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    crate::analytics::fuzzing::entry(bytes)
}

/// A mark of analytics, written again.
pub fn mark(bytes: &[u8]) -> Option<Vec<u8>> {
    crate::analytics::fuzzing::mark(bytes)
}

/// A packed column: its cells, and the same packed again.
pub fn column(bytes: &[u8]) -> (Vec<(u32, u64)>, Vec<u8>) {
    crate::analytics::fuzzing::column(bytes)
}

/// The address of a store as an operator writes it: whether it is one. `Err` says why not.
pub fn redis_address(url: &str) -> Result<String, String> {
    crate::redis_link::Address::parse(url, Duration::from_millis(250)).map(|address| format!("{address:?}"))
}

/// An address for logs and messages: without what is secret.
pub fn redacted(url: &str) -> String {
    crate::redis_link::redacted(url)
}

/// Tokens as a file has them. `Err` says why they are none.
pub fn tokens(file: &[u8]) -> Result<(), String> {
    let listed: Vec<crate::tokens::Listed> = serde_json::from_slice(file).map_err(|error| error.to_string())?;
    crate::tokens::Tokens::new(&listed).map(|_| ())
}

/// The index of a slot from what its checksum covers.
pub fn slot_index_of(covered: &[u8]) -> Vec<u8> {
    crate::slot::Index::front(covered)
}
