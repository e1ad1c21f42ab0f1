//! What a fault has cost, from samples and marks; which goals it missed; the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::faults::Fault;
use super::load::{Edge, Outcome, Sample};
use super::purger::Purge;
use super::span::Span;
use super::stage::{Memory, hit_ratio};

/// Hits are looked at second by second, at so many places of each.
const WINDOW: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
/// From this share of the hits before on, the caches are what they were.
const BACK: f64 = 0.9;

/// One fault.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Which.
    pub fault: Fault,
    /// Why it was left out; there are no figures then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What did not go as it must, beside the figures; there are none then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// What is worth telling beside that.
    pub notes: Vec<String>,
}

/// What was measured from the fault's beginning until the time after it was over.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// How long the fault lasted.
    pub lasted_ms: u64,
    /// Requests to the Envoys with Larder.
    pub requests: u64,
    /// Of these, those that failed and would not have without Larder.
    pub failed: u64,
    /// Beside these, those that were under way at an Envoy when its module trapped.
    pub lost_with_vm: u64,
    /// All that failed, whoever's fault it is.
    pub failed_in_all: u64,
    /// Requests to the Envoy without Larder.
    pub control_requests: u64,
    /// Of these, those that failed.
    pub control_failed: u64,
    /// Answers older than a purge that had been delivered, or than their lifetime.
    pub stale: u64,
    /// Answers with bytes that the origin never sent to such a request.
    pub wrong: u64,
    /// The slowest in a hundred, and the slowest of all.
    pub p99_ms: f64,
    /// The slowest of all.
    pub max_ms: f64,
    /// Hits among answers before the fault, and while it lasted.
    pub hits_before: f64,
    /// The same while it lasted.
    pub hits_during: f64,
    /// Why answers did not come from the cache while it lasted, and how many.
    pub misses_during: BTreeMap<&'static str, u64>,
    /// From the fault's beginning until hits are at 90% of what they were before (or no lower than in the worst second before), and stay there; none where they do not come back.
    pub recovered_ms: Option<u64>,
    /// Hits among answers, for each second from the fault's beginning.
    pub hits_by_second: Vec<f64>,
    /// Purges that were sent.
    pub purges: usize,
    /// Of these, those that a node acknowledged.
    pub acknowledged: usize,
    /// Of these, those that were delivered to every worker.
    pub delivered: usize,
    /// The slowest acknowledgement.
    pub acknowledged_max_ms: f64,
    /// The slowest delivery.
    pub delivered_max_ms: f64,
    /// Memory before it.
    pub memory_before: Memory,
    /// Memory after it.
    pub memory_after: Memory,
}

impl Row {
    /// A fault that could not be tried.
    pub fn skipped(fault: Fault, why: String) -> Self {
        Self { fault, skipped: Some(why), broken: None, figures: None, notes: Vec::new() }
    }

    /// A fault after which something was not as it must be.
    pub fn broken(fault: Fault, why: String) -> Self {
        Self { fault, skipped: None, broken: Some(why), figures: None, notes: Vec::new() }
    }

    /// The goals that were missed.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = self.wrong();
        if self.figures.as_ref().is_some_and(|figures| figures.recovered_ms.is_none()) {
            missed.push(format!("{}: hits do not come back", self.fault.name()));
        }
        missed
    }

    /// The same, without those that a busy machine may miss.
    pub fn wrong(&self) -> Vec<String> {
        let missed = self.figures.as_ref().map(Figures::missed_correctness).unwrap_or_default();
        self.broken.iter().cloned().chain(missed).map(|what| format!("{}: {what}", self.fault.name())).collect()
    }
}

