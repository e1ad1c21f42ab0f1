//! Until every worker has heard.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder_core::cluster::message::{Message, Poll, PollAnswer};
use larder_core::purge::Position;
use larder_core::time::Millis;
use larder_origin::Invalidator;
use larder_origin::invalidator::NotDelivered;

use crate::support::{Cluster, quick, within};

/// A worker of some Envoy, which follows the log by polls.
struct Worker {
    node: std::net::SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    position: Position,
}

impl Worker {
    fn of(cluster: &Cluster) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { node: cluster.data(), client, position: Position::default() }
    }

    /// Confirms what it has heard, and hears what is new within the time.
    async fn poll(&mut self, wait_for: Millis) {
        let poll = Poll { worker: "w".into(), position: self.position, wait_for, lag_max: Millis(60_000), watch: None };
        let request = Request::post(format!("http://{}{}", self.node, Poll::PATH));
        let request = request.body(Full::new(Bytes::from(poll.encode()))).expect("a request");
        let answer = within(self.client.request(request)).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        self.position = PollAnswer::decode(body).expect("a message").position;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_waits_for_every_worker() {
    let cluster = Cluster::new().await;
    let mut worker = Worker::of(&cluster);
    worker.poll(Millis(0)).await;
    let invalidator = cluster.invalidator().build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    within(ticket.accepted()).await.expect("accepted");
    match within(ticket.delivered(Duration::from_millis(300))).await {
        Err(NotDelivered::TimedOut(nodes)) => assert!(nodes[0].contains("waits for w"), "{nodes:?}"),
        other => panic!("{other:?}"),
    }
    let delivered = tokio::spawn(async move { ticket.delivered(Duration::from_secs(20)).await });
    // The first hears of the purge, the second says so.
    worker.poll(Millis(1000)).await;
    assert!(!delivered.is_finished());
    worker.poll(Millis(0)).await;
    let accepted = within(delivered).await.expect("no panic").expect("delivered");
    assert_eq!(accepted.sequence(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_asks_every_node() {
    let first = Cluster::new().await;
    let mut second = Cluster::sharing(first.log.clone());
    second.start().await;
    let mut worker = Worker::of(&second);
    worker.poll(Millis(0)).await;
    let invalidator = quick(Invalidator::builder().nodes([first.url(), second.url()])).build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    match within(ticket.delivered(Duration::from_millis(500))).await {
        Err(NotDelivered::TimedOut(nodes)) => {
            assert!(nodes.len() == 1 && nodes[0].starts_with(&second.url()), "{nodes:?}");
        }
        other => panic!("{other:?}"),
    }
    worker.poll(Millis(1000)).await;
    worker.poll(Millis(0)).await;
    within(ticket.delivered(Duration::from_secs(20))).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_do_not_share_their_log_do_not_confirm() {
    let (first, second) = (Cluster::new().await, Cluster::new().await);
    let invalidator = quick(Invalidator::builder().nodes([first.url(), second.url()])).build().expect("an invalidator");
    let mut ticket = invalidator.purge_tag("a").await.expect("queued");
    match within(ticket.delivered(Duration::from_millis(500))).await {
        Err(NotDelivered::TimedOut(nodes)) => assert!(nodes[0].contains("another one"), "{nodes:?}"),
        other => panic!("{other:?}"),
    }
}
