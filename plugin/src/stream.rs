//! One request: Envoy's callbacks in, the exchange's verdicts out.
//!
//! Pausing follows Envoy with `allow_on_headers_stop_iteration: true`: while a head is held, body callbacks must pause, too,
//! and a body callback that continues lets the head go. Requests with bodies are never paused. A hit costs three host
//! calls: the request's head, the clock, the reply.

use std::cell::RefCell;
use std::rc::Rc;

use larder_core::exchange::{Answer, BodyVerdict, EndVerdict, Reply, RequestVerdict, ResponseVerdict};
use larder_core::fields::{Failure, ResponseHead, Source};
use larder_core::flights::StreamId;
use larder_core::time::Timestamp;
use larder_core::{Effect, Exchange};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::edits;
use crate::effects::{self, Asker, Resumption};
use crate::head::Head;
use crate::raw::{self, Buffer, Map};
use crate::refresh;
use crate::reply::{self, Mend, Path};
use crate::vm::{self, Plugin, SharedCache};

/// A request's state.
#[derive(Debug)]
pub struct Stream {
    id: u32,
    plugin: Rc<Plugin>,
    cache: Option<SharedCache>,
    exchange: Exchange,
    phase: Phase,
    /// Bytes of the response's body that have come.
    received: usize,
    /// The cluster of the route that the request was taken off, for a node.
    origin: String,
}

/// What comes next.
#[derive(Debug)]
enum Phase {
    /// The request's head.
    Request,
    /// A wake or the cluster's answer; the request is paused.
    Wake,
    /// The origin's answer in place of a node's; head and body are held and dropped.
    Fallback,
    /// The response's head.
    Response,
    /// The head of our own reply.
    OwnReply(Mend),
    /// The body; the head is held.
    HeldBody { so_far: usize },
    /// The body; it is sent on, and captured.
    Body { captured: Vec<u8> },
    /// Nothing that concerns us.
    Nothing,
}

impl Stream {
    fn new(id: u32, plugin: Rc<Plugin>) -> Self {
        let exchange = Exchange::new(plugin.policy.clone(), StreamId(u64::from(id)));
        Self { id, plugin, cache: None, exchange, phase: Phase::Request, received: 0, origin: String::new() }
    }

    /// Whose effects this stream's are; none before its request came.
    pub fn asker(&self) -> Option<Asker> {
        let cache = self.cache.clone()?;
        Some(Asker { context: self.id, plugin: self.plugin.clone(), cache, origin: self.origin.clone() })
    }

