//! Limits: over one, it is refused with a reason, and counted.

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Lookup, Message, Refusal, Store, StoreAnswer};

use crate::support::{Made, World, eventually, looks, refused, waits};

async fn refusals(world: &World, reason: &str) -> u64 {
    world.stats().await["counts"]["refusals"][reason].as_u64().expect("a number")
}

async fn turned_away(world: &World, reason: &str) -> u64 {
    world.stats().await["counts"]["turned_away"][reason].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_long_heads_and_many_tags_are_refused() {
    let world = World::with(|config| {
        config.limits.object_bytes_max = 1000;
        config.limits.head_bytes_max = 1000;
        config.limits.tags_max = 2;
    })
    .await;
    let long = Made { body: Bytes::from(vec![0; 1001]), ..Made::default() };
    let longer = Made { body: Bytes::from(vec![0; 100_000]), ..Made::default() };
    let head = Made { fields: vec![("x", "y".repeat(1000))], ..Made::default() };
    let tags = Made { tags: vec!["a".into(), "b".into(), "c".into()], ..Made::default() };
    for (response, refusal) in
        [(long, Refusal::TooLarge), (longer, Refusal::TooLarge), (head, Refusal::TooLarge), (tags, Refusal::Tags)]
    {
        let missed = world.lookup(&looks("other")).await;
        assert_eq!(world.store(&world.made("k", &missed, response)).await, refused(refusal));
    }
    assert_eq!((refusals(&world, "too_large").await, refusals(&world, "tags").await), (3, 1));
    // What is never stored is not waited for.
    assert_eq!(world.lookup(&looks("k")).await.lease, Lease::Uncacheable);
    let fits = Made { body: Bytes::from(vec![0; 1000]), ..Made::default() };
    let missed = world.lookup(&looks("other")).await;
    assert_eq!(world.store(&world.made("k", &missed, fits)).await, StoreAnswer::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_does_not_take_is_refused() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    let large = Made { body: Bytes::from(vec![0; 20 << 20]), ..Made::default() };
    assert_eq!(world.store(&world.made("k", &missed, large)).await, refused(Refusal::TooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_told_so() {
    let world = World::with(|config| config.limits.requests_max = 0).await;
    let response = world.post(Lookup::PATH, looks("k").encode()).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["x-larder-node"], "2");
    assert_eq!(response.headers()["x-larder-refused"], "requests");
    assert_eq!(turned_away(&world, "requests").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_together_take_no_more_than_their_budget() {
    let world = World::with(|config| config.limits.bodies_bytes_max = 10_000).await;
    let missed = world.lookup(&looks("k")).await;
    let large = Made { body: Bytes::from(vec![0; 10_000]), ..Made::default() };
    let response = world.post(Store::PATH, world.made("k", &missed, large).encode()).await;
    assert_eq!((response.status().as_u16(), response.headers()["x-larder-refused"].as_bytes()), (503, &b"bodies"[..]));
    world.fill("j", Made::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_are_bounded_and_do_not_block_others() {
    let world = World::with(|config| {
        config.limits.waiting_max = 2;
        config.limits.requests_max = 2;
    })
    .await;
    let world = std::sync::Arc::new(world);
    let first = world.lookup(&looks("k")).await;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 1..=2 {
        let waiter = world.clone();
        waiting.spawn(async move { waiter.lookup(&waits("k")).await });
        eventually("it waits", async || (world.stats().await["leases"]["waiting"] == number).then_some(())).await;
    }
    assert_eq!(world.lookup(&waits("k")).await.lease, Lease::Busy, "no seat: answered at once");
    assert_eq!(turned_away(&world, "waiting").await, 1);
    assert_eq!(world.store(&world.made("k", &first, Made::default())).await, StoreAnswer::Done);
    assert!(waiting.join_all().await.iter().all(|answer| answer.found.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_bounded() {
    let world = World::with(|config| config.limits.leases_max = 2).await;
    for name in ["a", "b"] {
        assert!(matches!(world.lookup(&looks(name)).await.lease, Lease::Granted(_)));
    }
    assert_eq!(world.lookup(&looks("c")).await.lease, Lease::None);
}
