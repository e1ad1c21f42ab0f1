//! A request passes, the origin answers, the client sees it; loading refuses what cannot work.

mod common;

use common::{events, host, probing, seen};
use larder_host_tests::host::{HostError, Plugin, Request, Response};

#[test]
fn a_request_reaches_the_origin_and_its_answer_the_client() {
    let mut host = host();
    let stream = host.request(0, Request::get("/a?b=c").header("x-id", "one"));
    let upstream = host.upstream(stream).expect("forwarded");
    assert_eq!((upstream.method().as_str(), upstream.path().as_str()), ("GET", "/a?b=c"));
    assert_eq!((upstream.cluster.as_str(), upstream.complete), ("origin", true));
    assert_eq!(host.upstream_requests(), [stream]);
    host.respond(stream, Response::new(200).header("x-from", "origin").body("hello"));
    assert_eq!(seen(&host, stream), (Some(200), "hello".to_owned(), true));
    assert_eq!(host.client(stream).header("x-from").as_deref(), Some("origin"));
    assert_eq!(
        events(&mut host, "one"),
        [
            "request headers end=true",
            "response headers end=false details=via_upstream",
            "response body 5 end=false",
            "response body 0 end=true",
            "log 0 0",
            "done",
            "delete"
        ]
    );
}

#[test]
fn a_post_with_trailers_passes_in_pieces() {
    let mut host = host();
    let request = Request::new("POST", "/").header("x-id", "post").body("abc").trailers([("x-sum", "1")]);
    let stream = host.request(0, request);
    let upstream = host.upstream(stream).expect("forwarded");
    assert_eq!((upstream.body.as_slice(), upstream.complete), (b"abc".as_slice(), true));
    assert_eq!(upstream.trailers.and_then(|trailers| trailers.text("x-sum")).as_deref(), Some("1"));
    host.respond(stream, Response::new(204));
    let notes = events(&mut host, "post");
    assert_eq!(notes[..3], ["request headers end=false", "request body 3 end=false", "request trailers 1"]);
}

#[test]
fn unknown_imports_are_named() {
    let module = [
        b"\0asm\x01\0\0\0".as_slice(),
        &[1, 4, 1, 0x60, 0, 0],
        &[2, 27, 2, 3],
        b"env",
        &[4],
        b"what",
        &[0, 0, 4],
        b"wasi",
        &[7],
        b"fd_read",
        &[0, 0],
    ]
    .concat();
    match Plugin::from_bytes(&module) {
        Err(HostError::UnknownImports(names)) => assert_eq!(names, ["env.what", "wasi.fd_read"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_module_is_refused() {
    assert!(matches!(Plugin::from_bytes(b"not wasm"), Err(HostError::Invalid(_))));
    assert!(matches!(Plugin::from_bytes(b"\0asm\x01\0\0\0"), Err(HostError::UnknownAbi)));
    assert!(matches!(Plugin::from_file("no/such.wasm"), Err(HostError::Unreadable(..))));
}

#[test]
fn every_callback_is_counted_with_its_host_calls() {
    let mut host = host();
    host.clear_trace();
    host.request(0, probing("reply").header("x-body", "hi"));
    let trace = host.trace();
    let callbacks: Vec<&str> = trace.iter().map(|record| record.callback).collect();
    let expected = [
        "proxy_on_context_create",
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
        "proxy_on_log",
        "proxy_on_done",
        "proxy_on_delete",
    ];
    assert_eq!(callbacks, expected);
    assert_eq!(trace[1].host_calls, ["proxy_get_header_map_pairs", "proxy_send_local_response"]);
    assert_eq!(trace[1].counts()["proxy_send_local_response"], 1);
}
