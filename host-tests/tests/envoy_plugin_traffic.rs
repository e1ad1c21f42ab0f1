//! One worker of a real Envoy with the module: what clients and the origin see on the wire.
//!
//! Each test pins a behaviour of Envoy that the plugin leans on, from the outside.

use std::time::Duration;

use larder_host_tests::envoy::{Answer, Client, Envoy, Gate, Origin, Setup, bootstrap_folder, head, request, until};

const POLICY: &str = r#"{
  "version": 1,
  "name": "traffic",
  "routes": [
    { "name": "plain", "path": "/plain/{*rest}", "ttl": "60s" },
    { "name": "stale", "path": "/stale/{*rest}", "ttl": "10s", "stale": { "while_revalidate": "20s", "if_error": "1h" } },
    { "name": "all", "path": "/{*rest}", "ttl": "60s", "etag": "strong" }
  ]
}"#;

/// An Envoy that lets everything through that the codec can: trailers, 1xx.
fn envoy(origin: &Origin) -> Envoy {
    start(Setup::from_file("conformance.yaml"), origin)
}

fn start(setup: Setup, origin: &Origin) -> Envoy {
    let setup = setup.value("POLICY", POLICY).value("ORIGIN_PORT", origin.port());
    setup.start().unwrap_or_else(|error| panic!("{error}"))
}

fn is_hit(response: &larder_host_tests::envoy::Response) -> bool {
    response.field("cache-status").is_some_and(|status| status.starts_with("Larder; hit"))
}

