//! Stopping in good order, and the admin listener meanwhile.

use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use larder_origin::proxy::{Limits, Protocol, Proxy, Stopped};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Client, Origin, by_hand, channel, echo, full, proxy, read_all, read_until, soon, started, until};

/// An origin whose one response has a body that the test goes on with.
async fn streaming() -> (Origin, tokio::sync::mpsc::Sender<Result<Frame<bytes::Bytes>, crate::support::BoxError>>) {
    let (frames, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::start(move |_| {
        let body = body.lock().expect("a lock").take().expect("one request");
        async { http::Response::new(body) }
    })
    .await;
    (origin, frames)
}

#[tokio::test]
async fn what_is_under_way_comes_to_its_end_and_nothing_new_begins() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for version in [1, 2] {
            let (origin, frames) = streaming().await;
            let running = started(proxy(&origin).origin_protocol(protocol)).await;
            let address = running.address();
            let mut client = if version == 1 { Client::http1(address).await } else { Client::http2(address).await };
            let mut idle = TcpStream::connect(address).await.expect("a connection");
            frames.send(Ok(Frame::data("one".into()))).await.expect("wanted");
            let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
            let stopping = tokio::spawn(running.stop());
            assert_eq!(read_all(&mut idle).await, "", "an idle connection ends at once");
            until(|| std::net::TcpStream::connect(address).is_err()).await;
            assert!(!stopping.is_finished());
            frames.send(Ok(Frame::data("two".into()))).await.expect("wanted");
            drop(frames);
            let body = soon(response.into_body().collect()).await.expect("a whole body").to_bytes();
            assert_eq!(body, "onetwo");
            assert_eq!(soon(stopping).await.expect("stopped"), Stopped::Clean);
        }
    }
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off_and_looks_so() {
    let (origin, frames) = streaming().await;
    let limits = Limits::default().with("stop_timeout_ms", 50).expect("a limit");
    let running = started(proxy(&origin).limits(limits)).await;
    let mut client = Client::http1(running.address()).await;
    frames.send(Ok(Frame::data("one".into()))).await.expect("wanted");
    let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
    assert_eq!(soon(running.stop()).await, Stopped::Overdue);
    assert!(soon(response.into_body().collect()).await.is_err());
    soon(frames.closed()).await;
}

#[tokio::test]
async fn a_tunnel_is_left_open_until_stopping_is_overdue() {
    let origin = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        stream.write_all(answer).await.expect("written");
        assert_eq!(read_until(&mut stream, "late").await, "late");
        stream.write_all(b"heard").await.expect("written");
        read_all(&mut stream).await;
    })
    .await;
    let limits = Limits::default().with("stop_timeout_ms", 300).expect("a limit");
    let running = started(Proxy::builder().origin(origin).limits(limits)).await;
    let address = running.address();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await.expect("written");
    read_until(&mut stream, "\r\n\r\n").await;
    let stopping = tokio::spawn(running.stop());
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    stream.write_all(b"late").await.expect("written");
    assert_eq!(read_until(&mut stream, "heard").await, "heard");
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(soon(stopping).await.expect("stopped"), Stopped::Overdue);
}

#[tokio::test]
async fn a_proxy_that_is_dropped_ends_at_once() {
    let (origin, frames) = streaming().await;
    let running = started(proxy(&origin)).await;
    let address = running.address();
    let mut client = Client::http1(address).await;
    frames.send(Ok(Frame::data("one".into()))).await.expect("wanted");
    let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
    drop(running);
    assert!(soon(response.into_body().collect()).await.is_err());
    until(|| std::net::TcpStream::connect(address).is_err()).await;
}

#[tokio::test]
async fn the_admin_listener_says_how_it_is() {
    let (origin, frames) = streaming().await;
    let any = "127.0.0.1:0".parse().expect("an address");
    let running = started(proxy(&origin).admin(any).metrics(|| "a_number 7\n".to_owned())).await;
    let admin = running.admin().expect("an address");
    for (path, status, text) in
        [("/health", 200, "ok\n"), ("/ready", 200, "ready\n"), ("/metrics", 200, "a_number 7\n"), ("/else", 404, "")]
    {
        let response = Client::http1(admin).await.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(response.body().ends_with(text.as_bytes()), "{path}");
    }
    let request = Request::post("/health").body(full("")).expect("a request");
    assert_eq!(Client::http1(admin).await.ask(request).await.status(), 405);
    frames.send(Ok(Frame::data("one".into()))).await.expect("wanted");
    let mut client = Client::http1(running.address()).await;
    let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
    let address = running.address();
    let stopping = tokio::spawn(running.stop());
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    assert_eq!(Client::http1(admin).await.get("/ready").await.status(), 503);
    assert_eq!(Client::http1(admin).await.get("/health").await.status(), 200);
    drop(frames);
    soon(response.into_body().collect()).await.expect("a whole body");
    assert_eq!(soon(stopping).await.expect("stopped"), Stopped::Clean);
    until(|| std::net::TcpStream::connect(admin).is_err()).await;
}

#[tokio::test]
async fn an_address_in_use_is_said_so() {
    let origin = Origin::start(echo).await;
    let taken = started(proxy(&origin)).await.address();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listening.local_addr().expect("an address");
    let error = proxy(&origin).listen(address).serve_with(tower_layer::Identity::new()).await.expect_err("in use");
    assert!(error.to_string().contains(&format!("cannot listen on {address}")), "{error} {taken}");
    let error = Proxy::builder().serve_with(tower_layer::Identity::new()).await.expect_err("no origin");
    assert!(error.to_string().contains("needs an origin"), "{error}");
}
