//! What workers report, as the admin plane shows it over time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use larder_core::cluster::message::{Report, StoreAnswer};
use larder_core::policy::Policy;
use larder_core::purge::{Mode, Scope};
use larder_node::analytics::Targets;
use larder_node::tokens::{self, Tokens, new_token};
use serde_json::{Value, json};

use crate::support::{World, eventually};

const REQUESTS: &str = "larder_requests_total;policy=shop;route=items;class=catalog;outcome=";

async fn asked(world: &World, query: &str, token: Option<&str>) -> Response<Bytes> {
    let admin = world.node.admin.expect("an admin plane");
    let mut request = Request::get(format!("http://{admin}/v1/analytics{query}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    world.send(request.body(Full::default()).expect("a request")).await
}

async fn shown(world: &World, query: &str) -> Value {
    let response = asked(world, query, None).await;
    assert_eq!(response.status(), 200, "{response:?}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    serde_json::from_slice(response.body()).expect("JSON")
}

async fn reports(world: &World, outcome: &str, by: u64) {
    let counts = vec![(format!("{REQUESTS}{outcome}"), by)];
    let report = Report { worker: "w".into(), counts, gauges: vec![("larder_l1_bytes".into(), by)], keys: vec![] };
    assert_eq!(world.ask::<_, StoreAnswer>(Report::PATH, &report).await, StoreAnswer::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_shown_over_time_and_against_the_target() {
    let text = r#"{"version": 1, "name": "shop",
        "routes": [{"name": "items", "path": "/items", "class": "catalog", "target_hit_ratio": 0.5}]}"#;
    let policy = Policy::parse(text).expect("a policy");
    let world = World::with(|config| config.targets = Targets::of([&policy])).await;
    reports(&world, "hit", 2).await;
    world.clock.advance(Duration::from_secs(7));
    reports(&world, "hit", 1).await;
    reports(&world, "miss", 1).await;
    let all = shown(&world, "").await;
    assert_eq!((&all["range"], &all["step_ms"], &all["steps"]), (&"10m".into(), &1000.into(), &600.into()));
    let totals = &all["totals"];
    assert_eq!((&totals["requests"], &totals["hits"], &totals["hit_ratio"]), (&4.into(), &3.into(), &0.75.into()));
    let hits = all["by_step"]["outcomes"]["hit"].as_array().expect("steps");
    assert_eq!((&hits[599], &hits[592], hits.len()), (&1.into(), &2.into(), 600));
    let route = &all["routes"][0];
    assert_eq!((&route["route"], &route["standing"]), (&"items".into(), &"met".into()));
    assert_eq!((&route["target_hit_ratio"], &route["by_step"]), (&0.5.into(), &Value::Null));
    let with_steps = shown(&world, "?range=1h&route=items&policy=shop&series=routes").await;
    assert_eq!(with_steps["routes"][0]["by_step"], with_steps["by_step"]);
    assert_eq!(shown(&world, "?route=other").await["totals"]["requests"], 0);
    assert_eq!(shown(&world, "?range=1d&step=1h").await["steps"], 24);
    // Gauges and marks come with the next second.
    eventually("a gauge", async || {
        let all = shown(&world, "").await;
        let gauges = all["gauges"]["larder_l1_bytes"].as_array()?;
        gauges.iter().any(|value| value == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_and_starts_are_marks() {
    let world = World::new().await;
    // What a write has made wrong is no mark; what somebody asked for is, and so is everything, whoever asked.
    world.purge(Scope::Tag("written".into()), Mode::Hard).await;
    let admin = world.node.admin.expect("an admin plane");
    let request = Request::post(format!("http://{admin}/v1/purge")).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from(r#"{"tags": ["t"], "soft": true}"#))).expect("a request");
    assert_eq!(world.send(request).await.status(), 200);
    world.clock.advance(Duration::from_secs(1));
    world.purge(Scope::All, Mode::Hard).await;
    let marks = eventually("marks", async || {
        let marks = shown(&world, "").await["marks"].as_array().expect("marks").clone();
        (marks.len() == 3).then_some(marks)
    })
    .await;
    assert_eq!((&marks[0]["kind"], &marks[1]["kind"]), (&"start".into(), &"purge".into()));
    let purge = &marks[1];
    assert_eq!((&purge["what"], &purge["soft"], &purge["who"]), (&json!(["tag t"]), &1.into(), &json!(["local"])));
    assert_eq!((&marks[2]["what"], &marks[2]["who"]), (&json!(["all"]), &json!(["test"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_wrongly_is_said_and_a_token_is_needed_where_there_are_tokens() {
    let world = World::new().await;
    for query in ["?range=2m", "?step=1x", "?range=1d&step=15s", "?step=1h", "?series=all", "?routes=a", "?step=0s"] {
        let response = asked(&world, query, None).await;
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let (purger, purger_line) = new_token("ci", &[tokens::Scope::Purge]).expect("a token");
    let (reader, reader_line) = new_token("eye", &[tokens::Scope::Read]).expect("a token");
    let known = Tokens::new(&[purger_line, reader_line]).expect("tokens");
    let guarded = World::with(|config| config.tokens = Some(known)).await;
    for (token, status) in [(None, 401), (Some(&purger), 403), (Some(&reader), 200)] {
        assert_eq!(asked(&guarded, "", token.map(String::as_str)).await.status(), status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_and_started_again_shows_what_was_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let started = async || World::with(|config| config.analytics = Some(folder.path().to_owned())).await;
    let world = started().await;
    reports(&world, "hit", 5).await;
    world.node.stop().await.expect("stopped");
    let world = started().await;
    reports(&world, "miss", 5).await;
    let all = shown(&world, "?range=30d").await;
    assert_eq!((&all["totals"]["requests"], &all["totals"]["hit_ratio"]), (&10.into(), &0.5.into()));
    let kinds = |all: &Value| -> Vec<Value> {
        all["marks"].as_array().expect("marks").iter().map(|mark| mark["kind"].clone()).collect()
    };
    eventually("marks", async || (kinds(&shown(&world, "").await) == ["start", "stop"]).then_some(())).await;
}
