//! Real Envoys with the module, and real nodes: what one stores another serves, purges reach every worker, large bodies come from
//! the node, and no client request fails because a node does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::purge::{Mode, Scope};
use larder_host_tests::envoy::{
    Answer, Client, Envoy, Gate, NodeProcess, Origin, Redis, Response, Setup, be_a_node_if_asked, endpoint, head,
    request, until,
};

const POLICY: &str = r#"{
  "version": 1,
  "name": "shared",
  "routes": [
    { "name": "item", "path": "/items/{id}", "ttl": "60s", "tags": ["item:{id}"], "invalidate": { "tags": ["item:{id}"] } }
  ]
}"#;

#[test]
fn a_node_in_a_process_of_its_own() {
    be_a_node_if_asked();
}

fn envoy(origin: &Origin, nodes: &[&NodeProcess], workers: u32) -> Envoy {
    let endpoints: Vec<String> = nodes.iter().map(|node| node.endpoint()).collect();
    let envoy = with_nodes(origin, &endpoints.join(", "), workers);
    until("the nodes to be found healthy", || {
        (envoy.stat("cluster.larder_nodes.membership_healthy") == nodes.len() as u64).then_some(())
    });
    envoy
}

fn with_nodes(origin: &Origin, nodes: &str, workers: u32) -> Envoy {
    of_file("cluster.yaml", origin, nodes, workers)
}

fn of_file(file: &str, origin: &Origin, nodes: &str, workers: u32) -> Envoy {
    let setup = Setup::from_file(file).value("POLICY", POLICY).value("ORIGIN_PORT", origin.port());
    setup.value("NODES", nodes).concurrency(workers).start().unwrap_or_else(|error| panic!("{error}"))
}

fn status(response: &Response) -> String {
    response.field("cache-status").unwrap_or_default()
}

/// Asks until every worker has heard the log: from then on memory counts.
fn warmed_up(envoy: &Envoy, path: &str) {
    until("a hit from memory", || {
        let response = envoy.get(path, &[]);
        (status(&response).starts_with("Larder; hit") && !status(&response).contains("cluster")).then_some(())
    });
}

#[test]
fn what_one_envoy_stores_another_serves_and_it_outlives_the_first() {
    let origin = Origin::start();
    origin.always("GET", "/items/1", Answer::ok("shared").field("content-type", "text/x-item"));
    let node = NodeProcess::start();
    let first = envoy(&origin, &[&node], 1);
    assert_eq!(first.get("/items/1", &[]).text(), "shared");
    let second = envoy(&origin, &[&node], 1);
    let hit = until("the store to arrive", || {
        let response = second.get("/items/1", &[]);
        status(&response).contains("hit").then_some(response)
    });
    assert_eq!((hit.text().as_str(), hit.field("content-type").as_deref()), ("shared", Some("text/x-item")));
    let asked = origin.count("/items/1");
    drop((first, second));
    let third = envoy(&origin, &[&node], 1);
    let hit = third.get("/items/1", &[]);
    assert_eq!((hit.text().as_str(), status(&hit).contains("detail=cluster")), ("shared", true), "{hit:?}");
    assert_eq!(origin.count("/items/1"), asked);
}

#[test]
fn five_hundred_clients_of_two_envoys_cost_the_origin_one_request_for_a_cold_key() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.always("GET", "/items/1", Answer::ok("for all").held_by(&gate));
    let node = NodeProcess::start();
    let envoys = [envoy(&origin, &[&node], 2), envoy(&origin, &[&node], 2)];
    let mut clients: Vec<Client> =
        (0..500).map(|at| Client::connect(envoys[at % 2].port()).expect("Envoy listens")).collect();
    for client in &mut clients {
        client.send("GET", "/items/1", &[], b"").unwrap();
    }
    origin.await_count("/items/1", 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.receive("GET").unwrap().text(), "for all");
    }
    assert_eq!(origin.count("/items/1"), 1);
}

#[test]
fn a_purge_reaches_every_worker_of_every_envoy() {
    let origin = Origin::start();
    origin.always("GET", "/items/1", Answer::ok("one"));
    origin.always("GET", "/items/10", Answer::ok("ten"));
    let node = NodeProcess::start();
    let envoys = [envoy(&origin, &[&node], 2), envoy(&origin, &[&node], 2)];
    for envoy in &envoys {
        warmed_up(envoy, "/items/1");
        warmed_up(envoy, "/items/10");
    }
    let before = (origin.count("/items/1"), origin.count("/items/10"));
    node.purge(Scope::Tag("item:1".into()), Mode::Hard);
    until("the purge to be heard", || {
        for envoy in &envoys {
            envoy.get("/items/1", &[]);
        }
        (origin.count("/items/1") > before.0).then_some(())
    });
    for envoy in &envoys {
        warmed_up(envoy, "/items/10");
    }
    assert_eq!(origin.count("/items/10"), before.1, "tag item:1 is not tag item:10");
}

