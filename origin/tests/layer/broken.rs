//! Services that break off, fail, panic or say nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use larder_origin::{CacheLayer, OriginFailure};
use tower_layer::Layer;
use tower_service::Service;

use crate::common::{calm, chunk, field, get, layer, send, service, stored, text};

const LONG: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_broken_for_everybody_and_stored_for_nobody() {
    let (service, origin) = service(&layer(""));
    let leader = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    let follower = send(&service, "/a").await.expect("an answer");
    assert!(pen.write("some").await);
    pen.fail().await;
    for response in [leader.await.expect("an answer"), follower] {
        let mut body = response.into_body();
        assert_eq!(chunk(&mut body).await.expect("a chunk").expect("bytes"), "some");
        let error = chunk(&mut body).await.expect("an error").expect_err("no clean end");
        assert_eq!(error.to_string(), "the response broke off: the disk is gone");
    }
    assert_eq!(stored(&service, "/a").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_while_its_head_is_held_is_a_502() {
    let (service, origin) = service(&layer(r#""etag": "strong""#));
    let request = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    assert!(pen.write("some").await);
    pen.fail().await;
    assert_eq!(request.await.expect("an answer").status(), 502);
}

/// What a service does, by the path's last letter, after it has once been right.
async fn moody(request: Request<Empty<Bytes>>, right: bool) -> Result<Response<Full<Bytes>>, &'static str> {
    let good =
        || Response::builder().header("cache-control", "max-age=1").body(Full::from("good")).expect("a response");
    match request.uri().path() {
        _ if right => Ok(good()),
        "/error" => Err("no database"),
        "/panic" => panic!("a bug in the service"),
        "/silent" => std::future::pending().await,
        "/proxy" => {
            let mut response = good();
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
            response.extensions_mut().insert(OriginFailure::Connect);
            Ok(response)
        }
        _ => {
            let mut response = good();
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            Ok(response)
        }
    }
}

#[derive(Clone)]
struct Moody(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Service<Request<Empty<Bytes>>> for Moody {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), &'static str>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        Box::pin(moody(request, self.0.load(std::sync::atomic::Ordering::Relaxed)))
    }
}

fn moody_layer(stale: &str) -> (CacheLayer, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let policy = format!(r#"{{ "version": 1, "name": "test", "defaults": {{ {stale} }} }}"#);
    let began = tokio::time::Instant::now();
    let layer = CacheLayer::builder().policy(policy).timeout(Duration::from_secs(5)).clock(Ticking(began));
    (layer.build().expect("a layer"), std::sync::Arc::default())
}

/// Goes with the runtime's time.
struct Ticking(tokio::time::Instant);

impl larder_origin::Clock for Ticking {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn stale_stands_in_for_errors_panics_silence_and_a_proxys_own_failures() {
    for path in ["/error", "/panic", "/silent", "/proxy", "/500"] {
        let (layer, right) = moody_layer(r#""stale": { "if_error": "1h" }"#);
        let mut service = layer.layer(Moody(right.clone()));
        right.store(true, std::sync::atomic::Ordering::Relaxed);
        let first = service.call(get(path)).await.expect("right at first");
        assert_eq!(text(first).await.expect("whole"), "good");
        right.store(false, std::sync::atomic::Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(2)).await;
        let stale = service.call(get(path)).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(stale.status(), 200, "{path}");
        let seen = field(&stale, "cache-status");
        assert!(seen.starts_with("Larder-Origin; fwd=stale") && seen.ends_with("stale-if-error"), "{path}: {seen}");
        assert_eq!(text(stale).await.expect("whole"), "good");
    }
}

#[tokio::test(start_paused = true)]
async fn without_anything_stored_failures_are_the_clients() {
    let (layer, right) = moody_layer("");
    let mut service = layer.layer(Moody(right));
    assert_eq!(service.call(get("/error")).await.err(), Some("no database"));
    let silent = service.call(get("/silent")).await.expect("an answer of the layer's own");
    assert_eq!(silent.status(), 504);
    assert!(field(&silent, "cache-status").starts_with("Larder-Origin; fwd=uri-miss"));
    let mut panicking = service.clone();
    let panic = tokio::spawn(async move { panicking.call(get("/panic")).await.map(drop) }).await.expect_err("a panic");
    assert_eq!(panic.into_panic().downcast_ref::<&str>(), Some(&"a bug in the service"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_lets_the_others_go_on() {
    let (service, origin) = service(&layer(""));
    let leader = send(&service, "/a");
    let asked = origin.asked().await;
    let follower = send(&service, "/a");
    calm().await;
    // Dropped without an answer, the scripted service panics.
    drop(asked);
    drop(origin.asked().await.answer(200, LONG));
    assert_eq!(follower.await.expect("an answer").status(), 200);
    leader.await.expect_err("the panic is the leader's");
}
