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
use larder_node::policies::MemoryPolicies;
use larder_node::store::Store;
use larder_node::store::memory::MemoryStore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::options::Options;

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
    sender: mpsc::UnboundedSender<(Ticket, Option<Bytes>)>,
    answers: mpsc::UnboundedReceiver<(Ticket, Option<Bytes>)>,
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
        let mut nodes = Self {
            runtime,
            clock,
            nodes: (0..options.nodes).map(|_| None).collect(),
            log,
            store,
            policies: Arc::new(MemoryPolicies::default()),
            node_bytes: options.node_bytes,
            next_log: 2,
            sender,
            answers,
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
        self.nodes[node] = Some(One { node: Arc::new(begun), asked: JoinSet::new() });
    }

    /// Ends a node at once. What it was asked is not answered.
    pub fn end(&mut self, node: usize) {
        let _entered = self.runtime.enter();
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
            let _ = sender.send((ticket, answer));
        };
        one.asked.spawn_on(task, self.runtime.handle());
    }

    /// Time passes at the nodes; then whatever can go on goes on. What was answered.
    pub fn advance(&mut self, by: Duration, now_ms: u64) -> Vec<(Ticket, Option<Bytes>)> {
        self.clock.0.store(now_ms, Ordering::SeqCst);
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
