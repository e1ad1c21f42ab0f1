//! Streams beside one another: coalescing through the root, replies to other streams, clients that go, limits and time limits.

mod common;

use std::time::Duration;

use common::{events, host, host_with, probing, script, seen};
use larder_host_tests::host::{Config, Headers, Outcome, Request, Response, Route, UpstreamFailure};

#[test]
fn one_call_of_the_root_answers_and_resumes_all_followers() {
    let mut host = host();
    let gone = host.request(0, Request::get("/k").header("x-probe", "coalesce"));
    let answered = host.request(0, Request::get("/k").header("x-probe", "coalesce"));
    let resumed = host.request(0, Request::get("/k").header("x-probe", "coalesce").header("x-then", "resume"));
    host.client_gone(gone);
    let calls = host.calls();
    assert_eq!(calls.len(), 1, "the leader's going does not cancel the root's call");
    host.answer_call(calls[0].id, Response::new(200).body("found"));
    assert_eq!(seen(&host, answered), (Some(200), "found".to_owned(), true));
    assert_eq!(host.client(answered).header("x-flight").as_deref(), Some("landed"));
    assert_eq!(host.upstream(resumed).and_then(|upstream| upstream.header("x-flight")).as_deref(), Some("landed"));
    assert_eq!(host.client(gone).outcome, Outcome::Aborted);
    assert_eq!(script(&mut host, 0, "seen"), ["gone /k"]);
    assert!(host.traps().is_empty());
}

#[test]
fn entering_the_root_from_a_stream_is_synchronous() {
    let mut host = host();
    let stream = host.request(0, probing("hop").header("x-id", "7"));
    assert_eq!(host.client(stream).text(), "hop 7");
}

#[test]
fn a_reply_to_another_stream_stops_the_callback_that_sends_it() {
    let mut host = host();
    let held = host.request(0, probing("hold").header("x-key", "a"));
    let leader = host.request(0, probing("cross").header("x-key", "a"));
    host.respond(leader, Response::new(200).body("hello"));
    assert_eq!(seen(&host, held), (Some(200), "crossed".to_owned(), true));
    assert_eq!(host.client(leader).status(), None, "the leader's Continue did not count");
    host.advance(Duration::from_secs(301));
    assert_eq!(host.client(leader).status(), Some(504));
}

#[test]
fn a_reply_to_another_stream_loses_the_chunk_of_the_sending_body_callback() {
    let mut host = host();
    host.request(0, probing("hold").header("x-key", "b"));
    let leader = host.request(0, probing("cross").header("x-key", "b").header("x-when", "body"));
    host.respond_headers(leader, [(":status", "200")].into_iter().collect(), false);
    for piece in ["aaaaa", "bbbbb", "ccccc"] {
        host.respond_body(leader, piece, false);
    }
    host.respond_body(leader, "", true);
    assert_eq!(seen(&host, leader), (Some(200), "bbbbbccccc".to_owned(), true));
}

#[test]
fn a_reset_in_the_request_headers_leaves_the_client_without_an_answer() {
    let mut host = host();
    let stream = host.request(0, probing("close").header("x-id", "c"));
    assert_eq!((host.client(stream).status(), host.client(stream).outcome), (None, Outcome::Aborted));
    assert_eq!(events(&mut host, "c"), ["request headers end=true", "log 0 1", "done", "delete"]);
}

#[test]
fn a_client_that_goes_ends_the_stream_and_gives_up_the_upstream_request() {
    let mut host = host();
    let stream = host.request(0, Request::get("/").header("x-id", "g"));
    host.client_gone(stream);
    assert!(host.upstream(stream).expect("forwarded").reset);
    assert!(host.upstream_requests().is_empty());
    host.respond(stream, Response::new(200).body("late"));
    assert_eq!(host.client(stream).status(), None);
    assert_eq!(events(&mut host, "g"), ["request headers end=true", "log 0 1", "done", "delete"]);
    assert_eq!(host.live_streams(0), 0);
}

