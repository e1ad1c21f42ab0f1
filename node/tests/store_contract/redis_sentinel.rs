//! A master that dies under Sentinel: the store finds the next one by itself.

use std::time::Instant;

use larder_node::store::open;

use crate::servers::Watched;
use crate::subject::{HOUR, bytes, eventually, name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_and_what_was_replicated_is_there() {
    let watched = Watched::start();
    let store = open(&format!("redis-sentinel://{}", watched.address())).await.expect("a store");
    store.put(&name("a"), bytes(1, 1000), HOUR).await.expect("put");
    eventually("it is replicated", || async { watched.replica.cli(&["EXISTS", "larder:a"]) == "1" }).await;
    watched.master.kill();
    let began = Instant::now();
    let limit = std::time::Duration::from_millis(800);
    eventually("the store works again", || async {
        tokio::time::timeout(limit, store.put(&name("b"), bytes(2, 10), HOUR)).await.expect("in time").is_ok()
    })
    .await;
    println!("redis-sentinel: from the master's death to the next put: {:?}", began.elapsed());
    assert_eq!(store.get(&name("a")).await, Ok(Some(bytes(1, 1000))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_becomes_a_replica_is_left() {
    let watched = Watched::start();
    let store = open(&format!("redis-sentinel://{}", watched.address())).await.expect("a store");
    store.put(&name("a"), bytes(1, 10), HOUR).await.expect("put");
    // All roles change, nobody dies.
    eventually("a failover", || async {
        watched.sentinels[0].try_cli(&["SENTINEL", "FAILOVER", Watched::SERVICE]) == "OK"
    })
    .await;
    // By redis-cli at any time: with the role all connections are ended, its own, too.
    eventually("the roles have changed", || async { watched.master.try_cli(&["ROLE"]).starts_with("slave") }).await;
    eventually("the store works again", || async { store.put(&name("b"), bytes(2, 10), HOUR).await.is_ok() }).await;
    assert_eq!(watched.replica.cli(&["EXISTS", "larder:b"]), "1", "it was put to the new master");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sentinel_is_enough_and_none_is_an_error() {
    let watched = Watched::start();
    watched.sentinels[0].kill();
    watched.sentinels[1].freeze();
    let url = format!("redis-sentinel://{}", watched.address());
    let store = open(&url).await.expect("a store");
    eventually("the store works", || async { store.put(&name("a"), bytes(1, 10), HOUR).await.is_ok() }).await;
    let wrong = open(&url.replace("/main", "/other")).await.expect("a store");
    let error = wrong.check().await.expect_err("no such service").to_string();
    assert!(error.contains("\"other\""), "{error}");
}
