//! `Expect: 100-continue` (RFC 9110 10.1.1).

use larder_origin::proxy::{Limits, Proxy};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{by_hand, read_all, read_until, started};

const REQUEST: &[u8] =
    b"PUT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn the_client_goes_on_when_the_origin_says_so() {
    let origin = by_hand(|mut stream, _| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.to_lowercase().contains("expect: 100-continue"), "{head}");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.expect("written");
        assert_eq!(read_until(&mut stream, "body").await, "body");
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.expect("written");
    })
    .await;
    // The origin must be what the client waits for, not the time.
    let limits = Limits::default().with("continue_timeout_ms", 60_000).expect("a limit");
    let running = started(Proxy::builder().origin(origin).limits(limits)).await;
    let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
    stream.write_all(REQUEST).await.expect("written");
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.expect("written");
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 201"));
}

#[tokio::test]
async fn a_refusal_comes_without_the_body_being_asked_for() {
    let origin = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.expect("written");
        // The body never comes, and nothing else does on this connection.
        assert_eq!(read_all(&mut stream).await, "");
    })
    .await;
    let limits = Limits::default().with("continue_timeout_ms", 60_000).expect("a limit");
    let running = started(Proxy::builder().origin(origin).limits(limits)).await;
    let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
    stream.write_all(REQUEST).await.expect("written");
    let response = read_all(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 403") && response.ends_with("no"), "{response}");
}

#[tokio::test]
async fn an_origin_that_says_nothing_gets_the_body_after_a_time() {
    let origin = by_hand(|mut stream, _| async move {
        read_until(&mut stream, "body").await;
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.expect("written");
    })
    .await;
    let limits = Limits::default().with("continue_timeout_ms", 20).expect("a limit");
    let running = started(Proxy::builder().origin(origin).limits(limits)).await;
    let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
    stream.write_all(REQUEST).await.expect("written");
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.expect("written");
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 201"));
}
