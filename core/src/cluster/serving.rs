//! A node's answer to a client, in plain HTTP: what is stored, with conditions, ranges and HEAD as RFC 9110 has them.
//!
//! Envoy sends requests for large stored responses here, on a worker's word that what is stored may be used. The worker
//! rewrites the head on its way back as its policy says, and adds `Cache-Status`: the node says nothing of its own.

use std::sync::Arc;

use crate::entry::Entry;
use crate::exchange::{Reply, from_stored};
use crate::field::cache_status::CacheStatus;
use crate::fields::RequestHead;
use crate::judged::Judged;
use crate::purge::Standing;
use crate::shelf::Variant;
use crate::time::Timestamp;

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
    use crate::purge::Position;
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
}
