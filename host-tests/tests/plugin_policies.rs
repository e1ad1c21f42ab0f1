//! The module and policies that come from the cluster: taken up while requests are under way, refused where they cannot be read, kept
//! over a reload, and run in the shadow.

use std::time::Duration;

use larder_core::cluster::message::{Message, Poll, Report, Watch};
use larder_core::purge::{Mode, Scope};
use larder_host_tests::cluster::{CLUSTER, Cluster};
use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Config, Host, Plugin, Request, Response, Route, StreamId};

const POLL: &str = "/larder/poll";

/// A configuration with a policy that tells clients `seconds`.
fn configuration(seconds: u32, cluster: &str) -> String {
    format!(r#"{{ "cluster": {{ "name": "larder_nodes"{cluster} }}, "policy": {} }}"#, policy(seconds))
}

/// A policy that tells clients `seconds`.
fn policy(seconds: u32) -> String {
    format!(
        r#"{{ "version": 1, "name": "shop", "routes": [
             {{ "name": "item", "path": "/items/{{id}}", "ttl": "60s", "tags": ["item:{{id}}"],
               "client": {{ "cache_control": {{ "browser_ttl": "{seconds}s" }} }} }} ] }}"#
    )
}

fn start(configuration: &str) -> Host {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let config = Config {
        routes: vec![Route::new("/", "origin")],
        clusters: vec![CLUSTER.into()],
        ..Config::new(configuration)
    };
    Host::start(&plugin, config).expect("the configuration is fine")
}

