//! What an answer from a worker's own memory costs in host calls, and what a request costs that is passed on: each call that
//! returns data costs Envoy a microsecond or two, so the numbers are pinned. A change here is a change of the product's speed;
//! ARCHITECTURE.md gives the numbers.

use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{CallbackRecord, Config, Host, Plugin, Request, Response, StreamId};

const POLICY: &str = r#"{
  "version": 1,
  "name": "cost",
  "routes": [{ "name": "all", "path": "/{*rest}", "ttl": "60s", "etag": "strong" }]
}"#;

/// A host whose worker has `/a` (typed) and `/untyped` stored.
fn warm() -> Host {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let mut host = Host::start(&plugin, Config::new(POLICY)).expect("the policy is fine");
    for (path, content_type) in [("/a", Some("text/plain")), ("/untyped", None)] {
        let stream = host.request(0, Request::get(path));
        let response = Response::new(200).body("hello");
        let response = match content_type {
            Some(value) => response.header("content-type", value),
            None => response,
        };
        host.respond(stream, response);
        assert_eq!(host.client(stream).text(), "hello");
    }
    host
}

/// Callbacks of a stream and the host calls of each, without callbacks that make none.
fn calls(host: &Host, stream: StreamId) -> Vec<(&'static str, Vec<&'static str>)> {
    let records = host.trace().into_iter().filter(|record| record.stream == Some(stream));
    let of = |record: CallbackRecord| (record.callback, record.host_calls);
    records.map(of).filter(|(_, calls)| !calls.is_empty()).collect()
}

fn ask(host: &mut Host, request: Request, status: u16) -> StreamId {
    let stream = host.request(0, request);
    assert_eq!(host.client(stream).status(), Some(status));
    assert!(host.upstream(stream).is_none(), "answered from memory");
    stream
}

const ANSWER: [&str; 3] =
    ["proxy_get_current_time_nanoseconds", "proxy_get_header_map_pairs", "proxy_send_local_response"];

#[test]
fn a_hit_costs_three_host_calls() {
    let mut host = warm();
    let stream = ask(&mut host, Request::get("/a"), 200);
    assert_eq!(calls(&host, stream), [("proxy_on_request_headers", ANSWER.to_vec())]);
}

#[test]
fn a_304_and_a_head_cost_as_much() {
    let mut host = warm();
    let etag = {
        let stream = ask(&mut host, Request::get("/a"), 200);
        host.client(stream).header("etag").expect("made here")
    };
    for (request, status) in [(Request::get("/a").header("if-none-match", &etag), 304), (Request::head("/a"), 200)] {
        let stream = ask(&mut host, request, status);
        assert_eq!(calls(&host, stream), [("proxy_on_request_headers", ANSWER.to_vec())]);
    }
}

#[test]
fn only_a_reply_that_envoy_changes_is_mended() {
    let mut host = warm();
    let stream = ask(&mut host, Request::get("/untyped"), 200);
    let expected = [
        ("proxy_on_request_headers", ANSWER.to_vec()),
        ("proxy_on_response_headers", vec!["proxy_remove_header_map_value"]),
    ];
    assert_eq!(calls(&host, stream), expected);
    assert_eq!(host.client(stream).header("content-type"), None);
}

#[test]
fn a_pass_costs_five() {
    let policy =
        r#"{ "version": 1, "name": "cost", "routes": [{ "name": "all", "path": "/{*rest}", "class": "never" }] }"#;
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let mut host = Host::start(&plugin, Config::new(policy)).expect("the policy is fine");
    let mut pass = || {
        let stream = host.request(0, Request::get("/a"));
        host.respond(stream, Response::new(200).header("content-type", "text/plain").body("hello"));
        calls(&host, stream)
    };
    // The first one makes the worker's place among its neighbours, too.
    pass();
    let time = "proxy_get_current_time_nanoseconds";
    let expected = [
        ("proxy_on_request_headers", vec![time, "proxy_get_header_map_pairs"]),
        ("proxy_on_response_headers", vec!["proxy_get_header_map_pairs", time, "proxy_replace_header_map_value"]),
    ];
    assert_eq!(pass(), expected);
}
