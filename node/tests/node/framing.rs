//! Requests on the node's data port whose end two readers could see in two places. Each is refused and the connection closed, or
//! framed as RFC 9112 6.3 and 7.1 say: bytes of one request never become another one.
//!
//! `GET /smuggled` stands where a second request would begin if the first one ended where it does not; 404 is its answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Made, PATIENCE, World, looks};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
const LAST: &str = "GET /larder/health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

/// The statuses that came back until the connection was closed.
async fn statuses(world: &World, bytes: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(world.node.data).await.expect("a connection");
    // The node may have closed it before all is written.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
    let text = String::from_utf8_lossy(&answer);
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().expect("a status")).collect()
}

fn posted(fields: &str, body: &str) -> String {
    format!("POST /larder/lookup HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    posted("transfer-encoding: chunked", body)
}

async fn goes_on(world: &World) {
    world.fill("goes-on", Made::default()).await;
    assert!(world.lookup(&looks("goes-on")).await.found.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_framed_in_two_ways_ends_the_connection() {
    let world = World::with(|config| config.limits.body_timeout_ms = 500).await;
    let in_chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let extension = "a".repeat(20_000);
    for (what, begun) in [
        ("CL.TE", posted("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
        ("TE.CL", posted("transfer-encoding: chunked\r\ncontent-length: 4", &in_chunk)),
        ("TE.TE, an unknown one last", posted("transfer-encoding: chunked\r\ntransfer-encoding: x", "0\r\n\r\n")),
        ("TE.TE, in a list", posted("transfer-encoding: chunked, identity", "0\r\n\r\n")),
        ("TE, not quite chunked", posted("transfer-encoding: xchunked", "0\r\n\r\n")),
        ("TE, quoted", posted("transfer-encoding: \"chunked\"", "0\r\n\r\n")),
        ("TE, a space before the colon", posted("transfer-encoding : chunked", "0\r\n\r\n")),
        ("TE, folded", posted("transfer-encoding:\r\n chunked", "0\r\n\r\n")),
        ("TE, a vertical tab", posted("transfer-encoding: \x0bchunked", "0\r\n\r\n")),
        ("TE in HTTP/1.0", chunked("0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0")),
        ("two lengths", posted("content-length: 3\r\ncontent-length: 5", "abc")),
        ("a list of two lengths", posted("content-length: 3, 5", "abc")),
        ("a length that is signed", posted("content-length: +3", "abc")),
        ("a negative length", posted("content-length: -3", "abc")),
        ("a hexadecimal length", posted("content-length: 0x3", "abc")),
        ("a length with a fraction", posted("content-length: 3.0", "abc")),
        ("a length over 2^64", posted("content-length: 18446744073709551619", "abc")),
        ("an empty length", posted("content-length:", "")),
        ("a folded field", posted("x-a: b\r\n content-length: 3", "")),
        ("a bare CR in the head", posted("x-a: b\rcontent-length: 3", "")),
        ("a bare CR between lines", posted("x-a: b\r\rcontent-length: 3", "")),
        ("NUL in a value", posted("x-a: b\0", "")),
        ("a space in the target", "GET /a b HTTP/1.1\r\nhost: h\r\n\r\n".to_owned()),
        ("a bare LF after a chunk's size", chunked("3\nabc\r\n0\r\n\r\n")),
        ("a bare LF after a chunk", chunked("3\r\nabc\n0\r\n\r\n")),
        ("a bare LF within an extension", chunked("3;a=b\nc\r\nabc\r\n0\r\n\r\n")),
        ("more than its chunk's size", chunked("3\r\nabcdef\r\n0\r\n\r\n")),
        ("a chunk's size over 2^64", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n")),
        ("a negative chunk's size", chunked("-3\r\nabc\r\n0\r\n\r\n")),
        ("a chunk's size with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n")),
        ("an empty chunk's size", chunked("\r\nabc\r\n0\r\n\r\n")),
        ("extensions without end", chunked(&format!("3;{extension}\r\nabc\r\n0\r\n\r\n"))),
        ("a chunk over the limit", chunked("fffffffffffffff\r\nabc")),
        ("a length over the limit", posted("content-length: 99999999999", "abc")),
    ] {
        let statuses = statuses(&world, &format!("{begun}{SMUGGLED}{LAST}")).await;
        assert!(
            statuses.len() < 2 && statuses.iter().all(|status| (400..500).contains(status)),
            "{what}: {statuses:?}"
        );
        assert!(!statuses.contains(&404), "{what}: {statuses:?}");
    }
    goes_on(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_one_end_is_read_to_it_and_no_further() {
    let world = World::new().await;
    let length = SMUGGLED.len();
    // None of the bodies is a message, which is what 400 says.
    for (what, begun, want) in [
        ("a request as a body", posted(&format!("content-length: {length}"), SMUGGLED), &[400][..]),
        ("a request as a chunk", chunked(&format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n")), &[400]),
        (
            "a request as the body of GET",
            format!("GET /larder/health HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{SMUGGLED}"),
            &[200],
        ),
        (
            "a request as the body of a path that there is not",
            posted(&format!("content-length: {length}"), SMUGGLED).replace("lookup", "x"),
            &[404],
        ),
        ("the same length twice", posted("content-length: 3\r\ncontent-length: 3", "abc"), &[400]),
        ("leading zeros", posted("content-length: 0003", "abc"), &[400]),
        ("a tab before the coding", posted("transfer-encoding:\tchunked", "3\r\nabc\r\n0\r\n\r\n"), &[400]),
        ("the coding in capitals", posted("Transfer-Encoding: CHUNKED", "3\r\nabc\r\n0\r\n\r\n"), &[400]),
        ("extensions", chunked("3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"), &[400]),
        ("a size with zeros", chunked("00003\r\nabc\r\n000\r\n\r\n"), &[400]),
        ("trailers", chunked("3\r\nabc\r\n0\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n"), &[400]),
        (
            "lines of the head that end in LF (RFC 9112 2.2)",
            "GET /larder/health HTTP/1.1\nhost: h\n\n".to_owned(),
            &[200],
        ),
        (
            "an empty line before the request (RFC 9112 2.2)",
            "\r\nGET /larder/health HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
            &[200],
        ),
        (
            "three in a row",
            format!(
                "{}GET / HTTP/1.1\r\nhost: h\r\n\r\nPURGE / HTTP/1.1\r\nhost: h\r\n\r\n",
                posted("content-length: 0", "")
            ),
            &[400, 404, 405],
        ),
    ] {
        let want: Vec<u16> = want.iter().copied().chain([200]).collect();
        assert_eq!(statuses(&world, &format!("{begun}{LAST}")).await, want, "{what}");
    }
    goes_on(&world).await;
}
