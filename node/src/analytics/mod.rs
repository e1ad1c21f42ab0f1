//! What the cluster has done, over time: workers' reports, this node's own numbers, and what happened.
//!
//! A report is added to a step of every length at once (1 s for 10 minutes, 10 s for a day, 5 min for 30 days), so a longer step is
//! exactly the sum of the shorter ones in it. Of gauges, a step has the largest value. Nothing is worked out before somebody asks.
//!
//! Bounded: series (`Limits::series_max`, twice that with gauges), bytes (`Limits::analytics_bytes_max`: an eighth for URLs, a sixteenth for
//! marks, of the rest a third for each length of step; the oldest go). On disk, where there is a folder, at most twice the bytes.
//!
//! Map: `resolution` (lengths of steps and ranges), `names`, `column`, `ring`, `marks`, `keys` (what is held); `disk/` (what survives a
//! restart); `sampling` (what is taken up every second); `since` (sums since a time); `sharing/` (what goes to other nodes and comes from them); `summary/` (what is
//! made of it for those who ask); `targets`.

mod column;
mod disk;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod keys;
mod marks;
mod names;
mod resolution;
mod ring;
pub(crate) mod sampling;
pub(crate) mod sharing;
mod since;
pub(crate) mod summary;
mod targets;
mod varint;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::cluster::message::Report;
use larder_core::tally::{DURATION, over_routes};
use larder_core::time::Timestamp;

pub(crate) use self::column::Column;
pub use self::disk::OpenError;
use self::disk::{Batch, Disk, Found};
pub(crate) use self::keys::KeySum;
use self::keys::TopKeys;
use self::marks::Marks;
pub(crate) use self::marks::{Happened, Mark};
use self::names::Names;
pub(crate) use self::names::{Kind, Series};
use self::resolution::RESOLUTIONS;
pub(crate) use self::resolution::{RANGES, Range};
use self::ring::Ring;
use self::sharing::{Entry, Place, Sharing};
pub(crate) use self::since::Grown;
pub(crate) use self::summary::{Means, means};
pub use self::targets::Targets;

/// Between two looks for series that are no longer used, where there is no room for new ones.
const SWEEP_EVERY_MS: u64 = 300_000;

/// The shares of URLs and of marks in the memory that there is: an eighth, a sixteenth.
const KEYS_SHARE: u64 = 8;
const MARKS_SHARE: u64 = 16;

/// Everything that is held.
pub(crate) struct Analytics {
    state: Mutex<State>,
    disk: Option<Arc<Mutex<Disk>>>,
}

struct State {
    names: Names,
    rings: [Ring; RESOLUTIONS.len()],
    marks: Marks,
    keys: TopKeys,
    /// Where other nodes share what is reported to them.
    sharing: Option<Sharing>,
    /// Up to where others' reports were read, as the folder has it.
    place: Option<Place>,
    next_number: u64,
    swept_ms: u64,
    not_taken: u64,
}

/// What was held of a span at one moment. Made without copying what does not change any more.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) names: HashMap<u32, Arc<Series>>,
    /// Columns with the begin of their step.
    pub(crate) columns: Vec<(u64, Column)>,
    pub(crate) marks: Vec<Mark>,
    /// URLs that were asked for most, in no order.
    pub(crate) keys: Vec<KeySum>,
    /// The nodes whose workers' reports are in it, where there are several.
    pub(crate) nodes: Vec<String>,
    /// The begin of the oldest step of this length.
    pub(crate) oldest_ms: Option<u64>,
    /// Values that were left out because there was no room for their series.
    pub(crate) not_taken: u64,
    /// Seconds that were not shared with other nodes.
    pub(crate) not_shared: u64,
}

/// The folder that goes with a store's URL: beside it, where that is on disk.
pub fn beside(store: &str) -> Option<PathBuf> {
    let (before, _) = store.split_once('?').unwrap_or((store, ""));
    let path = before.strip_prefix("disk:")?;
    let path = path.strip_prefix("//").unwrap_or(path).trim_end_matches('/');
    path.starts_with('/').then(|| PathBuf::from(format!("{path}.analytics")))
}

impl Analytics {
    /// Opens the folder, where there is one, with what is in it. Blocks.
    pub(crate) fn open(folder: Option<&Path>, series_max: usize, bytes_max: u64) -> Result<Self, OpenError> {
        let each = bytes_max / RESOLUTIONS.len() as u64;
        let [keys, marks] = [KEYS_SHARE, MARKS_SHARE].map(|share| bytes_max / share);
        let ring = bytes_max.saturating_sub(keys).saturating_sub(marks) / RESOLUTIONS.len() as u64;
        let [keys, marks, ring] = [keys, marks, ring].map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let is_written = folder.is_some();
        let mut state = State {
            names: Names::new(series_max),
            rings: RESOLUTIONS.map(|length| Ring::new(length.step_ms(), length.columns(), ring, is_written)),
            marks: Marks::new(marks, is_written),
            keys: TopKeys::new(keys),
            sharing: None,
            place: None,
            next_number: 1,
            swept_ms: 0,
            not_taken: 0,
        };
        let disk = match folder {
            Some(folder) => {
                let (disk, found) = Disk::open(folder, each)?;
                state.restore(found);
                Some(Arc::new(Mutex::new(disk)))
            }
            None => None,
        };
        Ok(Self { state: Mutex::new(state), disk })
    }

