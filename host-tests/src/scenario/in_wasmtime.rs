//! The executor `wasmtime`: the real module in the wasmtime host, on simulated time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::executor::{
    ArrivalId, ClientId, Event, Executor, Lines, Part, Patience, Received, SentAnswer, SentReaction, SentRequest,
    Setting, World,
};
use crate::host::{
    CallId, Config, Headers, Host, HostError, LogLevel, Outcome, Plugin, Request, Response, Route, StreamId,
    UpstreamFailure,
};

/// How long the proxy waits for a silent origin, as in the other executors.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than any background call may take.
const CALL_PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the plugin's period of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// Of longer waits only so much passes with all that falls due meanwhile.
const TICKED: Duration = Duration::from_secs(60);
/// Bodies come in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
const DAY: Duration = Duration::from_secs(86_400);

/// Runs scenarios on a module in the wasmtime host.
pub struct Wasmtime {
    plugin: Plugin,
}

impl std::fmt::Debug for Wasmtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wasmtime").finish_non_exhaustive()
    }
}

impl Wasmtime {
    /// The executor for the module in a file.
    ///
    /// # Errors
    /// The file cannot be read or is no module.
    pub fn new(module: &Path) -> Result<Self, HostError> {
        Ok(Self { plugin: Plugin::from_file(module)? })
    }
}

impl Executor for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn begin(&mut self, setting: &Setting<'_>) -> Result<Box<dyn World + '_>, String> {
        let policy = setting.policies.first().ok_or("no policy")?;
        let config = Config {
            routes: vec![Route::new("/", "origin").timeout(Duration::ZERO)],
            stream_idle_timeout: DAY,
            proxy_100_continue: true,
            // As ENVOY advises: the largest body that is held, and a mebibyte for what one read may add.
            buffer_limit_bytes: 2 << 20,
            ..Config::new(policy)
        };
        let host = Host::start(&self.plugin, config).map_err(|error| error.to_string())?;
        Ok(Box::new(Simulated {
            host,
            policies: setting.policies.to_vec(),
            clients: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            reported_streams: BTreeSet::new(),
            reported_calls: BTreeSet::new(),
            next_arrival: 1,
            events: VecDeque::new(),
            problems_told: 0,
        }))
    }
}

struct Simulated {
    host: Host,
    policies: Vec<String>,
    /// Clients without an answer.
    clients: BTreeMap<ClientId, StreamId>,
    arrivals: BTreeMap<ArrivalId, Upstream>,
    reported_streams: BTreeSet<StreamId>,
    reported_calls: BTreeSet<CallId>,
    next_arrival: u64,
    events: VecDeque<Event>,
    problems_told: usize,
}

#[derive(Clone)]
enum Upstream {
    Stream(StreamId, String),
    Call(CallId),
}

