//! Every version of HTTP on both sides: heads, bodies, trailers, and connections that are used again.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use larder_origin::proxy::{Builder, Protocol, Proxy};

use crate::support::{Authority, Body, Client, Origin, channel, echo, full, proxy, soon, started};

/// An origin, the proxy in front of it, and which version it must be spoken to by.
async fn sides(authority: &Authority) -> Vec<(&'static str, Origin, Builder, Version)> {
    let mut sides = Vec::new();
    let origin = Origin::start(echo).await;
    let builder = proxy(&origin);
    sides.push(("clear text", origin, builder, Version::HTTP_11));
    let origin = Origin::start(echo).await;
    let builder = proxy(&origin).origin_protocol(Protocol::Http2);
    sides.push(("h2c", origin, builder, Version::HTTP_2));
    for (name, protocols, version) in [
        ("TLS, both", &["h2", "http/1.1"][..], Version::HTTP_2),
        ("TLS, HTTP/1.1 only", &["http/1.1"], Version::HTTP_11),
        ("TLS, no ALPN", &[], Version::HTTP_11),
    ] {
        let origin = Origin::with_tls(Some(authority.server(protocols)), echo).await;
        let url = format!("https://localhost:{}", origin.address.port()).parse().expect("an origin");
        let builder = Proxy::builder().origin(url).origin_ca(authority.ca());
        sides.push((name, origin, builder, version));
    }
    sides
}

#[tokio::test]
async fn heads_and_bodies_pass_between_all_versions() {
    let authority = Authority::new();
    for (name, origin, builder, version) in sides(&authority).await {
        let running = started(builder).await;
        for mut client in [Client::http1(running.address()).await, Client::http2(running.address()).await] {
            let name = format!("{:?} to {name}", client.version());
            for round in 0..3 {
                let body = format!("body {round}");
                let request = Request::post("/a?b=c").header("x-one", "1").body(full(body.clone())).expect("a request");
                let response = client.ask(request).await;
                assert_eq!((response.status().as_u16(), response.body()), (200, &Bytes::from(body)), "{name}");
                let asked = origin.asked().pop().expect("it was asked");
                assert_eq!(asked.version, version, "{name}");
                assert_eq!(asked.uri.path_and_query().map(|path| path.as_str()), Some("/a?b=c"), "{name}");
                assert_eq!(asked.headers["x-one"], "1", "{name}");
                let host = match version {
                    Version::HTTP_2 => asked.uri.authority().map(|authority| authority.as_str().to_owned()),
                    _ => asked.headers["host"].to_str().ok().map(str::to_owned),
                };
                assert_eq!(host.as_deref(), Some("shop.example"), "{name}");
                assert!(version == Version::HTTP_11 || !asked.headers.contains_key("host"), "{name}");
            }
        }
        let connections = || origin.connections.load(Ordering::SeqCst);
        if version == Version::HTTP_2 {
            assert_eq!(connections(), 1, "{name}: one connection does for all");
        }
        // One of HTTP/1.1 is kept a moment after the response's end, so a client may be quicker, but not always.
        let mut client = Client::http1(running.address()).await;
        soon(async {
            while connections() >= origin.asked().len() {
                client.get("/").await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn trailers_pass_where_they_can() {
    let with_trailers = |request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.expect("a body");
        let sent = body.trailers().cloned().unwrap_or_default();
        let mut response = Response::new(trailing(body.to_bytes(), sent));
        response.headers_mut().insert("trailer", "x-sum".parse().expect("a value"));
        response
    };
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let origin = Origin::start(with_trailers).await;
        let running = started(proxy(&origin).origin_protocol(protocol)).await;
        for mut client in [Client::http1(running.address()).await, Client::http2(running.address()).await] {
            let trailers = HeaderMap::from_iter([("x-sum".parse().expect("a name"), "42".parse().expect("a value"))]);
            let request = Request::post("/").header("te", "trailers").header("trailer", "x-sum");
            let request = request.body(trailing("data".into(), trailers)).expect("a request");
            let response = client.send(request).await.expect("a response");
            let body = response.into_body().collect().await.expect("a body");
            assert_eq!(body.trailers().map(|trailers| &trailers["x-sum"]), Some(&"42".parse().expect("a value")));
            assert_eq!(origin.asked().pop().expect("asked").headers["te"], "trailers");
        }
    }
}

fn trailing(data: Bytes, trailers: HeaderMap) -> Body {
    let (frames, body) = channel();
    frames.try_send(Ok(Frame::data(data))).expect("room");
    frames.try_send(Ok(Frame::trailers(trailers))).expect("room");
    body
}
