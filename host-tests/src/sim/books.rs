//! What oracles may know: what the origin has said, which purges are in the log and who has heard of them, what became of each request.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::purge::Position;

use super::catalog::{VARIATIONS_COUNT, policy};
use super::options::Options;
use super::origin::Origin;
use super::plan::Ask;
use crate::host::{Headers, Outcome};

/// A worker of an Envoy, until that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Which Envoy.
    pub envoy: usize,
    /// Its how manieth life.
    pub life: u32,
    /// Which worker.
    pub worker: usize,
    /// Its how manieth VM.
    pub vm: usize,
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counts from 1.
    pub number: usize,
    /// Who was asked.
    pub who: Who,
    /// What was asked.
    pub ask: Ask,
    /// The ETag that it came with.
    pub known: Option<String>,
    /// When.
    pub begun_ms: u64,
    /// When it was over.
    pub ended_ms: u64,
    /// What the client had promised of it when it began: no older version of the object.
    pub floor: u64,
    /// The same of what was made stale: older ones are to be asked for, or used as stale ones are.
    pub soft_floor: u64,
    /// The policy that its worker had taken up when it began.
    pub policy: usize,
    /// The VM that had it died.
    pub vm_died: bool,
    /// How far it came.
    pub outcome: Outcome,
    /// The client itself went away.
    pub left: bool,
    /// 0 is none.
    pub status: u16,
    /// The response's fields.
    pub headers: Headers,
    /// The response's body.
    pub body: Vec<u8>,
    /// The origin was asked for this very request.
    pub forwarded: bool,
    /// ... and did not answer, or with an error, or not to the end.
    pub upstream_failed: bool,
}

impl Seen {
    /// What `Cache-Status` says.
    pub fn cache_status(&self) -> String {
        self.headers.text("cache-status").unwrap_or_default()
    }

    /// In a line.
    pub fn line(&self) -> String {
        let Who { envoy, life, worker, vm } = self.who;
        format!(
            "#{} {:?} object {} user {} by {:?} lang {} at envoy {envoy}.{life}/{worker}.{vm} under {}, {}..{} ms -> {} {:?} [{}] {}",
            self.number,
            self.ask.what,
            self.ask.object,
            self.ask.user,
            self.ask.by,
            self.ask.language,
            self.policy,
            self.begun_ms,
            self.ended_ms,
            self.status,
            self.outcome,
            self.cache_status(),
            String::from_utf8_lossy(self.body.split(|byte| *byte == b'\n').next().unwrap_or_default()),
        )
    }
}

/// A purge that a node has acknowledged.
#[derive(Clone, Debug)]
pub struct Purged {
    /// Where it stands in the log.
    pub at: Position,
    /// When it was acknowledged.
    pub acknowledged_ms: u64,
    /// Of which objects no older version may be used from then on.
    pub floors: Vec<(usize, u64)>,
    /// They may be used as stale ones are.
    pub soft: bool,
}

/// Oldest versions by object.
#[derive(Clone, Debug)]
struct Floors {
    hard: Vec<u64>,
    soft: Vec<u64>,
}

/// Everything that is known.
#[derive(Debug)]
pub struct Books {
    /// The world's options.
    pub options: Options,
    /// The origin's book.
    pub origin: Origin,
    /// Purges, in the order of their acknowledgement.
    pub purges: Vec<Purged>,
    /// What each worker has heard of: no older versions by object.
    floors: BTreeMap<Who, Floors>,
    heard: BTreeMap<Who, Position>,
    /// The policies there are, by number.
    texts: Vec<String>,
    /// Which one each worker was told to run.
    policies: BTreeMap<Who, usize>,
    /// What was pushed, when, and has been in force at the nodes since then.
    pushed: Vec<(u64, usize)>,
    versions: BTreeMap<u64, usize>,
    first_heard: BTreeMap<Who, u64>,
    /// Workers that have had a request: before that a worker is no neighbour of anybody, and has nothing in memory.
    begun: BTreeSet<Who>,
    /// When content last changed, by object.
    pub changed_ms: Vec<u64>,
}

impl Books {
    /// Empty ones.
    pub fn new(options: &Options) -> Self {
        let objects = options.objects.len();
        Self {
            options: options.clone(),
            origin: Origin::new(options),
            purges: Vec::new(),
            floors: BTreeMap::new(),
            heard: BTreeMap::new(),
            texts: (0..VARIATIONS_COUNT).map(|number| policy(options, number)).collect(),
            policies: BTreeMap::new(),
            pushed: Vec::new(),
            versions: BTreeMap::new(),
            first_heard: BTreeMap::new(),
            begun: BTreeSet::new(),
            changed_ms: vec![0; objects],
        }
    }

