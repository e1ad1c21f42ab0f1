//! What the layer does beyond hit and miss: validators, ranges, refreshes, invalidation by methods, edges.

use std::time::Duration;

use http::{HeaderValue, Method};
use larder_origin::CacheLayer;
use tower_service::Service;

use crate::common::{Layered, Scripted, calm, field, get, layer, send, service, stored, text};

async fn fill(service: &Layered, origin: &Scripted, path: &str, fields: &[(&str, &str)], body: &str) {
    let request = send(service, path);
    let pen = origin.asked().await.answer(200, fields);
    assert!(pen.write(body.to_owned()).await);
    drop(pen);
    assert_eq!(text(request.await.expect("an answer")).await.expect("whole"), body);
}

#[tokio::test(start_paused = true)]
async fn etags_are_made_and_validated_and_ranges_cut() {
    let (service, origin) = service(&layer(r#""ttl": "60s", "etag": "strong""#));
    fill(&service, &origin, "/a", &[], "hello, world").await;
    let hit = send(&service, "/a").await.expect("an answer");
    let etag = field(&hit, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 10, "{etag}");
    for (name, value, status, length) in [
        ("if-none-match", etag.as_str(), 304, 0),
        ("if-none-match", "\"other\"", 200, 12),
        ("range", "bytes=0-4", 206, 5),
        ("range", "bytes=99-", 416, 0),
    ] {
        let mut request = get("/a");
        request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        let response = service.clone().call(request).await.expect("infallible");
        assert_eq!(response.status(), status, "{name}: {value}");
        assert_eq!(text(response).await.expect("whole").len(), length, "{name}: {value}");
    }
    let mut head = get("/a");
    *head.method_mut() = Method::HEAD;
    let response = service.clone().call(head).await.expect("infallible");
    assert_eq!(field(&response, "content-length"), "12");
    assert_eq!(text(response).await.expect("whole"), "");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_date_gets_the_time_it_was_made() {
    let (service, origin) = service(&layer(r#""ttl": "60s""#));
    fill(&service, &origin, "/a", &[], "x").await;
    let hit = send(&service, "/a").await.expect("an answer");
    assert!(httpdate::parse_http_date(field(&hit, "date")).is_ok(), "{:?}", hit.headers());
}

fn ticking(defaults: &str, refreshes_max: usize) -> CacheLayer {
    struct Ticking(tokio::time::Instant);
    impl larder_origin::Clock for Ticking {
        fn now(&self) -> std::time::SystemTime {
            std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + self.0.elapsed()
        }
    }
    let policy = format!(r#"{{ "version": 1, "name": "test", "defaults": {{ {defaults} }} }}"#);
    CacheLayer::builder()
        .policy(policy)
        .clock(Ticking(tokio::time::Instant::now()))
        .refreshes_max(refreshes_max)
        .build()
        .expect("a layer")
}

#[tokio::test(start_paused = true)]
async fn stale_is_served_while_a_bounded_number_of_tasks_refreshes() {
    let (service, origin) = service(&ticking(r#""ttl": "1s", "stale": { "while_revalidate": "1h" }"#, 2));
    for path in ["/a", "/b", "/c"] {
        fill(&service, &origin, path, &[], "old").await;
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    for path in ["/a", "/b", "/c"] {
        let response = send(&service, path).await.expect("an answer");
        assert_eq!(text(response).await.expect("whole"), "old", "{path} is stale, and served at once");
    }
    calm().await;
    assert_eq!(origin.calls(), 3 + 2, "the third refresh has no room");
    for _ in 0..2 {
        let pen = origin.asked().await.answer(200, &[]);
        assert!(pen.write("new").await);
        drop(pen);
    }
    calm().await;
    assert_eq!(stored(&service, "/a").await, Some((200, "new".into())));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(text(send(&service, "/c").await.expect("an answer")).await.expect("whole"), "old");
    let asked = origin.asked().await;
    assert_eq!(asked.request.uri().path(), "/c", "there is room again");
    assert_eq!(asked.request.uri().authority().map(ToString::to_string).as_deref(), Some("h.example"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_not_answered_ends_and_the_stale_response_stays() {
    let (service, origin) = service(&ticking(r#""ttl": "1s", "stale": { "while_revalidate": "1h" }"#, 1));
    fill(&service, &origin, "/a", &[], "old").await;
    tokio::time::advance(Duration::from_secs(10)).await;
    drop(send(&service, "/a").await.expect("an answer"));
    let silent = origin.asked().await;
    tokio::time::advance(Duration::from_secs(40)).await;
    calm().await;
    assert!(silent.is_cancelled(), "given up");
    assert_eq!(text(send(&service, "/a").await.expect("an answer")).await.expect("whole"), "old");
    // The origin is left alone for a moment, and asked again after it.
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(text(send(&service, "/a").await.expect("an answer")).await.expect("whole"), "old");
    drop(origin.asked().await.answer(200, &[]));
}

#[tokio::test(start_paused = true)]
async fn a_write_invalidates_and_a_request_keeps_its_extensions() {
    #[derive(Clone, Debug, PartialEq)]
    struct Peer(u8);
    let (service, origin) = service(&layer(r#""ttl": "60s""#));
    fill(&service, &origin, "/a", &[], "before").await;
    let mut post = get("/a");
    *post.method_mut() = Method::POST;
    post.extensions_mut().insert(Peer(7));
    let mut writer = service.clone();
    let task = tokio::spawn(async move { writer.call(post).await.expect("infallible") });
    let asked = origin.asked().await;
    assert_eq!(asked.request.extensions().get::<Peer>(), Some(&Peer(7)));
    drop(asked.answer(204, &[]));
    assert_eq!(task.await.expect("an answer").status(), 204);
    assert_eq!(stored(&service, "/a").await, None);
}

#[tokio::test(start_paused = true)]
async fn behind_an_edge_nothing_is_stored_and_a_forged_marker_is_none() {
    let policy = r#"{ "version": 1, "name": "test", "defaults": { "ttl": "60s", "etag": "strong" } }"#;
    let key = "0123456789abcdef";
    let layer = CacheLayer::builder().policy(policy).edge_keys(key).build().expect("a layer");
    let (service, origin) = service(&layer);
    let now = larder_core::Timestamp(
        u64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a time").as_millis()).expect("a time"),
    );
    let keys = larder_core::edge::Keys::parse(key).expect("a key");
    let mark = larder_core::edge::Edge::signing(keys).mark(now).expect("a marker");
    let ask = |mark: Vec<u8>| {
        let mut service = service.clone();
        let mut request = get("/a");
        request.headers_mut().insert("x-larder-edge", HeaderValue::from_bytes(&mark).expect("a value"));
        tokio::spawn(async move { service.call(request).await.expect("infallible") })
    };
    for (mark, is_believed) in [(mark.clone(), true), (mark.clone(), true), (b"1-1-00".to_vec(), false)] {
        let response = ask(mark);
        let asked = origin.asked().await;
        assert!(!asked.request.headers().contains_key("x-larder-edge"));
        let pen = asked.answer(200, &[]);
        assert!(pen.write("x").await);
        drop(pen);
        let response = response.await.expect("an answer");
        assert!(response.headers().contains_key("etag"));
        assert_eq!(field(&response, "cache-status").contains("detail=edge"), is_believed);
    }
    assert!(stored(&service, "/a").await.is_some(), "the forged one was taken for none");
    assert!(CacheLayer::builder().policy(policy).edge_keys("short").build().is_err());
}
