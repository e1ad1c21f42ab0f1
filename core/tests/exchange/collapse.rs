//! Who asks the origin for whom, where what the first one was told is not for the others.

use larder_core::cluster::message::{LookupAnswer, Message};
use larder_core::cluster::{Settings, leases::Lease};
use larder_core::exchange::{Effect, RequestVerdict};
use larder_core::flights::{StreamId, Wake};
use larder_core::purge::{Mode, Position, Scope};
use larder_core::{Exchange, ResponseHead};

use crate::world::{Lines, World, fields};

const LONG: (&str, &str) = ("cache-control", "max-age=60");

/// Streams by their numbers, and what the core has said of them that was not done yet.
struct Crowd {
    world: World,
    streams: Vec<Exchange>,
    woken: Vec<(StreamId, Wake)>,
}

impl Crowd {
    /// So many requests of one key; the first is at the origin or the cluster, the others wait.
    fn of(world: World, targets: &[&str]) -> Self {
        let mut crowd = Self { world, streams: Vec::new(), woken: Vec::new() };
        for (index, target) in targets.iter().enumerate() {
            let (exchange, verdict) = crowd.world.ask("GET", target, &[]);
            let leads = matches!(verdict, RequestVerdict::Forward(_)) || crowd.world.worker.cluster.is_some();
            assert!(if index == 0 { leads } else { matches!(verdict, RequestVerdict::Wait) }, "{verdict:?}");
            crowd.streams.push(exchange);
        }
        crowd
    }

    /// The origin answers the stream of this number.
    fn answered(&mut self, stream: usize, lines: Lines<'_>) {
        let head = ResponseHead { status: 200, fields: fields(lines), ..ResponseHead::default() };
        let exchange = &mut self.streams[stream - 1];
        let mut out = Vec::new();
        exchange.on_response(self.world.now, head, &mut self.world.worker, &mut out);
        exchange.on_end(self.world.now, b"body", &mut self.world.worker, &mut out);
        exchange.on_close(&mut self.world.worker, &mut out);
        self.note(out);
    }

    /// Wakes whoever is to be woken, and says what each of them does now.
    fn wake(&mut self) -> Vec<(u64, Wake, &'static str)> {
        let mut done = Vec::new();
        while !self.woken.is_empty() {
            for (id, wake) in std::mem::take(&mut self.woken) {
                let mut out = Vec::new();
                let exchange = &mut self.streams[id.0 as usize - 1];
                let verdict = match exchange.on_wake(self.world.now, wake, &mut self.world.worker, &mut out) {
                    RequestVerdict::Wait if out.iter().any(|effect| matches!(effect, Effect::Lookup(_))) => "look-up",
                    RequestVerdict::Wait => "waits",
                    RequestVerdict::Forward(_) => "origin",
                    RequestVerdict::Respond(_) => "answered",
                    other => panic!("{other:?}"),
                };
                done.push((id.0, wake, verdict));
                self.note(out);
            }
        }
        done
    }

    fn note(&mut self, out: Vec<Effect>) {
        self.woken.extend(out.into_iter().filter_map(|effect| match effect {
            Effect::Wake(id, wake) => Some((id, wake)),
            _ => None,
        }));
    }
}

#[test]
fn where_the_answer_was_purged_before_it_was_whole_one_asks_anew_for_all() {
    for mode in [Mode::Hard, Mode::Soft] {
        let mut crowd = Crowd::of(World::new(""), &["/a"; 5]);
        crowd.world.worker.purge(Scope::All, mode);
        crowd.answered(1, &[LONG]);
        assert_eq!(crowd.wake(), [(2, Wake::Lead, "origin")], "{mode:?}");
        crowd.answered(2, &[LONG]);
        let landed = |id| (id, Wake::Landed, "answered");
        assert_eq!(crowd.wake(), [3, 4, 5].map(landed), "{mode:?}");
        assert!(crowd.world.worker.flights.is_empty());
    }
}

/// RFC 9111 has no such thing; the No-Vary-Search draft lets a response say which parts of a query matter to it.
#[test]
fn where_the_answer_changes_the_key_and_is_purged_one_asks_anew_for_all() {
    let world = || World::new(r#""key":{"no_vary_search":true}"#);
    let no_vary_search = ("no-vary-search", r#"params=("x")"#);
    let mut crowd = Crowd::of(world(), &["/a?x=1"; 4]);
    crowd.world.worker.purge(Scope::All, Mode::Hard);
    crowd.answered(1, &[LONG, no_vary_search]);
    let told = crowd.wake();
    let at_origin: Vec<_> = told.iter().filter(|(.., verdict)| *verdict == "origin").collect();
    assert_eq!(at_origin, [&(2, Wake::Lead, "origin")], "{told:?}");
    crowd.answered(2, &[LONG, no_vary_search]);
    assert_eq!(
        crowd.wake().into_iter().map(|(id, _, verdict)| (id, verdict)).collect::<Vec<_>>(),
        [(3, "answered"), (4, "answered")]
    );
    assert!(crowd.world.worker.flights.is_empty(), "nobody leads a flight that nobody will end");
}

#[test]
fn whoever_takes_the_lead_keeps_it_while_the_cluster_is_asked() {
    let mut world = World::new("");
    world.worker.use_cluster(Some(Settings::default()));
    world.worker.begin_anew(Position { log: 1, ..Position::default() });
    let mut crowd = Crowd::of(world, &["/a"; 4]);
    let mut out = Vec::new();
    crowd.streams[0].on_close(&mut crowd.world.worker, &mut out);
    crowd.note(out);
    assert_eq!(crowd.wake(), [(2, Wake::Lead, "look-up")], "the others wait for that one");
    let position = crowd.world.worker.purges.position();
    let answer =
        LookupAnswer { now: crowd.world.now, position, lease: Lease::Granted(7), found: None, other_variants: false };
    let mut out = Vec::new();
    let verdict =
        crowd.streams[1].on_lookup(crowd.world.now, Ok(answer.encode().into()), &mut crowd.world.worker, &mut out);
    assert!(matches!(verdict, RequestVerdict::Forward(_)), "{verdict:?}");
    crowd.note(out);
    assert_eq!(crowd.wake(), []);
    crowd.answered(2, &[LONG]);
    assert_eq!(crowd.wake(), [3, 4].map(|id| (id, Wake::Landed, "answered")));
    assert!(crowd.world.worker.flights.is_empty());
}
