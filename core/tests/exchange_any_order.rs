//! A host may call in any order and hand over any head: the exchange neither panics nor stores what it should not.
//! Sequences are drawn from a printed seed.

use larder_core::exchange::{Answer, Edit, Effect, RequestVerdict, ResponseVerdict};
use larder_core::fields::{Failure, Source};
use larder_core::flights::{StreamId, Wake};
use larder_core::{Exchange, Fields, Policy, RequestHead, ResponseHead, Timestamp, Worker};
use std::sync::Arc;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.roll(list.len())]
    }
}

const METHODS: [&str; 8] = ["GET", "GET", "GET", "HEAD", "POST", "PURGE", "", "M-SEARCH"];
const TARGETS: [&str; 7] = ["/a", "/a?x=1", "", "*", "/../a", "/a;b", "/%2f\u{fffd}"];
const NAMES: [&str; 24] = [
    "cache-control",
    "etag",
    "if-none-match",
    "if-modified-since",
    "last-modified",
    "range",
    "if-range",
    "vary",
    "age",
    "date",
    "expires",
    "set-cookie",
    "cookie",
    "authorization",
    "content-length",
    "cache-status",
    "no-vary-search",
    "surrogate-key",
    "cache-groups",
    "cache-group-invalidation",
    "location",
    "accept-language",
    "connection",
    "x-larder-lease",
];
const VALUES: [&[u8]; 26] = [
    b"",
    b"max-age=60",
    b"max-age=1, stale-while-revalidate=9",
    b"no-cache",
    b"no-store",
    b"public, s-maxage=99999999999",
    b"private",
    b"only-if-cached",
    b"\"a\"",
    b"W/\"a\"",
    b"*",
    b"bytes=0-1",
    b"bytes=-9999999999999999999",
    b"bytes=9-1",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"\xff\xfe",
    b"a\r\nb: c",
    b"\"unterminated",
    b"accept-language",
    b"params=(\"x\")",
    b"(\"g\")",
    b"//other/x",
    b"/a",
];

fn fields(dice: &mut Dice) -> Fields {
    let mut fields = Fields::new();
    for _ in 0..dice.roll(7) {
        let (name, value) = (*dice.pick(&NAMES), *dice.pick(&VALUES));
        fields.add(name, value);
    }
    fields
}

fn request(dice: &mut Dice) -> RequestHead {
    RequestHead {
        method: dice.pick(&METHODS).to_string(),
        scheme: dice.pick(&["http", "https", ""]).to_string(),
        authority: dice.pick(&["h.example", "H.example:80", ""]).to_string(),
        target: dice.pick(&TARGETS).to_string(),
        fields: fields(dice),
        has_body: dice.roll(8) == 0,
    }
}

fn response(dice: &mut Dice) -> ResponseHead {
    ResponseHead {
        status: *dice.pick(&[200, 200, 200, 204, 206, 301, 304, 404, 412, 500, 503, 0, 999]),
        fields: fields(dice),
        source: *dice.pick(&[Source::Origin, Source::Origin, Source::Failure(Failure::Timeout)]),
        ends: dice.roll(4) == 0,
    }
}

fn policies() -> Vec<Arc<Policy>> {
    [
        r#"{"version":1,"name":"bare"}"#,
        r#"{"version":1,"name":"eager","defaults":{"ttl":"9s","etag":"strong","request_directives":"obey","vary":"any",
            "status_ttl":{"4xx":"1s","5xx":"1s"},"stale":{"while_revalidate":"5s","if_error":"1m"},"last_modified":"stored",
            "limits":{"object_bytes":64,"hold_bytes":16,"variants_per_key":2,"tags_per_entry":2},
            "key":{"accept_language":["en","de"],"query":{"deny":["x"]},"user":["authorization"]}}}"#,
        r#"{"version":1,"name":"unsafe","defaults":{"ttl":"9s","override":"unsafe","identity":{"authorization":"ignore","set_cookie":"keep"}}}"#,
    ]
    .into_iter()
    .filter_map(|text| Policy::parse(text).ok().map(Arc::new))
    .collect()
}

#[test]
fn no_sequence_of_calls_panics() {
    let policies = policies();
    assert!(policies.len() >= 2, "the test's own policies parse");
    for seed in 1..400u64 {
        println!("seed {seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut worker = Worker::new(*dice.pick(&[0, 4096, 1 << 20]), seed);
        worker.follows = seed % 2 == 0;
        let mut now = Timestamp::from_secs(1_700_000_000);
        let mut open: Vec<Exchange> = Vec::new();
        let mut refreshes = Vec::new();
        for id in 0..120 {
            let mut out = Vec::new();
            now = Timestamp(now.0 + dice.roll(3000) as u64);
            if open.len() < 4 {
                open.push(Exchange::new(dice.pick(&policies).clone(), StreamId(id)));
            }
            let at = dice.roll(open.len());
            let exchange = &mut open[at];
            for _ in 0..=dice.roll(4) {
                match dice.roll(6) {
                    0 | 1 => {
                        let head = request(&mut dice);
                        if let RequestVerdict::Respond(reply) = exchange.on_request(now, head, &mut worker, &mut out) {
                            assert!((200..600).contains(&reply.status));
                            let _ = reply.body();
                        }
                    }
                    2 => {
                        let wake = *dice.pick(&[
                            Wake::Announced,
                            Wake::Landed,
                            Wake::Lead,
                            Wake::Released,
                            Wake::Failed,
                            Wake::TimedOut,
                        ]);
                        let _ = exchange.on_wake(now, wake, &mut worker, &mut out);
                    }
                    3 => {
                        let head = response(&mut dice);
                        if let ResponseVerdict::Pass { edits, .. } =
                            exchange.on_response(now, head, &mut worker, &mut out)
                        {
                            assert!(
                                !edits.iter().any(|edit| matches!(edit, Edit::Target(_) | Edit::Route)),
                                "a response has no target"
                            );
                        }
                    }
                    4 => drop(exchange.on_body(now, dice.roll(200) as u64, &mut worker, &mut out)),
                    _ => drop(exchange.on_end(now, &vec![b'x'; dice.roll(100)], &mut worker, &mut out)),
                }
            }
            if dice.roll(3) == 0 {
                open.swap_remove(at).on_close(&mut worker, &mut out);
            }
            refreshes.extend(out.into_iter().filter_map(|effect| match effect {
                Effect::Refresh(refresh) => Some(refresh),
                _ => None,
            }));
            if dice.roll(4) == 0
                && let Some(refresh) = refreshes.pop()
            {
                let answer =
                    if dice.roll(2) == 0 { Answer::Failed } else { Answer::Response(response(&mut dice), b"xx") };
                refresh.finish(now, answer, &mut worker, &mut Vec::new());
            }
            drop(worker.flights.overdue(now));
        }
        assert!(worker.shelf.bytes() <= 1 << 20);
        let mut out = Vec::new();
        open.iter_mut().for_each(|exchange| exchange.on_close(&mut worker, &mut out));
    }
}
