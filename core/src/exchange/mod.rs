//! `Exchange`: one client request from its head to its last byte, as a machine without I/O.
//!
//! A host calls, in this order and each at most once unless said otherwise:
//! [`Exchange::on_request`]; [`Exchange::on_wake`] after a `Wait`, when an effect names this stream;
//! [`Exchange::on_response`] after a `Forward`; [`Exchange::on_body`] as the body grows, any number of times, and
//! [`Exchange::on_end`] when it is complete, after a `Hold` or a `Pass` that captures; [`Exchange::on_received`] for every
//! body that comes, captured or not; [`Exchange::on_close`] always, when the stream is over for whatever reason. Each returns one verdict; effects go to the sink. Bodies stay with the
//! host until `on_end`. A host that calls out of order gets verdicts that pass everything through and store nothing.

mod bypass;
mod follow;
mod forward;
mod invalidate;
mod lookup;
mod part;
mod post;
mod purging;
mod receive;
mod refresh;
mod reply;
mod request;
mod response;
mod served;
mod shaded;
mod share;
mod storing;
mod verdict;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use invalidate::scopes as scopes_of;
pub use lookup::abandoned;
pub use refresh::{Answer, Refresh, RefreshStep};
pub use reply::{CACHE_NAME, from_stored};
pub(crate) use response::times_of;
pub use share::purge as invalidation;
pub use storing::group_tag;
pub(crate) use storing::tags as tags_of;
pub use verdict::{
    BodyVerdict, Edit, Edits, Effect, EndVerdict, Invalidation, Reply, ReplyBody, RequestVerdict, ResponseVerdict,
    edits_between,
};

use bypass::Bypassing;

use crate::cluster::CallFailure;
use crate::cluster::leases::LeaseId;
use crate::cluster::message::Release;
use crate::decide::admit::{self, Bypass};
use crate::decide::identity::{self, Identity};
use crate::edge::{MARK, TAGS};
use crate::fields::{Name, RequestHead, ResponseHead, Source};
use crate::flights::{Part, StreamId, Wake};
use crate::key::{self, Keyed};
use crate::policy::Policy;
use crate::policy::rules::Rules;
use crate::policy::template::Params;
use crate::purge::Standing;
use crate::shadow::Watched;
use crate::shelf::{Shelf, Variant};
use crate::tally::{Count, Outcome};
use crate::time::{Millis, Timestamp};
use crate::worker::Worker;

/// One client request.
#[derive(Debug)]
pub struct Exchange {
    policy: Arc<Policy>,
    id: StreamId,
    state: State,
    answered: Option<RequestHead>,
    /// Where a policy runs in the shadow of this one.
    shadow: Option<Box<Watched>>,
    /// When the request's head came.
    begun: Timestamp,
    /// Under which rules the origin's body counts, where the response is the origin's.
    from_origin: Option<usize>,
}

/// States are named for what is awaited.
#[derive(Debug)]
enum State {
    Request,
    Wake(Box<Asked>),
    Lookup(Box<lookup::Looking>),
    Purging(Box<purging::Purging>),
    Served(Box<served::Served>),
    Fetched(Box<served::Fallback>),
    BypassedResponse(Box<Bypassed>),
    Response(Box<Fetch>),
    Body(Box<receive::Receiving>),
    Nothing,
}

/// A request that may use the cache.
#[derive(Clone, Debug)]
struct Asked {
    request: RequestHead,
    rules: Arc<Rules>,
    params: Params,
    keyed: Keyed,
    identity: Identity,
}

/// A request that may not.
#[derive(Debug)]
struct Bypassed {
    request: RequestHead,
    rules: Arc<Rules>,
    params: Params,
    reason: Bypass,
    /// The edge tells clients what the policy says.
    behind_edge: bool,
    sent: Timestamp,
    standing: Standing,
}

/// A request on its way to the origin.
#[derive(Debug)]
struct Fetch {
    asked: Asked,
    part: Part,
    /// A stored response that needs validation or may stand in for a failing origin.
    stale: Option<Variant>,
    /// The stored response's validators were sent.
    validating: bool,
    /// The client's own preconditions were taken out, so that a whole response comes.
    preconditions_taken: bool,
    /// Why the request was forwarded, in the words of RFC 9211 2.2.
    forwarded: &'static str,
    detail: Option<&'static str>,
    sent: Timestamp,
    standing: Standing,
    /// The cluster's leave to fill the key; zero where there is none.
    lease: LeaseId,
    /// The cluster has the very response that is validated.
    known_there: bool,
}

