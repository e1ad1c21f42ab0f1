//! What is measured: a browser's request, an entry as origins make them, a policy of any size, a worker that has something stored.

use std::sync::Arc;

use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, Facts};
use larder_core::judged::Judged;
use larder_core::key::Key;
use larder_core::purge::{Position, Standing};
use larder_core::shelf::Variant;
use larder_core::time::{Seconds, Timestamp};
use larder_core::{Policy, RequestHead};

use crate::world::{self, Lines, World};

pub const NOW: Timestamp = Timestamp(1_767_225_600_000);
pub const BODY: &str = "{\"id\":7,\"name\":\"product 7\",\"cents\":259}";
/// The fields of an origin's answer.
pub const ORIGIN: Lines<'static> = &[
    ("content-type", "application/json"),
    ("cache-control", "max-age=3600"),
    ("etag", "\"one\""),
    ("last-modified", "Sun, 22 Nov 2026 19:22:00 GMT"),
    ("server", "nginx"),
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
];
/// What a browser sends along.
pub const BROWSER: Lines<'static> = &[
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-US,en;q=0.5"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("referer", "http://localhost/catalogue"),
    ("x-request-id", "5a0f3c1e-8c2b-4d53-9c39-0d2f1a7b6c55"),
    ("x-forwarded-proto", "http"),
];
const POLICY: &str = r#"{ "version": 1, "name": "hot",
    "routes": [
      { "name": "item", "path": "/items/{id}", "class": "catalog", "ttl": "1h", "tags": ["item:{id}"] },
      { "name": "account", "path": "/account", "class": "never" } ] }"#;

/// A template with a tag, and a route that is never cached.
pub fn policy() -> String {
    POLICY.to_owned()
}

/// A browser's request with these fields besides.
pub fn browser(target: &str, more: Lines<'_>) -> RequestHead {
    RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: target.into(),
        fields: world::fields(&[BROWSER, more].concat()),
        has_body: false,
    }
}

/// A worker that has `/items/7`.
pub fn warm() -> World {
    let mut world = World::new("");
    world.policy = Arc::new(Policy::parse(&policy()).unwrap_or_else(|errors| panic!("{errors}")));
    world.now = NOW;
    world.fetch(("GET", "/items/7", BROWSER), 200, ORIGIN, BODY);
    world
}

/// A policy of so many routes, each with a template of its own.
pub fn policy_of_routes(routes: usize) -> String {
    let route = |number| {
        format!(
            r#"{{"name":"route-{number}","path":"/v1/kind-{number}/{{id}}","class":"catalog","tags":["kind:{{id}}"]}}"#
        )
    };
    let routes: Vec<String> = (0..routes).map(route).collect();
    format!(r#"{{"version":1,"name":"large","routes":[{}]}}"#, routes.join(","))
}

/// An entry with five tags and a body of so many bytes.
pub fn entry(number: u32, bytes: usize) -> Entry {
    Entry::new(Facts {
        url: format!("http://h.example/items/{number}"),
        status: 200,
        fields: world::fields(ORIGIN),
        body: vec![b'x'; bytes].into(),
        times: Times { request: NOW, response: NOW, date: Some(NOW), age: Seconds::ZERO },
        vary: VaryKey::of(&["accept-encoding".into()], &world::fields(&[])),
        tags: (0..5).map(|tag| format!("tag:{tag}")).collect(),
        position: Position::default(),
        made_etag: false,
        identified: false,
        personal: false,
    })
}

/// The same, judged by a policy that does what the origin says; selected by a request that names no codings.
pub fn variant(number: u32) -> Variant {
    let policy = Policy::parse(r#"{"version":1,"name":"plain"}"#).unwrap_or_else(|errors| panic!("{errors}"));
    let entry = Entry::new(Facts { vary: VaryKey::of(&[], &world::fields(&[])), ..entry(number, 1024).into_facts() });
    let judged = Judged::new(policy.unmatched(), 1, &[], &entry);
    Variant { entry: Arc::new(entry), judged: Arc::new(judged), standing: Standing::default() }
}

/// A key of a length as they have.
pub fn key(number: u32) -> Key {
    Key::from_bytes(format!("\u{1}s\0\0\0\u{4}httpa\0\0\0\u{9}h.examplep\0\0\0\u{9}/v1/items/{number:08}").as_bytes())
}
