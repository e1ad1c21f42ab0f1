//! What is taken up every second: where gauges stand, what this node has counted, which purges there were. Then what is new is
//! written.

use std::collections::HashMap;
use std::time::Duration;

use larder_core::purge::{Mode, Position, Scope, Sequence};
use larder_core::time::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::{Analytics, Happened, Mark};
use crate::log::{LogId, Read};
use crate::purging::{self, By};
use crate::shared::Shared;

const EVERY: Duration = Duration::from_secs(1);

/// Purges taken up at a time.
const PAGE: usize = 1024;

/// Pages in one second. What more there is comes in the next.
const PAGES_MAX: usize = 16;

/// What was taken up before.
pub(crate) struct Sampling<'a> {
    shared: &'a Shared,
    analytics: &'a Analytics,
    counted: HashMap<String, u64>,
    purged: Position,
}

/// The node starts. Says where the purge log stands: what comes after is to be marked.
pub(crate) fn begin(shared: &Shared, analytics: &Analytics) -> Position {
    analytics.mark(Mark::new(shared.clock.now().0, Happened::Start));
    shared.following.here()
}

/// Samples until the node is to stop.
pub(crate) async fn sample(shared: &Shared, analytics: &Analytics, purged: Position) {
    let mut sampling = Sampling::begin(shared, analytics, purged);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.stopped() => break,
        }
        sampling.take().await;
        analytics.write(shared.clock.now(), false).await;
    }
    sampling.take().await;
}

/// Writes the rest, once both planes have ended.
pub(crate) async fn end(shared: &Shared, analytics: &Analytics) {
    let now = shared.clock.now();
    analytics.mark(Mark::new(now.0, Happened::Stop));
    analytics.write(now, true).await;
}

impl<'a> Sampling<'a> {
    fn begin(shared: &'a Shared, analytics: &'a Analytics, purged: Position) -> Self {
        Self { shared, analytics, counted: HashMap::new(), purged }
    }

    async fn take(&mut self) {
        let now = self.shared.clock.now();
        let grown = self.grown();
        self.analytics.counts(grown.iter().map(|(name, by)| (name.as_str(), *by)), now);
        self.gauges(now);
        self.purges(now).await;
    }

    /// By how much this node's own counters have grown.
    fn grown(&mut self) -> Vec<(String, u64)> {
        let mut numbers: Vec<(String, u64)> = Vec::new();
        for row in self.shared.counts.rows() {
            let (name, label) = (row.name, row.label);
            let series = |value: &str| format!("larder_node_{name}_total;{label}={value}");
            numbers.extend(row.numbers.into_iter().map(|(value, number)| (series(value), number)));
        }
        let evictions = self.shared.desk.kept_in().usage().evictions;
        numbers.extend(evictions.map(|number| ("larder_node_store_evictions_total".to_owned(), number)));
        numbers.retain_mut(|(name, number)| {
            let before = self.counted.insert(name.clone(), *number).unwrap_or_default();
            *number = number.saturating_sub(before);
            *number > 0
        });
        numbers
    }

    fn gauges(&self, now: Timestamp) {
        let usage = self.shared.desk.kept_in().usage();
        let workers = self.shared.workers.shown(now);
        let silent = workers.iter().filter(|worker| worker.silent).count();
        let own = [
            ("larder_node_store_bytes;where=memory", usage.memory_bytes),
            ("larder_node_store_bytes;where=disk", usage.disk_bytes),
            ("larder_node_store_items", usage.items),
            ("larder_node_workers;state=heard", Some((workers.len() - silent) as u64)),
            ("larder_node_workers;state=silent", Some(silent as u64)),
        ];
        self.analytics.gauges(own.into_iter().filter_map(|(name, value)| Some((name, value?))), now);
        let reported = self.shared.workers.reported(now).gauges;
        self.analytics.reported_gauges(reported.iter().map(|(name, value)| (name.as_str(), *value)), now);
    }

    /// Purges that came into the log, whoever asked for them.
    async fn purges(&mut self, now: Timestamp) {
        for _ in 0..PAGES_MAX {
            let here = self.shared.following.here();
            if here.log != self.purged.log {
                self.analytics.mark(Mark::new(now.0, Happened::OtherLog));
                self.purged = here;
            }
            if here.sequence <= self.purged.sequence {
                return;
            }
            let log = self.shared.following.log();
            let read = log.read(LogId(here.log), self.purged.sequence, PAGE, Duration::ZERO).await;
            let Ok(read) = read else { return };
            match read {
                Read::Page(page) if page.records.is_empty() => return,
                Read::Page(page) => {
                    for record in &page.records {
                        self.purged.sequence = record.sequence;
                        let position = Position { log: here.log, sequence: record.sequence };
                        let author = self.shared.purging.author(position);
                        // What writes have made wrong is counted, as `larder_invalidations_total`: marks of it would hide the others.
                        if author.as_ref().is_some_and(|author| author.by == By::Worker) && record.scope != Scope::All {
                            continue;
                        }
                        let (what, soft) = (purging::text(&record.scope), record.mode == Mode::Soft);
                        let when = author.as_ref().map_or(now, |author| author.when);
                        let who = author.as_ref().map(|author| author.who.as_str());
                        self.analytics.mark(Mark::purge(when.0, &what, soft, who));
                    }
                }
                Read::TooOld { floor, .. } => {
                    let missed = floor.0.saturating_sub(self.purged.sequence.0);
                    self.analytics.mark(Mark { count: missed, ..Mark::new(now.0, Happened::Purge) });
                    self.purged.sequence = Sequence(floor.0.max(self.purged.sequence.0));
                }
                // It changed meanwhile: the next second sees the new one.
                Read::Other { .. } => return,
            }
        }
    }
}