impl Asked {
    fn new(request: RequestHead, rules: Arc<Rules>, params: Params, shelf: &Shelf) -> Self {
        let keyed = keyed(&rules, &request, shelf);
        let identity = if rules.override_unsafe { Identity::None } else { identity::identity(&rules, &request.fields) };
        Self { request, rules, params, keyed, identity }
    }
}

/// The key under what the origin last said about queries of this path.
pub(crate) fn keyed(rules: &Rules, request: &RequestHead, shelf: &Shelf) -> Keyed {
    let plain = key::keyed(&rules.key, request, None);
    let known = if rules.key.no_vary_search { shelf.no_vary_search(plain.path_key()) } else { None };
    match known {
        None => plain,
        Some(rule) => key::keyed(&rules.key, request, Some(rule)),
    }
}

impl Exchange {
    /// A new request under a policy. The host numbers its streams; a number is not reused while a stream waits.
    pub fn new(policy: Arc<Policy>, id: StreamId) -> Self {
        Self { policy, id, state: State::Request, answered: None, shadow: None, begun: Timestamp(0), from_origin: None }
    }

    /// The policy it is under.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The request's head is here.
    pub fn on_request(
        &mut self,
        now: Timestamp,
        head: RequestHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        if !matches!(self.state, State::Request) {
            return RequestVerdict::Forward(Edits::new());
        }
        self.begun = now;
        let matched = self.policy.route(&head);
        let (rules, params) = (matched.rules, matched.params);
        if let Some(verdict) = self.purge(now, &head, &rules, worker, out) {
            return verdict;
        }
        let behind_edge = worker.edge.vouches(head.fields.first(MARK), now);
        self.shadow = Watched::begin(now, &head, &rules, behind_edge, worker);
        match admit::admit(&rules, &head, matched.suspicious_path) {
            Err(reason) => self.bypass(now, Bypassing { head, rules, params, reason, behind_edge }, worker),
            Ok(()) if behind_edge => {
                let reason = Bypass::Edge;
                self.bypass(now, Bypassing { head, rules, params, reason, behind_edge }, worker)
            }
            Ok(()) => {
                let asked = Asked::new(head, rules, params, &worker.shelf);
                self.look(now, asked, None, worker, out)
            }
        }
    }

    /// Whether the response that is awaited or received could be stored: worth having even should the client go away.
    pub fn may_fill(&self) -> bool {
        match &self.state {
            State::Response(fetch) => request::fills(&fetch.asked),
            State::Body(receiving) => receiving.storing.is_some(),
            _ => false,
        }
    }

    /// Whether nothing more is to come of this exchange: closing it would change nothing.
    pub const fn is_over(&self) -> bool {
        matches!(&self.state, State::Nothing)
    }

    /// The head of a request that was answered from memory: another one can be made where it was.
    pub fn take_answered(&mut self) -> Option<RequestHead> {
        self.answered.take()
    }

    /// How long a stream that waits for another's response does so.
    pub fn patience(&self) -> Millis {
        match &self.state {
            State::Wake(asked) => asked.rules.collapse_wait.unwrap_or_default(),
            _ => Millis::default(),
        }
    }

