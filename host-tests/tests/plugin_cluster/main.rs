//! The module and a real node of the cluster: what one worker stores another serves, who may fill, what purges do, and that
//! a cluster that is dead, slow or talks nonsense is never a client's trouble.

mod large;

use std::time::Duration;

use larder_core::cluster::message::{Message, Report};
use larder_core::purge::{Mode, Scope};
use larder_host_tests::cluster::{CLUSTER, Cluster};
use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Call, Config, Host, Plugin, Request, Response, Route, StreamId};

const POLICY: &str = r#"{
  "cluster": { "name": "larder_nodes", "reroute_above": "4KiB" },
  "policy": {
    "version": 1,
    "name": "shared",
    "routes": [
      { "name": "slow", "path": "/slow/{id}", "ttl": "10s", "stale": { "while_revalidate": "1h", "if_error": "1h" } },
      { "name": "hot", "path": "/hot/{id}", "ttl": "20s", "refresh_ahead": { "within": "10s", "hits": 1 } },
      { "name": "item", "path": "/items/{id}", "ttl": "60s", "tags": ["item:{id}"],
        "invalidate": { "tags": ["item:{id}"] } }
    ]
  }
}"#;

const LOOKUP: &str = "/larder/lookup";
const STORE: &str = "/larder/store";
const PURGE: &str = "/larder/purge";
const POLL: &str = "/larder/poll";

fn host() -> Host {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let routes = vec![Route::new("/", CLUSTER).when_header("x-larder-serve", None), Route::new("/", "origin")];
    let config = Config { routes, clusters: vec![CLUSTER.into()], ..Config::new(POLICY) };
    Host::start(&plugin, config).expect("the configuration is fine")
}

/// An Envoy that follows the purge log already.
fn following(cluster: &mut Cluster) -> Host {
    let mut host = host();
    let first = get(&mut host, cluster, "/uncached");
    assert!(host.upstream(first).is_some());
    host.respond(first, Response::new(200).header("cache-control", "no-store"));
    cluster.pass(&mut host, Duration::from_millis(200));
    assert!(host.calls().iter().any(|call| call.path() == POLL), "the log is followed");
    host
}

fn get(host: &mut Host, cluster: &mut Cluster, path: &str) -> StreamId {
    let stream = host.request(0, Request::get(path));
    cluster.carry(host);
    stream
}

fn answer(body: &str) -> Response {
    Response::new(200).header("etag", "\"1\"").body(body)
}

fn fill(host: &mut Host, cluster: &mut Cluster, path: &str, body: &str) {
    let stream = get(host, cluster, path);
    assert!(host.upstream(stream).is_some(), "not stored yet");
    host.respond(stream, answer(body));
    assert_eq!(host.client(stream).text(), body);
    cluster.carry(host);
}

fn status(host: &Host, stream: StreamId) -> String {
    host.client(stream).header("cache-status").unwrap_or_default()
}

/// What a client gets without the origin being asked.
fn stored(host: &mut Host, cluster: &mut Cluster, path: &str) -> Option<String> {
    let stream = get(host, cluster, path);
    let answered = host.upstream(stream).is_none().then(|| host.client(stream).text());
    if answered.is_none() {
        host.client_gone(stream);
        cluster.carry(host);
    }
    answered
}

#[test]
fn what_one_envoy_stores_another_serves() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/items/1", "shared");
    let stream = get(&mut two, &mut cluster, "/items/1");
    assert!(two.upstream(stream).is_none());
    assert_eq!(two.client(stream).text(), "shared");
    assert_eq!(status(&two, stream), "Larder; hit; ttl=60; detail=cluster");
    let stream = two.request(0, Request::get("/items/1"));
    assert_eq!(status(&two, stream), "Larder; hit; ttl=60", "and from memory afterwards, without a call");
}

