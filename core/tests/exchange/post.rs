//! The answer to a POST, stored for later GETs (RFC 9110 9.3.3).

use crate::world::{Lines, World, whole};

const STORE: &str = r#""post":"store""#;
const LONG: (&str, &str) = ("cache-control", "max-age=60");
const HERE: (&str, &str) = ("content-location", "/a");

fn after_post(defaults: &str, sent: Lines<'_>, status: u16, lines: Lines<'_>) -> World {
    let mut world = World::new(defaults);
    world.fetch(("POST", "/a", sent), status, lines, "posted");
    world
}

#[test]
fn what_a_post_answers_with_is_the_content_of_its_url_where_it_says_so() {
    let here = ("content-location", "http://h.example/a");
    for (defaults, sent, status, lines, stored) in [
        (STORE, &[][..], 200, &[LONG, HERE][..], true),
        (STORE, &[], 200, &[LONG, here], true),
        (STORE, &[], 200, &[("cache-control", "s-maxage=9"), HERE], true),
        // The policy does not say so.
        ("", &[], 200, &[LONG, HERE], false),
        // The response does not.
        (STORE, &[], 200, &[LONG], false),
        (STORE, &[], 200, &[LONG, ("content-location", "/b")], false),
        (STORE, &[], 200, &[LONG, ("content-location", "http://other.example/a")], false),
        (STORE, &[], 200, &[LONG, HERE, ("content-location", "/b")], false),
        // It has no explicit lifetime, or none left.
        (STORE, &[], 200, &[HERE], false),
        (STORE, &[], 200, &[("cache-control", "max-age=0"), HERE, ("etag", "\"v1\"")], false),
        (r#""post":"store","ttl":"60s""#, &[], 200, &[HERE], false),
        // It is not to be stored at all.
        (STORE, &[], 200, &[("cache-control", "max-age=60, no-store"), HERE], false),
        (STORE, &[], 200, &[("cache-control", "max-age=60, private"), HERE], false),
        (STORE, &[], 200, &[LONG, HERE, ("set-cookie", "session=1")], false),
        (STORE, &[("authorization", "Basic x")], 200, &[LONG, HERE], false),
        (STORE, &[("cache-control", "no-store")], 200, &[LONG, HERE], false),
        (STORE, &[], 201, &[LONG, HERE], false),
        (STORE, &[], 404, &[LONG, HERE], false),
    ] {
        let mut world = after_post(defaults, sent, status, lines);
        let want = if stored { whole("posted") } else { None };
        assert_eq!(world.stored("/a", &[]), want, "{defaults} {sent:?} {status} {lines:?}");
    }
}

#[test]
fn it_takes_the_place_of_what_the_post_made_wrong() {
    let mut world = World::new(STORE);
    world.fetch(("GET", "/a", &[]), 200, &[LONG], "before");
    world.fetch(("POST", "/a", &[]), 200, &[LONG, HERE], "after");
    assert_eq!(world.stored("/a", &[]), whole("after"));
    world.fetch(("POST", "/a", &[]), 204, &[], "");
    assert_eq!(world.stored("/a", &[]), None, "the next POST makes it wrong as well");
}

#[test]
fn it_ages_and_is_validated_like_any_other() {
    let mut world = after_post(STORE, &[], 200, &[LONG, HERE, ("etag", "\"v1\"")]);
    world.wait(59);
    assert_eq!(world.stored("/a", &[("if-none-match", "\"v1\"")]), Some((304, String::new())));
    world.wait(1);
    let at_origin = world.forward("GET", "/a", &[]);
    assert_eq!(at_origin.fields.joined("if-none-match").as_deref(), Some(&b"\"v1\""[..]));
}

#[test]
fn a_post_is_never_answered_from_the_store() {
    let mut world = after_post(STORE, &[], 200, &[LONG, HERE]);
    world.forward("POST", "/a", &[]);
    assert!(world.send("POST", "/a", &[("cache-control", "only-if-cached")]).is_err());
}

#[test]
fn it_is_a_variant_for_requests_like_the_post() {
    let vary = ("vary", "accept-language");
    let mut world = after_post(STORE, &[("accept-language", "en")], 200, &[LONG, HERE, vary]);
    assert_eq!(world.stored("/a", &[("accept-language", "de")]), None);
    assert_eq!(world.stored("/a", &[("accept-language", "en")]), whole("posted"));
}

#[test]
fn another_write_that_was_faster_keeps_it_out() {
    let mut world = World::new(STORE);
    let slow = world.forward("POST", "/a", &[]);
    world.fetch(("PUT", "/a", &[]), 204, &[], "");
    world.answer(slow, 200, &[LONG, HERE], "posted");
    assert_eq!(world.stored("/a", &[]), None);

    let slow = world.forward("POST", "/a", &[]);
    world.fetch(("PUT", "/b", &[]), 204, &[], "");
    world.answer(slow, 200, &[LONG, HERE], "posted");
    assert_eq!(world.stored("/a", &[]), whole("posted"), "a write elsewhere does not matter");
}

#[test]
fn where_the_key_is_not_what_was_forwarded_it_is_not_stored() {
    let mut world = World::new(r#""post":"store","key":{"query":{"deny":["x"]}}"#);
    let lines = [LONG, ("content-location", "/a?x=1")];
    world.fetch(("POST", "/a?x=1", &[]), 200, &lines, "posted for x");
    assert_eq!(world.stored("/a", &[]), None);
}
