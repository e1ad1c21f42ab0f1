//! A real Envoy of two workers with a real node, under load: policies change again and again, and every client gets a whole response
//! that one of them gives. How soon every worker has a new one is measured and printed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::cluster::message::{Policies, Pushed};
use larder_host_tests::envoy::{
    Answer, Client, Envoy, NodeProcess, Origin, Pushing, Response, Setup, be_a_node_if_asked, get, request, until,
};
use serde_json::Value;

const WORKERS: usize = 2;
const CHANGES: u64 = 20;

#[test]
fn a_node_in_a_process_of_its_own() {
    be_a_node_if_asked();
}

/// The policy of a version: clients are told of it by their lifetime. Version 0 is the configured one.
fn policy(version: u64) -> String {
    format!(
        r#"{{ "version": 1, "name": "shop", "routes": [ {{ "name": "item", "path": "/items/{{id}}", "ttl": "60s",
              "client": {{ "cache_control": {{ "browser_ttl": "{}s" }} }} }} ] }}"#,
        version + 1
    )
}

fn envoy(origin: &Origin, nodes: String) -> Envoy {
    let setup = Setup::from_file("cluster.yaml").value("POLICY", policy(0)).value("ORIGIN_PORT", origin.port());
    let setup = setup.value("NODES", nodes).concurrency(u32::try_from(WORKERS).expect("a few"));
    let envoy = setup.start().unwrap_or_else(|error| panic!("{error}"));
    let healthy = || envoy.stat("cluster.larder_nodes.membership_healthy") == 1;
    until("the node to be found healthy", || healthy().then_some(()));
    envoy
}

/// The version that a client was served under.
fn version(response: &Response) -> Option<u64> {
    let told = response.field("cache-control")?;
    told.strip_prefix("max-age=")?.parse::<u64>().ok()?.checked_sub(1)
}

/// Asks on new connections until both workers have begun to watch.
fn both_watch(envoy: &Envoy, watching: impl Fn() -> usize) {
    until("both workers to watch", || {
        envoy.get("/items/0", &[]);
        (watching() >= WORKERS).then_some(())
    });
}

/// What a node says of the policy: its generation, and how many workers have that, are behind and have refused it.
fn at_node(node: &NodeProcess) -> Option<(u64, [usize; 3])> {
    let listed: Value = serde_json::from_slice(&get(node.admin_port(), "/v1/policies", &[]).body).ok()?;
    let shop = listed["policies"].as_array()?.iter().find(|shown| shown["name"] == "shop")?.clone();
    let workers = |what: &str| shop["workers"][what].as_u64().and_then(|count| usize::try_from(count).ok());
    Some((shop["generation"].as_u64()?, [workers("current")?, workers("behind")?, workers("refused")?]))
}

fn push(nodes: &Pushing, generation: u64, active: Option<String>, shadow: Option<String>) {
    let pushed = |text| Pushed { version: generation, text };
    nodes.push(Policies { generation, active: active.map(pushed), shadow: shadow.map(pushed) });
}

