//! Two nodes that share policies in one Redis.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use larder_core::cluster::message::{Message, Poll, PollAnswer, Watch};
use larder_core::purge::Position;
use larder_core::time::Millis;
use larder_node::policies::open;
use larder_node::{Embedded, Limits};
use serde_json::Value;

use crate::servers::Server;
use crate::support::{World, eventually};

async fn node(server: &Server) -> World {
    let url = format!("redis://127.0.0.1:{}?timeout=5s&connect=5s", server.port);
    let policies = open(&url).await.expect("a store");
    World::with(|config| config.policies = policies).await
}

async fn asked(world: &World, method: &str, path: &str, body: &str) -> Response<Bytes> {
    let uri = format!("http://{}{path}", world.node.admin.expect("an admin plane"));
    let request = Request::builder().method(method).uri(uri);
    world.send(request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request")).await
}

async fn said(world: &World, method: &str, path: &str, body: &str) -> Value {
    let response = asked(world, method, path, body).await;
    assert_eq!(response.status(), 200, "{method} {path}: {response:?}");
    serde_json::from_slice(response.body()).expect("JSON")
}

fn policy(ttl: u32) -> String {
    format!(r#"{{"version": 1, "name": "shop", "routes": [{{"name": "items", "path": "/items", "ttl": "{ttl}s"}}]}}"#)
}

/// A worker polls with a generation, and waits.
async fn polls(world: &World, position: Position, generation: u64) -> PollAnswer {
    let watch = Some(Watch { name: "shop".into(), generation, refused: None });
    world.poll(&Poll { worker: "w".into(), position, wait_for: Millis(15_000), lag_max: Millis(60_000), watch }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_on_one_node_reaches_the_workers_of_the_other() {
    let server = Server::redis(&[]);
    let (a, b) = (node(&server).await, node(&server).await);
    let here = polls(&b, Position::default(), 0).await.position;
    let text = policy(1);
    let (answer, pushed) = tokio::join!(polls(&b, here, 0), said(&a, "POST", "/v1/policies", &text));
    let told = answer.policies.expect("a policy");
    assert_eq!(
        (Some(told.generation), told.active.map(|it| it.text)),
        (pushed["generation"].as_u64(), Some(policy(1)))
    );
    // Whoever polls with it has it; the other node says so.
    let delivery = format!("/v1/policies/shop/delivery?generation={}&wait=15s", told.generation);
    let (delivered, next, _) = tokio::join!(said(&b, "GET", &delivery, ""), polls(&b, here, told.generation), async {
        eventually("it is delivered", async || {
            let shown = said(&b, "GET", "/v1/policies", "").await;
            (shown["policies"][0]["workers"]["current"] == 1).then_some(())
        })
        .await;
        said(&a, "POST", "/v1/policies/shop/rollback", r#"{"to": 1}"#).await;
        said(&a, "DELETE", "/v1/policies/shop", "").await
    });
    assert_eq!((&delivered["delivered"], &delivered["workers"]["current"]), (&true.into(), &serde_json::json!(["w"])));
    let withdrawn = next.policies.expect("that it was withdrawn");
    assert_eq!((withdrawn.active, withdrawn.shadow), (None, None));
    assert_ne!(withdrawn.generation, told.generation);
    // Both nodes mark it, whoever was asked.
    for world in [&a, &b] {
        let marks = said(world, "GET", "/v1/analytics", "").await["marks"].clone();
        let of = |what: &str| {
            let all = marks.as_array().expect("marks").iter().filter(|mark| mark["kind"] == "policy");
            all.flat_map(|mark| mark["what"].as_array().expect("texts")).any(|text| text == what)
        };
        assert!(of("shop: version 1 pushed") && of("shop: version 1 withdrawn"), "{marks}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_with_a_node_in_it_has_what_others_were_pushed_to() {
    let server = Server::redis(&[]);
    let url = format!("redis://127.0.0.1:{}?timeout=5s&connect=5s", server.port);
    let store = larder_node::store::open("memory:").await.expect("a store");
    let (log, policies) = (larder_node::log::open("memory:").await.expect("a log"), open(&url).await.expect("a store"));
    let layer = Embedded::start(store, log, policies, Limits::default()).await.expect("a node");
    let polls = async |position: Position, generation: u64| {
        let watch = Some(Watch { name: "shop".into(), generation, refused: None });
        let poll = Poll { worker: "w".into(), position, wait_for: Millis(15_000), lag_max: Millis(60_000), watch };
        let answer = layer.ask(Poll::PATH, poll.encode().into()).await.expect("an answer");
        PollAnswer::decode(answer).expect("a message")
    };
    let here = polls(Position::default(), 0).await.position;
    let (node, text) = (node(&server).await, policy(1));
    let (answer, pushed) = tokio::join!(polls(here, 0), said(&node, "POST", "/v1/policies", &text));
    let told = answer.policies.expect("a policy");
    assert_eq!((Some(told.generation), told.active.map(|it| it.text)), (pushed["generation"].as_u64(), Some(text)));
    layer.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_push_from_the_same_version_on_two_nodes_one_does() {
    let server = Server::redis(&[]);
    let (a, b) = (node(&server).await, node(&server).await);
    said(&a, "POST", "/v1/policies?base=0", &policy(1)).await;
    for round in 1..6u32 {
        let path = format!("/v1/policies?base={round}");
        let (ours, theirs) = (policy(round * 10), policy(round * 10 + 1));
        let (first, second) = tokio::join!(asked(&a, "POST", &path, &ours), asked(&b, "POST", &path, &theirs));
        let mut statuses = [first.status().as_u16(), second.status().as_u16()];
        statuses.sort();
        assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
    }
    let shown = said(&b, "GET", "/v1/policies/shop", "").await;
    assert_eq!((&shown["active"]["version"], &shown["versions"][0]["version"]), (&6.into(), &6.into()));
    // Without a base both do, one after the other.
    let (ours, theirs) = (policy(100), policy(101));
    let (first, second) =
        tokio::join!(asked(&a, "POST", "/v1/policies", &ours), asked(&b, "POST", "/v1/policies", &theirs));
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(said(&a, "GET", "/v1/policies/shop", "").await["active"]["version"], 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_workers_keep_what_they_have_and_operators_are_told() {
    let server = Server::redis(&["--appendonly", "yes", "--appendfsync", "always"]);
    let world = node(&server).await;
    let pushed = said(&world, "POST", "/v1/policies", &policy(1)).await;
    let here = polls(&world, Position::default(), 0).await;
    assert_eq!(here.policies.map(|told| told.generation), pushed["generation"].as_u64());
    server.kill();
    assert_eq!(asked(&world, "POST", "/v1/policies", &policy(2)).await.status(), 503);
    assert_eq!(asked(&world, "GET", "/v1/policies", "").await.status(), 503);
    // A worker that has nothing is told what is known.
    let told = polls(&world, here.position, 0).await.policies.expect("what is known");
    assert_eq!(Some(told.generation), pushed["generation"].as_u64());
    server.start_again();
    eventually("it is pushed", async || {
        (asked(&world, "POST", "/v1/policies", &policy(2)).await.status() == 200).then_some(())
    })
    .await;
    // A node that starts now knows it before its first poll.
    let later = node(&server).await;
    let told = polls(&later, Position::default(), 0).await.policies.expect("a policy");
    assert_eq!(told.active.map(|it| it.text), Some(policy(2)));
}