#[test]
fn one_of_the_fleet_asks_the_origin_and_the_others_follow() {
    let mut cluster = Cluster::start();
    let mut hosts: Vec<Host> = (0..3).map(|_| following(&mut cluster)).collect();
    let streams: Vec<_> = hosts.iter_mut().map(|host| get(host, &mut cluster, "/items/1")).collect();
    let asked: Vec<_> = hosts.iter().zip(&streams).map(|(host, stream)| host.upstream(*stream).is_some()).collect();
    assert_eq!(asked, [true, false, false]);
    hosts[0].respond(streams[0], answer("once"));
    hosts.iter_mut().for_each(|host| cluster.carry(host));
    for (host, stream) in hosts.iter().zip(&streams) {
        assert_eq!(host.client(*stream).text(), "once");
    }
}

#[test]
fn a_lease_whose_holder_goes_away_passes_on() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    let first = get(&mut one, &mut cluster, "/items/1");
    let second = get(&mut two, &mut cluster, "/items/1");
    assert!(one.upstream(first).is_some() && two.upstream(second).is_none());
    one.client_gone(first);
    cluster.carry(&mut one);
    cluster.carry(&mut two);
    assert!(two.upstream(second).is_some(), "the other fills now");
    two.respond(second, answer("second"));
    assert_eq!(two.client(second).text(), "second");
}

#[test]
fn a_client_that_leaves_while_the_cluster_is_asked_leaves_no_lease_behind() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    let first = one.request(0, Request::get("/items/1"));
    one.client_gone(first);
    cluster.carry(&mut one);
    let second = get(&mut two, &mut cluster, "/items/1");
    assert!(two.upstream(second).is_some());
}

#[test]
fn what_is_not_to_be_stored_is_waited_for_by_nobody() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    let first = get(&mut one, &mut cluster, "/items/1");
    let second = get(&mut two, &mut cluster, "/items/1");
    one.respond(first, Response::new(200).header("cache-control", "private").body("mine"));
    cluster.carry(&mut one);
    cluster.carry(&mut two);
    assert!(two.upstream(second).is_some(), "asks for itself");
    two.respond(second, Response::new(200).header("cache-control", "private").body("theirs"));
    assert_eq!(two.client(second).text(), "theirs");
}

#[test]
fn a_purge_is_delivered_by_the_log() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/items/1", "old");
    fill(&mut one, &mut cluster, "/items/10", "other");
    assert_eq!(stored(&mut two, &mut cluster, "/items/1").as_deref(), Some("old"));
    cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
    for host in [&mut one, &mut two] {
        cluster.carry(host);
        assert_eq!(stored(host, &mut cluster, "/items/1"), None);
        assert_eq!(stored(host, &mut cluster, "/items/10").as_deref(), Some("other"), "tag 1 is not tag 10");
    }
}

#[test]
fn a_fill_that_began_before_a_purge_never_lands_after_it() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    let held = get(&mut one, &mut cluster, "/items/1");
    cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
    one.respond(held, answer("before the purge"));
    assert_eq!(one.client(held).text(), "before the purge", "whoever asked before gets what was asked for");
    // The late store reaches the node before this worker hears of the purge, and after it.
    cluster.carry_only(&mut one, STORE);
    assert_eq!(stored(&mut two, &mut cluster, "/items/1"), None);
    cluster.carry(&mut one);
    assert_eq!(stored(&mut one, &mut cluster, "/items/1"), None, "and gone from this worker's memory");
}

#[test]
fn a_write_is_seen_by_its_own_worker_at_once_and_by_others_when_the_log_brings_it() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/items/1", "old");
    assert_eq!(stored(&mut two, &mut cluster, "/items/1").as_deref(), Some("old"));
    let write = one.request(0, Request::new("DELETE", "/items/1"));
    one.respond(write, Response::new(204));
    // The purge has not reached the node: what the node hands out is from before the write.
    let read = one.request(0, Request::get("/items/1"));
    cluster.carry_only(&mut one, LOOKUP);
    assert!(one.upstream(read).is_some(), "the origin is asked");
    one.respond(read, answer("new"));
    assert_eq!(one.client(read).text(), "new");
    cluster.carry(&mut one);
    cluster.carry(&mut two);
    assert_ne!(stored(&mut two, &mut cluster, "/items/1").as_deref(), Some("old"));
}

