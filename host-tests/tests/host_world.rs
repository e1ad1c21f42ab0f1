//! What VMs share and what time does: shared data and queues across workers, ticks, calls' time limits, metrics, logs.

mod common;

use std::time::{Duration, UNIX_EPOCH};

use common::{events, host, host_with, probing, script, seen};
use larder_host_tests::host::{Config, LogLevel, Request, Response};

#[test]
fn shared_data_is_one_for_all_workers() {
    let mut host = host_with(Config { workers: 2, ..Config::default() });
    script(&mut host, 0, "shared-set k one 0");
    assert_eq!(
        script(&mut host, 1, "shared-get k;shared-set k two wrong;shared-set k two right"),
        ["one cas", "8", "0"]
    );
    assert_eq!(script(&mut host, 0, "shared-get k"), ["two cas"]);
    assert_eq!(host.shared_data("k").as_deref(), Some(b"two".as_slice()));
}

#[test]
fn a_queue_tells_the_vm_that_registered_it_last() {
    let mut host = host_with(Config { workers: 2, ..Config::default() });
    let id = script(&mut host, 0, "queue news")[0].clone();
    assert_eq!(script(&mut host, 1, "queue news")[0], id);
    script(&mut host, 0, &format!("push {id} hello;push {id} again"));
    assert_eq!(script(&mut host, 0, "seen"), [""]);
    assert_eq!(script(&mut host, 1, "seen"), ["queue: hello|queue: again"]);
    assert_eq!(script(&mut host, 0, &format!("resolve news;pop {id}")), [id.as_str(), "none"]);
}

#[test]
fn each_worker_has_memory_of_its_own() {
    let mut host = host_with(Config { workers: 2, ..Config::default() });
    host.request(0, probing("hop").header("x-id", "first"));
    assert_eq!(script(&mut host, 0, "seen"), ["hop first"]);
    assert_eq!(script(&mut host, 1, "seen"), [""]);
}

#[test]
fn ticks_come_with_the_clock_and_not_oftener_than_every_four_milliseconds() {
    let mut host = host_with(Config::new("tick=250"));
    host.advance(Duration::from_millis(249));
    assert_eq!(script(&mut host, 0, "ticks"), ["0"]);
    host.advance(Duration::from_millis(1));
    assert_eq!(script(&mut host, 0, "ticks"), ["1"]);
    host.advance(Duration::from_secs(1));
    assert_eq!(script(&mut host, 0, "ticks"), ["5"]);
    let mut host = host_with(Config::new("tick=1"));
    host.advance(Duration::from_millis(40));
    assert_eq!(script(&mut host, 0, "ticks"), ["10"]);
}

#[test]
fn time_is_what_the_test_says() {
    let mut host = host_with(Config { start_unix_seconds: 1000, ..Config::default() });
    host.advance(Duration::from_millis(1500));
    assert_eq!(script(&mut host, 0, "time"), ["1001500"]);
    host.step_clock(UNIX_EPOCH + Duration::from_secs(500));
    assert_eq!(script(&mut host, 0, "time"), ["500000"]);
    assert_eq!(host.now(), UNIX_EPOCH + Duration::from_secs(500));
}

#[test]
fn a_call_without_an_answer_gets_envoys_504_at_its_time_limit() {
    let mut host = host();
    let stream = host.request(0, probing("call").header("x-timeout", "200"));
    let call = host.calls()[0].clone();
    assert_eq!(call.timeout, Some(Duration::from_millis(200)));
    assert_eq!(call.headers.text("x-envoy-expected-rq-timeout-ms").as_deref(), Some("200"));
    assert_eq!(call.headers.text("x-envoy-internal").as_deref(), Some("true"));
    host.advance(Duration::from_millis(199));
    assert_eq!(host.client(stream).status(), None);
    host.advance(Duration::from_millis(1));
    let expected = "status=504 names=:status,content-length,content-type size=24 body=upstream request timeout";
    assert_eq!(host.client(stream).text(), expected);
    host.answer_call(call.id, Response::new(200).body("too late"));
    assert_eq!(host.client(stream).text(), expected);
}

