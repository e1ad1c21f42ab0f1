//! What a node warms by itself, and when.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder_core::Policy;
use larder_node::tokens::{self, Tokens, new_token};
use larder_node::warming::{Schedule, Settings};
use larder_node::{Config, Node, Running};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::proxy::{Answer, PATIENCE, Proxy, eventually, policy, says, stored};

/// Two URLs with tags and one without, none of them due again within a test.
const ROUTES: &str = r#"
    {"name":"list","path":"/list","ttl":"2h","tags":["lists"],"warm":[{"url":"/list","every":"1h"}]},
    {"name":"item","path":"/items/{id}","ttl":"2h","tags":["item:{id}"],"warm":[{"url":"/items/7","every":"1h"}]},
    {"name":"plain","path":"/plain","ttl":"2h","warm":[{"url":"/plain","every":"1h"}]}"#;

pub fn schedule(proxy: &Proxy, policies: &watch::Sender<Vec<Arc<Policy>>>) -> Schedule {
    let mut schedule = Schedule::of(proxy.via(), Vec::new());
    schedule.policies = policies.subscribe();
    schedule.settings = Settings { rate: None, retries: 0, ..Settings::default() };
    schedule
}

async fn started(schedule: Schedule, change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config::in_memory().expect("a configuration");
    config.warming = Some(schedule);
    change(&mut config);
    Node::start(config).await.expect("a node")
}

pub async fn asked(node: &Running, method: &str, path: &str, token: Option<&str>, body: &str) -> Response<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", node.admin.expect("an admin plane")))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    let (head, body) = client.request(request).await.expect("an answer").into_parts();
    Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
}

pub async fn shown(node: &Running) -> Value {
    serde_json::from_slice(asked(node, "GET", "/v1/warming", None, "").await.body()).expect("JSON")
}

async fn purge(node: &Running, what: Value) {
    let answer = asked(node, "POST", "/v1/purge", None, &what.to_string()).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
}