impl Figures {
    /// Makes them of what was sampled; `closed` is when the time after the fault was over.
    pub fn of(
        fault: Fault,
        span: &Span,
        closed: Instant,
        samples: &[Sample],
        purges: &[Purge],
        memory: (Memory, Memory),
    ) -> Self {
        let begun = span.begun.unwrap_or(span.from);
        let ended = span.ended.unwrap_or(closed);
        let between = |from: Instant, to: Instant| -> Vec<Sample> {
            samples.iter().filter(|sample| sample.sent >= from && sample.sent < to).copied().collect()
        };
        // With what was under way when it began.
        let is_during = |sample: &&Sample| sample.sent + sample.took >= begun && sample.sent < closed;
        let during: Vec<Sample> = samples.iter().filter(is_during).copied().collect();
        let of = |edge: Edge, outcomes: &[Outcome]| {
            let all = during.iter().filter(|sample| sample.edge == edge);
            all.filter(|sample| outcomes.is_empty() || outcomes.contains(&sample.outcome)).count() as u64
        };
        let (requests, control_requests) = (of(Edge::Larder, &[]), of(Edge::Control, &[]));
        let failed_in_all = of(Edge::Larder, &[Outcome::Failed, Outcome::Refused]);
        let control_failed = of(Edge::Control, &[Outcome::Failed, Outcome::Refused]);
        // While nobody listens, a request is lost with Larder and without.
        let counted: &[Outcome] =
            if fault.is_envoys_own() { &[Outcome::Failed] } else { &[Outcome::Failed, Outcome::Refused] };
        let is_failed = |sample: &Sample| {
            sample.edge == Edge::Larder && [Outcome::Failed, Outcome::Refused].contains(&sample.outcome)
        };
        let died = |sample: &Sample| {
            span.traps.iter().any(|(from, to)| sample.sent <= *to && sample.sent + sample.took >= *from)
        };
        let lost_with_vm = during.iter().filter(|sample| is_failed(sample) && died(sample)).count() as u64;
        let expected = lost_with_vm + of(Edge::Control, counted) * requests / control_requests.max(1);
        let mut took: Vec<f64> =
            during.iter().filter(|sample| sample.edge == Edge::Larder).map(|sample| millis(sample.took)).collect();
        took.sort_by(f64::total_cmp);
        let purges: Vec<&Purge> = purges.iter().filter(|purge| purge.begun >= begun && purge.begun < closed).collect();
        let slowest = |times: Vec<Duration>| times.into_iter().max().map_or(0.0, millis);
        let acknowledged: Vec<Duration> = purges.iter().filter_map(|purge| purge.acknowledged).collect();
        let delivered: Vec<Duration> = purges.iter().filter_map(|purge| purge.delivered).collect();
        let (calm, hits_before) = (between(span.from, begun), hit_ratio(&between(span.from, begun)));
        // Seconds differ without a fault, too: what there was before is enough.
        let lowest = windows(&calm, span.from, begun, STEP).into_iter().map(|(_, ratio)| ratio).fold(1.0, f64::min);
        let usual = lowest.min(hits_before * BACK);
        Self {
            lasted_ms: (ended - begun).as_millis() as u64,
            requests,
            failed: of(Edge::Larder, counted).saturating_sub(expected),
            lost_with_vm,
            failed_in_all,
            control_requests,
            control_failed,
            stale: of(Edge::Larder, &[Outcome::Stale]),
            wrong: of(Edge::Larder, &[Outcome::Wrong]),
            p99_ms: took.get(took.len() * 99 / 100).copied().unwrap_or_default(),
            max_ms: took.last().copied().unwrap_or_default(),
            hits_before,
            hits_during: hit_ratio(&between(begun, ended)),
            misses_during: misses(&between(begun, ended)),
            recovered_ms: recovered(&during, usual, begun, closed).map(|after| after.as_millis() as u64),
            hits_by_second: windows(&during, begun, closed, WINDOW).into_iter().map(|(_, ratio)| ratio).collect(),
            purges: purges.len(),
            acknowledged: acknowledged.len(),
            delivered: delivered.len(),
            acknowledged_max_ms: slowest(acknowledged),
            delivered_max_ms: slowest(delivered),
            memory_before: memory.0,
            memory_after: memory.1,
        }
    }

    fn missed_correctness(&self) -> Vec<String> {
        let Self { failed, stale, wrong, requests, .. } = self;
        let mut missed = Vec::new();
        for (count, what) in [(failed, "failed"), (stale, "were stale"), (wrong, "had wrong bytes")] {
            if *count > 0 {
                missed.push(format!("{count} of {requests} requests {what}"));
            }
        }
        missed
    }
}

fn misses(samples: &[Sample]) -> BTreeMap<&'static str, u64> {
    let mut misses = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.edge == Edge::Larder) {
        if let Outcome::Miss(why) = sample.outcome {
            *misses.entry(why).or_default() += 1;
        }
    }
    misses
}

/// How long after `begun` the last second ends in which there were fewer hits than usual; none where that is the last of all.
fn recovered(samples: &[Sample], usual: f64, begun: Instant, closed: Instant) -> Option<Duration> {
    let mut low = windows(samples, begun, closed, STEP).into_iter().filter(|(_, ratio)| *ratio < usual);
    let last = low.next_back().map(|(from, _)| from + WINDOW - begun).unwrap_or_default();
    (begun + last + STEP < closed).then_some(last)
}

