//! Following a response that is on its way, where the host can have two clients read one body.

use larder_core::exchange::{Effect, RequestVerdict, ResponseVerdict};
use larder_core::flights::{StreamId, Wake};
use larder_core::{Exchange, ResponseHead};

use crate::world::{Lines, World, answer, fields};

const LONG: (&str, &str) = ("cache-control", "max-age=60");
const NO_ETAG: &str = r#""etag":"origin""#;

fn world(defaults: &str) -> World {
    let mut world = World::new(defaults);
    world.worker.follows = true;
    world
}

/// Stream 1 leads; its response has this head and a body to come. Who waits is told what.
fn head(world: &mut World, leader: &mut Exchange, lines: Lines<'_>) -> (ResponseVerdict, Vec<(StreamId, Wake)>) {
    let head = ResponseHead { status: 200, fields: fields(lines), ..ResponseHead::default() };
    let mut out = Vec::new();
    let verdict = leader.on_response(world.now, head, &mut world.worker, &mut out);
    (verdict, woken(out))
}

fn woken(out: Vec<Effect>) -> Vec<(StreamId, Wake)> {
    let wake = |effect| if let Effect::Wake(id, wake) = effect { Some((id, wake)) } else { None };
    out.into_iter().filter_map(wake).collect()
}

fn wake(world: &mut World, exchange: &mut Exchange, wake: Wake) -> RequestVerdict {
    exchange.on_wake(world.now, wake, &mut world.worker, &mut Vec::new())
}

#[test]
fn who_waits_and_who_comes_later_follow_the_body() {
    let mut world = world(NO_ETAG);
    let (mut leader, _) = world.ask("GET", "/a", &[]);
    let (mut waiting, verdict) = world.ask("GET", "/a", &[]);
    assert!(matches!(verdict, RequestVerdict::Wait));
    let (verdict, told) = head(&mut world, &mut leader, &[LONG, ("x", "1")]);
    assert!(matches!(verdict, ResponseVerdict::Pass { capture: true, .. }));
    assert_eq!(told, [(StreamId(2), Wake::Announced)]);
    let RequestVerdict::Follow(StreamId(1), reply) = wake(&mut world, &mut waiting, Wake::Announced) else {
        panic!("it follows")
    };
    let got = answer(&reply);
    assert_eq!((got.status, got.fields.first("x")), (200, Some(&b"1"[..])));
    let status = got.fields.joined("cache-status").expect("a status");
    assert_eq!(String::from_utf8_lossy(&status), "Larder; hit; ttl=60; collapsed");
    let (_, verdict) = world.ask("GET", "/a", &[]);
    assert!(matches!(verdict, RequestVerdict::Follow(StreamId(1), _)), "{verdict:?}");
    let mut out = Vec::new();
    leader.on_end(world.now, b"body", &mut world.worker, &mut out);
    assert_eq!(woken(out), [], "nobody waits any more");
    assert_eq!(world.stored("/a", &[]), Some((200, "body".into())));
}

