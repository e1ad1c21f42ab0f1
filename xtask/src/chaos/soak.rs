//! `--soak`: a moderate rate for a long time, with purges, pushes and reloads, and what Envoys and nodes take meanwhile. The goal is that
//! nothing grows: a straight line through the last two thirds of the time must be flat.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::content;
use super::faults::push_once;
use super::load::{Edge, Outcome};
use super::stage::{Stage, hit_ratio};
use crate::usage::{self, Usage};

const EVERY: Duration = Duration::from_secs(10);
/// Of these, every how many a policy is pushed, and one comes by ECDS.
const PUSH_EVERY: usize = 6;
const ECDS_EVERY: usize = 9;
/// A line that rises by less than this share of the mean over its time counts as flat, or by less than so many MB.
const GROWTH_SHARE_MAX: f64 = 0.05;
const GROWTH_MB_MAX: f64 = 4.0;
const LIFETIMES: [&str; 2] = ["50m", "1h"];
const ROWS_MAX: usize = 20;

/// What one process took over time.
#[derive(Debug, Serialize)]
pub struct Curve {
    /// Which process.
    pub name: String,
    /// Seconds since the beginning.
    pub at_s: Vec<f64>,
    /// Resident memory in MB.
    pub resident_mb: Vec<f64>,
    /// Open file descriptors.
    pub descriptors: Vec<usize>,
    /// Threads.
    pub threads: Vec<usize>,
    /// By how much the line through the last two thirds rises over that time, in MB.
    pub growth_mb: f64,
    /// Whether that counts as flat.
    pub flat: bool,
}

/// The whole run.
#[derive(Debug, Default, Serialize)]
pub struct Soak {
    /// How long it took.
    pub seconds: f64,
    /// Requests to the Envoys with Larder.
    pub requests: u64,
    /// Of these, hits.
    pub hit_ratio: f64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Answers that were older than allowed.
    pub stale: u64,
    /// Answers with wrong bytes.
    pub wrong: u64,
    /// Purges that were sent.
    pub purges: usize,
    /// Of these, those that were delivered.
    pub delivered: usize,
    /// Policies that were pushed.
    pub pushes: usize,
    /// Configurations that came by ECDS.
    pub reloads: usize,
    /// What each process took.
    pub curves: Vec<Curve>,
    /// What went wrong, the first of it.
    pub complaints: Vec<String>,
}

/// Runs it on a stage that has been opened.
pub fn run(stage: &Stage, time: Duration) -> Result<Soak> {
    let begun = Instant::now();
    let mut soak = Soak::default();
    let processes = processes(stage);
    let curve = |(name, _): &(String, u32)| Curve { name: name.clone(), ..Curve::empty() };
    soak.curves = processes.iter().map(curve).collect();
    let (mut hits, mut tick) = (0.0, 0usize);
    let module = stage.module.clone();
    while begun.elapsed() < time {
        thread::sleep(EVERY.min(time.saturating_sub(begun.elapsed())));
        tick += 1;
        for ((_, pid), curve) in processes.iter().zip(&mut soak.curves) {
            curve.take(begun.elapsed(), usage::of(*pid)?);
        }
        let samples = stage.load.take();
        let larder = samples.iter().filter(|sample| sample.edge == Edge::Larder);
        for sample in larder.clone() {
            match sample.outcome {
                Outcome::Hit | Outcome::Miss(_) => {}
                Outcome::Failed | Outcome::Refused => soak.failed += 1,
                Outcome::Stale => soak.stale += 1,
                Outcome::Wrong => soak.wrong += 1,
            }
        }
        let count = larder.count() as u64;
        soak.requests += count;
        hits += hit_ratio(&samples) * count as f64;
        soak.complaints.extend(stage.load.complaints().into_iter().map(|complaint| complaint.what));
        soak.complaints.truncate(20);
        let purges = stage.purger.take();
        soak.purges += purges.len();
        soak.delivered += purges.iter().filter(|purge| purge.delivered.is_some()).count();
        if tick.is_multiple_of(PUSH_EVERY) {
            push_once(stage, LIFETIMES[soak.pushes % LIFETIMES.len()])?;
            soak.pushes += 1;
            eprintln!(
                "... {:.0} of {:.0} min: {} requests, {} failed, {} stale, {} wrong; {}",
                begun.elapsed().as_secs_f64() / 60.0,
                time.as_secs_f64() / 60.0,
                soak.requests,
                soak.failed,
                soak.stale,
                soak.wrong,
                soak.curves.iter().map(Curve::last).collect::<Vec<_>>().join(", ")
            );
        }
        if tick.is_multiple_of(ECDS_EVERY) {
            for edge in stage.larders() {
                edge.configure(&module, &content::policy(LIFETIMES[soak.reloads % LIFETIMES.len()]))?;
            }
            soak.reloads += 1;
        }
    }
    soak.seconds = begun.elapsed().as_secs_f64();
    soak.hit_ratio = hits / soak.requests.max(1) as f64;
    for curve in &mut soak.curves {
        curve.judge();
    }
    Ok(soak)
}

fn processes(stage: &Stage) -> Vec<(String, u32)> {
    let edges = stage.edges.iter().map(|edge| (format!("envoy {}", edge.name()), edge.pid()));
    let nodes = stage.nodes.iter().enumerate().map(|(index, node)| (format!("node {}", index + 1), node.pid()));
    edges.chain(nodes).filter_map(|(name, pid)| Some((name, pid?))).collect()
}

