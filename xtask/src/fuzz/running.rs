//! A process that runs a target, and what its log says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use super::report::{Finding, Outcome, Stats};
use super::{Args, Built, Target, create, found, gathered, kept};
use crate::paths;
use crate::process::{Service, tail};

/// A target that runs.
pub struct Running {
    target: Target,
    service: Service,
    started: Instant,
    /// What lay in the folder of findings before.
    before: BTreeSet<PathBuf>,
}

impl Running {
    /// Starts a process; `copy` tells those of one target apart.
    pub fn start(built: &Built, target: &Target, copy: u32, args: &Args) -> Result<Self> {
        let (gathered, found) = (gathered(target), found(target));
        create(&gathered)?;
        create(&found)?;
        let mut command = built.command(target);
        command
            .arg(format!("-max_total_time={}", args.seconds))
            // 0 is libFuzzer's word for any.
            .arg(format!("-seed={}", args.seed.map_or(0, |seed| seed.wrapping_add(copy))))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args(["-print_final_stats=1", "-reload=1"])
            .arg(&gathered);
        let seeds = target.seeds.iter().map(|folder| paths::root().join(folder));
        command
            .args(seeds.chain([kept(target, "corpus"), kept(target, "regressions")]).filter(|folder| folder.is_dir()));
        let log = paths::scratch("fuzz").join("logs").join(format!("{}-{copy}.log", target.name));
        let before = files(&found)?;
        let service = Service::spawn(&target.name, &mut command, &log)?;
        Ok(Self { target: target.clone(), service, started: Instant::now(), before })
    }

    /// Whether its time is up, or it has found something.
    pub fn has_ended(&mut self) -> bool {
        self.service.ended().is_some()
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.service.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A line for whoever waits.
    pub fn progress(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        format!("  {:<15}{seconds:>5} s  {}", self.target.name, Stats::of(&self.log()).line())
    }

    /// What came of it, once it has ended.
    pub fn outcome(mut self) -> Result<Outcome> {
        let status = self.service.ended().context("it has not ended")?;
        let log = self.log();
        let mut findings: Vec<Finding> = files(&found(&self.target))?
            .difference(&self.before)
            .map(|input| Finding::of(&self.target.name, input, &log))
            .collect();
        if !status.success() && findings.is_empty() {
            findings.push(Finding::without_input(&tail(self.service.log())));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        Ok(Outcome { target: self.target.name.clone(), seconds, stats: Stats::of(&log), found: findings })
    }
}

fn files(folder: &PathBuf) -> Result<BTreeSet<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