#[test]
fn a_miss_is_stored_and_answers_get_head_and_conditional_requests() {
    let origin = Origin::start();
    origin.always(
        "GET",
        "/a",
        Answer::ok("hello").field("content-type", "text/x-a").field("x-two", "1").field("x-two", "2"),
    );
    let envoy = envoy(&origin);
    let miss = envoy.get("/a", &[]);
    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"));
    let etag = miss.field("etag").expect("made here");
    let hit = envoy.get("/a", &[]);
    assert!(is_hit(&hit), "{hit:?}");
    assert_eq!((hit.text().as_str(), hit.field("etag")), ("hello", Some(etag.clone())));
    assert_eq!(hit.all("content-type"), ["text/x-a"]);
    assert_eq!(hit.all("x-two"), ["1", "2"]);
    assert_eq!(hit.all("content-length"), ["5"]);
    let not_modified = envoy.get("/a", &[("if-none-match", &etag)]);
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
    assert_eq!(not_modified.field("etag"), Some(etag));
    assert_eq!((not_modified.field("content-length"), not_modified.field("content-type")), (None, None));
    let head = head(envoy.port(), "/a", &[]);
    assert_eq!(
        (head.status, head.all("content-length"), head.all("content-type")),
        (200, vec!["5".into()], vec!["text/x-a".into()])
    );
    let part = envoy.get("/a", &[("range", "bytes=1-3")]);
    assert_eq!((part.status, part.text().as_str()), (206, "ell"));
    assert_eq!(part.field("content-range").as_deref(), Some("bytes 1-3/5"));
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn a_late_304_answers_a_client_that_has_what_the_origin_sends() {
    let origin = Origin::start();
    origin.always("GET", "/a", Answer::ok("hello"));
    let first = envoy(&origin);
    let etag = first.get("/a", &[]).field("etag").expect("made here");
    let second = envoy(&origin);
    let response = second.get("/a", &[("if-none-match", &etag)]);
    assert_eq!((response.status, response.body.len()), (304, 0));
    assert_eq!(response.field("etag"), Some(etag));
    assert!(is_hit(&second.get("/a", &[])), "and it is stored");
}

#[test]
fn what_envoy_changes_in_replies_is_mended() {
    let origin = Origin::start();
    origin.always("GET", "/untyped", Answer::ok("x"));
    origin.always("GET", "/empty", Answer::ok("").field("content-type", "image/none"));
    let envoy = envoy(&origin);
    for _ in 0..2 {
        let untyped = envoy.get("/untyped", &[]);
        assert_eq!((untyped.text().as_str(), untyped.field("content-type")), ("x", None));
        let empty = envoy.get("/empty", &[]);
        assert_eq!(
            (empty.all("content-type"), empty.all("content-length")),
            (vec!["image/none".into()], vec!["0".into()])
        );
    }
    assert!(is_hit(&envoy.get("/untyped", &[])) && is_hit(&envoy.get("/empty", &[])));
    let head = head(envoy.port(), "/empty", &[]);
    assert_eq!((head.all("content-type"), head.all("content-length")), (vec!["image/none".into()], vec!["0".into()]));
    assert_eq!(head.field("transfer-encoding"), None);
}

#[test]
fn a_body_too_large_to_hold_streams_and_gets_its_etag_from_the_store() {
    let origin = Origin::start();
    let body = vec![b'x'; 300_000];
    let pieces: Vec<&[u8]> = body.chunks(50_000).collect();
    origin.always("GET", "/large", Answer::chunked(200, &pieces));
    let too_large = vec![b'y'; 3_000_000];
    origin.always("GET", "/too-large", Answer::ok(too_large.clone()));
    let envoy = envoy(&origin);
    let miss = envoy.get("/large", &[]);
    assert!(miss.complete && miss.body == body);
    let hit = envoy.get("/large", &[]);
    assert!(is_hit(&hit) && hit.complete && hit.body == body && hit.field("etag").is_some());
    for count in 1..=2 {
        let response = envoy.get("/too-large", &[]);
        assert!(response.complete && response.body == too_large && !is_hit(&response));
        assert_eq!(origin.count("/too-large"), count);
    }
}

#[test]
fn responses_with_trailers_are_whole_and_stored() {
    let origin = Origin::start();
    for path in ["/held", "/plain/streamed"] {
        origin.always("GET", path, Answer::chunked(200, &[b"one ", b"two"]).trailer("x-sum", "2"));
    }
    let envoy = envoy(&origin);
    for path in ["/held", "/plain/streamed"] {
        let miss = envoy.get(path, &[]);
        assert_eq!((miss.text().as_str(), miss.complete), ("one two", true), "{path}");
        assert_eq!(miss.trailers, [("x-sum".to_owned(), b"2".to_vec())], "{path}");
        let hit = envoy.get(path, &[]);
        assert_eq!((hit.text().as_str(), is_hit(&hit)), ("one two", true), "{path}");
    }
    assert!(envoy.get("/held", &[]).field("etag").is_some());
}

#[test]
fn a_truncated_response_is_never_stored() {
    let origin = Origin::start();
    origin.once("GET", "/plain/cut", Answer::truncated(200, 100, "only this"));
    origin.once("GET", "/held-cut", Answer::truncated(200, 100, "only this"));
    origin.always("GET", "/plain/cut", Answer::ok("whole"));
    origin.always("GET", "/held-cut", Answer::ok("whole"));
    let envoy = envoy(&origin);
    for path in ["/plain/cut", "/held-cut"] {
        let cut = Client::connect(envoy.port()).unwrap().call("GET", path, &[], b"");
        assert!(cut.is_err() || cut.is_ok_and(|response| !response.complete || response.status == 502), "{path}");
        assert_eq!(envoy.get(path, &[]).text(), "whole");
        assert!(is_hit(&envoy.get(path, &[])), "{path}");
    }
}

#[test]
fn early_hints_pass() {
    let origin = Origin::start();
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    origin.always("GET", "/hinted", Answer::ok("page").after_raw(hints));
    let envoy = envoy(&origin);
    let miss = envoy.get("/hinted", &[]);
    assert_eq!((miss.status, miss.text().as_str(), miss.interim.len()), (200, "page", 1));
    assert_eq!(miss.interim[0].status, 103);
    assert!(is_hit(&envoy.get("/hinted", &[])));
}

#[test]
fn websockets_pass() {
    let origin = Origin::start();
    let answer = Answer::raw(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nfrom the origin",
    );
    origin.always("GET", "/socket", answer);
    let template = std::fs::read_to_string(bootstrap_folder().join("minimal.yaml")).unwrap();
    let upgrades = "stat_prefix: web\n          upgrade_configs: [{ upgrade_type: websocket }]";
    let envoy = start(Setup::new(template.replace("stat_prefix: web", upgrades)), &origin);
    let mut client = Client::connect(envoy.port()).unwrap();
    client.send("GET", "/socket", &[("connection", "upgrade"), ("upgrade", "websocket")], b"").unwrap();
    let response = client.receive("GET").unwrap();
    assert_eq!((response.status, response.field("upgrade").as_deref()), (101, Some("websocket")));
    assert_eq!(client.receive_raw(15).unwrap(), b"from the origin");
}

#[test]
fn requests_for_one_key_share_one_fetch() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.once("GET", "/shared", Answer::ok("for all").held_by(&gate));
    let envoy = envoy(&origin);
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(envoy.port()).unwrap()).collect();
    for client in &mut clients {
        client.send("GET", "/shared", &[], b"").unwrap();
    }
    origin.await_count("/shared", 1);
    all_active(&envoy, 6);
    gate.open();
    for client in &mut clients {
        let response = client.receive("GET").unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "for all"));
    }
    assert_eq!(origin.count("/shared"), 1);
}

