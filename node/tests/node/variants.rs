//! Several variants under one key.

use larder_core::cluster::message::StoreAnswer;
use larder_core::purge::{Mode, Scope};

use crate::support::{Made, World, body, looks, looks_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_selects_its_own() {
    let world = World::new().await;
    for value in ["a", "b", "c"] {
        world.fill("k", Made::varying(value)).await;
    }
    for value in ["a", "b", "c"] {
        let answer = world.lookup(&looks_with("k", ("accept", value))).await;
        assert_eq!(body(&answer).as_deref(), Some(value));
    }
    let other = world.lookup(&looks_with("k", ("accept", "d"))).await;
    assert!(other.found.is_none() && other.other_variants);
    let never = world.lookup(&looks("never")).await;
    assert!(!never.other_variants);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_variant_of_another_request_is_not_handed_out() {
    let world = World::new().await;
    world.fill("k", Made::varying("a")).await;
    let answer = world.lookup(&looks_with("k", ("accept", "b"))).await;
    assert!(answer.found.is_none() && answer.other_variants);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_response_takes_the_place_of_what_it_supersedes() {
    let world = World::new().await;
    world.fill("k", Made::varying("a")).await;
    world.fill("k", Made::varying("b")).await;
    world.fill("k", Made { body: "newer".into(), ..Made::varying("a") }).await;
    let of = async |value| body(&world.lookup(&looks_with("k", ("accept", value))).await);
    assert_eq!(of("a").await.as_deref(), Some("newer"));
    assert_eq!(of("b").await.as_deref(), Some("b"));
    // It varies by nothing any more.
    world.fill("k", Made::body("one for all")).await;
    for value in ["a", "b", "c"] {
        assert_eq!(of(value).await.as_deref(), Some("one for all"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_more_than_so_many_and_the_oldest_goes() {
    let world = World::with(|config| config.limits.variants_max = 2).await;
    for value in ["a", "b", "c"] {
        world.fill("k", Made::varying(value)).await;
    }
    let of = async |value| body(&world.lookup(&looks_with("k", ("accept", value))).await);
    assert_eq!(of("a").await, None);
    assert_eq!(of("b").await.as_deref(), Some("b"));
    assert_eq!(of("c").await.as_deref(), Some("c"));
    assert_eq!(world.stats().await["counts"]["fills"]["variant_dropped"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_may_ask_for_fewer() {
    let world = World::new().await;
    for value in ["a", "b"] {
        let missed = world.lookup(&looks("k")).await;
        let mut store = world.made("k", &missed, Made::varying(value));
        store.variants_max = 1;
        assert_eq!(world.store(&store).await, StoreAnswer::Done);
    }
    assert!(world.lookup(&looks_with("k", ("accept", "a"))).await.found.is_none());
    assert!(world.lookup(&looks_with("k", ("accept", "b"))).await.found.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_variants_go_with_the_url() {
    let world = World::new().await;
    for value in ["a", "b"] {
        world.fill("k", Made::varying(value)).await;
    }
    world.purge(Scope::Url("http://h/a".into()), Mode::Hard).await;
    for value in ["a", "b"] {
        assert!(world.lookup(&looks_with("k", ("accept", value))).await.found.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fills_at_the_same_time_lose_no_variant() {
    let world = std::sync::Arc::new(World::new().await);
    const VALUES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let missed = world.lookup(&looks("k")).await;
    let mut filling = tokio::task::JoinSet::new();
    for value in VALUES {
        let store = world.made("k", &missed, Made::varying(value));
        let world = world.clone();
        filling.spawn(async move { world.store(&store).await });
    }
    assert!(filling.join_all().await.iter().all(|answer| *answer == StoreAnswer::Done));
    for value in VALUES {
        assert_eq!(body(&world.lookup(&looks_with("k", ("accept", value))).await).as_deref(), Some(value));
    }
}
