//! VMs: configuration and its reload, refusal, traps and what follows, memory.

mod common;

use std::time::Duration;

use common::{events, host, host_with, probe, probing, script, seen};
use larder_host_tests::host::{Config, FailurePolicy, Host, HostError, Outcome, Request, Response};

fn configured(words: &str) -> Config {
    Config::new(words)
}

#[test]
fn a_refused_configuration_is_an_error_with_what_was_logged() {
    match Host::start(&probe(), configured("reject")) {
        Err(HostError::Rejected(lines)) => assert_eq!(lines, ["rejected as configured"]),
        other => panic!("{:?}", other.map(|_| ())),
    }
    let config = Config { vm_config: b"reject".to_vec(), ..Config::default() };
    assert!(matches!(Host::start(&probe(), config), Err(HostError::Rejected(_))));
    assert!(matches!(Host::start(&probe(), configured("panic")), Err(HostError::Trapped(_))));
}

#[test]
fn a_reload_makes_a_new_root_in_the_same_vm() {
    let mut host = host_with(configured("name=a"));
    script(&mut host, 0, "shared-set k v 0");
    host.request(0, probing("hop").header("x-id", "kept"));
    host.reload("name=b").expect("taken");
    assert_eq!(script(&mut host, 0, "config;seen"), ["name=b", "hop kept|root done, 0 pending"]);
    assert_eq!(host.roots(0), 1);
}

#[test]
fn a_refused_reload_changes_nothing() {
    let mut host = host_with(configured("name=a"));
    assert!(matches!(host.reload("reject"), Err(HostError::Rejected(_))));
    assert!(matches!(host.reload("panic"), Err(HostError::Trapped(_))));
    assert_eq!(script(&mut host, 0, "config"), ["name=a"]);
    assert_eq!(host.roots(0), 1);
}

#[test]
fn the_old_root_stays_until_its_streams_have_ended() {
    let mut host = host_with(configured("name=a"));
    let stream = host.request(0, Request::get("/"));
    host.reload("name=b").expect("taken");
    assert_eq!(host.roots(0), 2);
    host.respond(stream, Response::new(200).body("hello"));
    assert_eq!(seen(&host, stream), (Some(200), "hello".to_owned(), true));
    assert_eq!(host.roots(0), 1);
}

#[test]
fn calls_of_an_old_root_are_cancelled_silently() {
    let mut host = host_with(configured("name=a"));
    let stream = host.request(0, Request::get("/k").header("x-probe", "coalesce"));
    assert_eq!(host.calls().len(), 1);
    host.client_gone(stream);
    host.reload("name=b").expect("taken");
    assert!(host.calls().is_empty());
    assert_eq!(script(&mut host, 0, "seen"), ["root done, 1 pending"]);
}

#[test]
fn an_old_root_can_wait_for_its_calls() {
    let mut host = host_with(configured("drain"));
    let stream = host.request(0, Request::get("/k").header("x-probe", "coalesce"));
    host.client_gone(stream);
    host.reload("name=b").expect("taken");
    assert_eq!((host.calls().len(), host.roots(0)), (1, 2));
    let call = host.calls()[0].id;
    host.answer_call(call, Response::new(200));
    assert_eq!(host.roots(0), 1);
    assert_eq!(script(&mut host, 0, "seen"), ["root done, 1 pending|gone /k|drained"]);
}

#[test]
fn a_trap_is_that_requests_503_and_the_next_gets_a_fresh_vm() {
    let mut host = host_with(configured("name=a"));
    host.advance(Duration::from_secs(1));
    script(&mut host, 0, "shared-set k kept 0");
    host.request(0, probing("hop").header("x-id", "lost"));
    let stream = host.request(0, probing("panic").header("x-when", "request"));
    assert_eq!(seen(&host, stream), (Some(503), String::new(), true));
    assert_eq!(host.code_details(stream).as_deref(), Some("wasm_fail_stream"));
    let traps = host.traps();
    assert_eq!((traps.len(), traps[0].callback), (1, "proxy_on_request_headers"));
    assert_eq!(script(&mut host, 0, "seen;shared-get k;config"), ["", "kept cas", "name=a"]);
}

