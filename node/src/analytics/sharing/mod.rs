//! What workers report to other nodes of the cluster, and what they report to this one, for the others: by way of the purge log's
//! place in Redis. A node writes each second that has ended as one entry, in the form that files have, and reads those of others. So
//! each node's figures are those of the cluster; a node's own numbers stay its own.
//!
//! An entry counts once: a run's entries have numbers, and a node that has a folder remembers up to where it has read. Where Redis
//! does not answer, the newest [`WAITING_MAX`] seconds wait for it.

mod entry;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use larder_core::cluster::message::ReportedKey;
use larder_core::time::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

pub(super) use self::entry::Entry;
use self::entry::Head;
#[cfg(feature = "fuzzing")]
pub(super) use self::entry::decode;
use super::column::{self, Cells};
use super::marks::Mark;
use super::names::{Kind, Names};
use super::{Analytics, marks};
use crate::log::Board;
use crate::shared::Shared;

const EVERY: Duration = Duration::from_secs(1);

/// Seconds that wait to be written.
const WAITING_MAX: usize = 120;

/// Entries read at a time.
const PAGE: usize = 128;

/// Pages in one second.
const PAGES_MAX: usize = 64;

/// The longest entry: what is longer is left out.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Nodes, each time that they have started, whose entries are told apart.
const RUNS_MAX: usize = 256;

/// URLs of one second.
const KEYS_MAX: usize = 512;

/// A node from which nothing came for so long is not listed.
const LISTED_MS: u64 = 600_000;

/// An entry of a time that is further ahead is not taken.
const AHEAD_MS: u64 = 60_000;

/// What a node writes and has read.
#[derive(Debug)]
pub(super) struct Sharing {
    node: String,
    run: u64,
    /// The folder, where there is one: what was written from there before lies in it.
    home: u64,
    next: u64,
    /// Seconds that were not written, by their begin.
    seconds: BTreeMap<u64, Second>,
    waiting: VecDeque<Vec<u8>>,
    /// Whose entries were taken, and up to which number.
    runs: HashMap<u64, Run>,
    /// Up to where the board was read.
    position: String,
    pub(super) not_shared: u64,
}

/// Up to where a folder holds what others have written, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) home: u64,
    pub(super) position: String,
}

#[derive(Debug, Default)]
struct Second {
    cells: Cells,
    keys: Vec<ReportedKey>,
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Run {
    node: String,
    home: u64,
    number: u64,
    at_ms: u64,
}

impl Sharing {
    pub(super) fn new(node: String, run: u64, before: Option<Place>) -> Self {
        let Place { home, position } = before.unwrap_or(Place { home: run, position: String::new() });
        Self {
            node,
            run,
            home,
            next: 1,
            seconds: BTreeMap::new(),
            waiting: VecDeque::new(),
            runs: HashMap::new(),
            position,
            not_shared: 0,
        }
    }

    /// What the folder is to remember.
    pub(super) fn place(&self) -> Place {
        Place { home: self.home, position: self.position.clone() }
    }

    /// Values that were reported to this node.
    pub(super) fn add(&mut self, at_ms: u64, cells: &[(u32, Kind, u64)]) {
        let second = self.second(at_ms);
        cells.iter().for_each(|(id, kind, value)| column::add(&mut second.cells, *id, *kind, *value));
    }

    pub(super) fn add_keys(&mut self, at_ms: u64, keys: &[ReportedKey]) {
        let second = self.second(at_ms);
        let room = KEYS_MAX.saturating_sub(second.keys.len());
        second.keys.extend(keys.iter().take(room).cloned());
    }

    pub(super) fn add_mark(&mut self, mark: &Mark) {
        if mark.is_shared() {
            self.second(mark.at_ms).marks.push(mark.clone());
        }
    }

    /// The series that are used.
    pub(super) fn each_series(&self, f: impl FnMut(u32)) {
        self.seconds.values().flat_map(|second| second.cells.keys()).copied().for_each(f);
    }

    fn second(&mut self, at_ms: u64) -> &mut Second {
        self.seconds.entry(at_ms / 1000).or_default()
    }

