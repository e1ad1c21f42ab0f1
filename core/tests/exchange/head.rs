//! A HEAD that reaches the origin, and what its answer does to the response to GET that is stored (RFC 9111 4.3.5).

use crate::world::{Lines, World, whole};

const SHORT: (&str, &str) = ("cache-control", "max-age=5");
const LONG: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"v1\"");
const DATE: (&str, &str) = ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT");

/// Five bytes are stored with these fields and have gone stale; then a HEAD is answered so.
fn after_head(defaults: &str, stored: Lines<'_>, status: u16, head: Lines<'_>) -> World {
    let mut world = World::new(defaults);
    world.fetch(("GET", "/a", &[]), 200, stored, "first");
    world.wait(6);
    let at_origin = world.forward("HEAD", "/a", &[]);
    let got = world.answer(at_origin, status, head, "");
    assert_eq!((got.status, got.body.len()), (status, 0));
    world
}

#[test]
fn a_head_that_names_the_stored_response_makes_it_fresh_with_the_fields_it_brings() {
    for (stored, head) in [
        (&[SHORT, TAG, ("a", "1"), ("b", "1")][..], &[LONG, TAG, ("a", "2")][..]),
        (&[SHORT, DATE, ("a", "1"), ("b", "1")], &[LONG, DATE, ("a", "2"), ("content-length", "5")]),
    ] {
        let mut world = after_head("", stored, 200, head);
        world.wait(30);
        let got = world.send("GET", "/a", &[]).ok().expect("fresh for 60 seconds from the HEAD");
        assert_eq!(got.body, b"first");
        assert_eq!(got.fields.joined("age").as_deref(), Some(&b"30"[..]));
        assert_eq!(got.fields.joined("a").as_deref(), Some(&b"2"[..]));
        assert_eq!(got.fields.joined("b").as_deref(), Some(&b"1"[..]));
        world.wait(30);
        assert!(world.send("GET", "/a", &[]).is_err());
    }
}

#[test]
fn a_head_that_contradicts_takes_the_stored_response_away() {
    for head in [
        &[LONG, ("etag", "\"v2\"")][..],
        &[LONG, ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
        &[LONG, TAG, ("content-length", "6")],
    ] {
        let mut world = after_head("", &[SHORT, TAG, DATE], 200, head);
        let at_origin = world.forward("GET", "/a", &[]);
        assert!(!at_origin.fields.has("if-none-match"), "nothing is left to validate after {head:?}");
    }
}

#[test]
fn a_head_that_says_nothing_or_is_no_200_leaves_what_is_stored() {
    for (status, head) in [
        (200, &[LONG][..]),
        (200, &[LONG, ("content-length", "5")]),
        (200, &[LONG, TAG, ("set-cookie", "session=1")]),
        (404, &[LONG, ("etag", "\"v2\"")]),
        (503, &[]),
    ] {
        let mut world = after_head("", &[SHORT, TAG], status, head);
        let at_origin = world.forward("GET", "/a", &[]);
        assert_eq!(at_origin.fields.joined("if-none-match").as_deref(), Some(&b"\"v1\""[..]), "{status} {head:?}");
    }
}

#[test]
fn a_head_with_no_store_does_not_freshen() {
    let mut world = after_head("", &[SHORT, TAG], 200, &[("cache-control", "no-store"), TAG]);
    assert!(world.send("GET", "/a", &[]).is_err());
}

#[test]
fn a_head_of_another_variant_touches_this_one_not() {
    let mut world = World::new("");
    let vary = ("vary", "accept-language");
    world.fetch(("GET", "/a", &[("accept-language", "en")]), 200, &[LONG, TAG, vary], "english");
    world.fetch(("HEAD", "/a", &[("accept-language", "de")]), 200, &[LONG, ("etag", "\"de\""), vary], "");
    assert_eq!(world.stored("/a", &[("accept-language", "en")]), whole("english"));
}

#[test]
fn a_tag_that_was_made_here_is_neither_named_nor_contradicted_by_the_origins() {
    let mut world = World::new(r#""etag":"strong""#);
    world.fetch(("GET", "/a", &[]), 200, &[SHORT], "first");
    world.wait(6);
    world.fetch(("HEAD", "/a", &[]), 200, &[LONG, TAG, ("content-length", "5")], "");
    assert!(world.send("GET", "/a", &[]).is_err(), "not fresh: nobody compared the body");
}

#[test]
fn what_was_purged_while_the_head_was_on_its_way_is_not_revived() {
    let mut world = World::new("");
    world.fetch(("GET", "/a", &[]), 200, &[SHORT, TAG], "first");
    world.wait(6);
    let head = world.forward("HEAD", "/a", &[]);
    world.fetch(("POST", "/a", &[]), 204, &[], "");
    world.answer(head, 200, &[LONG, TAG], "");
    assert!(world.send("GET", "/a", &[]).is_err());
}
