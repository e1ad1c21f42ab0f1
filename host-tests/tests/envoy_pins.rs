//! The table of behaviours that the wasmtime host is held to, run in real Envoy: what the host claims, Envoy does.
//!
//! Needs `$LARDER_ENVOY`, the Envoy binary; without the variable the tests say so and end.

mod common;

use std::path::Path;
use std::time::Duration;

use common::pins::{PINS, Pin, SCRIPTS, Seen, check};
use common::probe_file;
use larder_host_tests::envoy::{Answer, Client, Envoy, Gate, Origin, Setup, get, request, until};

const BOOTSTRAP: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: ${ADMIN_PORT}}}}
static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 127.0.0.1, port_value: ${LISTEN_PORT}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          stream_idle_timeout: 3s
          http_protocol_options: {enable_trailers: true}
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: origin}}]}
          http_filters:
          - name: probe
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: larder
                root_id: larder
                failure_policy: FAIL_RELOAD
                allow_on_headers_stop_iteration: true
                configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: "${CONFIGURATION}"}
                vm_config:
                  vm_id: larder
                  runtime: envoy.wasm.runtime.v8
                  code: {local: {filename: "${PROBE}"}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {enable_trailers: true}}
    load_assignment: {cluster_name: origin, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${ORIGIN_PORT}}}}}]}]}
  - name: l2
    type: STATIC
    load_assignment: {cluster_name: l2, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${ORIGIN_PORT}}}}}]}]}
"#;

/// Envoy with the probe and an origin that answers the table's paths; none without `$LARDER_ENVOY`.
fn started() -> Option<(Envoy, Origin)> {
    if !has_envoy() {
        return None;
    }
    let origin = Origin::start();
    let setup = setup(BOOTSTRAP, &origin, &probe_file(), "name=pins");
    Some((setup.start().unwrap_or_else(|error| panic!("{error}")), origin))
}

fn has_envoy() -> bool {
    let named = std::env::var_os("LARDER_ENVOY").is_some_and(|path| !path.is_empty());
    if !named {
        println!("not run: LARDER_ENVOY does not name an Envoy binary");
    }
    named
}