#[test]
fn a_paused_request_ends_at_the_idle_time_limit_and_the_plugin_sees_it() {
    let mut host = host();
    let stream = host.request(0, probing("hold").header("x-id", "h"));
    host.advance(Duration::from_secs(299));
    assert_eq!(host.client(stream).status(), None);
    host.advance(Duration::from_secs(1));
    assert_eq!(seen(&host, stream), (Some(504), "stream timeout".to_owned(), true));
    assert_eq!(host.code_details(stream).as_deref(), Some("stream_idle_timeout"));
    let notes = events(&mut host, "h");
    assert_eq!(notes[1], "response headers end=false details=stream_idle_timeout");
}

#[test]
fn the_routes_time_limit_is_envoys_504() {
    let mut host = host();
    let stream = host.request(0, Request::get("/").header("x-id", "t"));
    host.advance(Duration::from_secs(15));
    assert_eq!(seen(&host, stream), (Some(504), "upstream request timeout".to_owned(), true));
    assert_eq!(events(&mut host, "t")[1], "response headers end=false details=response_timeout");
    host.respond(stream, Response::new(200));
    assert_eq!(host.client(stream).status(), Some(504), "what comes later is not wanted");
}

#[test]
fn failures_before_headers_have_their_own_details() {
    let cases = [
        (UpstreamFailure::ConnectionRefused, 503, "remote_connection_failure"),
        (UpstreamFailure::ConnectionReset, 503, "connection_termination"),
        (UpstreamFailure::Timeout, 504, "response_timeout"),
        (UpstreamFailure::NoHealthyHost, 503, "no_healthy_upstream"),
    ];
    for (failure, status, details) in cases {
        let mut host = host();
        let stream = host.request(0, Request::get("/"));
        host.fail_upstream(stream, failure);
        assert_eq!(host.client(stream).status(), Some(status));
        assert!(host.code_details(stream).is_some_and(|found| found.contains(details)), "{failure:?}");
    }
}

#[test]
fn without_headers_stop_iteration_a_pause_hangs_the_response() {
    let mut host = host_with(Config { allow_on_headers_stop_iteration: false, ..Config::default() });
    let stream = host.request(0, probing("etag").header("x-id", "f"));
    host.respond(stream, Response::new(200).body("hello"));
    assert_eq!(host.client(stream).status(), None);
    let notes = events(&mut host, "f");
    assert_eq!(notes, ["request headers end=true", "response headers end=false details=via_upstream"]);
    host.advance(Duration::from_secs(300));
    assert_eq!(host.client(stream).status(), Some(504));
}

#[test]
fn without_headers_stop_iteration_a_resumed_response_runs_its_body_through_the_plugin() {
    let mut host = host_with(Config { allow_on_headers_stop_iteration: false, ..Config::default() });
    let stream = host.request(0, probing("wait").header("x-id", "w"));
    host.respond(stream, Response::new(200).body("hello"));
    let call = host.calls()[0].id;
    host.answer_call(call, Response::new(200));
    assert_eq!(seen(&host, stream), (Some(200), "hello".to_owned(), true));
    assert_eq!(host.client(stream).header("x-waited").as_deref(), Some("1"));
    assert!(events(&mut host, "w").contains(&"response body 5 end=true".to_owned()));
}

#[test]
fn a_body_callback_that_continues_releases_waiting_headers() {
    let mut host = host();
    let stream = host.request(0, probing("wait").header("x-body-continue", "1"));
    host.respond(stream, Response::new(200).body("hello"));
    assert_eq!(seen(&host, stream), (Some(200), "hello".to_owned(), true));
    assert_eq!(host.client(stream).header("x-waited"), None);
    let posted =
        host.request(0, Request::new("POST", "/").header("x-probe", "call").header("x-body-continue", "1").body("abc"));
    assert!(host.upstream(posted).is_some_and(|upstream| upstream.complete), "the request went on as well");
}

#[test]
fn chunks_that_arrive_after_a_resume_are_not_lost() {
    let mut host = host();
    let stream = host.request(0, probing("wait"));
    host.respond_headers(stream, [(":status", "200")].into_iter().collect(), false);
    host.respond_body(stream, "aaaaa", false);
    host.respond_body(stream, "bbbbb", false);
    let call = host.calls()[0].id;
    host.answer_call(call, Response::new(200));
    assert_eq!(host.client(stream).text(), "aaaaabbbbb");
    host.respond_body(stream, "ccccc", false);
    host.respond_body(stream, "", true);
    assert_eq!(seen(&host, stream), (Some(200), "aaaaabbbbbccccc".to_owned(), true));
}

