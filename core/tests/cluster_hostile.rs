//! A lying cluster: a worker that asks takes up nothing that does not fit what it asked for, never panics, and every request comes
//! to exactly one end. Sequences are drawn from a printed seed.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Found, LookupAnswer, Message, PollAnswer};
use larder_core::cluster::{CallFailure, Settings};
use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, Facts, wire};
use larder_core::exchange::{Answer, Effect, RefreshStep, RequestVerdict, ResponseVerdict};
use larder_core::flights::{StreamId, Wake};
use larder_core::purge::{Mode, Position, Record, Scope, Sequence};
use larder_core::time::Seconds;
use larder_core::{Exchange, Fields, Policy, RequestHead, ResponseHead, Timestamp, Worker};

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

const POLICY: &str = r#"{"version":1,"name":"m","defaults":{"purge_method":"token"},"routes":[
    {"name":"a","path":"/{id}","ttl":"9s","tags":["t:{id}"],"stale":{"while_revalidate":"9s","if_error":"9s"},
     "invalidate":{"tags":["t:{id}"]}}]}"#;

fn policy() -> Arc<Policy> {
    Arc::new(Policy::parse(POLICY).expect("the policy parses"))
}

fn request(dice: &mut Dice) -> RequestHead {
    let mut fields = Fields::new();
    for _ in 0..dice.roll(3) {
        let (name, value) = *dice.pick(&[
            ("if-none-match", "\"e\""),
            ("range", "bytes=0-1"),
            ("authorization", "Bearer t"),
            ("accept-language", "de"),
            ("cache-control", "only-if-cached"),
            ("x-larder-serve", "x"),
            ("surrogate-key", "a b"),
        ]);
        fields.add(name, value);
    }
    RequestHead {
        method: dice.pick(&["GET", "GET", "GET", "HEAD", "DELETE", "PURGE"]).to_string(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: format!("/{}", dice.roll(30)),
        fields,
        has_body: dice.roll(20) == 0,
    }
}

fn record(dice: &mut Dice, now: Timestamp, target: &str, key: &str) -> Bytes {
    let asked = format!("http://h.example{target}");
    let mut fields = Fields::new();
    for _ in 0..dice.roll(3) {
        let (name, value) = *dice.pick(&[
            ("etag", "\"e\""),
            ("content-language", "de"),
            ("vary", "accept-language"),
            ("cache-control", "no-store"),
            ("content-length", "99999"),
            ("x", "a\r\nb: c"),
        ]);
        fields.add(name, value);
    }
    let vary = if dice.roll(3) == 0 { vec![("accept-language".into(), Some(b"de".to_vec()))] } else { vec![] };
    let at = Timestamp(now.0.saturating_sub(dice.roll(30_000) as u64).saturating_add(dice.roll(2) as u64 * 5000));
    let url: String =
        dice.pick(&[asked.as_str(), asked.as_str(), asked.as_str(), "http://evil.example/a", ""]).to_string();
    let entry = Entry::new(Facts {
        url: url.clone(),
        status: *dice.pick(&[200, 200, 200, 404, 304, 0, 999]),
        fields,
        // Its bytes say whose they are.
        body: url.into(),
        times: Times { request: at, response: at, date: None, age: Seconds::ZERO },
        vary: VaryKey(vary),
        tags: vec!["t:a".into()],
        position: Position { log: dice.roll(3) as u64, sequence: Sequence(dice.roll(9) as u64) },
        made_etag: dice.roll(2) == 0,
        identified: false,
        personal: false,
    });
    let written_for = *dice.pick(&[key, key, key, "another"]);
    let mut bytes = wire::encode(&entry, written_for, now, dice.roll(4) != 0);
    if dice.roll(6) == 0 {
        let at = dice.roll(bytes.len());
        bytes[at] ^= 1 << dice.roll(8);
    }
    bytes.into()
}

fn answer(dice: &mut Dice, now: Timestamp, target: &str, key: &str) -> Result<Bytes, CallFailure> {
    if dice.roll(6) == 0 {
        return Err(*dice.pick(&[CallFailure::TimedOut, CallFailure::Unreachable, CallFailure::Nonsense]));
    }
    let lease =
        *dice.pick(&[Lease::None, Lease::Granted(7), Lease::Granted(8), Lease::Busy, Lease::Busy, Lease::Uncacheable]);
    let large = dice.roll(3) == 0;
    let found = (dice.roll(2) == 0).then(|| {
        let record = record(dice, now, target, key);
        let whole = wire::decode(&record, key).map_or(4, |(entry, _)| entry.facts().body.len() as u32);
        Found { soft: dice.roll(3) == 0, body_bytes: if large { 70_000 } else { whole }, record }
    });
    let sequence = Sequence(*dice.pick(&[3, 20, 20, 20]));
    let position = Position { log: *dice.pick(&[1, 1, 1, 1, 1, 2]), sequence };
    let there = Timestamp(now.0.saturating_add(dice.roll(3) as u64 * 4000));
    let mut bytes = LookupAnswer { now: there, position, lease, found, other_variants: dice.roll(2) == 0 }.encode();
    if dice.roll(8) == 0 {
        bytes.truncate(dice.roll(bytes.len()));
    }
    Ok(bytes.into())
}

fn poll(dice: &mut Dice) -> PollAnswer {
    let scopes = [Scope::All, Scope::Tag("t:1".into()), Scope::Url("http://h.example/2".into())];
    let records = (0..dice.roll(3))
        .map(|_| Record {
            sequence: Sequence(dice.roll(12) as u64),
            scope: dice.pick(&scopes).clone(),
            mode: *dice.pick(&[Mode::Hard, Mode::Soft]),
        })
        .collect();
    PollAnswer {
        position: Position { log: *dice.pick(&[1, 1, 2]), sequence: Sequence(dice.roll(12) as u64) },
        begins_anew: dice.roll(10) == 0,
        records,
        policies: None,
    }
}

#[test]
fn nothing_that_a_cluster_says_is_taken_for_what_was_not_asked_for() {
    let policy = policy();
    let (mut answered, mut rerouted) = (0, 0);
    for seed in 1..2000u64 {
        println!("seed {seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut worker = Worker::new(1 << 20, seed);
        let reroute_above = (dice.roll(2) == 0).then_some(3);
        worker.use_cluster(Some(Settings { reroute_above, ..Settings::default() }));
        let mut now = Timestamp::from_secs(1_700_000_000);
        for id in 0..60 {
            now = Timestamp(now.0 + dice.roll(2000) as u64);
            if dice.roll(3) == 0 {
                worker.heard(now, &poll(&mut dice));
            }
            let mut out = Vec::new();
            let mut exchange = Exchange::new(policy.clone(), StreamId(id));
            let head = request(&mut dice);
            let target = head.target.clone();
            let mut verdict = exchange.on_request(now, head, &mut worker, &mut out);
            // However it is answered, a request that waits is told something a bounded number of times.
            for _ in 0..4 {
                if !matches!(verdict, RequestVerdict::Wait) {
                    break;
                }
                let asked = out.iter().find_map(|effect| match effect {
                    Effect::Lookup(call) => Some(call.name.clone()),
                    _ => None,
                });
                verdict = if let Some(key) = asked {
                    exchange.on_lookup(now, answer(&mut dice, now, &target, &key), &mut worker, &mut out)
                } else {
                    exchange.on_wake(
                        now,
                        *dice.pick(&[Wake::Landed, Wake::Lead, Wake::Released]),
                        &mut worker,
                        &mut out,
                    )
                };
            }
            match verdict {
                RequestVerdict::Respond(reply) => {
                    answered += 1;
                    assert!((200..600).contains(&reply.status), "{}", reply.status);
                    let body = String::from_utf8_lossy(reply.body()).into_owned();
                    assert!(
                        !body.contains("evil") && (!body.starts_with("http://h") || body.ends_with(&target)),
                        "{target}: {body}"
                    );
                }
                RequestVerdict::Reroute(_) => {
                    rerouted += 1;
                    let source = ResponseHead { status: *dice.pick(&[200, 404, 503, 0]), ..ResponseHead::default() };
                    if matches!(exchange.on_response(now, source, &mut worker, &mut out), ResponseVerdict::Wait) {
                        let head = ResponseHead { status: 200, ..ResponseHead::default() };
                        let reply = exchange.on_fetched(now, Answer::Response(head, b"own"), &mut worker, &mut out);
                        assert_eq!(reply.map(|reply| reply.body().to_vec()), Some(b"own".to_vec()));
                    }
                }
                RequestVerdict::Forward(_) => {
                    let head = ResponseHead { status: *dice.pick(&[200, 200, 304, 503]), ..ResponseHead::default() };
                    if let ResponseVerdict::Pass { capture: true, .. } | ResponseVerdict::Hold =
                        exchange.on_response(now, head, &mut worker, &mut out)
                    {
                        exchange.on_end(now, b"own", &mut worker, &mut out);
                    }
                }
                RequestVerdict::Follow(..) => panic!("this host cannot follow"),
                RequestVerdict::Wait => {}
            }
            exchange.on_close(&mut worker, &mut out);
            for effect in std::mem::take(&mut out) {
                if let Effect::Refresh(mut refresh) = effect {
                    let asks = refresh.lookup(&worker);
                    let step = if let Some(call) = asks {
                        refresh.on_lookup(now, answer(&mut dice, now, &target, &call.name), &mut worker, &mut out)
                    } else {
                        RefreshStep::Fetch
                    };
                    if step == RefreshStep::Fetch {
                        let head = ResponseHead { status: 200, ..ResponseHead::default() };
                        refresh.finish(now, Answer::Response(head, b"own"), &mut worker, &mut out);
                    }
                }
            }
            drop(worker.flights.overdue(now));
        }
        assert!(worker.flights.is_empty(), "nobody is left waiting");
    }
    println!("{answered} answered, {rerouted} rerouted");
    assert!(answered > 1000 && rerouted > 50);
}
