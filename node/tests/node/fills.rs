//! Storing, freshening, forgetting; and clocks that differ.

use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::message::{Freshen, LookupAnswer, Message, Refusal, Release, Store, StoreAnswer, Tell};
use larder_core::entry::wire;
use larder_core::time::{Millis, Seconds, Timestamp};

use crate::support::{Made, World, body, found, looks, looks_with, refused};

/// The freshening of what was found, as the origin's 304 makes it.
fn freshening(world: &World, answer: &LookupAnswer, response: &Made) -> Freshen {
    let stored = found(answer).expect("found");
    let entry = response.entry(answer.position, world.now());
    let record = wire::encode(&entry, "k", world.now().plus(response.fresh_for), false);
    Freshen {
        name: "k".into(),
        now: world.now(),
        lease: 0,
        keep_for: Seconds::saturating(3600),
        base: stored.facts().times.response,
        body_bytes: u32::try_from(stored.facts().body.len()).expect("a length"),
        record: record.into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_response_is_fresh_again_with_its_new_head_and_old_body() {
    let world = World::new().await;
    world.fill("k", Made { fresh_for: Millis(1000), ..Made::default() }).await;
    world.clock.advance(Duration::from_secs(2));
    let stale = world.lookup(&looks("k")).await;
    let confirmed = Made { fields: vec![("etag", "\"v\"".into()), ("x-new", "1".into())], ..Made::default() };
    assert_eq!(world.freshen(&freshening(&world, &stale, &confirmed)).await, StoreAnswer::Done);
    let fresh = world.lookup(&looks("k")).await;
    let entry = found(&fresh).expect("found");
    assert_eq!(entry.facts().fields.first("x-new"), Some(&b"1"[..]));
    assert_eq!(entry.facts().times.response, world.now());
    assert_eq!(body(&fresh).as_deref(), Some("hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_response_is_freshened() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    let answer = world.lookup(&looks("k")).await;
    let good = freshening(&world, &answer, &Made::default());
    let other_time = Freshen { base: Timestamp(good.base.0 + 1), ..good.clone() };
    let other_length = Freshen { body_bytes: 4, ..good.clone() };
    let entry = Made::default().entry(answer.position, world.now());
    let record = wire::encode(&entry, "other", world.now().plus(Made::default().fresh_for), false);
    let other_key = Freshen { name: "other".into(), record: record.into(), ..good.clone() };
    for freshen in [other_time, other_length, other_key] {
        assert_eq!(world.freshen(&freshen).await, refused(Refusal::OtherResponse));
    }
    // A record that names another key than the message does is no record for it.
    let strange = Freshen { name: "other".into(), ..good.clone() };
    assert_eq!(world.freshen(&strange).await, refused(Refusal::Damaged));
    assert_eq!(world.freshen(&good).await, StoreAnswer::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_variants_is_freshened() {
    let world = World::new().await;
    for value in ["aa", "bbb"] {
        world.fill("k", Made::varying(value)).await;
    }
    world.clock.advance(Duration::from_secs(2));
    let answer = world.lookup(&looks_with("k", ("accept", "aa"))).await;
    assert_eq!(world.freshen(&freshening(&world, &answer, &Made::varying("aa"))).await, StoreAnswer::Done);
    for (value, received) in [("aa", world.now()), ("bbb", Timestamp(world.now().0 - 2000))] {
        let answer = world.lookup(&looks_with("k", ("accept", value))).await;
        assert_eq!(body(&answer).as_deref(), Some(value));
        assert_eq!(found(&answer).expect("found").facts().times.response, received);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_by_a_clock_that_is_off_are_moved_to_the_nodes() {
    let world = World::new().await;
    for off_ms in [3_600_000u64, 900] {
        let missed = world.lookup(&looks("k")).await;
        let worker_now = Timestamp(world.now().0 - off_ms);
        let mut store = world.made("k", &missed, Made::default());
        store.now = worker_now;
        store.record = Made::default().record("k", missed.position, worker_now);
        assert_eq!(world.store(&store).await, StoreAnswer::Done);
        let answer = world.lookup(&looks("k")).await;
        let received = found(&answer).expect("found").facts().times.response;
        let want = if off_ms > 1000 { world.now() } else { worker_now };
        assert_eq!(received, want, "{off_ms} ms off");
        world.release(&Release { name: "k".into(), forget: true, ..Release::default() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_clock_is_off_freshens_too() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    world.clock.advance(Duration::from_secs(70));
    let answer = world.lookup(&looks("k")).await;
    // This worker's clock is 100 s behind: it has moved the times, give or take the way of the answer.
    let mut freshen = freshening(&world, &answer, &Made::default());
    let behind = |time: Timestamp| Timestamp(time.0 - 100_000);
    freshen.base = Timestamp(behind(freshen.base).0 + 3);
    freshen.now = behind(world.now());
    freshen.record = {
        let entry = Made::default().entry(answer.position, freshen.now);
        wire::encode(&entry, &freshen.name, freshen.now.plus(Millis(60_000)), false).into()
    };
    assert_eq!(world.freshen(&freshen).await, StoreAnswer::Done);
    let fresh = world.lookup(&looks("k")).await;
    assert_eq!(found(&fresh).expect("found").facts().times.response, world.now());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_superseded_is_forgotten_with_all_its_variants() {
    let world = World::new().await;
    for value in ["a", "b"] {
        world.fill("k", Made::varying(value)).await;
    }
    let release = Release { name: "k".into(), forget: true, ..Release::default() };
    assert_eq!(world.release(&release).await, StoreAnswer::Done);
    assert!(world.lookup(&looks_with("k", ("accept", "a"))).await.found.is_none());
    assert_eq!(world.stats().await["store"]["items"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_longer_than_it_is_of_use() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    world.clock.advance(Duration::from_secs(3600));
    assert!(world.lookup(&looks("k")).await.found.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_messages_are_taken_in_one_call_and_in_order() {
    let world = World::new().await;
    let mut messages = Vec::new();
    for name in ["a", "b", "c"] {
        let missed = world.lookup(&looks(name)).await;
        messages.push(Bytes::from(world.made(name, &missed, Made::default()).encode()));
    }
    // A refused one is no reason not to take the others.
    messages.insert(
        1,
        Store { name: "d".into(), ..world.made("a", &world.lookup(&looks("d")).await, Made::default()) }
            .encode()
            .into(),
    );
    messages.push(Release { name: "c".into(), forget: true, ..Release::default() }.encode().into());
    let answer: StoreAnswer = world.ask(Tell::PATH, &Tell { messages }).await;
    assert_eq!(answer, StoreAnswer::Done);
    for (name, stored) in [("a", true), ("b", true), ("c", false), ("d", false)] {
        assert_eq!(world.lookup(&looks(name)).await.found.is_some(), stored, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_goes_into_a_call_of_several() {
    let world = World::new().await;
    let store = world.made("a", &world.lookup(&looks("a")).await, Made::default()).encode();
    let inner = Tell { messages: vec![store.clone().into()] }.encode();
    for odd in [looks("a").encode(), inner, b"LRDM".to_vec(), vec![]] {
        let tell = Tell { messages: vec![store.clone().into(), odd.into()] };
        assert_eq!(world.post(Tell::PATH, tell.encode()).await.status(), 400);
    }
}
