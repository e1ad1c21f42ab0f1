//! The executor `core`: a small host that drives `larder_core::Exchange` in process, on simulated time.
//!
//! It moves heads and bodies as Envoy and the plugin do, one stream at a time, and decides nothing about caching.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use larder_core::exchange::{
    Answer, BodyVerdict, Edit, Effect, EndVerdict, Exchange, Refresh, Reply, RequestVerdict, ResponseVerdict,
};
use larder_core::fields::{Failure, Fields, RequestHead, ResponseHead, Source};
use larder_core::flights::{StreamId, Wake};
use larder_core::policy::Policy;
use larder_core::tally::Count;
use larder_core::time::{Millis, Timestamp};
use larder_core::worker::Worker;

use super::executor::{
    ArrivalId, ClientId, Event, Executor, Lines, Part, Patience, Received, SentAnswer, SentReaction, SentRequest,
    Setting, World,
};

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);
/// How long this proxy waits for a silent origin.
const PATIENCE: Millis = Millis(1000);
/// Bodies come in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
const SHELF_BYTES: u64 = 16 << 20;

/// Runs scenarios on the core alone.
#[derive(Debug, Default)]
pub struct Core {
    shadow: Shadow,
    told: Rc<RefCell<Told>>,
}

/// What runs in the shadow of a scenario's policy.
#[derive(Clone, Debug, Default)]
pub enum Shadow {
    /// Nothing.
    #[default]
    None,
    /// The same policy.
    Same,
    /// This one, always.
    Policy(Arc<Policy>),
}

/// What became of all scenarios that an executor has run.
#[derive(Debug, Default)]
pub struct Told {
    /// What clients and origins got, in order.
    pub seen: Vec<String>,
    /// What shadows have counted, by the counter's name and label.
    pub shadow: BTreeMap<String, u64>,
    /// What the policies themselves have counted.
    pub counts: BTreeMap<String, u64>,
}

impl Core {
    /// The executor.
    pub fn new() -> Self {
        Self::default()
    }

    /// With something in the shadow.
    pub fn with(shadow: Shadow) -> Self {
        Self { shadow, ..Self::default() }
    }

    /// What became of all scenarios so far.
    pub fn told(&self) -> std::cell::Ref<'_, Told> {
        self.told.borrow()
    }
}

impl Executor for Core {
    fn name(&self) -> &'static str {
        "core"
    }

    fn begin(&mut self, setting: &Setting<'_>) -> Result<Box<dyn World + '_>, String> {
        let mut policies = Vec::new();
        for text in setting.policies {
            policies.push(Arc::new(Policy::parse(text).map_err(|errors| format!("the policy is refused: {errors}"))?));
        }
        let policy = policies.first().cloned().ok_or("no policy")?;
        let mut worker = Worker::new(SHELF_BYTES, 7);
        worker.set_shadow(match &self.shadow {
            Shadow::None => None,
            Shadow::Same => Some(&policy),
            Shadow::Policy(shadow) => Some(shadow),
        });
        Ok(Box::new(MiniHost {
            told: self.told.clone(),
            now: START,
            policies,
            policy,
            worker,
            streams: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 1,
            events: VecDeque::new(),
            counts: BTreeMap::new(),
        }))
    }
}

struct MiniHost {
    told: Rc<RefCell<Told>>,
    now: Timestamp,
    policies: Vec<Arc<Policy>>,
    policy: Arc<Policy>,
    worker: Worker,
    streams: BTreeMap<u64, Stream>,
    arrivals: BTreeMap<ArrivalId, Upstream>,
    next_arrival: u64,
    events: VecDeque<Event>,
    counts: BTreeMap<String, u64>,
}

struct Stream {
    exchange: Exchange,
    request: SentRequest,
    received: Received,
    /// The response's head as the origin sent it, while it is held back.
    origin_head: Option<ResponseHead>,
    /// The head went to the client.
    head_sent: bool,
    capture: bool,
    holding: bool,
    captured: Vec<u8>,
    so_far: u64,
}

/// Who asked.
enum Upstream {
    Stream(u64),
    Refresh(Box<Refresh>),
}

fn fields_of(lines: &Lines) -> Fields {
    Fields::from_pairs(lines.iter().cloned())
}

fn lines_of(fields: &Fields) -> Lines {
    fields.iter().map(|field| (field.name.to_string(), field.value.to_vec())).collect()
}

