//! Stored parts (206): for what they are the answer, and when no more (RFC 9111 3.3, RFC 9110 15.3.7).

use crate::world::{Answer, Lines, World, whole};

const STORE: &str = r#""partial":"store""#;
const LONG: (&str, &str) = ("cache-control", "max-age=60");

/// Bytes 2 to 5 of ten are stored, answered to a request for them.
fn with_part(defaults: &str, sent: Lines<'_>, more: Lines<'_>) -> World {
    let mut world = World::new(defaults);
    let sent = [&[("range", "bytes=2-5")], sent].concat();
    let lines = [&[LONG, ("content-range", "bytes 2-5/10")], more].concat();
    world.fetch(("GET", "/a", &sent), 206, &lines, "cdef");
    world
}

fn ask(world: &mut World, range: &str) -> Option<Answer> {
    world.send("GET", "/a", &[("range", range)]).ok()
}

#[test]
fn a_part_answers_what_lies_within_it_and_says_which_bytes_these_are() {
    let mut world = with_part(STORE, &[], &[("a", "1")]);
    for (range, want) in [
        ("bytes=2-5", Some(("bytes 2-5/10", "cdef"))),
        ("bytes=2-2", Some(("bytes 2-2/10", "c"))),
        ("bytes=4-5", Some(("bytes 4-5/10", "ef"))),
        ("bytes=1-3", None),
        ("bytes=4-6", None),
        ("bytes=4-", None),
        ("bytes=-2", None),
        ("bytes=7-8", None),
        ("bytes=2-3, 5-5", None),
        ("lines=2-3", None),
    ] {
        let got = ask(&mut world, range);
        let seen = got.as_ref().map(|got| {
            assert_eq!((got.status, got.fields.joined("a").as_deref()), (206, Some(&b"1"[..])), "{range}");
            (got.fields.joined("content-range").unwrap(), got.body.clone())
        });
        assert_eq!(seen, want.map(|(range, body)| (range.as_bytes().to_vec(), body.as_bytes().to_vec())), "{range}");
    }
}

#[test]
fn a_part_at_the_end_answers_for_the_last_bytes() {
    let mut world = World::new(STORE);
    let lines = [LONG, ("content-range", "bytes 5-9/10")];
    world.fetch(("GET", "/a", &[("range", "bytes=-5")]), 206, &lines, "fghij");
    for (range, want) in [("bytes=-5", "fghij"), ("bytes=-2", "ij"), ("bytes=8-", "ij"), ("bytes=6-99", "ghij")] {
        assert_eq!(ask(&mut world, range).map(|got| got.body), Some(want.into()), "{range}");
    }
    assert!(ask(&mut world, "bytes=-6").is_none());
}

#[test]
fn bytes_that_did_not_come_are_nobodys_answer() {
    // Six bytes are said to be here, five are: the last one of the whole is not among them, whatever the fifth is.
    let mut world = World::new(STORE);
    let lines = [LONG, ("content-range", "bytes 4-9/10")];
    world.fetch(("GET", "/a", &[("range", "bytes=4-9")]), 206, &lines, "efghi");
    for range in ["bytes=-1", "bytes=9-9", "bytes=9-"] {
        assert!(ask(&mut world, range).is_none(), "{range}");
    }
    let got = ask(&mut world, "bytes=6-").expect("a 206 may be less than was asked for");
    assert_eq!((got.fields.joined("content-range").unwrap(), got.body), (b"bytes 6-8/10".to_vec(), b"ghi".to_vec()));
}

#[test]
fn a_part_is_never_a_whole_and_is_not_put_together_with_another() {
    let mut world = with_part(STORE, &[], &[]);
    let lines = [LONG, ("content-range", "bytes 6-9/10")];
    world.fetch(("GET", "/a", &[("range", "bytes=6-9")]), 206, &lines, "ghij");
    let at_origin = world.forward("GET", "/a", &[]);
    assert!(!at_origin.fields.has("range"), "the whole is asked for");
    assert!(ask(&mut world, "bytes=3-8").is_none());
    assert!(world.send("HEAD", "/a", &[("range", "bytes=2-5")]).is_err());
}