#[test]
fn a_vm_that_dies_again_soon_is_not_replaced_at_once() {
    let mut host = host();
    host.request(0, probing("panic").header("x-when", "request"));
    let early = host.request(0, Request::get("/"));
    assert_eq!(host.client(early).status(), Some(503));
    host.advance(Duration::from_secs(1));
    host.request(0, probing("panic").header("x-when", "request"));
    let early = host.request(0, Request::get("/"));
    assert_eq!(host.client(early).status(), Some(503));
    host.advance(Duration::from_secs(1));
    let later = host.request(0, Request::get("/"));
    assert!(host.upstream(later).is_some());
}

#[test]
fn other_streams_of_a_dead_vm_hang_or_are_cut() {
    let mut host = host();
    let paused = host.request(0, probing("hold"));
    let streaming = host.request(0, Request::get("/"));
    host.respond_headers(streaming, [(":status", "200"), ("content-length", "10")].into_iter().collect(), false);
    host.respond_body(streaming, "hello", false);
    host.request(0, probing("panic").header("x-when", "request"));
    assert_eq!(host.client(paused).outcome, Outcome::Pending);
    host.respond_body(streaming, "hello", false);
    assert_eq!((host.client(streaming).text().as_str(), host.client(streaming).outcome), ("hello", Outcome::Aborted));
    host.advance(Duration::from_secs(300));
    assert_eq!(host.client(paused).status(), Some(503));
}

#[test]
fn a_trap_in_the_body_cuts_the_response_and_one_in_the_log_harms_nobody() {
    let mut host = host();
    let body = host.request(0, probing("panic").header("x-when", "body"));
    host.respond(body, Response::new(200).body("hello"));
    assert_eq!((host.client(body).status(), host.client(body).outcome), (Some(200), Outcome::Aborted));
    host.advance(Duration::from_secs(1));
    let log = host.request(0, probing("panic").header("x-when", "log"));
    host.respond(log, Response::new(200).body("hello"));
    assert_eq!(seen(&host, log), (Some(200), "hello".to_owned(), true));
    host.advance(Duration::from_secs(1));
    let response = host.request(0, probing("panic").header("x-when", "response"));
    host.respond(response, Response::new(200).body("hello"));
    assert_eq!(seen(&host, response), (Some(503), String::new(), true));
    assert_eq!(host.traps().len(), 3);
}

#[test]
fn the_other_failure_policies_never_come_back() {
    for (policy, status) in [(FailurePolicy::Closed, Some(503)), (FailurePolicy::Open, Some(200))] {
        let mut host = host_with(Config { failure_policy: policy, ..Config::default() });
        host.request(0, probing("panic").header("x-when", "request"));
        host.advance(Duration::from_secs(60));
        let stream = host.request(0, probing("reply"));
        if host.upstream(stream).is_some() {
            host.respond(stream, Response::new(200).body("unfiltered"));
        }
        assert_eq!(host.client(stream).status(), status, "{policy:?}");
    }
}

#[test]
fn memory_has_a_limit_beyond_which_the_vm_dies() {
    let mut host = host_with(Config { memory_limit_bytes: 32 << 20, ..Config::default() });
    let fits = host.request(0, probing("grow").header("x-size", "4"));
    assert_eq!(host.client(fits).text(), (4 << 20).to_string());
    host.advance(Duration::from_secs(1));
    let too_much = host.request(0, probing("grow").header("x-size", "64"));
    assert_eq!(host.client(too_much).status(), Some(503));
    assert_eq!(host.traps().len(), 1);
    let after = host.request(0, probing("reply"));
    assert_eq!(host.client(after).status(), Some(200));
    assert!(host.memory_bytes(0) < 8 << 20);
}

#[test]
fn a_failed_calls_headers_cannot_be_read() {
    let mut host = host();
    let stream = host.request(0, probing("call").header("x-id", "f"));
    let call = host.calls()[0].id;
    host.fail_call(call);
    assert_eq!(seen(&host, stream), (Some(502), "failed".to_owned(), true));
    assert_eq!(events(&mut host, "f")[1], "call reply 0 0 0");
}