#[test]
fn large_bodies_come_from_the_node_with_conditions_ranges_and_head() {
    let origin = Origin::start();
    let body: Vec<u8> = (0..500_000u32).map(|n| (n % 251) as u8).collect();
    origin.always("GET", "/items/1", Answer::ok(body.clone()).field("etag", "\"large\""));
    let node = NodeProcess::start();
    let first = envoy(&origin, &[&node], 1);
    assert_eq!(first.get("/items/1", &[]).body.len(), body.len());
    let second = envoy(&origin, &[&node], 1);
    let hit = until("the store to arrive", || {
        let response = second.get("/items/1", &[]);
        status(&response).contains("detail=cluster").then_some(response)
    });
    assert!(hit.body == body && hit.complete);
    assert_eq!((hit.field("x-larder-node"), hit.field("etag").as_deref()), (None, Some("\"large\"")));
    let asked = origin.count("/items/1");
    // A worker that has nothing in memory yet: what a client asks for comes from the node.
    let third = envoy(&origin, &[&node], 1);
    let part = third.get("/items/1", &[("range", "bytes=1000-1999")]);
    assert!(part.status == 206 && part.body == body[1000..2000], "{} {}", part.status, status(&part));
    let not_modified = third.get("/items/1", &[("if-none-match", "\"large\"")]);
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
    let head = head(third.port(), "/items/1", &[]);
    assert_eq!((head.status, head.field("content-length").as_deref()), (200, Some("500000")));
    assert_eq!(origin.count("/items/1"), asked);
}

#[test]
fn a_node_that_dies_before_a_large_response_begins_is_replaced_by_the_origin() {
    let origin = Origin::start();
    let body = vec![b'x'; 300_000];
    origin.always("GET", "/items/1", Answer::ok(body.clone()));
    let mut node = NodeProcess::start();
    let first = envoy(&origin, &[&node], 1);
    first.get("/items/1", &[]);
    let second = envoy(&origin, &[&node], 1);
    until("the store to arrive", || status(&second.get("/items/1", &[])).contains("detail=cluster").then_some(()));
    node.kill();
    for _ in 0..5 {
        let response = second.get("/items/1", &[]);
        assert_eq!((response.status, response.body.len()), (200, body.len()), "{}", status(&response));
    }
}

#[test]
fn clients_reach_no_node() {
    let origin = Origin::start();
    origin.always("GET", "/items/1", Answer::ok("from the origin"));
    origin.always("POST", "/larder/purge", Answer::new(404, "no such thing"));
    let node = NodeProcess::start();
    let envoy = envoy(&origin, &[&node], 1);
    let response = envoy.get("/items/1", &[("x-larder-serve", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]);
    assert_eq!(response.text(), "from the origin");
    let posted = request(envoy.port(), "POST", "/larder/purge", &[("x-larder-serve", "a")], b"LRDM");
    assert_eq!((posted.status, posted.text().as_str()), (404, "no such thing"));
}

/// Load on an Envoy while something happens; says how many requests there were, and how many failed.
fn under_load(envoys: &[&Envoy], happens: impl FnOnce()) -> (usize, usize) {
    let (stop, asked, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for envoy in envoys {
            for thread in 0..2 {
                let (stop, asked, failed, port) = (&stop, &asked, &failed, envoy.port());
                scope.spawn(move || {
                    let mut client = Client::connect(port).expect("Envoy listens");
                    let mut n = thread;
                    while !stop.load(Ordering::Relaxed) {
                        n += 2;
                        let path = format!("/items/{}", n % 40);
                        asked.fetch_add(1, Ordering::Relaxed);
                        match client.call("GET", &path, &[], b"") {
                            Ok(response) if response.status == 200 && response.text() == "item" => {}
                            other => {
                                failed.fetch_add(1, Ordering::Relaxed);
                                eprintln!("{path}: {other:?}");
                                client = Client::connect(port).expect("Envoy listens");
                            }
                        }
                    }
                });
            }
        }
        happens();
        stop.store(true, Ordering::Relaxed);
    });
    (asked.into_inner(), failed.into_inner())
}

