//! Garbage on the wire: answered or closed, never a crash; and the node goes on.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use larder_core::cluster::message::{Freshen, Release, Tell};
use larder_core::cluster::message::{Lookup, Message, Poll, Purge, Report, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Made, PATIENCE, World, looks};

const PATHS: [&str; 8] =
    [Lookup::PATH, Store::PATH, Freshen::PATH, Release::PATH, Tell::PATH, Purge::PATH, Poll::PATH, Report::PATH];

async fn goes_on(world: &World) {
    world.fill("goes-on", Made::default()).await;
    assert!(world.lookup(&looks("goes-on")).await.found.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_malformed() {
    let world = World::new().await;
    let lookup = looks("k").encode();
    let garbage: Vec<Vec<u8>> = (0..lookup.len())
        .map(|len| lookup[..len].to_vec())
        .chain([b"LRDM".to_vec(), b"{}".to_vec(), vec![0xff; 1000], [&lookup[..], b"x"].concat()])
        .collect();
    for path in PATHS {
        for body in &garbage {
            let response = world.post(path, body.clone()).await;
            assert_eq!(response.status(), 400, "{path} {body:?}");
            assert_eq!(response.headers()["x-larder-refused"], "malformed");
            assert_eq!(response.headers()["x-larder-node"], "2");
        }
    }
    goes_on(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_none_are_malformed() {
    let world = World::new().await;
    for name in ["", "a.b", "../../etc/passwd", "a b", "ä", &"a".repeat(41)] {
        let response = world.post(Lookup::PATH, looks(name).encode()).await;
        assert_eq!(response.status(), 400, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_and_methods_are_named_as_such() {
    let world = World::new().await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", Lookup::PATH, 404),
        ("POST", "/larder/other", 404),
        ("PURGE", "/a", 405),
        ("PUT", Store::PATH, 405),
        ("GET", "/larder/health", 200),
    ] {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", world.node.data));
        let response = world.send(request.body(Full::<Bytes>::default()).expect("a request")).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["x-larder-node"], "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_http_close_the_connection() {
    let world = World::new().await;
    for bytes in [
        &b"\0\x01\x02garbage\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /larder/lookup HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /larder/lookup HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut stream = TcpStream::connect(world.node.data).await.expect("a connection");
        stream.write_all(bytes).await.expect("written");
        stream.shutdown().await.expect("shut down");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
        // Reset or closed; what was said is an error.
        if read.is_ok() && answer.starts_with(b"HTTP/1.1 ") {
            assert_eq!(answer[9], b'4', "{}", String::from_utf8_lossy(&answer));
        }
    }
    goes_on(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::with(|config| config.limits.body_timeout_ms = 50).await;
    let mut stream = TcpStream::connect(world.node.data).await.expect("a connection");
    stream
        .write_all(b"POST /larder/lookup HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\nabc")
        .await
        .expect("written");
    let mut answer = vec![0; 400];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").expect("read");
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("x-larder-node: 2"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let world = World::with(|config| config.limits.head_timeout_ms = 50).await;
    // Nothing at all, the beginning of HTTP/2's preface, and that of a head; on either plane.
    for plane in [world.node.data, world.node.admin.expect("an admin plane")] {
        for begun in [&b""[..], b"PRI * HTT", b"POST /larder/lookup HTTP/1.1\r\nhost"] {
            let mut stream = TcpStream::connect(plane).await.expect("a connection");
            stream.write_all(begun).await.expect("written");
            let mut answer = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
            assert!(read.is_err() || !answer.starts_with(b"HTTP/1.1 200"));
        }
    }
}

/// The head of a purge of `length` bytes, and the first three of them.
fn begun_purge(length: usize) -> Vec<u8> {
    format!("POST /v1/purge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{{\"a")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_plane_waits_for_no_body_and_takes_none_that_is_too_long() {
    let world = World::with(|config| config.limits.body_timeout_ms = 50).await;
    for (length, status, detail) in [(50, "408", "within 50 ms"), (9 << 20, "413", "longer than 8388608 bytes")] {
        let mut stream = TcpStream::connect(world.node.admin.expect("an admin plane")).await.expect("a connection");
        stream.write_all(&begun_purge(length)).await.expect("written");
        let mut answer = vec![0; 1000];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").expect("read");
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(detail), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_more_than_is_taken_reads_why_and_keeps_the_connection() {
    let too_long = World::with(|config| config.limits.object_bytes_max = 1000).await;
    let too_much = World::with(|config| config.limits.bodies_bytes_max = 1000).await;
    for (world, status) in [(&too_long, "200"), (&too_much, "503")] {
        let mut stream = TcpStream::connect(world.node.data).await.expect("a connection");
        let mut sent = b"POST /larder/store HTTP/1.1\r\nhost: h\r\ncontent-length: 8388608\r\n\r\n".to_vec();
        sent.resize(sent.len() + (8 << 20), b'x');
        for (ask, status) in [(sent.as_slice(), status), (b"GET /larder/health HTTP/1.1\r\nhost: h\r\n\r\n", "200")] {
            // All of it, before anything is read.
            stream.write_all(ask).await.expect("written");
            let mut answer = vec![0; 1000];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").expect("read");
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains("x-larder-node: 2"),
                "{answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_on_the_admin_plane_count_against_the_same_memory() {
    let world = World::with(|config| config.limits.bodies_bytes_max = 2).await;
    let mut stream = TcpStream::connect(world.node.admin.expect("an admin plane")).await.expect("a connection");
    stream.write_all(&begun_purge(3)).await.expect("written");
    let mut answer = vec![0; 1000];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").expect("read");
    assert!(answer[..read].starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_plane_takes_so_many_connections() {
    let world = World::with(|config| config.limits.admin_connections_max = 1).await;
    let admin = world.node.admin.expect("an admin plane");
    let mut first = TcpStream::connect(admin).await.expect("a connection");
    let ask = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut answer = vec![0; 1000];
    first.write_all(ask).await.expect("written");
    let read = first.read(&mut answer).await.expect("read");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
    let mut second = TcpStream::connect(admin).await.expect("a connection");
    let closed = tokio::time::timeout(PATIENCE, second.read(&mut answer)).await.expect("closed in time");
    assert!(closed.is_err() || closed.is_ok_and(|read| read == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_records_are_refused() {
    let world = World::new().await;
    let missed = world.lookup(&looks("k")).await;
    let good = world.made("k", &missed, Made::default());
    for at in [0, 4, 6, 30, good.record.len() - 1] {
        let mut record = good.record.to_vec();
        record[at] ^= 1;
        let answer = world.store(&Store { record: record.into(), ..good.clone() }).await;
        assert_eq!(answer, crate::support::refused(larder_core::cluster::message::Refusal::Damaged), "byte {at}");
    }
}