fn lines_of(headers: &Headers) -> Lines {
    let plain = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    plain.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn headers_of(lines: &Lines) -> Headers {
    lines.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

fn request_of(headers: &Headers, body: &[u8]) -> SentRequest {
    let text = |name: &str| headers.text(name).unwrap_or_default();
    SentRequest {
        method: text(":method"),
        scheme: text(":scheme"),
        authority: text(":authority"),
        target: text(":path"),
        fields: lines_of(headers),
        body: (!body.is_empty()).then(|| body.to_vec()),
        chunked: false,
    }
}

impl World for Simulated {
    fn now(&mut self) -> u64 {
        let since = self.host.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn send(&mut self, client: ClientId, sent: SentRequest) -> Result<(), String> {
        let mut request = Request::new(&sent.method, &sent.target).authority(&sent.authority).scheme(&sent.scheme);
        for (name, value) in &sent.fields {
            request = request.header(name, value);
        }
        let body = sent.body.unwrap_or_default();
        let stream = if sent.chunked {
            let stream = self.host.request(0, request.header("transfer-encoding", "chunked").open());
            self.host.send_body(stream, &body, true);
            stream
        } else {
            self.host.request(0, request.body(body))
        };
        self.clients.insert(client, stream);
        Ok(())
    }

    fn next(&mut self, _patience: Patience) -> Result<Option<Event>, String> {
        if self.events.is_empty() {
            self.collect();
        }
        Ok(self.events.pop_front())
    }

    fn answer(&mut self, arrival: ArrivalId, answer: &SentAnswer, part: Part) -> Result<(), String> {
        match self.arrivals.get(&arrival).cloned() {
            None => return Err("this request is not known".to_owned()),
            Some(Upstream::Stream(stream, method)) => self.answer_stream(stream, &method, answer, part),
            Some(Upstream::Call(_)) if part == Part::Head => {}
            Some(Upstream::Call(call)) => self.answer_call(call, answer),
        }
        Ok(())
    }

    fn leave(&mut self, client: ClientId) -> Result<(), String> {
        if let Some(stream) = self.clients.remove(&client) {
            self.host.client_gone(stream);
        }
        Ok(())
    }

    fn wait(&mut self, span: Duration) -> Result<(), String> {
        // Housekeeping every tenth of a second for days would take hours; what waits for less than a minute sees it all.
        let stepped = span.saturating_sub(TICKED);
        self.host.advance(span.min(TICKED) / 2);
        self.host.step_clock(self.host.now() + stepped);
        self.host.advance(span.min(TICKED) - span.min(TICKED) / 2);
        Ok(())
    }

    fn reload(&mut self, index: usize) -> Result<(), String> {
        let policy = self.policies.get(index).ok_or("no such policy")?;
        self.host.reload(policy).map_err(|error| error.to_string())
    }

    fn counted(&mut self, outcome: &str, _expected: u64) -> Result<u64, String> {
        self.host.advance(HOUSEKEEPING);
        let label = format!("outcome={outcome}");
        let is_meant = |name: &str| name.starts_with("larder_requests_total") && name.split(';').any(|l| l == label);
        Ok(self.host.metrics().iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| value).sum())
    }

    fn problems(&mut self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .host
            .traps()
            .iter()
            .map(|trap| format!("the VM died in {}: {}", trap.callback, trap.message))
            .collect();
        problems.extend(self.host.logs().into_iter().filter(|line| line.level >= LogLevel::Error).map(|l| l.message));
        let fresh = problems.split_off(self.problems_told.min(problems.len()));
        self.problems_told += fresh.len();
        fresh
    }
}

impl Simulated {
    /// Looks for what is new at the origin and at clients.
    fn collect(&mut self) {
        for stream in self.host.upstream_requests() {
            let Some(upstream) = self.host.upstream(stream).filter(|upstream| upstream.complete) else { continue };
            if self.reported_streams.insert(stream) {
                let request = request_of(&upstream.headers, &upstream.body);
                self.arrive(Upstream::Stream(stream, request.method.clone()), request);
            }
        }
        for call in self.host.calls() {
            if self.reported_calls.insert(call.id) {
                let request = request_of(&call.headers, &call.body);
                self.arrive(Upstream::Call(call.id), request);
            }
        }
        let views: Vec<_> = self.clients.iter().map(|(client, stream)| (*client, self.host.client(*stream))).collect();
        for (client, view) in views {
            if view.outcome == Outcome::Pending {
                continue;
            }
            self.clients.remove(&client);
            let received = Received {
                status: view.status().unwrap_or(0),
                fields: view.headers.as_ref().map(lines_of).unwrap_or_default(),
                body: view.body,
                trailers: view.trailers.as_ref().map(lines_of).unwrap_or_default(),
                interim: view.informational.iter().map(|headers| (status_of(headers), lines_of(headers))).collect(),
                cut: view.outcome == Outcome::Aborted && view.headers.is_some(),
            };
            self.events.push_back(Event::Answered(client, received));
        }
    }

    fn arrive(&mut self, upstream: Upstream, request: SentRequest) {
        let arrival = ArrivalId(self.next_arrival);
        self.next_arrival += 1;
        self.arrivals.insert(arrival, upstream);
        self.events.push_back(Event::Arrived(arrival, request));
    }

    fn answer_stream(&mut self, stream: StreamId, method: &str, answer: &SentAnswer, part: Part) {
        let status = match answer.reaction {
            SentReaction::Respond(status) => status,
            SentReaction::Refuse => return self.host.fail_upstream(stream, UpstreamFailure::ConnectionRefused),
            SentReaction::Reset => return self.host.fail_upstream(stream, UpstreamFailure::ConnectionReset),
            SentReaction::Silence => {
                self.host.advance(PATIENCE);
                return self.host.fail_upstream(stream, UpstreamFailure::Timeout);
            }
        };
        let bodiless = method == "HEAD" || matches!(status, 204 | 304);
        let nothing = answer.body.is_empty() && answer.trailers.is_empty() && !answer.chunked;
        let ends = bodiless || (nothing && answer.cut_after.is_none());
        if part != Part::Rest {
            for (status, lines) in &answer.interim {
                let mut headers = headers_of(lines);
                headers.set(":status", status.to_string());
                self.host.respond_informational(stream, headers);
            }
            self.host.respond_headers(stream, head_of(answer, status, method), ends);
        }
        if part != Part::Head && !ends {
            self.send_body(stream, answer);
        }
    }

    fn send_body(&mut self, stream: StreamId, answer: &SentAnswer) {
        let count = answer.cut_after.unwrap_or(answer.body.len()).min(answer.body.len());
        let (sent, _) = answer.body.split_at(count);
        let whole = answer.cut_after.is_none() && answer.trailers.is_empty();
        let mut pieces = sent.chunks(PIECE_BYTES).peekable();
        let mut ended = false;
        while let Some(piece) = pieces.next() {
            ended = whole && pieces.peek().is_none();
            self.host.respond_body(stream, piece, ended);
        }
        if answer.cut_after.is_some() {
            self.host.respond_truncated(stream);
        } else if !answer.trailers.is_empty() {
            self.host.respond_trailers(stream, headers_of(&answer.trailers));
        } else if !ended {
            self.host.respond_body(stream, b"", true);
        }
    }

    fn answer_call(&mut self, call: CallId, answer: &SentAnswer) {
        match answer.reaction {
            SentReaction::Respond(_) if answer.cut_after.is_some() => self.host.fail_call(call),
            SentReaction::Respond(status) => {
                let mut response = Response::new(status).body(answer.body.clone());
                if answer.chunked {
                    response = response.chunked();
                }
                for (name, value) in &answer.fields {
                    response = response.header(name, value);
                }
                self.host.answer_call(call, response);
            }
            SentReaction::Refuse | SentReaction::Reset => self.host.refuse_call(call),
            SentReaction::Silence => self.host.advance(CALL_PATIENCE),
        }
    }
}

/// The head of an answer with the framing that belongs to it.
fn head_of(answer: &SentAnswer, status: u16, method: &str) -> Headers {
    let mut headers = Headers::new();
    headers.append(":status", status.to_string());
    for (name, value) in &answer.fields {
        headers.append(name, value);
    }
    // An answer to HEAD without a body says nothing of the length of what GET would get.
    let bodiless = matches!(status, 100..=199 | 204 | 304) || (method == "HEAD" && answer.body.is_empty());
    if answer.chunked || !answer.trailers.is_empty() {
        headers.append("transfer-encoding", "chunked");
    } else if !bodiless && !headers.contains("content-length") {
        headers.append("content-length", answer.body.len().to_string());
    }
    headers
}

fn status_of(headers: &Headers) -> u16 {
    headers.text(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
}