/// The hits among the answers of each second, a step after the other, with the beginning of each.
fn windows(samples: &[Sample], from: Instant, to: Instant, step: Duration) -> Vec<(Instant, f64)> {
    let begins = (0u32..).map(|index| from + step * index).take_while(|begin| *begin + WINDOW <= to);
    begins
        .map(|begin| {
            let within = samples.iter().filter(|sample| sample.sent >= begin && sample.sent < begin + WINDOW);
            (begin, hit_ratio(&within.copied().collect::<Vec<_>>()))
        })
        .collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Rows as a table, with the notes below.
pub fn table(rows: &[Row]) -> String {
    let heading = [
        "fault",
        "lasted",
        "requests",
        "failed",
        "stale",
        "wrong",
        "p99",
        "slowest",
        "hits before",
        "during",
        "back after",
        "purges",
        "delivered in",
        "Envoys MB",
        "nodes MB",
    ];
    let mut lines: Vec<Vec<String>> = vec![heading.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(cells));
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter(|line| line.len() > 2).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", padded.join("  ").trim_end());
    }
    for row in rows {
        for note in &row.notes {
            let _ = writeln!(out, "{}: {note}", row.fault.name());
        }
    }
    out
}

fn cells(row: &Row) -> Vec<String> {
    let Some(figures) = &row.figures else {
        let why = match (&row.skipped, &row.broken) {
            (Some(why), _) => format!("left out: {why}"),
            (None, Some(why)) => format!("BROKEN: {why}"),
            (None, None) => String::new(),
        };
        return vec![row.fault.name(), why];
    };
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1e3);
    let change = |before: f64, after: f64| format!("{before:.0} -> {after:.0}");
    let failed = match figures {
        Figures { failed, failed_in_all, .. } if failed == failed_in_all => failed.to_string(),
        Figures { failed, lost_with_vm: lost @ 1.., .. } => format!("{failed} (and {lost} with the VM)"),
        Figures { failed, failed_in_all, control_failed, .. } => {
            format!("{failed} ({failed_in_all} in all, {control_failed} without Larder)")
        }
    };
    vec![
        row.fault.name(),
        seconds(figures.lasted_ms),
        figures.requests.to_string(),
        failed,
        figures.stale.to_string(),
        figures.wrong.to_string(),
        format!("{:.0} ms", figures.p99_ms),
        format!("{:.0} ms", figures.max_ms),
        percent(figures.hits_before),
        percent(figures.hits_during),
        figures.recovered_ms.map_or("never".to_owned(), seconds),
        format!("{}/{}/{}", figures.purges, figures.acknowledged, figures.delivered),
        format!("{:.1} s", figures.delivered_max_ms / 1e3),
        change(figures.memory_before.envoys_mb, figures.memory_after.envoys_mb),
        change(figures.memory_before.nodes_mb, figures.memory_after.nodes_mb),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(begun: Instant, count: u64, outcome: impl Fn(u64) -> Outcome) -> Vec<Sample> {
        let sample = |at: u64| Sample {
            edge: Edge::Larder,
            sent: begun + Duration::from_millis(at * 10),
            took: Duration::from_millis(1),
            outcome: outcome(at),
            again: false,
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn hits_are_back_when_the_last_second_with_too_few_is_over() {
        let begun = Instant::now();
        let closed = begun + Duration::from_secs(10);
        let dip = |from: u64, to: u64| {
            samples(
                begun,
                1000,
                move |at| if (from..to).contains(&at) { Outcome::Miss("uri-miss") } else { Outcome::Hit },
            )
        };
        assert_eq!(recovered(&dip(0, 0), 1.0, begun, closed), Some(Duration::ZERO));
        let after = recovered(&dip(100, 300), 1.0, begun, closed).unwrap();
        assert!((3000..=4000).contains(&after.as_millis()), "{after:?}");
        assert_eq!(recovered(&dip(500, 1000), 1.0, begun, closed), None);
    }

    #[test]
    fn what_fails_without_larder_is_not_larders_fault() {
        let begun = Instant::now();
        let mut span = Span::open(Duration::ZERO);
        (span.begun, span.ended) = (Some(begun), Some(begun));
        let mut all = samples(begun, 200, |at| if at < 8 { Outcome::Failed } else { Outcome::Hit });
        let control = samples(begun, 100, |at| if at < 3 { Outcome::Failed } else { Outcome::Miss("uri-miss") });
        all.extend(control.into_iter().map(|sample| Sample { edge: Edge::Control, ..sample }));
        let closed = begun + Duration::from_secs(3);
        let none = (Memory::default(), Memory::default());
        let figures = Figures::of(Fault::Restart, &span, closed, &all, &[], none);
        assert_eq!((figures.requests, figures.failed_in_all, figures.failed), (200, 8, 2));
        let row = Row { fault: Fault::Restart, skipped: None, broken: None, figures: Some(figures), notes: Vec::new() };
        assert_eq!(row.wrong(), ["restart: 2 of 200 requests failed"]);
        assert!(table(&[row]).contains("2 (8 in all, 3 without Larder)"));
    }
}