    /// What is reported here is shared with other nodes from now on; this one is known to them by its name.
    pub(crate) fn share_as(&self, node: &str, run: u64) {
        let mut state = self.lock();
        state.sharing = Some(Sharing::new(node.to_owned(), run, state.place.clone()));
    }

    /// Adds what a worker has counted.
    pub(crate) fn report(&self, report: &Report, now: Timestamp) {
        let mut state = self.lock();
        let cells = state.take_in(Kind::Counter, report.counts.iter().map(|(name, by)| (name.as_str(), *by)), now);
        state.keys.add(&report.keys, now.0);
        if let Some(sharing) = &mut state.sharing {
            sharing.add(now.0, &cells);
            sharing.add_keys(now.0, &report.keys);
        }
    }

    /// Adds where workers' gauges stand, summed up.
    pub(crate) fn reported_gauges<'a>(&self, gauges: impl IntoIterator<Item = (&'a str, u64)>, now: Timestamp) {
        let mut state = self.lock();
        let cells = state.take_in(Kind::Gauge, gauges, now);
        if let Some(sharing) = &mut state.sharing {
            sharing.add(now.0, &cells);
        }
    }

    /// Adds what this node's own counters have grown by.
    pub(crate) fn counts<'a>(&self, counts: impl IntoIterator<Item = (&'a str, u64)>, now: Timestamp) {
        self.lock().take_in(Kind::Counter, counts, now);
    }

    /// Adds where this node's own gauges stand.
    pub(crate) fn gauges<'a>(&self, gauges: impl IntoIterator<Item = (&'a str, u64)>, now: Timestamp) {
        self.lock().take_in(Kind::Gauge, gauges, now);
    }

    /// Adds what happened.
    pub(crate) fn mark(&self, mark: Mark) {
        let mut state = self.lock();
        if let Some(sharing) = &mut state.sharing {
            sharing.add_mark(&mark);
        }
        state.marks.add(mark);
    }

    /// Makes entries for other nodes of the seconds that have ended, or of all.
    fn close_shared(&self, now: Option<Timestamp>) {
        let State { sharing, names, .. } = &mut *self.lock();
        if let Some(sharing) = sharing {
            sharing.close(now.map(|now| now.0), names);
        }
    }

    /// The next entry for other nodes.
    fn first_shared(&self) -> Option<Vec<u8>> {
        self.lock().sharing.as_ref()?.first()
    }

    /// They have it.
    fn shared_first(&self) {
        if let Some(sharing) = &mut self.lock().sharing {
            sharing.written();
        }
    }

    /// Up to where other nodes' entries were read.
    fn shared_position(&self) -> String {
        self.lock().sharing.as_ref().map(|sharing| sharing.position().to_owned()).unwrap_or_default()
    }

    /// Takes up another node's entry, which stands at a place.
    fn take_up(&self, at: &str, entry: &[u8], now: Timestamp) {
        let mut state = self.lock();
        let taken = state.sharing.as_mut().and_then(|sharing| sharing.take_up(at, entry, now));
        if let Some(entry) = taken {
            state.take_up(&entry);
        }
    }

    /// Writes what has ended by now; at the `end`, everything.
    pub(crate) async fn write(&self, now: Timestamp, end: bool) {
        let Some(disk) = self.disk.clone() else { return };
        let batch = self.lock().take_unwritten(now, end);
        let written = tokio::task::spawn_blocking(move || {
            // Nothing panics while it is held.
            disk.lock().unwrap_or_else(PoisonError::into_inner).write(&batch);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "writing analytics ended");
        }
    }

    /// What is held of steps of one length that begin in a span.
    pub(crate) fn held(&self, resolution: resolution::Resolution, from_ms: u64, until_ms: u64) -> Held {
        let state = self.lock();
        let ring = state.rings.get(resolution.number());
        Held {
            names: state.names.all(),
            columns: ring.map(|ring| ring.between(from_ms, until_ms)).unwrap_or_default(),
            marks: state.marks.between(from_ms, until_ms),
            keys: state.keys.between(from_ms, until_ms),
            nodes: state.sharing.as_ref().map(|sharing| sharing.nodes(until_ms)).unwrap_or_default(),
            oldest_ms: ring.and_then(Ring::oldest_ms),
            not_taken: state.not_taken,
            not_shared: state.sharing.as_ref().map_or(0, |sharing| sharing.not_shared),
        }
    }

    /// The memory that is taken.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.lock();
        (state.rings.iter().map(Ring::bytes).sum::<usize>() + state.marks.bytes() + state.keys.bytes()) as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes values in, and says what was taken.
    fn take_in<'a>(
        &mut self,
        kind: Kind,
        values: impl IntoIterator<Item = (&'a str, u64)>,
        now: Timestamp,
    ) -> Vec<(u32, Kind, u64)> {
        // Not in between: what has just got a number has no value yet.
        self.make_room(now);
        let mut cells = Vec::new();
        for (name, value) in values {
            match self.number(kind, name) {
                Some(id) => cells.push((id, kind, value)),
                None => self.not_taken = self.not_taken.saturating_add(1),
            }
        }
        if !cells.is_empty() {
            self.rings.iter_mut().for_each(|ring| ring.add(now.0, &cells));
        }
        cells
    }

    /// The number of a series. How long requests took is up to a hundred series a route: where that would leave no room for what
    /// is counted of other routes, it is summed over routes.
    fn number(&mut self, kind: Kind, name: &str) -> Option<u32> {
        if name.starts_with(DURATION) && self.names.is_crowded() && !self.names.knows(kind, name) {
            return self.names.number(kind, &over_routes(name));
        }
        self.names.number(kind, name)
    }

    /// Takes up what was reported to another node.
    fn take_up(&mut self, entry: &Entry) {
        let at = Timestamp(entry.at_ms);
        let of_kind = |wanted: Kind| entry.values.iter().filter(move |(kind, ..)| *kind == wanted);
        // Its own numbers stay its own.
        let counts = of_kind(Kind::Counter).filter(|(_, name, _)| !name.starts_with("larder_node_"));
        self.take_in(Kind::Counter, counts.map(|(_, name, by)| (name.as_str(), *by)), at);
        let gauges: Vec<_> =
            of_kind(Kind::Gauge).map(|(_, name, value)| (sharing::of_node(name, entry.home), *value)).collect();
        self.take_in(Kind::Gauge, gauges.iter().map(|(name, value)| (name.as_str(), *value)), at);
        self.keys.add(&entry.keys, entry.at_ms);
        entry.marks.iter().for_each(|mark| self.marks.add_of_another(mark.clone()));
    }

    /// Forgets series that have no value left, where there is no room for others, and not all the time.
    fn make_room(&mut self, now: Timestamp) {
        if !self.names.is_full() || now.0.abs_diff(self.swept_ms) < SWEEP_EVERY_MS {
            return;
        }
        self.swept_ms = now.0;
        let mut used = BTreeSet::new();
        for ring in &self.rings {
            ring.each_series(|id| {
                used.insert(id);
            });
        }
        if let Some(sharing) = &self.sharing {
            sharing.each_series(|id| {
                used.insert(id);
            });
        }
        self.names.retain(&used);
    }

    fn take_unwritten(&mut self, now: Timestamp, end: bool) -> Batch {
        let mut batch = Batch { marks: self.marks.take_unwritten(), sync: end, ..Batch::default() };
        // A column that has not ended holds some of what was read up to here: a crash now costs that, and never counts it twice.
        if let Some(place) = self.sharing.as_ref().map(Sharing::place)
            && self.place.as_ref() != Some(&place)
        {
            batch.place = Some(place.clone());
            self.place = Some(place);
        }
        let ended_by = (!end).then_some(now.0);
        for (length, (ring, columns)) in RESOLUTIONS.iter().zip(self.rings.iter_mut().zip(&mut batch.columns)) {
            for (at_ms, cells) in ring.take_unwritten(ended_by) {
                let named = cells.keys().filter_map(|id| Some((*id, self.names.by_id(*id)?.clone())));
                batch.names.extend(named);
                let number = match length {
                    resolution::Resolution::Second => {
                        let number = self.next_number;
                        self.next_number = number.saturating_add(1);
                        number
                    }
                    // All the seconds of a longer step that has ended have ended, too, and were taken just now or before.
                    _ => {
                        batch.sync = true;
                        self.next_number.saturating_sub(1)
                    }
                };
                columns.push((at_ms, number, cells));
            }
        }
        batch
    }

    fn restore(&mut self, found: Found) {
        let Found { names, columns, not_contained, marks, place, next_number, id_max } = found;
        self.next_number = next_number;
        self.place = place;
        for series in names {
            self.names.take_up(series);
        }
        // Numbers whose names were damaged are not to mean something else.
        self.names.used_up_to(id_max);
        for (ring, columns) in self.rings.iter_mut().zip(columns) {
            for (at_ms, cells) in columns {
                let cells = known(&self.names, &cells);
                ring.restore(at_ms, &cells);
            }
        }
        for (ring, columns) in self.rings.iter_mut().zip(not_contained) {
            for (at_ms, cells) in columns {
                let cells = known(&self.names, &cells);
                ring.add(at_ms, &cells);
            }
        }
        marks.into_iter().for_each(|mark| self.marks.restore(mark));
    }
}

/// Cells whose series are known.
fn known(names: &Names, cells: &column::Cells) -> Vec<(u32, Kind, u64)> {
    cells.iter().filter_map(|(id, value)| Some((*id, names.by_id(*id)?.kind, *value))).collect()
}

#[cfg(test)]
mod tests;
