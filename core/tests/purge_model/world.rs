//! What there is: workers with their exchanges, the node, the origin, messages under way, and what has happened so far.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use larder_core::cluster::message::{Message, PollAnswer, PurgeAnswer};
use larder_core::cluster::{Call, Settings};
use larder_core::exchange::{
    Answer, EndVerdict, Invalidation, Refresh, RefreshStep, Reply, RequestVerdict, ResponseVerdict,
};
use larder_core::flights::StreamId;
use larder_core::purge::{Mode, Position, Scope, Sequence};
use larder_core::time::Timestamp;
use larder_core::{Effect, Exchange, Fields, Policy, RequestHead, ResponseHead, Worker};

use super::node::Node;

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub requests: usize,
    pub purges: usize,
    pub soft: bool,
    /// By each worker.
    pub polls: usize,
    /// Unsafe requests, through the first worker.
    pub writes: usize,
    pub bug: Option<Bug>,
}

/// What may be wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    StoreTakesPositionOfArrival,
    AnswerTakesPositionOfDelivery,
    WorkerDropsRecords,
    NodeHidesSoft,
    WorkerForgetsItsPurge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client asks this worker.
    Request(usize),
    /// The operator purges the URL.
    Purge,
    /// A client writes, through the first worker.
    Write,
    /// A worker's poll is answered by the node; the answer is under way.
    Poll(usize),
    /// The message in this place arrives.
    Arrive(usize),
}

/// Whose call it is.
#[derive(Debug)]
enum Caller {
    Stream(StreamId),
    Refresh(Box<Refresh>),
    Purge(Sequence),
    Nobody,
}

#[derive(Debug)]
enum Mail {
    ToNode(usize, Call, Caller),
    ToWorker(usize, Vec<u8>, Caller),
    /// For a client's request, or a refresh.
    ToOrigin(usize, Caller),
    /// Bytes that were generated in this age.
    FromOrigin(usize, Caller, usize),
    Polled(usize, PollAnswer),
    /// The origin has carried out the write.
    Written(usize, StreamId),
}

/// What a part of the world has gone through, in its order: equal histories make equal parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct History(u64);

impl History {
    fn after(self, event: impl Hash) -> Self {
        Self(FixedState::with_seed(self.0).hash_one(event))
    }
}

#[derive(Debug)]
struct Open {
    worker: usize,
    id: StreamId,
    exchange: Exchange,
    write: bool,
    /// Bytes from before this age would be wrong.
    not_before: usize,
}

#[derive(Debug)]
pub struct World {
    bounds: Bounds,
    policy: Arc<Policy>,
    node: Node,
    workers: Vec<Worker>,
    polls: Vec<usize>,
    open: Vec<Open>,
    /// Under way, each with what made it.
    mail: Vec<(History, Mail)>,
    node_went: History,
    workers_went: Vec<History>,
    /// Purges that the node has acknowledged, with the age that each began.
    purged: Vec<(Position, usize)>,
    /// For each worker, the age that began with the newest change that it has heard of.
    heard: Vec<usize>,
    /// Begins anew with every purge and every write.
    age: usize,
    streams: u64,
    writes_at_all: bool,
    made: usize,
    violation: Option<String>,
    checked: usize,
}

const WORKERS: usize = 2;
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const URL: &str = "http://h.example/a";

fn get() -> RequestHead {
    RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: "/a".into(),
        fields: Fields::new(),
        has_body: false,
    }
}

