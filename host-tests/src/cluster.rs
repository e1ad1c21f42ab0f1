//! A real node of the cluster beside the wasmtime host: carries the module's calls to it, and its answers back.
//!
//! The node is larder-node itself, in memory, on a port of loopback, with the simulated host's clock. What would wait there in real
//! time (the long poll, a look-up that follows another's fill) is asked without waiting, again and again, and answered when
//! there is something to say or the simulated time is up: a test then says in which order things happen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{
    Lookup, LookupAnswer, Message, Policies, Poll, PollAnswer, Purge, PurgeAnswer, Pushed,
};
use larder_core::purge::{Mode, Position, Scope};
use larder_core::time::{Millis, Timestamp};
use larder_node::clock::Clock;
use larder_node::tokens::{Scope as TokenScope, Tokens, new_token};
use larder_node::{Config, Node, Running};

use crate::envoy::Client;
use crate::host::{Call, CallId, Host, Response, StreamId};

/// The name of the cluster in the module's configuration.
pub const CLUSTER: &str = "larder_nodes";

/// A clock that shows what the host's does.
#[derive(Debug)]
struct HostClock(std::sync::atomic::AtomicU64);

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// A node, and what it has not answered yet.
pub struct Cluster {
    runtime: tokio::runtime::Runtime,
    node: Option<Running>,
    address: SocketAddr,
    clock: Arc<HostClock>,
    waiting: BTreeMap<CallId, SystemTime>,
    /// Calls that the node gets and whose answers do not come back.
    pub deaf: bool,
    /// A token for purging.
    pub purger_token: String,
    /// A token for reading only.
    pub reader_token: String,
    tokens: Tokens,
    carried: BTreeMap<String, usize>,
    pushed: Option<Policies>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a node with an empty store and a new log.
    ///
    /// # Panics
    /// If there is no runtime or no port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the node");
        let clock = Arc::new(HostClock(std::sync::atomic::AtomicU64::new(0)));
        let (purger_token, purger) = new_token("purger", &[TokenScope::Purge]).expect("a token");
        let (reader_token, reader) = new_token("reader", &[TokenScope::Read]).expect("a token");
        let mut cluster = Self {
            runtime,
            node: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock,
            waiting: BTreeMap::new(),
            deaf: false,
            purger_token,
            reader_token,
            tokens: Tokens::new(&[purger, reader]).expect("two tokens"),
            carried: BTreeMap::new(),
            pushed: None,
        };
        cluster.restart();
        cluster
    }

    /// Another node in place of the one that was there: nothing is stored, and the log is another.
    ///
    /// # Panics
    /// If there is no port.
    pub fn restart(&mut self) {
        self.node = None;
        let _entered = self.runtime.enter();
        let tokens = Some(self.tokens.clone());
        let config =
            Config { clock: self.clock.clone(), admin: None, tokens, ..Config::in_memory().expect("a configuration") };
        let node = self.runtime.block_on(Node::start(config)).expect("a node on a free port");
        self.address = node.data;
        self.node = Some(node);
    }

    /// Where the node listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls have been answered by their path's last word (`lookup`, `store`, ...).
    pub fn carried(&self, what: &str) -> usize {
        self.carried.get(what).copied().unwrap_or_default()
    }

    /// Carries everything there is to carry, until nothing new comes of it.
    pub fn carry(&mut self, host: &mut Host) {
        while self.carry_once(host) {}
    }

    /// Carries the calls to this path only (`/larder/lookup`, ...), once each.
    pub fn carry_only(&mut self, host: &mut Host, path: &str) {
        for call in calls(host).into_iter().filter(|call| call.path() == path) {
            self.carry_one(host, &call);
        }
    }

    /// Lets time pass, carrying calls on the way.
    pub fn pass(&mut self, host: &mut Host, span: Duration) {
        const STEP: Duration = Duration::from_millis(50);
        let mut left = span;
        self.carry(host);
        while left > Duration::ZERO {
            let step = left.min(STEP);
            host.advance(step);
            left -= step;
            self.carry(host);
        }
    }

    /// What polls are told of policies from now on: the generation, what is in force and what is in the shadow, by version and text.
    pub fn push(&mut self, generation: u64, active: Option<(u64, &str)>, shadow: Option<(u64, &str)>) {
        let pushed = |(version, text): (u64, &str)| Pushed { version, text: text.to_owned() };
        self.pushed = Some(Policies { generation, active: active.map(pushed), shadow: shadow.map(pushed) });
    }

    /// Polls are told nothing of policies from now on.
    pub fn withdraw(&mut self) {
        self.pushed = None;
    }

    /// A poll's answer with what the worker does not have yet.
    fn with_policies(&self, call: &Call, mut answer: Response) -> Response {
        let watched = Poll::decode(call.body.clone().into()).and_then(|poll| poll.watch);
        let news =
            self.pushed.as_ref().filter(|pushed| watched.is_some_and(|watch| watch.generation != pushed.generation));
        let said = PollAnswer::decode(answer.body.clone().into());
        if let (Poll::PATH, Some(news), Some(said)) = (call.path().as_str(), news, said) {
            answer.body = PollAnswer { policies: Some(news.clone()), ..said }.encode();
        }
        answer
    }

    fn carry_once(&mut self, host: &mut Host) -> bool {
        let mut any = false;
        for call in calls(host) {
            any |= self.carry_one(host, &call);
        }
        any
    }

    /// Says whether the call was answered.
    fn carry_one(&mut self, host: &mut Host, call: &Call) -> bool {
        let since = host.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.clock.0.store(now, std::sync::atomic::Ordering::SeqCst);
        let asked = *self.waiting.entry(call.id).or_insert_with(|| host.now());
        let waited =
            Millis(u64::try_from(host.now().duration_since(asked).unwrap_or_default().as_millis()).unwrap_or(0));
        let (body, wait) = at_once(call);
        let answer = self.with_policies(call, self.post(call, &body));
        let decided = match wait {
            None => true,
            Some(wait) if waited >= wait => true,
            Some(_) => says_something(call, &answer.body),
        };
        if decided && !self.deaf {
            self.waiting.remove(&call.id);
            *self.carried.entry(call.path().rsplit('/').next().unwrap_or_default().to_owned()).or_default() += 1;
            host.answer_call(call.id, answer);
        }
        decided && !self.deaf
    }

    fn post(&self, call: &Call, body: &[u8]) -> Response {
        let got = self.ask(&call.path(), body);
        let mut response = Response::new(got.status).body(got.body);
        for (name, value) in got.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
            response = response.header(name, value);
        }
        response
    }

    fn ask(&self, path: &str, body: &[u8]) -> crate::envoy::Response {
        let mut client = Client::connect(self.address.port()).expect("the node listens");
        client.call("POST", path, &[], body).expect("the node answers")
    }

    /// The node answers a request that Envoy has been sent to it with.
    ///
    /// # Panics
    /// If there is none.
    pub fn serve(&self, host: &mut Host, stream: StreamId) {
        let upstream = host.upstream(stream).filter(|upstream| upstream.cluster == CLUSTER).expect("sent to the node");
        let fields: Vec<(String, String)> = upstream
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with(':'))
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut client = Client::connect(self.address.port()).expect("the node listens");
        let path = upstream.headers.text(":path").unwrap_or_default();
        let got = client.call("GET", &path, &fields, &[]).expect("the node answers");
        let mut response = Response::new(got.status).body(got.body);
        for (name, value) in &got.fields {
            response = response.header(name, value);
        }
        host.respond(stream, response);
    }

    /// An operator purges. Returns when the node has it in its log.
    ///
    /// # Panics
    /// If the node does not.
    pub fn purge(&self, scope: Scope, mode: Mode) -> Position {
        let message = Purge { who: "test".into(), token: None, purges: vec![(scope, mode)] };
        let got = self.ask(Purge::PATH, &message.encode());
        match PurgeAnswer::decode(got.body.into()) {
            Some(PurgeAnswer::Done(position)) => position,
            other => panic!("not purged: {other:?}"),
        }
    }
}

