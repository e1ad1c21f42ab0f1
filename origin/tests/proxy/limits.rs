//! What is not gone beyond.

use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use larder_origin::proxy::{Builder, Certificate, Limits, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Authority, BoxError, Client, Origin, channel, echo, full, nobody, proxy, raw, read_all, read_until, soon, started,
    tls_stream, until,
};

fn limited(builder: Builder, name: &str, value: u64) -> Builder {
    builder.limits(Limits::default().with(name, value).expect("a limit"))
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_at_once_or_when_it_shows() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let whole = request.into_body().collect().await;
        Response::new(full(if whole.is_ok() { "whole" } else { "broken" }))
    })
    .await;
    let running = started(limited(proxy(&origin), "body_bytes_max", 10)).await;
    let announced = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world";
    assert!(raw(&running, announced).await.starts_with("HTTP/1.1 413"));
    assert!(origin.asked().is_empty());
    let chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
    assert!(raw(&running, chunked).await.starts_with("HTTP/1.1 413"));
    let within = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhelloworld";
    assert!(raw(&running, within).await.ends_with("whole"));
    let (frames, body) = channel();
    for _ in 0..3 {
        frames.try_send(Ok(Frame::data("hello".into()))).expect("room");
    }
    drop(frames);
    let response = Client::http2(running.address()).await.ask(Request::post("/").body(body).expect("a request")).await;
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn who_sends_all_before_reading_reads_the_refusal() {
    let authority = Authority::new();
    let (nobody, _kept) = nobody();
    let builder = limited(Proxy::builder().origin(nobody), "body_bytes_max", 5_000_000);
    let clear = started(builder.clone()).await;
    let secure = started(builder.certificate(Certificate::new(authority.chain(), authority.key()))).await;
    let sent = |length: usize| {
        let mut sent = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        sent.resize(sent.len() + length, b'x');
        sent
    };
    let mut head = b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ".to_vec();
    head.resize(4_000_000, b'a');
    // A body over the limit; one within it that nobody reads; a head over its limit.
    for (sent, status) in [(sent(6_000_000), "413"), (sent(4_000_000), "502"), (head, "431")] {
        let answer = raw(&clear, &sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer:?}");
        let mut stream = tls_stream(secure.address(), &authority, &["http/1.1"]).await.expect("TLS");
        stream.write_all(&sent).await.expect("written");
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "TLS, {status}: {answer:?}");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let origin = Origin::start(echo).await;
    let running = started(limited(proxy(&origin), "head_bytes_max", 8192)).await;
    let long = "a".repeat(9000);
    assert!(
        raw(&running, format!("GET / HTTP/1.1\r\nHost: h\r\nX-A: {long}\r\n\r\n")).await.starts_with("HTTP/1.1 431")
    );
    let request = Request::get("/").header("x-a", &long).body(full("")).expect("a request");
    let response = Client::http2(running.address()).await.send(request).await;
    assert!(response.is_err() || response.is_ok_and(|response| response.status() == 431));
    assert!(origin.asked().is_empty());
    let response = raw(&started(proxy(&origin)).await, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn a_response_with_a_head_over_the_limit_is_no_response() {
    let origin =
        Origin::start(|_| async { Response::builder().header("x-a", "a".repeat(9000)).body(full("")).expect("made") });
    let origin = origin.await;
    let running = started(limited(proxy(&origin), "head_bytes_max", 8192)).await;
    let response = Client::http1(running.address()).await.get("/").await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["proxy-status"], "larder; error=http_protocol_error");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_others_to_end() {
    let origin = Origin::start(echo).await;
    let running = started(limited(proxy(&origin), "connections_max", 1)).await;
    let mut first = Client::http1(running.address()).await;
    assert_eq!(first.get("/").await.status(), 200);
    let mut second = Client::http1(running.address()).await;
    let waiting = tokio::spawn(async move { second.get("/second").await.status() });
    assert_eq!(first.get("/").await.status(), 200);
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(soon(waiting).await.expect("an answer"), 200);
}

#[tokio::test]
async fn a_client_that_is_slow_to_ask_is_let_go() {
    let origin = Origin::start(echo).await;
    let running = started(limited(proxy(&origin), "head_timeout_ms", 50)).await;
    for begun in ["", "GET / HTTP/1.1\r\nHost:"] {
        let response = raw(&running, begun).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{response}");
    }
    let mut kept = TcpStream::connect(running.address()).await.expect("a connection");
    kept.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("written");
    read_until(&mut kept, "\r\n\r\n").await;
    assert_eq!(read_all(&mut kept).await, "", "an idle connection ends");
}

#[tokio::test]
async fn a_client_that_is_slow_to_shake_hands_is_let_go() {
    let (authority, origin) = (Authority::new(), Origin::start(echo).await);
    let certificate = larder_origin::proxy::Certificate::new(authority.chain(), authority.key());
    let running = started(limited(proxy(&origin).certificate(certificate), "handshake_timeout_ms", 50)).await;
    assert_eq!(raw(&running, "").await, "");
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_let_go() {
    let (gone, mut heard) = tokio::sync::mpsc::unbounded_channel::<bool>();
    let origin = Origin::start(move |request: Request<hyper::body::Incoming>| {
        let gone = gone.clone();
        async move {
            let _ = gone.send(request.into_body().collect().await.is_err());
            Response::new(full(""))
        }
    })
    .await;
    let running = started(limited(proxy(&origin), "body_idle_ms", 50)).await;
    let response = raw(&running, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert_eq!(soon(heard.recv()).await, Some(true), "the origin does not take half a body for a whole one");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let (frames, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::start(move |_| {
        let body = body.lock().expect("a lock").take().expect("one request");
        async { Response::new(body) }
    })
    .await;
    let running = started(limited(proxy(&origin), "body_idle_ms", 100)).await;
    let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("written");
    let all = async {
        let chunk = bytes::Bytes::from(vec![0; 1 << 20]);
        while frames.send(Ok::<_, BoxError>(Frame::data(chunk.clone()))).await.is_ok() {}
    };
    soon(all).await;
    drop(stream);
}

#[tokio::test]
async fn an_idle_connection_of_http_2_ends() {
    let origin = Origin::start(echo).await;
    let running = started(limited(proxy(&origin), "client_idle_ms", 50)).await;
    let mut client = Client::http2(running.address()).await;
    assert_eq!(client.get("/").await.status(), 200);
    let Client::Http2(sender) = client else { panic!("HTTP/2") };
    until(|| sender.is_closed()).await;
}

#[tokio::test]
async fn an_unused_connection_to_an_origin_ends() {
    let (ended, mut heard) = tokio::sync::mpsc::unbounded_channel::<()>();
    let origin = crate::support::by_hand(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("written");
            let _ = stream.read_u8().await;
            let _ = ended.send(());
        }
    })
    .await;
    let builder = larder_origin::proxy::Proxy::builder().origin(origin);
    let running = started(limited(builder, "pool_idle_ms", 50)).await;
    assert_eq!(Client::http1(running.address()).await.get("/").await.status(), 200);
    assert_eq!(soon(heard.recv()).await, Some(()));
}
