//! A node in memory with simulated time, and a worker that asks it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{
    Freshen, Lookup, LookupAnswer, Message, Poll, PollAnswer, Purge, PurgeAnswer, Refusal, Release, Store, StoreAnswer,
};
use larder_core::decide::age::Times;
use larder_core::decide::vary::VaryKey;
use larder_core::entry::{Entry, Facts, wire};
use larder_core::fields::Fields;
use larder_core::purge::{Mode, Position, Scope};
use larder_core::time::{Millis, Seconds, Timestamp};
use larder_node::clock::{Clock, ManualClock};
use larder_node::store::memory::MemoryStore;
use larder_node::{Config, Node, Running};

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the node's store.
pub const STORE_BYTES: u64 = 64 << 20;

/// A node and a client.
pub struct World {
    pub node: Running,
    pub clock: Arc<ManualClock>,
    pub client: Client<HttpConnector, Full<Bytes>>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A node whose configuration was changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ManualClock::new());
        let mut config = Config::in_memory().expect("a configuration");
        config.clock = clock.clone();
        config.store = Arc::new(MemoryStore::new(STORE_BYTES, clock.clone()));
        // The machine may be busy; what is about this limit sets it.
        config.limits.lookup_timeout_ms = 5_000;
        change(&mut config);
        let node = Node::start(config).await.expect("a node");
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { node, clock, client }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let asked = tokio::time::timeout(PATIENCE, self.client.request(request)).await.expect("an answer in time");
        let (head, body) = asked.expect("an answer").into_parts();
        Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        let request = Request::post(format!("http://{}{path}", self.node.data));
        self.send(request.body(Full::new(body.into())).expect("a request")).await
    }

    /// Sends a message and reads the answer.
    pub async fn ask<Q: Message, A: Message>(&self, path: &str, message: &Q) -> A {
        let response = self.post(path, message.encode()).await;
        assert_eq!(response.status(), 200, "{path}: {response:?}");
        assert_eq!(response.headers()["x-larder-node"], "2");
        A::decode(response.into_body()).expect("a message")
    }

    pub async fn lookup(&self, lookup: &Lookup) -> LookupAnswer {
        self.ask(Lookup::PATH, lookup).await
    }

    pub async fn store(&self, store: &Store) -> StoreAnswer {
        self.ask(Store::PATH, store).await
    }

    pub async fn freshen(&self, freshen: &Freshen) -> StoreAnswer {
        self.ask(Freshen::PATH, freshen).await
    }

    pub async fn release(&self, release: &Release) -> StoreAnswer {
        self.ask(Release::PATH, release).await
    }

    pub async fn poll(&self, poll: &Poll) -> PollAnswer {
        self.ask(Poll::PATH, poll).await
    }

    pub async fn purge(&self, scope: Scope, mode: Mode) -> Position {
        let purge = Purge { who: "test".into(), token: None, purges: vec![(scope, mode)] };
        match self.ask(Purge::PATH, &purge).await {
            PurgeAnswer::Done(position) => position,
            PurgeAnswer::Denied(denial) => panic!("denied: {denial:?}"),
        }
    }

    /// Misses, and stores what was fetched then.
    pub async fn fill(&self, name: &str, response: Made) {
        let missed = self.lookup(&looks(name)).await;
        let answer = self.store(&self.made(name, &missed, response)).await;
        assert_eq!(answer, StoreAnswer::Done);
    }

    /// The store of a response that was fetched after a look-up.
    pub fn made(&self, name: &str, missed: &LookupAnswer, response: Made) -> Store {
        let lease = if let Lease::Granted(id) = missed.lease { id } else { 0 };
        Store {
            name: name.into(),
            now: self.now(),
            lease,
            keep_for: Seconds::saturating(3600),
            variants_max: 8,
            record: response.record(name, missed.position, self.now()),
        }
    }

    /// What of the metrics... the admin plane's statistics say, as JSON.
    pub async fn stats(&self) -> serde_json::Value {
        let admin = self.node.admin.expect("an admin plane");
        let request = Request::get(format!("http://{admin}/v1/stats")).body(Full::default()).expect("a request");
        serde_json::from_slice(&self.send(request).await.into_body()).expect("JSON")
    }
}

/// A look-up that wants a lease and does not wait.
pub fn looks(name: &str) -> Lookup {
    Lookup {
        name: name.into(),
        fields: Fields::new(),
        lease_for: Millis(30_000),
        wait_for: Millis(0),
        inline_bytes_max: 1 << 20,
    }
}

/// The same with a field.
pub fn looks_with(name: &str, field: (&str, &str)) -> Lookup {
    let mut lookup = looks(name);
    lookup.fields.add(field.0, field.1);
    lookup
}

/// The same, and waits.
pub fn waits(name: &str) -> Lookup {
    Lookup { wait_for: Millis(15_000), ..looks(name) }
}

/// A response.
#[derive(Clone)]
pub struct Made {
    pub url: &'static str,
    pub body: Bytes,
    pub fields: Vec<(&'static str, String)>,
    pub vary: Vec<(&'static str, Option<&'static str>)>,
    pub tags: Vec<String>,
    pub fresh_for: Millis,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            url: "http://h/a",
            body: Bytes::from_static(b"hello"),
            fields: vec![("content-type", "text/plain".into()), ("etag", "\"v\"".into())],
            vary: vec![],
            tags: vec!["t".into()],
            fresh_for: Millis(60_000),
        }
    }
}

impl Made {
    pub fn body(body: &'static str) -> Self {
        Self { body: Bytes::from_static(body.as_bytes()), ..Self::default() }
    }

    pub fn varying(value: &'static str) -> Self {
        Self { vary: vec![("accept", Some(value))], ..Self::body(value) }
    }

    pub fn entry(&self, position: Position, now: Timestamp) -> Entry {
        let vary = self.vary.iter().map(|(n, v)| (n.to_string(), v.map(|v| v.as_bytes().to_vec()))).collect();
        let fields = self.fields.iter().map(|(name, value)| (name.to_string(), value.clone().into_bytes()));
        Entry::new(Facts {
            url: self.url.into(),
            status: 200,
            fields: Fields::from_pairs(fields),
            body: self.body.clone(),
            times: Times { request: now, response: now, date: None, age: Seconds::ZERO },
            vary: VaryKey(vary),
            tags: self.tags.clone(),
            position,
            made_etag: false,
            identified: false,
            personal: false,
        })
    }

    pub fn record(&self, key: &str, position: Position, now: Timestamp) -> Bytes {
        wire::encode(&self.entry(position, now), key, now.plus(self.fresh_for), true).into()
    }
}

/// The entry in an answer.
pub fn found(answer: &LookupAnswer) -> Option<Entry> {
    let found = answer.found.as_ref()?;
    let key = wire::label(&found.record).expect("a record").key;
    Some(wire::decode(&found.record, &key).expect("a record").0)
}

/// The body in an answer, as text.
pub fn body(answer: &LookupAnswer) -> Option<String> {
    found(answer).map(|entry| String::from_utf8_lossy(&entry.facts().body).into_owned())
}

pub fn refused(refusal: Refusal) -> StoreAnswer {
    StoreAnswer::Refused(refusal)
}

/// Tries until it holds.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(done) = attempt().await {
            return done;
        }
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}
