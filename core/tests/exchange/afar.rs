//! Large responses that a node gives the client itself: when a request is sent its way without asking, and what is taken of what it then says.

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Found, LookupAnswer, Message, PollAnswer};
use larder_core::cluster::serving::Label;
use larder_core::cluster::{MARKER, SERVE, Settings};
use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, Facts, wire};
use larder_core::exchange::{Effect, RequestVerdict, ResponseVerdict};
use larder_core::fields::Source;
use larder_core::flights::StreamId;
use larder_core::purge::{Mode, Position, Record, Scope, Sequence};
use larder_core::time::{Millis, Seconds};
use larder_core::{Exchange, Fields, RequestHead, ResponseHead, Timestamp};

use crate::world::World;

const BODY_BYTES: u32 = 70_000;
const LAG: Millis = Millis(5000);

fn at(sequence: u64) -> Position {
    Position { log: 1, sequence: Sequence(sequence) }
}

/// A worker that knows what a node has of `/a`: received when the world began, by a log that has come to 10.
fn knowing() -> (World, Timestamp) {
    let mut world = World::new("");
    let received = world.now;
    let (_, verdict) = told(&mut world, received);
    assert!(matches!(verdict, RequestVerdict::Reroute(_)), "{verdict:?}");
    (world, received)
}

/// The same, as it happens: a request whose cluster says what it has, and that it is `there`.
fn told(world: &mut World, there: Timestamp) -> (Exchange, RequestVerdict) {
    let settings = Settings { purge_lag_max: LAG, reroute_above: Some(1000), ..Settings::default() };
    world.worker.use_cluster(Some(settings));
    hear(world, 10, &[]);
    let (mut exchange, verdict, out) = ask(world);
    assert!(matches!(verdict, RequestVerdict::Wait));
    let name = out.iter().find_map(|effect| match effect {
        Effect::Lookup(call) => Some(call.name.clone()),
        _ => None,
    });
    let answer = answer(&name.expect("the cluster is asked"), there);
    let verdict = exchange.on_lookup(world.now, Ok(answer), &mut world.worker, &mut Vec::new());
    (exchange, verdict)
}

fn hear(world: &mut World, sequence: u64, records: &[Record]) {
    let begins_anew = records.is_empty();
    let answer = PollAnswer { position: at(sequence), begins_anew, records: records.to_vec(), policies: None };
    world.worker.heard(world.now, &answer);
}

fn ask(world: &mut World) -> (Exchange, RequestVerdict, Vec<Effect>) {
    let request = RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: "/a".into(),
        ..RequestHead::default()
    };
    let mut exchange = Exchange::new(world.policy.clone(), StreamId(1));
    let mut out = Vec::new();
    let verdict = exchange.on_request(world.now, request, &mut world.worker, &mut out);
    (exchange, verdict, out)
}

fn fresh_for_a_minute() -> Fields {
    let mut fields = Fields::new();
    fields.add("cache-control", "max-age=60");
    fields
}

fn answer(key: &str, received: Timestamp) -> Bytes {
    let entry = Entry::new(Facts {
        url: "http://h.example/a".into(),
        status: 200,
        fields: fresh_for_a_minute(),
        body: Bytes::new(),
        times: Times { request: received, response: received, date: None, age: Seconds::ZERO },
        vary: VaryKey::default(),
        tags: vec![],
        position: at(10),
        made_etag: false,
        identified: false,
        personal: false,
    });
    let record = wire::encode(&entry, key, Timestamp(received.0 + 60_000), false).into();
    let found = Some(Found { soft: false, body_bytes: BODY_BYTES, record });
    LookupAnswer { now: received, position: at(10), lease: Lease::None, found, other_variants: false }.encode().into()
}

