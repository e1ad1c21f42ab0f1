//! Purges: right by order, whoever is late.

use std::sync::Arc;

use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Refusal, StoreAnswer};
use larder_core::purge::{Mode, Position, Scope};
use larder_node::log::{LogId, MemoryLog};

use crate::support::{Made, World, body, looks, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_began_before_a_purge_does_not_land_after_it() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    let purged = world.purge(Scope::Url("http://h/a".into()), Mode::Hard).await;
    assert_eq!(purged.sequence.0, missed.position.sequence.0 + 1);
    let late = world.made("k", &missed, Made::default());
    assert_eq!(world.store(&late).await, refused(Refusal::Purged));
    let missed = world.lookup(&looks("k")).await;
    assert!(matches!(missed.lease, Lease::Granted(_)) && missed.found.is_none());
    assert_eq!(missed.position, purged);
    assert_eq!(world.store(&world.made("k", &missed, Made::default())).await, StoreAnswer::Done);
    assert!(world.lookup(&looks("k")).await.found.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_is_gone_with_the_acknowledgement() {
    let world = World::new().await;
    for (scope, gone) in [
        (Scope::Tag("t".into()), true),
        (Scope::Tag("tt".into()), false),
        (Scope::Url("http://h/a".into()), true),
        (Scope::Url("http://h/ab".into()), false),
        (Scope::Prefix("http://h/".into()), true),
        (Scope::Prefix("http://h/a/".into()), false),
        (Scope::All, true),
    ] {
        world.fill("k", Made::default()).await;
        world.purge(scope.clone(), Mode::Hard).await;
        let answer = world.lookup(&looks("k")).await;
        assert_eq!(answer.found.is_none(), gone, "{scope:?}");
        world.purge(Scope::All, Mode::Hard).await;
        // The lease of the look-up above is given back by a store.
        world.store(&world.made("k", &answer, Made::default())).await;
    }
    assert!(world.stats().await["counts"]["lookups"]["gone"].as_u64() >= Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_purge_makes_stale_and_a_fill_before_it_lands_stale() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    world.purge(Scope::Tag("t".into()), Mode::Soft).await;
    assert_eq!(world.store(&world.made("k", &missed, Made::default())).await, StoreAnswer::Done);
    let stale = world.lookup(&looks("k")).await;
    assert!(stale.found.as_ref().is_some_and(|found| found.soft) && matches!(stale.lease, Lease::Granted(_)));
    assert_eq!(world.store(&world.made("k", &stale, Made::body("new"))).await, StoreAnswer::Done);
    let fresh = world.lookup(&looks("k")).await;
    assert_eq!((body(&fresh).as_deref(), fresh.found.expect("found").soft), (Some("new"), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_of_another_log_is_refused() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    for position in [
        Position { log: missed.position.log ^ 1, ..missed.position },
        Position::default(),
        // Nobody was given this one: it would outlive every purge.
        Position { sequence: larder_core::purge::Sequence(u64::MAX), ..missed.position },
    ] {
        let mut store = world.made("k", &missed, Made::default());
        store.record = Made::default().record("k", position, world.now());
        assert_eq!(world.store(&store).await, refused(Refusal::OtherLog), "{position:?}");
    }
    assert_eq!(world.stats().await["counts"]["refusals"]["other_log"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_another_log_are_gone() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    // The same store under a node with another log.
    let store = Arc::new(larder_node::store::memory::MemoryStore::new(1 << 20, larder_node::clock::SystemClock));
    let first = World::with(|config| config.store = store.clone()).await;
    first.fill("k", Made::default()).await;
    let second = World::with(|config| {
        config.store = store.clone();
        config.log = Arc::new(MemoryLog::new(LogId(77), 8));
    })
    .await;
    let answer = second.lookup(&looks("k")).await;
    assert!(answer.found.is_none() && answer.position.log == 77);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_purges_fold_and_cost_hits_only() {
    let world = World::with(|config| config.limits.purges_max = 4).await;
    world.fill("old", Made::default()).await;
    for number in 0..20 {
        world.purge(Scope::Tag(format!("other{number}")), Mode::Hard).await;
    }
    assert!(world.lookup(&looks("old")).await.found.is_none(), "folded into the floor");
    world.fill("new", Made::default()).await;
    assert!(world.lookup(&looks("new")).await.found.is_some());
}
