//! What oracles may know: what the origin has said, which purges are in the log and who has heard of them, what became of each request.

use std::collections::BTreeMap;

use larder_core::purge::Position;

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
        let Who { envoy, life, worker } = self.who;
        format!(
            "#{} {:?} object {} user {} by {:?} lang {} at envoy {envoy}.{life}/{worker}, {}..{} ms -> {} {:?} [{}] {}",
            self.number,
            self.ask.what,
            self.ask.object,
            self.ask.user,
            self.ask.by,
            self.ask.language,
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
    floors: BTreeMap<Who, Vec<u64>>,
    heard: BTreeMap<Who, Position>,
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

    /// A worker has been told this, by the log or by its own Envoy.
    pub fn raise(&mut self, who: Who, object: usize, version: u64) {
        let objects = self.options.objects.len();
        let floors = self.floors.entry(who).or_insert_with(|| vec![0; objects]);
        if let Some(floor) = floors.get_mut(object) {
            *floor = (*floor).max(version);
        }
    }

    /// A worker has heard the log up to here.
    pub fn heard(&mut self, who: Who, position: Position) {
        self.heard.insert(who, position);
        let floors: Vec<(usize, u64)> = self
            .purges
            .iter()
            .filter(|purge| purge.at.log == position.log && purge.at.sequence <= position.sequence)
            .flat_map(|purge| purge.floors.iter().copied())
            .collect();
        for (object, version) in floors {
            self.raise(who, object, version);
        }
    }

    /// A purge is in the log; whoever is there already has heard of it.
    pub fn purged(&mut self, purge: Purged) {
        let position = purge.at;
        self.purges.push(purge);
        let there: Vec<(Who, Position)> = self.heard.iter().map(|(who, heard)| (*who, *heard)).collect();
        for (who, heard) in there.into_iter().filter(|(_, heard)| heard.log == position.log) {
            self.heard(who, heard);
        }
    }

    /// The oldest version of an object that a request to this worker may be answered with from now on.
    pub fn floor(&self, who: Who, object: usize) -> u64 {
        self.floors.get(&who).and_then(|floors| floors.get(object)).copied().unwrap_or(0)
    }
}