#[test]
fn followers_go_on_when_their_leader_goes_away() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.once("GET", "/left", Answer::ok("late").held_by(&gate));
    origin.always("GET", "/left", Answer::ok("second"));
    let envoy = envoy(&origin);
    let mut leader = Client::connect(envoy.port()).unwrap();
    leader.send("GET", "/left", &[], b"").unwrap();
    origin.await_count("/left", 1);
    let mut followers: Vec<Client> = (0..3).map(|_| Client::connect(envoy.port()).unwrap()).collect();
    for follower in &mut followers {
        follower.send("GET", "/left", &[], b"").unwrap();
    }
    all_active(&envoy, 4);
    leader.close();
    for follower in &mut followers {
        assert_eq!(follower.receive("GET").unwrap().text(), "second");
    }
    assert_eq!(origin.count("/left"), 2);
    gate.open();
}

#[test]
fn followers_of_an_unstorable_response_ask_for_themselves() {
    let origin = Origin::start();
    let gate = Gate::new();
    let own = |body: &str| Answer::ok(body).field("cache-control", "private");
    origin.once("GET", "/own", own("first").held_by(&gate));
    origin.always("GET", "/own", own("other"));
    let envoy = envoy(&origin);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(envoy.port()).unwrap()).collect();
    for client in &mut clients {
        client.send("GET", "/own", &[], b"").unwrap();
    }
    origin.await_count("/own", 1);
    all_active(&envoy, 8);
    gate.open();
    let mut bodies: Vec<String> = clients.iter_mut().map(|client| client.receive("GET").unwrap().text()).collect();
    bodies.sort();
    assert_eq!(bodies.iter().filter(|body| *body == "first").count(), 1, "{bodies:?}");
    assert_eq!(origin.count("/own"), 8);
}

/// Waits until Envoy has this many requests under way.
fn all_active(envoy: &Envoy, count: u64) {
    let name = ["http.conformance.downstream_rq_active"];
    until("the requests to be under way", || (envoy.stat(name[0]) >= count).then_some(()));
}

#[test]
fn a_stale_response_is_served_while_one_call_in_the_background_renews_it() {
    let origin = Origin::start();
    origin.once("GET", "/stale/a", Answer::ok("old").field("etag", "\"1\""));
    origin.always("GET", "/stale/a", Answer::ok("new").field("etag", "\"2\""));
    let mut envoy = start(Setup::from_file("conformance.yaml").movable_clock(), &origin);
    assert_eq!(envoy.get("/stale/a", &[("x-from", "client")]).text(), "old");
    envoy.advance(Duration::from_secs(15));
    let stale = envoy.get("/stale/a", &[("x-from", "client")]);
    assert_eq!((stale.text().as_str(), is_hit(&stale)), ("old", true), "{stale:?}");
    until("the renewed response", || (envoy.get("/stale/a", &[]).text() == "new").then_some(()));
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].field("if-none-match").as_deref(), Some("\"1\""));
    assert_eq!(requests[1].field("host").as_deref(), Some("localhost"));
    let renewed = envoy.get("/stale/a", &[]);
    assert!(is_hit(&renewed) && renewed.field("etag").as_deref() == Some("\"2\""));
    assert!(renewed.fields.iter().all(|(name, _)| !name.starts_with("x-envoy")), "{renewed:?}");
}