#[test]
fn a_purge_that_did_not_arrive_is_sent_again() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/items/1", "old");
    assert_eq!(stored(&mut two, &mut cluster, "/items/1").as_deref(), Some("old"));
    let write = one.request(0, Request::new("DELETE", "/items/1"));
    one.respond(write, Response::new(204));
    for _ in 0..3 {
        let lost = one.calls().into_iter().find(|call| call.path() == PURGE).expect("the purge is on its way");
        one.refuse_call(lost.id);
        one.advance(Duration::from_secs(3));
    }
    cluster.pass(&mut one, Duration::from_secs(4));
    cluster.carry(&mut two);
    assert_eq!(stored(&mut two, &mut cluster, "/items/1"), None);
}

#[test]
fn what_is_in_memory_is_not_used_when_the_log_has_not_been_heard_for_too_long() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    fill(&mut host, &mut cluster, "/items/1", "kept");
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("kept"));
    // Polls go out and are lost.
    for _ in 0..80 {
        for call in host.calls() {
            host.refuse_call(call.id);
        }
        host.advance(Duration::from_millis(100));
    }
    let stream = host.request(0, Request::get("/items/1"));
    for call in host.calls().into_iter().filter(|call| call.path() == LOOKUP) {
        host.refuse_call(call.id);
    }
    let upstream = host.upstream(stream).expect("the origin is asked");
    assert_eq!(upstream.header("if-none-match").as_deref(), Some("\"1\""), "whether it is still good");
    host.respond(stream, Response::new(304).header("etag", "\"1\""));
    assert_eq!(host.client(stream).text(), "kept");
    // Heard again, memory counts again.
    host.advance(Duration::from_secs(5));
    cluster.pass(&mut host, Duration::from_secs(1));
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("kept"));
}

#[test]
fn a_cluster_that_is_dead_slow_or_talks_nonsense_is_a_miss_with_a_reason() {
    let mut host = host();
    let failed = |host: &mut Host, path: &str, fail: &dyn Fn(&mut Host, larder_host_tests::host::CallId)| {
        let stream = host.request(0, Request::get(path));
        let call = host.calls().into_iter().find(|call| call.path() == LOOKUP).expect("the cluster is asked");
        fail(host, call.id);
        assert!(host.upstream(stream).is_some(), "and then the origin");
        host.respond(stream, answer("fine"));
        assert_eq!(host.client(stream).text(), "fine");
        status(host, stream)
    };
    let words = [
        failed(&mut host, "/items/1", &|host, call| host.refuse_call(call)),
        failed(&mut host, "/items/2", &|host, _| host.advance(Duration::from_millis(50))),
        failed(&mut host, "/items/3", &|host, call| host.answer_call(call, Response::new(200).body("LRDM?"))),
        failed(&mut host, "/items/4", &|host, call| host.fail_call(call)),
    ];
    let details: Vec<_> = words.iter().map(|word| word.split("detail=").nth(1).unwrap_or_default()).collect();
    assert_eq!(details, ["cluster-unreachable", "cluster-timeout", "cluster-nonsense", "cluster-unreachable"]);
    assert!(host.traps().is_empty());
}

#[test]
fn a_cluster_that_keeps_failing_is_left_alone_and_tried_again() {
    let mut host = host();
    let mut asked = 0;
    for n in 0..20 {
        let stream = host.request(0, Request::get(&format!("/items/{n}")));
        for call in host.calls().into_iter().filter(|call| call.path() == LOOKUP) {
            asked += 1;
            host.refuse_call(call.id);
        }
        host.respond(stream, answer("fine"));
        assert_eq!(host.client(stream).text(), "fine");
    }
    assert!(asked <= 6, "asked {asked} times");
    host.advance(Duration::from_secs(1));
    host.request(0, Request::get("/items/again"));
    assert!(host.calls().iter().any(|call| call.path() == LOOKUP), "a probe");
}

