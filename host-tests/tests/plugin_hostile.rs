//! No sequence of callbacks with hostile headers, bodies, call results and configurations traps the VM.
//!
//! Each run draws everything from its seed, which is printed; `LARDER_SEED` runs one of them alone. A trap is a failure: in
//! Envoy it would take down every request of the worker.

use std::time::Duration;

use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Config, Headers, Host, HostError, Plugin, Request, Response, StreamId, UpstreamFailure};

const SEEDS: u64 = 24;
const STEPS: usize = 120;

const POLICY: &str = r#"{
  "policy": {
    "version": 1,
    "name": "hostile",
    "routes": [
      { "name": "stale", "path": "/stale/{*rest}", "ttl": "5s", "etag": "strong",
        "stale": { "while_revalidate": "1m", "if_error": "1h" }, "tags": ["t:{rest}"] },
      { "name": "own", "path": "/own/{*rest}", "ttl": "respect", "etag": "weak" },
      { "name": "all", "path": "/{*rest}", "ttl": "30s", "etag": "strong", "limits": { "object_bytes": "64KiB", "hold_bytes": "8KiB" },
        "invalidate": { "tags": ["t:{rest}"] } }
    ]
  },
  "l1_bytes": "256KiB",
  "refresh": { "in_flight_max": 2 }
}"#;

/// splitmix64: small, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most + 1);
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn path(&mut self) -> String {
        let plain = ["/stale/a", "/stale/b", "/own/a", "/x", "/x?a=1&b=2", "/", "/big"];
        let odd =
            ["*", "", "/%", "/%ff%00", "//x", "/../a", "/a;b", "/\u{e9}", "/?", "/stale/a?&&==&%zz", "http://h/x"];
        if self.one_in(4) { self.of(&odd).to_owned() } else { self.of(&plain).to_owned() }
    }

    fn field(&mut self) -> (&'static str, Vec<u8>) {
        let names = [
            "cache-control",
            "pragma",
            "age",
            "date",
            "expires",
            "etag",
            "last-modified",
            "vary",
            "set-cookie",
            "cookie",
            "authorization",
            "if-none-match",
            "if-modified-since",
            "if-range",
            "range",
            "content-length",
            "content-type",
            "content-encoding",
            "transfer-encoding",
            "accept",
            "accept-encoding",
            "accept-language",
            "no-vary-search",
            "cache-groups",
            "cache-group-invalidation",
            "surrogate-control",
            "surrogate-key",
            "cdn-cache-control",
            "location",
            "content-location",
            "connection",
            "upgrade",
            "warning",
            "x-larder-internal",
            "x-request-id",
            "content-range",
            "cache-status",
            "x-odd",
            "origin",
            "expect",
            "te",
        ];
        let values: [&[u8]; 26] = [
            b"",
            b"max-age=60",
            b"max-age=99999999999999999999",
            b"no-store",
            b"private",
            b"no-cache=\"a",
            b"\"x\"",
            b"W/\"x\"",
            b"*",
            b"\"",
            b"Thu, 01 Jan 1970 00:00:00 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"bytes=0-",
            b"bytes=-1",
            b"bytes=5-2,9-",
            b"bytes=99999999999999999999-",
            b"accept-encoding, *",
            b"gzip;q=1.5, ,;",
            b"a=b; c",
            b"Basic eA==",
            b"params, except=(\"a\")",
            b"\xff\xfe\x80",
            b"a\x0bb",
            b",,,,",
            b"5, 6",
            b"-1",
        ];
        let name = self.of(&names);
        let value = if self.one_in(3) { self.bytes(40) } else { self.of(&values).to_vec() };
        (name, value)
    }
}

struct Run {
    draw: Draw,
    host: Host,
    streams: Vec<StreamId>,
}

impl Run {
    fn request(&mut self) {
        let method = self
            .draw
            .of(&["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE", "CONNECT", "X\u{e9}"]);
        let path = self.draw.path();
        let mut request = Request::new(method, &path);
        for _ in 0..self.draw.below(6) {
            let (name, value) = self.draw.field();
            request = request.header(name, value);
        }
        if self.draw.one_in(8) {
            request = request.authority(["", "h:99999", "H", "[::1]", "\u{e9}"][self.draw.below(5)]);
        }
        if self.draw.one_in(8) {
            request = request.scheme(["", "https", "ftp"][self.draw.below(3)]);
        }
        if self.draw.one_in(5) {
            request = request.body(self.draw.bytes(64));
        }
        if self.draw.one_in(6) {
            request = request.http2();
        }
        if self.draw.one_in(10) {
            request = request.trailers([("x-t", "1")]);
        }
        let worker = self.draw.below(2);
        self.streams.push(self.host.request(worker, request));
    }