fn apply(edits: &[Edit], fields: &mut Fields, target: &mut String) {
    for edit in edits {
        match edit {
            Edit::Remove(name) => fields.remove(name),
            Edit::Set(name, value) => fields.set(name, value.clone()),
            Edit::Add(name, value) => fields.add(name, value.clone()),
            Edit::Target(path) => target.clone_from(path),
            Edit::Route => {} // there is one
        }
    }
}

/// The head of an answer with the framing that belongs to it, and whether nothing follows it.
fn head_of(answer: &SentAnswer, status: u16, method: &str) -> ResponseHead {
    let mut fields = fields_of(&answer.fields);
    let bodiless = matches!(status, 100..=199 | 204 | 304);
    // An answer to HEAD without a body says nothing of the length of what GET would get.
    let silent = bodiless || (method == "HEAD" && answer.body.is_empty());
    let framed = answer.chunked || !answer.trailers.is_empty() || silent || fields.has("content-length");
    if !framed {
        fields.add("content-length", answer.body.len().to_string());
    }
    let no_body = answer.body.is_empty() && answer.trailers.is_empty() && !answer.chunked && answer.cut_after.is_none();
    ResponseHead { status, fields, source: Source::Origin, ends: bodiless || no_body || method == "HEAD" }
}

/// What Envoy answers where the origin does not.
fn failure(reaction: SentReaction) -> (Failure, u16, &'static str) {
    match reaction {
        SentReaction::Refuse => (Failure::Connect, 503, "upstream connect error"),
        SentReaction::Silence => (Failure::Timeout, 504, "upstream request timeout"),
        SentReaction::Reset | SentReaction::Respond(_) => (Failure::Reset, 503, "upstream reset before headers"),
    }
}

impl World for MiniHost {
    fn now(&mut self) -> u64 {
        self.now.0
    }

    fn send(&mut self, client: ClientId, request: SentRequest) -> Result<(), String> {
        let head = RequestHead {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            authority: request.authority.clone(),
            target: request.target.clone(),
            fields: fields_of(&request.fields),
            has_body: request.chunked || request.body.as_ref().is_some_and(|body| !body.is_empty()),
        };
        let mut exchange = Exchange::new(self.policy.clone(), StreamId(client.0));
        let mut out = Vec::new();
        let verdict = exchange.on_request(self.now, head, &mut self.worker, &mut out);
        let stream = Stream {
            exchange,
            request,
            received: Received::default(),
            origin_head: None,
            head_sent: false,
            capture: false,
            holding: false,
            captured: Vec::new(),
            so_far: 0,
        };
        self.streams.insert(client.0, stream);
        self.request_verdict(client.0, verdict);
        self.effects(out);
        Ok(())
    }

    fn next(&mut self, _patience: Patience) -> Result<Option<Event>, String> {
        let event = self.events.pop_front();
        event.iter().for_each(|event| self.tell(event));
        Ok(event)
    }