    /// Makes entries of the seconds that have ended by a time, or of all.
    pub(super) fn close(&mut self, ended_by_ms: Option<u64>, names: &Names) {
        let later = ended_by_ms.map(|at_ms| self.seconds.split_off(&(at_ms / 1000))).unwrap_or_default();
        for (second, Second { cells, keys, marks }) in std::mem::replace(&mut self.seconds, later) {
            let head = Head {
                run: self.run,
                home: self.home,
                number: self.next,
                node: &self.node,
                at_ms: second.saturating_mul(1000),
            };
            let entry = entry::encode(&head, &cells, names, &keys, &marks);
            if entry.len() > ENTRY_BYTES_MAX {
                self.not_shared = self.not_shared.saturating_add(1);
                continue;
            }
            self.next = self.next.saturating_add(1);
            self.waiting.push_back(entry);
            if self.waiting.len() > WAITING_MAX {
                self.waiting.pop_front();
                self.not_shared = self.not_shared.saturating_add(1);
            }
        }
    }

    /// The next entry to be written.
    pub(super) fn first(&self) -> Option<Vec<u8>> {
        self.waiting.front().cloned()
    }

    /// It was written.
    pub(super) fn written(&mut self) {
        self.waiting.pop_front();
    }

    pub(super) fn position(&self) -> &str {
        &self.position
    }

    /// What is to be taken of an entry that stands at a place, where it is to be taken.
    pub(super) fn take_up(&mut self, at: &str, bytes: &[u8], now: Timestamp) -> Option<Entry> {
        at.clone_into(&mut self.position);
        let entry = entry::decode(bytes)?;
        if entry.run == self.run || entry.home == self.home {
            return None;
        }
        if entry.at_ms > now.0.saturating_add(AHEAD_MS) {
            return None;
        }
        if self.runs.len() >= RUNS_MAX && !self.runs.contains_key(&entry.run) {
            let oldest = self.runs.iter().min_by_key(|(_, run)| run.at_ms).map(|(run, _)| *run);
            oldest.map(|run| self.runs.remove(&run));
        }
        let known = self.runs.entry(entry.run).or_insert(Run {
            node: entry.node.clone(),
            home: entry.home,
            number: 0,
            at_ms: 0,
        });
        // A write whose answer was lost is made again.
        let is_new = entry.number > known.number;
        (known.number, known.at_ms) = (known.number.max(entry.number), known.at_ms.max(entry.at_ms));
        is_new.then_some(entry)
    }

    /// The nodes whose reports are in the figures: this one, and those from which something came lately.
    pub(super) fn nodes(&self, now_ms: u64) -> Vec<String> {
        let lately = self.runs.values().filter(|run| run.at_ms.saturating_add(LISTED_MS) > now_ms);
        // Names may be the same: they are addresses, and a machine's own says nothing of it.
        let nodes: BTreeMap<u64, &str> = lately.map(|run| (run.home, run.node.as_str())).collect();
        let mut nodes: Vec<String> = nodes.into_values().chain([self.node.as_str()]).map(str::to_owned).collect();
        nodes.sort();
        nodes
    }
}

/// Shares until the node is to stop, where the log has a place for it.
pub(crate) async fn share(shared: &Shared, analytics: &Analytics) {
    let Some(board) = shared.following.log().board() else { return };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.stopped() => break,
        }
        write(board, analytics, Some(shared.clock.now())).await;
        read(board, shared, analytics).await;
    }
    write(board, analytics, None).await;
}

/// Writes seconds that have ended; all, where there is no time.
async fn write(board: &dyn Board, analytics: &Analytics, now: Option<Timestamp>) {
    analytics.close_shared(now);
    while let Some(entry) = analytics.first_shared() {
        if let Err(error) = board.post(&entry).await {
            tracing::debug!(%error, "reports are not shared now");
            return;
        }
        analytics.shared_first();
    }
}

async fn read(board: &dyn Board, shared: &Shared, analytics: &Analytics) {
    for _ in 0..PAGES_MAX {
        let entries = match board.read(&analytics.shared_position(), PAGE).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(%error, "what others share cannot be read now");
                return;
            }
        };
        let is_last = entries.len() < PAGE;
        for (at, bytes) in entries {
            analytics.take_up(&at, &bytes, shared.clock.now());
        }
        if is_last {
            return;
        }
    }
}

/// A gauge of another node.
pub(super) fn of_node(name: &str, home: u64) -> String {
    format!("{name};node={home:016x}")
}

/// The name without the node.
pub(super) fn without_node(name: &str) -> &str {
    name.split_once(";node=").map_or(name, |(name, _)| name)
}

impl marks::Mark {
    /// Whether other nodes cannot know of it by themselves.
    fn is_shared(&self) -> bool {
        matches!(self.kind, marks::Happened::Policy | marks::Happened::Warm)
    }
}
