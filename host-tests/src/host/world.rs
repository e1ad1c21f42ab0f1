//! What all VMs of one simulated Envoy share: clock, shared data, queues, metrics, logs, calls, what clients and origins saw.
//!
//! Holds state; who may change it and when is decided by the VMs (`vm.rs`, `chain.rs`) and the test (`mod.rs`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::calls::{Call, CallId};
use super::config::{Config, LogLevel, RouteCluster};
use super::message::{Headers, Protocol};
use super::observe::{ClientView, LogLine, Trap, UpstreamRequest};
use super::shared::{Queue, SharedData};
use super::trace::Trace;

/// Names one client request of a [`Host`](super::Host).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

/// Where a stream's filter context lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub worker: usize,
    pub generation: usize,
    pub context: u32,
}

/// What is known of a stream outside its VM; kept after its end.
#[derive(Debug)]
pub(crate) struct StreamRecord {
    pub place: Place,
    pub client: ClientView,
    pub upstream: Option<UpstreamRequest>,
    pub protocol: Protocol,
    pub method: String,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub route: Option<Option<usize>>,
    pub started: u64,
    pub last_activity: u64,
    pub code_details: Option<String>,
    pub response_code: Option<u16>,
    pub request_bytes: u64,
    pub ended: bool,
}

/// A message to a VM's own thread, delivered when the present work is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueReady {
    pub worker: usize,
    pub generation: usize,
    pub root: u32,
    pub queue: u32,
}

#[derive(Debug)]
pub(crate) struct World {
    pub config: Config,
    pub clusters: BTreeSet<String>,
    /// Nanoseconds since 1970 as timers count them: never set, only moved on.
    pub now: u64,
    /// How far the wall clock has been set ahead of that, in nanoseconds.
    pub ahead: i64,
    pub shared: SharedData,
    pub queues: Vec<Queue>,
    pub posted: VecDeque<QueueReady>,
    pub counters: BTreeMap<String, u64>,
    pub gauges: BTreeMap<String, u64>,
    pub histograms: BTreeMap<String, Vec<u64>>,
    pub logs: Vec<LogLine>,
    pub traps: Vec<Trap>,
    pub calls: BTreeMap<CallId, Call>,
    pub next_call: u64,
    pub streams: BTreeMap<StreamId, StreamRecord>,
    /// Those of `streams` that have not ended.
    pub live: BTreeSet<StreamId>,
    pub trace: Trace,
}

impl World {
    pub fn new(config: Config) -> Self {
        let mut clusters: BTreeSet<String> = config.clusters.iter().cloned().collect();
        clusters.extend(config.routes.iter().filter_map(|route| match &route.cluster {
            RouteCluster::Named(name) => Some(name.clone()),
            RouteCluster::FromHeader(_) => None,
        }));
        let now = config.start_unix_seconds.saturating_mul(1_000_000_000);
        Self {
            config,
            clusters,
            now,
            ahead: 0,
            shared: SharedData::default(),
            queues: Vec::new(),
            posted: VecDeque::new(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            logs: Vec::new(),
            traps: Vec::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            streams: BTreeMap::new(),
            live: BTreeSet::new(),
            trace: Trace::default(),
        }
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> u64 {
        self.now.saturating_add_signed(self.ahead)
    }

    pub fn log(&mut self, worker: usize, level: LogLevel, message: String) {
        if level >= self.config.log_level {
            self.logs.push(LogLine { worker, level, message });
        }
    }

    /// The route for a request with these headers, resolved once until the plugin clears the route cache.
    pub fn route(&mut self, stream: StreamId, headers: &Headers) -> Option<usize> {
        let record = self.streams.get_mut(&stream)?;
        if let Some(route) = record.route {
            return route;
        }
        let path = headers.text(":path").unwrap_or_default();
        let found = self.config.routes.iter().position(|route| {
            path.starts_with(&route.prefix)
                && route.header.as_ref().is_none_or(|(name, value)| match (headers.text(name), value) {
                    (Some(got), Some(want)) => got == *want,
                    (got, None) => got.is_some(),
                    (None, Some(_)) => false,
                })
        });
        record.route = Some(found);
        found
    }

    /// The cluster that the stream's route leads to.
    pub fn route_cluster(&mut self, stream: StreamId, headers: &Headers) -> Option<String> {
        let route = self.route(stream, headers)?;
        match &self.config.routes[route].cluster {
            RouteCluster::Named(name) => Some(name.clone()),
            RouteCluster::FromHeader(header) => headers.text(header).filter(|name| !name.is_empty()),
        }
    }
}
