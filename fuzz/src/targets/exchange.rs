//! The core's machine, driven in any order: requests, answers of the origin and of the cluster, wakes, purges, time. It never panics, wakes
//! whoever waits, keeps within its memory, and hands out only what the origin said to the same host and path, and said might be kept.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{Found, Lookup, LookupAnswer, Message, PollAnswer};
use larder_core::cluster::{CallFailure, Settings};
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, wire};
use larder_core::exchange::{
    Answer, BodyVerdict, Edit, EndVerdict, Refresh, RefreshStep, Reply, ReplyBody, RequestVerdict, ResponseVerdict,
};
use larder_core::field::hop::is_clean;
use larder_core::fields::{Failure, Fields, RequestHead, ResponseHead, Source};
use larder_core::flights::{StreamId, Wake};
use larder_core::purge::{Mode, Position, Record, Scope, Sequence};
use larder_core::time::{Millis, Timestamp};
use larder_core::{Effect, Exchange, Policy, Worker};

use super::record::entry;
use super::words;
use crate::input::Input;

const SHELF_BYTES: u64 = 64 << 10;
const STREAMS_MAX: usize = 12;

/// What the origin says of a response that nobody may keep.
const NOT_TO_BE_KEPT: &[u8] = b"NOT TO BE KEPT";

/// Policy and worker, then what happens.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(&mut input);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.hold();
    }
    world.end();
}

fn policies() -> &'static [Arc<Policy>] {
    static POLICIES: OnceLock<Vec<Arc<Policy>>> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let read = |text: &&str| Arc::new(Policy::parse(text).unwrap_or_else(|errors| panic!("{errors}")));
        words::POLICIES.iter().map(read).collect()
    })
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Wake,
    Lookup,
    Origin,
    Body { so_far: u64, captured: bool },
    Fetch,
    Nothing,
}

struct Stream {
    exchange: Exchange,
    awaits: Awaits,
    asked: RequestHead,
    /// Under which name the cluster was asked for its key.
    name: Option<String>,
    body: Vec<u8>,
}