/// An Envoy that follows the purge log already.
fn following(cluster: &mut Cluster, configuration: &str) -> Host {
    let mut host = start(configuration);
    let first = get(&mut host, cluster, "/uncached");
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

fn fill(host: &mut Host, cluster: &mut Cluster, path: &str, body: &str) {
    let stream = get(host, cluster, path);
    assert!(host.upstream(stream).is_some(), "not stored yet");
    host.respond(stream, Response::new(200).header("etag", "\"1\"").body(body));
    assert_eq!(host.client(stream).text(), body);
    cluster.carry(host);
}

/// What clients are told of a stored response.
fn told(host: &mut Host, cluster: &mut Cluster, path: &str) -> Option<String> {
    let stream = get(host, cluster, path);
    if host.upstream(stream).is_some() {
        host.client_gone(stream);
        cluster.carry(host);
        return None;
    }
    host.client(stream).header("cache-control")
}

/// What the worker's poll says, which waits at the node.
fn watch(host: &Host) -> Option<Watch> {
    let polls: Vec<_> = host.calls().into_iter().filter(|call| call.path() == POLL).collect();
    Poll::decode(polls.last()?.body.clone().into())?.watch
}

fn metric(host: &Host, name: &str) -> u64 {
    host.metric(name).unwrap_or_default()
}

#[test]
fn a_policy_is_taken_up_while_requests_are_under_way() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster, &configuration(1, ""));
    assert_eq!(watch(&host), Some(Watch { name: "shop".into(), generation: 0, refused: None }));
    fill(&mut host, &mut cluster, "/items/1", "one");
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=1"));
    let (old, waits) = (get(&mut host, &mut cluster, "/items/2"), get(&mut host, &mut cluster, "/items/2"));
    cluster.push(1, Some((1, &policy(2))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(watch(&host), Some(Watch { name: "shop".into(), generation: 1, refused: None }));
    assert_eq!(
        told(&mut host, &mut cluster, "/items/1").as_deref(),
        Some("max-age=2"),
        "judged anew, not fetched anew"
    );
    // Requests under way end under the policy they began with.
    host.respond(old, Response::new(200).body("two"));
    cluster.carry(&mut host);
    for stream in [old, waits] {
        let client = host.client(stream);
        assert_eq!((client.text().as_str(), client.header("cache-control").as_deref()), ("two", Some("max-age=1")));
    }
    assert_eq!(told(&mut host, &mut cluster, "/items/2").as_deref(), Some("max-age=2"));
    assert_eq!(metric(&host, "larder_policy_version;policy=shop;worker=0"), 1);
    cluster.push(2, None, None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=1"), "what was configured");
    assert_eq!(metric(&host, "larder_policy_version;policy=shop;worker=0"), 0);
    assert_eq!(metric(&host, "larder_policy_refused_total;policy=shop"), 0);
    assert!(host.traps().is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_and_the_worker_goes_on() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster, &configuration(1, ""));
    fill(&mut host, &mut cluster, "/items/1", "one");
    cluster.push(1, Some((1, &policy(2))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    for (generation, bad) in
        [(2, "{ not json"), (3, r#"{"version":1,"name":"another"}"#), (4, r#"{"version":2,"name":"shop"}"#)]
    {
        cluster.push(generation, Some((generation, bad)), None);
        cluster.pass(&mut host, Duration::from_secs(3));
        let watch = watch(&host).expect("it goes on to watch");
        assert_eq!(watch.generation, generation);
        assert!(watch.refused.is_some_and(|why| why.contains(&format!("version {generation}"))), "{bad}");
        assert_eq!(metric(&host, "larder_policy_refused_total;policy=shop"), generation - 1, "once for each");
        assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=2"));
    }
    assert!(host.logs().iter().any(|line| line.message.contains("is refused: version 2 of \"shop\"")));
    cluster.push(5, Some((5, &policy(5))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=5"));
    assert_eq!(watch(&host).and_then(|watch| watch.refused), None);
}

#[test]
fn a_reload_does_not_go_back() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster, &configuration(1, ""));
    fill(&mut host, &mut cluster, "/items/1", "one");
    cluster.push(7, Some((3, &policy(3))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    host.reload(configuration(10, "")).expect("the configuration is fine");
    let at_once = host.request(0, Request::get("/items/1"));
    assert_eq!(host.client(at_once).header("cache-control").as_deref(), Some("max-age=3"), "from the first request on");
    cluster.pass(&mut host, Duration::from_secs(3));
    assert_eq!(watch(&host).map(|watch| watch.generation), Some(7), "nothing is asked for anew");
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=3"));
    cluster.push(8, None, None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=10"), "what is configured now");
    // Another name is another policy, of which the cluster has nothing; and who ignores asks for nothing.
    cluster.push(9, Some((4, &policy(4))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=4"));
    host.reload(configuration(11, "").replace("\"shop\"", "\"store\"")).expect("the configuration is fine");
    let at_once = host.request(0, Request::get("/items/1"));
    assert_eq!(host.client(at_once).header("cache-control").as_deref(), Some("max-age=11"));
    cluster.withdraw();
    cluster.pass(&mut host, Duration::from_secs(3));
    assert_eq!(watch(&host).map(|watch| (watch.name, watch.generation)), Some(("store".into(), 0)));
    host.reload(configuration(12, r#", "policies": "ignore""#)).expect("the configuration is fine");
    cluster.push(10, Some((5, &policy(5))), None);
    cluster.pass(&mut host, Duration::from_secs(3));
    assert_eq!(watch(&host), None);
    assert_eq!(told(&mut host, &mut cluster, "/items/1").as_deref(), Some("max-age=12"));
}

#[test]
fn purges_and_policies_come_in_one_answer() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster, &configuration(1, ""));
    fill(&mut host, &mut cluster, "/items/1", "one");
    fill(&mut host, &mut cluster, "/items/2", "two");
    cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
    cluster.push(1, Some((1, &policy(2))), None);
    let before = cluster.carried("poll");
    cluster.carry(&mut host);
    assert_eq!(cluster.carried("poll"), before + 1);
    assert_eq!(told(&mut host, &mut cluster, "/items/1"), None, "purged");
    assert_eq!(told(&mut host, &mut cluster, "/items/2").as_deref(), Some("max-age=2"));
}

#[test]
fn a_shadow_is_counted_and_reported_and_changes_no_answer() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster, &configuration(1, ""));
    fill(&mut host, &mut cluster, "/items/1", "one");
    let shadow = r#"{ "version": 1, "name": "shop", "routes": [
        { "name": "any", "path": "/{*rest}", "comment": "-", "ttl": "1h", "override": "unsafe" } ] }"#;
    cluster.push(1, Some((1, &policy(2))), Some((2, shadow)));
    cluster.pass(&mut host, Duration::from_millis(100));
    let traced = |host: &mut Host| {
        host.clear_trace();
        let stream = host.request(0, Request::get("/items/1"));
        assert_eq!(host.client(stream).header("cache-control").as_deref(), Some("max-age=2"));
        host.trace().iter().map(|record| record.host_calls.len()).sum::<usize>()
    };
    let calls = traced(&mut host);
    // What nobody stores, and everybody would get from the shadow.
    for _ in 0..2 {
        let stream = get(&mut host, &mut cluster, "/account");
        assert!(host.upstream(stream).is_some());
        host.respond(
            stream,
            Response::new(200).header("cache-control", "private").header("content-length", "4").body("mine"),
        );
        assert_eq!(host.client(stream).header("cache-control").as_deref(), Some("private"));
    }
    cluster.pass(&mut host, Duration::from_millis(200));
    let labels = "policy=shop;route=any";
    let found: Vec<_> = host.metrics().into_iter().filter(|(name, _)| name.contains("shadow")).collect();
    let of = |what: &str| {
        found.iter().filter(|(name, _)| name.contains(what) && name.contains(labels)).map(|(_, sum)| sum).sum::<u64>()
    };
    assert_eq!((of("outcome=hit"), of("outcome=miss")), (2, 1), "{found:?}");
    assert_eq!((of("store_bytes"), of("reason=identity"), of("reason=other_body")), (7, 2, 0), "{found:?}");
    // Reported to the node under the same names.
    let begun = host.now();
    let mut reported = Vec::new();
    while reported.is_empty() && host.now().duration_since(begun).is_ok_and(|span| span < Duration::from_secs(5)) {
        host.advance(Duration::from_millis(100));
        let calls = host.calls().into_iter().filter(|call| call.path() == Report::PATH);
        reported = calls.filter_map(|call| Report::decode(call.body.into())).flat_map(|report| report.counts).collect();
        cluster.carry(&mut host);
    }
    assert!(
        reported
            .iter()
            .any(|(name, sum)| name.starts_with("larder_shadow_requests_total;policy=shop;route=any;") && *sum > 0),
        "{reported:?}"
    );
    // Without it a hit makes as many calls to the host.
    cluster.push(2, Some((1, &policy(2))), None);
    cluster.pass(&mut host, Duration::from_millis(100));
    assert_eq!(traced(&mut host), calls);
}