/// Waits until everything has come of something.
async fn all_done(node: &Running) -> Value {
    eventually("all are warmed", async || {
        let shown = shown(node).await;
        let requests = shown["requests"].as_array().expect("a list");
        let done = !requests.is_empty() && requests.iter().all(|request| !request["last"].is_null());
        (done && shown["running"] == false).then_some(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_warms_at_its_start_and_tells_what_came_of_it() {
    let proxy = Proxy::start(|_, asked| match asked.path.as_str() {
        "/plain" => Answer::Now(says(200, "Larder; fwd=uri-miss; fwd-status=200; detail=no-store")),
        "/list" => Answer::Now(says(200, "Larder; hit; ttl=7100")),
        _ => stored(),
    })
    .await;
    let (policies, _) = watch::channel(vec![policy(ROUTES)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    let shown = all_done(&node).await;
    assert_eq!((&shown["holder"]["state"], &shown["total"]), (&json!("here"), &json!(3)));
    let of = |path: &str, part: &str| {
        let requests = shown["requests"].as_array().expect("a list");
        let found = requests.iter().find(|request| request["url"].as_str().expect("a URL").ends_with(path));
        found.expect("a request").pointer(part).expect("a part").clone()
    };
    assert_eq!((of("/items/7", "/last/outcome"), of("/items/7", "/every_s")), (json!("warmed"), json!(3600)));
    assert_eq!((of("/list", "/last/outcome"), of("/list", "/last/ttl_s")), (json!("fresh"), json!(7100)));
    assert_eq!((of("/plain", "/last/outcome"), of("/plain", "/last/reason")), (json!("not_stored"), json!("no-store")));
    let next = of("/list", "/next_ms").as_u64().expect("a time") - of("/list", "/last/at_ms").as_u64().expect("a time");
    assert!((3_500_000..=3_600_000).contains(&next), "{next}");
    let metrics = asked(&node, "GET", "/metrics", None, "").await;
    let metrics = String::from_utf8(metrics.body().to_vec()).expect("text");
    for (outcome, number) in [("warmed", 1), ("fresh", 1), ("not_stored", 1), ("failed", 0)] {
        let line = format!("larder_node_warm_requests_total{{outcome=\"{outcome}\"}} {number}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    node.stop().await.expect("stopped");
    assert_eq!(proxy.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_purge_covers_is_warmed_again_and_nothing_else() {
    let proxy = Proxy::start(|_, asked| {
        let mut response = says(200, "Larder; fwd=uri-miss; stored");
        if asked.path == "/plain" {
            response.headers_mut().insert("surrogate-key", "from-origin".parse().expect("a value"));
        }
        Answer::Now(response)
    })
    .await;
    let (policies, _) = watch::channel(vec![policy(ROUTES)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    all_done(&node).await;
    let host = format!("http://{}", proxy.address);
    purge(&node, json!({"tags": ["item:7"]})).await;
    proxy.is_asked("/items/7", 2).await;
    purge(&node, json!({"tags": ["from-origin"], "soft": true})).await;
    proxy.is_asked("/plain", 2).await;
    purge(&node, json!({"urls": [format!("{host}/list")]})).await;
    proxy.is_asked("/list", 2).await;
    purge(&node, json!({"prefixes": [format!("{host}/items")]})).await;
    proxy.is_asked("/items/7", 3).await;
    purge(&node, json!({"tags": ["item:8", "other"]})).await;
    assert_eq!(proxy.asked().len(), 3 + 4, "{:?}", proxy.paths());
    // Several in a row are one.
    for _ in 0..5 {
        purge(&node, json!({"all": true})).await;
    }
    for (path, times) in [("/list", 3), ("/plain", 3), ("/items/7", 4)] {
        proxy.is_asked(path, times).await;
    }
    node.stop().await.expect("stopped");
    assert_eq!(proxy.asked().len(), 10, "{:?}", proxy.paths());
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_warmed_as_often_as_the_policy_says_and_by_another_policy_once_there_is_one() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let often = r#"{"name":"a","path":"/a","ttl":"10s","warm":[{"url":"/a","every":"1s"}]}"#;
    let (policies, _) = watch::channel(vec![policy(often)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    proxy.is_asked("/a", 3).await;
    policies
        .send(vec![
            policy(ROUTES),
            policy(r#"{"name":"b","host":"b.test","path":"/b","warm":[{"url":"/b","every":"1h"}]}"#),
        ])
        .expect("a node");
    proxy.is_asked("/list", 1).await;
    proxy.is_asked("/b", 1).await;
    let shown = all_done(&node).await;
    assert_eq!(shown["total"], 4);
    let b = proxy.asked().into_iter().find(|asked| asked.path == "/b").expect("asked");
    assert_eq!(b.header("host"), "b.test");
    node.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fresh_is_asked_for_again_as_it_expires() {
    let proxy = Proxy::start(|number, _| match number {
        0 => Answer::Now(says(200, "Larder; hit; ttl=1")),
        _ => stored(),
    })
    .await;
    let (policies, _) = watch::channel(vec![policy(r#"{"name":"a","path":"/a","warm":[{"url":"/a","every":"1h"}]}"#)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    proxy.is_asked("/a", 2).await;
    node.stop().await.expect("stopped");
    assert_eq!(proxy.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_done_now_for_whoever_may_ask_and_ends_with_the_node() {
    let proxy = Proxy::start(|number, _| if number < 3 { stored() } else { Answer::Never }).await;
    let (policies, _) = watch::channel(vec![policy(ROUTES)]);
    let (reads, read) = new_token("reads", &[tokens::Scope::Read]).expect("a token");
    let (purges, purge) = new_token("purges", &[tokens::Scope::Purge]).expect("a token");
    let node = started(schedule(&proxy, &policies), |config| {
        config.tokens = Some(Tokens::new(&[read, purge]).expect("tokens"));
    })
    .await;
    eventually("three are asked for", async || (proxy.asked().len() == 3).then_some(())).await;
    for (method, token, status) in [
        ("GET", None, 401),
        ("GET", Some(&purges), 403),
        ("GET", Some(&reads), 200),
        ("POST", Some(&reads), 403),
        ("POST", Some(&purges), 202),
        ("DELETE", Some(&purges), 405),
    ] {
        let answer = asked(&node, method, "/v1/warming", token.map(String::as_str), "{}").await;
        assert_eq!(answer.status(), status, "{method} {answer:?}");
    }
    for (body, status) in [("", 400), (r#"{"urls": []}"#, 422)] {
        let answer = asked(&node, "POST", "/v1/warming", Some(&purges), body).await;
        assert_eq!(answer.status(), status, "{body} {answer:?}");
    }
    eventually("all again", async || (proxy.asked().len() == 6).then_some(())).await;
    let first = asked(&node, "GET", "/v1/warming?first=1", Some(&reads), "").await;
    let first: Value = serde_json::from_slice(first.body()).expect("JSON");
    assert_eq!((first["requests"].as_array().map(Vec::len), &first["running"]), (Some(1), &json!(true)));
    // Three requests that nobody answers keep no node from stopping.
    tokio::time::timeout(PATIENCE, node.stop()).await.expect("in time").expect("stopped");
    let plain = Node::start(Config::in_memory().expect("a configuration")).await.expect("a node");
    assert_eq!(asked(&plain, "GET", "/v1/warming", None, "").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_no_host_of_the_policy_covers_are_told_and_not_asked_for() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let routes = r#"
        {"name":"a","host":"a.test","path":"/a","warm":[{"url":"https://a.test/a","every":"1h"},{"url":"http://169.254.169.254/a","every":"1h"}]},
        {"name":"any","path":"/any","warm":[{"url":"http://internal.test/any","every":"1h"}]}"#;
    let (policies, _) = watch::channel(vec![policy(routes)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    let shown = all_done(&node).await;
    assert_eq!((&shown["total"], &shown["refused_in_all"]), (&json!(1), &json!(2)));
    assert_eq!(shown["refused"][0]["url"], "http://169.254.169.254/a");
    assert_eq!(proxy.asked().iter().map(|asked| asked.header("host")).collect::<Vec<_>>(), ["a.test"]);
}

/// What happened of this kind: of what, and who asked.
async fn marks(node: &Running, kind: &str) -> Vec<(Value, Value)> {
    let said = asked(node, "GET", "/v1/analytics", None, "").await;
    let said: Value = serde_json::from_slice(said.body()).expect("JSON");
    let marks = said["marks"].as_array().expect("marks").iter().filter(|mark| mark["kind"] == kind);
    marks.map(|mark| (mark["what"].clone(), mark["who"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_warmed_is_one_mark_a_run_with_the_reason() {
    let proxy = Proxy::start(|_, asked| match asked.path.as_str() {
        "/plain" => Answer::Now(says(200, "Larder; hit; ttl=7100")),
        _ => stored(),
    })
    .await;
    let (policies, _) = watch::channel(vec![policy(ROUTES)]);
    let node = started(schedule(&proxy, &policies), |_| {}).await;
    // What happens in one second is one mark: texts say which.
    let texts = async |wanted: &str| {
        eventually(wanted, async || {
            let all = marks(&node, "warm").await;
            all.iter().flat_map(|(what, _)| what.as_array()).flatten().any(|what| what == wanted).then_some(())
        })
        .await;
    };
    texts("2 responses, at the start").await;
    purge(&node, json!({"tags": ["item:7"]})).await;
    texts("1 response, after a purge").await;
    // It was fresh there, and is: nothing was warmed, and nothing is marked.
    purge(&node, json!({"urls": [format!("http://{}/plain", proxy.address)]})).await;
    proxy.is_asked("/plain", 2).await;
    let now = asked(&node, "POST", "/v1/warming", None, "{}").await;
    assert_eq!(now.status(), 202, "{now:?}");
    texts("2 responses, as asked for").await;
    let all = marks(&node, "warm").await;
    let whats = all.iter().flat_map(|(what, _)| what.as_array()).flatten().count();
    assert_eq!(whats, 3, "{all:?}");
    assert_eq!(all.last().map(|(_, who)| who), Some(&json!(["local"])), "{all:?}");
    node.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_warmed_instead_of_the_nodes_own_until_it_is_withdrawn() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let route = |path: &str| format!(r#"{{"name":"r","path":"{path}","warm":[{{"url":"{path}","every":"1h"}}]}}"#);
    let text = |name: &str, path: &str| format!(r#"{{"version":1,"name":"{name}","routes":[{}]}}"#, route(path));
    let schedule = Schedule::of(proxy.via(), vec![policy(&route("/own"))]);
    let node = started(schedule, |_| {}).await;
    proxy.is_asked("/own", 1).await;
    let push = async |query: &str, text: &str| {
        let answer = asked(&node, "POST", &format!("/v1/policies{query}"), None, text).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
    };
    let urls = async |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|path| format!("http://{}{path}", proxy.address)).collect();
        eventually(&format!("{wanted:?}"), async || {
            let shown = shown(&node).await;
            let requests = shown["requests"].as_array().expect("a list");
            let is = requests.iter().map(|request| request["url"].as_str().expect("a URL")).eq(&wanted);
            (is && requests.iter().all(|request| !request["last"].is_null())).then_some(())
        })
        .await;
    };
    push("", &text("p", "/pushed")).await;
    urls(&["/pushed"]).await;
    // Another name's is warmed besides; what is in the shadow is not.
    push("", &text("other", "/other")).await;
    push("?shadow=true", &text("p", "/shadow")).await;
    urls(&["/pushed", "/other"]).await;
    let gone = asked(&node, "DELETE", "/v1/policies/p", None, "").await;
    assert_eq!(gone.status(), 200, "{gone:?}");
    urls(&["/own", "/other"]).await;
    node.stop().await.expect("stopped");
    let times = |path: &str| proxy.paths().iter().filter(|asked| *asked == path).count();
    assert_eq!(["/own", "/pushed", "/other", "/shadow"].map(times), [2, 1, 1, 0], "{:?}", proxy.paths());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_before_the_node_started_is_what_it_warms_from_the_start() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let route = |path: &str| format!(r#"{{"name":"r","path":"{path}","warm":[{{"url":"{path}","every":"1h"}}]}}"#);
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("disk:{}", folder.path().display());
    let start = async || {
        let store = larder_node::policies::open(&store).await.expect("a store of policies");
        started(Schedule::of(proxy.via(), vec![policy(&route("/own"))]), |config| config.policies = store).await
    };
    let node = start().await;
    proxy.is_asked("/own", 1).await;
    let pushed = format!(r#"{{"version":1,"name":"p","routes":[{}]}}"#, route("/pushed"));
    assert_eq!(asked(&node, "POST", "/v1/policies", None, &pushed).await.status(), 200);
    proxy.is_asked("/pushed", 1).await;
    node.stop().await.expect("stopped");
    let node = start().await;
    proxy.is_asked("/pushed", 2).await;
    all_done(&node).await;
    node.stop().await.expect("stopped");
    assert_eq!(proxy.paths(), ["/own", "/pushed", "/pushed"]);
}
