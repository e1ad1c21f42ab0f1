//! One request on its way: the core's exchange, and the means to be woken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use larder_core::cluster::{Call, CallFailure};
use larder_core::exchange::{self, BodyVerdict, Edits, Effect, EndVerdict, Exchange, RequestVerdict, ResponseVerdict};
use larder_core::fields::{RequestHead, ResponseHead};
use larder_core::flights::{StreamId, Wake};
use larder_core::time::Timestamp;
use larder_core::worker::Worker;
use tokio::sync::{mpsc, oneshot};

use crate::body::Body;
use crate::cache::{Cache, Inner};
use crate::effects;
use crate::head;
use crate::reply;
use crate::tape::{self, Writer};

/// Who has waited for as long as the core wants looks again so soon, should the two clocks not agree.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A request. Dropped before its end, whoever waits for it is told.
pub(crate) struct Stream {
    pub(crate) cache: Arc<Cache>,
    exchange: Exchange,
    id: StreamId,
    mailbox: Option<mpsc::UnboundedReceiver<Wake>>,
    /// The cache knows of a mailbox or a tape.
    known: bool,
    /// Bytes of the response's body that have come and were not counted.
    pub(crate) received: u64,
}

/// What is to be done with the request.
pub(crate) enum Step {
    Answer(Response<Body>),
    Forward(Edits),
    Wait,
    Lookup(Box<Call>),
}

/// A verdict, and what goes with it before anybody else can take a step.
struct Decided {
    verdict: RequestVerdict,
    mailbox: Option<mpsc::UnboundedReceiver<Wake>>,
    body: Option<(Option<u64>, Body)>,
}

impl Decided {
    fn of(verdict: RequestVerdict, id: StreamId, without_mailbox: bool, inner: &mut Inner) -> Self {
        // Whoever is to wake it finds its mailbox.
        let waits = matches!(verdict, RequestVerdict::Wait) && without_mailbox;
        let mailbox = waits.then(|| inner.mailbox(id));
        let body = match &verdict {
            RequestVerdict::Follow(leader, _) => {
                let followed = inner.tape_of(*leader);
                followed.and_then(|tape| Some((tape.declared, Body::read(tape.reader()?))))
            }
            _ => None,
        };
        Self { verdict, mailbox, body }
    }
}

/// What is to be done with the response.
pub(crate) enum Received {
    Pass(Edits),
    /// The body is to be written; the head goes out now, or is told later.
    Capture(Option<Edits>, Writer),
    Replace(Response<Body>),
}

impl Stream {
    /// Begins with a request's head.
    pub(crate) fn begin(cache: &Arc<Cache>, request: RequestHead) -> (Self, Step, Vec<Effect>) {
        let ((mut exchange, id, decided), effects) = cache.step(|inner, now, out| {
            let (id, policy) = inner.begin();
            let mut exchange = Exchange::new(policy, id);
            let verdict = exchange.on_request(now, request, inner.worker_for(exchange.policy()), out);
            (exchange, id, Decided::of(verdict, id, true, inner))
        });
        if let Some(answered) = exchange.take_answered() {
            head::spare(answered);
        }
        let mut stream = Self { cache: cache.clone(), exchange, id, mailbox: None, known: false, received: 0 };
        let (step, effects) = stream.next(decided, effects);
        (stream, step, effects)
    }

    pub(crate) fn on_wake(&mut self, wake: Wake) -> (Step, Vec<Effect>) {
        self.step(|exchange, now, worker, out| exchange.on_wake(now, wake, worker, out))
    }

    pub(crate) fn on_lookup(&mut self, answer: Result<Bytes, CallFailure>) -> (Step, Vec<Effect>) {
        self.step(|exchange, now, worker, out| exchange.on_lookup(now, answer, worker, out))
    }

    fn step(
        &mut self,
        act: impl FnOnce(&mut Exchange, Timestamp, &mut Worker, &mut Vec<Effect>) -> RequestVerdict,
    ) -> (Step, Vec<Effect>) {
        let Self { cache, exchange, id, mailbox, .. } = self;
        let (decided, effects) = cache.step(|inner, now, out| {
            let worker = inner.worker_for(exchange.policy());
            let verdict = act(exchange, now, worker, out);
            Decided::of(verdict, *id, mailbox.is_none(), inner)
        });
        self.next(decided, effects)
    }

