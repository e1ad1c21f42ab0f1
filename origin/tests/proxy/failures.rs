//! Origins that fail, and clients that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use larder_origin::proxy::{Builder, Limits, Protocol, Proxy, RequestBody, UpstreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower_layer::layer_fn;
use tower_service::Service;

use crate::support::{
    BoxError, Client, Origin, by_hand, channel, full, nobody, proxy, raw, read_all, read_until, soon, started, until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn limited(builder: Builder, limits: &[(&str, u64)]) -> Builder {
    let all = limits.iter().fold(Limits::default(), |all, (name, value)| all.with(name, *value).expect("a limit"));
    builder.limits(all)
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_named_by_its_failure() {
    let silent = || async {
        by_hand(|mut stream, _| async move {
            read_all(&mut stream).await;
        })
        .await
    };
    let closing = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "\r\n\r\n").await;
    })
    .await;
    let coding = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n";
        stream.write_all(response).await.expect("written");
    })
    .await;
    let babbling = by_hand(|mut stream, _| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await;
        read_all(&mut stream).await;
    })
    .await;
    let no_tls =
        silent().await.to_string().replace("http://127.0.0.1", "https://localhost").parse().expect("an origin");
    let babbling_tls = by_hand(|mut stream, _| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await;
        read_all(&mut stream).await;
    });
    let babbling_tls = babbling_tls.await.to_string().replace("http://127.0.0.1", "https://localhost");
    let (refusing, _kept) = nobody();
    for (name, origin, status, error) in [
        ("nobody listens", refusing, 502, "connection_refused"),
        ("it takes too long", silent().await, 504, "http_response_timeout"),
        ("it closes", closing, 502, "connection_terminated"),
        ("it codes otherwise", coding, 502, "http_response_transfer_coding"),
        ("it speaks something else", babbling, 502, "http_protocol_error"),
        ("it shakes no hands", no_tls, 504, "connection_timeout"),
        ("it speaks no TLS", babbling_tls.parse().expect("an origin"), 502, "tls_protocol_error"),
    ] {
        let builder =
            limited(Proxy::builder().origin(origin), &[("response_timeout_ms", 100), ("connect_timeout_ms", 100)]);
        let response = raw(&started(builder).await, GET).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {response}");
        assert!(response.contains(&format!("proxy-status: larder; error={error}\r\n")), "{name}: {response}");
        assert!(response.contains("cache-control: no-store"), "{name}: {response}");
    }
}

#[tokio::test]
async fn the_time_that_a_client_takes_for_its_body_is_not_the_origins() {
    let (frames, body) = channel();
    let collecting = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        Response::new(full(body))
    })
    .await;
    let waiting = started(limited(proxy(&collecting), &[("response_timeout_ms", 50)])).await;
    let mut patient = Client::http1(waiting.address()).await;
    let request = Request::post("/").body(body).expect("a request");
    let sending = tokio::spawn(async move { patient.ask(request).await });
    until(|| !collecting.asked().is_empty()).await;
    for _ in 0..3 {
        // Another exchange that runs into the limit is the clock.
        let silent = by_hand(|mut stream, _| async move {
            read_all(&mut stream).await;
        })
        .await;
        let clock = started(limited(Proxy::builder().origin(silent), &[("response_timeout_ms", 50)])).await;
        assert!(raw(&clock, GET).await.starts_with("HTTP/1.1 504"));
        frames.send(Ok(Frame::data("x".into()))).await.expect("wanted");
    }
    drop(frames);
    let response = soon(sending).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.body()), (200, &Bytes::from("xxx")));
}