impl Curve {
    fn empty() -> Self {
        Self {
            name: String::new(),
            at_s: Vec::new(),
            resident_mb: Vec::new(),
            descriptors: Vec::new(),
            threads: Vec::new(),
            growth_mb: 0.0,
            flat: true,
        }
    }

    fn take(&mut self, at: Duration, usage: Usage) {
        self.at_s.push(at.as_secs_f64());
        self.resident_mb.push(usage.resident as f64 / 1e6);
        self.descriptors.push(usage.descriptors);
        self.threads.push(usage.threads);
    }

    fn last(&self) -> String {
        format!("{} {:.0} MB", self.name, self.resident_mb.last().copied().unwrap_or_default())
    }

    fn judge(&mut self) {
        let from = self.at_s.len() / 3;
        let (at, mb) = (self.at_s.get(from..).unwrap_or_default(), self.resident_mb.get(from..).unwrap_or_default());
        let Some((slope, mean)) = line(at, mb) else { return };
        let time = at.last().zip(at.first()).map_or(0.0, |(last, first)| last - first);
        self.growth_mb = slope * time;
        self.flat = self.growth_mb <= (mean * GROWTH_SHARE_MAX).max(GROWTH_MB_MAX);
    }
}

/// Slope and mean of the straight line with the least squares.
fn line(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let count = x.len().min(y.len());
    if count < 2 {
        return None;
    }
    let mean = |of: &[f64]| of.iter().take(count).sum::<f64>() / count as f64;
    let (x_mean, y_mean) = (mean(x), mean(y));
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        above += (x - x_mean) * (y - y_mean);
        below += (x - x_mean) * (x - x_mean);
    }
    (below > 0.0).then_some((above / below, y_mean))
}

impl Soak {
    /// The goals that were missed.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for (count, what) in [(self.failed, "failed"), (self.stale, "were stale"), (self.wrong, "had wrong bytes")] {
            if count > 0 {
                missed.push(format!("{count} of {} requests {what}", self.requests));
            }
        }
        for curve in self.curves.iter().filter(|curve| !curve.flat) {
            missed.push(format!("{} has grown by {:.1} MB in the last two thirds", curve.name, curve.growth_mb));
        }
        missed
    }

    /// The curves, with what was counted above.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:.0} min, {} requests ({:.0}% hits), {} failed, {} stale, {} wrong; {} purges, {} delivered; {} pushes, {} reloads",
            self.seconds / 60.0,
            self.requests,
            self.hit_ratio * 100.0,
            self.failed,
            self.stale,
            self.wrong,
            self.purges,
            self.delivered,
            self.pushes,
            self.reloads
        );
        let _ = writeln!(out, "\nresident memory in MB (open files, threads)\n");
        let width = 16;
        let mut heading = format!("{:>6} ", "min");
        for curve in &self.curves {
            let _ = write!(heading, "{:>width$}", curve.name);
        }
        let _ = writeln!(out, "{heading}");
        let count = self.curves.first().map_or(0, |curve| curve.at_s.len());
        let step = count.div_ceil(ROWS_MAX).max(1);
        for index in (0..count).filter(|index| index % step == 0 || index + 1 == count) {
            let at = self.curves.first().and_then(|curve| curve.at_s.get(index)).copied().unwrap_or_default();
            let _ = write!(out, "{:>6.1} ", at / 60.0);
            for curve in &self.curves {
                let mb = curve.resident_mb.get(index).copied().unwrap_or_default();
                let files = curve.descriptors.get(index).copied().unwrap_or_default();
                let threads = curve.threads.get(index).copied().unwrap_or_default();
                let _ = write!(out, "{:>width$}", format!("{mb:.1} ({files}, {threads})"));
            }
            let _ = writeln!(out);
        }
        let _ = writeln!(out);
        for curve in &self.curves {
            let verdict = if curve.flat { "flat" } else { "GROWS" };
            let _ = writeln!(out, "{:<14} {verdict}: {:+.1} MB over the last two thirds", curve.name, curve.growth_mb);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(mb: impl Fn(f64) -> f64) -> Curve {
        let mut curve = Curve::empty();
        for tick in 0..90u32 {
            let resident = mb(f64::from(tick)) * 1e6;
            let usage = Usage { resident: resident as u64, descriptors: 1, threads: 1 };
            curve.take(EVERY * tick, usage);
        }
        curve.judge();
        curve
    }

    #[test]
    fn what_rises_to_the_end_grows_and_what_rose_at_first_or_swings_does_not() {
        assert!(curve(|tick| 100.0 + (tick * 2.0).min(50.0)).flat);
        assert!(curve(|tick| 100.0 + (tick % 5.0)).flat);
        let leaking = curve(|tick| 100.0 + tick * 0.2);
        assert!(!leaking.flat && (10.0..14.0).contains(&leaking.growth_mb), "{}", leaking.growth_mb);
    }

    #[test]
    fn a_line_is_found_through_points() {
        let (slope, mean) = line(&[0.0, 1.0, 2.0], &[1.0, 3.0, 5.0]).unwrap();
        assert!((slope - 2.0).abs() < 1e-9 && (mean - 3.0).abs() < 1e-9);
        assert_eq!(line(&[1.0], &[1.0]), None);
    }
}