#[test]
fn a_held_request_body_beyond_the_limit_is_a_413() {
    let mut host = host();
    let post = Request::new("POST", "/").header("x-probe", "call").body(vec![b'x'; 2 << 20]);
    let stream = host.request(0, post);
    assert_eq!(host.client(stream).status(), Some(413));
}

#[test]
fn the_limit_counts_bytes_held_and_not_bytes_streamed() {
    let config = Config { buffer_limit_bytes: 10, ..Config::default() };
    let mut host = host_with(config);
    let streamed = host.request(0, Request::get("/"));
    host.respond(streamed, Response::new(200).body(vec![b'x'; 100]));
    assert_eq!(host.client(streamed).body.len(), 100);
    let held = host.request(0, probing("etag"));
    host.respond_headers(held, Headers::from_iter([(":status", "200")]), false);
    host.respond_body(held, vec![b'x'; 10], false);
    assert_eq!(host.client(held).status(), None);
    host.respond_body(held, "x", false);
    assert_eq!(seen(&host, held), (Some(500), "Internal Server Error".to_owned(), true));
    assert_eq!(host.code_details(held).as_deref(), Some("response_payload_too_large"));
}

#[test]
fn the_plugin_can_choose_another_route() {
    let routes = vec![
        Route::by_header("/", "x-cluster").when_header("x-cluster", None).named("node"),
        Route::new("/", "origin"),
    ];
    let mut host = host_with(Config { routes, clusters: vec!["l2".to_owned()], ..Config::default() });
    let steps = "property xds.cluster_name;add x-cluster l2;foreign clear_route_cache;property xds.cluster_name";
    let stream = host.request(0, probing("script").header("x-script", steps).header("x-then", "continue"));
    let upstream = host.upstream(stream).expect("forwarded");
    assert_eq!((upstream.cluster.as_str(), upstream.route.as_str()), ("l2", "node"));
    let lost = host.request(0, Request::get("/").header("x-cluster", "nowhere"));
    assert_eq!(host.client(lost).status(), Some(503));
    assert_eq!(host.code_details(lost).as_deref(), Some("cluster_not_found"));
}

#[test]
fn interim_answers_pass_by_unseen() {
    let mut host = host_with(Config { proxy_100_continue: true, ..Config::default() });
    let stream = host.request(0, Request::get("/").header("x-id", "i"));
    host.respond_informational(stream, [(":status", "103"), ("link", "</a.css>")].into_iter().collect());
    host.respond(stream, Response::new(200));
    assert_eq!(host.client(stream).informational.len(), 1);
    assert_eq!(events(&mut host, "i")[1], "response headers end=true details=via_upstream");
}

#[test]
fn hop_by_hop_request_fields_are_gone_before_the_plugin_looks() {
    let mut host = host();
    let request = probing("script").header("x-script", "pairs").header("connection", "x-gone").header("x-gone", "1");
    let stream = host.request(0, request.header("te", "trailers").header("keep-alive", "3"));
    let pairs = host.client(stream).text();
    assert!(!pairs.contains("gone=") && !pairs.contains("connection=") && !pairs.contains("keep-alive="), "{pairs}");
    assert!(
        pairs.contains("te=trailers") && pairs.contains("x-forwarded-proto=http") && pairs.contains("x-request-id=")
    );
}

#[test]
fn line_breaks_in_values_are_not_stopped() {
    let mut host = host();
    let stream = host.request(0, probing("reply").header("x-reply", "x-a: b\\r\\nx-injected: 1"));
    assert_eq!(host.client(stream).header("x-a").as_deref(), Some("b\r\nx-injected: 1"));
}

#[test]
fn values_that_are_not_utf8_pass_as_bytes() {
    let mut host = host();
    let stream = host.request(0, Request::get("/").header("x-raw", b"\xff\xfe"));
    let upstream = host.upstream(stream).expect("forwarded");
    assert_eq!(upstream.headers.bytes("x-raw"), Some(b"\xff\xfe".as_slice()));
}
