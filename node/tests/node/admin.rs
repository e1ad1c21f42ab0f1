//! The admin plane, and purges that carry a token.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use larder_core::cluster::message::{Denial, Poll, Purge, PurgeAnswer};
use larder_core::purge::{Mode, Position, Scope};
use larder_core::time::Millis;
use larder_node::tokens::{self, Tokens, new_token};
use serde_json::{Value, json};

use crate::support::World;

async fn asked(world: &World, method: &str, path: &str, token: Option<&str>, body: &str) -> Response<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", world.node.admin.expect("an admin plane")))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    world.send(request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request")).await
}

fn said(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_problem_details() {
    let world = World::new().await;
    for (method, path, body, status) in [
        ("GET", "/nowhere", "", 404),
        ("GET", "/v1/purge", "", 405),
        ("POST", "/v1/purge", "", 400),
        ("POST", "/v1/purge", "{}", 400),
        ("POST", "/v1/purge", r#"{"tag": ["t"]}"#, 422),
        ("POST", "/v1/purge", r#"{"urls": ["/a"]}"#, 400),
        ("POST", "/v1/purge", r#"{"tags": [""]}"#, 400),
        ("GET", "/v1/purges/x/delivery", "", 400),
        ("GET", "/v1/purges/1/delivery", "", 404),
        ("GET", "/v1/purges/0/delivery?wait=soon", "", 400),
        ("GET", "/v1/purges/0/delivery?log=1", "", 404),
        ("GET", "/v1/purges?first=1", "", 400),
    ] {
        let response = asked(&world, method, path, None, body).await;
        assert_eq!(response.status(), status, "{method} {path} {body}: {response:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem = said(&response);
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tokens_a_page_under_another_name_is_turned_away() {
    let world = World::new().await;
    for (method, path) in [("POST", "/v1/purge"), ("GET", "/v1/stats"), ("GET", "/v1/analytics"), ("GET", "/metrics")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", world.node.admin.expect("an admin plane")))
            .header("host", "evil.example")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(r#"{"all":true}"#)));
        assert_eq!(world.send(request.expect("a request")).await.status(), 421, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_appended_in_order_and_shown_with_its_author() {
    let world = World::new().await;
    let body =
        json!({ "urls": ["HTTP://H:80/a"], "tags": ["t"], "prefixes": ["http://h/p"], "all": true, "soft": true });
    let answer = said(&asked(&world, "POST", "/v1/purge", None, &body.to_string()).await);
    assert_eq!((&answer["sequence"], &answer["purges"]), (&4.into(), &4.into()));
    world.purge(Scope::Tag("by a worker".into()), Mode::Hard).await;
    let history = said(&asked(&world, "GET", "/v1/purges?last=3", None, "").await);
    let rows: Vec<(u64, &str, bool, &str)> = history["purges"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().expect("text");
            (row["sequence"].as_u64().expect("a number"), text("what"), row["soft"] == true, text("who"))
        })
        .collect();
    assert_eq!(
        rows,
        [(5, "tag by a worker", false, "test"), (4, "all", true, "local"), (3, "prefix http://h/p", true, "local")]
    );
    assert_eq!(history["log"], answer["log"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_waits_for_who_has_not_confirmed() {
    let world = World::new().await;
    let polls = async |position: Position| {
        let poll = Poll { worker: "w".into(), position, wait_for: Millis(0), lag_max: Millis(5000), watch: None };
        world.poll(&poll).await.position
    };
    let here = polls(Position::default()).await;
    let purged = world.purge(Scope::All, Mode::Hard).await;
    let delivery = async |wait: &str| {
        said(&asked(&world, "GET", &format!("/v1/purges/{}/delivery?wait={wait}", purged.sequence.0), None, "").await)
    };
    let late = delivery("20ms").await;
    assert_eq!((&late["delivered"], &late["workers"]["pending"]), (&false.into(), &json!(["w"])));
    assert_eq!(late["nodes"][0]["confirmed"], true);
    let (done, ()) = tokio::join!(delivery("15s"), async {
        let heard = polls(here).await;
        polls(heard).await;
    });
    assert_eq!((&done["delivered"], &done["workers"]["confirmed"]), (&true.into(), &json!(["w"])));
    // Whoever falls silent uses nothing of its own memory, and is not waited for.
    let again = world.purge(Scope::All, Mode::Hard).await;
    world.clock.advance(std::time::Duration::from_secs(11));
    let path = format!("/v1/purges/{}/delivery", again.sequence.0);
    let silent = said(&asked(&world, "GET", &path, None, "").await);
    assert_eq!((&silent["delivered"], &silent["workers"]["silent"]), (&true.into(), &json!(["w"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_with_a_token_need_one_that_is_for_purging() {
    let (purger, purger_line) = new_token("ci", &[tokens::Scope::Purge]).expect("a token");
    let (reader, reader_line) = new_token("eye", &[tokens::Scope::Read]).expect("a token");
    let known = Tokens::new(&[purger_line, reader_line]).expect("tokens");
    let guarded = World::with(|config| config.tokens = Some(known)).await;
    let open = World::new().await;
    let purged = async |world: &World, token: Option<&str>| -> PurgeAnswer {
        let token = token.map(|token| token.as_bytes().to_vec());
        let purge = Purge { who: "w".into(), token, purges: vec![(Scope::All, Mode::Hard)] };
        world.ask(Purge::PATH, &purge).await
    };
    assert!(matches!(purged(&guarded, Some(&purger)).await, PurgeAnswer::Done(_)));
    assert_eq!(purged(&guarded, Some(&reader)).await, PurgeAnswer::Denied(Denial::Forbidden));
    assert_eq!(purged(&guarded, Some("guess")).await, PurgeAnswer::Denied(Denial::Unauthorized));
    assert_eq!(purged(&open, Some(&purger)).await, PurgeAnswer::Denied(Denial::Unauthorized));
    assert!(matches!(purged(&open, None).await, PurgeAnswer::Done(_)), "a worker's own invalidation");

    for (path, token, status) in [
        ("/v1/stats", None, 401),
        ("/v1/stats", Some(&purger), 403),
        ("/v1/stats", Some(&reader), 200),
        ("/metrics", None, 401),
        ("/metrics", Some(&reader), 200),
        ("/v1/purges/0/delivery", Some(&purger), 200),
        ("/health", None, 200),
        ("/ready", None, 200),
    ] {
        let response = asked(&guarded, "GET", path, token.map(String::as_str), "").await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
    }
    let stats = said(&asked(&guarded, "GET", "/v1/stats", Some(&reader), "").await);
    assert_eq!((&stats["counts"]["purges"]["all"], &stats["counts"]["purges"]["denied"]), (&1.into(), &2.into()));
}
