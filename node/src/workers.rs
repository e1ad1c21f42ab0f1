//! What this node knows of workers: how far each has heard the purge log, which policy it runs, and what it has reported. Bounded: whoever was heard from
//! the longest ago goes first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_core::cluster::message::{Report, Watch};
use larder_core::purge::Position;
use larder_core::tally::{DURATION, over_routes};
use larder_core::time::{Millis, Timestamp};
use serde::Serialize;
use tokio::sync::Notify;

/// Whoever does not poll and was not heard from for longer than it said it would use its memory, and the time that an answer may
/// have been under way, does not use it any more: nobody waits for it to confirm a purge.
const UNDER_WAY: Millis = Millis(1000);
/// What a worker that has not polled yet is taken to have said.
const LAG_DEFAULT: Millis = Millis(5000);
/// No worker is waited for longer, whatever it said.
const LAG_MAX: Millis = Millis(600_000);

/// Whoever was not heard from for this long is gone.
const GONE_AFTER: Millis = Millis(600_000);

/// Gauges of one worker.
const GAUGES_MAX: usize = 256;

/// The longest name of a worker or a series.
const NAME_BYTES_MAX: usize = 256;

/// The longest reason of a refused policy that is kept, in characters.
const WHY_CHARS_MAX: usize = 2048;

/// What this node knows of workers.
#[derive(Debug)]
pub(crate) struct Workers {
    known: Mutex<Known>,
    changed: Notify,
    workers_max: usize,
    series_max: usize,
}

#[derive(Debug, Default)]
struct Known {
    workers: HashMap<String, Worker>,
    /// Sums over all workers, those that are gone included.
    counts: HashMap<String, u64>,
    not_taken: u64,
}

#[derive(Debug, Default)]
struct Worker {
    position: Position,
    lag_max: Millis,
    heard: Timestamp,
    polling: u32,
    watch: Option<Watch>,
    gauges: HashMap<String, u64>,
}

/// A worker, to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// The log that it follows, in hexadecimal digits.
    pub(crate) log: String,
    /// Up to where it has confirmed.
    pub(crate) sequence: u64,
    /// Since it was heard from.
    pub(crate) heard_ms_ago: u64,
    pub(crate) polling: bool,
    pub(crate) silent: bool,
}

/// How far a purge has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Delivery {
    /// Workers that have confirmed it.
    pub(crate) confirmed: Vec<String>,
    /// Workers that have not.
    pub(crate) pending: Vec<String>,
    /// Workers that were not heard from lately: they use nothing of their own memory.
    pub(crate) silent: Vec<String>,
}

/// How far a generation of a policy has come, by what workers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Uptake {
    /// Workers that have taken it up.
    pub(crate) current: Vec<String>,
    /// Workers that run another one.
    pub(crate) behind: Vec<String>,
    /// Workers that have refused it and go on with what they had.
    pub(crate) refused: Vec<Refusing>,
    /// Workers that run another one and were not heard from lately.
    pub(crate) silent: Vec<String>,
}

/// A worker that has refused a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Refusing {
    pub(crate) worker: String,
    pub(crate) why: String,
}

/// Workers that may still use what a purge has made wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) workers: u64,
    /// For how long, at most: since the answer that told the one furthest behind.
    pub(crate) since: Millis,
}

/// What workers have reported, to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// Sums over all workers, those that are gone included.
    pub(crate) counts: Vec<(String, u64)>,
    /// Sums over those that are heard from.
    pub(crate) gauges: Vec<(String, u64)>,
    /// Reports of series for which there was no room.
    pub(crate) not_taken: u64,
}

impl Workers {
    pub(crate) fn new(workers_max: usize, series_max: usize) -> Self {
        Self { known: Mutex::default(), changed: Notify::new(), workers_max: workers_max.max(1), series_max }
    }

