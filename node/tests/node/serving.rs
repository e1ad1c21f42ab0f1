//! Stored responses as plain HTTP.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder_core::purge::{Mode, Scope};

use crate::support::{Made, World, looks};

async fn serve(world: &World, method: &str, name: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
    let mut request =
        Request::builder().method(method).uri(format!("http://{}/a?b", world.node.data)).header("x-larder-serve", name);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = world.send(request.body(Full::default()).expect("a request")).await;
    assert_eq!(response.headers()["x-larder-node"], "2");
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_parts_conditions_and_head() {
    let world = World::new().await;
    let large: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    world.fill("k", Made { body: large.clone().into(), ..Made::default() }).await;
    let whole = serve(&world, "GET", "k", &[]).await;
    assert_eq!((whole.status().as_u16(), whole.headers()["content-length"].as_bytes()), (200, &b"1000000"[..]));
    assert_eq!((whole.headers()["etag"].as_bytes(), whole.headers()["age"].as_bytes()), (&b"\"v\""[..], &b"0"[..]));
    assert!(whole.body() == &large);
    let part = serve(&world, "GET", "k", &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status().as_u16(), &part.body()[..]), (206, &large[10..20]));
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000000");
    let not_modified = serve(&world, "GET", "k", &[("if-none-match", "\"v\"")]).await;
    assert_eq!((not_modified.status().as_u16(), not_modified.body().len()), (304, 0));
    let head = serve(&world, "HEAD", "k", &[]).await;
    assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
    assert_eq!(head.headers()["content-length"], "1000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variant_is_selected_by_the_request_itself() {
    let world = World::new().await;
    for value in ["a", "b"] {
        world.fill("k", Made::varying(value)).await;
    }
    assert_eq!(serve(&world, "GET", "k", &[("accept", "b")]).await.body(), "b");
    let other = serve(&world, "GET", "k", &[("accept", "c")]).await;
    assert_eq!((other.status().as_u16(), other.headers()["x-larder-miss"].as_bytes()), (404, &b"1"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_purged_is_a_miss() {
    let world = World::new().await;
    let miss = async || {
        let response = serve(&world, "GET", "k", &[]).await;
        (response.status().as_u16(), response.headers().contains_key("x-larder-miss"))
    };
    assert_eq!(miss().await, (404, true));
    world.fill("k", Made::default()).await;
    assert_eq!(miss().await, (200, false));
    world.purge(Scope::Tag("t".into()), Mode::Soft).await;
    assert_eq!(miss().await, (200, false), "stale is the worker's to judge");
    world.purge(Scope::Tag("t".into()), Mode::Hard).await;
    assert_eq!(miss().await, (404, true));
    assert_eq!(serve(&world, "PUT", "k", &[]).await.status(), 405);
    assert_eq!(serve(&world, "GET", "not.a.name", &[]).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_the_connection_and_the_marker_do_not_come_from_a_store() {
    let world = World::new().await;
    let odd =
        [("connection", "close"), ("transfer-encoding", "chunked"), ("x-larder-node", "9"), ("x-larder-miss", "1")];
    let fields = odd.iter().map(|(name, value)| (*name, (*value).to_owned())).chain([("x-kept", "1".into())]).collect();
    world.fill("k", Made { fields, ..Made::default() }).await;
    let response = serve(&world, "GET", "k", &[]).await;
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, &b"hello"[..]));
    assert_eq!(response.headers().get_all("x-larder-node").iter().count(), 1);
    assert!(!response.headers().contains_key("x-larder-miss") && response.headers().contains_key("x-kept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_without_tls_is_spoken_on_the_same_port() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let world = World { client, ..world };
    let response = serve(&world, "GET", "k", &[]).await;
    assert_eq!((response.version(), response.status().as_u16()), (hyper::Version::HTTP_2, 200));
    world.fill("j", Made { body: Bytes::from(vec![1; 3_000_000]), ..Made::default() }).await;
    assert_eq!(serve(&world, "GET", "j", &[]).await.body().len(), 3_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_response_says_which_it_is_and_up_to_where_it_is_good() {
    let world = World::new().await;
    world.fill("k", Made::default()).await;
    let label = async || {
        let response = serve(&world, "GET", "k", &[]).await;
        let said = |name| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        (said("x-larder-received"), said("x-larder-good-at"))
    };
    let received = Some(world.now().0.to_string());
    let position = world.lookup(&looks("k")).await.position;
    assert_eq!(label().await, (received.clone(), Some(format!("{}.{}", position.log, position.sequence.0))));
    let position = world.purge(Scope::Tag("other".into()), Mode::Hard).await;
    assert_eq!(label().await.1, Some(format!("{}.{}", position.log, position.sequence.0)));
    world.purge(Scope::All, Mode::Soft).await;
    assert_eq!(label().await, (received, None), "what is softly purged is good nowhere");
}
