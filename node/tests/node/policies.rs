//! Pushed policies: the admin plane, and what workers are told.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use larder_core::cluster::message::{POLICY_BYTES_MAX, Poll, PollAnswer, Report, StoreAnswer, Watch};
use larder_core::purge::{Mode, Position, Scope};
use larder_core::time::Millis;
use larder_node::analytics::Targets;
use larder_node::tokens::{self, Tokens, new_token};
use serde_json::{Value, json};

use crate::support::World;

async fn sent(
    world: &World,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let uri = format!("http://{}{path}", world.node.admin.expect("an admin plane"));
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    world.send(request.body(Full::new(body.into())).expect("a request")).await
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

/// An answer that is no error.
async fn said(world: &World, method: &str, path: &str, body: &str) -> Value {
    let response = sent(world, method, path, &[], body.to_owned()).await;
    assert_eq!(response.status(), 200, "{method} {path}: {response:?}");
    json_of(&response)
}

async fn status(world: &World, method: &str, path: &str, body: &str) -> u16 {
    let response = sent(world, method, path, &[], body.to_owned()).await;
    if response.status() != 200 {
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{response:?}");
        assert_eq!(json_of(&response)["status"], response.status().as_u16());
    }
    response.status().as_u16()
}

fn policy(ttl: u32) -> String {
    format!(
        r#"{{"version": 1, "name": "shop", "routes": [{{"name": "items", "path": "/items", "ttl": "{ttl}s", "target_hit_ratio": 0.5}}]}}"#
    )
}

fn poll(worker: &str, position: Position, watch: Option<(u64, Option<&str>)>, wait_for: Millis) -> Poll {
    let watch = watch.map(|(generation, refused)| Watch {
        name: "shop".into(),
        generation,
        refused: refused.map(ToOwned::to_owned),
    });
    Poll { worker: worker.into(), position, wait_for, lag_max: Millis(5_000), watch }
}

/// A worker that has heard everything polls, and does not wait.
async fn polls(world: &World, worker: &str, generation: u64, refused: Option<&str>) -> PollAnswer {
    world.poll(&poll(worker, Position::default(), Some((generation, refused)), Millis(0))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_pushed_shown_rolled_back_and_withdrawn() {
    let world = World::new().await;
    assert_eq!(said(&world, "GET", "/v1/policies", "").await["policies"], json!([]));
    let first = said(&world, "POST", "/v1/policies?comment=first%20try", &policy(1)).await;
    assert_eq!((&first["name"], &first["version"], &first["unchanged"]), (&"shop".into(), &1.into(), &false.into()));
    let second = said(&world, "POST", "/v1/policies", &policy(2)).await;
    assert!(second["generation"].as_u64() > first["generation"].as_u64(), "{second}");
    let again = said(&world, "POST", "/v1/policies?base=0", &policy(2)).await;
    assert_eq!((&again["unchanged"], &again["generation"]), (&true.into(), &second["generation"]));

    let shown = said(&world, "GET", "/v1/policies", "").await["policies"][0].clone();
    assert_eq!((&shown["active"]["version"], &shown["active"]["by"]), (&2.into(), &"local".into()));
    assert_eq!((&shown["shadow"], &shown["versions"][1]["comment"]), (&Value::Null, &"first try".into()));
    assert_eq!(
        (&shown["active"]["bytes"], &shown["active"]["pushed_ms"]),
        (&policy(2).len().into(), &world.now().0.into())
    );
    assert_eq!(shown, said(&world, "GET", "/v1/policies/shop", "").await);
    let text = sent(&world, "GET", "/v1/policies/shop/versions/1", &[], "").await;
    assert_eq!((text.status().as_u16(), text.body()), (200, &Bytes::from(policy(1))));
    assert_eq!(text.headers()["content-type"], "application/json");

    let back = said(&world, "POST", "/v1/policies/shop/rollback", "").await;
    assert_eq!((&back["version"], &back["policy"]["changed"]["kind"]), (&1.into(), &"rollback".into()));
    let forth = said(&world, "POST", "/v1/policies/shop/rollback", r#"{"to": 2}"#).await;
    assert_eq!(forth["version"], 2);
    let gone = said(&world, "DELETE", "/v1/policies/shop", "").await;
    assert_eq!((&gone["policy"]["active"], &gone["policy"]["versions"][0]["version"]), (&Value::Null, &2.into()));
    assert_eq!(said(&world, "DELETE", "/v1/policies/shop", "").await["unchanged"], true);
    let counts = world.stats().await["counts"]["policy_changes"].clone();
    let want = json!({ "push": 2, "unchanged": 2, "rollback": 2, "withdraw": 1 });
    for (what, times) in want.as_object().expect("an object") {
        assert_eq!(&counts[what], times, "{what}: {counts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_begun_promoted_and_ended() {
    let world = World::new().await;
    said(&world, "POST", "/v1/policies", &policy(1)).await;
    let shadow = said(&world, "POST", "/v1/policies?shadow=true", &policy(2)).await;
    assert_eq!((&shadow["version"], &shadow["policy"]["active"]["version"]), (&2.into(), &1.into()));
    assert_eq!(said(&world, "POST", "/v1/policies?shadow=true", &policy(2)).await["unchanged"], true);
    let told = polls(&world, "w", 0, None).await.policies.expect("both");
    let of = |pushed: Option<larder_core::cluster::message::Pushed>| pushed.map(|it| (it.version, it.text));
    assert_eq!((of(told.active), of(told.shadow)), (Some((1, policy(1))), Some((2, policy(2)))));

    assert_eq!(status(&world, "POST", "/v1/policies/shop/promote?base=9", "").await, 409);
    let promoted = said(&world, "POST", "/v1/policies/shop/promote", "").await;
    assert_eq!((&promoted["version"], &promoted["policy"]["shadow"]), (&2.into(), &Value::Null));
    assert_eq!(status(&world, "POST", "/v1/policies/shop/promote", "").await, 409);
    assert_eq!(status(&world, "GET", "/v1/policies/shop/shadow", "").await, 404);
    said(&world, "POST", "/v1/policies?shadow=true", &policy(3)).await;
    assert_eq!(said(&world, "DELETE", "/v1/policies/shop/shadow", "").await["policy"]["shadow"], Value::Null);
    assert_eq!(status(&world, "DELETE", "/v1/policies/shop/shadow", "").await, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_come_with_their_places_and_lints_as_warnings() {
    let world = World::new().await;
    let text = "{\"version\": 1, \"name\": \"shop\",\n \"routes\": [{\"name\": \"a\", \"path\": \"/a\", \"clas\": \"x\", \"ttl\": 5}]}";
    let response = sent(&world, "POST", "/v1/policies", &[], text).await;
    assert_eq!(response.status(), 422, "{response:?}");
    let problem = json_of(&response);
    let errors = problem["errors"].as_array().expect("errors");
    assert!(errors.len() >= 2 && errors.iter().all(|error| error["line"] == 2), "{problem}");
    assert_eq!((&errors[0]["nearest"], &problem["left_out"]), (&"class".into(), &0.into()));
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("2:")), "{problem}");
    assert_eq!(said(&world, "GET", "/v1/policies", "").await["policies"], json!([]));

    let odd = r#"{"version": 1, "name": "shop", "classes": {"unused": {"kind": "catalog"}}, "routes": []}"#;
    let warnings = said(&world, "POST", "/v1/policies", odd).await["warnings"].clone();
    assert!(warnings[0]["id"].as_str().is_some_and(|id| id.contains("unused")), "{warnings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_change_nothing() {
    let world = World::new().await;
    said(&world, "POST", "/v1/policies", &policy(1)).await;
    let before = said(&world, "GET", "/v1/policies", "").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nameless = r#"{"version": 1, "routes": []}"#;
    let odd_name = r#"{"version": 1, "name": "../../etc", "routes": []}"#;
    for (method, path, body, want) in [
        ("POST", "/v1/policies", "", 422),
        ("POST", "/v1/policies", "null", 422),
        ("POST", "/v1/policies", &deep, 422),
        ("POST", "/v1/policies", nameless, 422),
        ("POST", "/v1/policies", odd_name, 422),
        ("POST", "/v1/policies", &" ".repeat(POLICY_BYTES_MAX + 1), 413),
        ("POST", "/v1/policies", &" ".repeat(POLICY_BYTES_MAX * 9), 413),
        ("POST", "/v1/policies?shade=1", "", 400),
        ("POST", "/v1/policies?base=-1", &policy(2), 400),
        ("POST", "/v1/policies?base=7", &policy(2), 409),
        ("PUT", "/v1/policies", &policy(2), 405),
        ("POST", "/v1/policies/shop/rollback", "{", 400),
        ("POST", "/v1/policies/shop/rollback", r#"{"too": 1}"#, 400),
        ("POST", "/v1/policies/shop/rollback", r#"{"to": 99}"#, 404),
        ("POST", "/v1/policies/shop/rollback", "", 409),
        ("POST", "/v1/policies/none/rollback", "", 404),
        ("POST", "/v1/policies/%2e%2e%2fx/promote", "", 404),
        ("DELETE", "/v1/policies/none", "", 404),
        ("GET", "/v1/policies/none", "", 404),
        ("GET", "/v1/policies/shop/versions/x", "", 400),
        ("GET", "/v1/policies/shop/versions/9", "", 404),
        ("GET", "/v1/policies/shop/delivery?generation=1", "", 409),
        ("GET", "/v1/policies/shop/delivery?wait=soon", "", 400),
        ("GET", "/v1/policies/none/delivery", "", 404),
    ] {
        assert_eq!(status(&world, method, path, body).await, want, "{method} {path} {:.40}", body);
    }
    let bytes = sent(&world, "POST", "/v1/policies", &[], Bytes::from_static(b"{\"name\": \"\xff\"}")).await;
    assert_eq!(bytes.status(), 400);
    // What a browser sends for a page from elsewhere, without asking first.
    for (method, path) in
        [("POST", "/v1/policies"), ("POST", "/v1/policies/shop/promote"), ("DELETE", "/v1/policies/shop")]
    {
        let fields = [("origin", "https://evil.example"), ("content-type", "text/plain")];
        assert_eq!(sent(&world, method, path, &fields, policy(3)).await.status(), 403, "{method} {path}");
        let fields = [("host", "evil.example")];
        assert_eq!(sent(&world, method, path, &fields, policy(3)).await.status(), 421, "{method} {path}");
    }
    assert_eq!(said(&world, "GET", "/v1/policies", "").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_for_what_their_scopes_say() {
    let made = |name: &str, scope| new_token(name, &[scope]).expect("a token");
    let ((ci, ci_line), (eye, eye_line)) = (made("ci", tokens::Scope::Policy), made("eye", tokens::Scope::Read));
    let (purger, purger_line) = made("purger", tokens::Scope::Purge);
    let known = Tokens::new(&[ci_line, eye_line, purger_line]).expect("tokens");
    let world = World::with(|config| config.tokens = Some(known)).await;
    let status = async |token: Option<&str>, method: &str, path: &str| {
        let field = token.map(|token| format!("Bearer {token}"));
        let fields: Vec<(&str, &str)> = field.iter().map(|value| ("authorization", value.as_str())).collect();
        sent(&world, method, path, &fields, policy(1)).await.status().as_u16()
    };
    for (method, path, needs_read) in [
        ("POST", "/v1/policies", false),
        ("GET", "/v1/policies", true),
        ("GET", "/v1/policies/shop", true),
        ("GET", "/v1/policies/shop/versions/1", true),
        ("POST", "/v1/policies?shadow=true", false),
        ("GET", "/v1/policies/shop/shadow", true),
        ("POST", "/v1/policies/shop/promote", false),
        ("DELETE", "/v1/policies/shop", false),
    ] {
        let (right, wrong) = if needs_read { (&eye, &ci) } else { (&ci, &eye) };
        assert_eq!(status(None, method, path).await, 401, "{method} {path}");
        assert_eq!(status(Some("larder_wrong"), method, path).await, 401, "{method} {path}");
        assert_eq!(status(Some(wrong), method, path).await, 403, "{method} {path}");
        assert_eq!(status(Some(&purger), method, path).await, 403, "{method} {path}");
        assert_eq!(status(Some(right), method, path).await, 200, "{method} {path}");
    }
    assert_eq!(status(Some(&ci), "GET", "/v1/policies/shop/delivery").await, 200);
    assert_eq!(status(Some(&eye), "GET", "/v1/policies/shop/delivery").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_worker_is_told_at_once_and_once() {
    let world = World::new().await;
    let here = polls(&world, "w", 0, None).await;
    assert_eq!(here.policies, None, "nothing is known under that name: the worker keeps what it has");
    let position = here.position;
    let waits = |generation| poll("w", position, Some((generation, None)), Millis(15_000));
    let (asked, text) = (waits(0), policy(1));
    let (answer, pushed) = tokio::join!(world.poll(&asked), said(&world, "POST", "/v1/policies", &text));
    let told = answer.policies.expect("a policy");
    assert_eq!((Some(told.generation), answer.begins_anew), (pushed["generation"].as_u64(), false));
    assert_eq!(answer.position, position);
    // A purge wakes it as before, and it is not told again.
    let asked = waits(told.generation);
    let (answer, _) = tokio::join!(world.poll(&asked), world.purge(Scope::All, Mode::Hard));
    assert_eq!((answer.records.len(), answer.policies), (1, None));
    // Both at once.
    world.purge(Scope::All, Mode::Hard).await;
    said(&world, "POST", "/v1/policies", &policy(2)).await;
    let answer = world.poll(&waits(told.generation)).await;
    assert_eq!(answer.records.len(), 2);
    assert_eq!(answer.policies.and_then(|told| told.active).map(|it| it.text), Some(policy(2)));
    // One that takes up none, or another, is told of none.
    let none = world.poll(&poll("x", Position::default(), None, Millis(0))).await;
    assert_eq!(none.policies, None);
    let mut other = poll("y", Position::default(), Some((0, None)), Millis(0));
    other.watch = Some(Watch { name: "other".into(), generation: 0, refused: None });
    assert_eq!(world.poll(&other).await.policies, None);
    // Whoever names a generation that never was is told of the one there is.
    assert!(polls(&world, "w", u64::MAX, None).await.policies.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_tells_who_has_it_who_refused_and_who_was_not_heard() {
    let world = World::new().await;
    for worker in ["a", "b", "c"] {
        polls(&world, worker, 0, None).await;
    }
    let watched = said(&world, "GET", "/v1/policies", "").await["policies"][0].clone();
    assert_eq!(
        (&watched["name"], &watched["generation"], &watched["workers"]["current"]),
        (&"shop".into(), &0.into(), &3.into())
    );
    let pushed = said(&world, "POST", "/v1/policies", &policy(1)).await;
    let generation = pushed["generation"].as_u64().expect("a number");
    assert_eq!(pushed["policy"]["workers"]["behind"], 3);
    let path = format!("/v1/policies/shop/delivery?generation={generation}");
    let late = said(&world, "GET", &format!("{path}&wait=20ms"), "").await;
    assert_eq!((&late["delivered"], &late["workers"]["behind"]), (&false.into(), &json!(["a", "b", "c"])));
    let waits = format!("{path}&wait=15s");
    let (done, ()) = tokio::join!(said(&world, "GET", &waits, ""), async {
        polls(&world, "a", generation, None).await;
        polls(&world, "b", generation, Some("routes[0]: no")).await;
        polls(&world, "c", generation, None).await;
    });
    assert_eq!(done["workers"]["current"], json!(["a", "c"]));
    assert_eq!(done["workers"]["refused"], json!([{ "worker": "b", "why": "routes[0]: no" }]));
    assert_eq!(done["delivered"], false, "one has refused it");
    // Another change: one takes it up, one falls silent.
    let next = said(&world, "POST", "/v1/policies", &policy(2)).await["generation"].as_u64().expect("a number");
    assert_eq!(status(&world, "GET", &path, "").await, 409, "it was overtaken");
    world.clock.advance(Duration::from_secs(11));
    polls(&world, "a", next, None).await;
    let silent = said(&world, "GET", &format!("/v1/policies/shop/delivery?generation={next}"), "").await;
    assert_eq!((&silent["delivered"], &silent["workers"]["silent"]), (&true.into(), &json!(["b", "c"])));
    let request = Request::get(format!("http://{}/metrics", world.node.admin.expect("an admin plane")));
    let metrics = world.send(request.body(Full::default()).expect("a request")).await;
    let metrics = String::from_utf8_lossy(metrics.body()).into_owned();
    assert!(metrics.contains(&format!("larder_policy_generation{{policy=\"shop\"}} {next}\n")), "{metrics}");
    assert!(metrics.contains("larder_policy_workers{policy=\"shop\",state=\"silent\"} 2\n"), "{metrics}");
    assert!(metrics.contains("larder_node_policy_changes_total{what=\"push\"} 2\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_follow_the_policy_in_force() {
    let own = larder_core::Policy::parse(&policy(1).replace("0.5", "0.9")).expect("a policy");
    let world = World::with(|config| config.targets = Targets::of([&own])).await;
    let counts = vec![("larder_requests_total;policy=shop;route=items;class=c;outcome=hit".to_owned(), 1)];
    let report = Report { worker: "w".into(), counts, gauges: Vec::new(), keys: Vec::new() };
    assert_eq!(world.ask::<_, StoreAnswer>(Report::PATH, &report).await, StoreAnswer::Done);
    let target = async || said(&world, "GET", "/v1/analytics", "").await["routes"][0]["target_hit_ratio"].clone();
    assert_eq!(target().await, 0.9);
    said(&world, "POST", "/v1/policies?shadow=true", &policy(2).replace("0.5", "0.1")).await;
    assert_eq!(target().await, 0.9);
    said(&world, "POST", "/v1/policies", &policy(1)).await;
    assert_eq!(target().await, 0.5);
    said(&world, "DELETE", "/v1/policies/shop", "").await;
    assert_eq!(target().await, 0.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_reported_beside_what_is_in_force_since_it_began() {
    let world = World::new().await;
    said(&world, "POST", "/v1/policies", &policy(1)).await;
    let report = async |counts: &[(&str, u64)]| {
        let counts = counts.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect();
        let report = Report { worker: "w".into(), counts, gauges: Vec::new(), keys: Vec::new() };
        assert_eq!(world.ask::<_, StoreAnswer>(Report::PATH, &report).await, StoreAnswer::Done);
    };
    report(&[("larder_requests_total;policy=shop;route=items;class=c;outcome=hit", 99)]).await;
    world.clock.advance(Duration::from_secs(2));
    let since = world.now().0;
    said(&world, "POST", "/v1/policies?shadow=true", &policy(2)).await;
    world.clock.advance(Duration::from_secs(2));
    report(&[
        ("larder_requests_total;policy=shop;route=items;class=c;outcome=hit", 1),
        ("larder_requests_total;policy=shop;route=items;class=c;outcome=miss", 3),
        ("larder_shadow_requests_total;policy=shop;route=items;outcome=hit", 3),
        ("larder_shadow_requests_total;policy=shop;route=items;outcome=miss", 1),
        ("larder_shadow_differs_total;policy=shop;route=items;reason=other_body", 2),
    ])
    .await;
    let shown = said(&world, "GET", "/v1/policies/shop/shadow", "").await;
    assert_eq!((&shown["active"]["version"], &shown["shadow"]["version"]), (&1.into(), &2.into()));
    assert_eq!((&shown["from_ms"], &shown["safe"]), (&since.into(), &false.into()));
    let route = &shown["routes"][0];
    assert_eq!((&route["active"]["hit_ratio"], &route["shadow"]["hit_ratio"]), (&0.25.into(), &0.75.into()));
    assert_eq!(route["differs"], json!({ "other_body": 2 }));
}