fn calls(host: &Host) -> Vec<Call> {
    host.calls().into_iter().filter(|call| call.cluster == CLUSTER).collect()
}

/// The call's message without its wait, and how long it would wait.
fn at_once(call: &Call) -> (Vec<u8>, Option<Millis>) {
    let body = Bytes::from(call.body.clone());
    match call.path().as_str() {
        Poll::PATH => match Poll::decode(body) {
            Some(poll) => (Poll { wait_for: Millis(0), ..poll.clone() }.encode(), Some(poll.wait_for)),
            None => (call.body.clone(), None),
        },
        Lookup::PATH => match Lookup::decode(body) {
            Some(lookup) if lookup.wait_for > Millis(0) => {
                (Lookup { wait_for: Millis(0), ..lookup.clone() }.encode(), Some(lookup.wait_for))
            }
            _ => (call.body.clone(), None),
        },
        _ => (call.body.clone(), None),
    }
}

fn says_something(call: &Call, answer: &[u8]) -> bool {
    let answer = Bytes::copy_from_slice(answer);
    match call.path().as_str() {
        Poll::PATH => PollAnswer::decode(answer)
            .is_none_or(|answer| answer.begins_anew || !answer.records.is_empty() || answer.policies.is_some()),
        _ => LookupAnswer::decode(answer).is_none_or(|answer| answer.lease != Lease::Busy),
    }
}