    /// A worker polls from a position: it has heard everything up to there.
    pub(crate) fn polls(&self, name: &str, position: Position, lag_max: Millis, watch: Option<&Watch>, now: Timestamp) {
        let mut known = self.lock();
        if let Some(worker) = known.worker(name, self.workers_max, now) {
            worker.position = position;
            worker.lag_max = lag_max.min(LAG_MAX);
            worker.watch = watch.filter(|watch| watch.name.len() <= NAME_BYTES_MAX).map(bounded);
            worker.heard = now;
            worker.polling = worker.polling.saturating_add(1);
        }
        drop(known);
        self.changed.notify_waiters();
    }

    /// A poll is over.
    pub(crate) fn polled(&self, name: &str, now: Timestamp) {
        if let Some(worker) = self.lock().workers.get_mut(name) {
            worker.polling = worker.polling.saturating_sub(1);
            worker.heard = now;
        }
    }

    /// Adds up what a worker has counted.
    pub(crate) fn reports(&self, report: Report, now: Timestamp) {
        let mut known = self.lock();
        for (series, grown) in report.counts {
            let series = summed_as(series);
            let is_new = !known.counts.contains_key(&series);
            if is_new && (known.counts.len() >= self.series_max || series.len() > NAME_BYTES_MAX) {
                known.not_taken = known.not_taken.saturating_add(1);
                continue;
            }
            let sum = known.counts.entry(series).or_default();
            *sum = sum.saturating_add(grown);
        }
        if let Some(worker) = known.worker(&report.worker, self.workers_max, now) {
            worker.heard = now;
            worker.gauges =
                report.gauges.into_iter().filter(|(name, _)| name.len() <= NAME_BYTES_MAX).take(GAUGES_MAX).collect();
        }
    }

    /// All workers, by name.
    pub(crate) fn shown(&self, now: Timestamp) -> Vec<Shown> {
        let known = self.lock();
        let mut shown: Vec<Shown> = known
            .workers
            .iter()
            .map(|(name, worker)| Shown {
                name: name.clone(),
                log: format!("{:016x}", worker.position.log),
                sequence: worker.position.sequence.0,
                heard_ms_ago: now.since(worker.heard).0,
                polling: worker.polling > 0,
                silent: worker.is_silent(now),
            })
            .collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        shown
    }

    /// What was reported.
    pub(crate) fn reported(&self, now: Timestamp) -> Reported {
        let known = self.lock();
        let mut counts: Vec<(String, u64)> = known.counts.iter().map(|(name, sum)| (name.clone(), *sum)).collect();
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for worker in known.workers.values().filter(|worker| !worker.is_silent(now)) {
            for (name, number) in &worker.gauges {
                if sums.len() < self.series_max || sums.contains_key(name.as_str()) {
                    let sum = sums.entry(name).or_default();
                    *sum = sum.saturating_add(*number);
                }
            }
        }
        let mut gauges: Vec<(String, u64)> = sums.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect();
        counts.sort();
        gauges.sort();
        Reported { counts, gauges, not_taken: known.not_taken }
    }

    /// Who has confirmed everything up to a position.
    pub(crate) fn delivery(&self, position: Position, now: Timestamp) -> Delivery {
        let known = self.lock();
        let mut delivery = Delivery::default();
        for (name, worker) in &known.workers {
            let list = match (worker.has_heard(position), worker.is_silent(now)) {
                (true, _) => &mut delivery.confirmed,
                (false, true) => &mut delivery.silent,
                (false, false) => &mut delivery.pending,
            };
            list.push(name.clone());
        }
        for list in [&mut delivery.confirmed, &mut delivery.pending, &mut delivery.silent] {
            list.sort();
        }
        delivery
    }

    /// Who has which generation of a policy.
    pub(crate) fn uptake(&self, policy: &str, generation: u64, now: Timestamp) -> Uptake {
        let known = self.lock();
        let mut uptake = Uptake::default();
        for (name, worker) in &known.workers {
            let Some(watch) = worker.watch.as_ref().filter(|watch| watch.name == policy) else { continue };
            let has = watch.generation == generation;
            match (&watch.refused, worker.is_silent(now)) {
                (Some(why), _) if has => uptake.refused.push(Refusing { worker: name.clone(), why: why.clone() }),
                (None, _) if has => uptake.current.push(name.clone()),
                (_, true) => uptake.silent.push(name.clone()),
                (_, false) => uptake.behind.push(name.clone()),
            }
        }
        for list in [&mut uptake.current, &mut uptake.behind, &mut uptake.silent] {
            list.sort();
        }
        uptake.refused.sort();
        uptake
    }

