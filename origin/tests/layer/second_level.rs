//! Layers that share what they store: by a cluster of real nodes, and by a store in the process.

use std::time::Duration;

use larder_node::{Config, Node, Running};
use larder_origin::CacheLayer;
use tokio::time::Instant;

use crate::common::{Layered, POLICY, Scripted, field, send, service, text};

async fn node() -> Running {
    Node::start(Config::in_memory().expect("a configuration")).await.expect("a node")
}

fn layer(nodes: &[&Running]) -> CacheLayer {
    let urls = nodes.iter().map(|node| format!("http://{}", node.data));
    CacheLayer::builder().policy(POLICY).cluster(urls).lookup_timeout(Duration::from_secs(2)).build().expect("a layer")
}

/// Asks until the answer's Cache-Status has this in it; the origin, where it is asked, answers with its body.
async fn until(service: &Layered, origin: &Scripted, path: &str, body: &'static str, status: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut again = tokio::time::interval(Duration::from_millis(10));
    loop {
        let request = send(service, path);
        let answering = async {
            let pen = origin.asked().await.answer(200, &[]);
            pen.write(body).await;
            drop(pen);
            std::future::pending::<()>().await;
        };
        let response = tokio::select! {
            response = request => response.expect("an answer"),
            () = answering => unreachable!(),
        };
        let seen = field(&response, "cache-status").to_owned();
        let got = text(response).await.expect("whole");
        if seen.contains(status) {
            return got;
        }
        assert!(Instant::now() < deadline, "{status} is awaited, and this is seen: {seen}");
        again.tick().await;
    }
}

#[tokio::test]
async fn what_one_layer_stored_another_serves_and_purges() {
    let (first_node, second_node) = (node().await, node().await);
    let nodes = [&first_node, &second_node];
    let (one, other) = (layer(&nodes), layer(&nodes));
    let ((one_service, one_origin), (other_service, other_origin)) = (service(&one), service(&other));
    until(&one_service, &one_origin, "/a", "one's", "stored").await;
    until(&one_service, &one_origin, "/a", "one's", "hit").await;
    let body = until(&other_service, &other_origin, "/a", "other's", "hit").await;
    assert_eq!(body, "one's", "from the cluster");
    assert_eq!(other_origin.calls(), 0);
    first_node.stop().await.expect("stopped");
    second_node.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_layer_follows_the_cluster_from_when_it_is_built() {
    let node = node().await;
    let layer = layer(&[&node]);
    assert!(layer.handle().joined(Duration::from_secs(20)).await);
    node.stop().await.expect("stopped");
    assert!(layer.handle().joined(Duration::ZERO).await, "once is enough");

    let urls = ["http://127.0.0.1:1"];
    let alone = CacheLayer::builder().policy(POLICY).cluster(urls).build().expect("a layer");
    assert!(!alone.handle().joined(Duration::from_millis(50)).await);
    let none = CacheLayer::builder().policy(POLICY).build().expect("a layer");
    assert!(none.handle().joined(Duration::ZERO).await, "there is none to hear from");
}

#[test]
fn a_layer_that_is_built_without_a_runtime_follows_once_there_is_one() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let node = runtime.block_on(node());
    let layer = layer(&[&node]);
    assert!(runtime.block_on(layer.handle().joined(Duration::from_secs(20))));
    runtime.block_on(node.stop()).expect("stopped");
}

#[tokio::test]
async fn a_purge_in_one_layer_reaches_the_other() {
    let node = node().await;
    let (one, other) = (layer(&[&node]), layer(&[&node]));
    let ((one_service, one_origin), (other_service, other_origin)) = (service(&one), service(&other));
    until(&one_service, &one_origin, "/a", "old", "hit").await;
    assert_eq!(until(&other_service, &other_origin, "/a", "never", "hit").await, "old");
    one.handle().purge_url("http://h.example/a").expect("a URL");
    assert_eq!(until(&other_service, &other_origin, "/a", "new", "stored").await, "new");
    node.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_cluster_that_is_down_costs_hits_and_nothing_else() {
    let node = node().await;
    let layer = layer(&[&node]);
    let (service, origin) = service(&layer);
    node.stop().await.expect("stopped");
    let request = send(&service, "/a");
    drop(origin.asked().await.answer(200, &[]));
    let response = request.await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(field(&response, "cache-status").contains("fwd="), "{}", field(&response, "cache-status"));
}

/// What a node's `/metrics` says of a layer's series, whose sum is wanted.
async fn reported(node: &Running, series: &str, labels: &[&str]) -> u64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = node.admin.expect("an admin plane");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let is_meant = |line: &&str| {
        line.starts_with(&format!("larder_fleet_{series}_total{{")) && labels.iter().all(|label| line.contains(label))
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok());
    answer.lines().filter(is_meant).filter_map(value).sum()
}

#[tokio::test]
async fn a_layer_reports_how_long_requests_took_and_what_the_service_sent() {
    let node = node().await;
    let layer = layer(&[&node]);
    let (service, origin) = service(&layer);
    assert_eq!(until(&service, &origin, "/a", "12345", "hit").await, "12345");
    let stored = origin.calls() as u64 * 5;
    // Passed by without being stored, in two pieces whose length nobody has told.
    let request = send(&service, "/b");
    let pen = origin.asked().await.answer(200, &[("cache-control", "no-store")]);
    let reading = tokio::spawn(async move { text(request.await.expect("an answer")).await.expect("whole") });
    pen.write("123").await;
    pen.write("4567").await;
    drop(pen);
    assert_eq!(reading.await.expect("ended"), "1234567");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut again = tokio::time::interval(Duration::from_millis(50));
    loop {
        let bytes = reported(&node, "origin_bytes", &[]).await;
        let took = reported(&node, "request_duration", &["outcome=\"hit\"", "within="]).await;
        let requests = reported(&node, "requests", &[]).await;
        if bytes == stored + 7 && took >= 1 && requests == reported(&node, "request_duration", &[]).await {
            break;
        }
        assert!(Instant::now() < deadline, "{bytes} bytes of {}, {took} hits, {requests} requests", stored + 7);
        again.tick().await;
    }
    node.stop().await.expect("stopped");
}

#[cfg(feature = "store")]
#[tokio::test]
async fn a_store_in_the_process_outlives_the_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("disk:{}/store", folder.path().display());
    for round in 0..2 {
        let builder = CacheLayer::builder().policy(POLICY).lookup_timeout(Duration::from_secs(2));
        let layer = builder.build_with_store(&url).await.expect("a layer");
        let (service, origin) = service(&layer);
        let wanted = if round == 0 { "stored" } else { "hit" };
        assert_eq!(until(&service, &origin, "/a", "body", wanted).await, "body");
        assert_eq!(origin.calls() == 0, round == 1);
        layer.handle().close(Duration::from_secs(20)).await.expect("written");
    }
}