/// What a node says that was sent a request.
fn served(verdict: RequestVerdict, label: Label) -> ResponseHead {
    let RequestVerdict::Reroute(edits) = verdict else { panic!("not sent to a node: {verdict:?}") };
    let mut sent = Fields::new();
    crate::world::apply(&mut sent, edits);
    let mut fields = fresh_for_a_minute();
    fields.add(MARKER, "2");
    fields.add(SERVE, sent.first(SERVE).expect("the key's name").to_vec());
    fields.add("content-length", BODY_BYTES.to_string());
    label.put(&mut fields);
    ResponseHead { status: 200, fields, source: Source::Origin, ends: false }
}

/// Whether the client gets what the node serves.
fn is_taken(world: &mut World, label: Label) -> bool {
    let (exchange, verdict, _) = ask(world);
    is_taken_by(exchange, verdict, world, label)
}

fn is_taken_by(mut exchange: Exchange, verdict: RequestVerdict, world: &mut World, label: Label) -> bool {
    let head = served(verdict, label);
    let mut out = Vec::new();
    match exchange.on_response(world.now, head, &mut world.worker, &mut out) {
        ResponseVerdict::Pass { .. } => true,
        ResponseVerdict::Wait => {
            assert!(matches!(out[..], [Effect::Fetch(_)]), "the origin is asked instead: {out:?}");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_knows_a_head_and_hears_the_log_does_not_ask_first() {
    let (mut world, _) = knowing();
    let (_, verdict, out) = ask(&mut world);
    assert!(matches!(verdict, RequestVerdict::Reroute(_)) && out.is_empty(), "{verdict:?} {out:?}");
    // Not heard for too long: a purge may have come since, so the node says itself what it has.
    world.now = world.now.plus(Millis(LAG.0 + 1));
    let (_, verdict, out) = ask(&mut world);
    assert!(matches!((verdict, &out[..]), (RequestVerdict::Wait, [Effect::Lookup(_)])), "{out:?}");
}

#[test]
fn another_response_than_the_one_known_is_taken_from_a_node_that_knows_of_every_purge_known_here() {
    let other = Record { sequence: Sequence(11), scope: Scope::Tag("other".into()), mode: Mode::Hard };
    for (good_at, want) in [(Some(at(11)), true), (Some(at(12)), true), (Some(at(10)), false), (None, false)] {
        let (mut world, received) = knowing();
        world.wait(1);
        hear(&mut world, 11, std::slice::from_ref(&other));
        let label = Label { received: Some(received.plus(Millis(1))), good_at };
        assert_eq!(is_taken(&mut world, label), want, "{good_at:?}");
    }
    // The one that is known was weighed when the request came.
    let (mut world, received) = knowing();
    hear(&mut world, 11, std::slice::from_ref(&other));
    assert!(is_taken(&mut world, Label { received: Some(received), good_at: Some(at(10)) }));
}

#[test]
fn nor_is_another_response_taken_while_an_own_purge_is_on_its_way() {
    let (mut world, received) = knowing();
    world.wait(1);
    let own = world.worker.purges.append(Scope::Tag("other".into()), Mode::Hard);
    world.worker.purges.sent(own, own);
    let label = Label { received: Some(received.plus(Millis(1))), good_at: Some(at(11)) };
    assert!(!is_taken(&mut world, label));
    let (mut world, received) = knowing();
    world.wait(1);
    assert!(is_taken(&mut world, Label { received: Some(received.plus(Millis(1))), good_at: Some(at(10)) }));
}

#[test]
fn what_a_node_served_is_the_response_it_spoke_of_by_its_own_clock() {
    for (later, good_at, want) in [(0, None, true), (1, None, false), (1, Some(at(9)), false), (1, Some(at(10)), true)]
    {
        let mut world = World::new("");
        let there = world.now.plus(Millis(3_600_000));
        let (exchange, verdict) = told(&mut world, there);
        let label = Label { received: Some(there.plus(Millis(later))), good_at };
        assert_eq!(is_taken_by(exchange, verdict, &mut world, label), want, "{later} {good_at:?}");
    }
}