    /// The next step, and what else is to be done.
    fn next(&mut self, decided: Decided, effects: Vec<Effect>) -> (Step, Vec<Effect>) {
        let Decided { verdict, mailbox, body } = decided;
        if mailbox.is_some() {
            self.mailbox = mailbox;
            self.known = true;
        }
        let mut lookup = None;
        let mut others = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Lookup(call) => lookup = Some(call),
                other => others.push(other),
            }
        }
        let step = match (verdict, lookup) {
            (RequestVerdict::Wait, Some(call)) => Step::Lookup(call),
            (RequestVerdict::Wait, None) => Step::Wait,
            (RequestVerdict::Forward(edits), _) => Step::Forward(edits),
            (RequestVerdict::Respond(reply), _) => Step::Answer(reply::reply(&reply, None)),
            (RequestVerdict::Follow(_, reply), _) if body.is_some() => Step::Answer(reply::reply(&reply, body)),
            // There is no body to follow, or no other way to the cluster: the origin has it.
            (RequestVerdict::Follow(..) | RequestVerdict::Reroute(_), _) => Step::Forward(Edits::new()),
        };
        (step, others)
    }

    /// Waits to be woken.
    pub(crate) async fn wait(&mut self) -> Wake {
        let mut patience = Duration::from_millis(self.exchange.patience().0);
        let Some(mailbox) = &mut self.mailbox else { return Wake::TimedOut };
        loop {
            tokio::select! {
                biased;
                wake = mailbox.recv() => return wake.unwrap_or(Wake::TimedOut),
                () = tokio::time::sleep(patience) => {
                    self.cache.wake_overdue();
                    patience = LOOK_AGAIN;
                }
            }
        }
    }

    /// Asks the cluster. Should this request go away meanwhile, the lease it was granted is given back.
    pub(crate) async fn lookup(&self, call: Call) -> Result<Bytes, CallFailure> {
        let (tell, told) = oneshot::channel();
        let cache = self.cache.clone();
        tokio::spawn(async move {
            let answer = cache.call(&call).await;
            if let Err(Ok(unheard)) = tell.send(answer)
                && let Some(call) = exchange::abandoned(&call.name, unheard)
            {
                effects::tell(&cache, call);
            }
        });
        told.await.unwrap_or(Err(CallFailure::Unreachable))
    }

    /// Whether the response is worth having even should the client go away.
    pub(crate) fn may_fill(&self) -> bool {
        self.exchange.may_fill()
    }

    pub(crate) fn on_response(&mut self, head: ResponseHead, length: Option<u64>) -> (Received, Vec<Effect>) {
        let Self { cache, exchange, id, known, .. } = self;
        let ((verdict, writer), effects) = cache.step(|inner, now, out| {
            let verdict = exchange.on_response(now, head, inner.worker_for(exchange.policy()), out);
            let captures = matches!(verdict, ResponseVerdict::Hold | ResponseVerdict::Pass { capture: true, .. });
            let writer = captures.then(|| {
                let (writer, tape) = tape::tape(length);
                // Before anybody can be told to follow it.
                inner.keep_tape(*id, tape);
                *known = true;
                writer
            });
            (verdict, writer)
        });
        let received = match (verdict, writer) {
            (ResponseVerdict::Pass { edits, .. }, Some(writer)) => Received::Capture(Some(edits), writer),
            (ResponseVerdict::Pass { edits, .. }, None) => Received::Pass(edits),
            (ResponseVerdict::Replace(reply), _) => Received::Replace(reply::reply(&reply, None)),
            (_, Some(writer)) => Received::Capture(None, writer),
            // A node that failed to serve: no request is sent to one from here.
            (_, None) => Received::Pass(Edits::new()),
        };
        (received, effects)
    }

    pub(crate) fn on_body(&mut self, so_far: u64) -> (BodyVerdict, Vec<Effect>) {
        let exchange = &mut self.exchange;
        self.cache.step(|inner, now, out| exchange.on_body(now, so_far, inner.worker_for(exchange.policy()), out))
    }

    pub(crate) fn on_end(&mut self, body: &[u8]) -> (EndVerdict, Vec<Effect>) {
        let exchange = &mut self.exchange;
        self.cache.step(|inner, now, out| exchange.on_end(now, body, inner.worker_for(exchange.policy()), out))
    }

    /// The stream is over for the cache, whatever its client still gets.
    pub(crate) fn close(&mut self) {
        let Self { cache, exchange, id, known, received, .. } = self;
        if !*known && exchange.is_over() && *received == 0 {
            return;
        }
        *known = false;
        let ((), effects) = cache.step(|inner, _, out| {
            let worker = inner.worker_for(exchange.policy());
            exchange.on_received(std::mem::take(received), worker);
            exchange.on_close(worker, out);
            inner.forget(*id);
        });
        effects::carry_out(cache, effects);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
    }
}