#[tokio::test]
async fn a_body_that_breaks_off_at_the_origin_never_looks_complete() {
    let promised = |head: &'static str| {
        by_hand(move |mut stream, _| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(head.as_bytes()).await.expect("written");
        })
    };
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let running = started(Proxy::builder().origin(promised(head).await)).await;
        let response = raw(&running, GET).await;
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("half"), "{response}");
        assert!(!response.ends_with("0\r\n\r\n"), "{response}");
        for mut client in [Client::http1(running.address()).await, Client::http2(running.address()).await] {
            let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
            let error = soon(response.into_body().collect()).await.expect_err("half a body");
            assert!(
                client.version() == http::Version::HTTP_2
                    || error.is_incomplete_message()
                    || error.is_body_write_aborted()
                    || !error.is_user(),
                "{error:?}"
            );
        }
    }
    let resets = Origin::start(|_| async {
        let (frames, body) = channel();
        frames.try_send(Ok(Frame::data("half".into()))).expect("room");
        frames.try_send(Err("broken".into())).expect("room");
        Response::new(body)
    })
    .await;
    let running = started(proxy(&resets).origin_protocol(Protocol::Http2)).await;
    assert!(!raw(&running, GET).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn an_origin_that_stops_in_the_middle_is_given_up() {
    let (frames, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::start(move |_| {
        let body = body.lock().expect("a lock").take().expect("one request");
        async { Response::new(body) }
    })
    .await;
    let running = started(limited(proxy(&origin), &[("body_idle_ms", 50)])).await;
    frames.send(Ok(Frame::data("half".into()))).await.expect("room");
    let response = raw(&running, GET).await;
    assert!(response.contains("half") && !response.ends_with("0\r\n\r\n"), "{response}");
    soon(frames.closed()).await;
}

/// An origin whose one response has a body that the test goes on with.
async fn streaming() -> (Origin, mpsc::Sender<Result<Frame<Bytes>, BoxError>>) {
    let (frames, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::start(move |_| {
        let body = body.lock().expect("a lock").take();
        async { Response::new(body.unwrap_or_else(|| full("ok"))) }
    })
    .await;
    (origin, frames)
}

#[tokio::test]
async fn a_client_that_leaves_while_it_reads_ends_the_response_at_the_origin() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for version in [1, 2] {
            let (origin, frames) = streaming().await;
            let running = started(proxy(&origin).origin_protocol(protocol)).await;
            let mut client = match version {
                1 => Client::http1(running.address()).await,
                _ => Client::http2(running.address()).await,
            };
            frames.send(Ok(Frame::data("one".into()))).await.expect("wanted");
            let response =
                soon(client.send(Request::get("/").body(full("")).expect("a request"))).await.expect("a head");
            drop((response, client));
            // Whoever goes on sending learns that nobody listens.
            let gone = async { while frames.send(Ok(Frame::data(vec![0; 65_536].into()))).await.is_ok() {} };
            soon(gone).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_ends_the_request_at_the_origin() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gone = Arc::new(AtomicUsize::new(0));
        let counted = gone.clone();
        let origin = Origin::start(move |_| {
            let left = Left(counted.clone());
            async move {
                std::future::pending::<()>().await;
                drop(left);
                Response::new(full(""))
            }
        })
        .await;
        let running = started(proxy(&origin).origin_protocol(protocol)).await;
        let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
        stream.write_all(GET.as_bytes()).await.expect("written");
        until(|| !origin.asked().is_empty()).await;
        drop(stream);
        until(|| gone.load(Ordering::SeqCst) == 1).await;
    }
}

/// Counts when dropped.
struct Left(Arc<AtomicUsize>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Answers one request on each connection, and closes it when the second comes.
async fn forgetful(mut stream: TcpStream, _: usize) {
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("written");
    let _ = stream.read_u8().await;
}

#[tokio::test]
async fn what_was_sent_on_a_dead_connection_is_sent_anew_where_that_is_safe() {
    let running = started(Proxy::builder().origin(by_hand(forgetful).await)).await;
    let mut client = Client::http1(running.address()).await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let running = started(Proxy::builder().origin(by_hand(forgetful).await)).await;
    let mut client = Client::http1(running.address()).await;
    assert_eq!(client.get("/").await.status(), 200);
    let request = Request::post("/").body(full("an order")).expect("a request");
    let response = client.ask(request).await;
    assert_eq!(response.status(), 502, "it may have counted");
    assert_eq!(response.headers()["proxy-status"], "larder; error=connection_terminated");
}

#[tokio::test]
async fn a_connection_that_the_origin_has_closed_is_not_used_again() {
    let origin = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "body").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("written");
    })
    .await;
    let running = started(Proxy::builder().origin(origin)).await;
    let mut client = Client::http1(running.address()).await;
    for _ in 0..10 {
        let request = Request::post("/").body(full("body")).expect("a request");
        let response = client.ask(request).await;
        // The close may cross the next request's first bytes; then it has not been sent whole, or it may have counted.
        assert!(matches!(response.status().as_u16(), 200 | 502), "{response:?}");
    }
}

#[tokio::test]
async fn several_origins_take_turns_and_one_that_is_gone_is_passed_over() {
    let asked = Arc::new(AtomicUsize::new(0));
    let alive = |counted: Arc<AtomicUsize>| {
        Origin::start(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Response::new(full("ok")) }
        })
    };
    let (one, two) = (alive(asked.clone()).await, alive(asked.clone()).await);
    let (refusing, _kept) = nobody();
    let builder = Proxy::builder().origin(refusing).origin(one.url()).origin(two.url());
    let running = started(builder).await;
    let mut client = Client::http1(running.address()).await;
    for _ in 0..12 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 12);
    assert!(!one.asked().is_empty() && !two.asked().is_empty(), "both have their turns");
}

/// Fails in a way of its own.
#[derive(Clone)]
struct Failing;

impl Service<Request<RequestBody>> for Failing {
    type Response = Response<UpstreamBody>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<UpstreamBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        std::future::ready(Err("a secret detail".into()))
    }
}

#[tokio::test]
async fn a_layer_that_fails_is_a_500_without_details() {
    let (refusing, _kept) = nobody();
    let running = Proxy::builder().origin(refusing).serve_with(layer_fn(|_| Failing)).await.expect("a proxy");
    let response = raw(&running, GET).await;
    assert!(response.starts_with("HTTP/1.1 500") && !response.contains("secret"), "{response}");
}
