//! Callbacks of the real module in wasmtime, in any order that Envoy could give them: two workers, origins, nodes that answer rightly,
//! wrongly or not at all, clients that go, ticks, clock jumps, reloads. It never traps, answers each request once, and hands out only what
//! the origin said to the same host and path, and said might be kept.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::fields::Fields;
use larder_host_tests::host::{
    CallId, ClientView, Config, Headers, Host, HostError, LogLevel, Outcome, Request, Response, StreamId,
    UpstreamFailure,
};

use super::module::{covered, plugin};
use super::words;
use crate::input::Input;

const WORKERS: usize = 2;
const STEPS_MAX: usize = 40;
const NOT_TO_BE_KEPT: &str = "NOT TO BE KEPT";

/// A configuration, then what happens.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (policy, settings) = (input.below(words::POLICIES.len()), input.byte());
    let config = Config {
        workers: WORKERS,
        clusters: vec!["larder_nodes".to_owned()],
        log_level: LogLevel::Error,
        stream_idle_timeout: Duration::from_secs(30),
        allow_on_headers_stop_iteration: settings & 16 == 0,
        ..Config::new(configuration(policy, settings))
    };
    let host = Host::start(plugin(), config).unwrap_or_else(|error| panic!("{error}"));
    let mut world = World { host, asked: BTreeMap::new(), seen: BTreeMap::new() };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.hold();
    }
    world.end();
    covered(&world.host, WORKERS);
}

fn configuration(policy: usize, settings: u8) -> String {
    let cluster = r#", "cluster": { "name": "larder_nodes", "reroute_above": "64B" }"#;
    let cluster = if settings & 1 == 1 { cluster } else { "" };
    let hold = settings & 2 == 0;
    format!(
        r#"{{ "policy": {}, "l1_bytes": "64KiB", "tick": "1s", "hold": {hold}, "refresh": {{ "in_flight_max": 2 }}{cluster} }}"#,
        words::POLICIES[policy]
    )
}

struct World {
    host: Host,
    asked: BTreeMap<StreamId, Asked>,
    /// How much of its answer each client has seen.
    seen: BTreeMap<StreamId, usize>,
}