    /// A stream that was told to wait is woken.
    pub fn on_wake(
        &mut self,
        now: Timestamp,
        wake: Wake,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Wake(asked) if wake == Wake::Announced => match self.follow(now, &asked, worker) {
                Some(verdict) => {
                    wake_all(worker.flights.leave(&asked.keyed.key, self.id), out);
                    verdict
                }
                None => {
                    self.state = State::Wake(asked);
                    RequestVerdict::Wait
                }
            },
            State::Wake(mut asked) => {
                let fresh = keyed(&asked.rules, &asked.request, &worker.shelf);
                let joined = std::mem::replace(&mut asked.keyed, fresh);
                if joined.key != asked.keyed.key {
                    // What the leader heard from the origin has changed the key: this one has no part in the old one's flight.
                    wake_all(worker.flights.leave(&joined.key, self.id), out);
                    let wake = Some(wake).filter(|wake| *wake != Wake::Lead);
                    return self.look(now, *asked, wake, worker, out);
                }
                let verdict = self.look(now, *asked, Some(wake), worker, out);
                if !matches!(verdict, RequestVerdict::Forward(_) | RequestVerdict::Wait) {
                    // Answered from the store: whoever waits behind this one may go on.
                    wake_all(worker.flights.leave(&joined.key, self.id), out);
                }
                verdict
            }
            other => {
                self.state = other;
                RequestVerdict::Forward(Edits::new())
            }
        }
    }

    /// The cluster has answered an [`Effect::Lookup`], or has not.
    pub fn on_lookup(
        &mut self,
        now: Timestamp,
        answer: Result<Bytes, CallFailure>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> RequestVerdict {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Lookup(looking) => self.looked_up(now, *looking, answer, worker, out),
            State::Purging(purging) => self.purged(now, *purging, answer, worker, out),
            other => {
                self.state = other;
                RequestVerdict::Forward(Edits::new())
            }
        }
    }

    /// The origin has answered an [`Effect::Fetch`], or has not.
    pub fn on_fetched(
        &mut self,
        now: Timestamp,
        answer: Answer<'_>,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> Option<Reply> {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Fetched(fallback) => self.fallen_back(now, *fallback, answer, worker, out),
            other => {
                self.left(other, worker, out);
                None
            }
        }
    }

    /// The response's head is here.
    pub fn on_response(
        &mut self,
        now: Timestamp,
        head: ResponseHead,
        worker: &mut Worker,
        out: &mut Vec<Effect>,
    ) -> ResponseVerdict {
        let tagged = head.fields.has(TAGS);
        let shaded = self.shadow.as_ref().map(|_| head.clone());
        if head.source == Source::Origin {
            self.from_origin = match &self.state {
                State::BypassedResponse(bypassed) => Some(bypassed.rules.index),
                State::Response(fetch) => Some(fetch.asked.rules.index),
                _ => None,
            };
        }
        let mut verdict = match std::mem::replace(&mut self.state, State::Nothing) {
            State::BypassedResponse(bypassed) => self.bypassed_response(now, *bypassed, head, worker, out),
            State::Response(fetch) => self.fetched(now, *fetch, head, worker, out),
            State::Served(served) => self.served(now, *served, head, worker, out),
            // The proxy has answered while this waited: its patience with the stream is at an end.
            other => {
                self.left(other, worker, out);
                ResponseVerdict::Pass { edits: Edits::new(), capture: false }
            }
        };
        // Said to this cache, and to nobody behind it: whatever becomes of the response.
        if let (true, ResponseVerdict::Pass { edits, .. }) = (tagged, &mut verdict)
            && !edits.iter().any(|edit| matches!(edit, Edit::Set(name, _) if name == TAGS))
        {
            edits.push(Edit::Remove(Name::new(TAGS)));
        }
        if let Some(head) = shaded {
            self.shade_response(now, head, &verdict, worker);
        }
        verdict
    }

    /// `so_far` bytes of the body have come. To be called before more than that is sent on or collected.
    pub fn on_body(&mut self, now: Timestamp, so_far: u64, worker: &mut Worker, out: &mut Vec<Effect>) -> BodyVerdict {
        let verdict = match std::mem::replace(&mut self.state, State::Nothing) {
            State::Body(receiving) => self.received_some(now, receiving, so_far, worker, out),
            other => {
                self.state = other;
                BodyVerdict::Ignore
            }
        };
        if matches!(verdict, BodyVerdict::Ignore | BodyVerdict::Release { capture: false, .. }) {
            self.shade_end(None, worker);
        }
        verdict
    }

    /// So many more bytes of the response's body have come, whatever becomes of them: for counting, where they are the origin's. May be
    /// called for all of them at once, before [`Exchange::on_close`] or after it.
    pub fn on_received(&mut self, bytes: u64, worker: &mut Worker) {
        if let Some(rules) = self.from_origin {
            worker.tally.add(rules, Count::BytesFromOrigin, bytes);
        }
    }

    /// A request that takes part in the cache is answered.
    fn count(&self, now: Timestamp, asked: &Asked, outcome: Outcome, worker: &mut Worker) {
        let rules = &asked.rules;
        worker.tally.answered(rules.index, outcome, now.since(self.begun));
        // What is one user's is not for a list that others see.
        if outcome.is_shared() && rules.key.user.is_empty() {
            worker.tally.asked_for(&asked.keyed, rules.index, outcome.is_hit());
        }
    }

    /// A request is answered by what is stored.
    fn count_reply(&self, now: Timestamp, asked: &Asked, outcome: Outcome, reply: &Reply, worker: &mut Worker) {
        self.count(now, asked, outcome, worker);
        if reply.status == 304 {
            worker.tally.add(asked.rules.index, Count::NotModified, 1);
        }
        if !reply.head_only {
            worker.tally.add(asked.rules.index, Count::BytesFromStore, reply.body().len() as u64);
        }
    }

    /// The response is complete; `body` is what was captured.
    pub fn on_end(&mut self, now: Timestamp, body: &[u8], worker: &mut Worker, out: &mut Vec<Effect>) -> EndVerdict {
        let verdict = match std::mem::replace(&mut self.state, State::Nothing) {
            State::Body(receiving) => self.received_all(now, *receiving, body, worker, out),
            other => {
                self.left(other, worker, out);
                EndVerdict::Done
            }
        };
        self.shade_end(Some(body), worker);
        verdict
    }

    /// The stream is over. Whoever waited for it is woken.
    pub fn on_close(&mut self, worker: &mut Worker, out: &mut Vec<Effect>) {
        self.shadow = None;
        let state = std::mem::replace(&mut self.state, State::Nothing);
        self.left(state, worker, out);
    }

    /// Nothing will come of what was awaited: whoever waits for this one goes on, and a lease is given back.
    fn left(&self, state: State, worker: &mut Worker, out: &mut Vec<Effect>) {
        let (asked, lease) = match state {
            State::Wake(asked) => (Some(*asked), 0),
            State::Lookup(looking) => (Some(looking.onward.asked), 0),
            State::Response(fetch) => (Some(fetch.asked), fetch.lease),
            State::Body(receiving) => {
                let lease = receiving.storing.as_ref().map_or(0, |storing| storing.lease);
                (receiving.into_asked(), lease)
            }
            _ => (None, 0),
        };
        if let Some(asked) = asked {
            wake_all(worker.flights.leave(&asked.keyed.key, self.id), out);
            share::release(&asked.keyed, lease, Release::default(), worker, out);
        }
    }
}

