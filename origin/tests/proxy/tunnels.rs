//! Connections that change the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use larder_origin::proxy::{Limits, Proxy, RequestBody, Running, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_layer::layer_fn;
use tower_service::Service;

use crate::support::{Authority, Origin, by_hand, full, proxy, raw, read_all, read_until, soon, started};

/// Agrees to any change, and gives back what it is sent, in capitals.
async fn shouts(mut stream: TcpStream, _: usize) {
    let head = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
    assert!(head.contains("connection: upgrade") && head.contains("upgrade: shout"), "{head}");
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: shout\r\nX-Accept: yes\r\n\r\nHI";
    stream.write_all(answer.as_bytes()).await.expect("written");
    let mut buffer = [0; 64];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(buffer[..count].to_ascii_uppercase().as_slice()).await.expect("written");
    }
}

async fn joined(running: &Running, method: &str) -> TcpStream {
    let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
    let request = format!("{method} /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let lower = head.to_lowercase();
    for line in ["connection: upgrade", "upgrade: shout", "x-accept: yes"] {
        assert!(lower.contains(line), "{head}");
    }
    assert_eq!(read_until(&mut stream, "HI").await, "HI");
    stream
}

#[tokio::test]
async fn bytes_pass_both_ways_until_an_end_leaves() {
    let running = started(Proxy::builder().origin(by_hand(shouts).await)).await;
    let mut stream = joined(&running, "GET").await;
    for text in ["hello", "again"] {
        stream.write_all(text.as_bytes()).await.expect("written");
        let loud = text.to_uppercase();
        assert_eq!(read_until(&mut stream, &loud).await, loud);
    }
    stream.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut stream).await, "", "the origin heard of the end");
}

#[tokio::test]
async fn what_comes_after_the_origin_has_ended_its_side_still_reaches_it() {
    let (said, mut heard) = tokio::sync::mpsc::channel(1);
    let origin = by_hand(move |mut stream, _| {
        let said = said.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: shout\r\nX-Accept: yes\r\n\r\nHI";
            stream.write_all(answer.as_bytes()).await.expect("written");
            stream.shutdown().await.expect("shut down");
            said.send(read_all(&mut stream).await).await.expect("heard");
        }
    });
    let running = started(Proxy::builder().origin(origin.await)).await;
    let mut stream = joined(&running, "GET").await;
    assert_eq!(read_all(&mut stream).await, "", "the origin has ended its side");
    stream.write_all(b"and one thing more").await.expect("written");
    stream.shutdown().await.expect("shut down");
    assert_eq!(soon(heard.recv()).await.as_deref(), Some("and one thing more"));
}

#[tokio::test]
async fn a_tunnel_is_by_http_1_1_though_the_origin_prefers_http_2() {
    let authority = Authority::new();
    let origin = Origin::with_tls(Some(authority.server(&["h2", "http/1.1"])), |mut request| async move {
        let theirs = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(theirs.await.expect("an upgrade"));
            io.write_all(b"HI").await.expect("written");
        });
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "shout");
        response.header("x-accept", "yes").body(full("")).expect("a response")
    })
    .await;
    let url = format!("https://localhost:{}", origin.address.port()).parse().expect("an origin");
    let running = started(Proxy::builder().origin(url).origin_ca(authority.ca())).await;
    joined(&running, "GET").await;
}

#[tokio::test]
async fn an_origin_that_does_not_agree_is_answered_for() {
    let origin = Origin::start(|_| async { Response::new(full("plain")) }).await;
    let running = started(proxy(&origin)).await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, close\r\nUpgrade: shout\r\n\r\n";
    let response = raw(&running, request).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("plain"), "{response}");
}

#[tokio::test]
async fn http_2_by_upgrade_is_not_asked_for() {
    let origin = Origin::start(|_| async { Response::new(full("plain")) }).await;
    let running = started(proxy(&origin)).await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    assert!(raw(&running, request).await.starts_with("HTTP/1.1 200"));
    let asked = origin.asked().pop().expect("asked").headers;
    assert!(!asked.contains_key("upgrade") && !asked.contains_key("http2-settings"), "{asked:?}");
}

#[tokio::test]
async fn an_origin_that_changes_the_protocol_unasked_is_not_followed() {
    let origin = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes";
        stream.write_all(answer).await.expect("written");
    })
    .await;
    let running = started(Proxy::builder().origin(origin)).await;
    let response = raw(&running, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
}

/// Counts what comes by.
#[derive(Clone)]
struct Counting(Upstream, Arc<AtomicUsize>);

impl Service<Request<RequestBody>> for Counting {
    type Response = <Upstream as Service<Request<RequestBody>>>::Response;
    type Error = <Upstream as Service<Request<RequestBody>>>::Error;
    type Future = <Upstream as Service<Request<RequestBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.call(request)
    }
}

#[tokio::test]
async fn a_safe_request_goes_past_the_layer_and_an_unsafe_one_through_it() {
    let through = Arc::new(AtomicUsize::new(0));
    let counted = through.clone();
    let layer = layer_fn(move |upstream| Counting(upstream, counted.clone()));
    let running = Proxy::builder().origin(by_hand(shouts).await).serve_with(layer).await.expect("a proxy");
    joined(&running, "GET").await;
    assert_eq!(through.load(Ordering::SeqCst), 0);
    let mut stream = joined(&running, "POST").await;
    assert_eq!(through.load(Ordering::SeqCst), 1);
    stream.write_all(b"hello").await.expect("written");
    assert_eq!(read_until(&mut stream, "HELLO").await, "HELLO");
}

#[tokio::test]
async fn a_silent_tunnel_ends() {
    let limits = Limits::default().with("tunnel_idle_ms", 50).expect("a limit");
    let running = started(Proxy::builder().origin(by_hand(shouts).await).limits(limits)).await;
    let mut stream = joined(&running, "GET").await;
    assert_eq!(read_all(&mut stream).await, "");
}