#[test]
fn under_a_condition_parts_are_neither_stored_nor_used() {
    for condition in [("if-range", "\"v1\""), ("if-match", "\"v1\""), ("if-none-match", "\"v0\"")] {
        let mut world = with_part(STORE, &[condition], &[("etag", "\"v1\"")]);
        assert!(ask(&mut world, "bytes=2-5").is_none(), "stored under {condition:?}");
        let mut world = with_part(STORE, &[], &[("etag", "\"v1\"")]);
        assert!(world.send("GET", "/a", &[("range", "bytes=2-5"), condition]).is_err(), "used under {condition:?}");
    }
}

#[test]
fn a_part_ends_with_its_lifetime_and_is_not_validated() {
    let mut world = with_part(STORE, &[], &[("etag", "\"v1\"")]);
    world.wait(59);
    assert_eq!(ask(&mut world, "bytes=2-5").unwrap().fields.joined("age").as_deref(), Some(&b"59"[..]));
    world.wait(1);
    let at_origin = world.forward("GET", "/a", &[("range", "bytes=2-5")]);
    assert!(!at_origin.fields.has("if-none-match"));
}

#[test]
fn a_write_takes_parts_away() {
    let mut world = with_part(STORE, &[], &[]);
    world.fetch(("POST", "/a", &[]), 204, &[], "");
    assert!(ask(&mut world, "bytes=2-5").is_none());
}

#[test]
fn a_part_is_of_its_variant() {
    let mut world = with_part(STORE, &[("accept-language", "en")], &[("vary", "accept-language")]);
    let mut ask = |language| {
        let lines = [("range", "bytes=3-4"), ("accept-language", language)];
        world.send("GET", "/a", &lines).ok().map(|got| got.body)
    };
    assert_eq!(ask("de"), None);
    assert_eq!(ask("en"), Some(b"de".to_vec()));
}

#[test]
fn a_part_is_not_handed_to_who_has_an_identity() {
    let mut world = with_part(STORE, &[], &[]);
    assert!(world.send("GET", "/a", &[("range", "bytes=2-5"), ("authorization", "Basic x")]).is_err());
}

#[test]
fn the_whole_that_came_later_is_the_better_answer() {
    let mut world = with_part(STORE, &[], &[]);
    world.fetch(("GET", "/a", &[]), 200, &[LONG], "ABCDEFGHIJ");
    assert_eq!(ask(&mut world, "bytes=2-5").unwrap().body, b"CDEF");
    assert_eq!(world.stored("/a", &[]), whole("ABCDEFGHIJ"));
}

#[test]
fn what_is_no_single_part_of_a_known_whole_is_not_stored() {
    for (defaults, sent, status, lines, body) in [
        ("", "bytes=2-5", 206, &[("content-range", "bytes 2-5/10")][..], "cdef"),
        (STORE, "bytes=2-5", 206, &[("content-range", "bytes 2-5/*")], "cdef"),
        (STORE, "bytes=2-5", 206, &[("content-range", "bytes 2-5/10")], "cdefg"),
        (STORE, "bytes=2-5", 206, &[("content-range", "bytes 2-5/10"), ("content-length", "3")], "cde!"),
        (STORE, "bytes=2-5", 206, &[], "cdef"),
        (STORE, "bytes=2-5", 206, &[("content-range", "bytes 2-5/10"), ("vary", "range")], "cdef"),
        (STORE, "bytes=2-5", 200, &[("content-range", "bytes 2-5/10")], "cdef"),
        (STORE, "bytes=2-5, 7-8", 206, &[("content-range", "bytes 2-5/10")], "cdef"),
        (STORE, "bytes=2-3, 5-6", 206, &[("content-type", "multipart/byteranges; boundary=x")], "--x"),
    ] {
        let mut world = World::new(defaults);
        let lines = [&[LONG], lines].concat();
        world.fetch(("GET", "/a", &[("range", sent)]), status, &lines, body);
        for range in [sent, "bytes=2-5", "bytes=3-4"] {
            assert!(ask(&mut world, range).is_none(), "{sent} {status} {lines:?}: {range}");
        }
        assert_eq!(world.stored("/a", &[]), None, "{sent} {status} {lines:?}");
    }
}
