//! One entry on the board: what workers have reported to one node in one second, in the frames that files have.

use larder_core::binary::{Reader, put, put_len};
use larder_core::cluster::message::ReportedKey;

use super::super::column::Cells;
use super::super::disk::{form, frame};
use super::super::marks::Mark;
use super::super::names::{Kind, Names};

/// A frame that says whose entry it is.
const HEAD: u8 = 16;
/// A frame with URLs.
const KEYS: u8 = 17;

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::analytics) struct Entry {
    /// Random, another one each time that a node starts.
    pub(in crate::analytics) run: u64,
    /// Random, the same for as long as the node has its folder.
    pub(in crate::analytics) home: u64,
    /// Counts the run's entries.
    pub(in crate::analytics) number: u64,
    /// The node's name.
    pub(in crate::analytics) node: String,
    /// The second's begin, in milliseconds since 1970.
    pub(in crate::analytics) at_ms: u64,
    pub(in crate::analytics) values: Vec<(Kind, String, u64)>,
    pub(in crate::analytics) keys: Vec<ReportedKey>,
    pub(in crate::analytics) marks: Vec<Mark>,
}

/// What an entry says beside its values.
pub(in crate::analytics) struct Head<'a> {
    pub(in crate::analytics) run: u64,
    pub(in crate::analytics) home: u64,
    pub(in crate::analytics) number: u64,
    pub(in crate::analytics) node: &'a str,
    pub(in crate::analytics) at_ms: u64,
}

/// Writes an entry. Values whose series is not known are left out.
pub(in crate::analytics) fn encode(
    head: &Head<'_>,
    cells: &Cells,
    names: &Names,
    keys: &[ReportedKey],
    marks: &[Mark],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = [head.run, head.home, head.number, head.at_ms].map(u64::to_le_bytes).concat();
    put(&mut body, head.node.as_bytes());
    frame::put(&mut out, HEAD, &body);
    for series in cells.keys().filter_map(|id| names.by_id(*id)) {
        frame::put(&mut out, form::NAME, &form::name(series));
    }
    frame::put(&mut out, form::COLUMN, &form::column(head.at_ms, head.number, cells));
    let mut body = Vec::new();
    put_len(&mut body, keys.len());
    for key in keys {
        put(&mut body, key.url.as_bytes());
        put(&mut body, key.labels.as_bytes());
        body.extend_from_slice(&key.requests.to_le_bytes());
        body.extend_from_slice(&key.hits.to_le_bytes());
    }
    frame::put(&mut out, KEYS, &body);
    for mark in marks {
        frame::put(&mut out, form::MARK, &mark.encode());
    }
    out
}

/// Reads an entry; `None` where it is none. What another node can write, anybody could have written.
pub(in crate::analytics) fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut frames = frame::Frames::new(bytes);
    let (HEAD, body) = frames.next()? else { return None };
    let mut reader = Reader::new(body.to_vec().into());
    let (run, home, number, at_ms) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
    let mut entry = Entry { run, home, number, node: reader.text()?, at_ms, ..Entry::default() };
    let mut names = std::collections::HashMap::new();
    for (kind, body) in frames {
        match kind {
            form::NAME => {
                let series = form::read_name(body)?;
                names.insert(series.id, (series.kind, series.name));
            }
            form::COLUMN => {
                let cells = form::read_column(body)?.cells;
                let named = cells.into_iter().filter_map(|(id, value)| Some((names.get(&id)?, value)));
                entry.values.extend(named.map(|((kind, name), value)| (*kind, name.to_string(), value)));
            }
            KEYS => entry.keys.extend(read_keys(body)?),
            form::MARK => entry.marks.push(Mark::decode(body)?),
            // Of a later version.
            _ => {}
        }
    }
    Some(entry)
}

fn read_keys(body: &[u8]) -> Option<Vec<ReportedKey>> {
    let mut reader = Reader::new(body.to_vec().into());
    let mut keys = Vec::new();
    for _ in 0..reader.list()? {
        let (url, labels) = (reader.text()?, reader.text()?);
        keys.push(ReportedKey { url, labels, requests: reader.u64()?, hits: reader.u64()? });
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::marks::Happened;

    fn written() -> (Vec<u8>, Entry) {
        let mut names = Names::new(8);
        let mut cells = Cells::new();
        for (kind, name, value) in
            [(Kind::Counter, "larder_requests_total;route=a", 7), (Kind::Gauge, "larder_l1_bytes", 0)]
        {
            cells.insert(names.number(kind, name).expect("room"), value);
        }
        cells.insert(99, 1);
        let keys = [ReportedKey { url: "http://h/a".into(), labels: ";route=a".into(), requests: 7, hits: 3 }];
        let marks = [Mark::told(9_000, Happened::Warm, "http://h/a", None)];
        let head = Head { run: 5, home: 4, number: 6, node: "n1", at_ms: 9_000 };
        let bytes = encode(&head, &cells, &names, &keys, &marks);
        let values = vec![
            (Kind::Counter, "larder_requests_total;route=a".to_owned(), 7),
            (Kind::Gauge, "larder_l1_bytes".to_owned(), 0),
        ];
        let entry = Entry {
            run: 5,
            home: 4,
            number: 6,
            node: "n1".into(),
            at_ms: 9_000,
            values,
            keys: keys.into(),
            marks: marks.into(),
        };
        (bytes, entry)
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let (bytes, entry) = written();
        assert_eq!(decode(&bytes), Some(entry));
    }

    #[test]
    fn whatever_else_stands_there_does_no_harm() {
        let (bytes, entry) = written();
        for end in 0..bytes.len() {
            // Cut short, it has less in it.
            if let Some(part) = decode(&bytes[..end]) {
                assert!(part.values.iter().all(|value| entry.values.contains(value)));
            }
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            if let Some(part) = decode(&damaged) {
                assert!(part.values.iter().all(|value| entry.values.contains(value)), "{at}");
            }
        }
        assert_eq!(decode(b""), None);
    }
}