    fn answer(&mut self, arrival: ArrivalId, answer: &SentAnswer, part: Part) -> Result<(), String> {
        match self.arrivals.get(&arrival) {
            None => {}
            Some(Upstream::Stream(id)) => {
                let id = *id;
                if part != Part::Head {
                    self.arrivals.remove(&arrival);
                }
                self.answer_stream(id, answer, part);
            }
            Some(Upstream::Refresh(_)) if part == Part::Head => {}
            Some(Upstream::Refresh(_)) => {
                if let Some(Upstream::Refresh(refresh)) = self.arrivals.remove(&arrival) {
                    self.answer_refresh(*refresh, answer);
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, client: ClientId) -> Result<(), String> {
        self.close(client.0);
        self.arrivals.retain(|_, upstream| !matches!(upstream, Upstream::Stream(id) if *id == client.0));
        Ok(())
    }

    fn wait(&mut self, span: Duration) -> Result<(), String> {
        let end = self.now.plus(Millis(u64::try_from(span.as_millis()).map_err(|error| error.to_string())?));
        while let Some(deadline) = self.worker.flights.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            let overdue = self.worker.flights.overdue(self.now);
            if overdue.is_empty() {
                break;
            }
            self.effects(overdue.into_iter().map(|(id, wake)| Effect::Wake(id, wake)).collect());
        }
        self.now = end;
        Ok(())
    }

    fn reload(&mut self, index: usize) -> Result<(), String> {
        self.policy = self.policies.get(index).cloned().ok_or("no such policy")?;
        Ok(())
    }

    fn counted(&mut self, outcome: &str, _expected: u64) -> Result<u64, String> {
        self.take_counts();
        Ok(self.counts.get(outcome).copied().unwrap_or_default())
    }
}

/// A counter's name and its label's value.
fn named(count: Count) -> String {
    let (name, labels) = count.parts();
    labels.iter().flatten().fold(name.to_owned(), |text, (_, value)| format!("{text} {value}"))
}

impl Drop for MiniHost {
    fn drop(&mut self) {
        self.take_counts();
        let shadow = self.worker.shadow.as_mut().map(|shadow| shadow.tally.take());
        for (_, count, by) in shadow.into_iter().flatten() {
            *self.told.borrow_mut().shadow.entry(named(count)).or_default() += by;
        }
    }
}

impl MiniHost {
    fn take_counts(&mut self) {
        for (_, count, by) in self.worker.tally.take() {
            if let Count::Request(outcome) = count {
                *self.counts.entry(outcome.as_str().to_owned()).or_default() += by;
            }
            *self.told.borrow_mut().counts.entry(named(count)).or_default() += by;
        }
    }

    fn tell(&self, event: &Event) {
        self.told.borrow_mut().seen.push(format!("{event:?}"));
    }

    /// Carries out effects, and those that they lead to.
    fn effects(&mut self, effects: Vec<Effect>) {
        let mut queue: VecDeque<Effect> = effects.into();
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Wake(StreamId(id), wake) => queue.extend(self.wake(id, wake)),
                Effect::Refresh(refresh) => {
                    let head = &refresh.request;
                    let request = SentRequest {
                        method: head.method.clone(),
                        scheme: head.scheme.clone(),
                        authority: head.authority.clone(),
                        target: head.target.clone(),
                        fields: lines_of(&head.fields),
                        body: None,
                        chunked: false,
                    };
                    self.arrive(Upstream::Refresh(refresh), request);
                }
                Effect::Invalidate(_) => {} // carried out by the core; there is no other worker
                // This worker has no cluster.
                Effect::Lookup(_) | Effect::Tell(_) | Effect::Fetch(_) => {}
            }
        }
    }

    fn wake(&mut self, id: u64, wake: Wake) -> Vec<Effect> {
        let mut out = Vec::new();
        let Some(stream) = self.streams.get_mut(&id) else { return out };
        let verdict = stream.exchange.on_wake(self.now, wake, &mut self.worker, &mut out);
        self.request_verdict(id, verdict);
        out
    }

    fn request_verdict(&mut self, id: u64, verdict: RequestVerdict) {
        match verdict {
            RequestVerdict::Wait | RequestVerdict::Reroute(_) | RequestVerdict::Follow(..) => {}
            RequestVerdict::Respond(reply) => self.reply(id, &reply),
            RequestVerdict::Forward(edits) => {
                let Some(stream) = self.streams.get(&id) else { return };
                let mut request = stream.request.clone();
                let mut fields = fields_of(&request.fields);
                apply(&edits, &mut fields, &mut request.target);
                request.fields = lines_of(&fields);
                self.arrive(Upstream::Stream(id), request);
            }
        }
    }

    fn arrive(&mut self, upstream: Upstream, request: SentRequest) {
        let arrival = ArrivalId(self.next_arrival);
        self.next_arrival += 1;
        self.arrivals.insert(arrival, upstream);
        self.events.push_back(Event::Arrived(arrival, request));
    }