    fn requested(&mut self, now: Timestamp, end_of_stream: bool, out: &mut Vec<Effect>) -> Action {
        let Ok(bytes) = raw::map(Map::Request) else {
            self.phase = Phase::Nothing;
            return Action::Continue;
        };
        let head = Head::read(bytes).into_request(!end_of_stream);
        let salt = || {
            let id = head.fields.first("x-request-id").unwrap_or_default();
            // FNV-1a: the request id is random enough, this only folds it.
            id.iter().fold(raw::now_nanos(), |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        };
        let cache = self.plugin.cache(salt);
        let verdict = {
            let mut cache = cache.borrow_mut();
            self.exchange.on_request(now, head, cache.worker_for(&self.plugin), out)
        };
        self.cache = Some(cache);
        self.act(verdict)
    }

    /// What becomes of the request.
    fn act(&mut self, verdict: RequestVerdict) -> Action {
        match verdict {
            RequestVerdict::Wait => {
                self.phase = Phase::Wake;
                Action::Pause
            }
            RequestVerdict::Forward(changes) => {
                edits::apply(Map::Request, &changes);
                self.phase = Phase::Response;
                Action::Continue
            }
            RequestVerdict::Reroute(changes) => {
                self.origin = refresh::cluster(&self.plugin);
                edits::apply(Map::Request, &changes);
                self.phase = Phase::Response;
                Action::Continue
            }
            RequestVerdict::Respond(reply) => self.answer(&reply),
            // Nobody can follow here, and the core was not told otherwise.
            RequestVerdict::Follow(..) => {
                self.phase = Phase::Nothing;
                Action::Continue
            }
        }
    }

    fn answer(&mut self, reply: &Reply) -> Action {
        match reply::send(reply, Path::Request) {
            Ok(mend) => {
                self.phase = Phase::OwnReply(mend);
                Action::Pause
            }
            // The host would not have it; the origin may still answer.
            Err(_) => {
                self.phase = Phase::Nothing;
                Action::Continue
            }
        }
    }

    /// What this stream waited for has come; host calls act for it. Says whether it goes on waiting.
    pub fn resumed(&mut self, now: Timestamp, resumption: Resumption, out: &mut Vec<Effect>) -> bool {
        let Some(cache) = self.cache.clone() else { return false };
        match (&self.phase, resumption) {
            (Phase::Wake, Resumption::Wake(wake)) => {
                let verdict = {
                    let mut cache = cache.borrow_mut();
                    self.exchange.on_wake(now, wake, cache.worker_for(&self.plugin), out)
                };
                self.go_on(verdict)
            }
            (Phase::Wake, Resumption::Lookup(answer)) => {
                let verdict = {
                    let mut cache = cache.borrow_mut();
                    self.exchange.on_lookup(now, answer, cache.worker_for(&self.plugin), out)
                };
                self.go_on(verdict)
            }
            (Phase::Fallback, Resumption::Fetched(answer)) => {
                let reply = {
                    let mut cache = cache.borrow_mut();
                    let answer = match &answer {
                        Some((head, body)) => Answer::Response(head.clone(), body),
                        None => Answer::Failed,
                    };
                    self.exchange.on_fetched(now, answer, cache.worker_for(&self.plugin), out)
                };
                self.phase = Phase::Nothing;
                // Without an answer the client gets what Envoy said of the node.
                if reply.is_none_or(|reply| reply::send(&reply, Path::Response).is_err()) {
                    let _ = raw::resume_response();
                }
                false
            }
            _ => false,
        }
    }

    fn go_on(&mut self, verdict: RequestVerdict) -> bool {
        let waits = matches!(verdict, RequestVerdict::Wait);
        if self.act(verdict) == Action::Continue {
            let _ = raw::resume_request();
        }
        waits
    }

    fn responded(&mut self, end_of_stream: bool, out: &mut Vec<Effect>) -> (Action, Option<Timestamp>) {
        match std::mem::replace(&mut self.phase, Phase::Nothing) {
            Phase::Response => {}
            Phase::OwnReply(mend) => {
                reply::mend(mend);
                return (Action::Continue, None);
            }
            // Envoy or another filter answers a request that waits.
            Phase::Wake => {
                vm::stop_waiting(self.id);
                self.close(out);
                return (Action::Continue, Some(vm::now()));
            }
            _ => return (Action::Continue, None),
        }
        let Some(cache) = self.cache.clone() else { return (Action::Continue, None) };
        let Ok(bytes) = raw::map(Map::Response) else { return (Action::Continue, None) };
        let head = Head::read(bytes);
        let status = head.status();
        let head = ResponseHead { status, fields: head.fields, source: source(status), ends: end_of_stream };
        let capacity = head.content_length().unwrap_or(0);
        let now = vm::now();
        let verdict = {
            let mut cache = cache.borrow_mut();
            self.exchange.on_response(now, head, cache.worker_for(&self.plugin), out)
        };
        let action = match verdict {
            ResponseVerdict::Pass { edits: changes, capture } => {
                edits::apply(Map::Response, &changes);
                if capture {
                    self.phase = Phase::Body { captured: room_for(capacity) };
                }
                Action::Continue
            }
            ResponseVerdict::Hold => {
                self.phase = Phase::HeldBody { so_far: 0 };
                Action::Pause
            }
            ResponseVerdict::Wait => {
                self.phase = Phase::Fallback;
                Action::Pause
            }
            ResponseVerdict::Replace(reply) => replace(&reply),
        };
        (action, Some(now))
    }

    fn body_came(&mut self, size: usize, end: bool, out: &mut Vec<Effect>) -> (Action, Option<Timestamp>) {
        self.received = match self.phase {
            // All that Envoy holds, which is all that has come.
            Phase::HeldBody { .. } => self.received.max(size),
            _ => self.received.saturating_add(size),
        };
        match std::mem::replace(&mut self.phase, Phase::Nothing) {
            Phase::HeldBody { .. } => {
                let now = vm::now();
                (self.held_body_came(now, size, end, out), Some(now))
            }
            Phase::Body { captured } => {
                let now = vm::now();
                self.streamed_body_came(now, captured, size, out);
                if end {
                    self.streamed_body_ended(now, out);
                }
                (Action::Continue, Some(now))
            }
            waiting @ (Phase::Wake | Phase::Fallback) => {
                self.phase = waiting;
                (Action::Pause, None)
            }
            other => {
                self.phase = other;
                (Action::Continue, None)
            }
        }
    }

    /// `size` is all that Envoy holds.
    fn held_body_came(&mut self, now: Timestamp, size: usize, end: bool, out: &mut Vec<Effect>) -> Action {
        let Some(cache) = self.cache.clone() else { return Action::Continue };
        let verdict = {
            let mut cache = cache.borrow_mut();
            self.exchange.on_body(now, size as u64, cache.worker_for(&self.plugin), out)
        };
        match verdict {
            BodyVerdict::Capture if !end => {
                self.phase = Phase::HeldBody { so_far: size };
                Action::Pause
            }
            BodyVerdict::Capture => self.held_body_ended(now, size, out),
            BodyVerdict::Ignore => Action::Continue,
            BodyVerdict::Release { edits: changes, capture } => {
                edits::apply(Map::Response, &changes);
                if capture && let Some(captured) = response_body(size) {
                    self.phase = Phase::Body { captured };
                    if end {
                        self.streamed_body_ended(now, out);
                    }
                }
                Action::Continue
            }
        }
    }

    /// Everything is here, and Envoy still holds it.
    fn held_body_ended(&mut self, now: Timestamp, size: usize, out: &mut Vec<Effect>) -> Action {
        let (Some(cache), Some(body)) = (self.cache.clone(), response_body(size)) else { return Action::Continue };
        let verdict = {
            let mut cache = cache.borrow_mut();
            self.exchange.on_end(now, &body, cache.worker_for(&self.plugin), out)
        };
        match verdict {
            EndVerdict::Done => Action::Continue,
            EndVerdict::Release(changes) => {
                edits::apply(Map::Response, &changes);
                Action::Continue
            }
            EndVerdict::Replace(reply) => replace(&reply),
        }
    }

    /// `size` bytes more, on their way to the client.
    fn streamed_body_came(&mut self, now: Timestamp, mut captured: Vec<u8>, size: usize, out: &mut Vec<Effect>) {
        let Some(cache) = self.cache.clone() else { return };
        if size > 0 {
            let so_far = captured.len().saturating_add(size) as u64;
            let verdict = {
                let mut cache = cache.borrow_mut();
                self.exchange.on_body(now, so_far, cache.worker_for(&self.plugin), out)
            };
            match verdict {
                BodyVerdict::Capture => {}
                BodyVerdict::Ignore | BodyVerdict::Release { .. } => return,
            }
            let Some(chunk) = response_body(size) else { return };
            if captured.is_empty() && captured.capacity() < chunk.len() {
                captured = chunk;
            } else {
                captured.extend_from_slice(&chunk);
            }
        }
        self.phase = Phase::Body { captured };
    }

    fn streamed_body_ended(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Phase::Body { captured } = std::mem::replace(&mut self.phase, Phase::Nothing) else { return };
        let Some(cache) = self.cache.clone() else { return };
        let mut cache = cache.borrow_mut();
        self.exchange.on_end(now, &captured, cache.worker_for(&self.plugin), out);
    }

    /// Trailers stand for the end of the body.
    fn trailers_came(&mut self, out: &mut Vec<Effect>) -> (Action, Option<Timestamp>) {
        match std::mem::replace(&mut self.phase, Phase::Nothing) {
            Phase::HeldBody { so_far } => {
                let now = vm::now();
                (self.held_body_ended(now, so_far, out), Some(now))
            }
            body @ Phase::Body { .. } => {
                self.phase = body;
                let now = vm::now();
                self.streamed_body_ended(now, out);
                (Action::Continue, Some(now))
            }
            waiting @ Phase::Fallback => {
                self.phase = waiting;
                (Action::Pause, None)
            }
            other => {
                self.phase = other;
                (Action::Continue, None)
            }
        }
    }

    /// The request is over, one way or another.
    pub fn close(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Nothing;
        if let Some(cache) = self.cache.clone() {
            let mut cache = cache.borrow_mut();
            let worker = cache.worker_for(&self.plugin);
            self.exchange.on_received(std::mem::take(&mut self.received) as u64, worker);
            self.exchange.on_close(worker, out);
        }
    }
}

/// Answers in place of the response that is held.
fn replace(reply: &Reply) -> Action {
    match reply::send(reply, Path::Response) {
        Ok(_) => Action::Pause,
        Err(_) => Action::Continue,
    }
}

/// `size` bytes of the body that the current callback is about; none where the host has fewer.
fn response_body(size: usize) -> Option<Vec<u8>> {
    if size == 0 {
        return Some(Vec::new());
    }
    raw::buffer(Buffer::ResponseBody, 0, size).ok().filter(|body| body.len() == size)
}

/// Room for a body, should it be as long as it says, and no more than costs nothing to be wrong about.
fn room_for(declared: u64) -> Vec<u8> {
    const TRUSTED_MAX: u64 = 1 << 20;
    Vec::with_capacity(usize::try_from(declared.min(TRUSTED_MAX)).unwrap_or(0))
}

/// Who wrote a response: Envoy's words for why it answers itself. Only failures are worth the call.
fn source(status: u16) -> Source {
    if status < 500 {
        return Source::Origin;
    }
    let Some(details) = raw::property("response\0code_details") else { return Source::Origin };
    let details = String::from_utf8_lossy(&details);
    let says = |words: &[&str]| words.iter().any(|word| details.contains(word));
    match &*details {
        "via_upstream" | "direct_response" => Source::Origin,
        _ if says(&["connection_failure", "no_healthy_upstream", "cluster_not_found"]) => {
            Source::Failure(Failure::Connect)
        }
        _ if says(&["timeout"]) => Source::Failure(Failure::Timeout),
        _ if says(&["upstream_reset", "connection_termination"]) => Source::Failure(Failure::Reset),
        _ => Source::Failure(Failure::Other),
    }
}

/// The SDK's handle of a stream. Its state is shared with other streams' callbacks while it waits.
pub struct HttpStream {
    id: u32,
    stream: Rc<RefCell<Stream>>,
}

impl HttpStream {
    /// A new request under a configuration.
    pub fn new(id: u32, plugin: Rc<Plugin>) -> Self {
        Self { id, stream: Rc::new(RefCell::new(Stream::new(id, plugin))) }
    }