    /// The names of policies that workers would take up.
    pub(crate) fn watched(&self) -> BTreeSet<String> {
        let known = self.lock();
        known.workers.values().filter_map(|worker| Some(worker.watch.as_ref()?.name.clone())).collect()
    }

    /// Who has not confirmed everything up to a position, those apart who use nothing of their memory any more.
    pub(crate) fn behind(&self, position: Position, now: Timestamp) -> Behind {
        let known = self.lock();
        let pending = known.workers.values().filter(|worker| !worker.is_silent(now) && !worker.has_heard(position));
        pending.fold(Behind::default(), |behind, worker| Behind {
            workers: behind.workers.saturating_add(1),
            since: behind.since.max(now.since(worker.heard)),
        })
    }

    /// Wakes with the next poll.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a series is summed up here: how long requests took by policy and outcome only, since these sums never go.
fn summed_as(series: String) -> String {
    if !series.starts_with(DURATION) {
        return series;
    }
    over_routes(&series)
}

impl Known {
    fn worker(&mut self, name: &str, workers_max: usize, now: Timestamp) -> Option<&mut Worker> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        if !self.workers.contains_key(name) {
            if self.workers.len() >= workers_max {
                self.workers.retain(|_, worker| worker.polling > 0 || now.since(worker.heard) < GONE_AFTER);
            }
            if self.workers.len() >= workers_max {
                let oldest = self.workers.iter().min_by_key(|(_, worker)| (worker.polling > 0, worker.heard));
                let oldest = oldest.map(|(name, _)| name.clone())?;
                self.workers.remove(&oldest);
            }
        }
        Some(
            self.workers.entry(name.to_owned()).or_insert_with(|| Worker { lag_max: LAG_DEFAULT, ..Worker::default() }),
        )
    }
}

fn bounded(watch: &Watch) -> Watch {
    // It is shown on terminals: no more than lines is taken from whoever speaks here.
    let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let refused = watch.refused.as_ref().map(|why| why.chars().map(clean).take(WHY_CHARS_MAX).collect());
    Watch { refused, ..watch.clone() }
}

impl Worker {
    /// Whether it has confirmed everything up to a position.
    fn has_heard(&self, position: Position) -> bool {
        self.position.log == position.log && self.position.sequence >= position.sequence
    }

