//! `bench purge`: from a purge's acknowledgement to the last stale byte, over two Envoys with two workers each, under load.
//!
//! Each purge is of a tag that one URL has. Before it every reader has had that URL from a worker's memory. The origin's answer is a version
//! counter, which goes up just before the purge is sent; so an answer with the version before, to a request that was sent after
//! the acknowledgement, is stale. Readers are threads with a connection each, which ask again and again with a short pause.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::node::{self, Place, Settings};
use super::row::{Bound, Metric, Row};
use super::stats::{Summary, percentile};
use crate::envoy::Envoy;
use crate::http::{self, Connection, Request};
use crate::node::Node;
use crate::node::{Delivered, Purged};
use crate::origin::{Origin, Reply};
use crate::{build, paths, setup};

const BENCH: &str = "purge";
const SUBJECT: &str = "2 Envoys, 4 workers";
const WORKERS: u32 = 2;
const READERS_EACH: usize = 8;
/// Between an answer and the next request of a reader.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a purge is watched after its delivery has been reported.
const WATCH: Duration = Duration::from_millis(20);
/// How long anything else may take before the bench fails.
const WITHIN: Duration = Duration::from_secs(20);
const GOAL_MS: f64 = 50.0;

const POLICY: &str = r#"{
  "version": 1,
  "name": "bench",
  "routes": [{ "name": "item", "path": "/items/{id}", "ttl": "1h", "tags": ["item:{id}"] }]
}"#;

