//! Entries of the stream, read back. What is in Redis may have been put there by anybody.

use larder_core::purge::{Record, Scope, Sequence};
use redis::Value;

use super::script::log_id;
use crate::log::LogId;

/// A record with what the log adds to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub log: LogId,
    pub mark: Vec<u8>,
    pub record: Record,
}

/// The entries in an answer to XREAD of one stream. An error where something else is in there.
pub(crate) fn read(answer: Value) -> Result<Vec<Entry>, &'static str> {
    let streams = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(streams) => streams,
        // RESP3.
        Value::Map(streams) => streams.into_iter().map(|(name, entries)| Value::Array(vec![name, entries])).collect(),
        _ => return Err("an odd answer to XREAD"),
    };
    let stream = streams.into_iter().next().ok_or("an answer to XREAD without a stream")?;
    let [_, Value::Array(entries)] = array(stream)? else { return Err("an odd stream") };
    entries.into_iter().map(entry).collect()
}

fn array<const N: usize>(value: Value) -> Result<[Value; N], &'static str> {
    let Value::Array(values) = value else { return Err("not an array") };
    values.try_into().map_err(|_| "an array of another length")
}

fn entry(value: Value) -> Result<Entry, &'static str> {
    let [Value::BulkString(id), Value::Array(fields)] = array(value)? else { return Err("an odd entry") };
    let sequence = std::str::from_utf8(&id).ok().and_then(|id| id.strip_prefix("0-")?.parse().ok());
    let sequence = Sequence(sequence.ok_or("an entry that the log did not number")?);
    let (mut log, mut mark, mut purge) = (None, None, None);
    for pair in fields.chunks(2) {
        let [Value::BulkString(name), Value::BulkString(value)] = pair else { return Err("an odd field") };
        match &**name {
            b"l" => log = log_id(value),
            b"m" => mark = Some(value.clone()),
            b"p" => purge = Scope::decode(value),
            _ => {}
        }
    }
    let (scope, mode) = purge.ok_or("an entry without a purge")?;
    let (log, mark) = log.zip(mark).ok_or("an entry without identity or mark")?;
    Ok(Entry { log, mark, record: Record { sequence, scope, mode } })
}

#[cfg(test)]
mod tests {
    use larder_core::purge::Mode;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(id: &str, fields: &[&str]) -> Value {
        let entry = Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())]);
        Value::Array(vec![Value::Array(vec![bulk("s"), Value::Array(vec![entry])])])
    }

    #[test]
    fn an_entry_is_read_and_anything_else_is_an_error() {
        let record = Record { sequence: Sequence(7), scope: Scope::Tag("x".into()), mode: Mode::Soft };
        let entry = Entry { log: LogId(0xab), mark: b"m1".to_vec(), record };
        assert_eq!(read(answer("0-7", &["l", "ab", "m", "m1", "p", "tsx", "new", "?"])), Ok(vec![entry]));
        assert_eq!(read(Value::Nil), Ok(vec![]));
        for (id, fields) in [
            ("1-7", &["l", "ab", "m", "m1", "p", "tsx"][..]),
            ("0-x", &["l", "ab", "m", "m1", "p", "tsx"]),
            ("0-7", &["l", "0", "m", "m1", "p", "tsx"]),
            ("0-7", &["l", "ab", "p", "tsx"]),
            ("0-7", &["l", "ab", "m", "m1"]),
            ("0-7", &["l", "ab", "m", "m1", "p", "zz"]),
            ("0-7", &["l"]),
        ] {
            assert!(read(answer(id, fields)).is_err(), "{id} {fields:?}");
        }
        assert!(read(Value::Int(1)).is_err());
        assert!(read(Value::Array(vec![])).is_err());
        assert!(read(Value::Array(vec![Value::Nil])).is_err());
    }
}
