//! Followers are answered without harm to their leader: answering another stream inside a filter callback makes Envoy drop what
//! that callback was about, so the plugin must not do it.

use std::time::Duration;

use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Config, Host, Plugin, Request, Response, StreamId};

fn started(route: &str) -> Host {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let policy =
        format!(r#"{{"version": 1, "name": "c", "routes": [{{"name": "all", "path": "/{{*rest}}", {route} }}]}}"#);
    Host::start(&plugin, Config::new(policy)).expect("the policy is fine")
}

/// A leader, whose request is at the origin, and two followers that wait for it.
fn herd(host: &mut Host) -> [StreamId; 3] {
    let herd = [(); 3].map(|()| host.request(0, Request::get("/a")));
    assert_eq!(host.upstream_requests(), [herd[0]]);
    herd
}

fn check(host: &Host, herd: [StreamId; 3]) {
    for stream in herd {
        let view = host.client(stream);
        assert_eq!((view.status(), view.text().as_str(), view.complete()), (Some(200), "hello", true), "{stream:?}");
    }
    assert_eq!(host.live_streams(0), 0);
}

#[test]
fn a_leader_ends_when_its_followers_are_answered() {
    for route in
        [r#""ttl": "60s", "collapse": {"wait": "5s"}"#, r#""ttl": "60s", "etag": "strong", "collapse": {"wait": "5s"}"#]
    {
        let mut host = started(route);
        let streams = herd(&mut host);
        host.respond(streams[0], Response::new(200).chunked().body("hello"));
        check(&host, streams);
        assert_eq!(host.upstream_count(), 1);
    }
}

#[test]
fn a_leader_whose_body_ends_in_its_only_chunk_keeps_it() {
    let mut host = started(r#""ttl": "60s", "collapse": {"wait": "5s"}"#);
    let streams = herd(&mut host);
    host.respond_headers(streams[0], [(":status", "200")].into_iter().collect(), false);
    host.respond_body(streams[0], "hello", true);
    check(&host, streams);
}

#[test]
fn a_leader_with_trailers_ends_too() {
    let mut host = started(r#""ttl": "60s", "collapse": {"wait": "5s"}"#);
    let streams = herd(&mut host);
    host.respond(streams[0], Response::new(200).body("hello").trailers([("x-sum", "1")]));
    check(&host, streams);
}

#[test]
fn followers_of_what_may_not_be_stored_go_on_at_once() {
    let mut host = started(r#""ttl": "60s", "collapse": {"wait": "5s"}"#);
    let streams = herd(&mut host);
    host.respond_headers(streams[0], [(":status", "200"), ("cache-control", "no-store")].into_iter().collect(), false);
    host.advance(Duration::from_millis(100));
    assert!(host.upstream_count() > 1, "the leader's body is not waited for");
    host.respond_body(streams[0], "hello", true);
    assert!(host.client(streams[0]).complete());
}
