//! A real Envoy with the module in front of a real axum service with the layer: what clients get through the edge and what they get
//! straight from the origin is the same, and only one of the two stores it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use larder_host_tests::envoy::{Client, Envoy, Response, Setup};
use larder_origin::CacheLayer;

const KEY: &str = "a-key-that-both-sides-have";
const POLICY: &str = r#"{
  "version": 1,
  "name": "both",
  "defaults": { "etag": "strong" },
  "routes": [
    { "name": "item", "path": "/items/{id}", "comment": "told by tag", "ttl": "60s", "tags": ["item:{id}"],
      "invalidate": { "tags": ["item:{id}"] }, "client": { "cache_control": { "browser_ttl": "5s", "scope": "public" } } },
    { "name": "own", "path": "/own/{id}", "comment": "as the origin says" }
  ]
}"#;

/// The service, with the layer, in a runtime of its own.
struct Origin {
    address: SocketAddr,
    layer: CacheLayer,
    calls: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

fn origin() -> Origin {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let layer = CacheLayer::builder().policy(POLICY).edge_keys(KEY).build().expect("a layer");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let item = {
        let count = count.clone();
        move || async move {
            count();
            (
                [(header::CONTENT_TYPE, "application/json"), (header::LAST_MODIFIED, "Thu, 01 Jan 2026 00:00:00 GMT")],
                r#"{"name":"a thing","price":12}"#,
            )
        }
    };
    let own = move || async move {
        count();
        let mut response = "the origin's own words".into_response();
        let fields = response.headers_mut();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        fields.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
        fields.insert(header::VARY, HeaderValue::from_static("accept-language"));
        response
    };
    let app = Router::new()
        .route("/items/{id}", get(item).delete(|| async { StatusCode::NO_CONTENT }))
        .route("/own/{id}", get(own))
        .route("/orders", post(|| async { (StatusCode::CREATED, [(header::LOCATION, "/orders/1")], "made") }))
        .layer(layer.clone());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("its address");
    runtime.spawn(async move { axum::serve(listener, app).await });
    Origin { address, layer, calls, _runtime: runtime }
}

fn envoy(origin: &Origin) -> Envoy {
    let setup = Setup::from_file("minimal.yaml").value("POLICY", POLICY).value("ORIGIN_PORT", origin.address.port());
    setup.environment("LARDER_EDGE_KEY", KEY).start().unwrap_or_else(|error| panic!("{error}"))
}

/// What a client would tell two answers apart by: all but what is about this very way and moment.
fn told_apart_by(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let own = |name: &str| {
        matches!(name, "cache-status" | "age" | "date" | "server" | "x-envoy-upstream-service-time" | "connection")
    };
    let mut fields: Vec<(String, String)> = response
        .fields
        .iter()
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    fields.sort();
    (response.status, fields, response.text())
}

#[test]
fn through_the_edge_and_straight_from_the_origin_clients_get_the_same() {
    let origin = origin();
    let envoy = envoy(&origin);
    let ask = |port: u16, method: &str, target: &str, fields: &[(&str, &str)]| {
        let mut client = Client::connect(port).expect("it listens");
        client.call(method, target, fields, b"").expect("an answer")
    };
    let etag = ask(envoy.port(), "GET", "/items/1", &[]).field("etag").expect("an etag is made");
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 12] = [
        ("GET", "/items/1", &[]),
        ("GET", "/items/1", &[("if-none-match", &etag)]),
        ("GET", "/items/1", &[("if-none-match", "\"other\"")]),
        ("GET", "/items/1", &[("range", "bytes=2-5")]),
        ("HEAD", "/items/1", &[]),
        ("GET", "/own/1", &[("accept-language", "de")]),
        ("GET", "/own/1", &[("accept-language", "de")]),
        ("GET", "/own/1", &[("accept-language", "de"), ("if-none-match", "\"v1\"")]),
        ("GET", "/own/1", &[("authorization", "Bearer x")]),
        ("POST", "/orders", &[]),
        ("DELETE", "/items/1", &[]),
        ("GET", "/missing", &[]),
    ];
    let through = cases.map(|(method, target, fields)| ask(envoy.port(), method, target, fields));
    assert_eq!(origin.layer.handle().bytes(), 0, "the edge stores it all");
    for ((method, target, fields), through) in cases.into_iter().zip(through) {
        let straight = ask(origin.address.port(), method, target, fields);
        assert_eq!(told_apart_by(&through), told_apart_by(&straight), "{method} {target} {fields:?}");
    }
    assert!(origin.layer.handle().bytes() > 0, "without an edge the layer does");
}

#[test]
fn the_edge_stores_and_says_so_behind_what_the_layer_says() {
    let origin = origin();
    let envoy = envoy(&origin);
    let first = envoy.get("/items/1", &[]);
    let status = first.all("cache-status").join(", ");
    assert_eq!(status, "Larder-Origin; fwd=bypass; detail=edge, Larder; fwd=uri-miss; stored");
    assert!(envoy.get("/items/1", &[]).field("cache-status").unwrap_or_default().contains("Larder; hit"));
    assert_eq!(origin.calls.load(Ordering::Relaxed), 1);
    // Straight at the origin there is no marker, and nothing stored yet.
    let straight = larder_host_tests::envoy::get(origin.address.port(), "/items/1", &[]);
    assert_eq!(straight.field("cache-status").as_deref(), Some("Larder-Origin; fwd=uri-miss; stored"));
}
