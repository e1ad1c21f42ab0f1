//! What there is: workers with their exchanges, the node, the origin, messages under way, and what has happened so far.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::cluster::message::{Message, PollAnswer, PurgeAnswer};
use larder_core::cluster::{Call, Settings};
use larder_core::exchange::{
    Answer, EndVerdict, Invalidation, Refresh, RefreshStep, Reply, RequestVerdict, ResponseVerdict,
};
use larder_core::flights::StreamId;
use larder_core::key::{self, Key};
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
    /// Bytes that were generated at this time.
    FromOrigin(usize, Caller, usize),
    Polled(usize, PollAnswer),
    /// The origin has carried out the write, at this time.
    Written(usize, StreamId),
}

#[derive(Debug)]
struct Open {
    worker: usize,
    id: StreamId,
    exchange: Exchange,
    began: usize,
}

/// A purge, when it was acknowledged, and when each worker had heard of it.
#[derive(Debug)]
struct Purged {
    at: usize,
    position: Position,
    delivered: Vec<Option<usize>>,
}

#[derive(Debug)]
pub struct World {
    bounds: Bounds,
    policy: Arc<Policy>,
    key: Key,
    node: Node,
    workers: Vec<Worker>,
    polls: Vec<usize>,
    open: Vec<Open>,
    mail: Vec<Mail>,
    purged: Vec<Purged>,
    /// When a write was done, by the worker that carried it.
    writes: Vec<(usize, usize)>,
    time: usize,
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
        let key = key::keyed(&policy.route(&get()).rules.key, &get(), None).key;
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
            key,
            node,
            workers,
            polls: vec![bounds.polls; WORKERS],
            open: Vec::new(),
            mail: Vec::new(),
            purged: Vec::new(),
            writes: Vec::new(),
            time: 0,
            violation: None,
            checked: 0,
        }
    }

    /// What may happen next.
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = (0..self.mail.len()).map(Event::Arrive).collect();
        if self.bounds.requests > 0 {
            events.extend((0..WORKERS).map(Event::Request));
        }
        if self.bounds.purges > 0 {
            events.push(Event::Purge);
        }
        if self.bounds.writes > 0 {
            events.push(Event::Write);
        }
        let polls = |worker: usize| {
            let under_way = self.mail.iter().any(|mail| matches!(mail, Mail::Polled(of, _) if *of == worker));
            self.polls[worker] > 0 && !under_way && self.workers[worker].purges.position() != self.node.position()
        };
        events.extend((0..WORKERS).filter(|worker| polls(*worker)).map(Event::Poll));
        events
    }

    pub fn step(&mut self, event: Event) {
        self.time += 1;
        match event {
            Event::Request(worker) => {
                self.bounds.requests -= 1;
                self.begin(worker, get());
            }
            Event::Write => {
                self.bounds.writes -= 1;
                self.begin(0, RequestHead { method: "DELETE".into(), ..get() });
            }
            Event::Purge => {
                self.bounds.purges -= 1;
                let mode = if self.bounds.soft { Mode::Soft } else { Mode::Hard };
                let position = self.node.purge(Scope::Url(URL.into()), mode);
                self.purged.push(Purged { at: self.time, position, delivered: vec![None; WORKERS] });
            }
            Event::Poll(worker) => {
                self.polls[worker] -= 1;
                let answer = self.node.poll(self.workers[worker].purges.position());
                self.mail.push(Mail::Polled(worker, answer));
            }
            Event::Arrive(at) => {
                let mail = self.mail.remove(at);
                self.arrive(mail);
            }
        }
    }

    fn begin(&mut self, worker: usize, head: RequestHead) {
        let id = StreamId(self.time as u64);
        let exchange = Exchange::new(self.policy.clone(), id);
        self.open.push(Open { worker, id, exchange, began: self.time });
        let write = head.method == "DELETE";
        let mut out = Vec::new();
        let open = self.open.last_mut().unwrap();
        let verdict = open.exchange.on_request(NOW, head, &mut self.workers[worker], &mut out);
        if write {
            self.mail.push(Mail::ToOrigin(worker, Caller::Stream(id)));
        } else {
            self.act(id, verdict, &mut out);
        }
        self.carry_out(worker, id, out);
    }

    fn act(&mut self, id: StreamId, verdict: RequestVerdict, _: &mut Vec<Effect>) {
        let open = self.open.iter().find(|open| open.id == id).unwrap();
        match verdict {
            RequestVerdict::Wait => {}
            RequestVerdict::Forward(_) => self.mail.push(Mail::ToOrigin(open.worker, Caller::Stream(id))),
            RequestVerdict::Respond(reply) => self.answered(id, &reply),
            RequestVerdict::Reroute(_) => panic!("nothing is large"),
        }
    }

    fn arrive(&mut self, mail: Mail) {
        match mail {
            Mail::ToNode(worker, call, caller) => {
                let answer = self.node.answer(&call, NOW);
                self.mail.push(Mail::ToWorker(worker, answer, caller));
            }
            Mail::ToWorker(worker, answer, caller) => self.from_node(worker, answer, caller),
            Mail::ToOrigin(worker, Caller::Stream(id)) if self.is_write(id) => {
                self.mail.push(Mail::Written(worker, id));
            }
            Mail::ToOrigin(worker, caller) => {
                let time = self.time;
                self.mail.push(Mail::FromOrigin(worker, caller, time));
            }
            Mail::FromOrigin(worker, caller, generated) => self.from_origin(worker, caller, generated),
            Mail::Polled(worker, mut answer) => {
                if self.bounds.bug == Some(Bug::WorkerDropsRecords) {
                    answer.records.clear();
                }
                self.workers[worker].heard(NOW, &PollAnswer::decode(answer.encode().into()).unwrap());
                let here = self.workers[worker].purges.position();
                for purged in &mut self.purged {
                    if purged.position.sequence <= here.sequence && purged.delivered[worker].is_none() {
                        purged.delivered[worker] = Some(self.time);
                    }
                }
            }
            Mail::Written(worker, id) => {
                let mut out = Vec::new();
                let open = self.open.iter_mut().find(|open| open.id == id).unwrap();
                let head = ResponseHead { status: 204, ends: true, ..ResponseHead::default() };
                open.exchange.on_response(NOW, head, &mut self.workers[worker], &mut out);
                self.writes.push((worker, self.time));
                self.carry_out(worker, id, out);
                self.close(id);
            }
        }
    }

    fn is_write(&self, id: StreamId) -> bool {
        self.open.iter().any(|open| open.id == id && format!("{:?}", open.exchange).contains("DELETE"))
    }

    fn from_node(&mut self, worker: usize, mut answer: Vec<u8>, caller: Caller) {
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
                self.act(id, verdict, &mut out);
                self.carry_out(worker, id, out);
            }
            Caller::Refresh(mut refresh) => {
                let step = refresh.on_lookup(NOW, Ok(Bytes::from(answer)), &mut self.workers[worker], &mut out);
                if step == RefreshStep::Fetch {
                    self.mail.push(Mail::ToOrigin(worker, Caller::Refresh(refresh)));
                }
                self.carry_out(worker, StreamId(0), out);
            }
        }
    }

    fn from_origin(&mut self, worker: usize, caller: Caller, generated: usize) {
        let mut out = Vec::new();
        let body = generated.to_string();
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        match caller {
            Caller::Stream(id) => {
                let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return };
                let began = open.began;
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
                self.check(worker, began, generated, "");
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
        let (worker, began) = (open.worker, open.began);
        let generated = std::str::from_utf8(reply.body()).unwrap().parse().unwrap();
        let status = reply.fields().find(|field| field.name == "cache-status");
        let status = status.map(|field| String::from_utf8_lossy(&field.value).into_owned()).unwrap_or_default();
        self.check(worker, began, generated, &status);
        self.close(id);
    }

    fn close(&mut self, id: StreamId) {
        let at = self.open.iter().position(|open| open.id == id).unwrap();
        let mut open = self.open.remove(at);
        let mut out = Vec::new();
        open.exchange.on_close(&mut self.workers[open.worker], &mut out);
        self.carry_out(open.worker, id, out);
    }

    fn check(&mut self, worker: usize, began: usize, generated: usize, status: &str) {
        self.checked += 1;
        let stale = status.contains("stale-while-revalidate");
        for purged in &self.purged {
            let delivered = purged.delivered[worker].is_some_and(|at| at < began);
            if delivered && generated < purged.at && !(self.bounds.soft && stale) {
                self.violation = Some(format!(
                    "worker {worker} answered a request of {began} with bytes of {generated}, purged at {}: {status}",
                    purged.at
                ));
            }
        }
        for (by, at) in &self.writes {
            if *by == worker && *at < began && generated < *at {
                self.violation = Some(format!(
                    "worker {worker} answered a request of {began} with bytes of {generated}, written at {at}: {status}"
                ));
            }
        }
    }

    fn carry_out(&mut self, worker: usize, id: StreamId, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Wake(other, wake) => {
                    let mut out = Vec::new();
                    let Some(open) = self.open.iter_mut().find(|open| open.id == other) else { continue };
                    let verdict = open.exchange.on_wake(NOW, wake, &mut self.workers[worker], &mut out);
                    self.act(other, verdict, &mut out);
                    self.carry_out(worker, other, out);
                }
                Effect::Lookup(call) => self.mail.push(Mail::ToNode(worker, *call, Caller::Stream(id))),
                Effect::Tell(call) => self.mail.push(Mail::ToNode(worker, *call, Caller::Nobody)),
                Effect::Refresh(mut refresh) => {
                    let mail = match refresh.lookup(&self.workers[worker]) {
                        Some(call) => Mail::ToNode(worker, call, Caller::Refresh(refresh)),
                        None => Mail::ToOrigin(worker, Caller::Refresh(refresh)),
                    };
                    self.mail.push(mail);
                }
                Effect::Invalidate(invalidation) => {
                    let Invalidation { last, call, .. } = *invalidation;
                    if self.bounds.bug == Some(Bug::WorkerForgetsItsPurge) {
                        self.workers[worker].purges.acknowledged(last, Position::default());
                    }
                    self.mail.extend(call.map(|call| Mail::ToNode(worker, call, Caller::Purge(last))));
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

    /// Everything that what comes may depend on. Times are times of events: two states are the same only where these are, too.
    pub fn state(&self) -> String {
        let shelves: Vec<_> = self.workers.iter().map(|worker| worker.shelf.variants(&self.key)).collect();
        let others: Vec<_> = self.workers.iter().map(|worker| (&worker.purges, &worker.flights)).collect();
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.bounds, self.node, shelves, others, self.polls, self.open, self.mail, self.purged, self.writes
        )
    }
}
