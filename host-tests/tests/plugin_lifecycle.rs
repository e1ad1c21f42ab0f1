//! Workers, reloads and background calls of the module in the wasmtime host: what outlives a configuration, and what ends.

use std::time::Duration;

use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Config, Host, HostError, Plugin, Request, Response};

const POLICY: &str = r#"{
  "version": 1,
  "name": "life",
  "routes": [
    { "name": "item", "path": "/items/{id}", "ttl": "10s", "stale": { "while_revalidate": "1h" }, "tags": ["item:{id}"],
      "invalidate": { "tags": ["item:{id}"] } }
  ]
}"#;

fn host(workers: usize) -> Host {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    Host::start(&plugin, Config { workers, ..Config::new(POLICY) }).expect("the policy is fine")
}

/// Stores `body` for `path` in a worker.
fn fill(host: &mut Host, worker: usize, path: &str, body: &str) {
    let stream = host.request(worker, Request::get(path));
    assert!(host.upstream(stream).is_some(), "not stored yet");
    host.respond(stream, Response::new(200).header("etag", "\"1\"").body(body));
    assert_eq!(host.client(stream).text(), body);
}

/// The body that a worker has stored.
fn stored(host: &mut Host, worker: usize, path: &str) -> Option<String> {
    let stream = host.request(worker, Request::get(path));
    let answered = host.upstream(stream).is_none().then(|| host.client(stream).text());
    if answered.is_none() {
        host.client_gone(stream);
    }
    answered
}

#[test]
fn a_write_through_one_worker_is_heard_by_all() {
    let mut host = host(3);
    for worker in 0..3 {
        fill(&mut host, worker, "/items/1", "old");
        fill(&mut host, worker, "/items/2", "other");
    }
    let write = host.request(1, Request::new("DELETE", "/items/1"));
    host.respond(write, Response::new(204));
    for worker in 0..3 {
        assert_eq!(stored(&mut host, worker, "/items/1"), None, "worker {worker}");
        assert_eq!(stored(&mut host, worker, "/items/2").as_deref(), Some("other"), "worker {worker}");
    }
}

/// While Envoy goes over from one build of the module to another there are VMs of both.
#[test]
fn what_cannot_be_read_may_be_a_purge_of_anything() {
    let mut host = host(2);
    for worker in 0..2 {
        fill(&mut host, worker, "/items/1", "old");
    }
    host.leave_message(0, b"!");
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("old"), "a message that says nothing");
    host.leave_message(0, b"uhhttp://h/items/1");
    assert_eq!(stored(&mut host, 0, "/items/1"), None);
    assert_eq!(stored(&mut host, 1, "/items/1").as_deref(), Some("old"), "it came to the other one");
}

#[test]
fn messages_to_the_dead_do_not_pile_up() {
    let mut host = host(2);
    fill(&mut host, 0, "/items/1", "old");
    fill(&mut host, 1, "/items/1", "old");
    // Worker 1 hears everything, so its slot is kept however many writes there are.
    for _ in 0..1500 {
        let write = host.request(0, Request::new("DELETE", "/items/9"));
        host.respond(write, Response::new(204));
    }
    host.advance(Duration::from_millis(200));
    assert_eq!(stored(&mut host, 1, "/items/1").as_deref(), Some("old"));
    assert!(host.traps().is_empty());
}

#[test]
fn what_is_stored_outlives_a_reload() {
    let mut host = host(1);
    fill(&mut host, 0, "/items/1", "kept");
    host.reload(POLICY.replace("10s", "20s")).expect("the policy is fine");
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("kept"));
    host.advance(Duration::from_secs(15));
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("kept"), "fresh under the new policy");
    assert!(host.calls().is_empty());
    assert_eq!(host.roots(0), 1, "the old root is gone");
}

#[test]
fn a_refresh_under_way_is_finished_by_the_root_that_began_it() {
    let mut host = host(1);
    fill(&mut host, 0, "/items/1", "old");
    host.advance(Duration::from_secs(15));
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("old"), "stale, while it is renewed");
    let calls = host.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].method().as_str(), calls[0].path().as_str()), ("GET", "/items/1"));
    host.reload(POLICY.replace("life", "life2")).expect("the policy is fine");
    host.advance(Duration::from_millis(200));
    assert_eq!(host.roots(0), 2, "the old root waits for its call");
    host.answer_call(calls[0].id, Response::new(200).header("etag", "\"2\"").body("new"));
    host.advance(Duration::from_millis(200));
    assert_eq!(host.roots(0), 1);
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("new"));
}

#[test]
fn a_failed_refresh_leaves_the_stale_response() {
    let mut host = host(1);
    fill(&mut host, 0, "/items/1", "old");
    host.advance(Duration::from_secs(15));
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("old"));
    let call = host.calls()[0].id;
    host.fail_call(call);
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("old"));
    assert!(host.calls().is_empty(), "the origin is left alone for a moment");
    host.advance(Duration::from_secs(2));
    assert_eq!(stored(&mut host, 0, "/items/1").as_deref(), Some("old"));
    assert_eq!(host.calls().len(), 1, "and then asked again");
}

#[test]
fn a_follower_waits_no_longer_than_the_policy_allows() {
    let mut host = host(1);
    let leader = host.request(0, Request::get("/items/1"));
    let follower = host.request(0, Request::get("/items/1"));
    assert!(host.upstream(leader).is_some() && host.upstream(follower).is_none());
    host.advance(Duration::from_secs(6));
    assert!(host.upstream(follower).is_some(), "asks for itself");
    host.respond(follower, Response::new(200).body("own"));
    assert_eq!(host.client(follower).text(), "own");
}

#[test]
fn a_bad_configuration_is_refused_with_every_error() {
    let mut host = host(1);
    let error = host.reload(POLICY.replace("\"ttl\"", "\"tll\"").replace("\"path\"", "\"paht\"")).unwrap_err();
    let HostError::Rejected(lines) = error else { panic!("{error}") };
    let text = lines.join("\n");
    assert!(text.contains("routes[0].tll") && text.contains("routes[0].paht"), "{text}");
    fill(&mut host, 0, "/items/1", "still served");
}