/// Stops the load, should the test fail, too.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn policies_change_under_load_and_no_request_is_lost() {
    let origin = Origin::start();
    for n in 0..20 {
        origin.always("GET", &format!("/items/{n}"), Answer::ok("item"));
        origin.always("GET", &format!("/other/{n}"), Answer::ok("other").field("cache-control", "no-store"));
    }
    let node = NodeProcess::start_with_admin();
    let envoy = envoy(&origin, node.endpoint());
    both_watch(&envoy, || at_node(&node).map_or(0, |(_, [current, ..])| current));

    // Between the oldest version that may be in force anywhere, and the newest that was pushed.
    let (oldest, newest) = (AtomicU64::new(0), AtomicU64::new(0));
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut times, mut generation) = (Vec::new(), 0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|thread| {
                let (oldest, newest, stop, asked, port) = (&oldest, &newest, &stop, &asked, envoy.port());
                scope.spawn(move || {
                    let mut client = Client::connect(port).expect("Envoy listens");
                    let mut wrong = Vec::new();
                    let mut n = thread;
                    while !stop.load(Ordering::Relaxed) {
                        n += 1;
                        let (path, body) = match n % 5 {
                            0 => (format!("/other/{}", n % 20), "other"),
                            _ => (format!("/items/{}", n % 20), "item"),
                        };
                        let from = oldest.load(Ordering::SeqCst);
                        asked.fetch_add(1, Ordering::Relaxed);
                        let response = client.call("GET", &path, &[], b"");
                        let to = newest.load(Ordering::SeqCst);
                        let good = response.as_ref().is_ok_and(|response| {
                            let whole = response.status == 200 && response.complete && response.text() == body;
                            let of = version(response).is_some_and(|version| (from..=to).contains(&version));
                            whole && (of || body == "other")
                        });
                        if !good {
                            wrong.push(format!("{path}, between {from} and {to}: {response:?}"));
                            client = Client::connect(port).expect("Envoy listens");
                        }
                    }
                    wrong
                })
            })
            .collect();
        let stopping = Stopping(&stop);
        for change in 1..=CHANGES {
            newest.store(change, Ordering::SeqCst);
            let begun = Instant::now();
            let pushed = request(node.admin_port(), "POST", "/v1/policies", &[], policy(change).as_bytes());
            assert_eq!(pushed.status, 200, "{}", pushed.text());
            let before = generation;
            generation = until("every worker to have the new policy", || {
                let (generation, workers) = at_node(&node)?;
                (generation != before && workers == [WORKERS, 0, 0]).then_some(generation)
            });
            times.push(begun.elapsed());
            oldest.store(change, Ordering::SeqCst);
            let before = asked.load(Ordering::Relaxed);
            until("some load", || (asked.load(Ordering::Relaxed) >= before + 50).then_some(()));
        }
        drop(stopping);
        let wrong: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        assert!(wrong.is_empty(), "{} of {asked:?} requests: {}", wrong.len(), wrong.join("\n"));
    });
    times.sort();
    let asked = asked.into_inner();
    println!(
        "{asked} requests, {CHANGES} changes; {WORKERS} workers had each after {:?} to {:?}",
        times[0],
        times[times.len() - 1]
    );
    assert!(times.iter().all(|time| *time < Duration::from_secs(20)), "{times:?}");
}

#[test]
fn a_bad_policy_is_refused_by_every_worker_and_a_shadow_shows_in_the_counters() {
    let origin = Origin::start();
    origin.always("GET", "/items/0", Answer::ok("item"));
    let node = NodeProcess::start();
    let nodes = Pushing::to(node.port());
    let envoy = envoy(&origin, nodes.endpoint());
    both_watch(&envoy, || nodes.watches().len());
    // No node lets such a one through: what it is told here stands for a node of another version.
    push(&nodes, 1, Some(r#"{"version": 1, "name": "shop", "rutes": []}"#.to_owned()), None);
    until("every worker to refuse", || {
        let said: BTreeSet<_> = nodes.watches().into_iter().filter_map(|watch| watch.refused).collect();
        let all = nodes.watches().iter().filter(|watch| watch.refused.is_some()).count() >= WORKERS;
        (all && said.iter().all(|why| why.contains("did you mean \"routes\""))).then_some(())
    });
    assert_eq!(version(&envoy.get("/items/0", &[])), Some(0), "what was configured goes on");
    push(&nodes, 2, Some(policy(2)), Some(policy(3)));
    until("every worker to have both", || {
        let has = nodes.watches().iter().filter(|watch| watch.generation == 2 && watch.refused.is_none()).count();
        (has >= WORKERS).then_some(())
    });
    let hits = until("the shadow's hits", || {
        assert_eq!(version(&envoy.get("/items/0", &[])), Some(2), "the shadow acts on nothing");
        let hit =
            |line: &String| line.starts_with("larder_shadow_requests_total{") && line.contains(r#"outcome="hit""#);
        envoy.prometheus().into_iter().find(hit)
    });
    assert!(hits.contains(r#"policy="shop""#) && hits.contains(r#"route="item""#), "{hits}");
}