#[test]
fn whom_the_head_does_not_fit_waits_for_the_end() {
    let other: Lines<'_> = &[("origin", "2")];
    let only_new: Lines<'_> = &[("cache-control", "max-age=0")];
    for (lines, response) in
        [(other, &[LONG, ("vary", "origin")][..]), (only_new, &[("cache-control", "max-age=60"), ("age", "9")])]
    {
        let mut world = world(r#""etag":"origin","request_directives":"obey""#);
        let (mut leader, _) = world.ask("GET", "/a", &[("origin", "1")]);
        let (mut waiting, verdict) = world.ask("GET", "/a", lines);
        assert!(matches!(verdict, RequestVerdict::Wait), "{lines:?}: {verdict:?}");
        head(&mut world, &mut leader, response);
        let verdict = wake(&mut world, &mut waiting, Wake::Announced);
        assert!(matches!(verdict, RequestVerdict::Wait), "{lines:?}: {verdict:?}");
        let mut out = Vec::new();
        leader.on_end(world.now, b"body", &mut world.worker, &mut out);
        assert_eq!(woken(out), [(StreamId(2), Wake::Landed)]);
        let verdict = wake(&mut world, &mut waiting, Wake::Landed);
        assert!(!matches!(verdict, RequestVerdict::Wait | RequestVerdict::Follow(..)), "{lines:?}: {verdict:?}");
    }
}

#[test]
fn a_client_that_has_it_is_told_so_before_the_body_is_here() {
    let mut world = world(NO_ETAG);
    let (mut leader, _) = world.ask("GET", "/a", &[]);
    head(&mut world, &mut leader, &[LONG, ("etag", "\"v1\"")]);
    let (_, verdict) = world.ask("GET", "/a", &[("if-none-match", "\"v1\"")]);
    let RequestVerdict::Respond(reply) = verdict else { panic!("{verdict:?}") };
    assert_eq!(reply.status, 304);
}

#[test]
fn what_is_not_stored_is_not_followed() {
    for lines in [
        &[("cache-control", "no-store")][..],
        &[("cache-control", "private, max-age=60")],
        &[LONG, ("set-cookie", "a=b")],
    ] {
        let mut world = world(NO_ETAG);
        let (mut leader, _) = world.ask("GET", "/a", &[]);
        let (mut waiting, _) = world.ask("GET", "/a", &[]);
        let (_, told) = head(&mut world, &mut leader, lines);
        assert_eq!(told, [(StreamId(2), Wake::Released)], "{lines:?}");
        let verdict = wake(&mut world, &mut waiting, Wake::Released);
        assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
    }
}

#[test]
fn a_purge_in_between_ends_the_following() {
    let mut world = world(NO_ETAG);
    let (mut leader, _) = world.ask("GET", "/a", &[]);
    head(&mut world, &mut leader, &[LONG]);
    world.fetch(("POST", "/a", &[]), 204, &[], "");
    let (_, verdict) = world.ask("GET", "/a", &[]);
    assert!(!matches!(verdict, RequestVerdict::Follow(..)), "{verdict:?}");
}

#[test]
fn a_leader_that_breaks_off_is_followed_no_more() {
    let mut world = world(NO_ETAG);
    let (mut leader, _) = world.ask("GET", "/a", &[]);
    head(&mut world, &mut leader, &[LONG]);
    leader.on_close(&mut world.worker, &mut Vec::new());
    let (_, verdict) = world.ask("GET", "/a", &[]);
    assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
}

#[test]
fn a_held_head_is_announced_when_it_goes_out() {
    let mut world = world(r#""etag":"strong","limits":{"hold_bytes":10}"#);
    let (mut leader, _) = world.ask("GET", "/a", &[]);
    let (_waiting, _) = world.ask("GET", "/a", &[]);
    let (verdict, told) = head(&mut world, &mut leader, &[LONG]);
    assert!(matches!(verdict, ResponseVerdict::Hold) && told.is_empty());
    let mut out = Vec::new();
    leader.on_body(world.now, 11, &mut world.worker, &mut out);
    assert_eq!(woken(out), [(StreamId(2), Wake::Announced)]);
}

#[test]
fn a_host_that_cannot_hold_passes_heads_on_and_hits_have_the_etag() {
    let mut world = World::new(r#""etag":"strong""#);
    world.worker.holds = false;
    for sent in [&[][..], &[("if-none-match", "\"other\"")]] {
        let target = if sent.is_empty() { "/a" } else { "/b" };
        let (mut leader, _) = world.ask("GET", target, sent);
        let (verdict, _) = head(&mut world, &mut leader, &[LONG]);
        assert!(matches!(verdict, ResponseVerdict::Pass { capture: true, .. }), "{verdict:?}");
        leader.on_end(world.now, b"body", &mut world.worker, &mut Vec::new());
        let (_, verdict) = world.ask("GET", target, &[]);
        let RequestVerdict::Respond(reply) = verdict else { panic!("{verdict:?}") };
        assert!(answer(&reply).fields.has("etag"), "{target}");
    }
}
