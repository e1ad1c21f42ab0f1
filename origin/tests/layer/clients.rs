//! Clients that are slow, leave, or come late.

use bytes::Bytes;

use crate::common::{calm, chunk, field, layer, send, service, stored, text};

const LONG: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const NO_STORE: &[(&str, &str)] = &[("cache-control", "no-store")];

#[tokio::test(start_paused = true)]
async fn a_miss_reaches_its_client_while_it_is_stored() {
    let (service, origin) = service(&layer(""));
    let request = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    let response = request.await.expect("an answer");
    assert_eq!(field(&response, "cache-status"), "Larder-Origin; fwd=uri-miss; stored");
    let mut body = response.into_body();
    assert!(pen.write("one ").await);
    assert_eq!(chunk(&mut body).await.expect("a chunk").expect("bytes"), "one ");
    assert_eq!(stored(&service, "/a").await, None, "not before the end");
    assert!(pen.write("two").await);
    assert_eq!(chunk(&mut body).await.expect("a chunk").expect("bytes"), "two");
    drop(pen);
    assert!(chunk(&mut body).await.is_none());
    assert_eq!(stored(&service, "/a").await, Some((200, "one two".into())));
    assert_eq!(origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn collapsed_requests_read_along_from_the_first_byte() {
    let (service, origin) = service(&layer(""));
    let leader = send(&service, "/a");
    let asked = origin.asked().await;
    let waiting = send(&service, "/a");
    calm().await;
    let pen = asked.answer(200, LONG);
    assert!(pen.write("one ").await);
    let follower = waiting.await.expect("an answer, though the body is not here");
    assert_eq!(field(&follower, "cache-status"), "Larder-Origin; hit; ttl=60; collapsed");
    let late = send(&service, "/a").await.expect("an answer");
    let mut bodies = [leader.await.expect("an answer").into_body(), follower.into_body(), late.into_body()];
    for body in &mut bodies {
        assert_eq!(chunk(body).await.expect("a chunk").expect("bytes"), "one ");
    }
    assert!(pen.write("two").await);
    drop(pen);
    for body in &mut bodies {
        assert_eq!(chunk(body).await.expect("a chunk").expect("bytes"), "two");
        assert!(chunk(body).await.is_none());
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_keeps_back_neither_origin_nor_others() {
    let (service, origin) = service(&layer(r#""limits": { "object_bytes": "4MiB" }"#));
    let idle = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    let idle = idle.await.expect("an answer");
    let other = send(&service, "/a").await.expect("an answer");
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    for _ in 0..32 {
        assert!(pen.write(chunk.clone()).await);
    }
    drop(pen);
    assert_eq!(text(other).await.expect("whole").len(), 32 * (64 << 10));
    assert!(stored(&service, "/a").await.is_some(), "stored while one client has read nothing");
    assert_eq!(text(idle).await.expect("whole").len(), 32 * (64 << 10), "and that has it all the same");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_does_not_lose_the_fill() {
    for before_head in [true, false] {
        let (service, origin) = service(&layer(""));
        let leader = send(&service, "/a");
        let asked = origin.asked().await;
        let follower = send(&service, "/a");
        calm().await;
        if before_head {
            leader.abort();
            calm().await;
            assert!(!asked.is_cancelled());
        }
        let pen = asked.answer(200, LONG);
        assert!(pen.write("body").await);
        if !before_head {
            drop(leader.await.expect("an answer"));
        }
        drop(pen);
        assert_eq!(text(follower.await.expect("an answer")).await.expect("whole"), "body");
        assert_eq!(stored(&service, "/a").await, Some((200, "body".into())), "before the head: {before_head}");
        assert_eq!(origin.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_ends_with_its_client() {
    let (service, origin) = service(&layer(r#""ttl": "never""#));
    // Before the head: a request that cannot fill is cancelled with its client.
    let mut request = crate::common::get("/a");
    request.headers_mut().insert("authorization", http::HeaderValue::from_static("Bearer x"));
    let mut with_identity = service.clone();
    let task = tokio::spawn(async move { tower_service::Service::call(&mut with_identity, request).await });
    let asked = origin.asked().await;
    task.abort();
    calm().await;
    assert!(asked.is_cancelled());
    // After the head: the body is not read on.
    let request = send(&service, "/b");
    let pen = origin.asked().await.answer(200, NO_STORE);
    drop(request.await.expect("an answer"));
    pen.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_a_body_passes_at_the_pace_of_its_slowest_reader() {
    let (service, origin) = service(&layer(r#""limits": { "object_bytes": "64KiB" }"#));
    let request = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    let mut body = request.await.expect("an answer").into_body();
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let mut written = 0;
    // The layer takes some ahead of the client, and then no more.
    loop {
        calm().await;
        if !pen.has_room() {
            break;
        }
        assert!(pen.write(piece.clone()).await);
        written += 1;
        assert!(written < 20, "a client that reads nothing holds the origin back");
    }
    for _ in 0..written {
        assert_eq!(chunk(&mut body).await.expect("a chunk").expect("bytes").len(), 64 << 10);
    }
    calm().await;
    assert!(pen.has_room(), "read, so there is room");
    assert!(pen.write("end").await);
    drop(pen);
    assert_eq!(chunk(&mut body).await.expect("a chunk").expect("bytes"), "end");
    assert!(chunk(&mut body).await.is_none());
    assert_eq!(stored(&service, "/a").await, None);
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_the_origin_is_not_read_for_nobody() {
    let (service, origin) = service(&layer(r#""limits": { "object_bytes": "64KiB" }"#));
    let request = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    let response = request.await.expect("an answer");
    for _ in 0..3 {
        assert!(pen.write(vec![b'x'; 64 << 10]).await);
    }
    drop(response);
    pen.deserted().await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_without_clients_from_which_nothing_comes_is_given_up() {
    let (service, origin) = service(&layer(""));
    let request = send(&service, "/a");
    let pen = origin.asked().await.answer(200, LONG);
    drop(request.await.expect("an answer"));
    assert!(pen.write("some").await);
    pen.deserted().await;
    // The key is free again.
    let again = send(&service, "/a");
    drop(origin.asked().await.answer(200, LONG));
    assert_eq!(text(again.await.expect("an answer")).await.expect("whole"), "");
}
