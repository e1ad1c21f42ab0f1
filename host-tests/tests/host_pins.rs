//! The table of Envoy's behaviours, run in the wasmtime host.

mod common;

use std::time::Duration;

use common::pins::{PINS, Pin, SCRIPTS, Seen, check};
use common::{events, host, script};
use larder_host_tests::host::{CallId, Headers, Host, Request, Response, StreamId, UpstreamFailure};

#[test]
fn the_host_does_what_envoy_does() {
    let failures: Vec<String> = PINS.iter().filter_map(|pin| check(pin, &run(pin)).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn host_calls_answer_as_envoys_do() {
    let mut host = host();
    for (steps, answers) in SCRIPTS {
        assert_eq!(script(&mut host, 0, steps).join("\n") + "\n", *answers, "{steps}");
    }
}

fn run(pin: &Pin) -> Seen {
    let mut host = host();
    let mut request = Request::new(pin.method, pin.path).header("x-id", "pin").body(pin.body);
    for (name, value) in pin.fields {
        request = request.header(name, value);
    }
    let stream = host.request(0, request);
    settle(&mut host, stream);
    let client = host.client(stream);
    let headers = client.headers.clone().unwrap_or_default();
    let fields = headers.iter().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    Seen {
        status: client.status().unwrap_or(0),
        fields: fields.collect(),
        body: client.body.clone(),
        whole: client.complete(),
        notes: events(&mut host, "pin"),
    }
}

/// Answers whatever waits, until nothing does.
fn settle(host: &mut Host, stream: StreamId) {
    loop {
        if let Some(call) = host.calls().first() {
            let (id, path) = (call.id, call.path());
            answer_call(host, id, &path);
        } else if host.upstream_requests().contains(&stream) {
            let path = host.upstream(stream).expect("forwarded").path();
            answer(host, stream, &path);
        } else {
            break;
        }
    }
    host.advance(Duration::from_millis(1));
}

fn answer_call(host: &mut Host, id: CallId, path: &str) {
    match path {
        "/hangup" => host.reset_call(id),
        "/304" => host.answer_call(id, Response::new(304)),
        _ => host.answer_call(id, Response::new(200).body("hello")),
    }
}

fn answer(host: &mut Host, stream: StreamId, path: &str) {
    let head = |length: &str| -> Headers { [(":status", "200"), ("content-length", length)].into_iter().collect() };
    let chunked = || -> Headers { [(":status", "200")].into_iter().collect() };
    match path {
        "/chunks" | "/trailers" => {
            host.respond_headers(stream, chunked(), false);
            for piece in ["aaaaa", "bbbbb", "ccccc"] {
                host.respond_body(stream, piece, false);
            }
            if path == "/chunks" {
                host.respond_body(stream, "", true);
            } else {
                host.respond_trailers(stream, [("x-sum", "1")].into_iter().collect());
            }
        }
        "/large" => {
            host.respond_headers(stream, chunked(), false);
            for _ in 0..32 {
                host.respond_body(stream, vec![b'x'; 64 << 10], false);
            }
            host.respond_body(stream, "", true);
        }
        "/broken" => {
            host.respond_headers(stream, head("100"), false);
            host.respond_body(stream, "abcdefghi", false);
            host.respond_truncated(stream);
        }
        "/hangup" => host.fail_upstream(stream, UpstreamFailure::ConnectionReset),
        "/304" => host.respond(stream, Response::new(304)),
        "/dup" => {
            let fields = [("x-a", "1"), ("x-a", "2"), ("cache-control", "a"), ("cache-control", "b"), ("vary", "a")];
            let more =
                [("vary", "b"), ("link", "a"), ("link", "b"), ("connection", "close"), ("keep-alive", "timeout=5")];
            let response =
                fields.iter().chain(&more).fold(Response::new(200), |r, (name, value)| r.header(name, value));
            host.respond(stream, response.body("ok"));
        }
        _ => host.respond(stream, Response::new(200).header("content-length", "5").body("hello")),
    }
}