#[test]
fn a_node_that_comes_back_with_another_log_makes_every_memory_start_empty() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    fill(&mut host, &mut cluster, "/items/1", "kept");
    cluster.restart();
    cluster.pass(&mut host, Duration::from_secs(3));
    assert_eq!(stored(&mut host, &mut cluster, "/items/1"), None);
}

/// Calls that go past the cluster.
fn origin_calls(host: &Host) -> Vec<Call> {
    host.calls().into_iter().filter(|call| call.cluster == "origin").collect()
}

#[test]
fn one_of_the_fleet_refreshes_what_is_stale() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/slow/1", "old");
    assert_eq!(stored(&mut two, &mut cluster, "/slow/1").as_deref(), Some("old"));
    for host in [&mut one, &mut two] {
        cluster.pass(host, Duration::from_secs(15));
    }
    assert_eq!(stored(&mut one, &mut cluster, "/slow/1").as_deref(), Some("old"), "stale, while it is renewed");
    assert_eq!(stored(&mut two, &mut cluster, "/slow/1").as_deref(), Some("old"));
    let (first, second) = (origin_calls(&one), origin_calls(&two));
    assert_eq!((first.len(), second.len()), (1, 0), "one asks the origin");
    one.answer_call(first[0].id, Response::new(304).header("etag", "\"1\""));
    cluster.carry(&mut one);
    two.advance(Duration::from_secs(2));
    assert_eq!(stored(&mut two, &mut cluster, "/slow/1").as_deref(), Some("old"));
    let stream = get(&mut two, &mut cluster, "/slow/1");
    assert_eq!(status(&two, stream), "Larder; hit; ttl=8", "what the other renewed");
    assert!(origin_calls(&two).is_empty());
}

#[test]
fn one_of_the_fleet_refreshes_ahead_and_the_others_take_over_what_it_got() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/hot/1", "old");
    assert_eq!(stored(&mut two, &mut cluster, "/hot/1").as_deref(), Some("old"));
    for host in [&mut one, &mut two] {
        cluster.pass(host, Duration::from_secs(12));
    }
    let stream = get(&mut one, &mut cluster, "/hot/1");
    assert_eq!(status(&one, stream), "Larder; hit; ttl=8", "fresh yet");
    cluster.carry(&mut one);
    // The node has the very same response, fresh as well: that is no reason to leave it at that.
    let asked = origin_calls(&one);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers.text("if-none-match"), Some("\"1\"".to_owned()));
    assert_eq!(stored(&mut one, &mut cluster, "/hot/1").as_deref(), Some("old"));
    assert_eq!(origin_calls(&one).len(), 1, "one at a time");
    one.answer_call(asked[0].id, Response::new(304).header("etag", "\"1\""));
    cluster.carry(&mut one);
    let stream = get(&mut one, &mut cluster, "/hot/1");
    assert_eq!(status(&one, stream), "Larder; hit; ttl=20");
    let stream = get(&mut two, &mut cluster, "/hot/1");
    assert_eq!(status(&two, stream), "Larder; hit; ttl=8");
    cluster.carry(&mut two);
    let stream = get(&mut two, &mut cluster, "/hot/1");
    assert_eq!(status(&two, stream), "Larder; hit; ttl=20", "what the other got");
    assert!(origin_calls(&two).is_empty());
}

#[test]
fn what_is_told_within_one_turn_of_the_event_loop_goes_to_its_node_in_one_call() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    let paths: Vec<String> = (10..15).map(|n| format!("/items/{n}")).collect();
    let streams: Vec<StreamId> = paths.iter().map(|path| get(&mut host, &mut cluster, path)).collect();
    host.hold_notices(true);
    for stream in &streams {
        host.respond(*stream, answer("told"));
    }
    host.hold_notices(false);
    cluster.carry(&mut host);
    assert_eq!((cluster.carried("tell"), cluster.carried("store")), (1, 0));
    let mut other = following(&mut cluster);
    for path in &paths {
        assert_eq!(stored(&mut other, &mut cluster, path).as_deref(), Some("told"));
    }
}