    /// The content of an object changes.
    pub fn change(&mut self, now_ms: u64, object: usize) -> u64 {
        if let Some(changed) = self.changed_ms.get_mut(object) {
            *changed = now_ms;
        }
        self.origin.change(now_ms, object)
    }

    /// A worker gets a request.
    pub fn begin(&mut self, who: Who) {
        self.begun.insert(who);
    }

    /// A write has gone through this worker, or through a neighbour that tells it so.
    pub fn written(&mut self, who: Who, object: usize, version: u64) {
        if self.begun.contains(&who) {
            self.raise(who, object, version, false);
        }
    }

    /// A worker has been told this, by the log or by its own Envoy.
    pub fn raise(&mut self, who: Who, object: usize, version: u64, soft: bool) {
        let none = vec![0; self.options.objects.len()];
        let floors = self.floors.entry(who).or_insert_with(|| Floors { hard: none.clone(), soft: none });
        if let Some(floor) = if soft { &mut floors.soft } else { &mut floors.hard }.get_mut(object) {
            *floor = (*floor).max(version);
        }
    }

    /// A worker has heard the log up to here.
    pub fn heard(&mut self, now_ms: u64, who: Who, position: Position) {
        self.first_heard.entry(who).or_insert(now_ms);
        self.take_up(who, position);
    }

    fn take_up(&mut self, who: Who, position: Position) {
        self.heard.insert(who, position);
        let floors: Vec<(usize, u64, bool)> = self
            .purges
            .iter()
            .filter(|purge| purge.at.log == position.log && purge.at.sequence <= position.sequence)
            .flat_map(|purge| purge.floors.iter().map(|(object, version)| (*object, *version, purge.soft)))
            .collect();
        for (object, version, soft) in floors {
            self.raise(who, object, version, soft);
        }
    }

    /// A purge is in the log; whoever is there already has heard of it.
    pub fn purged(&mut self, purge: Purged) {
        let position = purge.at;
        self.purges.push(purge);
        let there: Vec<(Who, Position)> = self.heard.iter().map(|(who, heard)| (*who, *heard)).collect();
        for (who, heard) in there.into_iter().filter(|(_, heard)| heard.log == position.log) {
            self.take_up(who, heard);
        }
    }

    /// The oldest version of an object that a request to this worker may be answered with from now on.
    pub fn floor(&self, who: Who, object: usize) -> u64 {
        self.floors.get(&who).and_then(|floors| floors.hard.get(object)).copied().unwrap_or(0)
    }

    /// The oldest version that it may be answered with as if it were fresh.
    pub fn soft_floor(&self, who: Who, object: usize) -> u64 {
        self.floors.get(&who).and_then(|floors| floors.soft.get(object)).copied().unwrap_or(0)
    }

    /// Another policy is in force at the nodes: the configured one where that is `None`.
    pub fn put_in_force(&mut self, now_ms: u64, version: Option<u64>) {
        let number = version.and_then(|version| self.versions.get(&version)).copied().unwrap_or(0);
        self.pushed.push((now_ms, number));
    }

    /// The number of the policy that was pushed as this version.
    pub fn version_is(&mut self, version: u64, number: usize) {
        self.versions.insert(version, number);
    }

    /// Which policy was in force at a time, and since when.
    pub fn in_force(&self, at_ms: u64) -> Option<(u64, usize)> {
        self.pushed.iter().rev().find(|(since, _)| *since <= at_ms).copied()
    }

    /// When a worker heard of the cluster first.
    pub fn heard_since(&self, who: Who) -> Option<u64> {
        self.first_heard.get(&who).copied()
    }

    /// The text of a policy.
    pub fn text(&self, policy: usize) -> &str {
        self.texts.get(policy).map_or("", String::as_str)
    }

    /// A worker was told which policy is in force; `None` is the one that it was configured with.
    pub fn told(&mut self, who: Who, text: Option<&str>) {
        let policy = text.and_then(|text| self.texts.iter().position(|known| known == text)).unwrap_or(0);
        self.policies.insert(who, policy);
    }

    /// The policy that a request to this worker is under from now on.
    pub fn policy(&self, who: Who) -> usize {
        self.policies.get(&who).copied().unwrap_or(0)
    }
}
