//! Two caches on one way: the edge stores, the origin's layer adds what it knows and leaves storing to the edge.

use larder_core::edge::{Edge, Keys, MARK, TAGS};
use larder_core::purge::{Mode, Scope};

use crate::world::{Lines, World};

const LONG: (&str, &str) = ("cache-control", "max-age=60");
const POLICY: &str = r#""ttl":"60s","etag":"strong","client":{"cache_control":{"browser_ttl":"1m","scope":"public"}}"#;

fn keys() -> Keys {
    Keys::parse("a-key-of-some-length").expect("keys")
}

/// The layer, and the marker that its edge sends now.
fn origin(defaults: &str) -> (World, String) {
    let mut world = World::new(defaults);
    world.worker.name = "Larder-Origin";
    world.worker.edge = Edge::heeding(keys());
    let mark = Edge::signing(keys()).mark(world.now).expect("a marker");
    (world, String::from_utf8(mark).expect("text"))
}

#[test]
fn an_edge_marks_what_it_forwards_and_no_client_does() {
    let mut world = World::new("");
    world.worker.edge = Edge::signing(keys());
    for (method, target, lines) in
        [("GET", "/a", &[][..]), ("GET", "/b", &[(MARK, "1-1-aa")]), ("POST", "/c", &[(MARK, "1-1-aa")])]
    {
        let sent = world.forward(method, target, lines).fields;
        let mark = Edge::signing(keys()).mark(world.now);
        assert_eq!(sent.all(MARK).map(<[u8]>::to_vec).collect::<Vec<_>>(), mark.into_iter().collect::<Vec<_>>());
    }
    world.worker.edge = Edge::default();
    let sent = world.forward("GET", "/d", &[(MARK, "1-1-aa")]).fields;
    assert!(!sent.has(MARK), "without a key, a client's marker goes no further");
}

#[test]
fn behind_an_edge_nothing_is_stored_or_said_in_the_policys_place() {
    let (mut world, mark) = origin(POLICY);
    let lines: Lines<'_> = &[("x", "1")];
    for _ in 0..2 {
        let at_origin = world.forward("GET", "/a", &[(MARK, &mark)]);
        assert!(!at_origin.fields.has(MARK), "the application has no use for it");
        let answer = world.answer(at_origin, 200, lines, "body");
        assert!(answer.fields.has("etag"), "{answer:?}");
        assert!(!answer.fields.has("cache-control"), "the edge says that to clients: {answer:?}");
        let status = answer.fields.joined("cache-status").expect("a status");
        assert_eq!(String::from_utf8_lossy(&status), "Larder-Origin; fwd=bypass; detail=edge");
    }
    assert_eq!(world.worker.shelf.bytes(), 0);
}

#[test]
fn behind_an_edge_the_tag_that_was_made_here_is_validated_here() {
    let (mut world, mark) = origin(POLICY);
    let at_origin = world.forward("GET", "/a", &[(MARK, &mark)]);
    let etag = world.answer(at_origin, 200, &[LONG], "body").fields.joined("etag").expect("an etag");
    let etag = String::from_utf8(etag).expect("text");
    let at_origin = world.forward("GET", "/a", &[(MARK, &mark), ("if-none-match", &etag)]);
    let answer = world.answer(at_origin, 200, &[LONG], "body");
    assert_eq!((answer.status, answer.body.as_slice()), (304, &b""[..]));
    let at_origin = world.forward("GET", "/a", &[(MARK, &mark), ("if-none-match", &etag)]);
    let answer = world.answer(at_origin, 200, &[LONG], "other");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"other"[..]));
}

#[test]
fn a_marker_that_is_not_believed_is_none() {
    let (mut world, mark) = origin(POLICY);
    let forged = mark.replace("1-1", "1-2");
    let now = world.now;
    for (mark, seconds) in [(forged.as_str(), 0), (mark.as_str(), 61), ("", 0), ("1-1-", 0)] {
        let (mut world, _) = origin(POLICY);
        world.now = now;
        world.wait(seconds);
        world.fetch(("GET", "/a", &[(MARK, mark)]), 200, &[LONG], "body");
        assert!(world.stored("/a", &[]).is_some(), "{mark} after {seconds} s");
    }
    world.fetch(("GET", "/a", &[]), 200, &[LONG], "body");
    world.forward("GET", "/a", &[(MARK, &mark)]);
}

#[test]
fn a_change_behind_an_edge_invalidates_what_both_hold() {
    let (mut world, mark) = origin(POLICY);
    world.fetch(("GET", "/a", &[]), 200, &[LONG], "before");
    world.fetch(("POST", "/a", &[(MARK, &mark)]), 204, &[], "");
    assert_eq!(world.stored("/a", &[]), None);
}

#[test]
fn the_layers_tags_reach_the_edge_and_nobody_behind_it() {
    let tagged = r#""ttl":"60s","tags":["all","of-a-kind"]"#;
    let (mut origin, mark) = origin(tagged);
    let at_origin = origin.forward("GET", "/a", &[(MARK, &mark)]);
    let behind = origin.answer(at_origin, 200, &[LONG, (TAGS, "own")], "body");
    let told = String::from_utf8(behind.fields.joined(TAGS).expect("tags")).expect("text");
    assert_eq!(told, "all, of-a-kind");

    let mut edge = World::new(r#""ttl":"60s""#);
    let at_layer = edge.forward("GET", "/a", &[]);
    let first = edge.answer(at_layer, 200, &[LONG, (TAGS, &told)], "body");
    let hit = edge.send("GET", "/a", &[]).ok().expect("stored");
    assert!(!first.fields.has(TAGS) && !hit.fields.has(TAGS));
    edge.worker.purge(Scope::Tag("of-a-kind".into()), Mode::Hard);
    assert_eq!(edge.stored("/a", &[]), None);
    // What is not stored does not carry them further either.
    for (method, lines) in [("POST", &[][..]), ("GET", &[("authorization", "Basic x")])] {
        let at_layer = edge.forward(method, "/b", lines);
        assert!(!edge.answer(at_layer, 200, &[(TAGS, "x")], "body").fields.has(TAGS), "{method}");
    }
}
