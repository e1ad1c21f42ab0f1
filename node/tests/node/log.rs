//! Following the purge log, and what workers report.

use std::sync::Arc;

use larder_core::cluster::message::{Message, Poll, Report, StoreAnswer};
use larder_core::purge::{Mode, Position, Scope, Sequence};
use larder_core::time::Millis;
use larder_node::log::{LogId, MemoryLog};

use crate::support::{PATIENCE, World, eventually};

fn polls(position: Position, wait_for: u64) -> Poll {
    Poll { worker: "w1".into(), position, wait_for: Millis(wait_for), lag_max: Millis(5000), watch: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_knows_nothing_or_another_log_begins_anew() {
    let world = World::new().await;
    let head = world.purge(Scope::All, Mode::Hard).await;
    for position in [Position::default(), Position { log: head.log ^ 1, sequence: Sequence(0) }] {
        let answer = world.poll(&polls(position, 10_000)).await;
        assert_eq!((answer.begins_anew, answer.position, answer.records.len()), (true, head, 0));
    }
    let ahead = Position { sequence: Sequence(99), ..head };
    assert!(world.poll(&polls(ahead, 10_000)).await.begins_anew, "nobody was told of 99");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_waits_for_news_and_then_has_them_in_order() {
    let world = Arc::new(World::new().await);
    let here = world.poll(&polls(Position::default(), 0)).await.position;
    let waiting = tokio::spawn({
        let world = world.clone();
        async move { world.poll(&polls(here, 15_000)).await }
    });
    eventually("it polls", async || (world.stats().await["workers"][0]["polling"] == true).then_some(())).await;
    world.purge(Scope::Tag("a".into()), Mode::Soft).await;
    let answer = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("ended");
    assert_eq!((answer.begins_anew, answer.records.len(), answer.position.sequence.0), (false, 1, 1));
    for tag in ["b", "c"] {
        world.purge(Scope::Tag(tag.into()), Mode::Hard).await;
    }
    let answer = world.poll(&polls(answer.position, 15_000)).await;
    let tags: Vec<&Scope> = answer.records.iter().map(|record| &record.scope).collect();
    assert_eq!(tags, [&Scope::Tag("b".into()), &Scope::Tag("c".into())]);
    let nothing = world.poll(&polls(answer.position, 10)).await;
    assert_eq!((nothing.records.len(), nothing.position, nothing.begins_anew), (0, answer.position, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_too_far_behind_begins_anew() {
    let world = World::with(|config| config.log = Arc::new(MemoryLog::new(LogId(7), 2))).await;
    let here = world.poll(&polls(Position::default(), 0)).await.position;
    for number in 0..4 {
        world.purge(Scope::Tag(number.to_string()), Mode::Hard).await;
    }
    let answer = world.poll(&polls(here, 0)).await;
    assert_eq!((answer.begins_anew, answer.position.sequence.0), (true, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_are_bounded() {
    let world = World::with(|config| config.limits.polls_max = 0).await;
    let response = world.post(Poll::PATH, polls(Position::default(), 0).encode()).await;
    assert_eq!((response.status().as_u16(), response.headers()["x-larder-refused"].as_bytes()), (503, &b"polls"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_summed() {
    let world = World::new().await;
    for worker in ["w1", "w2"] {
        let report = Report {
            worker: worker.into(),
            counts: vec![("larder_requests_total;route=items;outcome=hit".into(), 3)],
            gauges: vec![("larder_l1_bytes".into(), 10)],
            keys: vec![],
        };
        assert_eq!(world.ask::<_, StoreAnswer>(Report::PATH, &report).await, StoreAnswer::Done);
    }
    let reported = world.stats().await["reported"].clone();
    assert_eq!(reported["counts"]["larder_requests_total;route=items;outcome=hit"], 6);
    assert_eq!(reported["gauges"]["larder_l1_bytes"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_those_who_poll_go() {
    let world = World::new().await;
    let here = world.poll(&polls(Position::default(), 0)).await.position;
    let World { node, client, clock } = world;
    let (data, admin) = (node.data, node.admin);
    let request = hyper::Request::post(format!("http://{data}{}", Poll::PATH));
    let request = request.body(http_body_util::Full::new(polls(here, 60_000).encode().into())).expect("a request");
    let polling = tokio::spawn({
        let client = client.clone();
        async move { client.request(request).await }
    });
    let world = World { node, client, clock };
    eventually("it polls", async || (world.stats().await["workers"][0]["polling"] == true).then_some(())).await;
    let _ = admin;
    let World { node, client, .. } = world;
    drop(client);
    tokio::time::timeout(PATIENCE, node.stop()).await.expect("stopped in time").expect("closed");
    assert_eq!(polling.await.expect("ended").expect("an answer").status(), 200);
    tokio::net::TcpStream::connect(data).await.expect_err("nobody listens any more");
}