#[test]
fn a_reload_while_the_cluster_is_asked_loses_nothing() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    let stream = host.request(0, Request::get("/items/1"));
    host.reload(POLICY.replace("60s", "30s")).expect("the policy is fine");
    cluster.carry(&mut host);
    assert!(host.upstream(stream).is_some());
    host.respond(stream, answer("fine"));
    assert_eq!(host.client(stream).text(), "fine");
    cluster.pass(&mut host, Duration::from_secs(1));
    assert_eq!(host.roots(0), 1, "the old root is gone");
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("fine"));
    cluster.purge(Scope::All, Mode::Hard);
    cluster.carry(&mut host);
    assert_eq!(stored(&mut host, &mut cluster, "/items/1"), None, "the log is still followed");
}

#[test]
fn what_was_counted_is_reported_and_counts_of_a_lost_report_go_along_with_the_next() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    fill(&mut host, &mut cluster, "/items/1", "one");
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("one"));
    host.advance(Duration::from_millis(1200));
    let lost = host.calls().into_iter().find(|call| call.path() == Report::PATH).expect("a report is on its way");
    host.refuse_call(lost.id);
    host.advance(Duration::from_millis(1200));
    let again = host.calls().into_iter().find(|call| call.path() == Report::PATH).expect("and again");
    let report = Report::decode(again.body.into()).expect("a report");
    let counted = |outcome: &str| {
        let is_meant =
            |name: &str| name.starts_with("larder_requests_total;") && name.ends_with(&format!("outcome={outcome}"));
        report.counts.iter().filter(|(name, _)| is_meant(name)).map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!((counted("miss"), counted("hit")), (1, 1), "{report:?}");
    assert!(report.gauges.iter().any(|(name, keys)| name == "larder_l1_keys" && *keys == 1));
    cluster.carry(&mut host);
    host.advance(Duration::from_millis(1200));
    assert!(!host.calls().iter().any(|call| call.path() == Report::PATH), "nothing new, nothing said");
}

#[test]
fn a_report_says_how_long_requests_took_what_the_origin_sent_and_which_urls_were_asked_for() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    let stream = get(&mut host, &mut cluster, "/items/1?a=b");
    host.advance(Duration::from_millis(30));
    host.respond(stream, answer("0123456789"));
    for _ in 0..3 {
        assert_eq!(stored(&mut host, &mut cluster, "/items/1?a=b").as_deref(), Some("0123456789"));
    }
    // Neither one user's response nor what passes the cache by is for a list of URLs; their bytes count.
    for (path, request) in [
        ("/items/2", Request::get("/items/2").header("authorization", "Bearer x")),
        ("/items/3", Request::new("POST", "/items/3")),
    ] {
        let stream = host.request(0, request);
        cluster.carry(&mut host);
        assert!(host.upstream(stream).is_some(), "{path}");
        host.respond(stream, Response::new(200).body("12345"));
        assert_eq!(host.client(stream).text(), "12345");
    }
    host.advance(Duration::from_millis(1200));
    let call = host.calls().into_iter().find(|call| call.path() == Report::PATH).expect("a report is on its way");
    let report = Report::decode(call.body.into()).expect("a report");
    let sum = |name: &str, of: &[&str]| -> u64 {
        let is_meant = |series: &str| series.starts_with(name) && of.iter().all(|label| series.contains(label));
        report.counts.iter().filter(|(series, _)| is_meant(series)).map(|(_, by)| by).sum()
    };
    assert_eq!(sum("larder_request_duration_total", &["outcome=miss", "route=item;", "within=50"]), 1, "{report:?}");
    assert_eq!(sum("larder_request_duration_total", &["outcome=hit", "within=1"]), 3, "{report:?}");
    assert_eq!(sum("larder_request_duration_total", &[]), sum("larder_requests_total", &[]), "each request once");
    assert_eq!(sum("larder_origin_bytes_total", &["route=item"]), 20, "{report:?}");
    assert_eq!(sum("larder_store_bytes_total", &["route=item"]), 30, "{report:?}");
    let keys: Vec<_> = report.keys.iter().map(|key| (key.url.as_str(), key.requests, key.hits)).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].0.ends_with("/items/1?a=b"), "{keys:?}");
    assert_eq!((keys[0].1, keys[0].2), (4, 3));
    assert_eq!(report.keys[0].labels, ";policy=shared;route=item;class=_defaults");
    // In Envoy's own counters, buckets are cumulative, and of no route.
    let metrics = host.metrics();
    let bucket = |outcome: &str, le: &str| {
        let name = format!("larder_request_duration_milliseconds_bucket;policy=shared;outcome={outcome};le={le}");
        metrics.get(&name).copied()
    };
    assert_eq!((bucket("hit", "1"), bucket("hit", "+Inf")), (Some(3), Some(3)), "{metrics:?}");
    assert_eq!((bucket("miss", "25"), bucket("miss", "50"), bucket("miss", "5000")), (None, Some(1), Some(1)));
    assert!(metrics.keys().all(|name| !name.contains("host=") && !name.contains("within=")), "{metrics:?}");
}

