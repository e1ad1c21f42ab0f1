//! What a gateway does to fields.

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use larder_origin::proxy::{HostField, Protocol};

use crate::support::{Body, Client, Origin, full, proxy, raw, started};

async fn plain(_: Request<Incoming>) -> Response<Body> {
    Response::new(full("ok"))
}

fn text<'a>(fields: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    fields.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

#[tokio::test]
async fn hop_by_hop_fields_end_here_on_both_ways() {
    let origin = Origin::start(|_| async {
        let mut response = Response::new(full("ok"));
        for (name, value) in [("connection", "x-hop"), ("x-hop", "1"), ("x-end", "2"), ("keep-alive", "timeout=5")] {
            response.headers_mut().insert(name, value.parse().expect("a value"));
        }
        response
    })
    .await;
    let running = started(proxy(&origin)).await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nX-Other: 2\r\nTE: gzip\r\n\
         Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: Basic x\r\n\r\n";
    let response = raw(&running, request).await;
    assert!(
        response.contains("x-end: 2") && !response.contains("x-hop") && !response.contains("keep-alive"),
        "{response}"
    );
    let asked = origin.asked().pop().expect("asked").headers;
    for gone in ["x-mine", "connection", "te", "keep-alive", "proxy-connection", "proxy-authorization"] {
        assert!(!asked.contains_key(gone), "{gone}: {asked:?}");
    }
    assert_eq!(asked["x-other"], "2");
}

#[tokio::test]
async fn via_names_protocol_and_proxy_on_both_ways() {
    for (protocol, back) in [(Protocol::Http1, "1.1 larder"), (Protocol::Http2, "2 larder")] {
        let origin = Origin::start(plain).await;
        let running = started(proxy(&origin).origin_protocol(protocol)).await;
        for (mut client, there) in [
            (Client::http1(running.address()).await, "1.1 larder"),
            (Client::http2(running.address()).await, "2 larder"),
        ] {
            let request = Request::get("/").header("via", "1.0 before").body(full("")).expect("a request");
            let response = client.ask(request).await;
            assert_eq!(text(response.headers(), "via"), [back]);
            assert_eq!(text(&origin.asked().pop().expect("asked").headers, "via"), ["1.0 before", there]);
        }
    }
}

#[tokio::test]
async fn the_client_is_named_and_cannot_name_itself() {
    let origin = Origin::start(plain).await;
    let claims = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n\r\n";
    let running = started(proxy(&origin)).await;
    raw(&running, claims).await;
    let asked = origin.asked().pop().expect("asked").headers;
    assert_eq!(text(&asked, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(text(&asked, "x-forwarded-proto"), ["http"]);
    assert_eq!(text(&asked, "x-forwarded-host"), ["shop.example"]);
    assert_eq!(text(&asked, "forwarded"), ["for=127.0.0.1;proto=http;host=\"shop.example\""]);
    assert!(!asked.contains_key("x-real-ip"));

    let trusting = started(proxy(&origin).trust("127.0.0.0/8".parse().expect("a network"))).await;
    raw(&trusting, claims).await;
    let asked = origin.asked().pop().expect("asked").headers;
    assert_eq!(text(&asked, "x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    assert_eq!(text(&asked, "x-forwarded-proto"), ["https"]);
    assert_eq!(text(&asked, "forwarded"), ["for=1.2.3.4, for=127.0.0.1;proto=https;host=\"shop.example\""]);
}

#[tokio::test]
async fn host_is_the_clients_or_the_origins() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let origin = Origin::start(plain).await;
        let running = started(proxy(&origin).origin_protocol(protocol).host_field(HostField::Origin)).await;
        Client::http1(running.address()).await.get("/").await;
        let asked = origin.asked().pop().expect("asked");
        let named = match protocol {
            Protocol::Http2 => asked.uri.authority().expect("an authority").to_string(),
            _ => asked.headers["host"].to_str().expect("text").to_owned(),
        };
        assert_eq!(named, origin.address.to_string());
        assert_eq!(text(&asked.headers, "x-forwarded-host"), ["shop.example"]);
    }
}

#[tokio::test]
async fn a_response_without_a_date_gets_one() {
    let origin = crate::support::by_hand(|mut stream, _| async move {
        crate::support::read_until(&mut stream, "\r\n\r\n").await;
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, response).await;
    })
    .await;
    let running = started(larder_origin::proxy::Proxy::builder().origin(origin)).await;
    let response = Client::http1(running.address()).await.get("/").await;
    assert_eq!(response.headers().get_all("date").iter().count(), 1);
}

#[tokio::test]
async fn max_forwards_counts_down_and_ends() {
    let origin = Origin::start(plain).await;
    let running = started(proxy(&origin)).await;
    for (method, value, status, reached) in [
        ("OPTIONS", "0", 204, None),
        ("OPTIONS", "5", 200, Some("4")),
        ("OPTIONS", "many", 400, None),
        ("TRACE", "1", 200, Some("0")),
        ("GET", "0", 200, Some("0")),
    ] {
        let before = origin.asked().len();
        let mut client = Client::http1(running.address()).await;
        let request = Request::builder().method(method).uri("/a").header("max-forwards", value);
        let response = client.ask(request.body(full("")).expect("a request")).await;
        assert_eq!(response.status(), status, "{method} {value}");
        let asked = origin.asked().into_iter().nth(before);
        let left = asked.as_ref().map(|asked| asked.headers["max-forwards"].to_str().expect("text"));
        assert_eq!(left, reached, "{method} {value}");
    }
}

#[tokio::test]
async fn a_trace_that_ends_here_says_what_came_but_no_secrets() {
    let origin = Origin::start(plain).await;
    let running = started(proxy(&origin)).await;
    let request = "TRACE /a?b HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nCookie: secret=1\r\nAuthorization: Basic x\r\n\
         X-One: 1\r\nConnection: close\r\n\r\n";
    let response = raw(&running, request).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("content-type: message/http"), "{response}");
    assert!(response.contains("TRACE http://h/a?b HTTP/1.1\r\n") && response.contains("x-one: 1\r\n"), "{response}");
    assert!(!response.contains("secret") && !response.contains("Basic"), "{response}");
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn what_is_not_for_a_gateway_is_refused() {
    let origin = Origin::start(plain).await;
    let running = started(proxy(&origin)).await;
    for (request, status) in [
        ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "405"),
        ("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "204"),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: a-pony\r\nConnection: close\r\n\r\n", "417"),
        ("TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", "400"),
    ] {
        let response = raw(&running, request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {response}");
    }
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn cookies_that_came_one_by_one_go_on_in_one_line() {
    let origin = Origin::start(plain).await;
    let running = started(proxy(&origin)).await;
    let request = Request::get("/").header("cookie", "a=1").header("cookie", "b=2").body(full("")).expect("a request");
    Client::http2(running.address()).await.ask(request).await;
    assert_eq!(text(&origin.asked().pop().expect("asked").headers, "cookie"), ["a=1; b=2"]);
}