fn wake_all(woken: Vec<(StreamId, Wake)>, out: &mut Vec<Effect>) {
    out.extend(woken.into_iter().map(|(id, wake)| Effect::Wake(id, wake)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Settings;
    use crate::fields::Fields;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A proxy that answers a stream by itself, as Envoy does one that has been idle for too long, does so while the stream still waits.
    #[test]
    fn a_leader_that_was_answered_by_the_proxy_keeps_nobody_waiting() {
        let text = r#"{ "version": 1, "name": "p", "routes": [{ "name": "a", "path": "/a", "ttl": "1m" }] }"#;
        let policy = Arc::new(Policy::parse(text).unwrap());
        let head = || RequestHead {
            method: "GET".into(),
            scheme: "http".into(),
            authority: "h".into(),
            target: "/a".into(),
            ..RequestHead::default()
        };
        let now = Timestamp(1);
        let answers: [fn(&mut Exchange, &mut Worker, &mut Vec<Effect>); 3] = [
            |exchange, worker, out| {
                let head = ResponseHead { status: 504, fields: Fields::new(), source: Source::Origin, ends: true };
                exchange.on_response(Timestamp(2), head, worker, out);
            },
            |exchange, worker, out| {
                exchange.on_end(Timestamp(2), b"", worker, out);
            },
            |exchange, worker, out| {
                exchange.on_fetched(Timestamp(2), Answer::Failed, worker, out);
            },
        ];
        for answer in answers {
            let (mut worker, mut out) = (Worker::new(1 << 20, 1), Vec::new());
            worker.use_cluster(Some(Settings::default()));
            let mut leader = Exchange::new(policy.clone(), StreamId(1));
            let mut follower = Exchange::new(policy.clone(), StreamId(2));
            assert!(matches!(leader.on_request(now, head(), &mut worker, &mut out), RequestVerdict::Wait));
            assert!(matches!(out.pop(), Some(Effect::Lookup(_))));
            assert!(matches!(follower.on_request(now, head(), &mut worker, &mut out), RequestVerdict::Wait));
            answer(&mut leader, &mut worker, &mut out);
            leader.on_close(&mut worker, &mut out);
            assert!(matches!(out[..], [Effect::Wake(StreamId(2), Wake::Lead)]), "{out:?}");
            follower.on_close(&mut worker, &mut out);
            assert!(worker.flights.is_empty());
        }
    }
}
