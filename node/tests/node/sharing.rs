//! Two nodes that share a log in a real Redis: each shows what workers report to both.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use larder_core::cluster::message::{Report, ReportedKey, StoreAnswer};
use larder_node::Config;
use larder_node::log::RedisLog;
use serde_json::Value;

use crate::servers::Server;
use crate::support::{World, eventually};

const REQUESTS: &str = "larder_requests_total;policy=shop;route=items;class=catalog;host=*.shop.example;outcome=";
const TOOK: &str = "larder_request_duration_total;policy=shop;route=items;class=catalog;host=*.shop.example;outcome=";

/// A node that shares.
async fn node(redis: &Server, change: impl FnOnce(&mut Config)) -> World {
    let url = format!("redis://127.0.0.1:{}/?prefix=t", redis.port);
    let log = RedisLog::open(&url).await.expect("a log");
    World::with(|config| {
        config.log = Arc::new(log);
        change(config);
    })
    .await
}

async fn reports(world: &World, worker: &str, hits: u64, misses: u64) {
    let report = Report {
        worker: worker.into(),
        counts: vec![
            (format!("{REQUESTS}hit"), hits),
            (format!("{REQUESTS}miss"), misses),
            (format!("{TOOK}hit;within=1"), hits),
            (format!("{TOOK}miss;within=100"), misses),
        ],
        gauges: vec![("larder_l1_bytes".into(), 1000)],
        keys: vec![ReportedKey {
            url: "http://a.shop.example/items/1".into(),
            labels: ";policy=shop;route=items;class=catalog;host=*.shop.example".into(),
            requests: hits + misses,
            hits,
        }],
    };
    assert_eq!(world.ask::<_, StoreAnswer>(Report::PATH, &report).await, StoreAnswer::Done);
}

async fn shown(world: &World) -> Value {
    let admin = world.node.admin.expect("an admin plane");
    let request = Request::get(format!("http://{admin}/v1/analytics?host=*.shop.example"));
    let response = world.send(request.body(Full::default()).expect("a request")).await;
    assert_eq!(response.status(), 200, "{response:?}");
    serde_json::from_slice(response.body()).expect("JSON")
}

/// Waits until a node shows so many requests and hits.
async fn shows(world: &World, requests: u64, hits: u64) -> Value {
    let what = format!("{requests} requests, {hits} hits");
    eventually(&what, async || {
        let all = shown(world).await;
        (all["totals"]["requests"] == requests && all["totals"]["hits"] == hits).then_some(all)
    })
    .await
}

/// What was reported belongs to a second that has ended.
fn a_second_passes(worlds: &[&World]) {
    worlds.iter().for_each(|world| world.clock.advance(Duration::from_secs(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_shows_what_workers_report_to_both() {
    let redis = Server::redis(&[]);
    let (a, b) = (node(&redis, |_| {}).await, node(&redis, |_| {}).await);
    reports(&a, "w1", 3, 1).await;
    reports(&b, "w2", 2, 0).await;
    for world in [&a, &b] {
        // Gauges are taken with the next second.
        eventually("a gauge", async || {
            let gauges = shown(world).await["gauges"]["larder_l1_bytes"].as_array()?.clone();
            gauges.iter().any(|value| value.as_u64() >= Some(1000)).then_some(())
        })
        .await;
    }
    a_second_passes(&[&a, &b]);
    for world in [&a, &b] {
        let all = shows(world, 6, 5).await;
        let key = &all["keys"][0];
        assert_eq!(
            (&key["url"], &key["requests"], &key["hits"]),
            (&"http://a.shop.example/items/1".into(), &6.into(), &5.into())
        );
        let latency = &all["totals"]["latency"];
        assert_eq!((&latency["hit"]["requests"], &latency["hit"]["p50_ms"]), (&5.into(), &0.5.into()));
        assert_eq!((&latency["miss"]["requests"], &latency["miss"]["p50_ms"]), (&1.into(), &75.0.into()));
        let names: Vec<String> = [&a, &b].iter().map(|world| world.node.data.to_string()).collect();
        let nodes: Vec<&str> = all["nodes"].as_array().expect("nodes").iter().filter_map(Value::as_str).collect();
        assert!(names.iter().all(|name| nodes.contains(&name.as_str())) && nodes.len() == 2, "{nodes:?}");
        assert_eq!(all["hosts"], serde_json::json!(["*.shop.example"]));
        // Two workers of a thousand bytes each, one at each node.
        eventually("both gauges", async || {
            let gauges = shown(world).await["gauges"]["larder_l1_bytes"].as_array()?.clone();
            gauges.iter().any(|value| value.as_u64() == Some(2000)).then_some(())
        })
        .await;
    }
    // A node's own numbers are its own: nobody has asked this one for anything but its log and its reports.
    let own = shown(&b).await["node"].clone();
    assert!(own.as_object().expect("numbers").keys().all(|name| !name.contains("node=")), "{own}");

    // Who starts later, or again, has what the others still have there.
    let c = node(&redis, |_| {}).await;
    shows(&c, 6, 5).await;
    // What was reported in the last second goes out at the end.
    reports(&a, "w1", 1, 0).await;
    a.node.stop().await.expect("a stop");
    a_second_passes(&[&b, &c]);
    shows(&b, 7, 6).await;
    shows(&c, 7, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_folder_counts_nothing_twice_when_it_starts_again() {
    let redis = Server::redis(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let other = node(&redis, |_| {}).await;
    for round in 1..=3_u64 {
        let kept = node(&redis, |config| config.analytics = Some(folder.path().to_owned())).await;
        // Each node's clock begins anew with it.
        kept.clock.advance(Duration::from_secs(round - 1));
        reports(&kept, "w1", 10, 0).await;
        reports(&other, "w2", 1, 0).await;
        a_second_passes(&[&other, &kept]);
        shows(&kept, round * 11, round * 11).await;
        kept.node.stop().await.expect("a stop");
        shows(&other, round * 11, round * 11).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_while_redis_is_away_is_shared_later() {
    let redis = Server::redis(&[]);
    let (a, b) = (node(&redis, |_| {}).await, node(&redis, |_| {}).await);
    reports(&a, "w1", 1, 0).await;
    a_second_passes(&[&a, &b]);
    shows(&b, 1, 1).await;
    redis.kill();
    reports(&a, "w1", 2, 0).await;
    a_second_passes(&[&a, &b]);
    // Its own figures go on.
    shows(&a, 3, 3).await;
    redis.start_again();
    shows(&b, 3, 3).await;
}