impl World {
    pub fn new(bounds: Bounds) -> Self {
        let text = r#"{"version":1,"name":"m","routes":[{"name":"a","path":"/a","ttl":"60s",
            "stale":{"while_revalidate":"60s"}}]}"#;
        let policy = Arc::new(Policy::parse(text).unwrap());
        let node = Node::new(bounds.bug);
        let workers = (0..WORKERS)
            .map(|seed| {
                let mut worker = Worker::new(1 << 20, seed as u64);
                worker.use_cluster(Some(Settings::default()));
                worker.heard(NOW, &node.poll(Position::default()));
                worker
            })
            .collect();
        Self {
            bounds,
            policy,
            node,
            workers,
            polls: vec![bounds.polls; WORKERS],
            open: Vec::new(),
            mail: Vec::new(),
            node_went: History::default(),
            workers_went: (0..WORKERS).map(|worker| History::default().after(worker)).collect(),
            purged: Vec::new(),
            heard: vec![0; WORKERS],
            age: 0,
            streams: 0,
            writes_at_all: bounds.writes > 0,
            made: 0,
            violation: None,
            checked: 0,
        }
    }

    /// What may happen next.
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = (0..self.mail.len()).map(Event::Arrive).collect();
        if self.bounds.requests > 0 {
            // Before the first request the workers are alike; one of them writes, where there are writes.
            let alike =
                self.streams == 0 && !self.writes_at_all && self.polls.iter().all(|left| *left == self.bounds.polls);
            events.extend((0..if alike { 1 } else { WORKERS }).map(Event::Request));
        }
        if self.bounds.purges > 0 {
            events.push(Event::Purge);
        }
        if self.bounds.writes > 0 {
            events.push(Event::Write);
        }
        let polls = |worker: usize| {
            let under_way = self.mail.iter().any(|(_, mail)| matches!(mail, Mail::Polled(of, _) if *of == worker));
            self.polls[worker] > 0 && !under_way && self.workers[worker].purges.position() != self.node.position()
        };
        events.extend((0..WORKERS).filter(|worker| polls(*worker)).map(Event::Poll));
        events
    }

    pub fn step(&mut self, event: Event) {
        self.made = 0;
        match event {
            Event::Request(worker) => {
                self.bounds.requests -= 1;
                self.workers_went[worker] = self.workers_went[worker].after("request");
                self.begin(worker, get());
            }
            Event::Write => {
                self.bounds.writes -= 1;
                self.workers_went[0] = self.workers_went[0].after("write");
                self.begin(0, RequestHead { method: "DELETE".into(), ..get() });
            }
            Event::Purge => {
                self.bounds.purges -= 1;
                self.node_went = self.node_went.after("purge");
                let mode = if self.bounds.soft { Mode::Soft } else { Mode::Hard };
                let position = self.node.purge(Scope::Url(URL.into()), mode);
                self.age += 1;
                self.purged.push((position, self.age));
            }
            Event::Poll(worker) => {
                self.polls[worker] -= 1;
                let answer = self.node.poll(self.workers[worker].purges.position());
                let history = self.node_went.after((worker, answer.position, "poll"));
                self.mail.push((history, Mail::Polled(worker, answer)));
            }
            Event::Arrive(at) => {
                let (history, mail) = self.mail.remove(at);
                self.arrive(history, mail);
            }
        }
    }

    fn by_worker(&mut self, worker: usize, mail: Mail) {
        // What one event makes is told apart by its order.
        self.made += 1;
        let history = self.workers_went[worker].after(self.made);
        self.mail.push((history, mail));
    }

    fn begin(&mut self, worker: usize, head: RequestHead) {
        self.streams += 1;
        let id = StreamId(self.streams);
        let write = head.method == "DELETE";
        let mut exchange = Exchange::new(self.policy.clone(), id);
        let mut out = Vec::new();
        let verdict = exchange.on_request(NOW, head, &mut self.workers[worker], &mut out);
        self.open.push(Open { worker, id, exchange, write, not_before: self.heard[worker] });
        if write {
            self.by_worker(worker, Mail::ToOrigin(worker, Caller::Stream(id)));
        } else {
            self.act(id, verdict);
        }
        self.carry_out(worker, id, out);
    }

    fn act(&mut self, id: StreamId, verdict: RequestVerdict) {
        let worker = self.open.iter().find(|open| open.id == id).unwrap().worker;
        match verdict {
            RequestVerdict::Wait => {}
            RequestVerdict::Forward(_) => self.by_worker(worker, Mail::ToOrigin(worker, Caller::Stream(id))),
            RequestVerdict::Respond(reply) => self.answered(id, &reply),
            RequestVerdict::Reroute(_) | RequestVerdict::Follow(..) => panic!("nothing is large"),
        }
    }

    fn arrive(&mut self, history: History, mail: Mail) {
        if let Mail::ToWorker(worker, ..)
        | Mail::FromOrigin(worker, ..)
        | Mail::Polled(worker, ..)
        | Mail::Written(worker, ..) = mail
        {
            self.workers_went[worker] = self.workers_went[worker].after(history);
        }
        match mail {
            Mail::ToNode(worker, call, caller) => {
                self.node_went = self.node_went.after(history);
                let answer = self.node.answer(&call, NOW);
                // Nobody waits for what comes of being told.
                if !matches!(caller, Caller::Nobody) {
                    self.mail.push((self.node_went.after("answer"), Mail::ToWorker(worker, answer, caller)));
                }
            }
            Mail::ToWorker(worker, answer, caller) => self.node_said(worker, answer, caller),
            Mail::ToOrigin(worker, Caller::Stream(id)) if self.is_write(id) => {
                self.mail.push((history.after("written"), Mail::Written(worker, id)));
            }
            Mail::ToOrigin(worker, caller) => {
                let generated = Mail::FromOrigin(worker, caller, self.age);
                self.mail.push((history.after(self.age), generated));
            }
            Mail::FromOrigin(worker, caller, generated) => self.origin_said(worker, caller, generated),
            Mail::Polled(worker, mut answer) => {
                if self.bounds.bug == Some(Bug::WorkerDropsRecords) {
                    answer.records.clear();
                }
                self.workers[worker].heard(NOW, &PollAnswer::decode(answer.encode().into()).unwrap());
                let here = self.workers[worker].purges.position();
                let newest =
                    self.purged.iter().filter(|(at, _)| at.sequence <= here.sequence).map(|(_, age)| *age).max();
                self.heard[worker] = self.heard[worker].max(newest.unwrap_or(0));
            }
            Mail::Written(worker, id) => {
                let mut out = Vec::new();
                let open = self.open.iter_mut().find(|open| open.id == id).unwrap();
                let head = ResponseHead { status: 204, ends: true, ..ResponseHead::default() };
                open.exchange.on_response(NOW, head, &mut self.workers[worker], &mut out);
                self.age += 1;
                self.heard[worker] = self.age;
                self.carry_out(worker, id, out);
                self.close(id);
            }
        }
    }

    fn is_write(&self, id: StreamId) -> bool {
        self.open.iter().any(|open| open.id == id && open.write)
    }

    fn node_said(&mut self, worker: usize, mut answer: Vec<u8>, caller: Caller) {
        let mut out = Vec::new();
        match caller {
            Caller::Nobody => {}
            Caller::Purge(last) => {
                if let Some(PurgeAnswer::Done(position)) = PurgeAnswer::decode(answer.into()) {
                    self.workers[worker].purges.acknowledged(last, position);
                }
            }
            Caller::Stream(id) => {
                if self.bounds.bug == Some(Bug::AnswerTakesPositionOfDelivery) {
                    let decoded = larder_core::cluster::message::LookupAnswer::decode(answer.clone().into()).unwrap();
                    let position = self.node.position();
                    answer = larder_core::cluster::message::LookupAnswer { position, ..decoded }.encode();
                }
                let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return };
                let verdict =
                    open.exchange.on_lookup(NOW, Ok(Bytes::from(answer)), &mut self.workers[worker], &mut out);
                self.act(id, verdict);
                self.carry_out(worker, id, out);
            }
            Caller::Refresh(mut refresh) => {
                let step = refresh.on_lookup(NOW, Ok(Bytes::from(answer)), &mut self.workers[worker], &mut out);
                if step == RefreshStep::Fetch {
                    self.by_worker(worker, Mail::ToOrigin(worker, Caller::Refresh(refresh)));
                }
                self.carry_out(worker, StreamId(0), out);
            }
        }
    }

    fn origin_said(&mut self, worker: usize, caller: Caller, generated: usize) {
        let mut out = Vec::new();
        let body = generated.to_string();
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        match caller {
            Caller::Stream(id) => {
                let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return };
                let not_before = open.not_before;
                let worker_of = &mut self.workers[worker];
                match open.exchange.on_response(NOW, head, worker_of, &mut out) {
                    ResponseVerdict::Pass { capture: true, .. } | ResponseVerdict::Hold => {
                        match open.exchange.on_end(NOW, body.as_bytes(), worker_of, &mut out) {
                            EndVerdict::Done | EndVerdict::Release(_) => {}
                            EndVerdict::Replace(reply) => panic!("{reply:?}"),
                        }
                    }
                    _ => {}
                }
                self.check(worker, not_before, generated, "");
                self.carry_out(worker, id, out);
                self.close(id);
            }
            Caller::Refresh(refresh) => {
                refresh.finish(NOW, Answer::Response(head, body.as_bytes()), &mut self.workers[worker], &mut out);
                self.carry_out(worker, StreamId(0), out);
            }
            Caller::Purge(_) | Caller::Nobody => {}
        }
    }

    fn answered(&mut self, id: StreamId, reply: &Reply) {
        let open = self.open.iter().find(|open| open.id == id).unwrap();
        let (worker, not_before) = (open.worker, open.not_before);
        let generated = std::str::from_utf8(reply.body()).unwrap().parse().unwrap();
        let status = reply.fields().find(|field| field.name == "cache-status");
        let status = status.map(|field| String::from_utf8_lossy(&field.value).into_owned()).unwrap_or_default();
        self.check(worker, not_before, generated, &status);
        self.close(id);
    }

    fn close(&mut self, id: StreamId) {
        let at = self.open.iter().position(|open| open.id == id).unwrap();
        let mut open = self.open.remove(at);
        let mut out = Vec::new();
        open.exchange.on_close(&mut self.workers[open.worker], &mut out);
        self.carry_out(open.worker, id, out);
    }

    fn check(&mut self, worker: usize, not_before: usize, generated: usize, status: &str) {
        self.checked += 1;
        let allowed = self.bounds.soft && status.contains("stale-while-revalidate");
        if generated < not_before && !allowed {
            self.violation = Some(format!(
                "worker {worker} had heard of change {not_before} and answers with bytes of age {generated}: {status:?}"
            ));
        }
    }

    fn carry_out(&mut self, worker: usize, id: StreamId, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Wake(other, wake) => {
                    let mut out = Vec::new();
                    let Some(open) = self.open.iter_mut().find(|open| open.id == other) else { continue };
                    let verdict = open.exchange.on_wake(NOW, wake, &mut self.workers[worker], &mut out);
                    self.act(other, verdict);
                    self.carry_out(worker, other, out);
                }
                Effect::Lookup(call) => self.by_worker(worker, Mail::ToNode(worker, *call, Caller::Stream(id))),
                Effect::Tell(call) => self.by_worker(worker, Mail::ToNode(worker, *call, Caller::Nobody)),
                Effect::Refresh(mut refresh) => {
                    let mail = match refresh.lookup(&self.workers[worker]) {
                        Some(call) => Mail::ToNode(worker, call, Caller::Refresh(refresh)),
                        None => Mail::ToOrigin(worker, Caller::Refresh(refresh)),
                    };
                    self.by_worker(worker, mail);
                }
                Effect::Invalidate(invalidation) => {
                    let Invalidation { last, call, .. } = *invalidation;
                    if self.bounds.bug == Some(Bug::WorkerForgetsItsPurge) {
                        self.workers[worker].purges.acknowledged(last, Position::default());
                    }
                    if let Some(call) = call {
                        self.by_worker(worker, Mail::ToNode(worker, call, Caller::Purge(last)));
                    }
                }
                Effect::Fetch(_) => panic!("nothing is large"),
            }
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    /// Answers checked since this was last asked.
    pub fn take_checked(&mut self) -> usize {
        std::mem::take(&mut self.checked)
    }

    /// Everything that what comes may depend on: what each part has gone through, and what is under way.
    pub fn state(&self) -> impl Hash + use<> {
        let mut mail: Vec<u64> = self.mail.iter().map(|(history, _)| history.0).collect();
        mail.sort_unstable();
        let Bounds { requests, purges, writes, .. } = self.bounds;
        (self.node_went, self.workers_went.clone(), mail, self.polls.clone(), self.age, (requests, purges, writes))
    }
}
