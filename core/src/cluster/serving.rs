//! A node's answer to a client, in plain HTTP: what is stored, with conditions, ranges and HEAD as RFC 9110 has them.
//!
//! Envoy sends requests for large stored responses here, on a worker's word that what is stored may be used. The worker
//! rewrites the head on its way back as its policy says, and adds `Cache-Status`: the node says nothing of its own.

use std::sync::Arc;

use crate::entry::Entry;
use crate::exchange::{Reply, from_stored};
use crate::field::cache_status::CacheStatus;
use crate::fields::{Fields, RequestHead};
use crate::judged::Judged;
use crate::purge::{Position, Sequence, Standing};
use crate::shelf::Variant;
use crate::time::Timestamp;

/// What a node says of a stored response that it serves, for the worker that has sent the request its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// When the response was received, by the clock of the cluster: tells it from others under the same key.
    pub received: Option<Timestamp>,
    /// Covered by no purge up to here, be it hard or soft.
    pub good_at: Option<Position>,
}

/// When the response was received, in milliseconds since 1970.
const RECEIVED: &str = "x-larder-received";
/// Up to where in which purge log it is good.
const GOOD_AT: &str = "x-larder-good-at";

impl Label {
    /// Writes it into a response's fields.
    pub fn put(&self, fields: &mut Fields) {
        if let Some(received) = self.received {
            fields.set(RECEIVED, received.0.to_string());
        }
        if let Some(Position { log, sequence }) = self.good_at {
            fields.set(GOOD_AT, format!("{log}.{}", sequence.0));
        }
    }

    /// Takes it out of a response's fields. What cannot be read was not said.
    pub fn take(fields: &mut Fields) -> Self {
        let text = |name| std::str::from_utf8(fields.first(name)?).ok();
        let position = |text: &str| {
            let (log, sequence) = text.split_once('.')?;
            Some(Position { log: log.parse().ok()?, sequence: Sequence(sequence.parse().ok()?) })
        };
        let received = text(RECEIVED).and_then(|text| text.parse().ok()).map(Timestamp);
        let label = Self { received, good_at: text(GOOD_AT).and_then(position) };
        fields.remove(RECEIVED);
        fields.remove(GOOD_AT);
        label
    }
}

/// The reply that a stored response gives to a request now. 200, 206, 304, 412 or 416, or the status that was stored.
pub fn serve(entry: Entry, request: &RequestHead, now: Timestamp) -> Reply {
    let judged = Judged::as_stored(&entry);
    let upstream = judged.upstream_status.clone();
    let variant = Variant { entry: Arc::new(entry), judged: Arc::new(judged), standing: Standing::default() };
    let mut reply = from_stored(request, &variant, now, CacheStatus::default());
    reply.extra.remove("cache-status");
    if let Some(upstream) = upstream {
        reply.extra.add("cache-status", upstream);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::age::Times;
    use crate::decide::vary::VaryKey;
    use crate::entry::Facts;
    use crate::testing::fields;
    use crate::time::Seconds;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn entry() -> Entry {
        let sent = Timestamp::from_secs(100);
        Entry::new(Facts {
            url: "http://h/a".into(),
            status: 200,
            fields: fields(&[("etag", "\"v\""), ("content-type", "text/plain"), ("cache-status", "Origin; hit")]),
            body: "0123456789".into(),
            times: Times { request: sent, response: sent, date: None, age: Seconds::ZERO },
            vary: VaryKey::default(),
            tags: vec![],
            position: Position::default(),
            made_etag: false,
            identified: false,
            personal: false,
        })
    }

    fn served(method: &str, lines: &[(&str, &str)]) -> Reply {
        let request = RequestHead { method: method.into(), fields: fields(lines), ..RequestHead::default() };
        serve(entry(), &request, Timestamp::from_secs(107))
    }

    fn field(reply: &Reply, name: &str) -> Option<String> {
        let found = reply.fields().find(|field| field.name == name)?;
        Some(String::from_utf8_lossy(&found.value).into_owned())
    }

    #[test]
    fn the_whole_with_its_age_and_nothing_about_the_node() {
        let reply = served("GET", &[]);
        assert_eq!((reply.status, reply.body()), (200, &b"0123456789"[..]));
        assert_eq!(field(&reply, "age").as_deref(), Some("7"));
        assert_eq!(field(&reply, "cache-status").as_deref(), Some("Origin; hit"));
    }

    #[test]
    fn conditions_ranges_and_head() {
        assert_eq!(served("GET", &[("if-none-match", "\"v\"")]).status, 304);
        assert_eq!(served("GET", &[("if-match", "\"w\"")]).status, 412);
        let part = served("GET", &[("range", "bytes=2-4")]);
        assert_eq!((part.status, part.body()), (206, &b"234"[..]));
        assert_eq!(served("GET", &[("range", "bytes=50-")]).status, 416);
        assert!(served("HEAD", &[]).head_only);
    }

    #[test]
    fn what_a_node_says_is_read_as_it_was_written_and_does_not_stay() {
        let position = Position { log: u64::MAX, sequence: Sequence(7) };
        let whole = Label { received: Some(Timestamp(1_795_657_815_123)), good_at: Some(position) };
        for label in [whole, Label { good_at: None, ..whole }, Label::default()] {
            let mut fields = fields(&[("etag", "\"v\"")]);
            label.put(&mut fields);
            assert_eq!((Label::take(&mut fields), fields.len()), (label, 1));
        }
        for bad in ["", "1", "1.", ".1", "1.x", "-1.2", "1.2.3", "99999999999999999999.1"] {
            let mut fields = fields(&[(GOOD_AT, bad), (RECEIVED, bad)]);
            let label = Label::take(&mut fields);
            assert_eq!((label.good_at, fields.len()), (None, 0), "{bad}");
        }
    }
}