#[test]
fn a_call_without_a_time_limit_waits_for_ever() {
    let mut host = host_with(Config { stream_idle_timeout: Duration::ZERO, ..Config::default() });
    let stream = host.request(0, probing("call").header("x-timeout", "0"));
    host.advance(Duration::from_secs(100_000));
    assert_eq!((host.calls().len(), host.client(stream).status()), (1, None));
}

#[test]
fn answers_can_be_scheduled() {
    let mut host = host();
    let stream = host.request(0, probing("call"));
    let call = host.calls()[0].id;
    host.after(Duration::from_millis(30), move |host| host.answer_call(call, Response::new(200).body("in time")));
    host.advance(Duration::from_millis(29));
    assert_eq!(host.client(stream).status(), None);
    host.advance(Duration::from_millis(1));
    assert!(host.client(stream).text().ends_with("body=in time"));
}

#[test]
fn a_calls_answer_beyond_the_limit_is_a_failure() {
    let mut host = host_with(Config { call_body_limit_bytes: 10, ..Config::default() });
    let stream = host.request(0, probing("call"));
    let call = host.calls()[0].id;
    host.answer_call(call, Response::new(200).body("12345678901"));
    assert_eq!(seen(&host, stream), (Some(502), "failed".to_owned(), true));
}

#[test]
fn a_call_outlives_its_stream_but_its_answer_finds_nobody() {
    let mut host = host();
    let stream = host.request(0, probing("call").header("x-id", "late"));
    host.client_gone(stream);
    let call = host.calls()[0].id;
    host.answer_call(call, Response::new(200));
    assert!(host.traps().is_empty());
    assert_eq!(events(&mut host, "late"), ["request headers end=true", "log 0 1", "done", "delete"]);
}

#[test]
fn a_refused_call_is_envoys_503() {
    let mut host = host();
    let stream = host.request(0, probing("call"));
    let call = host.calls()[0].id;
    host.refuse_call(call);
    assert!(host.client(stream).text().starts_with("status=503 names=:status,content-length,content-type size=98"));
}

#[test]
fn metrics_are_read_by_name_and_outlive_their_vm() {
    let mut host = host();
    host.advance(Duration::from_secs(1));
    script(&mut host, 0, "bump a.b 3");
    host.request(0, probing("panic").header("x-when", "request"));
    assert_eq!(script(&mut host, 0, "bump a.b 2"), ["0 0 5"]);
    assert_eq!(host.metric("a.b"), Some(5));
    assert_eq!(host.metric("a.c"), None);
    let id = script(&mut host, 0, "gauge g")[0].clone();
    script(&mut host, 0, &format!("increment {id} 5;increment {id} -2;record {id} 9"));
    assert_eq!(host.metric("g"), Some(9));
    let id = script(&mut host, 0, "histogram h")[0].clone();
    script(&mut host, 0, &format!("record {id} 7;record {id} 8"));
    assert_eq!(host.histogram("h"), [7, 8]);
}

#[test]
fn log_lines_below_the_level_are_not_kept() {
    let mut host = host_with(Config { log_level: LogLevel::Error, ..Config::default() });
    assert_eq!(script(&mut host, 0, "level;log hidden"), ["4", "0"]);
    assert!(host.logs().is_empty());
    let mut host = host_with(Config::default());
    script(&mut host, 0, "log shown");
    let lines: Vec<String> = host.logs().into_iter().map(|line| line.message).collect();
    assert_eq!(lines, ["shown"]);
}

#[test]
fn the_same_steps_give_the_same_run() {
    let run = || {
        let mut host = host_with(Config { workers: 2, ..Config::new("tick=10") });
        for n in 0..20 {
            let stream = host.request(n % 2, Request::get("/k").header("x-probe", "coalesce"));
            host.advance(Duration::from_millis(7));
            if n % 5 == 0 {
                host.client_gone(stream);
            }
            if n % 3 == 0 {
                let calls = host.calls();
                calls.iter().for_each(|call| host.answer_call(call.id, Response::new(200).body("x")));
            }
        }
        host.trace()
    };
    assert_eq!(run(), run());
}