/// What a client asked for.
struct Asked {
    method: String,
    about: String,
    /// Whether its request is all sent.
    whole: bool,
    gone: bool,
    /// Whether another than us may have answered: a node, a clock.
    strange: bool,
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=4 => self.request(input),
            5..=8 => self.answer(input),
            9 | 10 => self.call(input),
            11 => {
                let millis = if input.flag() { u64::from(input.byte()) } else { input.number() % 4_000_000 };
                self.host.advance(Duration::from_millis(millis));
            }
            12 => self.step_clock(input),
            13 => self.leave(input),
            14 => self.more(input),
            _ => self.reload(input),
        }
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let (method, target) = (words::method(input), words::target(input));
        let (scheme, host) = (input.one_of(&["http", "https"]), input.one_of(&["a.example", "b.example"]));
        let path = target.split('?').next().unwrap_or_default();
        let about = format!("{scheme}|{host}|{path}|");
        let mut request = Request::new(&method, &target).scheme(scheme).authority(host);
        for (name, value) in words::request_fields(input) {
            request = request.header(&name, value);
        }
        let shape = input.byte();
        if shape & 3 == 3 {
            request = request.body(input.bytes(20));
        }
        if shape & 4 == 4 {
            request = request.http2();
        }
        if shape & 24 == 24 {
            request = request.trailers([("x-t", "1")]);
        }
        let open = shape & 96 == 96;
        if open {
            request = request.open();
        }
        let worker = input.below(WORKERS);
        let stream = self.host.request(worker, request);
        self.asked.insert(stream, Asked { method, about, whole: !open, gone: false, strange: false });
    }

    fn any(&self, input: &mut Input<'_>, which: impl Fn(&Asked) -> bool) -> Option<StreamId> {
        let some: Vec<StreamId> = self
            .asked
            .iter()
            .filter(|(id, asked)| !self.host.is_over(**id) && which(asked))
            .map(|(id, _)| *id)
            .collect();
        (!some.is_empty()).then(|| input.one_of(&some))
    }

    fn waiting(&self) -> Vec<StreamId> {
        let open = |stream: &StreamId| self.host.upstream(*stream).is_some_and(|seen| !seen.answered && !seen.reset);
        self.host.upstream_requests().into_iter().filter(open).collect()
    }

    /// The origin answers, whole, in pieces, cut, or not at all.
    fn answer(&mut self, input: &mut Input<'_>) {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return;
        }
        let stream = input.one_of(&waiting);
        let way = input.byte() % 8;
        if way == 0 {
            let failures = [
                UpstreamFailure::ConnectionRefused,
                UpstreamFailure::ConnectionReset,
                UpstreamFailure::Timeout,
                UpstreamFailure::NoHealthyHost,
            ];
            self.host.fail_upstream(stream, input.one_of(&failures));
            return;
        }
        let (status, fields, body) = self.response(input, &self.asked[&stream].about);
        if way < 6 {
            let mut response = Response::new(status).body(body);
            for field in fields.iter() {
                response = response.header(&field.name, &field.value);
            }
            if input.flag() {
                response = response.chunked();
            }
            self.host.respond(stream, response);
            return;
        }
        let mut headers = Headers::new();
        headers.append(":status", status.to_string());
        fields.iter().for_each(|field| headers.append(&field.name, &field.value));
        self.host.respond_headers(stream, headers, false);
        let (front, back) = body.split_at(body.len() / 2);
        self.host.respond_body(stream, front, false);
        match way {
            6 => self.host.respond_body(stream, back, true),
            _ => self.host.respond_truncated(stream),
        }
    }

    fn response(&self, input: &mut Input<'_>, about: &str) -> (u16, Fields, Vec<u8>) {
        let mut fields = Fields::from_pairs(words::response_fields(input));
        fields.set("cache-control", input.one_of(&words::CACHE_CONTROL));
        // Framing is the codec's, in Envoy; there such an answer does not come through.
        fields.retain(|field| !field.name.starts_with(':') && !field.name.is_empty());
        let mut body = about.as_bytes().to_vec();
        if words::forbids_keeping(&fields) {
            body.extend_from_slice(NOT_TO_BE_KEPT.as_bytes());
        }
        let size = input.one_of(&[0, 1, 80, 5_000, 70_000]);
        body.extend(std::iter::repeat_n(b'.', size));
        let status = input.one_of(&[200, 200, 200, 200, 304, 404, 500, 503, 206, 204, 301, 412]);
        (status, fields, body)
    }

    /// A call that the module has made: to a node, or to the origin in the background.
    fn call(&mut self, input: &mut Input<'_>) {
        let calls = self.host.calls();
        if calls.is_empty() {
            return;
        }
        let call = &calls[input.below(calls.len())];
        let about = format!(
            "{}|{}|{}|",
            call.headers.text(":scheme").unwrap_or_default(),
            call.headers.text(":authority").unwrap_or_default(),
            call.path().split('?').next().unwrap_or_default()
        );
        match input.byte() % 8 {
            0 => self.host.fail_call(call.id),
            1 => self.host.refuse_call(call.id),
            2 => self.host.reset_call(call.id),
            3 | 4 if call.cluster == "larder_nodes" => self.node(call.id, &call.path(), input),
            _ => {
                let (status, fields, body) = self.response(input, &about);
                let mut response = Response::new(status).body(body);
                for field in fields.iter() {
                    response = response.header(&field.name, &field.value);
                }
                self.host.answer_call(call.id, response);
            }
        }
    }

    /// A node's answer: bytes behind the right beginning.
    fn node(&mut self, call: CallId, path: &str, input: &mut Input<'_>) {
        let kind = match path {
            "/larder/lookup" => 2,
            "/larder/purge" => 8,
            "/larder/poll" => 10,
            _ => 6,
        };
        let body = match (kind, input.byte() % 4) {
            // A miss, with leave to fetch; nothing new in the log.
            (2, 0) => [&[0; 24][..], &[1], &[7, 0, 0, 0, 0, 0, 0, 0], &[0, 0]].concat(),
            (10, 0) => [&[5, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[0], &[0; 4], &[0]].concat(),
            _ => input.bytes(60).to_vec(),
        };
        let body = [&b"LRDM\x01"[..], &[kind], &body].concat();
        let response = Response::new(200).header("x-larder-node", "1").body(body);
        self.host.answer_call(call, response);
    }

    fn step_clock(&mut self, input: &mut Input<'_>) {
        let seconds = input.number() % 4_000_000_000;
        let to = UNIX_EPOCH + Duration::from_secs(seconds);
        let near = |now: SystemTime, by: u64| now.checked_add(Duration::from_secs(by)).unwrap_or(now);
        let to = if input.flag() { to } else { near(self.host.now(), seconds % 100_000) };
        self.host.set_wall_clock(to);
    }

    fn leave(&mut self, input: &mut Input<'_>) {
        if let Some(stream) = self.any(input, |_| true) {
            self.host.client_gone(stream);
            self.asked.entry(stream).and_modify(|asked| asked.gone = true);
        }
    }

    fn more(&mut self, input: &mut Input<'_>) {
        if let Some(stream) = self.any(input, |asked| !asked.whole) {
            let end = input.flag();
            self.host.send_body(stream, input.bytes(20), end);
            self.asked.entry(stream).and_modify(|asked| asked.whole = end);
        }
    }

    fn reload(&mut self, input: &mut Input<'_>) {
        let (policy, settings) = (input.below(words::POLICIES.len()), input.byte());
        let mut text = configuration(policy, settings).into_bytes();
        if input.byte().is_multiple_of(4) {
            let at = input.below(text.len());
            text[at] = input.byte();
        }
        match self.host.reload(&text) {
            Ok(()) | Err(HostError::Rejected(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// What must hold after each step.
    fn hold(&mut self) {
        let traps = self.host.traps();
        assert!(traps.is_empty(), "{traps:?}");
        for (stream, asked) in &self.asked {
            let view = self.host.client(*stream);
            let before = self.seen.insert(*stream, view.body.len()).unwrap_or(0);
            assert!(view.body.len() >= before, "what a client has seen it has seen");
            assert!(view.headers.is_some() || view.body.is_empty(), "a body before its head");
            hold_answer(&self.host, *stream, asked, &view);
        }
    }

    fn end(&mut self) {
        // Everybody is answered in the end: the origin answers what waits, calls fail, time passes.
        let open: Vec<StreamId> = self.asked.iter().filter(|(_, asked)| !asked.whole).map(|(id, _)| *id).collect();
        open.into_iter().for_each(|stream| self.host.send_body(stream, [], true));
        for _ in 0..200 {
            let (waiting, calls) = (self.waiting(), self.host.calls());
            if waiting.is_empty() && calls.is_empty() {
                break;
            }
            for stream in waiting {
                let about = self.asked[&stream].about.clone();
                self.host.respond(stream, Response::new(200).body(about));
            }
            calls.iter().for_each(|call| self.host.fail_call(call.id));
            self.host.advance(Duration::from_millis(100));
        }
        self.host.advance(Duration::from_secs(60));
        self.hold();
        for stream in self.asked.keys() {
            assert!(self.host.is_over(*stream), "nobody has answered {stream:?}");
        }
        for worker in 0..WORKERS {
            assert_eq!(self.host.live_streams(worker), 0);
        }
    }
}

/// An answer with a whole body is one that an origin gave to the same host and path, or Envoy's own or ours without one.
fn hold_answer(host: &Host, stream: StreamId, asked: &Asked, view: &ClientView) {
    let Some(status) = view.status() else { return };
    assert!((200..600).contains(&status), "{status}");
    let complete = view.outcome == Outcome::Complete;
    assert!(!(complete && status == 304) || view.body.is_empty(), "a 304 has no body");
    assert!(!(complete && asked.method == "HEAD") || view.body.is_empty(), "a HEAD has no body");
    let text = view.text();
    let hit = view.header("cache-status").is_some_and(|said| said.contains("Larder; hit"));
    if asked.gone || asked.strange || !complete || !hit || status != 200 || text.is_empty() {
        return;
    }
    let _ = host.code_details(stream);
    assert!(!text.contains(NOT_TO_BE_KEPT), "what nobody may keep was kept");
    assert!(text.starts_with(&asked.about), "{:?} is no answer to {}", &text[..text.len().min(60)], asked.about);
}
