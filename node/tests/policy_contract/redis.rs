//! Policies in Redis: shared by nodes, and what becomes of them when Redis loses something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_node::policies::{PoliciesError, PolicyStore, open};

use crate::contract::{active, check, push, pushed, records};
use crate::servers::{Server, Watched, cluster, until};

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

async fn opened(url: &str) -> Arc<dyn PolicyStore> {
    // The machine may be busy.
    let store = open(&format!("{url}?timeout=5s&connect=5s")).await.expect("a store");
    answers(&*store).await;
    store
}

async fn answers(store: &dyn PolicyStore) {
    let end = Instant::now() + crate::servers::DEADLINE;
    let mut again = tokio::time::interval(Duration::from_millis(5));
    while store.records(None).await.is_err() {
        assert!(Instant::now() < end, "it does not answer");
        again.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract() {
    let server = Server::redis(&[]);
    check(opened(&url(&server)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let nodes = cluster();
    check(opened(&format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_have_the_same_and_larders_with_prefixes_have_their_own() {
    let server = Server::redis(&[]);
    let (a, b) = (opened(&url(&server)).await, opened(&url(&server)).await);
    let other = open(&format!("{}?prefix=other&timeout=5s", url(&server))).await.expect("a store");
    let seen = records(&*b).await.mark;
    let record = push(&*a, "shop", "one").await;
    let now = b.records(Some(&seen)).await.expect("records").expect("something else");
    assert_eq!(now.records.get("shop"), Some(&record));
    assert_eq!(b.text("shop", &record.versions[0]).await, Ok(Some("one".to_owned())));
    assert!(records(&*other).await.records.is_empty());
    // Both from the same: one does it.
    let next = pushed(Some(&record), "two");
    let from = Some(record.generation);
    let (first, second) =
        (a.replace("shop", from, &next).await, b.replace("shop", from, &pushed(Some(&record), "3")).await);
    assert_eq!((first, second), (Ok(true), Ok(false)));
    // The same call again, since nothing was heard of the first.
    assert_eq!(a.replace("shop", from, &next).await, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_damaged_things_are_neither_handed_out_nor_written_over() {
    let server = Server::redis(&[]);
    let store = opened(&url(&server)).await;
    let record = push(&*store, "shop", "one").await;
    server.cli(&["HSET", "{larder}:policy:shop", "1", "another"]);
    let damaged = store.text("shop", &record.versions[0]).await;
    assert!(matches!(&damaged, Err(PoliciesError::Damaged { why, .. }) if why.contains("{larder}:policy:shop")));
    for garbage in ["garbage", "7 {}", "0 null", ""] {
        server.cli(&["HSET", "{larder}:policies", "odd", garbage, "../x", "7 {}"]);
        let all = records(&*store).await.records;
        assert_eq!(all.into_keys().collect::<Vec<_>>(), ["shop"], "{garbage:?}");
        assert_eq!(store.replace("odd", None, &pushed(None, "x")).await, Ok(false), "{garbage:?}");
    }
    // Not the kind of value that is expected.
    server.cli(&["DEL", "{larder}:policies"]);
    server.cli(&["SET", "{larder}:policies", "text"]);
    assert!(matches!(store.records(None).await, Err(PoliciesError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_is_not_known_any_more_and_can_be_pushed_again() {
    let server = Server::redis(&[]);
    let store = opened(&url(&server)).await;
    let record = push(&*store, "shop", "one").await;
    let seen = records(&*store).await.mark;
    // An eviction takes one key and not the other.
    server.cli(&["DEL", "{larder}:policies"]);
    let now = store.records(Some(&seen)).await.expect("records").expect("that it is gone");
    assert!(now.records.is_empty());
    server.cli(&["FLUSHALL"]);
    assert_eq!(store.replace("shop", Some(record.generation), &pushed(Some(&record), "2")).await, Ok(false));
    let again = push(&*store, "shop", "one").await;
    assert_eq!(again.versions.len(), 1);
    // Restarted without its data, and without the scripts.
    server.kill();
    server.start_again();
    answers(&*store).await;
    push(&*store, "shop", "one").await;
    assert_eq!(active(&*store, "shop").await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_costs_its_time_limit_and_is_named() {
    let server = Server::redis(&[]);
    let store = open(&format!("{}?timeout=200ms", url(&server))).await.expect("a store");
    answers(&*store).await;
    server.freeze();
    let began = Instant::now();
    let refused = store.replace("shop", None, &pushed(None, "x")).await;
    assert_eq!(refused, Err(PoliciesError::TimedOut { store: "redis" }));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.thaw();
    answers(&*store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_be_opened_before_its_redis_is_there_and_a_password_is_never_shown() {
    let server = Server::redis(&["--requirepass", "s3cret"]);
    server.kill();
    let store = open(&format!("redis://:s3cret@127.0.0.1:{}", server.port)).await.expect("a store");
    let refused = store.records(None).await.expect_err("nobody is there");
    assert!(matches!(refused, PoliciesError::Unreachable { .. }) && !refused.to_string().contains("s3cret"));
    server.start_again();
    answers(&*store).await;
    let odd = open(&format!("redis://:s3cret@127.0.0.1:{}?x=1", server.port)).await.err().expect("refused");
    assert!(!format!("{odd} {odd:?}").contains("s3cret"), "{odd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_sentinel_is_followed() {
    let watched = Watched::start();
    let store = opened(&format!("redis-sentinel://{}", watched.address())).await;
    let record = push(&*store, "shop", "one").await;
    until("the replica has it", || watched.replica.cli(&["HLEN", "{larder}:policies"]).ends_with('1').then_some(()));
    watched.master.kill();
    answers(&*store).await;
    assert_eq!(records(&*store).await.records.get("shop"), Some(&record));
    let end = Instant::now() + crate::servers::DEADLINE;
    let mut again = tokio::time::interval(Duration::from_millis(5));
    while store.replace("shop", Some(record.generation), &pushed(Some(&record), "two")).await != Ok(true) {
        assert!(Instant::now() < end, "nothing can be changed");
        again.tick().await;
    }
    assert_eq!(active(&*store, "shop").await.as_deref(), Some("two"));
}
