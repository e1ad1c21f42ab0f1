//! The cluster: larder-node's own nodes in this process, without sockets, on a clock that goes when it is told to.
//!
//! They run on one tokio thread whose time is paused, so what they do is the same in every run. What they share (a store, the purge
//! log) outlives them, as Redis would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_core::time::Timestamp;
use larder_node::Embedded;
use larder_node::Limits;
use larder_node::clock::Clock;
use larder_node::log::{Log, LogId, MemoryLog};
use larder_node::policies::{Change, MemoryPolicies, Outcome, PolicyStore, Record};
use larder_node::store::Store;
use larder_node::store::memory::MemoryStore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::options::Options;
use super::stories::Story;

/// Names one message to a node.
pub type Ticket = u64;

#[derive(Debug)]
struct SimClock(AtomicU64);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// All nodes.
pub struct Nodes {
    runtime: tokio::runtime::Runtime,
    clock: Arc<SimClock>,
    nodes: Vec<Option<One>>,
    log: Option<Arc<dyn Log>>,
    store: Option<Arc<dyn Store>>,
    policies: Arc<MemoryPolicies>,
    node_bytes: u64,
    next_log: u64,
    sender: mpsc::UnboundedSender<(Ticket, Answer)>,
    answers: mpsc::UnboundedReceiver<(Ticket, Answer)>,
    /// Something may go on without time passing.
    is_stirred: bool,
}

/// What a node says; `None` is a refusal.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a message.
    Message(Option<Bytes>),
    /// To a request that it was to serve.
    Served(Option<http::Response<Bytes>>),
}

struct One {
    node: Arc<Embedded>,
    asked: JoinSet<()>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nodes").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// The name of the policy.
const POLICY: &str = "sim";
/// Purge records kept by a log.
const KEEP: usize = 4096;
/// So many times everything that can go on goes on, once nothing was answered any more.
const QUIET_TURNS: usize = 12;

impl Nodes {
    /// As these options say.
    ///
    /// # Panics
    /// If there is no runtime.
    pub fn start(options: &Options, now_ms: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime for the nodes");
        let (sender, answers) = mpsc::unbounded_channel();
        let clock = Arc::new(SimClock(AtomicU64::new(now_ms)));
        let log = options.shared_log.then(|| Arc::new(MemoryLog::new(LogId(1), KEEP)) as Arc<dyn Log>);
        let store = options.shared_store.then(|| memory(options.node_bytes, &clock));
        let is_pushed = options.pushes > 0 || options.stories.contains(&Story::Pushed);
        let mut nodes = Self {
            runtime,
            clock,
            nodes: (0..options.nodes).map(|_| None).collect(),
            log,
            store,
            policies: Arc::new(if is_pushed { MemoryPolicies::shared() } else { MemoryPolicies::default() }),
            node_bytes: options.node_bytes,
            next_log: 2,
            sender,
            answers,
            is_stirred: true,
        };
        for node in 0..options.nodes {
            nodes.begin(node);
        }
        nodes
    }

    /// Starts a node that is not there.
    ///
    /// # Panics
    /// If it does not start.
    pub fn begin(&mut self, node: usize) {
        let store = self.store.clone().unwrap_or_else(|| memory(self.node_bytes, &self.clock));
        let log = self.log.clone().unwrap_or_else(|| {
            self.next_log += 1;
            Arc::new(MemoryLog::new(LogId(self.next_log), KEEP))
        });
        let policies = self.policies.clone();
        let limits = Limits { wait_max_ms: 10_000, ..Limits::default() };
        let begun = Embedded::start_with_clock(store, log, policies, limits, self.clock.clone());
        let begun = self.runtime.block_on(begun).expect("a node in memory starts");
        self.is_stirred = true;
        self.nodes[node] = Some(One { node: Arc::new(begun), asked: JoinSet::new() });
    }

    /// Ends a node at once. What it was asked is not answered.
    pub fn end(&mut self, node: usize) {
        let _entered = self.runtime.enter();
        self.is_stirred = true;
        self.nodes[node] = None;
    }

    /// Whether a node is there.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(Option::is_some)
    }

    /// A message arrives at a node.
    pub fn ask(&mut self, node: usize, ticket: Ticket, path: &str, message: Bytes) {
        let Some(Some(one)) = self.nodes.get_mut(node) else { return };
        let (sender, asked, path) = (self.sender.clone(), one.node.clone(), path.to_owned());
        let task = async move {
            let answer = asked.ask(&path, message).await;
            let _ = sender.send((ticket, Answer::Message(answer)));
        };
        one.asked.spawn_on(task, self.runtime.handle());
        self.is_stirred = true;
    }

    /// A request arrives at a node that is to serve it.
    pub fn serve(&mut self, node: usize, ticket: Ticket, request: http::Request<()>) {
        let Some(Some(one)) = self.nodes.get_mut(node) else { return };
        let (sender, asked) = (self.sender.clone(), one.node.clone());
        let task = async move {
            let answer = asked.serve(&request).await;
            let _ = sender.send((ticket, Answer::Served(answer)));
        };
        one.asked.spawn_on(task, self.runtime.handle());
        self.is_stirred = true;
    }

    /// Somebody changes which policy is in force. Where that cannot be, nothing changes.
    ///
    /// # Panics
    /// If the memory that they are kept in fails.
    pub fn change_policy(&mut self, change: &Change<'_>) -> Option<Record> {
        let (policies, now) = (self.policies.clone(), self.clock.now());
        self.is_stirred = true;
        self.runtime.block_on(async {
            let records = policies.records(None).await.expect("records in memory").unwrap_or_default();
            let record = records.records.get(POLICY);
            let Ok(Outcome::Next(next)) = Record::change(record, change, None, "sim", now) else { return None };
            let from = record.map(|record| record.generation);
            let is_done = policies.replace(POLICY, from, &next).await.expect("a record in memory");
            is_done.then_some(next.record)
        })
    }

    /// Time passes at the nodes; then whatever can go on goes on. What was answered.
    pub fn advance(&mut self, by: Duration, now_ms: u64) -> Vec<(Ticket, Answer)> {
        self.clock.0.store(now_ms, Ordering::SeqCst);
        if self.nodes.is_empty() || (by == Duration::ZERO && !std::mem::take(&mut self.is_stirred)) {
            return Vec::new();
        }
        let mut answered = Vec::new();
        let answers = &mut self.answers;
        self.runtime.block_on(async {
            if by > Duration::ZERO {
                tokio::time::advance(by).await;
            }
            let mut quiet = 0;
            while quiet < QUIET_TURNS {
                tokio::task::yield_now().await;
                match answers.try_recv() {
                    Ok(answer) => {
                        answered.push(answer);
                        quiet = 0;
                    }
                    Err(_) => quiet += 1,
                }
            }
        });
        for one in self.nodes.iter_mut().flatten() {
            while one.asked.try_join_next().is_some() {}
        }
        answered
    }
}

fn memory(bytes_max: u64, clock: &Arc<SimClock>) -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(bytes_max, clock.clone()))
}