    fn reply(&mut self, id: u64, reply: &Reply) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let received = &mut stream.received;
        received.status = reply.status;
        received.fields = reply.fields().map(|field| (field.name.to_string(), field.value.to_vec())).collect();
        if !matches!(reply.status, 204 | 304) {
            received.fields.push(("content-length".to_owned(), reply.body().len().to_string().into_bytes()));
        }
        if !reply.head_only && stream.request.method != "HEAD" {
            received.body = reply.body().to_vec();
        }
        self.finish(id);
    }

    /// The client has everything.
    fn finish(&mut self, id: u64) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let mut received = std::mem::take(&mut stream.received);
            if stream.request.method == "HEAD" || matches!(received.status, 204 | 304) {
                received.body.clear();
            }
            self.events.push_back(Event::Answered(ClientId(id), received));
        }
        self.close(id);
    }

    fn close(&mut self, id: u64) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let mut out = Vec::new();
        stream.exchange.on_close(&mut self.worker, &mut out);
        self.effects(out);
    }

    fn answer_stream(&mut self, id: u64, answer: &SentAnswer, part: Part) {
        let SentReaction::Respond(status) = answer.reaction else {
            if answer.reaction == SentReaction::Silence {
                self.now = self.now.plus(PATIENCE);
            }
            let (failure, status, text) = failure(answer.reaction);
            let text = text.as_bytes().to_vec();
            let own = SentAnswer { body: text, reaction: SentReaction::Respond(status), ..SentAnswer::default() };
            let mut head = head_of(&own, status, "GET");
            head.fields.add("content-type", "text/plain");
            head.source = Source::Failure(failure);
            self.head(id, head);
            self.body(id, &own);
            return;
        };
        if part != Part::Rest {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            stream.received.interim = answer.interim.clone();
            let head = head_of(answer, status, &stream.request.method);
            self.head(id, head);
        }
        if part != Part::Head {
            self.body(id, answer);
        }
    }

    fn head(&mut self, id: u64, head: ResponseHead) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let (mut out, ends) = (Vec::new(), head.ends);
        match stream.exchange.on_response(self.now, head.clone(), &mut self.worker, &mut out) {
            ResponseVerdict::Pass { edits, capture } => {
                stream.capture = capture;
                stream.origin_head = Some(head);
                stream.send_head(&edits);
                if ends {
                    self.finish(id);
                }
            }
            ResponseVerdict::Hold => {
                stream.holding = true;
                stream.capture = true;
                stream.origin_head = Some(head);
            }
            ResponseVerdict::Replace(reply) => self.reply(id, &reply),
            ResponseVerdict::Wait => {}
        }
        self.effects(out);
    }

    fn body(&mut self, id: u64, answer: &SentAnswer) {
        let whole = answer.body.as_slice();
        let sent = answer.cut_after.map_or(whole, |count| &whole[..count.min(whole.len())]);
        for piece in sent.chunks(PIECE_BYTES) {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            stream.so_far += piece.len() as u64;
            stream.exchange.on_received(piece.len() as u64, &mut self.worker);
            let mut out = Vec::new();
            if stream.capture {
                match stream.exchange.on_body(self.now, stream.so_far, &mut self.worker, &mut out) {
                    BodyVerdict::Capture => {}
                    BodyVerdict::Ignore => stream.capture = false,
                    BodyVerdict::Release { edits, capture } => {
                        stream.capture = capture;
                        stream.holding = false;
                        stream.send_head(&edits);
                    }
                }
            }
            if stream.capture {
                stream.captured.extend_from_slice(piece);
            }
            stream.received.body.extend_from_slice(piece);
            self.effects(out);
        }
        if answer.cut_after.is_some() {
            self.break_off(id);
        } else {
            self.end(id, &answer.trailers);
        }
    }

    fn break_off(&mut self, id: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.head_sent {
            stream.received.cut = true;
        } else {
            stream.received = Received { status: 502, ..Received::default() };
        }
        self.finish(id);
    }

    fn end(&mut self, id: u64, trailers: &Lines) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let mut out = Vec::new();
        stream.received.trailers = trailers.clone();
        if stream.capture || stream.holding {
            let body = std::mem::take(&mut stream.captured);
            match stream.exchange.on_end(self.now, &body, &mut self.worker, &mut out) {
                EndVerdict::Done => {}
                EndVerdict::Release(edits) => stream.send_head(&edits),
                EndVerdict::Replace(reply) => {
                    stream.received.body.clear();
                    stream.received.trailers.clear();
                    self.reply(id, &reply);
                    self.effects(out);
                    return;
                }
            }
        }
        self.finish(id);
        self.effects(out);
    }

    fn answer_refresh(&mut self, refresh: Refresh, answer: &SentAnswer) {
        let (SentReaction::Respond(status), None) = (answer.reaction, answer.cut_after) else {
            if answer.reaction == SentReaction::Silence {
                self.now = self.now.plus(PATIENCE);
            }
            refresh.finish(self.now, Answer::Failed, &mut self.worker, &mut Vec::new());
            return;
        };
        let head = head_of(answer, status, "GET");
        refresh.finish(self.now, Answer::Response(head, &answer.body), &mut self.worker, &mut Vec::new());
    }
}

impl Stream {
    fn send_head(&mut self, edits: &[Edit]) {
        let Some(mut head) = self.origin_head.take() else { return };
        apply(edits, &mut head.fields, &mut String::new());
        self.received.status = head.status;
        self.received.fields = lines_of(&head.fields);
        self.head_sent = true;
    }
}