fn setup(bootstrap: &str, origin: &Origin, probe: &Path, configuration: &str) -> Setup {
    let chunks: [&[u8]; 3] = [b"aaaaa", b"bbbbb", b"ccccc"];
    let dup =
        Answer::ok("ok").field("x-a", "1").field("x-a", "2").field("cache-control", "a").field("cache-control", "b");
    let dup = dup.field("vary", "a").field("vary", "b").field("link", "a").field("link", "b");
    let large = vec![b'x'; 64 << 10];
    let answers = [
        ("/", Answer::ok("hello")),
        ("/chunks", Answer::chunked(200, &chunks)),
        ("/trailers", Answer::chunked(200, &chunks).trailer("x-sum", "1")),
        ("/broken", Answer::truncated(200, 100, "abcdefghi")),
        ("/hangup", Answer::hang_up()),
        ("/304", Answer::bodiless(304)),
        ("/dup", dup.field("keep-alive", "timeout=5")),
        ("/large", Answer::chunked(200, &[large.as_slice(); 32])),
    ];
    for (path, answer) in answers {
        for method in ["GET", "POST"] {
            origin.always(method, path, answer.clone());
        }
    }
    origin.always("HEAD", "/", Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"));
    // `Setup` looks for the module under test; here that is the probe.
    Setup::new(bootstrap)
        .value("PROBE", probe.display())
        .value("CONFIGURATION", configuration)
        .value("ORIGIN_PORT", origin.port())
}

fn run(envoy: &Envoy, pin: &Pin, id: &str) -> Seen {
    let mut fields = pin.fields.to_vec();
    fields.push(("x-id", id));
    let response = request(envoy.port(), pin.method, pin.path, &fields, pin.body.as_bytes());
    let text = |(name, value): &(String, Vec<u8>)| (name.clone(), String::from_utf8_lossy(value).into_owned());
    let notes = if pin.status == 503 && pin.notes.is_empty() {
        Vec::new()
    } else {
        // The log comes after the client's last byte.
        until("the stream's end", || {
            Some(notes(envoy, id)).filter(|notes| notes.last().is_some_and(|last| last == "delete"))
        })
    };
    Seen {
        status: response.status,
        fields: response.fields.iter().map(text).collect(),
        body: response.body,
        whole: response.complete,
        notes,
    }
}

fn notes(envoy: &Envoy, id: &str) -> Vec<String> {
    envoy.get("/", &[("x-probe", "events"), ("x-of", id)]).text().lines().map(str::to_owned).collect()
}

#[test]
fn envoy_does_what_is_pinned() {
    let Some((envoy, _origin)) = started() else { return };
    let failures: Vec<String> = PINS
        .iter()
        .enumerate()
        .filter_map(|(number, pin)| check(pin, &run(&envoy, pin, &format!("pin-{number}"))).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn envoys_host_calls_answer_as_pinned() {
    let Some((envoy, _origin)) = started() else { return };
    for (steps, answers) in SCRIPTS {
        let response = get(envoy.port(), "/", &[("x-probe", "script"), ("x-script", steps)]);
        assert_eq!(response.text(), *answers, "{steps}");
    }
}

#[test]
fn a_reply_to_another_stream_stops_the_callback_that_sends_it() {
    let Some((envoy, _origin)) = started() else { return };
    let mut held = Client::connect(envoy.port()).expect("connects");
    held.send("GET", "/", &[("x-probe", "hold"), ("x-key", "a"), ("x-id", "held")], b"").expect("sent");
    until("the held stream", || (notes(&envoy, "held").len() == 1).then_some(()));
    let leader = get(envoy.port(), "/", &[("x-probe", "cross"), ("x-key", "a")]);
    assert_eq!(held.receive("GET").expect("answered").text(), "crossed");
    assert_eq!(leader.status, 504, "the leader's Continue did not count");
}

#[test]
fn a_reply_to_another_stream_loses_the_chunk_of_the_sending_body_callback() {
    let Some((envoy, origin)) = started() else { return };
    let gate = Gate::new();
    let pieces = Answer::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\naaaaa\r\n").then_wait(&gate);
    origin.once("GET", "/gated", pieces.then_raw("5\r\nbbbbb\r\n0\r\n\r\n"));
    let mut held = Client::connect(envoy.port()).expect("connects");
    held.send("GET", "/", &[("x-probe", "hold"), ("x-key", "b"), ("x-id", "held")], b"").expect("sent");
    until("the held stream", || (notes(&envoy, "held").len() == 1).then_some(()));
    let mut leader = Client::connect(envoy.port()).expect("connects");
    let fields = [("x-probe", "cross"), ("x-key", "b"), ("x-when", "body"), ("x-id", "leader")];
    leader.send("GET", "/gated", &fields, b"").expect("sent");
    until("the first chunk", || {
        notes(&envoy, "leader").contains(&"response body 5 end=false".to_owned()).then_some(())
    });
    gate.open();
    assert_eq!(leader.receive("GET").expect("answered").text(), "bbbbb");
    assert_eq!(held.receive("GET").expect("answered").text(), "crossed");
}

#[test]
fn one_call_of_the_root_answers_and_resumes_all_followers() {
    let Some((envoy, origin)) = started() else { return };
    let gate = Gate::new();
    origin.once("GET", "/k", Answer::ok("found").held_by(&gate));
    origin.always("GET", "/k", Answer::ok("origin"));
    let follow = |id: &str, then: &str| {
        let mut client = Client::connect(envoy.port()).expect("connects");
        let fields = [("x-probe", "coalesce"), ("x-id", id), ("x-then", then)];
        client.send("GET", "/k", &fields, b"").expect("sent");
        until("the follower", || (notes(&envoy, id).len() == 1).then_some(()));
        client
    };
    let gone = follow("gone", "");
    let mut answered = follow("answered", "");
    let mut resumed = follow("resumed", "resume");
    gone.close();
    until("the leader's end", || notes(&envoy, "gone").contains(&"delete".to_owned()).then_some(()));
    gate.open();
    assert_eq!(answered.receive("GET").expect("answered").text(), "found");
    assert_eq!(resumed.receive("GET").expect("answered").text(), "origin");
    let requests = origin.requests();
    assert!(requests.iter().any(|seen| seen.field("x-flight").as_deref() == Some("landed")));
    let seen = get(envoy.port(), "/", &[("x-probe", "script"), ("x-script", "seen")]);
    assert_eq!(seen.text(), "gone /k\n");
}

#[test]
fn a_vm_that_dies_again_soon_is_not_replaced_at_once() {
    let Some((envoy, _origin)) = started() else { return };
    let panic = || get(envoy.port(), "/", &[("x-probe", "panic"), ("x-when", "request")]).status;
    let passes = || get(envoy.port(), "/", &[]).status;
    assert_eq!(panic(), 503);
    until("a fresh VM", || (passes() == 200).then_some(()));
    assert_eq!(panic(), 503);
    assert_eq!(passes(), 503, "its VM was young");
    until("another VM", || (passes() == 200).then_some(()));
}

/// What the bootstraps say under `envoy/`: a module that fails again and again must not keep its worker from answering.
#[test]
fn a_vm_that_dies_again_soon_is_replaced_soon_where_the_backoff_is_short() {
    if !has_envoy() {
        return;
    }
    let origin = Origin::start();
    let short = "failure_policy: FAIL_RELOAD\n                reload_config: {backoff: {base_interval: 0.01s}}";
    let bootstrap = BOOTSTRAP.replace("failure_policy: FAIL_RELOAD", short);
    let setup = setup(&bootstrap, &origin, &probe_file(), "name=pins");
    let envoy = setup.start().unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..3 {
        get(envoy.port(), "/", &[("x-probe", "panic"), ("x-when", "request")]);
        let mut looks = 0;
        until("a fresh VM", || {
            looks += 1;
            (get(envoy.port(), "/", &[]).status == 200).then_some(())
        });
        // Looks are 5 ms apart and more: by default it would be 200 of them.
        assert!(looks < 50, "{looks} requests were answered by errors");
    }
}

#[test]
fn a_call_without_an_answer_gets_envoys_504_at_its_time_limit() {
    let Some((envoy, origin)) = started() else { return };
    origin.always("GET", "/never", Answer::ok("").held_by(&Gate::new()));
    let response = get(envoy.port(), "/", &[("x-probe", "call"), ("x-path", "/never"), ("x-timeout", "200")]);
    let expected = "status=504 names=:status,content-length,content-type size=24 body=upstream request timeout";
    assert_eq!(response.text(), expected);
}

#[test]
fn a_refused_configuration_keeps_envoy_from_starting() {
    let Some((_envoy, origin)) = started() else { return };
    let refused = setup(BOOTSTRAP, &origin, &probe_file(), "reject").start();
    let error = refused.expect_err("Envoy exits");
    assert!(error.log.contains("rejected as configured"), "{error}");
}

#[test]
fn ticks_come_on_every_thread_and_not_oftener_than_every_four_milliseconds() {
    let Some((_envoy, origin)) = started() else { return };
    let envoy = setup(BOOTSTRAP, &origin, &probe_file(), "tick=1").start().unwrap_or_else(|error| panic!("{error}"));
    let look = || {
        let text = get(envoy.port(), "/", &[("x-probe", "script"), ("x-script", "ticks;time")]).text();
        let mut numbers = text.lines().filter_map(|line| line.parse::<u64>().ok());
        (numbers.next().expect("ticks"), numbers.next().expect("time"))
    };
    let (ticks, from) = look();
    let (ticks, took) = until("a second of ticks", || {
        let (later, to) = look();
        (Duration::from_millis(to - from) > Duration::from_secs(1)).then_some((later - ticks, to - from))
    });
    assert!(ticks > 0 && ticks <= took / 3, "{ticks} ticks in {took} ms");
}