/// Sets everything up, measures, and stops everything.
pub fn run(purges: usize) -> Result<Vec<Row>> {
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let larder = node::build()?;
    let folder = paths::scratch("bench-purge");
    let shared = Arc::new(Shared::new(purges));
    let origin = {
        let shared = shared.clone();
        Origin::start(move |received| shared.answer(&received.target))?
    };
    let node = node::start(&larder, "node", &folder, None)?;
    let place = Place {
        envoy: &envoy,
        module: &module.path,
        policy: POLICY,
        folder: &folder,
        origin: origin.port,
        nodes: &[node.data],
        core: None,
        workers: WORKERS,
    };
    let settings = Settings { cluster: r#""reroute_above": "64KiB""#, others: "" };
    let envoys = [place.start("one", Some(settings))?, place.start("two", Some(settings))?];
    let mut connections = Vec::new();
    for envoy in &envoys {
        connections.extend(spread(envoy)?);
    }
    eprintln!("... {purges} purges, {} readers over 2 Envoys with {WORKERS} workers each", connections.len());
    let seen = shared.under_load(connections, || measure(&shared, &envoys, &node, purges))?;
    rows(&seen)
}

/// What readers, origin and purger share.
#[derive(Debug)]
struct Shared {
    /// The version of each item that the origin answers with.
    versions: Vec<AtomicU64>,
    /// The item that is read.
    item: AtomicUsize,
    ended: AtomicBool,
    samples: Mutex<Vec<Sample>>,
}

/// An answer that a reader had.
#[derive(Clone, Copy, Debug)]
struct Sample {
    reader: usize,
    item: usize,
    version: u64,
    sent: Instant,
    received: Instant,
    from_memory: bool,
}

impl Shared {
    fn new(items: usize) -> Self {
        let versions = (0..items).map(|_| AtomicU64::new(1)).collect();
        Self { versions, item: AtomicUsize::new(0), ended: AtomicBool::new(false), samples: Mutex::default() }
    }

    fn answer(&self, target: &str) -> Reply {
        let version = target.strip_prefix("/items/").and_then(|item| self.versions.get(item.parse::<usize>().ok()?));
        match version {
            Some(version) => Reply::new(200, version.load(Ordering::SeqCst).to_string()),
            None => Reply::new(404, ""),
        }
    }

    /// Runs `work` while readers read; an error of either is the outcome.
    fn under_load<T>(&self, connections: Vec<Connection>, work: impl FnOnce() -> Result<T>) -> Result<T> {
        thread::scope(|scope| {
            let mut readers = Vec::new();
            for (reader, connection) in connections.into_iter().enumerate() {
                readers.push(scope.spawn(move || self.read(reader, connection)));
            }
            let outcome = work();
            self.ended.store(true, Ordering::Relaxed);
            for reader in readers {
                match reader.join() {
                    Ok(read) => read.context("a reader")?,
                    Err(_) => bail!("a reader panicked"),
                }
            }
            outcome
        })
    }

    fn read(&self, reader: usize, mut connection: Connection) -> Result<()> {
        while !self.ended.load(Ordering::Relaxed) {
            let item = self.item.load(Ordering::Relaxed);
            let request = of_everybody(item);
            let sent = Instant::now();
            let response = connection.ask(&request)?;
            let received = Instant::now();
            ensure!(response.status == 200, "status {}", response.status);
            let version = response.text().parse().context("an answer without a version")?;
            let status = response.field("cache-status").unwrap_or_default();
            let from_memory = status.contains("; hit") && !status.contains("detail=cluster");
            let sample = Sample { reader, item, version, sent, received, from_memory };
            self.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn take(&self) -> Vec<Sample> {
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The same URL at both Envoys.
fn of_everybody(item: usize) -> Request {
    Request::get(format!("/items/{item}")).field("Host", "shop.example")
}

/// Connections to an Envoy, so that each of its workers has some.
fn spread(envoy: &Envoy) -> Result<Vec<Connection>> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let connections: Vec<Connection> =
            (0..READERS_EACH).map(|_| Connection::open(envoy.port)).collect::<Result<_>>()?;
        // Accepted some time after they are open.
        let settled = Instant::now() + Duration::from_secs(2);
        while Instant::now() < settled {
            let stats = http::text(envoy.admin, "/stats?filter=worker_[0-9]*.downstream_cx_active")?;
            if workers_with_connections(&stats) == WORKERS as usize {
                return Ok(connections);
            }
            thread::sleep(Duration::from_millis(20));
        }
        ensure!(Instant::now() < deadline, "connections do not reach every worker of an Envoy");
    }
}

fn workers_with_connections(stats: &str) -> usize {
    let active = |line: &str| {
        let (name, count) = line.rsplit_once(": ")?;
        (name.starts_with("listener.") && !name.starts_with("listener.admin.")).then_some(count.trim() != "0")
    };
    stats.lines().filter(|line| active(line) == Some(true)).count()
}

/// What was seen of all purges.
#[derive(Debug, Default)]
struct Seen {
    stale_ms: Vec<f64>,
    delivered_ms: Vec<f64>,
    stale_after_delivery: u64,
    answers: usize,
}

fn measure(shared: &Shared, envoys: &[Envoy], node: &Node, purges: usize) -> Result<Seen> {
    let mut seen = Seen::default();
    let readers = envoys.len() * READERS_EACH;
    let begun = Instant::now();
    for item in 0..purges {
        let one = purge_once(shared, node, item, readers).with_context(|| format!("purge {item}"))?;
        seen.answers += one.samples.len();
        seen.stale_ms.push(millis(one.stale_for()));
        seen.delivered_ms.push(millis(one.delivered.saturating_duration_since(one.acknowledged)));
        seen.stale_after_delivery += one.stale_after_delivery();
        if (item + 1) % 100 == 0 {
            let rate = seen.answers as f64 / begun.elapsed().as_secs_f64();
            eprintln!("... {} of {purges} purges, {rate:.0} answers/s watched", item + 1);
        }
    }
    // Nothing that was purged may come back.
    for envoy in envoys {
        let mut connection = Connection::open(envoy.port)?;
        for item in 0..purges {
            let response = connection.ask(&of_everybody(item))?;
            ensure!(response.status == 200, "status {} for item {item}", response.status);
            seen.stale_after_delivery += u64::from(response.text() != "2");
        }
    }
    Ok(seen)
}

/// A purge and what readers had around it.
#[derive(Debug)]
struct Watched {
    acknowledged: Instant,
    delivered: Instant,
    /// Answers to requests for what was purged.
    samples: Vec<Sample>,
}

impl Watched {
    fn is_stale(sample: &Sample) -> bool {
        sample.version < 2
    }

    /// From the acknowledgement to the last answer that is stale, of those that were asked for after it.
    fn stale_for(&self) -> Duration {
        let stale = self.samples.iter().filter(|sample| Self::is_stale(sample) && sample.sent >= self.acknowledged);
        let last = stale.map(|sample| sample.received).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.acknowledged))
    }

    fn stale_after_delivery(&self) -> u64 {
        self.samples.iter().filter(|sample| Self::is_stale(sample) && sample.sent > self.delivered).count() as u64
    }
}

fn purge_once(shared: &Shared, node: &Node, item: usize, readers: usize) -> Result<Watched> {
    shared.item.store(item, Ordering::Relaxed);
    let of_item = |sample: &Sample| sample.item == item;
    gather(shared, "every reader to be answered from memory", |samples| {
        everybody(samples, readers, |sample| of_item(sample) && sample.from_memory)
    })?;
    let version = shared.versions.get(item).context("no such item")?;
    version.store(2, Ordering::SeqCst);
    let body = format!(r#"{{"tags":["item:{item}"]}}"#).into_bytes();
    let wanted =
        Request { method: "POST", body, ..Request::get("/v1/purge") }.field("content-type", "application/json");
    let answer = http::send(node.admin, &wanted)?;
    let acknowledged = Instant::now();
    ensure!(answer.status == 200, "the node answers {}: {}", answer.status, answer.text());
    let purged: Purged = serde_json::from_slice(&answer.body).context("the node's answer to a purge")?;
    let (tell, told) = mpsc::channel();
    let (mut samples, delivered) = thread::scope(|scope| {
        scope.spawn(move || tell.send(delivery(node.admin, &purged)));
        let mut delivered = None;
        let samples = gather(shared, "delivery, and an answer to everybody after it", |samples| {
            delivered = delivered.take().or_else(|| told.try_recv().ok());
            match &delivered {
                None => false,
                Some(Err(_)) => true,
                Some(Ok(at)) => everybody(samples, readers, |sample| of_item(sample) && sample.sent > *at + WATCH),
            }
        })?;
        anyhow::Ok((samples, delivered.context("nothing is known of delivery")??))
    })?;
    samples.retain(of_item);
    Ok(Watched { acknowledged, delivered, samples })
}

/// Collects answers until `enough`.
fn gather(shared: &Shared, what: &str, mut enough: impl FnMut(&[Sample]) -> bool) -> Result<Vec<Sample>> {
    let deadline = Instant::now() + WITHIN;
    let mut samples = Vec::new();
    loop {
        samples.extend(shared.take());
        if enough(&samples) {
            return Ok(samples);
        }
        ensure!(Instant::now() < deadline, "no {what} within {} s", WITHIN.as_secs());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether each reader had such an answer.
fn everybody(samples: &[Sample], readers: usize, is_such: impl Fn(&Sample) -> bool) -> bool {
    let mut had = vec![false; readers];
    for sample in samples.iter().filter(|sample| is_such(sample)) {
        if let Some(had) = had.get_mut(sample.reader) {
            *had = true;
        }
    }
    had.iter().all(|had| *had)
}

/// Waits for the node's word that a purge has been delivered, and says when it came.
fn delivery(admin: u16, purged: &Purged) -> Result<Instant> {
    let Purged { log, sequence } = purged;
    let answer = http::text(admin, &format!("/v1/purges/{sequence}/delivery?wait=15s&log={log}"))?;
    let at = Instant::now();
    let Delivered { delivered } = serde_json::from_str(&answer).context("the node's word on delivery")?;
    ensure!(delivered, "the purge was not delivered: {answer}");
    Ok(at)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn rows(seen: &Seen) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (metric, figures) in [(Metric::StaleFor, &seen.stale_ms), (Metric::DeliveredAfter, &seen.delivered_ms)] {
        let all = Summary::of(figures).context("no purges")?;
        for (case, percent) in [("p50", 50.0), ("p99", 99.0), ("max", 100.0)] {
            let median = percentile(figures, percent).context("no purges")?;
            let goal = (metric == Metric::StaleFor && case == "p99").then_some(Bound::AtMost(GOAL_MS));
            rows.push(Row::single(BENCH, case, SUBJECT, metric, &Summary { median, ..all }, goal));
        }
    }
    let count = seen.stale_after_delivery as f64;
    let count = Summary { median: count, min: count, max: count };
    rows.push(Row::single(BENCH, "all", SUBJECT, Metric::StaleAfterDelivery, &count, Some(Bound::AtMost(0.0))));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_after_the_acknowledgement_is_stale() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let sample = |version, sent, received| Sample {
            reader: 0,
            item: 0,
            version,
            sent: at(sent),
            received: at(received),
            from_memory: true,
        };
        let mut watched = Watched {
            acknowledged: at(10),
            delivered: at(20),
            samples: vec![sample(1, 9, 19), sample(1, 11, 14), sample(1, 12, 13), sample(2, 12, 30)],
        };
        assert_eq!((watched.stale_for(), watched.stale_after_delivery()), (Duration::from_millis(4), 0));
        watched.samples.push(sample(1, 21, 25));
        assert_eq!((watched.stale_for(), watched.stale_after_delivery()), (Duration::from_millis(15), 1));
        watched.samples.clear();
        assert_eq!(watched.stale_for(), Duration::ZERO);
        assert!(!everybody(&[sample(1, 1, 2)], 2, |_| true) && everybody(&[sample(1, 1, 2)], 1, |_| true));
    }

    #[test]
    fn workers_are_counted_from_stats() {
        let stats = "listener.127.0.0.1_4.worker_0.downstream_cx_active: 8\nlistener.127.0.0.1_4.worker_1.downstream_cx_active: 0\nlistener.admin.main_thread.downstream_cx_active: 1\n";
        assert_eq!(workers_with_connections(stats), 1);
    }

    #[test]
    fn the_p99_of_staleness_has_a_goal_and_what_is_stale_after_delivery_too() {
        let figures: Vec<f64> = (1..=100).map(f64::from).collect();
        let seen = Seen { stale_ms: figures.clone(), delivered_ms: figures, stale_after_delivery: 1, answers: 1 };
        let rows = serde_json::to_value(rows(&seen).unwrap()).unwrap();
        let goals = rows.as_array().unwrap().iter().filter(|row| !row["goal"].is_null());
        let goals: Vec<_> =
            goals.map(|row| (row["case"].as_str(), row["value"].as_f64(), row["holds"].as_bool())).collect();
        assert_eq!(goals, [(Some("p99"), Some(99.0), Some(false)), (Some("all"), Some(1.0), Some(false))]);
    }
}