    fn is_silent(&self, now: Timestamp) -> bool {
        self.polling == 0 && now.since(self.heard).0 > self.lag_max.0.saturating_add(UNDER_WAY.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::purge::Sequence;

    fn at(sequence: u64) -> Position {
        Position { log: 1, sequence: Sequence(sequence) }
    }

    #[test]
    fn delivery_tells_who_has_heard_who_has_not_and_who_is_silent() {
        let workers = Workers::new(8, 8);
        workers.polls("a", at(3), Millis(9000), None, Timestamp(0));
        workers.polls("b", at(2), Millis(9000), None, Timestamp(0));
        workers.polls("c", at(2), Millis(9000), None, Timestamp(0));
        workers.polled("c", Timestamp(0));
        workers.polls("d", Position { log: 2, sequence: Sequence(9) }, Millis(9000), None, Timestamp(0));
        let delivery = workers.delivery(at(3), Timestamp(10_001));
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(delivery.confirmed, names(&["a"]));
        assert_eq!(delivery.pending, names(&["b", "d"]));
        assert_eq!(delivery.silent, names(&["c"]));
    }

    #[test]
    fn uptake_tells_who_has_a_policy_who_refused_it_and_who_is_behind() {
        let workers = Workers::new(8, 8);
        let watch = |generation, refused: Option<&str>| Watch {
            name: "shop".into(),
            generation,
            refused: refused.map(ToOwned::to_owned),
        };
        let other = Watch { name: "other".into(), ..watch(7, None) };
        let long = "x".repeat(9999);
        for (name, watch) in [
            ("a", Some(watch(7, None))),
            ("b", Some(watch(6, None))),
            ("c", Some(watch(7, Some(&long)))),
            ("d", Some(watch(6, Some("an older one")))),
            ("e", Some(other)),
            ("f", None),
            ("g", Some(watch(0, None))),
        ] {
            workers.polls(name, at(1), Millis(5000), watch.as_ref(), Timestamp(0));
        }
        workers.polled("g", Timestamp(0));
        let uptake = workers.uptake("shop", 7, Timestamp(60_000));
        assert_eq!((&uptake.current[..], &uptake.silent[..]), (&["a".to_owned()][..], &["g".to_owned()][..]));
        assert_eq!(uptake.behind, ["b", "d"]);
        assert_eq!(uptake.refused, [Refusing { worker: "c".into(), why: "x".repeat(WHY_CHARS_MAX) }]);
        assert_eq!(workers.watched().into_iter().collect::<Vec<_>>(), ["other", "shop"]);
    }

    #[test]
    fn whoever_is_behind_is_counted_while_it_may_use_its_memory() {
        let workers = Workers::new(8, 8);
        for (name, sequence, heard) in [("a", 3, 2000), ("b", 2, 4000), ("c", 1, 5000), ("d", 1, 0)] {
            workers.polls(name, at(sequence), Millis(9000), None, Timestamp(heard));
            workers.polled(name, Timestamp(heard));
        }
        let behind = |sequence, now| workers.behind(at(sequence), Timestamp(now));
        assert_eq!(behind(1, 9_000), Behind::default());
        assert_eq!(behind(3, 11_000), Behind { workers: 2, since: Millis(7000) });
        assert_eq!(behind(3, 90_000), Behind::default());
    }

    #[test]
    fn the_table_is_bounded_and_the_longest_silent_goes() {
        let workers = Workers::new(2, 8);
        for (at_ms, name) in ["a", "b", "c"].iter().enumerate() {
            workers.polls(name, at(1), Millis(9000), None, Timestamp(at_ms as u64));
            workers.polled(name, Timestamp(at_ms as u64));
        }
        let names: Vec<String> = workers.shown(Timestamp(5)).into_iter().map(|shown| shown.name).collect();
        assert_eq!(names, ["b", "c"]);
        workers.polls(&"long".repeat(100), at(1), Millis(9000), None, Timestamp(0));
        assert_eq!(workers.shown(Timestamp(5)).len(), 2);
    }

    #[test]
    fn reports_add_up_and_gauges_are_those_of_the_living() {
        let workers = Workers::new(8, 2);
        let report = |worker: &str, counts: &[(&str, u64)], gauge| Report {
            worker: worker.into(),
            counts: counts.iter().map(|(name, grown)| (name.to_string(), *grown)).collect(),
            gauges: vec![("g".into(), gauge)],
            keys: vec![],
        };
        workers.reports(report("a", &[("x", 1), ("y", 2)], 5), Timestamp(0));
        workers.reports(report("b", &[("x", 3), ("z", 1)], 6), Timestamp(5_000));
        let Reported { counts, gauges, not_taken } = workers.reported(Timestamp(5_000));
        assert_eq!(counts, [("x".to_owned(), 4), ("y".to_owned(), 2)]);
        assert_eq!((gauges, not_taken), (vec![("g".to_owned(), 11)], 1));
        assert_eq!(workers.reported(Timestamp(6_001)).gauges, [("g".to_owned(), 6)]);
    }

    #[test]
    fn how_long_requests_took_is_summed_over_routes() {
        let of = |route: &str| format!("{DURATION};policy=p;route={route};class=c;host=*.h;outcome=hit;within=5");
        assert_eq!(summed_as(of("a")), "larder_request_duration_total;policy=p;outcome=hit;within=5");
        let other = "larder_requests_total;policy=p;route=a;outcome=hit";
        assert_eq!(summed_as(other.to_owned()), other);
    }
}