struct World {
    now: Timestamp,
    worker: Worker,
    policy: Arc<Policy>,
    streams: BTreeMap<u64, Stream>,
    next: u64,
    refreshes: Vec<Refresh>,
    effects: Vec<Effect>,
    log: Position,
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let policy = input.one_of(&[0, 1, 2]);
        let policy = policies()[policy].clone();
        let mut worker = Worker::new(SHELF_BYTES, input.number());
        let flags = input.byte();
        worker.holds = flags & 1 == 0;
        if flags & 2 == 2 {
            let reroute_above = (flags & 4 == 4).then_some(64);
            worker.use_cluster(Some(Settings { reroute_above, ..Settings::default() }));
        }
        if flags & 8 == 8 {
            worker.set_shadow(Some(&policies()[0]));
        }
        let log = Position { log: 7, sequence: Sequence(1) };
        let now = Timestamp(1_767_225_600_000);
        Self { now, worker, policy, streams: BTreeMap::new(), next: 0, refreshes: Vec::new(), effects: Vec::new(), log }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=3 => self.request(input),
            4..=6 => self.origin(input),
            7 => self.body(input),
            8 => self.lookup(input),
            9 => {
                let jump = input.number();
                let millis = if input.flag() { jump } else { jump % 100_000 };
                self.now = if input.byte().is_multiple_of(8) {
                    Timestamp(self.now.0.saturating_sub(millis))
                } else {
                    Timestamp(self.now.0.saturating_add(millis))
                };
                for (id, wake) in self.worker.flights.overdue(self.now) {
                    self.wake(id, wake);
                }
            }
            10 => self.purge(input),
            11 => self.refreshed(input),
            12 => {
                if let Some(id) = self.any(input, |_| true) {
                    self.close(id);
                }
            }
            13 => self.out_of_order(input),
            14 => self.poll(input),
            _ => self.policy = policies()[input.below(3)].clone(),
        }
        self.carry_out();
    }

    fn any(&self, input: &mut Input<'_>, which: impl Fn(&Stream) -> bool) -> Option<u64> {
        let ids: Vec<u64> = self.streams.iter().filter(|(_, stream)| which(stream)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| input.one_of(&ids))
    }

    fn request(&mut self, input: &mut Input<'_>) {
        if self.streams.len() == STREAMS_MAX {
            let oldest = self.streams.keys().next().copied();
            oldest.into_iter().for_each(|id| self.close(id));
        }
        self.next += 1;
        let head = RequestHead {
            method: words::method(input),
            scheme: input.one_of(&["http", "https"]).to_owned(),
            authority: input.one_of(&["a.example", "b.example"]).to_owned(),
            target: words::target(input),
            fields: Fields::from_pairs(words::request_fields(input)),
            has_body: input.byte().is_multiple_of(8),
        };
        let mut exchange = Exchange::new(self.policy.clone(), StreamId(self.next));
        let before = self.effects.len();
        let verdict = exchange.on_request(self.now, head.clone(), &mut self.worker, &mut self.effects);
        self.streams
            .insert(self.next, Stream { exchange, awaits: Awaits::Nothing, asked: head, name: None, body: Vec::new() });
        self.requested(self.next, before, verdict);
    }

    /// What a stream is told; effects from `before` on are its own.
    fn requested(&mut self, id: u64, before: usize, verdict: RequestVerdict) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match verdict {
            RequestVerdict::Wait => {
                let call = self.effects[before..].iter().find_map(|effect| match effect {
                    Effect::Lookup(call) => Some(call),
                    _ => None,
                });
                stream.awaits = if call.is_some() { Awaits::Lookup } else { Awaits::Wake };
                stream.name = call.and_then(|call| Some(Lookup::decode(call.body.clone().into())?.name));
            }
            RequestVerdict::Forward(edits) | RequestVerdict::Reroute(edits) => {
                assert_clean(&edits);
                stream.awaits = Awaits::Origin;
            }
            RequestVerdict::Respond(reply) => {
                stream.awaits = Awaits::Nothing;
                assert_reply(&stream.asked, &reply);
                self.carry_out();
                self.close(id);
            }
            RequestVerdict::Follow(..) => panic!("this host has not said that it can"),
        }
    }

    fn origin(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input, |stream| stream.awaits == Awaits::Origin) else { return };
        let head = self.response(input, id);
        let stream = self.streams.get_mut(&id).expect("it is there");
        let ends = head.ends;
        let verdict = stream.exchange.on_response(self.now, head, &mut self.worker, &mut self.effects);
        match verdict {
            ResponseVerdict::Pass { edits, capture } => {
                assert_clean(&edits);
                stream.awaits = Awaits::Body { so_far: 0, captured: capture };
            }
            ResponseVerdict::Hold => stream.awaits = Awaits::Body { so_far: 0, captured: true },
            ResponseVerdict::Wait => stream.awaits = Awaits::Fetch,
            ResponseVerdict::Replace(reply) => {
                assert_reply(&stream.asked, &reply);
                self.carry_out();
                self.close(id);
                return;
            }
        }
        if ends {
            self.body_ends(id);
        }
    }

    /// A response whose body says what it is an answer to.
    fn response(&mut self, input: &mut Input<'_>, id: u64) -> ResponseHead {
        let stream = self.streams.get_mut(&id).expect("it is there");
        let mut fields = Fields::from_pairs(words::response_fields(input));
        let directives = input.one_of(&words::CACHE_CONTROL);
        fields.set("cache-control", directives);
        let status = input.one_of(&[200, 200, 200, 200, 304, 404, 500, 503, 206, 204, 301, 412]);
        stream.body = about(&stream.asked);
        if words::forbids_keeping(&fields) {
            stream.body.extend_from_slice(NOT_TO_BE_KEPT);
        }
        let size = input.one_of(&[0, 1, 80, 5_000]);
        stream.body.extend(std::iter::repeat_n(b'.', size));
        let source = match input.byte() % 16 {
            0 => Source::Failure(input.one_of(&[Failure::Connect, Failure::Timeout, Failure::Reset, Failure::Other])),
            _ => Source::Origin,
        };
        if input.flag() {
            fields.set("content-length", stream.body.len().to_string());
        }
        let ends = matches!(status, 204 | 304) || stream.asked.method == "HEAD";
        if ends {
            stream.body.clear();
        }
        ResponseHead { status, fields, source, ends }
    }

    fn body(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input, |stream| matches!(stream.awaits, Awaits::Body { .. })) else { return };
        if input.flag() {
            return self.body_ends(id);
        }
        let stream = self.streams.get_mut(&id).expect("it is there");
        let Awaits::Body { so_far, captured } = &mut stream.awaits else { return };
        *so_far = so_far.saturating_add(input.number());
        let verdict = stream.exchange.on_body(self.now, *so_far, &mut self.worker, &mut self.effects);
        match verdict {
            BodyVerdict::Capture => {}
            BodyVerdict::Ignore => *captured = false,
            BodyVerdict::Release { edits, capture } => {
                assert_clean(&edits);
                *captured = capture;
            }
        }
    }

    fn body_ends(&mut self, id: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Awaits::Body { captured, .. } = stream.awaits else { return };
        if captured {
            let body = std::mem::take(&mut stream.body);
            match stream.exchange.on_end(self.now, &body, &mut self.worker, &mut self.effects) {
                EndVerdict::Done => {}
                EndVerdict::Release(edits) => assert_clean(&edits),
                EndVerdict::Replace(reply) => assert_reply(&stream.asked, &reply),
            }
        }
        self.carry_out();
        self.close(id);
    }

    /// The cluster answers: with a record of the right key, of another, bent, or not at all.
    fn lookup(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input, |stream| stream.awaits == Awaits::Lookup) else { return };
        let stream = &self.streams[&id];
        let (asked, name) = (stream.asked.clone(), stream.name.clone());
        let answer = self.cluster(input, &asked, name.as_deref());
        let stream = self.streams.get_mut(&id).expect("it is there");
        stream.awaits = Awaits::Nothing;
        let before = self.effects.len();
        let verdict = stream.exchange.on_lookup(self.now, answer, &mut self.worker, &mut self.effects);
        self.requested(id, before, verdict);
    }

    fn cluster(&self, input: &mut Input<'_>, asked: &RequestHead, name: Option<&str>) -> Result<Bytes, CallFailure> {
        let failures = [CallFailure::TimedOut, CallFailure::Unreachable, CallFailure::Nonsense];
        if input.byte().is_multiple_of(4) {
            return Err(input.one_of(&failures));
        }
        if input.byte().is_multiple_of(8) {
            return Ok(Bytes::copy_from_slice(input.bytes(60)));
        }
        // What a node gives out under a name was stored under it; a lying node's record names another key.
        let mut facts = entry(input).into_facts();
        facts.fields.set("content-length", "9");
        facts.body = about(asked).into();
        if input.flag() {
            let near = |at: Timestamp| Timestamp(at.0.saturating_sub(1000));
            (facts.times.request, facts.times.response, facts.status) = (near(self.now), near(self.now), 200);
            facts.vary = VaryKey::default();
            facts.fields.set("cache-control", input.one_of(&["max-age=60", "max-age=0", "max-age=9, must-revalidate"]));
        }
        let entry = Entry::new(facts);
        let name = name.filter(|_| !input.byte().is_multiple_of(8)).unwrap_or("another-key");
        let record = wire::encode(&entry, name, Timestamp(input.number()), true);
        let found = Found { soft: input.flag(), body_bytes: entry.facts().body.len() as u32, record: record.into() };
        let lease = match input.byte() % 4 {
            0 => Lease::None,
            1 => Lease::Granted(input.number().max(1)),
            2 => Lease::Busy,
            _ => Lease::Uncacheable,
        };
        let answer = LookupAnswer {
            now: if input.flag() { self.now } else { Timestamp(input.number()) },
            position: if input.flag() { self.log } else { Position::default() },
            lease,
            found: input.flag().then_some(found),
            other_variants: input.flag(),
        };
        Ok(answer.encode().into())
    }

    fn purge(&mut self, input: &mut Input<'_>) {
        let scope = match input.byte() % 4 {
            0 => Scope::Url(format!("http://a.example{}", words::target(input))),
            1 => Scope::Tag(input.one_of(&["t", "t:a", "all"]).to_owned()),
            2 => Scope::Prefix("http://a.example/".to_owned()),
            _ => Scope::All,
        };
        self.worker.purge(scope, if input.flag() { Mode::Soft } else { Mode::Hard });
    }

    fn poll(&mut self, input: &mut Input<'_>) {
        if input.byte().is_multiple_of(8) {
            self.log.log = self.log.log.wrapping_add(1).max(1);
        }
        let records = (0..input.below(3)).map(|_| {
            self.log.sequence.0 += 1;
            Record { sequence: self.log.sequence, scope: Scope::Tag("t".to_owned()), mode: Mode::Hard }
        });
        let records = records.collect();
        let answer =
            PollAnswer { position: self.log, begins_anew: input.byte().is_multiple_of(8), records, policies: None };
        self.worker.heard(self.now, &answer);
    }

    fn refreshed(&mut self, input: &mut Input<'_>) {
        if self.refreshes.is_empty() {
            return;
        }
        let mut refresh = self.refreshes.swap_remove(input.below(self.refreshes.len()));
        if let Some(call) = refresh.lookup(&self.worker) {
            let lookup = Lookup::decode(call.body.into()).expect("a look-up's message");
            let answer = self.cluster(input, &refresh.request.clone(), Some(&lookup.name));
            let step = refresh.on_lookup(self.now, answer, &mut self.worker, &mut self.effects);
            if step == RefreshStep::Done {
                return;
            }
        }
        if input.byte().is_multiple_of(4) {
            refresh.finish(self.now, Answer::Failed, &mut self.worker, &mut self.effects);
            return;
        }
        let mut fields = Fields::from_pairs(words::response_fields(input));
        let directives = input.one_of(&words::CACHE_CONTROL);
        fields.set("cache-control", directives);
        let status = input.one_of(&[200, 304, 404, 500]);
        let mut body = about(&refresh.request);
        if words::forbids_keeping(&fields) {
            body.extend_from_slice(NOT_TO_BE_KEPT);
        }
        let head = ResponseHead { status, fields, source: Source::Origin, ends: false };
        refresh.finish(self.now, Answer::Response(head, &body), &mut self.worker, &mut self.effects);
    }

    /// What a host must not do: the machine passes everything through, and says nothing that is not so.
    fn out_of_order(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input, |_| true) else { return };
        let stream = self.streams.get_mut(&id).expect("it is there");
        let (now, worker, out) = (self.now, &mut self.worker, &mut self.effects);
        let exchange = &mut stream.exchange;
        match input.byte() % 6 {
            0 if stream.awaits != Awaits::Lookup => {
                let verdict = exchange.on_lookup(now, Err(CallFailure::TimedOut), worker, out);
                assert!(matches!(verdict, RequestVerdict::Forward(edits) if edits.is_empty()));
            }
            1 if stream.awaits != Awaits::Fetch => {
                assert!(exchange.on_fetched(now, Answer::Failed, worker, out).is_none());
                // Whatever it waited for: somebody else has answered it.
                stream.awaits = Awaits::Nothing;
            }
            2 if stream.awaits != Awaits::Wake => {
                let verdict = exchange.on_wake(now, Wake::Landed, worker, out);
                assert!(matches!(verdict, RequestVerdict::Forward(edits) if edits.is_empty()));
            }
            3 => {
                let head = stream.asked.clone();
                let verdict = exchange.on_request(now, head, worker, out);
                assert!(matches!(verdict, RequestVerdict::Forward(edits) if edits.is_empty()));
            }
            4 if !matches!(stream.awaits, Awaits::Body { .. }) => {
                assert!(matches!(exchange.on_body(now, input.number(), worker, out), BodyVerdict::Ignore));
            }
            _ => exchange.on_received(input.number(), worker),
        }
    }

    fn wake(&mut self, id: StreamId, wake: Wake) {
        let stream = self.streams.get_mut(&id.0).expect("who is woken is there");
        assert_eq!(stream.awaits, Awaits::Wake, "who is woken waits");
        stream.awaits = Awaits::Nothing;
        let before = self.effects.len();
        let verdict = stream.exchange.on_wake(self.now, wake, &mut self.worker, &mut self.effects);
        self.requested(id.0, before, verdict);
    }

    fn carry_out(&mut self) {
        // Wakes wait for their turn, as in the root's callback.
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Wake(id, wake) => self.wake(id, wake),
                    Effect::Refresh(refresh) => self.refreshes.push(*refresh),
                    Effect::Invalidate(invalidation) => assert!(!invalidation.purges.is_empty()),
                    Effect::Lookup(call) => {
                        assert!(Lookup::decode(call.body.into()).is_some() || call.path != Lookup::PATH)
                    }
                    Effect::Tell(call) => assert!(call.body.starts_with(b"LRDM")),
                    Effect::Fetch(head) => assert!(!head.target.is_empty()),
                }
            }
        }
    }

    fn close(&mut self, id: u64) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        stream.exchange.on_close(&mut self.worker, &mut self.effects);
        assert!(stream.exchange.is_over());
        self.carry_out();
    }

    fn hold(&self) {
        assert!(self.worker.shelf.bytes() <= SHELF_BYTES, "{} bytes", self.worker.shelf.bytes());
        // Whoever waits is in a flight whose time will be up.
        let waits = self.streams.values().any(|stream| stream.awaits == Awaits::Wake);
        assert!(!waits || self.worker.flights.next_deadline().is_some(), "somebody waits for ever");
    }

    fn end(&mut self) {
        // Time alone sets everybody free.
        self.now = Timestamp(self.now.0.saturating_add(Millis(600_000).0));
        for (id, wake) in self.worker.flights.overdue(self.now) {
            self.wake(id, wake);
        }
        self.carry_out();
        let ids: Vec<u64> = self.streams.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id));
        assert!(self.streams.is_empty() && self.worker.flights.is_empty(), "a flight without anybody");
    }
}

