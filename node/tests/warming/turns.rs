//! Nodes that share a log in Redis: one of them warms.

use std::sync::Arc;
use std::time::Duration;

use larder_core::Policy;
use larder_node::log::{Log, open};
use larder_node::{Config, Node, Running};
use serde_json::json;
use tokio::sync::watch;

use crate::proxy::{Proxy, eventually, policy, stored};
use crate::schedule::{schedule, shown};
use crate::servers::{Server, Watched, cluster};

const LONG: Duration = Duration::from_secs(60);

async fn opened(url: &str) -> Arc<dyn Log> {
    let log = open(url).await.expect("a log");
    eventually("the log answers", async || log.head().await.ok()).await;
    log
}

async fn node(proxy: &Proxy, policies: &watch::Sender<Vec<Arc<Policy>>>, url: &str) -> Running {
    let mut config = Config::in_memory().expect("a configuration");
    (config.warming, config.log) = (Some(schedule(proxy, policies)), opened(url).await);
    Node::start(config).await.expect("a node")
}

/// One has the turn until it gives it back or it ends; nobody gives back another's.
async fn turns(url: &str) {
    let (a, b) = (opened(url).await, opened(url).await);
    let take = async |log: &Arc<dyn Log>, mine: &str, keep_for| {
        eventually("an answer", async || log.take_turn("test", mine, keep_for).await.ok()).await
    };
    assert_eq!(take(&a, "1 a", LONG).await, "1 a");
    assert_eq!(take(&b, "2 b", LONG).await, "1 a");
    assert_eq!(take(&a, "1 a", LONG).await, "1 a");
    b.give_turn("test", "2 b").await.expect("given");
    assert_eq!(take(&b, "2 b", LONG).await, "1 a", "it was not b's to give");
    a.give_turn("test", "1 a").await.expect("given");
    assert_eq!(take(&b, "2 b", Duration::from_millis(1)).await, "2 b");
    eventually("it has ended", async || (take(&a, "1 a", LONG).await == "1 a").then_some(())).await;
    assert_eq!(a.take_turn("other", "1 a", LONG).await.expect("an answer"), "1 a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_one_nodes_until_it_ends() {
    let server = Server::redis(&[]);
    turns(&format!("redis://127.0.0.1:{}", server.port)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_in_a_cluster_is_one_nodes_until_it_ends() {
    let nodes = cluster();
    turns(&format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_by_way_of_sentinels_is_one_nodes_until_it_ends() {
    let watched = Watched::start();
    turns(&format!("redis-sentinel://{}", watched.address())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_warms_and_another_goes_on_where_it_stops() {
    let server = Server::redis(&[]);
    let url = format!("redis://127.0.0.1:{}", server.port);
    let proxy = Proxy::start(|_, _| stored()).await;
    let (policies, _) =
        watch::channel(vec![policy(r#"{"name":"a","path":"/a","ttl":"2h","warm":[{"url":"/a","every":"1h"}]}"#)]);
    let first = node(&proxy, &policies, &url).await;
    proxy.is_asked("/a", 1).await;
    let second = node(&proxy, &policies, &url).await;
    let holder = eventually("the second knows", async || {
        let holder = shown(&second).await["holder"].clone();
        (holder["state"] == "elsewhere").then_some(holder)
    })
    .await;
    assert_eq!(holder["name"], json!(first.data.to_string()));
    assert_eq!(shown(&first).await["holder"]["state"], "here");
    assert_eq!(proxy.asked().len(), 1, "the second has the same plan and leaves it alone");
    first.stop().await.expect("stopped");
    eventually("the turn is given back", async || {
        server.try_cli(&["GET", "{larder}:turn:warm"]).is_empty().then_some(())
    })
    .await;
    proxy.is_asked("/a", 2).await;
    assert_eq!(shown(&second).await["holder"]["state"], "here");
    // Another has it, whatever this node believes: it stops.
    server.cli(&["SET", "{larder}:turn:warm", "1 third"]);
    eventually("the second has heard", async || {
        (shown(&second).await["holder"] == json!({"state": "elsewhere", "name": "third"})).then_some(())
    })
    .await;
    second.stop().await.expect("stopped");
    assert_eq!(server.cli(&["GET", "{larder}:turn:warm"]), "1 third");
}
