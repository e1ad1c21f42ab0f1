//! A worker that has not heard from the purge log for too long: what is in its memory is not used, not even where the origin fails, but
//! for what was fetched meanwhile for whoever waited for it.

use std::sync::Arc;

use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{LookupAnswer, Message, PollAnswer};
use larder_core::cluster::{CallFailure, Settings};
use larder_core::exchange::{RequestVerdict, ResponseVerdict};
use larder_core::fields::{Fields, RequestHead, ResponseHead};
use larder_core::flights::{StreamId, Wake};
use larder_core::purge::{Position, Sequence};
use larder_core::time::{Millis, Timestamp};
use larder_core::{Effect, Exchange, Policy, Worker};

const POSITION: Position = Position { log: 1, sequence: Sequence(0) };

struct World {
    policy: Arc<Policy>,
    worker: Worker,
    now: Timestamp,
    streams: u64,
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    Fields::from_pairs(lines.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())))
}

impl World {
    fn new() -> Self {
        let text = r#"{ "version": 1, "name": "lag", "defaults": { "stale": { "if_error": "1h" } } }"#;
        let policy = Policy::parse(text).unwrap_or_else(|errors| panic!("{errors}"));
        let mut worker = Worker::new(1 << 20, 1);
        worker.use_cluster(Some(Settings::default()));
        let mut world = Self { policy: Arc::new(policy), worker, now: Timestamp::from_secs(1_700_000_000), streams: 0 };
        world.hears(true);
        world
    }

    /// The log says that nothing was purged.
    fn hears(&mut self, begins_anew: bool) {
        let heard = PollAnswer { position: POSITION, begins_anew, records: Vec::new(), policies: None };
        self.worker.heard(self.now, &heard);
    }

    /// A request goes to the origin, since the cluster says nothing, or that it has nothing.
    fn forwards(&mut self, language: &str, silent: bool) -> Exchange {
        let (mut exchange, _, verdict) = self.asks(language);
        assert!(matches!(verdict, RequestVerdict::Wait), "{verdict:?}");
        let miss =
            LookupAnswer { now: self.now, position: POSITION, lease: Lease::None, found: None, other_variants: false };
        let answer = if silent { Err(CallFailure::TimedOut) } else { Ok(miss.encode().into()) };
        let verdict = exchange.on_lookup(self.now, answer, &mut self.worker, &mut Vec::new());
        assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
        exchange
    }

    fn asks(&mut self, language: &str) -> (Exchange, StreamId, RequestVerdict) {
        self.streams += 1;
        let id = StreamId(self.streams);
        let head = RequestHead {
            method: "GET".into(),
            scheme: "http".into(),
            authority: "h.example".into(),
            target: "/a".into(),
            fields: fields(&[("accept-language", language)]),
            has_body: false,
        };
        let mut exchange = Exchange::new(self.policy.clone(), id);
        let verdict = exchange.on_request(self.now, head, &mut self.worker, &mut Vec::new());
        (exchange, id, verdict)
    }

    /// The origin answers; says who is woken.
    fn answers(&mut self, exchange: &mut Exchange) -> Vec<(StreamId, Wake)> {
        let mut out = Vec::new();
        let lines = fields(&[("cache-control", "max-age=600"), ("vary", "accept-language")]);
        let head = ResponseHead { status: 200, fields: lines, ..ResponseHead::default() };
        let verdict = exchange.on_response(self.now, head, &mut self.worker, &mut out);
        assert!(matches!(verdict, ResponseVerdict::Pass { capture: true, .. } | ResponseVerdict::Hold), "{verdict:?}");
        exchange.on_end(self.now, b"body", &mut self.worker, &mut out);
        exchange.on_close(&mut self.worker, &mut out);
        let woken = |effect| if let Effect::Wake(id, wake) = effect { Some((id, wake)) } else { None };
        out.into_iter().filter_map(woken).collect()
    }
}

#[test]
fn what_landed_answers_who_waited_for_it_and_not_who_waited_beside_it() {
    let mut world = World::new();
    let mut first = world.forwards("fr", false);
    world.answers(&mut first);

    // Nothing is heard from the log for longer than is allowed: in French there may be another text by now.
    world.now = world.now.plus(Millis(10_000));
    let (mut leader, _, verdict) = world.asks("en");
    assert!(matches!(verdict, RequestVerdict::Wait), "{verdict:?}");
    let followers = ["fr", "en"].map(|language| world.asks(language));
    let silent = Err(CallFailure::TimedOut);
    let verdict = leader.on_lookup(world.now, silent, &mut world.worker, &mut Vec::new());
    assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
    world.now = world.now.plus(Millis(100));
    let woken = world.answers(&mut leader);
    for ((mut follower, id, verdict), answered) in followers.into_iter().zip([false, true]) {
        assert!(matches!(verdict, RequestVerdict::Wait), "{verdict:?}");
        assert!(woken.contains(&(id, Wake::Landed)), "{woken:?}");
        let verdict = follower.on_wake(world.now, Wake::Landed, &mut world.worker, &mut Vec::new());
        assert_eq!(matches!(verdict, RequestVerdict::Respond(_)), answered, "{verdict:?}");
    }
}

#[test]
fn what_may_have_been_purged_does_not_stand_in_for_a_failing_origin() {
    for (heard, stands_in) in [(true, true), (false, false)] {
        let mut world = World::new();
        let mut first = world.forwards("fr", false);
        world.answers(&mut first);
        world.now = world.now.plus(Millis(700_000));
        if heard {
            world.hears(false);
        }
        let mut second = world.forwards("fr", true);
        let head = ResponseHead { status: 503, ..ResponseHead::default() };
        let verdict = second.on_response(world.now, head, &mut world.worker, &mut Vec::new());
        assert_eq!(matches!(verdict, ResponseVerdict::Replace(_)), stands_in, "{heard}: {verdict:?}");
    }
}