#[test]
fn no_request_fails_while_nodes_are_killed_and_halted() {
    let origin = Origin::start();
    for n in 0..40 {
        origin.always("GET", &format!("/items/{n}"), Answer::ok("item"));
    }
    let mut nodes = [NodeProcess::start(), NodeProcess::start()];
    let envoys = [envoy(&origin, &[&nodes[0], &nodes[1]], 2), envoy(&origin, &[&nodes[0], &nodes[1]], 2)];
    let all: Vec<&Envoy> = envoys.iter().collect();
    let asked_at_least = |count: usize| {
        let begun = origin.requests().len();
        let deadline = Instant::now() + Duration::from_secs(3);
        until("time to pass under load", || {
            (origin.requests().len() >= begun + count || Instant::now() > deadline).then_some(())
        });
    };
    let (asked, failed) = under_load(&all, || {
        asked_at_least(50);
        nodes[0].halt();
        asked_at_least(50);
        nodes[0].go_on();
        asked_at_least(50);
        let port = nodes[1].port();
        nodes[1].kill();
        asked_at_least(50);
        nodes[1] = NodeProcess::start_on(port);
        asked_at_least(50);
        nodes[0].kill();
        nodes[1].kill();
        asked_at_least(50);
    });
    println!("{asked} requests, {failed} failed");
    assert_eq!(failed, 0, "of {asked}");
    assert!(asked > 200);
}

#[test]
fn a_cluster_that_was_never_there_is_nobodys_trouble() {
    let origin = Origin::start();
    for n in 0..40 {
        origin.always("GET", &format!("/items/{n}"), Answer::ok("item"));
    }
    let envoy = with_nodes(&origin, &endpoint(1), 1);
    for n in 0..40 {
        let response = envoy.get(&format!("/items/{n}"), &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "item"));
    }
}

#[test]
fn nodes_that_share_a_redis_take_over_from_one_another_and_share_the_purge_log() {
    let origin = Origin::start();
    for n in 0..10 {
        origin.always("GET", &format!("/items/{n}"), Answer::ok("item"));
    }
    let mut redis = Redis::start();
    let mut nodes = [NodeProcess::start_with(&redis.url()), NodeProcess::start_with(&redis.url())];
    let endpoints = format!("{}, {}", nodes[0].endpoint(), nodes[1].endpoint());
    let start = || {
        let envoy = of_file("redis.yaml", &origin, &endpoints, 1);
        let healthy = || envoy.stat("cluster.larder_nodes.membership_healthy") == 2;
        until("both nodes to be found healthy", || healthy().then_some(()));
        envoy
    };
    let first = start();
    for n in 0..10 {
        warmed_up(&first, &format!("/items/{n}"));
    }
    let second = start();
    // One of them goes; what it kept is the other's to hand out.
    nodes[0].kill();
    until("the other node to take over", || {
        let hits = (0..10).filter(|n| status(&second.get(&format!("/items/{n}"), &[])).contains("hit")).count();
        (hits == 10).then_some(())
    });
    let before = origin.count("/items/1");
    let asked = origin.requests().len();
    for n in 0..10 {
        assert!(status(&second.get(&format!("/items/{n}"), &[])).contains("hit"));
    }
    assert_eq!(origin.requests().len(), asked);
    nodes[1].purge(Scope::Tag("item:1".into()), Mode::Hard);
    until("the purge to be heard", || {
        second.get("/items/1", &[]);
        first.get("/items/1", &[]);
        (origin.count("/items/1") > before).then_some(())
    });
    redis.kill();
    for n in 0..10 {
        let response = second.get(&format!("/items/{n}"), &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "item"));
    }
}

#[test]
fn purge_through_envoy_needs_a_token_and_reaches_every_envoy() {
    let origin = Origin::start();
    origin.always("GET", "/items/1", Answer::ok("item"));
    let (node, token) = NodeProcess::start_with_token();
    let policy = POLICY.replace("\"ttl\":", "\"purge_method\": \"token\", \"ttl\":");
    let start = || {
        let setup = Setup::from_file("cluster.yaml").value("POLICY", &policy).value("ORIGIN_PORT", origin.port());
        let envoy = setup.value("NODES", node.endpoint()).start().unwrap_or_else(|error| panic!("{error}"));
        let healthy = || envoy.stat("cluster.larder_nodes.membership_healthy") == 1;
        until("the node to be found healthy", || healthy().then_some(()));
        envoy
    };
    let (first, second) = (start(), start());
    warmed_up(&first, "/items/1");
    warmed_up(&second, "/items/1");
    let before = origin.count("/items/1");
    for (token, expected) in
        [(None, 401), (Some("Bearer wrong".to_owned()), 401), (Some(format!("Bearer {token}")), 200)]
    {
        let fields: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let response = request(first.port(), "PURGE", "/items/1", &fields, b"");
        assert_eq!(response.status, expected, "{response:?}");
    }
    assert_eq!(first.get("/items/1", &[]).status, 200);
    assert_eq!(origin.count("/items/1"), before + 1, "gone at once where it was purged");
    until("the other Envoy to hear of it", || {
        let status = status(&second.get("/items/1", &[]));
        (status.contains("detail=cluster") || status.contains("fwd=")).then_some(())
    });
    assert_eq!(origin.count("PURGE"), 0);
}
