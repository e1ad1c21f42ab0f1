//! The least host there can be: requests and responses by hand, in the order that a test wants.

use std::sync::Arc;

use larder_core::exchange::{Edit, Edits, EndVerdict, Reply, RequestVerdict, ResponseVerdict};
use larder_core::flights::StreamId;
use larder_core::{Exchange, Fields, Policy, RequestHead, ResponseHead, Timestamp, Worker};

pub type Lines<'a> = &'a [(&'a str, &'a str)];

/// One worker under one policy.
pub struct World {
    pub policy: Arc<Policy>,
    pub worker: Worker,
    pub now: Timestamp,
    streams: u64,
}

/// What a client gets.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
}

/// A request at the origin.
pub struct AtOrigin {
    exchange: Exchange,
    pub fields: Fields,
}

impl World {
    /// With these `defaults` of a policy (a JSON object's inside).
    pub fn new(defaults: &str) -> Self {
        let text = format!(r#"{{"version":1,"name":"test","defaults":{{{defaults}}}}}"#);
        let policy = Arc::new(Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors}")));
        Self { policy, worker: Worker::new(1 << 20, 7), now: Timestamp::from_secs(1_767_225_600), streams: 0 }
    }

    /// Time passes.
    pub fn wait(&mut self, seconds: u64) {
        self.now = Timestamp(self.now.0 + seconds * 1000);
    }

    /// Sends a request: either the store answers, or it is at the origin now.
    #[allow(clippy::result_large_err, reason = "either is moved once")]
    pub fn send(&mut self, method: &str, target: &str, lines: Lines<'_>) -> Result<Answer, AtOrigin> {
        let (exchange, verdict) = self.ask(method, target, lines);
        let mut sent = fields(lines);
        match verdict {
            RequestVerdict::Respond(reply) => Ok(answer(&reply)),
            RequestVerdict::Forward(edits) => {
                apply(&mut sent, edits);
                Err(AtOrigin { exchange, fields: sent })
            }
            other => panic!("no two requests of one key run here at once, and there is no cluster: {other:?}"),
        }
    }

    /// Sends a request, whatever comes of it. Its stream has the number of requests so far.
    pub fn ask(&mut self, method: &str, target: &str, lines: Lines<'_>) -> (Exchange, RequestVerdict) {
        let request = RequestHead {
            method: method.into(),
            scheme: "http".into(),
            authority: "h.example".into(),
            target: target.into(),
            fields: fields(lines),
            has_body: method == "POST",
        };
        self.streams += 1;
        let mut exchange = Exchange::new(self.policy.clone(), StreamId(self.streams));
        let verdict = exchange.on_request(self.now, request, &mut self.worker, &mut Vec::new());
        (exchange, verdict)
    }

    /// Sends a request that the store has no answer to.
    pub fn forward(&mut self, method: &str, target: &str, lines: Lines<'_>) -> AtOrigin {
        self.send(method, target, lines)
            .map_or_else(|at_origin| at_origin, |answer| panic!("from the store: {answer:?}"))
    }

    /// The origin answers.
    pub fn answer(&mut self, at_origin: AtOrigin, status: u16, lines: Lines<'_>, body: &str) -> Answer {
        let AtOrigin { mut exchange, .. } = at_origin;
        let mut got = fields(lines);
        let head = ResponseHead { status, fields: got.clone(), ends: body.is_empty(), ..ResponseHead::default() };
        let (now, worker, out) = (self.now, &mut self.worker, &mut Vec::new());
        let passed = match exchange.on_response(now, head, worker, out) {
            ResponseVerdict::Replace(reply) => return answer(&reply),
            ResponseVerdict::Pass { edits, .. } => Some(edits),
            held => {
                assert!(matches!(held, ResponseVerdict::Hold), "{held:?}");
                None
            }
        };
        let ended = exchange.on_end(now, body.as_bytes(), worker, out);
        exchange.on_close(worker, out);
        match (passed, ended) {
            (_, EndVerdict::Replace(reply)) => return answer(&reply),
            (Some(edits), _) | (None, EndVerdict::Release(edits)) => apply(&mut got, edits),
            (None, EndVerdict::Done) => panic!("a held head is let go"),
        }
        Answer { status, fields: got, body: body.into() }
    }

    /// Sends a request and has the origin answer it.
    pub fn fetch(
        &mut self,
        (method, target, sent): (&str, &str, Lines<'_>),
        status: u16,
        lines: Lines<'_>,
        body: &str,
    ) {
        let at_origin = self.forward(method, target, sent);
        self.answer(at_origin, status, lines, body);
    }

    /// Whether the store answers, and with what: status and body.
    pub fn stored(&mut self, target: &str, lines: Lines<'_>) -> Option<(u16, String)> {
        let found = self.send("GET", target, lines).ok()?;
        Some((found.status, String::from_utf8_lossy(&found.body).into_owned()))
    }
}

/// What the store holds, as [`World::stored`] tells it.
pub fn whole(body: &str) -> Option<(u16, String)> {
    Some((200, body.to_owned()))
}

pub fn answer(reply: &Reply) -> Answer {
    let body = if reply.head_only { Vec::new() } else { reply.body().to_vec() };
    let mut fields = Fields::new();
    reply.fields().for_each(|line| fields.add(&line.name, line.value.clone()));
    Answer { status: reply.status, fields, body }
}

pub fn fields(lines: Lines<'_>) -> Fields {
    let mut fields = Fields::new();
    lines.iter().for_each(|(name, value)| fields.add(name, *value));
    fields
}

pub fn apply(fields: &mut Fields, edits: Edits) {
    for edit in edits {
        match edit {
            Edit::Remove(name) => fields.remove(&name),
            Edit::Set(name, value) => fields.set(&name, value),
            Edit::Add(name, value) => fields.add(&name, value),
            // Where the request goes; the fields stay.
            _ => {}
        }
    }
}
