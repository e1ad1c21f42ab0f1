//! Look-ups, leases, and waiting for another's fill.

use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Release, StoreAnswer};
use larder_core::time::Millis;

use crate::support::{Made, PATIENCE, World, body, eventually, found, looks, waits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miss_gets_a_lease_and_the_fill_is_found() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    assert!(matches!(missed.lease, Lease::Granted(1..)) && missed.found.is_none());
    assert_ne!(missed.position.log, 0);
    assert_eq!(world.lookup(&looks("k")).await.lease, Lease::Busy);
    assert_eq!(world.store(&world.made("k", &missed, Made::default())).await, StoreAnswer::Done);
    let hit = world.lookup(&looks("k")).await;
    assert_eq!((hit.lease, body(&hit).as_deref()), (Lease::None, Some("hello")));
    assert!(!hit.found.expect("found").soft);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_fresh_is_handed_out_with_a_lease() {
    let world = World::new().await;
    world.fill("k", Made { fresh_for: Millis(1000), ..Made::default() }).await;
    world.clock.advance(Duration::from_secs(1));
    let stale = world.lookup(&looks("k")).await;
    assert!(matches!(stale.lease, Lease::Granted(_)) && stale.found.is_some());
    assert_eq!(world.lookup(&looks("k")).await.lease, Lease::Busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_body_is_left_out_and_its_length_told() {
    let world = World::new().await;
    world.fill("k", Made { body: Bytes::from(vec![7; 5000]), ..Made::default() }).await;
    let mut lookup = looks("k");
    lookup.inline_bytes_max = 4999;
    let answer = world.lookup(&lookup).await;
    assert_eq!(answer.found.as_ref().expect("found").body_bytes, 5000);
    let head = found(&answer).expect("found");
    assert!(head.facts().body.is_empty() && head.etag().is_some());
    lookup.inline_bytes_max = 5000;
    assert_eq!(found(&world.lookup(&lookup).await).expect("found").facts().body.len(), 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_ask_for_a_cold_key_one_fetches_and_all_get_it() {
    let world = World::new().await;
    let mut asked = tokio::task::JoinSet::new();
    let world = std::sync::Arc::new(world);
    for _ in 0..50 {
        let world = world.clone();
        asked.spawn(async move { world.lookup(&waits("k")).await });
    }
    let first = tokio::time::timeout(PATIENCE, asked.join_next()).await.expect("in time").expect("one").expect("ended");
    assert!(matches!(first.lease, Lease::Granted(_)), "{first:?}");
    eventually("49 wait", async || (world.stats().await["leases"]["waiting"] == 49).then_some(())).await;
    assert_eq!(world.store(&world.made("k", &first, Made::default())).await, StoreAnswer::Done);
    let rest = tokio::time::timeout(PATIENCE, asked.join_all()).await.expect("in time");
    assert_eq!(rest.len(), 49);
    for answer in rest {
        assert_eq!((answer.lease, body(&answer).as_deref()), (Lease::None, Some("hello")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_given_back_goes_to_one_of_those_who_wait() {
    let world = std::sync::Arc::new(World::new().await);
    let missed = world.lookup(&looks("k")).await;
    let Lease::Granted(lease) = missed.lease else { panic!("{missed:?}") };
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let world = world.clone();
        asked.spawn(async move { world.lookup(&waits("k")).await });
    }
    eventually("all wait", async || (world.stats().await["leases"]["waiting"] == 3).then_some(())).await;
    world.release(&Release { name: "k".into(), lease, ..Release::default() }).await;
    let next = asked.join_next().await.expect("one").expect("ended");
    assert!(matches!(next.lease, Lease::Granted(id) if id != lease), "{next:?}");
    assert_eq!(world.stats().await["leases"]["waiting"], 2);
    world.store(&world.made("k", &next, Made::default())).await;
    for answer in asked.join_all().await {
        assert!(answer.found.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_not_used_in_time_passes_on() {
    let world = std::sync::Arc::new(World::new().await);
    world.lookup(&looks("k")).await;
    let waiting = tokio::spawn({
        let world = world.clone();
        async move { world.lookup(&waits("k")).await }
    });
    eventually("it waits", async || (world.stats().await["leases"]["waiting"] == 1).then_some(())).await;
    world.clock.advance(Duration::from_secs(31));
    let answer = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("ended");
    assert!(matches!(answer.lease, Lease::Granted(_)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_what_is_not_stored_is_let_go() {
    let world = std::sync::Arc::new(World::new().await);
    let missed = world.lookup(&looks("k")).await;
    let Lease::Granted(lease) = missed.lease else { panic!("{missed:?}") };
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let world = world.clone();
        asked.spawn(async move { world.lookup(&waits("k")).await });
    }
    eventually("all wait", async || (world.stats().await["leases"]["waiting"] == 10).then_some(())).await;
    let began = tokio::time::Instant::now();
    world.release(&Release { name: "k".into(), lease, uncacheable: true, forget: false }).await;
    for answer in tokio::time::timeout(PATIENCE, asked.join_all()).await.expect("in time") {
        assert_eq!(answer.lease, Lease::Uncacheable);
    }
    // Ten go in groups of four, 25 ms apart.
    assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(world.lookup(&waits("k")).await.lease, Lease::Uncacheable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_in_time() {
    let world = World::new().await;
    world.lookup(&looks("k")).await;
    let mut lookup = waits("k");
    lookup.wait_for = Millis(50);
    assert_eq!(world.lookup(&lookup).await.lease, Lease::Busy);
}
