//! How often the core asks for memory to answer from memory. The numbers are pinned: one more is a change of the product's speed.
//!
//! To update one: see what has changed (`git stash` and run this again), and
//! write the new number here together with the reason. Making the request's head is the host's part and not counted.
#![cfg(not(target_arch = "wasm32"))]
#![expect(unsafe_code, reason = "the trait of allocators is unsafe")]

#[path = "exchange/world.rs"]
#[allow(dead_code, reason = "the exchange's tests have more use for it")]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use larder_core::exchange::RequestVerdict;
use larder_core::flights::StreamId;
use larder_core::{Exchange, Policy, RequestHead, ResponseHead};

use world::{Lines, World};

/// The system's allocator, which counts what the thread that asks for it allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Not there any more while a thread ends.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the contract of the trait.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of the trait.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLICY: &str = r#"{
  "version": 1,
  "name": "allocations",
  "routes": [
    { "name": "item", "path": "/items/{id}", "class": "catalog", "ttl": "1h", "tags": ["item:{id}"] },
    { "name": "plain", "path": "/plain", "class": "catalog", "ttl": "1h" },
    { "name": "account", "path": "/account", "class": "never" }
  ]
}"#;
const BROWSER: Lines<'static> = &[
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-US,en;q=0.5"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("referer", "http://localhost/catalogue"),
];
const ORIGIN: Lines<'static> = &[
    ("content-type", "application/json"),
    ("cache-control", "max-age=3600"),
    ("etag", "\"one\""),
    ("last-modified", "Sun, 22 Nov 2026 19:22:00 GMT"),
];

fn world() -> World {
    let mut world = World::new("");
    world.policy = Arc::new(Policy::parse(POLICY).unwrap_or_else(|errors| panic!("{errors}")));
    for target in ["/items/7", "/plain"] {
        world.fetch(("GET", target, BROWSER), 200, ORIGIN, "{\"id\":7}");
    }
    world
}

fn head(target: &str, more: Lines<'_>) -> RequestHead {
    let fields = world::fields(&[BROWSER, more].concat());
    let (scheme, authority) = ("http".into(), "h.example".into());
    RequestHead { method: "GET".into(), scheme, authority, target: target.into(), fields, has_body: false }
}

/// Allocations from the head to the verdict, once tables have grown to what they need.
fn allocations(world: &mut World, target: &str, more: Lines<'_>, is_it: impl Fn(&RequestVerdict) -> bool) -> u64 {
    let mut last = 0;
    for number in 100..108 {
        let request = head(target, more);
        let mut out = Vec::new();
        let before = ALLOCATIONS.get();
        let mut exchange = Exchange::new(world.policy.clone(), StreamId(number));
        let verdict = exchange.on_request(world.now, request, &mut world.worker, &mut out);
        last = ALLOCATIONS.get() - before;
        assert!(is_it(&verdict), "{verdict:?}");
        exchange.on_close(&mut world.worker, &mut out);
    }
    last
}

fn replies(status: u16) -> impl Fn(&RequestVerdict) -> bool {
    move |verdict| matches!(verdict, RequestVerdict::Respond(reply) if reply.status == status)
}

#[test]
fn a_hit_of_a_plain_path_allocates_this_often() {
    assert_eq!(allocations(&mut world(), "/plain", &[], replies(200)), 6);
}

#[test]
fn a_hit_of_a_template_allocates_this_often() {
    assert_eq!(allocations(&mut world(), "/items/7", &[], replies(200)), 9);
}

#[test]
fn a_304_allocates_this_often() {
    let conditional = &[("if-none-match", "\"one\"")];
    assert_eq!(allocations(&mut world(), "/items/7", conditional, replies(304)), 11);
}

#[test]
fn a_pass_allocates_this_often() {
    let forwards = |verdict: &RequestVerdict| matches!(verdict, RequestVerdict::Forward(_));
    assert_eq!(allocations(&mut world(), "/account", &[], forwards), 2);
}

/// Allocations of a response's way: from its head to the end of its body.
fn of_the_response(target: &str, number_of: impl Fn(u64) -> String) -> (u64, u64) {
    let mut world = world();
    let mut last = (0, 0);
    for number in 0..8 {
        let request = head(&format!("{target}{}", number_of(number)), &[]);
        let response = ResponseHead { status: 200, fields: world::fields(ORIGIN), ..ResponseHead::default() };
        let mut out = Vec::with_capacity(8);
        let before = ALLOCATIONS.get();
        let mut exchange = Exchange::new(world.policy.clone(), StreamId(200 + number));
        let verdict = exchange.on_request(world.now, request, &mut world.worker, &mut out);
        assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
        let forwarded = ALLOCATIONS.get();
        exchange.on_response(world.now, response, &mut world.worker, &mut out);
        exchange.on_end(world.now, b"{}", &mut world.worker, &mut out);
        last = (forwarded - before, ALLOCATIONS.get() - forwarded);
        exchange.on_close(&mut world.worker, &mut out);
    }
    last
}

#[test]
fn a_pass_with_its_response_allocates_this_often() {
    assert_eq!(of_the_response("/account", |_| String::new()), (2, 12));
}

#[test]
fn a_stored_miss_allocates_this_often() {
    assert_eq!(of_the_response("/items/new-", |number| number.to_string()), (7, 34));
}