    fn response(&mut self) -> Response {
        let status = self.draw.of(&[200, 200, 200, 204, 206, 301, 304, 404, 410, 416, 500, 503, 504, 599, 101]);
        let mut response = Response::new(status);
        for _ in 0..self.draw.below(8) {
            let (name, value) = self.draw.field();
            if name != "transfer-encoding" && name != "content-length" {
                response = response.header(name, value);
            }
        }
        let size = self.draw.of(&[0, 1, 100, 9_000, 70_000]);
        response = response.body(vec![b'b'; size]);
        if self.draw.one_in(3) {
            response = response.chunked();
        }
        if self.draw.one_in(6) {
            response = response.trailers([("x-sum", "1")]);
        }
        response
    }

    /// A request that the origin has not answered.
    fn unanswered(&mut self) -> Option<StreamId> {
        let open = self.host.upstream_requests();
        let is_open = |stream: &StreamId| self.host.upstream(*stream).is_some_and(|seen| !seen.answered && !seen.reset);
        let open: Vec<StreamId> = open.into_iter().filter(is_open).collect();
        (!open.is_empty()).then(|| self.draw.of(&open))
    }

    fn any_stream(&mut self) -> Option<StreamId> {
        (!self.streams.is_empty()).then(|| self.draw.of(&self.streams))
    }

    fn answer(&mut self) {
        let Some(stream) = self.unanswered() else { return };
        match self.draw.below(8) {
            0 => {
                let failure = self.draw.of(&[
                    UpstreamFailure::ConnectionRefused,
                    UpstreamFailure::ConnectionReset,
                    UpstreamFailure::Timeout,
                    UpstreamFailure::NoHealthyHost,
                ]);
                self.host.fail_upstream(stream, failure);
            }
            1 | 2 => self.answer_in_pieces(stream),
            _ => {
                let response = self.response();
                self.host.respond(stream, response);
            }
        }
    }

    fn answer_in_pieces(&mut self, stream: StreamId) {
        let mut headers = Headers::new();
        headers.append(":status", self.draw.of(&["200", "404", "304"]));
        for _ in 0..self.draw.below(5) {
            let (name, value) = self.draw.field();
            headers.append(name, value);
        }
        let mut end = self.draw.one_in(5);
        self.host.respond_headers(stream, headers, end);
        for _ in 0..self.draw.below(4) {
            if end {
                return;
            }
            end = self.draw.one_in(4);
            self.host.respond_body(stream, vec![b'p'; self.draw.below(20_000)], end);
        }
        // What has not ended by now is cut, or hangs until somebody loses patience.
        if !end && self.draw.one_in(2) {
            self.host.respond_truncated(stream);
        }
    }

    fn call(&mut self) {
        let calls = self.host.calls();
        if calls.is_empty() {
            return;
        }
        let call = calls[self.draw.below(calls.len())].id;
        match self.draw.below(4) {
            0 => self.host.fail_call(call),
            1 => self.host.refuse_call(call),
            _ => {
                let response = self.response();
                self.host.answer_call(call, response);
            }
        }
    }

    fn configure(&mut self) {
        let mut text = POLICY.as_bytes().to_vec();
        match self.draw.below(5) {
            0 => text.truncate(self.draw.below(text.len())),
            1 => {
                let at = self.draw.below(text.len());
                text[at] = self.draw.next() as u8;
            }
            2 => text = self.draw.bytes(200),
            3 => text = b"\n\x13\n\x07version\x12\x08\x11\0\0\0\0\0\0\xf0?".to_vec(),
            _ => {}
        }
        match self.host.reload(&text) {
            Ok(()) | Err(HostError::Rejected(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn step(&mut self) {
        match self.draw.below(20) {
            0..8 => self.request(),
            8..14 => self.answer(),
            14 | 15 => self.call(),
            16 | 17 => {
                let millis = self.draw.of(&[1, 100, 1_000, 6_000, 40_000, 4_000_000]);
                self.host.advance(Duration::from_millis(millis));
            }
            18 => {
                if let Some(stream) = self.any_stream() {
                    self.host.client_gone(stream);
                }
            }
            _ => self.configure(),
        }
    }
}

#[test]
fn nothing_traps_the_vm() {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let seeds = match std::env::var("LARDER_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        println!("LARDER_SEED={seed}");
        let config = Config { workers: 2, ..Config::new(POLICY) };
        let host = Host::start(&plugin, config).expect("the policy is fine");
        let mut run = Run { draw: Draw(seed), host, streams: Vec::new() };
        for step in 0..STEPS {
            run.step();
            let traps = run.host.traps();
            assert!(traps.is_empty(), "seed {seed}, step {step}: {traps:?}");
        }
        // And none is left behind: everything that waits is let go in the end.
        while let Some(stream) = run.unanswered() {
            run.host.respond(stream, Response::new(200).body("end"));
        }
        run.host.advance(Duration::from_secs(400));
        assert!(run.host.traps().is_empty(), "seed {seed}, at the end: {:?}", run.host.traps());
    }
}