#[test]
fn a_failing_or_absent_origin_leaves_the_stale_response() {
    let origin = Origin::start();
    origin.once("GET", "/stale/a", Answer::ok("kept"));
    origin.once("GET", "/stale/a", Answer::new(503, "down"));
    origin.once("GET", "/stale/a", Answer::hang_up());
    origin.always("GET", "/fresh", Answer::ok("x").field("cache-control", "no-store"));
    let mut envoy = start(Setup::from_file("conformance.yaml").movable_clock(), &origin);
    assert_eq!(envoy.get("/stale/a", &[]).text(), "kept");
    envoy.advance(Duration::from_secs(60));
    for _ in 0..2 {
        let stale = envoy.get("/stale/a", &[]);
        assert_eq!((stale.status, stale.text().as_str()), (200, "kept"), "{stale:?}");
        assert!(stale.field("cache-status").is_some_and(|status| status.contains("stale-if-error")), "{stale:?}");
    }
    assert_eq!(envoy.get("/fresh", &[]).status, 200);
    origin.stop();
    let stale = until("Envoy to lose the origin", || {
        (envoy.get("/fresh", &[]).status == 503).then(|| envoy.get("/stale/a", &[]))
    });
    assert_eq!((stale.status, stale.text().as_str()), (200, "kept"), "{stale:?}");
    assert_eq!(envoy.get("/fresh", &[]).status, 503, "what was never stored is a clean error");
}

#[test]
fn a_stored_response_is_validated_and_confirmed_by_a_304() {
    let origin = Origin::start();
    origin.once("GET", "/plain/a", Answer::ok("body").field("etag", "\"1\"").field("content-type", "text/x-a"));
    origin.always("GET", "/plain/a", Answer::bodiless(304).field("etag", "\"1\""));
    let mut envoy = start(Setup::from_file("conformance.yaml").movable_clock(), &origin);
    assert_eq!(envoy.get("/plain/a", &[]).text(), "body");
    envoy.advance(Duration::from_secs(61));
    let confirmed = envoy.get("/plain/a", &[]);
    assert_eq!((confirmed.status, confirmed.text().as_str()), (200, "body"), "{confirmed:?}");
    assert_eq!(confirmed.all("content-type"), ["text/x-a"]);
    assert_eq!(origin.requests()[1].field("if-none-match").as_deref(), Some("\"1\""));
    assert!(is_hit(&envoy.get("/plain/a", &[])), "the confirmation made it fresh");
    assert_eq!(origin.count("/plain/a"), 2);
}

#[test]
fn bytes_that_are_not_text_pass_and_harm_nobody() {
    let origin = Origin::start();
    origin.always("GET", "/bytes", Answer::ok("x").field_bytes("x-raw", b"caf\xe9 \xff"));
    let envoy = envoy(&origin);
    for _ in 0..2 {
        let mut client = Client::connect(envoy.port()).unwrap();
        client
            .send_raw(b"GET /bytes HTTP/1.1\r\nhost: localhost\r\nx-odd: \xff\xfe\r\ncookie: \xe9=1\r\n\r\n")
            .unwrap();
        let response = client.receive("GET").unwrap();
        let raw = response.fields.iter().find(|(name, _)| name == "x-raw").map(|(_, value)| value.clone());
        assert_eq!((response.status, raw.as_deref()), (200, Some(&b"caf\xe9 \xff"[..])));
    }
}

#[test]
fn unsafe_methods_pass_with_their_bodies_and_invalidate() {
    let origin = Origin::start();
    origin.once("GET", "/a", Answer::ok("old"));
    origin.always("GET", "/a", Answer::ok("new"));
    origin.always("POST", "/a", Answer::new(201, "made"));
    let envoy = envoy(&origin);
    assert_eq!(envoy.get("/a", &[]).text(), "old");
    assert!(is_hit(&envoy.get("/a", &[])));
    let body = vec![b'b'; 3_000_000];
    let made = request(envoy.port(), "POST", "/a", &[], &body);
    assert_eq!((made.status, made.text().as_str()), (201, "made"));
    assert_eq!(origin.requests()[1].body.len(), body.len());
    assert_eq!(envoy.get("/a", &[]).text(), "new");
}