/// What a response's body begins with.
fn about(asked: &RequestHead) -> Vec<u8> {
    let path = asked.target.split('?').next().unwrap_or_default();
    format!("{}|{}|{}|", asked.scheme, asked.authority, path).into_bytes()
}

fn assert_clean(edits: &[Edit]) {
    for edit in edits {
        match edit {
            Edit::Set(name, value) | Edit::Add(name, value) => {
                assert!(is_clean(value) && !name.is_empty(), "{name}: {value:?}");
            }
            Edit::Remove(name) => assert!(!name.is_empty()),
            Edit::Target(target) => assert!(is_clean(target.as_bytes())),
            Edit::Route => {}
        }
    }
}

/// What is handed out of a store is an answer to the same host and path, and one that might be kept.
fn assert_reply(asked: &RequestHead, reply: &Reply) {
    assert!((200..600).contains(&reply.status), "{}", reply.status);
    let unclean = reply.fields().find(|field| !is_clean(&field.value));
    assert!(unclean.is_none(), "{unclean:?}");
    assert!(reply.status != 304 || reply.body().is_empty(), "a 304 has no body");
    assert!(!reply.head_only || asked.method == "HEAD");
    let names: Vec<&str> = reply.base.iter().map(|field| field.name.as_str()).collect();
    let twice = reply.extra.iter().find(|field| names.contains(&field.name.as_str()));
    assert!(twice.is_none(), "{twice:?} stands in both");
    let ReplyBody::Stored { entry, from, to } = &reply.body else { return };
    let body = &entry.facts().body;
    assert!(from <= to && *to <= body.len(), "{from}..{to} of {}", body.len());
    assert!(!body.windows(NOT_TO_BE_KEPT.len()).any(|part| part == NOT_TO_BE_KEPT), "what nobody may keep was kept");
    // Empty where the origin's was: a HEAD's, a 204's.
    if !body.is_empty() {
        let about = about(asked);
        assert!(body.starts_with(&about), "{:?} is no answer to {:?}", String::from_utf8_lossy(body), asked);
    }
}
