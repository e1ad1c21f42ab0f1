//! A real Envoy of two workers with a real node, under load: policies change again and again, and every client gets a whole response
//! that one of them gives. How soon every worker has a new one is measured and printed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::cluster::message::{Policies, Pushed};
use larder_host_tests::envoy::{
    Answer, Client, Envoy, NodeProcess, Origin, Pushing, Response, Setup, be_a_node_if_asked, until,
};

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

fn envoy(origin: &Origin, nodes: &Pushing) -> Envoy {
    let setup = Setup::from_file("cluster.yaml").value("POLICY", policy(0)).value("ORIGIN_PORT", origin.port());
    let setup = setup.value("NODES", nodes.endpoint()).concurrency(u32::try_from(WORKERS).expect("a few"));
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
fn both_watch(envoy: &Envoy, nodes: &Pushing) {
    until("both workers to watch", || {
        envoy.get("/items/0", &[]);
        (nodes.watches().len() >= WORKERS).then_some(())
    });
}

fn push(nodes: &Pushing, generation: u64, active: Option<String>, shadow: Option<String>) {
    let pushed = |text| Pushed { version: generation, text };
    nodes.push(Policies { generation, active: active.map(pushed), shadow: shadow.map(pushed) });
}

#[test]
fn policies_change_under_load_and_no_request_is_lost() {
    let origin = Origin::start();
    for n in 0..20 {
        origin.always("GET", &format!("/items/{n}"), Answer::ok("item"));
        origin.always("GET", &format!("/other/{n}"), Answer::ok("other").field("cache-control", "no-store"));
    }
    let node = NodeProcess::start();
    let nodes = Pushing::to(node.port());
    let envoy = envoy(&origin, &nodes);
    both_watch(&envoy, &nodes);

    // Between the oldest version that may be in force anywhere, and the newest that was pushed.
    let (oldest, newest) = (AtomicU64::new(0), AtomicU64::new(0));
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = Vec::new();
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
        for change in 1..=CHANGES {
            newest.store(change, Ordering::SeqCst);
            let begun = Instant::now();
            push(&nodes, change, Some(policy(change)), None);
            until("every worker to have the new policy", || {
                let has = nodes.watches().iter().filter(|watch| watch.generation == change).count();
                (has >= WORKERS).then_some(())
            });
            times.push(begun.elapsed());
            oldest.store(change, Ordering::SeqCst);
            let before = asked.load(Ordering::Relaxed);
            until("some load", || (asked.load(Ordering::Relaxed) >= before + 50).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
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
    let refused = nodes.watches().into_iter().filter_map(|watch| watch.refused).collect::<Vec<_>>();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn a_bad_policy_is_refused_by_every_worker_and_a_shadow_shows_in_the_counters() {
    let origin = Origin::start();
    origin.always("GET", "/items/0", Answer::ok("item"));
    let node = NodeProcess::start();
    let nodes = Pushing::to(node.port());
    let envoy = envoy(&origin, &nodes);
    both_watch(&envoy, &nodes);
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
