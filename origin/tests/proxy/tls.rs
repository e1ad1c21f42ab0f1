//! TLS on both sides: what is agreed on, whom is trusted, and a certificate that is renewed.

use http::Version;
use larder_origin::proxy::{Certificate, Protocol, Proxy};
use tower_layer::Identity;

use crate::support::{Authority, Client, Origin, echo, full, proxy, started, tls_stream};

#[tokio::test]
async fn clients_get_the_version_that_they_ask_for() {
    let (authority, origin) = (Authority::new(), Origin::start(echo).await);
    let running = started(proxy(&origin).certificate(Certificate::new(authority.chain(), authority.key()))).await;
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let mut client = Client::tls(running.address(), &authority, protocols).await.expect("TLS");
        assert_eq!(client.version(), version);
        let request = http::Request::post("/").body(full("hello")).expect("a request");
        assert_eq!(client.ask(request).await.body(), "hello");
        let asked = origin.asked().pop().expect("asked").headers;
        assert_eq!(asked["x-forwarded-proto"], "https");
        assert_eq!(asked["forwarded"], "for=127.0.0.1;proto=https;host=\"shop.example\"");
    }
    assert!(tls_stream(running.address(), &authority, &["spdy/1"]).await.is_err(), "nothing in common");
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_a_bad_one_for_none() {
    let (authority, origin) = (Authority::new(), Origin::start(echo).await);
    let running = started(proxy(&origin).certificate(Certificate::new(authority.chain(), authority.key()))).await;
    let shown = || async {
        let stream = tls_stream(running.address(), &authority, &["http/1.1"]).await.expect("TLS");
        stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
    };
    let first = shown().await;
    let mut kept = Client::tls(running.address(), &authority, &["h2"]).await.expect("TLS");
    assert_eq!(kept.get("/").await.status(), 200);
    authority.issue();
    assert_eq!(shown().await, first, "nothing changes by itself");
    running.reload().expect("a certificate");
    let second = shown().await;
    assert_ne!(second, first);
    assert_eq!(kept.get("/").await.status(), 200);
    std::fs::write(authority.key(), "no key").expect("written");
    let error = running.reload().expect_err("no key").to_string();
    assert!(error.contains("key.pem"), "{error}");
    assert_eq!(shown().await, second);
}

#[tokio::test]
async fn what_is_no_certificate_is_named() {
    let (authority, other, origin) = (Authority::new(), Authority::new(), Origin::start(echo).await);
    for (chain, key, text) in [
        ("/nowhere/chain.pem".into(), authority.key(), "/nowhere/chain.pem"),
        (authority.chain(), "/nowhere/key.pem".into(), "/nowhere/key.pem"),
        (authority.key(), authority.key(), "there is no certificate in it"),
        (authority.chain(), other.key(), "with its key"),
    ] {
        let builder = proxy(&origin).certificate(Certificate::new(chain, key));
        let error = builder.serve_with(Identity::new()).await.expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    }
    let origin = "https://localhost:1".parse().expect("an origin");
    let builder = Proxy::builder().origin(origin).origin_ca("/nowhere/ca.pem");
    let error = builder.serve_with(Identity::new()).await.expect_err("no file").to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}

#[tokio::test]
async fn an_origin_that_is_not_who_it_says_is_not_asked() {
    let (authority, other) = (Authority::new(), Authority::new());
    let origin = Origin::with_tls(Some(authority.server(&["h2", "http/1.1"])), echo).await;
    let port = origin.address.port();
    for (url, ca, protocol) in [
        (format!("https://localhost:{port}"), other.ca(), Protocol::Auto),
        (format!("https://127.0.0.1:{port}"), authority.ca(), Protocol::Auto),
    ] {
        let builder = Proxy::builder().origin(url.parse().expect("an origin")).origin_ca(ca).origin_protocol(protocol);
        let response = Client::http1(started(builder).await.address()).await.get("/").await;
        assert_eq!(response.status(), 502, "{url}");
        assert_eq!(response.headers()["proxy-status"], "larder; error=tls_protocol_error", "{url}");
    }
    assert!(origin.asked().is_empty());
    let url: larder_origin::proxy::Origin = format!("https://localhost:{port}").parse().expect("an origin");
    for (protocol, version) in [(Protocol::Http1, Version::HTTP_11), (Protocol::Http2, Version::HTTP_2)] {
        let builder = Proxy::builder().origin(url.clone()).origin_ca(authority.ca()).origin_protocol(protocol);
        assert_eq!(Client::http1(started(builder).await.address()).await.get("/").await.status(), 200);
        assert_eq!(origin.asked().pop().expect("asked").version, version);
    }
}