    fn carry_out(&self, now: Option<Timestamp>, out: Vec<Effect>) {
        if out.is_empty() {
            return;
        }
        let asker = self.stream.borrow().asker();
        if let Some(asker) = asker {
            effects::carry_out(self.id, &asker, now.unwrap_or_else(vm::now), out);
        }
    }
}

impl Context for HttpStream {
    fn on_done(&mut self) -> bool {
        vm::stop_waiting(self.id);
        let mut out = Vec::new();
        self.stream.borrow_mut().close(&mut out);
        self.carry_out(None, out);
        true
    }
}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        crate::trap::if_asked();
        let (mut out, now) = (Vec::new(), vm::now());
        let (action, waits) = {
            let mut stream = self.stream.borrow_mut();
            let action = stream.requested(now, end_of_stream, &mut out);
            (action, matches!(stream.phase, Phase::Wake))
        };
        if waits {
            vm::wait(self.id, self.stream.clone());
        }
        self.carry_out(Some(now), out);
        action
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        let paused = matches!(self.stream.borrow().phase, Phase::Wake | Phase::OwnReply(_));
        if paused { Action::Pause } else { Action::Continue }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.on_http_request_body(0, true)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let mut out = Vec::new();
        let (action, now) = self.stream.borrow_mut().responded(end_of_stream, &mut out);
        if matches!(self.stream.borrow().phase, Phase::Fallback) {
            vm::wait(self.id, self.stream.clone());
        }
        self.carry_out(now, out);
        action
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut out = Vec::new();
        let (action, now) = self.stream.borrow_mut().body_came(size, end_of_stream, &mut out);
        self.carry_out(now, out);
        action
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let mut out = Vec::new();
        let (action, now) = self.stream.borrow_mut().trailers_came(&mut out);
        self.carry_out(now, out);
        action
    }
}