const PURGING: &str = r#"{
  "cluster": { "name": "larder_nodes" },
  "policy": { "version": 1, "name": "purging",
    "routes": [ { "name": "item", "path": "/items/{id}", "ttl": "60s", "tags": ["item:{id}"], "purge_method": "token" } ] }
}"#;

fn purge(host: &mut Host, cluster: &mut Cluster, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::new("PURGE", path);
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let stream = host.request(0, request);
    cluster.carry(host);
    assert!(host.upstream(stream).is_none(), "the origin hears nothing of it");
    (host.client(stream).status().unwrap_or(0), host.client(stream).text())
}

#[test]
fn purge_needs_a_token_that_the_node_knows_for_that() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    host.reload(PURGING).expect("the configuration is fine");
    fill(&mut host, &mut cluster, "/items/1", "old");
    let reader = format!("Bearer {}", cluster.reader_token);
    for (fields, status) in [
        (&[][..], 401),
        (&[("authorization", "Basic abc")][..], 401),
        (&[("authorization", "Bearer wrong")][..], 401),
        (&[("authorization", reader.as_str())][..], 403),
    ] {
        assert_eq!(purge(&mut host, &mut cluster, "/items/1", fields).0, status, "{fields:?}");
    }
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("old"), "nothing was purged");
    let token = format!("Bearer {}", cluster.purger_token);
    let (status, text) = purge(&mut host, &mut cluster, "/items/1", &[("authorization", &token)]);
    assert_eq!((status, text.contains("\"sequence\":1")), (200, true), "{text}");
    assert_eq!(stored(&mut host, &mut cluster, "/items/1"), None);
}

#[test]
fn purge_by_tags_and_softly() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    host.reload(PURGING).expect("the configuration is fine");
    fill(&mut host, &mut cluster, "/items/1", "one");
    fill(&mut host, &mut cluster, "/items/2", "two");
    let token = format!("Bearer {}", cluster.purger_token);
    let fields = [("authorization", token.as_str()), ("surrogate-key", "item:2 item:3"), ("soft-purge", "1")];
    assert_eq!(purge(&mut host, &mut cluster, "/items/1", &fields).0, 200);
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("one"));
    let stream = get(&mut host, &mut cluster, "/items/2");
    let upstream = host.upstream(stream).expect("stale: the origin is asked");
    assert_eq!(upstream.header("if-none-match").as_deref(), Some("\"1\""), "and may confirm what is stored");
}

#[test]
fn purge_where_the_log_cannot_be_reached_says_so_and_purges_nothing() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    host.reload(PURGING).expect("the configuration is fine");
    fill(&mut host, &mut cluster, "/items/1", "old");
    let stream = host.request(0, Request::new("PURGE", "/items/1").header("authorization", "Bearer t"));
    let call = host.calls().into_iter().find(|call| call.path() == PURGE).expect("a node is asked");
    host.refuse_call(call.id);
    assert_eq!(host.client(stream).status(), Some(503));
    assert_eq!(stored(&mut host, &mut cluster, "/items/1").as_deref(), Some("old"));
}
